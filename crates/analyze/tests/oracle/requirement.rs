//! The experiments of the requirement: three functions, three schemas, and a temporary table named as a catalog.

use postern_analyze::catalog::Catalog;
use postern_analyze::occurrence::Kind;
use postern_analyze::report::{self, Report};

use crate::server::{Server, Session};

const TABLES: &str = "
CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE SCHEMA s3;
CREATE TABLE s1.a (k int PRIMARY KEY); CREATE TABLE s2.a (k int PRIMARY KEY); CREATE TABLE s3.a (k int PRIMARY KEY);
CREATE TABLE s1.b (k int PRIMARY KEY);";

fn functions(session: &Session<'_>, bodies: [(&str, &str, &str); 3]) {
    for (at, (path, a, b)) in bodies.into_iter().enumerate() {
        session.run(&format!(
            "CREATE OR REPLACE FUNCTION s{0}.f() RETURNS text LANGUAGE plpgsql SET search_path = {path} AS $body$
             begin return 'a: '||(select '{a}'::regclass::oid::text)||' / '||'b: '||(select '{b}'::regclass::oid::text); end;
             $body$",
            at + 1
        ));
    }
}

fn table(session: &Session<'_>) -> (Catalog, Vec<Report>) {
    let catalog = Catalog::new(session.snapshot());
    let reports = ["s1.f()", "s2.f()", "s3.f()"]
        .map(|name| report::routine(&catalog, report::find(&catalog, name).unwrap(), None, None));
    (catalog, reports.into())
}

/// What the function itself says, as the requirement prints it.
fn said(session: &Session<'_>) -> Vec<String> {
    session.strings("SELECT s1.f(), s2.f(), s3.f()").remove(0)
}

fn resolved(report: &Report) -> String {
    let oid = |name: &str| {
        let found = report
            .names
            .iter()
            .find(|found| found.kind == Kind::Relation && found.name.rsplit('.').next() == Some(name));
        found.and_then(|found| found.object.as_ref()).map_or(0, |object| object.oid)
    };
    format!("a: {} / b: {}", oid("a"), oid("b"))
}

#[test]
fn three_functions_over_three_schemas_give_the_table_of_the_requirement() {
    let server = Server::start();
    three_functions(&server.session("postgres"));
}

/// The first experiment.
pub fn three_functions(session: &Session<'_>) {
    session.run(TABLES);
    functions(session, [("s1, s2, s3", "a", "b"), ("s2, s3, s1", "a", "b"), ("s3, s1, s2", "a", "b")]);
    let (_, reports) = table(session);
    let ours: Vec<String> = reports.iter().map(resolved).collect();
    assert_eq!(ours, said(session));
    let compared = report::compare(&reports);
    let row = |name: &str| {
        let row = compared.rows.iter().find(|(kind, key, _)| *kind == Kind::Relation && key == name).unwrap();
        row.2.iter().map(|cell| cell.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(row("a"), ["s1.a", "s2.a", "s3.a"]);
    assert_eq!(row("b"), ["s1.b", "s1.b", "s1.b"]);

    let pinned = "pg_catalog, pg_temp";
    functions(session, [(pinned, "s1.a", "s1.b"), (pinned, "s2.a", "s1.b"), (pinned, "s3.a", "s1.b")]);
    let (_, reports) = table(session);
    let qualified: Vec<String> = reports.iter().map(resolved).collect();
    assert_eq!(qualified, ours);
    assert_eq!(qualified, said(session));
}

#[test]
fn a_temporary_pg_class_captures_the_name_unless_pg_temp_is_last() {
    let server = Server::start();
    temporary_pg_class(&server.session("postgres"));
}

/// The second one.
pub fn temporary_pg_class(session: &Session<'_>) {
    let sql = "select count(*) from pg_class";
    let mut snapshot = session.snapshot();
    snapshot.temporary.push("pg_class".into());
    let catalog = Catalog::new(snapshot);
    session.run("CREATE TEMPORARY TABLE pg_class (k int)");
    for setting in ["\"$user\", public", "\"\"", "pg_catalog", "pg_catalog, pg_temp", "pg_temp"] {
        session.run(&format!("SET search_path = {}", if setting == "\"\"" { "''" } else { setting }));
        let theirs = session.strings("SELECT 'pg_class'::regclass::pg_catalog.oid").remove(0).remove(0);
        let report = report::sql(&catalog, sql, Some(setting), None);
        let name = report.names.iter().find(|name| name.name == "pg_class").unwrap();
        if let Some(object) = &name.object {
            assert_eq!(object.oid.to_string(), theirs, "{setting}");
        } else {
            assert_eq!(name.meaning, "a temporary table of the connection", "{setting}");
            assert_ne!(theirs, "1259", "{setting}");
        }
    }
}
