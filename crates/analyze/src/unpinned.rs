//! Where a SET clause may not stand, and what can be done instead.
//!
//! The server inlines some functions in SQL into the query that calls them, and lets some procedures end transactions; neither if
//! they have a SET clause. Such a routine keeps the path of its caller. A function in SQL can have its names bound once, by `BEGIN
//! ATOMIC`, and is inlined all the same.
//!
//! **Not guaranteed**: what is said to be inlined is what the server could inline; whether it does depends on the call, too.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{Below, SelectStmt, SetOperation};

use crate::catalog::{Catalog, Oid, Routine};
use crate::fix::Edit;
use crate::occurrence::{Kind, Occurrence};
use crate::parse::{As, parse, tokens};
use crate::text::decode;

/// What a SET clause would take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It could not be inlined any more.
    Inlining,
    /// It could not end transactions any more: it does itself, or by a procedure that it calls.
    Ending(Option<String>),
}

impl Obstacle {
    /// What to tell.
    pub fn note(&self) -> String {
        match self {
            Self::Inlining => "a SET clause would keep it from being inlined, so that the path is not pinned; BEGIN ATOMIC instead of the \
                string body (PostgreSQL 14 and later) binds its names once, and can be inlined"
                .into(),
            Self::Ending(by) => {
                let how = by.as_ref().map_or_else(|| "it".into(), |by| format!("it calls {by}, which"));
                format!(
                    "{how} ends transactions, which a routine with a SET clause may not, so that the path is not pinned; BEGIN ATOMIC \
                     is for SQL alone. Its operators and built-in functions follow the caller's path still: OPERATOR(pg_catalog.…) \
                     and pg_catalog.… do not"
                )
            }
        }
    }
}

/// Does something forbid a SET clause? The names are those of the body.
pub fn obstacle(catalog: &Catalog, routine: &Routine, names: &[Occurrence]) -> Option<Obstacle> {
    if routine.kind == 'p' {
        return ends(catalog, routine, names, &mut vec![routine.oid]);
    }
    inlined(catalog, routine, names).then_some(Obstacle::Inlining)
}

/// Does a procedure end transactions, itself or by one that it calls?
fn ends(catalog: &Catalog, routine: &Routine, names: &[Occurrence], seen: &mut Vec<Oid>) -> Option<Obstacle> {
    if routine.language != "plpgsql" {
        return None;
    }
    if commits(&routine.source) {
        return Some(Obstacle::Ending(None));
    }
    let called = names.iter().filter(|name| name.kind() == Kind::Function).filter_map(Occurrence::object);
    for oid in called {
        let Some(other) = catalog.routine_of(oid).filter(|other| other.kind == 'p') else { continue };
        // With a SET clause, or the rights of its owner, it may not itself.
        if seen.contains(&oid) || other.definer || !other.config.is_empty() {
            continue;
        }
        seen.push(oid);
        let (path, _) = crate::report::situation(catalog, other, None, None);
        let body = crate::body::routine(catalog, &path, other);
        if ends(catalog, other, &body.occurrences, seen).is_some() {
            return Some(Obstacle::Ending(Some(catalog.signature(other))));
        }
    }
    None
}

/// Is there a COMMIT or ROLLBACK in a body of PL/pgSQL? It stands where a statement begins.
fn commits(source: &str) -> bool {
    const BEFORE: [&str; 6] = [";", "begin", "then", "else", "loop", ">>"];
    let Ok(tokens) = tokens(source) else { return false };
    tokens.windows(2).any(|pair| {
        (pair[1].is(source, "commit") || pair[1].is(source, "rollback"))
            && BEFORE.iter().any(|before| pair[0].text(source).eq_ignore_ascii_case(before))
    })
}

/// Could the server inline it as it is?
fn inlined(catalog: &Catalog, routine: &Routine, names: &[Occurrence]) -> bool {
    if routine.language != "sql" || routine.kind != 'f' || routine.definer || !routine.config.is_empty() {
        return false;
    }
    // What cannot be read is not known not to be.
    let Ok(statements) = parse(&routine.source, As::Statements) else { return true };
    let [(_, statement)] = statements.as_slice() else { return false };
    let Some(NodeEnum::SelectStmt(select)) = statement.node.as_ref() else { return false };
    if routine.set {
        return !routine.strict && routine.volatility != 'v';
    }
    let within = select_parts(select) || select.any(&|node| matches!(node, NodeEnum::SubLink(_)));
    // Nor what promises more than what it calls keeps.
    let rank = |volatility: char| "isv".find(volatility).unwrap_or_default();
    let called = names.iter().filter_map(|name| match name.kind() {
        Kind::Function => catalog.routine_of(name.object()?),
        Kind::Operator => catalog.routine_of(catalog.operator_of(name.object()?)?.function),
        _ => None,
    });
    let folds = called.into_iter().any(|called| {
        matches!(called.kind, 'a' | 'w') || called.set || rank(called.volatility) > rank(routine.volatility)
    });
    !within && !folds
}

/// Has it anything but one expression?
fn select_parts(select: &SelectStmt) -> bool {
    select.target_list.len() != 1
        || select.op != i32::from(SetOperation::SetopNone)
        || select.where_clause.is_some()
        || select.having_clause.is_some()
        || select.limit_count.is_some()
        || select.limit_offset.is_some()
        || select.with_clause.is_some()
        || !(select.from_clause.is_empty()
            && select.group_clause.is_empty()
            && select.window_clause.is_empty()
            && select.distinct_clause.is_empty()
            && select.sort_clause.is_empty()
            && select.locking_clause.is_empty())
}

/// A CREATE FUNCTION of SQL with `BEGIN ATOMIC` instead of its string, and the edits made in it. `None` if that cannot be: the server
/// takes no polymorphic arguments there.
pub fn atomic(catalog: &Catalog, routine: &Routine, edits: &[Edit], create: &str) -> Option<String> {
    let polymorphic = |oid: &Oid| {
        catalog.type_of(*oid).is_some_and(|found| found.kind == 'p' && found.name.starts_with("any"))
    };
    if routine.language != "sql" || routine.args.iter().any(polymorphic) || catalog.snapshot.version < 140_000
    {
        return None;
    }
    let words = tokens(create).ok()?;
    let at = words.windows(2).position(|pair| {
        pair[0].is(create, "as")
            && decode(pair[1].text(create), pair[1].start).is_some_and(|body| body.text == routine.source)
    })?;
    let body = crate::fix::apply(&routine.source, edits);
    let last = tokens(&body).ok()?.last().copied()?;
    let (body, rest) = body.split_at(last.end);
    let end = if last.text(body) == ";" { "" } else { ";" };
    let head = create[..words[at].start].trim_end();
    let tail = create[words[at + 1].end..].trim_end().trim_end_matches(';').trim();
    let tail = if tail.is_empty() { String::new() } else { format!(" {tail}") };
    let again = match words.as_slice() {
        [create_word, next, ..] if !next.is(create, "or") => {
            format!("{} OR REPLACE{}", &head[..create_word.end], &head[create_word.end..])
        }
        _ => head.to_owned(),
    };
    Some(format!("{again}{tail}\nBEGIN ATOMIC\n{}{end}{}\nEND;", body.trim(), rest.trim_end()))
}
