//! What is not a function: views, policies, triggers, defaults, blocks.

use super::found;

const HEAD: &str = "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC; CREATE SCHEMA shared; GRANT USAGE, CREATE ON SCHEMA shared TO mallory;
CREATE TABLE app.x (k int, v varchar); CREATE FUNCTION shared.mark(i int) RETURNS int LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS 'SELECT i'; ALTER FUNCTION shared.mark(int) OWNER TO mallory;
CREATE FUNCTION shared.fire() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END';
ALTER FUNCTION shared.fire() OWNER TO mallory;
CREATE FUNCTION shared.event() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN END';
ALTER FUNCTION shared.event() OWNER TO mallory;
";

#[test]
fn every_kind_of_definition_is_judged_at_its_place() {
    for (sql, object) in [
        ("CREATE VIEW app.v AS SELECT @shared.mark(k) FROM app.x", "view app.v"),
        ("CREATE MATERIALIZED VIEW app.m AS SELECT @shared.mark(k) FROM app.x", "materialized view app.m"),
        ("CREATE POLICY p ON app.x USING (@shared.mark(k) = 1)", "policy p on table app.x"),
        (
            "CREATE TRIGGER t BEFORE INSERT ON app.x FOR EACH ROW EXECUTE FUNCTION @shared.fire()",
            "trigger t on table app.x",
        ),
        ("CREATE INDEX i ON app.x (@shared.mark(k))", "index i on app.x"),
        ("CREATE TABLE app.y (k int DEFAULT @shared.mark(1))", "table app.y"),
        ("CREATE TABLE app.y (k int, g int GENERATED ALWAYS AS (@shared.mark(k)) STORED)", "table app.y"),
        ("ALTER TABLE app.x ADD CHECK (@shared.mark(k) > 0)", "table app.x"),
        ("ALTER TABLE app.x ALTER k SET DEFAULT @shared.mark(2)", "table app.x"),
        ("CREATE DOMAIN app.d AS int CHECK (@shared.mark(VALUE) > 0)", "domain app.d"),
        ("CREATE RULE r AS ON INSERT TO app.x DO ALSO SELECT @shared.mark(NEW.k)", "rule r on table app.x"),
        ("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION @shared.event()", "event trigger e"),
    ] {
        let column = sql.find('@').unwrap() + 1;
        let sql = sql.replace('@', "");
        let wanted = format!("replaceable-function {object} 2.sql:1:{column}");
        assert!(found(&[HEAD, &sql]).contains(&wanted), "{wanted}: {:?}", found(&[HEAD, &sql]));
    }
}

#[test]
fn what_is_dropped_is_not_judged() {
    for (make, drop) in [
        ("CREATE VIEW app.v AS SELECT shared.mark(k) FROM app.x", "DROP VIEW app.v"),
        (
            "CREATE VIEW app.v AS SELECT shared.mark(k) FROM app.x",
            "CREATE OR REPLACE VIEW app.v AS SELECT k AS mark FROM app.x",
        ),
        ("CREATE POLICY p ON app.x USING (shared.mark(k) = 1)", "DROP POLICY p ON app.x"),
        ("CREATE POLICY p ON app.x USING (shared.mark(k) = 1)", "ALTER POLICY p ON app.x USING (k = 1)"),
        (
            "CREATE TRIGGER t BEFORE INSERT ON app.x FOR EACH ROW EXECUTE FUNCTION shared.fire()",
            "DROP TRIGGER t ON app.x",
        ),
        ("CREATE POLICY p ON app.x USING (shared.mark(k) = 1)", "DROP TABLE app.x CASCADE"),
        ("CREATE VIEW app.v AS SELECT shared.mark(k) FROM app.x", "DROP TABLE app.x CASCADE"),
        (
            "CREATE VIEW app.v AS SELECT shared.mark(k) FROM app.x",
            "ALTER FUNCTION shared.mark(int) OWNER TO CURRENT_USER",
        ),
    ] {
        assert_ne!(found(&[HEAD, make]), Vec::<String>::new(), "{make}");
        assert_eq!(found(&[HEAD, make, drop]), Vec::<String>::new(), "{make}; {drop}");
    }
}

#[test]
fn names_of_the_files_own_statements_are_judged_under_the_path_of_their_place() {
    let insert =
        "SET search_path = pg_catalog, shared;\nINSERT INTO app.x SELECT 1, 'a' WHERE 'a'::varchar = 'b';";
    assert_eq!(found(&[HEAD, insert]).len(), 1, "{:?}", found(&[HEAD, insert]));
    assert!(found(&[HEAD, insert])[0].contains(" 2.sql:2:"));
    let safe = insert.replace("pg_catalog, shared", "pg_catalog, pg_temp");
    assert_eq!(found(&[HEAD, &safe]), Vec::<String>::new());
    let block = "SET search_path = pg_catalog, shared;\nDO $$\nDECLARE v app.x.v%TYPE;\nBEGIN\n  PERFORM 1 WHERE v = 'x';\nEND $$;";
    let found_in_block = found(&[HEAD, block]);
    assert!(found_in_block.len() == 1 && found_in_block[0].ends_with(" 2.sql:5:21"), "{found_in_block:?}");
    let atomic = "SET search_path = pg_catalog, shared;\nCREATE FUNCTION app.f(v varchar) RETURNS boolean LANGUAGE sql\nBEGIN ATOMIC\n  SELECT v = 'x';\nEND;";
    assert!(
        found(&[HEAD, atomic]).iter().any(|found| found.ends_with(" 2.sql:4:12")),
        "{:?}",
        found(&[HEAD, atomic])
    );
    let returned = "SET search_path = pg_catalog, shared;\nCREATE FUNCTION app.f(v varchar) RETURNS boolean LANGUAGE sql RETURN v = 'x';";
    assert!(
        found(&[HEAD, returned]).iter().any(|found| found.contains(" 2.sql:2:")),
        "{:?}",
        found(&[HEAD, returned])
    );
}

#[test]
fn a_trigger_fires_on_apply_until_it_is_told_otherwise() {
    let case = "CREATE SCHEMA app; SET search_path = app; CREATE TABLE doc (id int); CREATE TABLE log (id int);
      CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (new.id); RETURN new; END';
      CREATE TRIGGER audit AFTER INSERT ON doc FOR EACH ROW EXECUTE FUNCTION audit();";
    let stops = |more: &str| {
        found(&[&format!("{case} {more}")]).iter().any(|found| found.starts_with("stops-apply app.audit() "))
    };
    assert!(!stops(""));
    assert!(stops("ALTER TABLE doc ENABLE ALWAYS TRIGGER audit"));
    assert!(stops("ALTER TABLE doc ENABLE REPLICA TRIGGER audit"));
    assert!(!stops("ALTER TABLE doc ENABLE ALWAYS TRIGGER audit; ALTER TABLE doc ENABLE TRIGGER audit"));
    assert!(!stops("ALTER TABLE doc ENABLE ALWAYS TRIGGER audit; DROP TRIGGER audit ON doc"));
    assert!(!stops("ALTER TABLE doc ENABLE ALWAYS TRIGGER audit; DROP TABLE doc"));
}
