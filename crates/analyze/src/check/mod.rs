//! What is wrong with the names of a database's code, and the remedy.
//!
//! Each routine, and each definition with expressions in it, becomes a [`Subject`]: its names under the path that it runs with, or
//! was made with. Each file in `rules` looks at a subject for one thing. What a comment with a reason excuses is left out, and what a baseline lists is known already.
//!
//! **Invariants**
//! * A finding names its place, and its proof where there is one.
//! * The key of a finding does not depend on where it stands: moving code does not make it new.

pub mod output;
pub mod rows;
mod rules;
pub(crate) mod suppress;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Expression, PG_CATALOG, Routine};
use crate::report::{Report, expression as examine_expression, own_path, routine_briefly as examine};
use crate::text::Position;

pub use rules::{RULES, Rule};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To know.
    Note,
    /// To mend.
    Warning,
    /// Somebody's rights are at stake.
    Error,
}

impl Severity {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The routine, view, policy, and so on.
    pub object: String,
    /// The file, if it is from one; the position is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The name, if it is about one.
    pub name: Option<String>,
    /// Where in the body, if it is about a place.
    pub position: Option<Position>,
    /// The bytes of that place.
    #[serde(skip)]
    pub span: Option<std::ops::Range<usize>>,
    /// The line of the body, and how many characters of it are meant.
    pub excerpt: Option<(String, usize)>,
    /// What is wrong.
    pub message: String,
    /// The SQL that proves it.
    pub proof: Option<String>,
    /// What to do.
    pub remedy: String,
    /// What stays the same when the code moves.
    pub key: String,
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub enum Code<'a> {
    /// A body.
    Routine(&'a Routine),
    /// A definition with expressions in it.
    Expression(&'a Expression),
}

/// Some code, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// The code.
    pub code: Code<'a>,
    /// Its names.
    pub report: &'a Report,
}

impl<'a> Subject<'a> {
    /// The routine, if it is one.
    pub fn routine(&self) -> Option<&'a Routine> {
        match self.code {
            Code::Routine(routine) => Some(routine),
            Code::Expression(_) => None,
        }
    }

    /// The definition, if it is one.
    pub fn expression(&self) -> Option<&'a Expression> {
        match self.code {
            Code::Expression(expression) => Some(expression),
            Code::Routine(_) => None,
        }
    }

    /// The text of the code.
    pub fn source(&self) -> &'a str {
        match self.code {
            Code::Routine(routine) => &routine.source,
            Code::Expression(expression) => &expression.source,
        }
    }

    /// Does it run with the rights of its owner?
    pub fn definer(&self) -> bool {
        self.routine().is_some_and(|routine| routine.definer)
    }

    /// The value of the routine's own `search_path`.
    pub fn own_path(&self) -> Option<&'a str> {
        own_path(self.routine()?)
    }

    /// As `ALTER` names it.
    pub fn alter(&self) -> String {
        let kind =
            if self.routine().is_some_and(|routine| routine.kind == 'p') { "PROCEDURE" } else { "FUNCTION" };
        format!("ALTER {kind} {}", self.report.subject)
    }

    /// A finding about the whole routine.
    pub fn finding(
        &self,
        rule: &'static str,
        severity: Severity,
        message: String,
        remedy: String,
    ) -> Finding {
        Finding {
            rule,
            severity,
            object: self.report.subject.clone(),
            file: None,
            name: None,
            position: None,
            span: None,
            excerpt: None,
            message,
            proof: None,
            remedy,
            key: String::new(),
        }
    }

    /// A finding about a place in the body.
    pub fn at(&self, finding: Finding, span: &std::ops::Range<usize>) -> Finding {
        let source = self.source();
        let start = source[..crate::text::floor(source, span.start)].rfind('\n').map_or(0, |at| at + 1);
        let line = source[start..].lines().next().unwrap_or_default();
        let meant = source.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        Finding {
            position: Some(crate::text::position(source, span.start)),
            span: Some(span.clone()),
            excerpt: Some((line.to_owned(), meant.chars().count().max(1))),
            ..finding
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Members of extensions too.
    pub extensions: bool,
}

/// Checks a whole database.
pub fn database(catalog: &Catalog, scope: Scope) -> Vec<Finding> {
    let own = |routine: &&Routine| {
        routine.schema != PG_CATALOG
            && catalog.schema_name(routine.schema) != "information_schema"
            && (scope.extensions || routine.extension == 0)
    };
    let routines = catalog.snapshot.routines.iter().filter(own).map(Code::Routine);
    let all: Vec<Code<'_>> =
        routines.chain(catalog.snapshot.expressions.iter().map(Code::Expression)).collect();
    let found = crate::threads::spread(&all, |code| excused(catalog, *code));
    let mut findings: Vec<Finding> = found.into_iter().flatten().collect();
    findings.sort_by(|a, b| (&a.object, a.position, a.rule).cmp(&(&b.object, b.position, b.rule)));
    findings
}

/// Checks one routine.
pub fn check(catalog: &Catalog, routine: &Routine) -> Vec<Finding> {
    excused(catalog, Code::Routine(routine))
}

/// Checks one definition with expressions in it.
pub fn stored(catalog: &Catalog, expression: &Expression) -> Vec<Finding> {
    excused(catalog, Code::Expression(expression))
}

fn excused(catalog: &Catalog, code: Code<'_>) -> Vec<Finding> {
    with_subject(catalog, code, |subject| {
        let mut findings: Vec<Finding> = found(subject);
        suppress::apply(subject, &mut findings);
        number(&mut findings);
        findings
    })
}

/// What is found in some code, whatever its comments say, and without keys.
pub(crate) fn raw(catalog: &Catalog, code: Code<'_>) -> Vec<Finding> {
    with_subject(catalog, code, found)
}

fn with_subject<T>(catalog: &Catalog, code: Code<'_>, work: impl FnOnce(&Subject<'_>) -> T) -> T {
    let report = match code {
        Code::Routine(routine) => examine(catalog, routine),
        Code::Expression(expression) => examine_expression(catalog, expression),
    };
    work(&Subject { catalog, code, report: &report })
}

fn found(subject: &Subject<'_>) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| (rule.check)(subject)).collect()
}

/// Gives each finding its key: rule, object, name, and which of several alike it is.
pub(crate) fn number(findings: &mut [Finding]) {
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for finding in findings {
        let what =
            format!("{}\0{}\0{}", finding.rule, finding.object, finding.name.as_deref().unwrap_or_default());
        let count = seen.entry(what.clone()).or_insert(0);
        *count += 1;
        let hash = Sha256::digest(format!("{what}\0{count}"));
        let half = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        finding.key = format!("{half:016x}");
    }
}
