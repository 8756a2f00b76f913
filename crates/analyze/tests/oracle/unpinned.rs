//! What a SET clause would forbid is what the server says that it forbids; what is proposed instead forbids nothing.

use postern_analyze::catalog::Catalog;
use postern_analyze::fix::{Fix, definition, fix};
use postern_analyze::report;
use postern_analyze::unpinned::atomic;

use crate::server::{Server, Session};

const SCHEMA: &str = "
CREATE SCHEMA app; CREATE SCHEMA evil;
CREATE TABLE app.doc (k int, v varchar); INSERT INTO app.doc VALUES (1, 'x'), (2, 'y');
CREATE FUNCTION evil.never(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.never);
ALTER DATABASE postgres SET search_path = app; SET search_path = app;";

/// Head and body of functions over `doc`, and whether the server inlines them.
const FUNCTIONS: &[(&str, &str, bool)] = &[
    ("s1(i int) RETURNS int LANGUAGE sql IMMUTABLE", "SELECT i + 1 -- one more", true),
    ("s2(i int) RETURNS bigint LANGUAGE sql STABLE", "SELECT count(*) FROM doc WHERE k = i", false),
    ("s3(i int) RETURNS boolean LANGUAGE sql STABLE", "SELECT EXISTS (SELECT FROM doc WHERE k = i)", false),
    ("s4(i int) RETURNS int LANGUAGE sql IMMUTABLE", "SELECT max(i)", false),
    ("s5(i int) RETURNS int LANGUAGE sql IMMUTABLE", "SELECT 1; SELECT i + 1", false),
    ("s6(i int) RETURNS int LANGUAGE sql IMMUTABLE", "SELECT i + 1 LIMIT 1", false),
    (
        "s7(i int) RETURNS text LANGUAGE sql IMMUTABLE",
        "SELECT CASE WHEN i > 1 THEN 'a' || i ELSE 'b' END",
        false,
    ),
    ("s9(i int) RETURNS text LANGUAGE sql STABLE", "SELECT CASE WHEN i > 1 THEN 'a' || i ELSE 'b' END", true),
    ("s8(i int) RETURNS int LANGUAGE sql VOLATILE", "INSERT INTO doc (k) VALUES (i) RETURNING k", false),
    (
        "r1(i int) RETURNS SETOF int LANGUAGE sql STABLE",
        "SELECT k FROM doc WHERE k > i AND v = 'x'::varchar;",
        true,
    ),
    ("r2(i int) RETURNS SETOF int LANGUAGE sql", "SELECT k FROM doc WHERE k > i", false),
    ("r3(i int) RETURNS SETOF int LANGUAGE sql STABLE STRICT", "SELECT k FROM doc WHERE k > i", false),
    (
        "r4(i int) RETURNS TABLE (k int, v varchar) LANGUAGE sql STABLE",
        "SELECT d.k, d.v FROM doc d WHERE d.k > i",
        true,
    ),
];

/// Is the call gone from the plan?
fn inlined(session: &Session<'_>, name: &str) -> bool {
    let sql = if name.starts_with('r') {
        format!("EXPLAIN (VERBOSE, COSTS off) SELECT * FROM app.{name}(0) x WHERE x.k = 1")
            .replace("x.k = 1", if name == "r4" { "x.k = 1" } else { "x = 1" })
    } else {
        format!("EXPLAIN (VERBOSE, COSTS off) SELECT app.{name}(k) FROM app.doc")
    };
    !session.strings(&sql).concat().concat().contains(&format!("{name}("))
}

fn asked(session: &Session<'_>, name: &str) -> (Catalog, Option<Fix>) {
    let catalog = Catalog::new(session.snapshot());
    let found = fix(&catalog, report::find(&catalog, name).unwrap())
        .unwrap_or_else(|reasons| panic!("{name}: {reasons:?}"));
    (catalog, found)
}

fn given(session: &Session<'_>, name: &str) -> String {
    session.strings(&format!("SELECT pg_get_functiondef('{name}'::regprocedure)")).remove(0).remove(0)
}

#[test]
fn what_the_server_inlines_is_not_pinned_and_begin_atomic_is_inlined_too() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(SCHEMA);
    for (head, body, inlines) in FUNCTIONS {
        session.run(&format!("SET search_path = app; CREATE FUNCTION app.{head} AS $${body}$$"));
        let name = &head[..head.find('(').unwrap()];
        let signature = format!("app.{name}(int)");
        assert_eq!(inlined(&session, name), *inlines, "{head}: the plan");
        let (catalog, found) = asked(&session, &signature);
        let found = found.unwrap();
        let routine = report::find(&catalog, &signature).unwrap();
        assert_eq!((found.pin, found.atomic), (!inlines, *inlines), "{head}: {found:?}");
        assert_eq!(found.notes.iter().any(|note| note.contains("BEGIN ATOMIC")), *inlines, "{head}");
        let given = given(&session, &signature);
        if found.changes() {
            session.run(&definition(&given, routine, &found).unwrap());
            assert_eq!(inlined(&session, name), *inlines, "{head}: the plan after the fix");
        }
        if *inlines {
            // That is why: it is true of this function, too.
            session.run(&format!("ALTER FUNCTION {signature} SET search_path = pg_catalog, pg_temp"));
            assert!(!inlined(&session, name), "{head}: with a SET clause");
            session.run(&format!("ALTER FUNCTION {signature} RESET search_path"));
            let proposal = atomic(&catalog, routine, &found.edits, &given).unwrap();
            assert!(proposal.contains("OR REPLACE") && proposal.contains("BEGIN ATOMIC"), "{proposal}");
            session.run(&format!("SET search_path = pg_catalog, pg_temp; {proposal}"));
            assert!(inlined(&session, name), "{head}: {proposal}");
            assert_eq!(asked(&session, &signature).1, None, "{head}: a second fix");
        }
    }
    // A planted operator decides what the string means, and not what was bound.
    session.run("CREATE FUNCTION app.r5(i int) RETURNS SETOF int LANGUAGE sql STABLE AS $$SELECT k FROM app.doc WHERE v = 'x'::varchar$$");
    let count = |name: &str| {
        session.run("SET search_path = evil, pg_catalog");
        session.strings(&format!("SELECT count(*) FROM app.{name}(0)")).remove(0).remove(0)
    };
    assert_eq!((count("r5"), count("r1")), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn a_procedure_that_ends_transactions_still_does() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(SCHEMA);
    session.run(
        "CREATE PROCEDURE app.batch() LANGUAGE plpgsql AS $$BEGIN FOR i IN 1..3 LOOP INSERT INTO doc VALUES (i); COMMIT; END LOOP; END$$;
         CREATE PROCEDURE app.outermost() LANGUAGE plpgsql AS $$BEGIN CALL batch(); INSERT INTO doc VALUES (9); END$$;
         CREATE PROCEDURE app.plain() LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE t ON COMMIT DROP AS SELECT k FROM doc; END$$;",
    );
    for (name, ends) in [("app.batch()", true), ("app.outermost()", true), ("app.plain()", false)] {
        let (catalog, found) = asked(&session, name);
        let found = found.unwrap();
        let note = found.notes.iter().any(|note| note.contains("ends transactions"));
        assert_eq!((found.pin, note, found.atomic), (!ends, ends, false), "{name}: {found:?}");
        assert!(found.source.contains("app.doc"), "{}", found.source);
        let routine = report::find(&catalog, name).unwrap();
        session.run(&definition(&given(&session, name), routine, &found).unwrap());
        session.run("SET search_path = pg_catalog");
        session.run(&format!("CALL {name}"));
        if ends {
            session.run(&format!("ALTER PROCEDURE {name} SET search_path = pg_catalog, pg_temp"));
            assert!(!session.attempt(&format!("CALL {name}")), "{name} with a SET clause");
            session.run(&format!("ALTER PROCEDURE {name} RESET search_path"));
        }
        session.run("SET search_path = app");
        let again = asked(&session, name).1;
        assert!(again.is_none_or(|again| !again.changes()), "{name}: a second fix");
    }
    assert_eq!(session.strings("SELECT count(*) FROM app.doc WHERE v IS NULL")[0][0], "7");
}
