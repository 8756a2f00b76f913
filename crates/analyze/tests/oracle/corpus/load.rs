//! Loads the extensions of the corpus into one database, without their libraries.

use std::path::{Path, PathBuf};

use postern_analyze::parse::{As, parse, tokens, with_stack};
use postern_grammar::NodeEnum;

use crate::server::Session;

/// An extension of the corpus.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    package: &'static str,
    script: &'static str,
    /// The schema that it is made in.
    schema: &'static str,
    /// The path that its code runs under, if it sets none.
    pub path: &'static str,
    /// Extensions of the server's own packages that it needs.
    needs: &'static [&'static str],
}

const fn source(
    package: &'static str,
    script: &'static str,
    schema: &'static str,
    path: &'static str,
    needs: &'static [&'static str],
) -> Source {
    Source { package, script, schema, path, needs }
}

const SOURCES: &[Source] = &[
    source("postgresql-15-pgtap", "pgtap--1.2.0", "pgtap", "pgtap, public", &[]),
    source("postgresql-15-postgis-3-scripts", "postgis--3.3.2", "public", "public", &[]),
    source("postgresql-15-postgis-3-scripts", "postgis_raster--3.3.2", "public", "public", &[]),
    source("postgresql-15-postgis-3-scripts", "postgis_topology--3.3.2", "topology", "topology, public", &[]),
    source(
        "postgresql-15-postgis-3-scripts",
        "postgis_tiger_geocoder--3.3.2",
        "tiger",
        "tiger, public",
        &["fuzzystrmatch"],
    ),
    source("postgresql-15-postgis-3-scripts", "postgis_sfcgal--3.3.2", "public", "public", &[]),
    source("postgresql-15-postgis-3-scripts", "address_standardizer--3.3.2", "public", "public", &[]),
    source("postgresql-15-pgrouting-scripts", "pgrouting--3.4.2", "pgrouting", "pgrouting, public", &[]),
    source("postgresql-15-orafce", "orafce--4.1", "orafce", "orafce, public", &[]),
    source("postgresql-15-partman", "pg_partman--4.7.2", "partman", "partman, public", &[]),
    source(
        "postgresql-15-powa",
        "powa--4.1.4",
        "powa",
        "powa, public",
        &["pg_stat_statements", "btree_gist"],
    ),
    source("postgresql-15-periods", "periods--1.2", "periods", "periods, public", &["btree_gist"]),
    source("postgresql-15-pgq3", "pgq--3.5", "public", "public", &[]),
    source("postgresql-15-pgq-node", "pgq_node--3.5", "public", "public", &[]),
    source("postgresql-15-londiste-sql", "londiste--3.8", "public", "public", &[]),
    source("postgresql-15-mimeo", "mimeo--1.5.1", "mimeo", "mimeo, public", &["dblink"]),
    source("postgresql-15-pg-fact-loader", "pg_fact_loader--1.7", "fact_loader", "fact_loader, public", &[]),
    source(
        "postgresql-15-pgl-ddl-deploy",
        "pgl_ddl_deploy--2.1",
        "pgl_ddl_deploy",
        "pgl_ddl_deploy, public",
        &[],
    ),
    source(
        "postgresql-15-pglogical-ticker",
        "pglogical_ticker--1.4",
        "pglogical_ticker",
        "pglogical_ticker, public",
        &[],
    ),
    source(
        "postgresql-15-pg-track-settings",
        "pg_track_settings--2.1.0",
        "track_settings",
        "track_settings, public",
        &[],
    ),
    source("postgresql-15-pg-qualstats", "pg_qualstats--2.0.4", "qualstats", "qualstats, public", &[]),
    source("postgresql-15-unit", "unit--7", "unit", "unit, public", &[]),
    source("postgresql-15-set-user", "set_user--4.0.1", "set_user", "set_user, public", &[]),
    source(
        "postgresql-15-auto-failover",
        "pgautofailover--2.0",
        "auto_failover",
        "auto_failover, public",
        &["btree_gist"],
    ),
    source("pgagent", "pgagent--4.2", "pgagent", "pgagent, public", &[]),
];

/// What was loaded: a source, and the routines that it made.
#[derive(Debug)]
pub struct Loaded {
    pub source: Source,
    pub routines: Vec<u32>,
}

fn script(folder: &Path, source: &Source) -> PathBuf {
    let share = folder.join(source.package).join("usr/share/postgresql/15/extension");
    share.join(format!("{}.sql", source.script))
}

/// Those of the corpus that a version other than 15 is asked about each time: a tenth of it, of every kind. `POSTERN_CORPUS=whole` has all.
const SAMPLE: &[&str] =
    &["pg_partman--4.7.2", "pgq--3.5", "londiste--3.8", "pgl_ddl_deploy--2.1", "orafce--4.1", "unit--7"];

/// Loads all that can be loaded, or a sample of it. What needs an extension that is not there is left out.
pub fn all(session: &Session<'_>, folder: &Path, whole: bool) -> Vec<Loaded> {
    session.run("SET check_function_bodies = off; SET client_min_messages = error");
    let mut loaded = Vec::new();
    let mut known: Vec<u32> = routines(session);
    for source in SOURCES.iter().filter(|source| whole || SAMPLE.contains(&source.script)) {
        let needed =
            |name: &&str| session.attempt(&format!("CREATE EXTENSION IF NOT EXISTS {name} SCHEMA public"));
        if !source.needs.iter().all(needed) {
            continue;
        }
        known = [known, routines(session)].concat();
        let text = std::fs::read_to_string(script(folder, source)).unwrap();
        session.run(&format!(
            "CREATE SCHEMA IF NOT EXISTS {0}; SET search_path = {1}",
            source.schema, source.path
        ));
        let statements = with_stack(|| statements(&text, source.schema)).unwrap();
        let together = session.attempt(&statements.join(";\n"));
        for statement in statements.iter().filter(|_| !together) {
            let accepted = session.attempt(statement);
            if !accepted && std::env::var_os("SHOW").is_some() {
                println!(
                    "not loaded of {}: {}",
                    source.script,
                    statement.chars().take(200).collect::<String>()
                );
            }
        }
        let made: Vec<u32> = routines(session).into_iter().filter(|oid| !known.contains(oid)).collect();
        known.extend(&made);
        loaded.push(Loaded { source: *source, routines: made });
    }
    session.run("RESET search_path");
    loaded
}

fn routines(session: &Session<'_>) -> Vec<u32> {
    let rows = session.strings("SELECT oid FROM pg_catalog.pg_proc WHERE oid >= 16384");
    rows.iter().map(|row| row[0].parse().unwrap()).collect()
}

/// The statements of a script that make something, one after the other.
fn statements(script: &str, schema: &str) -> Vec<String> {
    // Lines for psql.
    let lines = script.lines().map(|line| if line.starts_with('\\') { "" } else { line });
    let text =
        lines.collect::<Vec<_>>().join("\n").replace("@extschema@", schema).replace("@extowner@", "postgres");
    let parsed = parse(&text, As::Statements).unwrap_or_else(|error| panic!("{}: {schema}", error.message));
    let starts: Vec<usize> = parsed.iter().map(|(start, _)| *start).chain([text.len()]).collect();
    parsed
        .iter()
        .zip(starts.windows(2))
        .filter_map(|((_, node), range)| {
            made(node.node.as_ref()?, text[range[0]..range[1]].trim().trim_end_matches(';'))
        })
        .collect()
}

fn made(node: &NodeEnum, statement: &str) -> Option<String> {
    match node {
        NodeEnum::SelectStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::DoStmt(_)
        | NodeEnum::CopyStmt(_)
        | NodeEnum::CallStmt(_)
        | NodeEnum::GrantStmt(_)
        | NodeEnum::CommentStmt(_)
        | NodeEnum::IndexStmt(_)
        // Its function is somebody's code, and would run.
        | NodeEnum::CreateEventTrigStmt(_)
        | NodeEnum::VariableSetStmt(_) => None,
        NodeEnum::CreateFunctionStmt(_) => Some(without_library(statement)),
        _ => Some(statement.to_owned()),
    }
}

/// A function in C becomes one of the server's own: nothing calls it but analysis, which reads literals of its types. It is
/// volatile, so that no planner calls it either.
fn without_library(statement: &str) -> String {
    let tokens = tokens(statement).unwrap();
    let is = |at: usize, word: &str| {
        tokens
            .get(at)
            .is_some_and(|token| token.text(statement).trim_matches(['\'', '"']).eq_ignore_ascii_case(word))
    };
    let c = (0..tokens.len()).any(|at| is(at, "language") && is(at + 1, "c"));
    if !c {
        return statement.to_owned();
    }
    // Literals are read and modifiers of types are; and whatever else calls, no argument is looked at.
    let has = |words: &[&str]| {
        (0..tokens.len()).any(|at| words.iter().enumerate().all(|(n, word)| is(at + n, word)))
    };
    let stub = if has(&["cstring", "["]) {
        "AS 'array_ndims'"
    } else if has(&["returns", "cstring"]) {
        "AS 'void_out'"
    } else if has(&["(", "cstring"]) {
        "AS 'textin'"
    } else {
        "AS 'pgsql_version'"
    };
    let mut out = String::new();
    let mut at = 0;
    let mut end = 0;
    while at < tokens.len() {
        let token = tokens[at];
        out.push_str(&statement[end..token.start]);
        end = token.end;
        let string = |at: usize| tokens.get(at).is_some_and(|token| token.text(statement).starts_with('\''));
        if is(at, "language") && is(at + 1, "c") {
            out.push_str("LANGUAGE internal");
            end = tokens[at + 1].end;
            at += 1;
        } else if is(at, "as") && string(at + 1) {
            out.push_str(stub);
            let last = if is(at + 2, ",") && string(at + 3) { at + 3 } else { at + 1 };
            end = tokens[last].end;
            at = last;
        } else if is(at, "immutable") || is(at, "stable") {
            out.push_str("VOLATILE");
        } else if is(at, "support") {
            let dotted = is(at + 2, ".");
            at += if dotted { 3 } else { 1 };
            end = tokens[at].end;
        } else {
            out.push_str(&statement[token.start..token.end]);
        }
        at += 1;
    }
    out.push_str(&statement[end..]);
    out
}

/// Makes the functions of plpgsql_check, which has the server analyse all of a body; false if it does not fit the server.
pub fn plpgsql_check(session: &Session<'_>, folder: &Path, major: u32) -> bool {
    let package = folder.join("postgresql-15-plpgsql-check");
    let library = package.join("usr/lib/postgresql/15/lib/plpgsql_check.so");
    let share = package.join("usr/share/postgresql/15/extension");
    let Ok(script) = std::fs::read_to_string(share.join("plpgsql_check--2.3.sql")) else { return false };
    if major != 15 {
        return false;
    }
    let library = library.canonicalize().unwrap();
    let lines = script.lines().map(|line| if line.starts_with('\\') { "" } else { line });
    let text = lines.collect::<Vec<_>>().join("\n").replace("MODULE_PATHNAME", &library.to_string_lossy());
    session
        .run("CREATE SCHEMA plpgsql_check; SET search_path = plpgsql_check; SET client_min_messages = error");
    session.run(&text);
    session.run("RESET search_path");
    true
}
