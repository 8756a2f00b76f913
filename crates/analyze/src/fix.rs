//! Names qualified where they stand, and the path pinned.
//!
//! A fix is a list of edits of the body: bytes outside them stay as they are. It is verified before it is given: the edited
//! body, analysed under the new path, must mean the same object at every name.
//!
//! **Invariant**: a routine of which anything is not known, or cannot be qualified, is not edited; the reason is said.

use std::ops::Range;

use crate::body;
use crate::catalog::{Catalog, PG_CATALOG, Routine};
use crate::occurrence::{Kind, Meaning, Occurrence};
use crate::parse::{Token, tokens};
use crate::path::Path;
use crate::report::{object, own_path, situation};
use crate::text::{decode, identifier, quote};
use crate::unpinned::{Obstacle, obstacle};

/// The path that a fixed routine sets.
pub const PINNED: &str = "pg_catalog, pg_temp";

/// A text that takes the place of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes.
    pub span: Range<usize>,
    /// The text.
    pub text: String,
}

/// What is to be done to a routine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// The edits of the body, in order.
    pub edits: Vec<Edit>,
    /// The body after them.
    pub source: String,
    /// Is the path to be pinned?
    pub pin: bool,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Is `BEGIN ATOMIC` what would do instead of a pinned path?
    pub atomic: bool,
}

impl Fix {
    /// Is there anything to change, or only to tell?
    pub fn changes(&self) -> bool {
        self.pin || !self.edits.is_empty()
    }
}

/// The fix of a routine: `None` if there is nothing to do or to tell, and the reasons if it cannot be done.
pub fn fix(catalog: &Catalog, routine: &Routine) -> Result<Option<Fix>, Vec<String>> {
    if routine.atomic {
        return Ok(None);
    }
    if !matches!(routine.language.as_str(), "sql" | "plpgsql") {
        return Err(vec![format!("it is written in {}", routine.language)]);
    }
    let (path, _) = situation(catalog, routine, None, None);
    let before = body::routine(catalog, &path, routine);
    let mut reasons: Vec<String> = before.gaps.iter().map(|(_, reason)| reason.clone()).collect();
    let mut edits = Vec::new();
    for occurrence in &before.occurrences {
        match edit(catalog, routine, occurrence) {
            Ok(edit) => edits.extend(edit),
            Err(reason) => {
                reasons.push(format!("{} {}: {reason}", occurrence.kind().word(), occurrence.written()));
            }
        }
    }
    let mut notes = Vec::new();
    let pinned = own_path(routine).is_some_and(|path| crate::path::split(path) == ["pg_catalog", "pg_temp"]);
    let mut pin = !pinned;
    let mut atomic = false;
    if pin && let Some(obstacle) = obstacle(catalog, routine, &before.occurrences) {
        pin = false;
        // Where every name is bound already there is nothing to tell.
        let follows = |name: &Occurrence| name.schema.is_none() && !matches!(name.meaning, Meaning::Local(_));
        if before.occurrences.iter().any(follows) {
            notes.push(obstacle.note());
            atomic = obstacle == Obstacle::Inlining;
        }
    }
    if !reasons.is_empty() {
        reasons.append(&mut notes);
        reasons.sort();
        reasons.dedup();
        return Err(reasons);
    }
    if edits.is_empty() && !pin && notes.is_empty() {
        return Ok(None);
    }
    let source = apply(&routine.source, &edits);
    let fixed = Routine { source: source.clone(), ..routine.clone() };
    let owner = catalog.role_of(routine.owner).map_or("", |role| role.name.as_str());
    let new_path = if pin || pinned { Path::new(catalog, PINNED, owner) } else { path };
    let after = body::routine(catalog, &new_path, &fixed);
    same(catalog, &before.occurrences, &after.occurrences)?;
    if !after.gaps.is_empty() {
        return Err(after.gaps.into_iter().map(|(_, reason)| reason).collect());
    }
    Ok(Some(Fix { edits, source, pin, notes, atomic }))
}

/// Does every name mean the object that it meant?
fn same(catalog: &Catalog, before: &[Occurrence], after: &[Occurrence]) -> Result<(), Vec<String>> {
    if before.len() != after.len() {
        return Err(vec!["after qualifying it would have other names than before".into()]);
    }
    let differ: Vec<String> = before
        .iter()
        .zip(after)
        .filter(|(before, after)| before.meaning != after.meaning || before.kind() != after.kind())
        .map(|(before, after)| {
            let said = |occurrence: &Occurrence| {
                object(catalog, occurrence)
                    .map_or("nothing".into(), |object| format!("{}.{}", object.schema, object.name))
            };
            format!(
                "{} {} would mean {} instead of {}",
                before.kind().word(),
                before.written(),
                said(after),
                said(before)
            )
        })
        .collect();
    if differ.is_empty() { Ok(()) } else { Err(differ) }
}

/// The edit that qualifies a name; none if it needs none.
fn edit(catalog: &Catalog, routine: &Routine, occurrence: &Occurrence) -> Result<Option<Edit>, String> {
    let Some(object) = object(catalog, occurrence) else {
        return match &occurrence.meaning {
            Meaning::Local(_) => Ok(None),
            Meaning::Unknown(reason) => Err(reason.clone()),
            Meaning::Ambiguous => Err("several objects fit".into()),
            _ => Err("nothing has that name".into()),
        };
    };
    let in_catalog = catalog.schema(&object.schema).is_some_and(|schema| schema.oid == PG_CATALOG);
    if occurrence.schema.is_some() || in_catalog {
        return Ok(None);
    }
    if occurrence.kind() == Kind::Operator {
        let how = occurrence.implied_by.map_or_else(
            || {
                format!(
                    "write OPERATOR({}.{}), with brackets around its operands",
                    quote(&object.schema),
                    occurrence.name
                )
            },
            |by| {
                format!(
                    "{by} cannot be qualified; write it with OPERATOR({}.{})",
                    quote(&object.schema),
                    occurrence.name
                )
            },
        );
        return Err(how);
    }
    let written = routine.source.get(occurrence.span.clone()).unwrap_or_default();
    let schema = quote(&object.schema);
    let text = if occurrence.quoted {
        match written.strip_prefix('\'') {
            Some(rest) => format!("'{}.{rest}", schema.replace('\'', "''")),
            None => return Err("the literal is not in plain quotes".into()),
        }
    } else if written.contains('.') {
        return Err(format!("write {schema}.{}(…) instead of attribute notation", occurrence.name));
    } else {
        format!("{schema}.{written}")
    };
    Ok(Some(Edit { span: occurrence.span.clone(), text }))
}

/// A text with edits made. Two edits of one place are one.
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    sorted.dedup_by_key(|edit| edit.span.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in sorted {
        out.push_str(&text[at..edit.span.start]);
        out.push_str(&edit.text);
        at = edit.span.end;
    }
    out.push_str(&text[at..]);
    out
}

/// The definition that the server gives of a routine, with a fix made in it. `None` if the body is not found there.
pub fn definition(given: &str, routine: &Routine, fix: &Fix) -> Option<String> {
    let body = given.rfind(&routine.source).filter(|_| !routine.source.is_empty())?;
    let (head, tail) = (&given[..body], &given[body + routine.source.len()..]);
    let mut head = head.to_owned();
    if fix.pin {
        let clause = format!(
            " SET search_path TO {}\n",
            PINNED.split(", ").map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
        );
        let start = head.find("\n SET search_path TO ").map(|at| at + 1);
        match start {
            Some(start) => {
                let end = head[start..].find('\n').map(|at| start + at + 1)?;
                head.replace_range(start..end, &clause);
            }
            None => head.insert_str(head.rfind("\nAS ")? + 1, &clause),
        }
    }
    Some(format!("{head}{}{tail}", fix.source))
}

/// Schema and name that a CREATE FUNCTION or PROCEDURE defines.
fn defined(statement: &[Token], text: &str) -> (Option<String>, Option<String>) {
    let Some(at) =
        statement.iter().position(|token| token.is(text, "function") || token.is(text, "procedure"))
    else {
        return (None, None);
    };
    let word = |at: usize| Some(identifier(statement.get(at)?.text(text)));
    if statement.get(at + 2).is_some_and(|token| token.text(text) == ".") {
        (word(at + 1), word(at + 3))
    } else {
        (None, word(at + 1))
    }
}

/// The edits of a file that make fixes in the definitions that it has. Only a body that is the same as the database's is edited.
pub fn file(catalog: &Catalog, text: &str, fixes: &[(&Routine, &Fix)]) -> Vec<Edit> {
    let Ok(tokens) = tokens(text) else { return Vec::new() };
    let mut edits = Vec::new();
    let mut start = 0;
    for end in 0..=tokens.len() {
        if tokens.get(end).is_some_and(|token| token.text(text) != ";") {
            continue;
        }
        let statement = &tokens[start..end];
        start = end + 1;
        let Some(at) = statement.iter().position(|token| token.is(text, "as")) else { continue };
        let Some(literal) = statement.get(at + 1) else { continue };
        if !statement.first().is_some_and(|token| token.is(text, "create")) {
            continue;
        }
        let Some(decoded) = decode(literal.text(text), literal.start) else { continue };
        let (schema, name) = defined(statement, text);
        let mut candidates = fixes.iter().filter(|(routine, _)| {
            routine.source == decoded.text
                && Some(&routine.name) == name.as_ref()
                && schema.as_ref().is_none_or(|schema| *schema == catalog.schema_name(routine.schema))
        });
        let Some((_, fix)) = candidates.next() else { continue };
        // Without its schema it could be another of the same name and text, whose names mean other objects.
        if candidates.any(|(_, other)| other != fix) {
            continue;
        }
        edits.extend(fix.edits.iter().map(|edit| Edit {
            span: decoded.source(edit.span.start)..decoded.source(edit.span.end),
            text: if decoded.is_identity() { edit.text.clone() } else { edit.text.replace('\'', "''") },
        }));
        if fix.pin {
            edits.push(pin(statement, text, statement[at].start));
        }
    }
    edits
}

/// The value of a `SET search_path` clause: what stands after `=` or `TO`, or `FROM CURRENT`.
pub(crate) fn path_clause(statement: &[Token], text: &str) -> Option<Range<usize>> {
    let set =
        statement.windows(2).position(|pair| pair[0].is(text, "set") && pair[1].is(text, "search_path"))?;
    if statement.get(set + 2)?.is(text, "from") {
        return Some(statement[set + 2].start..statement.get(set + 3)?.end);
    }
    // The clause ends where the next one begins: a name or a literal after each comma.
    let mut last = set + 3;
    while statement.get(last + 1).is_some_and(|token| token.text(text) == ",") {
        last += 2;
    }
    Some(statement.get(set + 3)?.start..statement.get(last)?.end)
}

/// The text that takes the place of the value of a `SET search_path` clause.
pub(crate) fn pinned_value(old: &str) -> String {
    let from = old.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("from"));
    if from { format!("= {PINNED}") } else { PINNED.into() }
}

/// The edit of a CREATE FUNCTION that pins its path: in its clause, or in one more before the byte that is given.
pub(crate) fn pin(statement: &[Token], text: &str, before: usize) -> Edit {
    match path_clause(statement, text) {
        Some(span) => Edit { text: pinned_value(&text[span.clone()]), span },
        None => Edit { span: before..before, text: format!("SET search_path = {PINNED} ") },
    }
}
