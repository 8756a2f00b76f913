//! A fix changes how names are written, and nothing that they mean.

use postern_analyze::catalog::Catalog;
use postern_analyze::fix::{apply, definition, file, fix};
use postern_analyze::report::{self, own_path};

use crate::server::{Server, Session};

const SCHEMAS: &str = "
CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE SCHEMA \"S 3\";
CREATE TABLE s1.a (k int, v text); CREATE TABLE s2.b (k int); CREATE TABLE \"S 3\".\"T\" (k int);
CREATE DOMAIN s2.dint AS int; CREATE SEQUENCE s1.sq; CREATE TYPE s1.pair AS (x int, y text);
CREATE FUNCTION s2.g(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION s1.twice(s1.a) RETURNS int LANGUAGE sql AS 'SELECT $1.k * 2';
CREATE FUNCTION s2.yes(s2.dint, s2.dint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR s2.=== (LEFTARG = s2.dint, RIGHTARG = s2.dint, FUNCTION = s2.yes);";

const GOOD: &[&str] = &[
    "CREATE FUNCTION s1.f() RETURNS int LANGUAGE plpgsql SET search_path TO s1, s2 AS $$
     DECLARE r a%ROWTYPE; -- a comment with a in it
       t a.v%TYPE := 'a'; d dint; p pair; /* a */ \"Q\" text;
     BEGIN
       SELECT a.k, v INTO r FROM a JOIN b USING (k) WHERE a.v = 'a' AND g(b.k) > 1;
       INSERT INTO a (k) SELECT nextval('sq') FROM \"S 3\".\"T\";
       PERFORM 'a'::regclass, length(r.v), d = 1;
       FOR r IN SELECT * FROM a LOOP UPDATE a SET k = g(r.k); END LOOP;
       RETURN g(d::int);
     END $$",
    "CREATE FUNCTION s1.q() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = \"S 3\", s1 AS 'SELECT count(*) FROM \"T\", a WHERE a.v = ''x'''",
    "CREATE FUNCTION s1.n() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END'",
];

fn create(session: &Session<'_>, ddl: &str) -> String {
    session.run(ddl);
    ddl.split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn a_fix_keeps_every_meaning_and_a_second_one_does_nothing() {
    let server = Server::start();
    every_fix(&server.session("postgres"));
}

/// Fixes each routine, and the fixed one.
pub fn every_fix(session: &Session<'_>) {
    session.run(SCHEMAS);
    for ddl in GOOD {
        let name = create(session, ddl);
        let catalog = Catalog::new(session.snapshot());
        let routine = report::find(&catalog, &name).unwrap();
        let done = fix(&catalog, routine).unwrap().unwrap();
        // Only what was inserted differs.
        let mut reverted = done.source.clone();
        for edit in &done.edits {
            assert!(
                edit.text.ends_with(routine.source[edit.span.clone()].trim_start_matches('\'')),
                "{edit:?}"
            );
        }
        for schema in ["s1.", "s2.", "\"S 3\"."] {
            reverted = reverted.replace(schema, "");
        }
        let mut original = routine.source.clone();
        for schema in ["s1.", "s2.", "\"S 3\"."] {
            original = original.replace(schema, "");
        }
        assert_eq!(reverted, original);
        // In the file that defines it, the same.
        let edited = apply(ddl, &file(&catalog, ddl, &[(routine, &done)]));
        assert!(edited.contains("pg_catalog, pg_temp"), "{edited}");
        // The server takes both, and they are the same to it.
        let given = session
            .strings(&format!("SELECT pg_get_functiondef('{name}'::regprocedure)"))
            .remove(0)
            .remove(0);
        let statement = definition(&given, routine, &done).unwrap();
        let before = report::routine(&catalog, routine, None, None);
        for sql in [statement.clone(), edited.replacen("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)] {
            session.run(&sql);
            let after = Catalog::new(session.snapshot());
            let fixed = report::find(&after, &name).unwrap();
            assert_eq!(fixed.source, done.source, "{sql}");
            assert_eq!(own_path(fixed), Some("pg_catalog, pg_temp"), "{sql}");
            assert_eq!((fixed.definer, fixed.volatility), (routine.definer, routine.volatility));
            let now = report::routine(&after, fixed, None, None);
            let objects = |report: &report::Report| {
                report.names.iter().map(|name| name.object.clone()).collect::<Vec<_>>()
            };
            assert_eq!(objects(&now), objects(&before));
            assert_eq!(fix(&after, fixed), Ok(None), "a second fix of {name}");
        }
    }
}

#[test]
fn what_cannot_be_fixed_is_said() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(SCHEMAS);
    session.run("SET check_function_bodies = off");
    for (ddl, reason) in [
        (
            "CREATE FUNCTION s1.x1() RETURNS int LANGUAGE plpgsql SET search_path = s1 AS 'BEGIN EXECUTE ''SELECT '' || 1; END'",
            "run time",
        ),
        (
            "CREATE FUNCTION s1.x2() RETURNS int LANGUAGE sql SET search_path = s1 AS 'SELECT a.twice FROM a'",
            "attribute notation",
        ),
        (
            "CREATE FUNCTION s1.x3() RETURNS boolean LANGUAGE sql SET search_path = s2 AS 'SELECT 1::dint === 1::dint'",
            "OPERATOR(s2.===)",
        ),
        (
            "CREATE FUNCTION s1.x4() RETURNS int LANGUAGE sql SET search_path = s2 AS 'SELECT k FROM nowhere'",
            "nothing has that name",
        ),
        (
            "CREATE FUNCTION s1.x5() RETURNS int LANGUAGE sql SET search_path = s2 AS 'SELECT ('",
            "syntax error",
        ),
    ] {
        let name = create(&session, ddl);
        let catalog = Catalog::new(session.snapshot());
        let reasons = fix(&catalog, report::find(&catalog, &name).unwrap()).unwrap_err();
        assert!(reasons.iter().any(|said| said.contains(reason)), "{name}: {reasons:?}");
    }
}
