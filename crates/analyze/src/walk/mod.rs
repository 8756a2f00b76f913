//! Walks a statement as the server's analysis would, and notes every name that is looked up.
//!
//! The walk does three things at once, because each needs the others: it keeps the scopes (tables, common table
//! expressions, variables), it finds the type of every expression, and it notes each look-up with what it means. `names`
//! notes and looks up, `scope` keeps what is visible, `query` walks SELECT and the commands that change rows, `expr` walks
//! expressions, `json` those of SQL/JSON, `ddl` walks definitions.
//!
//! **Invariants**
//! * The walk never fails: what it does not know has the type [`OPAQUE`], and is said in [`Found::gaps`] if names may hide in
//!   it.
//! * Places are bytes of the text that was given to [`Walker::new`].

mod ddl;
mod expr;
mod json;
mod names;
mod query;
mod scope;

use std::collections::HashSet;
use std::ops::Range;

use postern_grammar::nodes::Node;

use crate::catalog::{Names, Oid};
use crate::occurrence::Occurrence;
use crate::parse::Token;
use crate::typing::{OPAQUE, Typer};

pub use names::{dotted, parts};
pub use scope::Columns;
use scope::{Cte, Level};

/// A variable or parameter that expressions see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, or [`OPAQUE`].
    pub oid: Oid,
    /// Of a row whose type has no name: its columns, if they are known.
    pub columns: Columns,
}

impl Variable {
    /// A variable of a type.
    pub fn new(name: impl Into<String>, oid: Oid) -> Self {
        Self { name: name.into(), oid, columns: None }
    }
}

/// What surrounds the text.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Variables and parameters, the innermost last.
    pub variables: Vec<Variable>,
    /// The types of `$1`, `$2`, …
    pub parameters: Vec<Oid>,
    /// Names by which the parameters or variables can be qualified: the function, labels of blocks.
    pub labels: Vec<String>,
    /// Tables that the same body or file creates as temporary ones, and transition tables of a trigger.
    pub local_tables: HashSet<String>,
    /// Does a variable come before a column of the same name? Otherwise PL/pgSQL refuses both, and SQL takes the column.
    pub prefer_variables: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The look-ups, in order of their place.
    pub occurrences: Vec<Occurrence>,
    /// Where names may hide that were not looked at, and why.
    pub gaps: Vec<(Range<usize>, String)>,
}

/// See the module's own page.
pub struct Walker<'a> {
    pub(crate) typer: Typer<'a>,
    pub(crate) text: &'a str,
    pub(crate) tokens: &'a [Token],
    pub(crate) around: &'a Surroundings,
    base: usize,
    names: Option<&'a Names>,
    /// Temporary tables that this text has created so far.
    created: HashSet<String>,
    /// The token after the last join whose place was found.
    joins: usize,
    levels: Vec<Level>,
    ctes: Vec<Cte>,
    found: Found,
}

impl<'a> Walker<'a> {
    /// A walk over a text, of which these are the tokens.
    pub fn new(typer: Typer<'a>, text: &'a str, tokens: &'a [Token], around: &'a Surroundings) -> Self {
        Self {
            typer,
            text,
            tokens,
            around,
            base: 0,
            names: None,
            created: HashSet::new(),
            joins: 0,
            levels: Vec::new(),
            ctes: Vec::new(),
            found: Found::default(),
        }
    }

    /// The places in the trees are those of the text plus this.
    #[must_use]
    pub fn based(self, base: usize) -> Self {
        Self { base, ..self }
    }

    /// What was looked up under the path before need not be looked up again.
    #[must_use]
    pub fn remembering(self, names: Option<&'a Names>) -> Self {
        Self { names, ..self }
    }

    /// Walks a statement; gives the columns of its result.
    pub fn statement(&mut self, node: &Node) -> Columns {
        let columns = self.any_statement(node);
        self.levels.clear();
        self.ctes.clear();
        columns
    }

    /// Walks one expression that stands alone; gives its type.
    pub fn expression(&mut self, node: &Node) -> Oid {
        let columns = self.statement(node);
        match columns.as_deref() {
            Some([(_, oid)]) => *oid,
            _ => OPAQUE,
        }
    }

    /// Notes the name of a type that stands alone; gives the type.
    pub fn type_name(&mut self, node: &Node) -> Oid {
        // The grammar gives a type name as a raw statement of its own.
        match node.node.as_ref() {
            Some(postern_grammar::NodeEnum::TypeName(name)) => self.note_type(name),
            _ => OPAQUE,
        }
    }

    /// Notes the type of a column or parameter; `serial` and its like are integers.
    pub fn column_type_of(&mut self, name: &postern_grammar::nodes::TypeName) -> Oid {
        self.note_serial(name)
    }

    /// What was found so far, in order.
    pub fn finish(mut self) -> Found {
        self.found.occurrences.sort_by_key(|occurrence| (occurrence.span.start, occurrence.span.end));
        self.found
    }

    /// The temporary tables that the text creates.
    pub fn created(&self) -> &HashSet<String> {
        &self.created
    }

    fn gap(&mut self, at: i32, reason: impl Into<String>) {
        let span = self.token_span(at);
        self.found.gaps.push((span, reason.into()));
    }
}
