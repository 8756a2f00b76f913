//! Each rule finds what it is for, and nothing in code that is as it should be.

use postern_analyze::catalog::Catalog;
use postern_analyze::check::{self, Finding, RULES, Scope};

use crate::server::{Server, Session};

const ROLES: &str = "
CREATE ROLE alice; CREATE ROLE mallory LOGIN;
CREATE SCHEMA app AUTHORIZATION alice; GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE SCHEMA shared; GRANT CREATE, USAGE ON SCHEMA shared TO mallory; GRANT USAGE ON SCHEMA shared TO alice;
CREATE TABLE app.secret (k int, v text); ALTER TABLE app.secret OWNER TO alice;
CREATE FUNCTION app.times_ten(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 10';
REVOKE EXECUTE ON FUNCTION app.times_ten(int) FROM PUBLIC;";

fn findings(session: &Session<'_>) -> Vec<Finding> {
    check::database(&Catalog::new(session.snapshot()), Scope::default())
}

fn rules_of<'f>(found: &'f [Finding], object: &str) -> Vec<&'f str> {
    let mut rules: Vec<&str> =
        found.iter().filter(|finding| finding.object == object).map(|finding| finding.rule).collect();
    rules.dedup();
    rules
}

const CASES: &[(&str, &str, &str)] = &[
    ("capturable", "app.f1()", "CREATE FUNCTION app.f1() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT length(s.k::text) FROM app.secret s'"),
    ("captured", "app.f2()", "CREATE TABLE shared.secret (k int); ALTER TABLE shared.secret OWNER TO mallory;
      CREATE FUNCTION app.f2() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = shared, app, pg_temp AS 'SELECT count(*) FROM secret'"),
    ("definer-without-path", "app.f3()", "CREATE FUNCTION app.f3() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"),
    ("misquoted-path", "app.f4()", "CREATE FUNCTION app.f4() RETURNS int LANGUAGE sql SET search_path = 'app, pg_temp' AS 'SELECT 1'"),
    ("definer-for-public", "app.f5()", "CREATE FUNCTION app.f5() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1'"),
    ("definer-dynamic-sql", "app.f6(pg_catalog.text)", "CREATE FUNCTION app.f6(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN EXECUTE q; END'"),
    ("definer-current-user", "app.f7()", "CREATE FUNCTION app.f7() RETURNS name LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT current_user'"),
    ("breaks-on-restore", "app.f8(pg_catalog.int4)", "SET search_path = app, public;
      CREATE FUNCTION app.f8(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN times_ten(i); END';
      CREATE TABLE app.indexed (i int); CREATE INDEX ON app.indexed (f8(i)); ALTER DATABASE postgres SET search_path = app, public"),
    ("stops-apply", "app.f10()", "CREATE TABLE app.logged (i int); CREATE TABLE app.log_of_it (i int); ALTER TABLE app.logged OWNER TO alice;
      CREATE FUNCTION app.f10() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log_of_it VALUES (new.i); RETURN new; END';
      CREATE TRIGGER t BEFORE INSERT ON app.logged FOR EACH ROW EXECUTE FUNCTION app.f10(); ALTER TABLE app.logged ENABLE REPLICA TRIGGER t"),
    ("foreign-on-apply", "app.f11()", "CREATE TABLE app.others (i int); ALTER TABLE app.others OWNER TO mallory;
      CREATE FUNCTION app.f11() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
      CREATE TRIGGER t BEFORE INSERT ON app.others FOR EACH ROW EXECUTE FUNCTION app.f11(); ALTER TABLE app.others ENABLE ALWAYS TRIGGER t"),
    ("unread", "app.f9()", "CREATE FUNCTION app.f9() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
      AS 'DECLARE r record; BEGIN FOR r IN EXECUTE ''SELECT 1 AS a'' LOOP PERFORM r.a + 1; END LOOP; END'"),
];

#[test]
fn each_rule_finds_what_it_is_for() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(ROLES);
    for (rule, object, sql) in CASES {
        session.run(sql);
        session.run(&format!("RESET search_path; ALTER ROUTINE {object} OWNER TO alice"));
        let found = findings(&session);
        assert!(rules_of(&found, object).contains(rule), "{rule} is not found for {object}: {found:#?}");
        let finding =
            found.iter().find(|finding| finding.rule == *rule && finding.object == *object).unwrap();
        assert!(!finding.message.is_empty() && !finding.remedy.is_empty() && finding.key.len() == 16);
    }
    for rule in RULES {
        assert!(CASES.iter().any(|case| case.0 == rule.id), "{} has no case", rule.id);
    }
}

#[test]
fn code_as_it_should_be_has_no_findings() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(ROLES);
    session.run(
        "CREATE FUNCTION app.good(p int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
         DECLARE r text; BEGIN
           SELECT s.v INTO r FROM app.secret s WHERE s.k = p AND s.v LIKE 'a%';
           EXECUTE format('SELECT count(*) FROM app.%I', 'secret') INTO p;
           RETURN upper(r) || p;
         END $$;
         ALTER FUNCTION app.good(int) OWNER TO alice; REVOKE EXECUTE ON FUNCTION app.good(int) FROM PUBLIC;",
    );
    assert_eq!(findings(&session), []);
}

#[test]
fn a_comment_with_a_reason_excuses_and_one_without_does_not() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(ROLES);
    let body = |comment: &str| {
        session.run(&format!(
            "CREATE OR REPLACE FUNCTION app.who() RETURNS name LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
             SELECT current_user {comment}
             $$; REVOKE EXECUTE ON FUNCTION app.who() FROM PUBLIC"
        ));
        rules_of(&findings(&session), "app.who()").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(body(""), ["definer-current-user"]);
    assert_eq!(body("-- postern: allow definer-current-user: the owner is meant"), Vec::<String>::new());
    assert_eq!(body("-- postern: allow definer-current-user"), ["suppression", "definer-current-user"]);
    assert_eq!(body("-- postern: allow capturable: no reason to"), ["suppression", "definer-current-user"]);
}

#[test]
fn keys_stay_when_code_moves() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(ROLES);
    let keys = |body: &str| {
        session.run(&format!("SET check_function_bodies = off; CREATE OR REPLACE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $${body}$$"));
        findings(&session).into_iter().map(|finding| finding.key).collect::<Vec<_>>()
    };
    let before = keys("SELECT count(*) FROM nowhere, pg_class");
    let after = keys("\n\n  -- moved\n SELECT count(*) FROM   nowhere, pg_class");
    assert!(before.len() > 2, "{before:?}");
    assert_eq!(before, after);
}

/// Blocks of SQL in a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_page_of_each_rule_shows_what_it_finds_and_what_mends_it() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules");
    for rule in RULES {
        let page = std::fs::read_to_string(pages.join(format!("{}.md", rule.id))).unwrap();
        let [case, remedy] = blocks(&page)[..] else { panic!("{} has not two blocks", rule.id) };
        let server = Server::start();
        let session = server.session("postgres");
        session.run(case);
        session.run("RESET search_path");
        let found = findings(&session);
        assert!(found.iter().any(|finding| finding.rule == rule.id), "{}: {found:#?}", rule.id);
        session.run(remedy);
        let found = findings(&session);
        assert!(!found.iter().any(|finding| finding.rule == rule.id), "{}: {found:#?}", rule.id);
    }
}
