//! Which functions are open to capture, by deeds, and which of them each tool finds.
//!
//! A function is *open* if somebody with fewer rights than its owner can plant something after which the server binds its body
//! otherwise. The server decides that here: everything that the role could plant is planted, one after the other ([`captures`]). The tools are
//! asked afterwards, and know nothing of it.
//!
//! With `POSTERN_PGSPOT` set (`make compare-names`) pgspot is asked too, and the table of the documentation is printed.

use std::fmt::Write as _;
use std::process::Command;

use postern_analyze::catalog::Catalog;
use postern_analyze::check;
use postern_analyze::parse::with_stack;
use postern_analyze::path::Path;
use postern_analyze::walk::Surroundings;

use crate::captures::{PATHS, SCHEMAS, STATEMENTS, analysed, as_mallory, attacks};
use crate::compare::ours;
use crate::corpus;
use crate::server::{Server, Session};

/// A function of the set.
struct Labelled {
    name: String,
    sql: String,
    open: bool,
}

/// What a tool says of the functions.
#[derive(Default)]
struct Score {
    found: usize,
    missed: Vec<String>,
    wrong: Vec<String>,
    quiet: usize,
}

impl Score {
    fn add(&mut self, function: &Labelled, reported: bool) {
        match (function.open, reported) {
            (true, true) => self.found += 1,
            (true, false) => self.missed.push(function.name.clone()),
            (false, true) => self.wrong.push(function.name.clone()),
            (false, false) => self.quiet += 1,
        }
    }
}

/// Can a lesser role change what the server binds? Temporary objects count where the body runs in that role's connection.
fn open(session: &Session<'_>, catalog: &Catalog, setting: &str, sql: &str, definer: bool) -> Option<bool> {
    let before = analysed(session, setting, sql, "").ok()?;
    let path = Path::new(catalog, setting, "alice");
    for occurrence in ours(catalog, &path, sql, &Surroundings::default()) {
        for ddl in attacks(catalog, &occurrence) {
            let temporary = ddl.contains("TEMP TABLE") || ddl.contains("pg_temp.");
            if temporary && !definer {
                continue;
            }
            match analysed(session, setting, sql, &as_mallory(&ddl)) {
                Ok(after) if after != before => return Some(true),
                Err(refused) if !refused.starts_with("refused:") => return Some(true),
                _ => {}
            }
        }
    }
    Some(false)
}

/// Makes the functions, and finds out which of them are open.
fn functions(session: &Session<'_>, catalog: &Catalog) -> Vec<Labelled> {
    let mut all = Vec::new();
    // A caller who chooses the path puts the planted objects first; a caller with their own rights has their own.
    let own: Vec<(Option<&str>, &str, bool)> = PATHS.iter().map(|path| (Some(*path), *path, true)).collect();
    let kinds =
        [own, vec![(None, "evil, pg_catalog, app", true), (None, "\"$user\", public", false)]].concat();
    for (kind, (own, setting, definer)) in kinds.iter().enumerate() {
        for (at, sql) in STATEMENTS.iter().enumerate() {
            let Some(open) = open(session, catalog, setting, sql, *definer) else { continue };
            let name = format!("app.f{kind}_{at}");
            let definer = if *definer { "SECURITY DEFINER " } else { "" };
            let path = own.map_or_else(String::new, |path| {
                format!("SET search_path = {} ", path.replace("\"\"", "''"))
            });
            let body = sql.replacen("SELECT", "PERFORM", 1);
            let sql = format!(
                "CREATE FUNCTION {name}() RETURNS void LANGUAGE plpgsql {definer}{path}AS $$BEGIN {body}; END$$;"
            );
            all.push(Labelled { name, sql, open });
        }
    }
    session.run("SET check_function_bodies = off; SET ROLE alice");
    for function in &all {
        session.run(&function.sql);
    }
    session.run("RESET ROLE; RESET check_function_bodies");
    all
}

/// The rules that are about capture.
const RULES: &[&str] = &["captured", "capturable", "definer-without-path"];

/// Functions that have no path of their own at all: what splinter's rule 0011 is documented to look for.
const WITHOUT_A_PATH: &str = "
SELECT p.oid::pg_catalog.regproc::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'app' AND NOT EXISTS (
  SELECT FROM pg_catalog.unnest(p.proconfig) AS setting(line) WHERE pg_catalog.starts_with(line, 'search_path='))";

/// Functions of which plpgsql_check says anything, its warnings about security included.
const CHECKED: &str = "
SELECT DISTINCT p.oid::pg_catalog.regproc::text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang,
plpgsql_check.plpgsql_check_function(p.oid, performance_warnings => false, other_warnings => false,
  extra_warnings => false, security_warnings => true) AS said
WHERE n.nspname = 'app' AND l.lanname = 'plpgsql'";

fn listed(session: &Session<'_>, sql: &str) -> Vec<String> {
    session.strings(sql).into_iter().filter_map(|row| row.into_iter().next()).collect()
}

/// Does pgspot say anything of one function about its path or its names? What it says of the schemas does not count.
fn pgspot(program: &std::ffi::OsStr, folder: &std::path::Path, function: &Labelled) -> bool {
    let file = folder.join("function.sql");
    std::fs::write(&file, &function.sql).unwrap();
    let output = Command::new(program).arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let about = ["PS001", "PS003", "PS004", "PS005", "PS016", "PS017"];
    text.lines().any(|line| about.iter().any(|code| line.starts_with(code)))
}

#[test]
fn functions_that_are_open_are_found_and_no_others() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(SCHEMAS);
    let before = Catalog::new(session.snapshot());
    let all = functions(&session, &before);
    let open = all.iter().filter(|function| function.open).count();
    assert!(open >= 40 && all.len() - open >= 15, "{open} of {} are open", all.len());

    let catalog = Catalog::new(session.snapshot());
    let found = with_stack(|| check::database(&catalog, check::Scope::default())).unwrap();
    let mut postern = Score::default();
    for function in &all {
        let object = format!("{}()", function.name);
        let reported = found.iter().any(|finding| finding.object == object && RULES.contains(&finding.rule));
        postern.add(function, reported);
    }
    assert!(postern.missed.is_empty(), "missed: {:?}", postern.missed);
    assert!(postern.wrong.is_empty(), "wrong: {:?}", postern.wrong);

    let mut scores = vec![("postern check", postern)];
    let mut by_query = |tool: &'static str, sql: &str| {
        let said = listed(&session, sql);
        let mut score = Score::default();
        for function in &all {
            score.add(function, said.contains(&function.name));
        }
        scores.push((tool, score));
    };
    by_query("splinter's rule 0011", WITHOUT_A_PATH);
    // Its library needs the symbols of the language's own, and its script names a schema that is put in at installation.
    session.run("LOAD 'plpgsql'; SET check_function_bodies = off");
    if let Some(folder) = corpus::folder()
        && corpus::plpgsql_check(&session, &folder, server.cluster.installation().major)
    {
        by_query("plpgsql_check", CHECKED);
    }
    if let Some(program) = std::env::var_os("POSTERN_PGSPOT") {
        let folder = tempfile::tempdir().unwrap();
        let mut score = Score::default();
        for function in &all {
            score.add(function, pgspot(&program, folder.path(), function));
        }
        scores.push(("pgspot", score));
    }
    let mut table = format!("{} functions, {open} open\n\n", all.len());
    table += "| tool | found | missed | rightly quiet | wrongly reported |\n|---|---|---|---|---|\n";
    for (tool, score) in &scores {
        let (missed, wrong) = (score.missed.len(), score.wrong.len());
        let _ = writeln!(table, "| {tool} | {} | {missed} | {} | {wrong} |", score.found, score.quiet);
    }
    println!("{table}");
}
