//! Bodies of PL/pgSQL beside a server that has no plpgsql_check.
//!
//! The server prints the tree of a function in SQL when it is made. So each piece of SQL is made one, in a transaction that is rolled back:
//! its arguments are the variables that the piece sees, under their names. A piece that sees a record is not asked about: no argument can
//! be one.

use postern_analyze::body;
use postern_analyze::catalog::{Catalog, Routine};
use postern_analyze::occurrence::Occurrence;
use postern_analyze::path::Path;
use postern_analyze::plpgsql::Piece;
use postern_analyze::text::{literal, quote};

use super::judge::{Tally, is_polymorphic};
use crate::compare::judge;
use crate::server::{Bound, Session, Tree, read};

/// What a piece that is an expression stands behind.
const SELECT: &str = "SELECT ";
/// What an argument can be no one of: `record`, and what is not known.
const RECORD: u32 = 2249;

pub fn plpgsql(session: &Session<'_>, catalog: &Catalog, routine: &Routine, path: &Path, tally: &mut Tally) {
    let is_trigger = catalog.type_of(routine.returns).is_some_and(|found| found.name == "trigger");
    if is_trigger && catalog.triggers_of(routine.oid).next().is_none() {
        tally.triggers += 1;
        return;
    }
    if is_polymorphic(catalog, routine) {
        tally.polymorphic += 1;
        return;
    }
    let found = body::routine(catalog, path, routine);
    let mut any = false;
    for seen in body::pieces(catalog, path, routine) {
        let statement = seen.piece == Piece::Statement;
        let Some(arguments) = arguments(catalog, &seen) else {
            tally.unmatched += 1;
            continue;
        };
        let text = if statement { seen.text.clone() } else { format!("{SELECT}{}", seen.text) };
        let Some(bound) = asked(session, &path.setting, &arguments, &text) else {
            tally.refused += 1;
            continue;
        };
        tally.pieces += 1;
        any = true;
        let shift = if statement { 0 } else { SELECT.len() };
        let ours: Vec<Occurrence> = found
            .occurrences
            .iter()
            .filter(|occurrence| seen.at.start <= occurrence.span.start && occurrence.span.end <= seen.at.end)
            .map(|occurrence| Occurrence {
                span: occurrence.span.start - seen.at.start + shift
                    ..occurrence.span.end - seen.at.start + shift,
                ..occurrence.clone()
            })
            .collect();
        let before = tally.score.wrong.len();
        judge(&text, &bound, &ours, &mut tally.score);
        for wrong in &mut tally.score.wrong[before..] {
            *wrong = format!("in {}: {wrong}", routine.name);
        }
    }
    if any {
        tally.plpgsql += 1;
    } else {
        tally.empty += 1;
    }
}

/// The variables that a piece names, as arguments; `None` if one of them cannot be.
fn arguments(catalog: &Catalog, seen: &body::Seen) -> Option<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for variable in seen.variables.iter().rev() {
        if names.contains(&variable.name.as_str())
            || !seen.text.to_lowercase().contains(&variable.name.to_lowercase())
        {
            continue;
        }
        let kind = catalog.type_of(variable.oid).map_or('p', |found| found.kind);
        if variable.oid == RECORD || kind == 'p' {
            return None;
        }
        names.push(&variable.name);
        arguments.push(format!("{} {}", quote(&variable.name), catalog.type_name(variable.oid)));
    }
    // Parameters by their numbers are others here.
    (!seen.text.contains('$')).then(|| arguments.join(", "))
}

fn asked(session: &Session<'_>, path: &str, arguments: &str, text: &str) -> Option<Bound> {
    session.run(&format!("BEGIN; SELECT pg_catalog.set_config('search_path', {}, true)", literal(path)));
    session.take_trees();
    let accepted = session.attempt(&format!(
        "CREATE FUNCTION pg_temp.probe({arguments}) RETURNS void LANGUAGE sql AS {}",
        literal(text)
    ));
    session.run("ROLLBACK");
    let trees = session.take_trees();
    // Of commands that are no queries the server analyses nothing before they are run.
    let own =
        |tree: &&Tree| tree.context.starts_with("SQL function") && tree.text.contains(":utilityStmt <>");
    let tree = trees.iter().find(own).filter(|_| accepted)?;
    Some(read(&tree.text))
}
