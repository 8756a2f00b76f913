//! Each rule finds what it is for, and nothing in code that is as it should be.

use postern_analyze::catalog::Catalog;
use postern_analyze::check::{self, Finding, RULES, Scope, Severity};

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
    ("definer-runs-text", "app.f10(pg_catalog.text)", "CREATE FUNCTION app.f10(q text) RETURNS xml LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
      AS $$SELECT query_to_xml(q, true, true, '')$$"),
    ("view-over-row-security", "view app.secrets", "ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY; CREATE VIEW app.secrets AS SELECT k FROM app.secret"),
    ("replaceable-function", "policy p1 on table app.doc1", "CREATE FUNCTION shared.ok() RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT true';
      ALTER FUNCTION shared.ok() OWNER TO mallory; CREATE TABLE app.doc1 (id int); CREATE POLICY p1 ON app.doc1 USING (shared.ok())"),
    ("policy-unpinned-function", "policy p2 on table app.doc2", "SET search_path = app, public; CREATE TABLE app.acl (ok int);
      CREATE FUNCTION app.allowed() RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM acl)';
      CREATE TABLE app.doc2 (id int); CREATE POLICY p2 ON app.doc2 FOR INSERT WITH CHECK (allowed())"),
    ("event-trigger-unpinned-function", "event trigger noted", "SET search_path = app, public; CREATE FUNCTION app.note(t text) RETURNS void LANGUAGE sql AS 'SELECT';
      CREATE FUNCTION app.noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM note(tg_tag); END';
      CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE SEQUENCE') EXECUTE FUNCTION app.noted()"),
    ("session-user", "policy p3 on table app.doc3", "CREATE TABLE app.doc3 (id int, owner text); CREATE POLICY p3 ON app.doc3 USING (owner = session_user)"),
];

#[test]
fn each_rule_finds_what_it_is_for() {
    let server = Server::start();
    every_case(&server.session("postgres"));
}

/// Makes what each rule is for, and looks for it.
pub fn every_case(session: &Session<'_>) {
    session.run(ROLES);
    for (rule, object, sql) in CASES {
        session.run(sql);
        session.run("RESET search_path");
        if object.ends_with(')') {
            session.run(&format!("ALTER ROUTINE {object} OWNER TO alice"));
        }
        let found = findings(session);
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

#[test]
fn every_kind_of_stored_expression_is_read_back() {
    let server = Server::start();
    every_expression(&server.session("postgres"));
}

/// Makes one object of each kind that keeps an expression, and reads it back.
pub fn every_expression(session: &Session<'_>) {
    session.run(ROLES);
    session.run(
        "CREATE FUNCTION shared.mark(i int) RETURNS int LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT i';
         CREATE FUNCTION shared.fire() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END';
         CREATE FUNCTION shared.event() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN END';
         CREATE DOMAIN app.even AS int CHECK (shared.mark(VALUE) % 2 = 0);
         CREATE TABLE app.x (k int DEFAULT shared.mark(1), g int GENERATED ALWAYS AS (shared.mark(k)) STORED,
           CONSTRAINT positive CHECK (shared.mark(k) > 0));
         CREATE INDEX marked ON app.x (shared.mark(k));
         CREATE TRIGGER fired BEFORE INSERT ON app.x FOR EACH ROW WHEN (shared.mark(NEW.k) > 1) EXECUTE FUNCTION shared.fire();
         CREATE VIEW app.v AS SELECT shared.mark(k) AS m FROM app.x;
         CREATE MATERIALIZED VIEW app.m AS SELECT shared.mark(k) AS m FROM app.x;
         CREATE RULE ruled AS ON UPDATE TO app.v DO INSTEAD DELETE FROM app.x WHERE k = shared.mark(OLD.m);
         CREATE POLICY pol ON app.x USING (shared.mark(k) = 1);
         CREATE EVENT TRIGGER evented ON ddl_command_end EXECUTE FUNCTION shared.event();
         ALTER FUNCTION shared.mark(int) OWNER TO mallory; ALTER FUNCTION shared.fire() OWNER TO mallory;
         ALTER FUNCTION shared.event() OWNER TO mallory;",
    );
    let found = findings(session);
    for object in [
        "constraint even_check on domain app.even",
        "default value for column k of table app.x",
        "default value for column g of table app.x",
        "constraint positive on table app.x",
        "index app.marked",
        "trigger fired on table app.x",
        "view app.v",
        "materialized view app.m",
        "rule ruled on view app.v",
        "policy pol on table app.x",
        "event trigger evented",
    ] {
        assert!(
            found
                .iter()
                .any(|finding| finding.rule == "replaceable-function" && finding.object.starts_with(object)),
            "{object}: {found:#?}"
        );
    }
    // Everything that was printed was understood, and nothing that is bound is capturable.
    let catalog = Catalog::new(session.snapshot());
    for expression in &catalog.snapshot.expressions {
        let report = postern_analyze::report::expression(&catalog, expression);
        assert!(report.gaps.is_empty() && !report.names.is_empty(), "{expression:?}: {:?}", report.gaps);
        assert!(report.names.iter().all(|name| name.object.is_some()), "{expression:?}: {report:#?}");
    }
    assert!(!found.iter().any(|finding| finding.rule == "capturable"), "{found:#?}");
    session.run("DROP EVENT TRIGGER evented");
}

#[test]
fn what_is_planted_before_an_event_triggers_function_runs_as_a_superuser_until_the_path_is_pinned() {
    let server = Server::start();
    let session = server.session("postgres");
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/reference/rules/event-trigger-unpinned-function.md");
    let page = std::fs::read_to_string(page).unwrap();
    let [case, remedy] = blocks(&page)[..] else { panic!("the page has not two blocks") };
    let (before, undo) = case.split_once("ALTER ROLE tenant NOSUPERUSER").unwrap();
    let is_superuser =
        || session.strings("SELECT rolsuper FROM pg_roles WHERE rolname = 'tenant'").remove(0).remove(0);
    session.run(before);
    assert_eq!(is_superuser(), "t");
    session.run(&format!("ALTER ROLE tenant NOSUPERUSER{undo}"));

    // What the finding proves, as it is printed: the tenant's function is called in place of the one that is meant.
    session.run("RESET search_path");
    let found = findings(&session);
    let finding = found.iter().find(|finding| finding.rule == "event-trigger-unpinned-function").unwrap();
    assert_eq!((finding.object.as_str(), finding.severity), ("event trigger noted", Severity::Error));
    let (ddl, path) = finding.proof.as_deref().unwrap().split_once('\n').unwrap();
    assert!(path.starts_with("SET search_path = shop, "), "{path}");
    let noted = || session.strings("SELECT count(*) FROM app.log").remove(0).remove(0);
    session.run(&format!("SET search_path = app; SET ROLE tenant; {ddl} RESET ROLE;"));
    let count = noted();
    session.run(&format!("{path} DO 'BEGIN CREATE TABLE shop.one (id int); EXCEPTION WHEN OTHERS THEN END'"));
    assert_eq!(noted(), count, "the planted function was called");

    session.run(remedy);
    let count = noted();
    session.run(&format!("{path} CREATE TABLE shop.two (id int)"));
    assert_ne!(noted(), count, "the function that is meant is called again");
    session.run(
        "SET search_path = app; SET ROLE tenant; DROP FUNCTION shop.note; RESET ROLE; DROP TABLE shop.orders",
    );
    session.run(
        &case[case.find("SET ROLE tenant;").unwrap()..case.find("ALTER ROLE tenant NOSUPERUSER").unwrap()],
    );
    assert_eq!(is_superuser(), "f", "the planted function is not called");
    session.run("RESET search_path");
    assert!(!findings(&session).iter().any(|finding| finding.rule == "event-trigger-unpinned-function"));
}

#[test]
fn who_issues_a_command_decides_what_an_event_triggers_function_sees() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(
        "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC; CREATE ROLE clerk LOGIN; CREATE TABLE app.frozen (yes boolean);
         INSERT INTO app.frozen VALUES (true); GRANT SELECT ON app.frozen TO PUBLIC; ALTER DATABASE postgres SET search_path = app;
         CREATE SCHEMA AUTHORIZATION clerk; SET search_path = app;
         CREATE FUNCTION app.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
           'BEGIN IF EXISTS (SELECT FROM frozen WHERE yes) THEN RAISE ''frozen''; END IF; END';
         CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE SEQUENCE') EXECUTE FUNCTION app.refuse();
         REVOKE CREATE ON SCHEMA clerk FROM clerk; ALTER SCHEMA clerk OWNER TO CURRENT_USER; GRANT CREATE, USAGE ON SCHEMA app TO CURRENT_USER",
    );
    let found = findings(&session);
    let finding = found.iter().find(|finding| finding.rule == "event-trigger-unpinned-function").unwrap();
    assert_eq!(finding.severity, Severity::Warning, "{finding:#?}");
    let proof = finding.proof.as_deref().unwrap();
    session.run("GRANT CREATE ON SCHEMA clerk TO clerk; SET ROLE clerk");
    assert!(!session.attempt("CREATE SEQUENCE clerk.sq"), "refused");
    session.run(proof);
    // With what the proof plants the function no longer sees the table.
    session.run("ALTER TABLE pg_temp.frozen ADD COLUMN IF NOT EXISTS yes boolean");
    session.run("CREATE SEQUENCE clerk.sq; RESET ROLE");
}
