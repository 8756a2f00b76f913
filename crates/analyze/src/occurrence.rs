//! One place where a name is looked up, and what it means.

use std::ops::Range;

use serde::Serialize;

use crate::catalog::{Catalog, Oid};
use crate::path::{Path, Place};
use crate::typing::{Call, Choice, Typer};

/// How a name is looked up: all that is needed to do it again under another path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A table, view, sequence or index.
    Relation,
    /// A type; `temp` unless it is written as a function.
    Type,
    /// A function, procedure or aggregate.
    Call(Call),
    /// An operator between two operands.
    Binary(Oid, Oid),
    /// An operator before one.
    Prefix(Oid),
    /// A collation.
    Collation,
    /// A function without its arguments, as triggers and `regproc` name them.
    Routine(Option<Vec<Oid>>),
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// An object of the catalogs.
    Object(Oid),
    /// Something of the statement or the body itself: a common table expression, a table that the body creates.
    Local(&'static str),
    /// Nothing: the server would refuse.
    Nothing,
    /// Several, and nothing decides: the server would refuse.
    Ambiguous,
    /// Not decided, and why.
    Unknown(String),
}

/// One place where a name is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Where, in bytes of the text that was analysed. For what is not written, the construct that causes it.
    pub span: Range<usize>,
    /// The schema, if one is written.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// Not written: the construct that looks it up.
    pub implied_by: Option<&'static str>,
    /// Inside a string literal, as in `'a'::regclass`.
    pub quoted: bool,
    /// How it is looked up.
    pub lookup: Lookup,
    /// What it means under the path.
    pub meaning: Meaning,
    /// The body has set another path before it. It means the same under any, as things are, but who could change that is not known.
    pub repathed: bool,
}

/// Why it is not known what a name means, or who could capture it, after the body has set another path.
pub(crate) const REPATHED: &str = "the body sets the search_path before it";

/// The kinds of things that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Tables, views, sequences, indexes.
    Relation,
    /// Types.
    Type,
    /// Functions, procedures, aggregates.
    Function,
    /// Operators.
    Operator,
    /// Collations.
    Collation,
}

impl Kind {
    /// Its name in a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Relation => "relation",
            Self::Type => "type",
            Self::Function => "function",
            Self::Operator => "operator",
            Self::Collation => "collation",
        }
    }
}

impl Occurrence {
    /// The kind of what it names.
    pub fn kind(&self) -> Kind {
        match self.lookup {
            Lookup::Relation => Kind::Relation,
            Lookup::Type => Kind::Type,
            Lookup::Call(_) | Lookup::Routine(_) => Kind::Function,
            Lookup::Binary(..) | Lookup::Prefix(_) => Kind::Operator,
            Lookup::Collation => Kind::Collation,
        }
    }

    /// The object, if it is one.
    pub fn object(&self) -> Option<Oid> {
        match self.meaning {
            Meaning::Object(oid) => Some(oid),
            _ => None,
        }
    }

    /// As written, with its schema if there is one.
    pub fn written(&self) -> String {
        match &self.schema {
            Some(schema) if self.kind() == Kind::Operator => format!("OPERATOR({schema}.{})", self.name),
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Looks a name up: the rules for each kind, in one place. Meanings of temporary objects are not in a snapshot, so that the
/// temporary schema counts as empty.
pub fn look_up(typer: &Typer<'_>, schema: Option<&str>, name: &str, lookup: &Lookup) -> Meaning {
    let catalog = typer.catalog;
    let only = match schema {
        None => None,
        Some("pg_temp") => return Meaning::Local("an object of the temporary schema"),
        Some(written) => match catalog.schema(written) {
            Some(found) => Some(found.oid),
            None => return Meaning::Nothing,
        },
    };
    let meaning = found(typer, only, name, lookup);
    if meaning == Meaning::Nothing
        && let Some((extension, _)) = catalog.snapshot.sealed.iter().find(|(_, schema)| match only {
            Some(only) => only == *schema,
            None => typer.path.position(Place::Schema(*schema)).is_some(),
        })
    {
        return Meaning::Unknown(format!(
            "it may belong to the extension {extension}, which is not known here"
        ));
    }
    meaning
}

fn found(typer: &Typer<'_>, only: Option<Oid>, name: &str, lookup: &Lookup) -> Meaning {
    let catalog = typer.catalog;
    match lookup {
        Lookup::Relation => {
            let found =
                first(typer.path, only, |schema| catalog.relation_named(schema, name).map(|found| found.oid));
            temporary(typer, only, name, found)
        }
        Lookup::Type => {
            first(typer.path, only, |schema| catalog.type_named(schema, name).map(|found| found.oid))
        }
        Lookup::Collation => {
            first(typer.path, only, |schema| catalog.collation_named(schema, name).map(|found| found.oid))
        }
        Lookup::Call(call) => chosen(typer.call(&Call { schema: only, ..call.clone() }).0),
        Lookup::Binary(left, right) => chosen(typer.binary(only, name, *left, *right)),
        Lookup::Prefix(operand) => chosen(typer.prefix(only, name, *operand)),
        Lookup::Routine(args) => by_name(catalog, typer.path, only, name, args.as_deref()),
    }
}

fn first(path: &Path, only: Option<Oid>, find: impl Fn(Oid) -> Option<Oid>) -> Meaning {
    let found = match only {
        Some(schema) => find(schema),
        None => path.schemas().find_map(find),
    };
    found.map_or(Meaning::Nothing, Meaning::Object)
}

/// A relation, or the type of its rows, that is assumed to be in the temporary schema.
fn temporary(typer: &Typer<'_>, only: Option<Oid>, name: &str, otherwise: Meaning) -> Meaning {
    if only.is_some() || !typer.catalog.snapshot.temporary.iter().any(|table| table == name) {
        return otherwise;
    }
    let hit = match otherwise {
        Meaning::Object(oid) => typer.catalog.relation_of(oid).map(|found| found.schema),
        _ => None,
    };
    let (temp, hit) =
        (typer.path.position(Place::Temp), hit.and_then(|s| typer.path.position(Place::Schema(s))));
    if hit.is_none_or(|hit| temp < Some(hit)) {
        Meaning::Local("a temporary table of the connection")
    } else {
        otherwise
    }
}

fn chosen(choice: Choice) -> Meaning {
    match choice {
        Choice::Found(oid) => Meaning::Object(oid),
        // The type is an occurrence of its own.
        Choice::Coercion(_) => Meaning::Local("a cast written as a call"),
        Choice::None => Meaning::Nothing,
        Choice::Ambiguous => Meaning::Ambiguous,
        Choice::Unknown => Meaning::Unknown("the types of the arguments are not known".into()),
    }
}

fn by_name(catalog: &Catalog, path: &Path, only: Option<Oid>, name: &str, args: Option<&[Oid]>) -> Meaning {
    let mut found: Vec<(usize, &crate::catalog::Routine)> = catalog
        .routines_named(name)
        .filter(|routine| args.is_none_or(|args| routine.args == args))
        .filter_map(|routine| {
            let position = match only {
                Some(schema) => (schema == routine.schema).then_some(0)?,
                None => path.position(Place::Schema(routine.schema))?,
            };
            Some((position, routine))
        })
        .collect();
    found.sort_by_key(|(position, _)| *position);
    // The same arguments further along the path are hidden; others are not.
    let mut distinct: Vec<&crate::catalog::Routine> = Vec::new();
    for (_, routine) in found {
        if !distinct.iter().any(|seen| seen.args == routine.args) {
            distinct.push(routine);
        }
    }
    match distinct.as_slice() {
        [] => Meaning::Nothing,
        [one] => Meaning::Object(one.oid),
        _ => Meaning::Ambiguous,
    }
}
