//! Our answer beside the server's, for each subprogram.
//!
//! A SQL body is analysed by the server when its function is made again. A PL/pgSQL body is analysed piece by piece by
//! plpgsql_check, with the variables and their types as PL/pgSQL itself has them; what each piece is follows from the context
//! that the server sends with the tree.

use std::fmt;

use postern_analyze::body;
use postern_analyze::catalog::{Catalog, Routine};
use postern_analyze::occurrence::Occurrence;
use postern_analyze::parse::tokens;
use postern_analyze::path::Path;
use postern_analyze::plpgsql::{Event, events};

use super::load::Loaded;
use crate::compare::{Score, judge};
use crate::server::{Session, Tree, read};

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    pub score: Score,
    /// Subprograms of which the server analysed something: in SQL, in PL/pgSQL.
    sql: usize,
    pub plpgsql: usize,
    /// Pieces of PL/pgSQL that the server analysed, and those among them that we do not have.
    pub pieces: usize,
    pub unmatched: usize,
    /// Why the others were not compared.
    pub polymorphic: usize,
    pub refused: usize,
    pub triggers: usize,
    pub empty: usize,
}

impl Tally {
    pub fn compared(&self) -> usize {
        self.sql + self.plpgsql
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} subprograms ({} SQL, {} PL/pgSQL): {} names, {} as the server says, {} unknown, {} wrong; {} pieces of PL/pgSQL, \
             {} of them in a form of the server's own; not compared: {} polymorphic, {} refused by the server, {} triggers without \
             a table, {} without names",
            self.compared(),
            self.sql,
            self.plpgsql,
            self.score.names(),
            self.score.right,
            self.score.unknown,
            self.score.wrong.len(),
            self.pieces,
            self.unmatched,
            self.polymorphic,
            self.refused,
            self.triggers,
            self.empty
        )
    }
}

/// Compares everything that was loaded.
pub fn all(session: &Session<'_>, catalog: &Catalog, loaded: &[Loaded], checker: bool) -> Tally {
    let mut tally = Tally::default();
    session.run("SET debug_pretty_print = off; SET client_min_messages = log; SET debug_print_parse = on; SET check_function_bodies = on");
    for loaded in loaded {
        session.run(&format!("SET search_path = {}", loaded.source.path));
        for oid in &loaded.routines {
            let Some(routine) = catalog.snapshot.routines.iter().find(|routine| routine.oid == *oid) else {
                continue;
            };
            one(session, catalog, routine, loaded.source.path, checker, &mut tally);
        }
    }
    session.run("RESET ALL");
    tally
}

fn one(
    session: &Session<'_>,
    catalog: &Catalog,
    routine: &Routine,
    path: &str,
    checker: bool,
    tally: &mut Tally,
) {
    if routine.atomic || routine.source.is_empty() {
        return;
    }
    let own = routine.config.iter().find_map(|setting| setting.strip_prefix("search_path="));
    let path = Path::new(catalog, own.unwrap_or(path), &catalog.snapshot.user);
    match routine.language.as_str() {
        "sql" => sql(session, catalog, routine, &path, tally),
        "plpgsql" if checker => plpgsql(session, catalog, routine, &path, tally),
        "plpgsql" => super::probe::plpgsql(session, catalog, routine, &path, tally),
        _ => {}
    }
}

pub fn is_polymorphic(catalog: &Catalog, routine: &Routine) -> bool {
    routine.args.iter().any(|arg| {
        catalog.type_of(*arg).is_some_and(|found| found.kind == 'p' && found.name.starts_with("any"))
    })
}

fn sql(session: &Session<'_>, catalog: &Catalog, routine: &Routine, path: &Path, tally: &mut Tally) {
    if is_polymorphic(catalog, routine) {
        // The server analyses these when they are called.
        tally.polymorphic += 1;
        return;
    }
    let definition = session.strings(&format!("SELECT pg_catalog.pg_get_functiondef({})", routine.oid));
    session.take_trees();
    session.run("BEGIN");
    let accepted = session.attempt(&definition[0][0]);
    session.run("ROLLBACK");
    let trees: Vec<Tree> =
        session.take_trees().into_iter().filter(|tree| tree.context.starts_with("SQL function")).collect();
    if !accepted {
        tally.refused += 1;
        return;
    }
    let found = body::routine(catalog, path, routine);
    let mut bound = crate::server::Bound::new();
    for tree in &trees {
        for (place, oids) in read(&tree.text) {
            bound.entry(place).or_default().extend(oids);
        }
    }
    if trees.is_empty() {
        tally.empty += 1;
        return;
    }
    tally.sql += 1;
    judge(&routine.source, &bound, &found.occurrences, &mut tally.score);
}

/// A piece of SQL in a PL/pgSQL body.
struct Piece {
    start: usize,
    end: usize,
    text: String,
    used: bool,
}

fn pieces(source: &str) -> Vec<Piece> {
    let Ok(tokens) = tokens(source) else { return Vec::new() };
    events(source, &tokens)
        .into_iter()
        .filter_map(|event| match event {
            Event::Sql { at, text, .. } => Some(Piece { start: at.start, end: at.end, text, used: false }),
            _ => None,
        })
        .collect()
}

/// plpgsql_check 2.3 takes the server down where the text of an EXECUTE has a clause, such as LIMIT.
const CRASHES: &[&str] = &["asgml", "_asgmledge", "_asgmlface", "pgr_analyzegraph"];

fn plpgsql(session: &Session<'_>, catalog: &Catalog, routine: &Routine, path: &Path, tally: &mut Tally) {
    let is_trigger = catalog.type_of(routine.returns).is_some_and(|found| found.name == "trigger");
    let table = catalog.snapshot.triggers.iter().find(|trigger| trigger.function == routine.oid);
    if is_trigger && table.is_none() {
        tally.triggers += 1;
        return;
    }
    if is_polymorphic(catalog, routine) {
        // plpgsql_check takes an integer for anything.
        tally.polymorphic += 1;
        return;
    }
    if CRASHES.contains(&routine.name.as_str()) {
        tally.refused += 1;
        return;
    }
    let table = table.map_or(0, |trigger| trigger.relation);
    session.take_trees();
    if std::env::var_os("SHOW").is_some() {
        println!("checking {}", routine.name);
    }
    let accepted = session.attempt(&format!(
        "SELECT plpgsql_check.plpgsql_check_function_tb({}::pg_catalog.regprocedure, {table}::pg_catalog.regclass, fatal_errors => false)",
        routine.oid
    ));
    let trees = session.take_trees();
    if !accepted {
        tally.refused += 1;
        return;
    }
    let found = body::routine(catalog, path, routine);
    let mut pieces = pieces(&routine.source);
    let mut any = false;
    for tree in &trees {
        let Some(text) = tree.context.split_once('"').map(|(_, text)| text) else { continue };
        if !["SQL statement", "SQL expression", "PL/pgSQL"].iter().any(|kind| tree.context.starts_with(kind))
        {
            continue;
        }
        if !tree.text.contains(":utilityStmt <>") {
            // Statements that the server analyses when they are run.
            continue;
        }
        tally.pieces += 1;
        let fits = |piece: &Piece| place_of(&piece.text, text);
        let which = pieces
            .iter()
            .position(|piece| !piece.used && fits(piece).is_some())
            .or_else(|| pieces.iter().position(|piece| fits(piece).is_some()));
        let Some(which) = which else {
            tally.unmatched += 1;
            if std::env::var_os("SHOW").is_some() {
                println!(
                    "unmatched in {}: {}",
                    routine.name,
                    tree.context.chars().take(200).collect::<String>()
                );
            }
            continue;
        };
        let piece = &mut pieces[which];
        if piece.used {
            continue;
        }
        piece.used = true;
        any = true;
        // The text that the server analysed begins before the piece where it has the target of an assignment, too.
        let shift = fits(piece).unwrap_or_default();
        let start = usize::try_from(i64::try_from(piece.start).unwrap() - shift).unwrap();
        let bound = read(&tree.text);
        let ours: Vec<Occurrence> = found
            .occurrences
            .iter()
            .filter(|occurrence| start <= occurrence.span.start && occurrence.span.end <= piece.end)
            .map(|occurrence| Occurrence {
                span: occurrence.span.start - start..occurrence.span.end - start,
                ..occurrence.clone()
            })
            .collect();
        let sql = &routine.source[start..piece.end];
        let before = tally.score.wrong.len();
        judge(sql, &bound, &ours, &mut tally.score);
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

/// Where a piece stands in a text that the server analysed: at its beginning, behind the target of an assignment, or where
/// PERFORM was, of which the server makes SELECT. White space may be another: INTO and its targets are blanked.
fn place_of(piece: &str, text: &str) -> Option<i64> {
    let piece = piece.trim_end();
    let at = |from: usize, piece: &str| {
        let rest = text.as_bytes().get(from..)?;
        let same = |(a, b): (&u8, &u8)| a == b || (a.is_ascii_whitespace() && b.is_ascii_whitespace());
        if rest.len() < piece.len() || !rest.iter().zip(piece.as_bytes()).all(same) {
            return None;
        }
        let after = rest[piece.len()..].trim_ascii_start();
        ["\"", "--", "/*"].iter().any(|end| after.starts_with(end.as_bytes())).then_some(())
    };
    if at(0, piece).is_some() {
        return Some(0);
    }
    if let Some(performed) = piece.strip_prefix("SELECT ")
        && at(0, &format!("SELECT{performed}")).is_some()
    {
        return Some(-1);
    }
    let target = text.find('=')? + 1;
    let blank = text.as_bytes()[target..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    at(target + blank, piece).and(i64::try_from(target + blank).ok())
}
