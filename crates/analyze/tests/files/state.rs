//! The final state is judged.

use super::{check, found, project};

const TABLE: &str =
    "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC; CREATE TABLE app.t (k int, v varchar);\n";

const GOOD: &str = "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
 AS $$ SELECT count(*) FROM app.t $$; REVOKE ALL ON FUNCTION app.f() FROM PUBLIC;\n";

#[test]
fn what_is_as_it_should_be_has_no_findings() {
    assert_eq!(found(&[TABLE, GOOD]), Vec::<String>::new());
}

#[test]
fn a_finding_has_its_place_in_the_file() {
    let bad = "\n  CREATE FUNCTION app.f() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $body$
DECLARE r text;
BEGIN RETURN (SELECT count(*) FROM app.t WHERE v = 'x'); END $body$;
REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC;";
    assert_eq!(found(&[TABLE, bad]), ["capturable app.f() 2.sql:4:11"]);
    let findings = check(&project(&[TABLE, bad]));
    assert_eq!(findings[0].excerpt, Some(("DECLARE r text;".into(), 4)));
    assert!(findings[0].proof.as_ref().unwrap().starts_with("CREATE DOMAIN pg_temp.text"), "{findings:#?}");
    // In a literal with doubled quotes, too.
    let quoted = "CREATE FUNCTION app.f() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT ''a''::text';
      REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC;";
    let column = quoted.find("text'").unwrap() + 1;
    assert_eq!(found(&[TABLE, quoted]), [format!("capturable app.f() 2.sql:1:{column}")]);
}

#[test]
fn create_or_replace_that_drops_what_protects_counts() {
    let later = "CREATE OR REPLACE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM app.t $$;";
    let rules: Vec<String> = found(&[TABLE, GOOD, later]);
    assert!(rules.iter().all(|found| found.contains("3.sql")), "{rules:?}");
    assert!(rules.contains(&"definer-without-path app.f() 3.sql:1:28".to_owned()), "{rules:?}");
    // One that drops SECURITY DEFINER has no rights to lose; and the privileges stay.
    let later = "CREATE OR REPLACE FUNCTION app.f() RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT count(*) FROM app.t $$;";
    assert_eq!(found(&[TABLE, GOOD, later]), Vec::<String>::new());
    let definer = "ALTER FUNCTION app.f() SECURITY DEFINER;";
    assert_eq!(found(&[TABLE, GOOD, later, definer]), Vec::<String>::new());
}

#[test]
fn alter_counts() {
    let rules = |alter: &str| {
        let found = found(&[TABLE, GOOD, alter]);
        let mut rules: Vec<String> =
            found.iter().map(|found| found.split(' ').next().unwrap().to_owned()).collect();
        rules.dedup();
        rules
    };
    assert_eq!(rules("ALTER FUNCTION app.f() RESET search_path"), ["definer-without-path"]);
    assert_eq!(rules("ALTER FUNCTION app.f RESET ALL"), ["definer-without-path"]);
    assert_eq!(rules("ALTER ROUTINE app.f SET search_path = 'app, pg_temp'"), ["misquoted-path"]);
    assert_eq!(rules("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO PUBLIC"), ["definer-for-public"]);
    assert_eq!(
        rules("ALTER FUNCTION app.f() SECURITY INVOKER; ALTER FUNCTION app.f() RESET search_path"),
        Vec::<String>::new()
    );
    assert_eq!(rules("DROP FUNCTION app.f()"), Vec::<String>::new());
    assert_eq!(
        rules("ALTER FUNCTION app.f() RESET search_path; DROP SCHEMA app CASCADE"),
        Vec::<String>::new()
    );
    assert_eq!(
        rules("DO $$ BEGIN ALTER FUNCTION app.f() RESET search_path; END $$"),
        ["definer-without-path"]
    );
    assert_eq!(
        rules("DO $$ BEGIN EXECUTE 'ALTER FUNCTION app.f() RESET search_path'; END $$"),
        ["definer-without-path"]
    );
}

#[test]
fn grants_decide_who_could_capture() {
    let function = "CREATE SCHEMA shared; CREATE FUNCTION app.g() RETURNS bigint LANGUAGE sql SECURITY DEFINER
      SET search_path = pg_catalog, shared, pg_temp AS $$ SELECT app.n(v) FROM app.t WHERE v = 'x' $$;
      CREATE FUNCTION app.n(text) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1::bigint';
      REVOKE EXECUTE ON FUNCTION app.g() FROM PUBLIC;";
    assert_eq!(found(&[TABLE, function]), Vec::<String>::new());
    let column = function.lines().nth(1).unwrap().find("= 'x'").unwrap() + 1;
    let granted = found(&[TABLE, function, "GRANT CREATE ON SCHEMA shared TO mallory"]);
    assert_eq!(granted, [format!("capturable app.g() 2.sql:2:{column}")]);
    let revoked = "GRANT CREATE ON SCHEMA shared TO mallory; REVOKE ALL ON SCHEMA shared FROM mallory";
    assert_eq!(found(&[TABLE, function, revoked]), Vec::<String>::new());
    let owner = "GRANT CREATE ON SCHEMA shared TO mallory; CREATE ROLE alice; ALTER FUNCTION app.g() OWNER TO alice; GRANT alice TO mallory";
    assert_eq!(found(&[TABLE, function, owner]), Vec::<String>::new());
    let defaults = "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
      CREATE FUNCTION app.h() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1'";
    assert_eq!(found(&[TABLE, defaults]), Vec::<String>::new());
}

#[test]
fn the_path_of_the_file_decides_where_things_are_made() {
    let file = "CREATE SCHEMA a; CREATE SCHEMA b; SET search_path = b, a; CREATE TABLE t (k int); SET search_path TO a;
      CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';";
    assert!(found(&[file]).iter().all(|found| found.contains(" a.f() ")), "{:?}", found(&[file]));
    let project = project(&[
        file,
        "SELECT pg_catalog.set_config('search_path', 'b', false); CREATE VIEW v AS SELECT k FROM t; CREATE TABLE u ()",
    ]);
    let names: Vec<String> = project
        .catalog
        .snapshot
        .relations
        .iter()
        .filter(|r| r.oid > 16_384)
        .map(|r| format!("{}.{}", project.catalog.schema_name(r.schema), r.name))
        .collect();
    assert_eq!(names, ["b.t", "b.v", "b.u"]);
}

#[test]
fn an_excuse_counts_where_it_stands() {
    let function = |comment: &str| {
        format!(
            "{comment}
CREATE FUNCTION app.f() RETURNS name LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
SELECT current_user
$$;"
        )
    };
    let texts =
        |comment: &str| found(&[TABLE, &function(comment), "REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC"]);
    assert_eq!(texts(""), ["definer-current-user app.f() 2.sql:3:8"]);
    let inside = function("")
        .replace("current_user", "current_user -- postern: allow definer-current-user: the owner is meant");
    assert_eq!(
        found(&[TABLE, &inside, "REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC"]),
        Vec::<String>::new()
    );
    let public = function("-- postern: allow definer-for-public: it says who it is")
        .replace("current_user", "'x'::pg_catalog.name");
    assert_eq!(found(&[TABLE, &public]), Vec::<String>::new());
    // Nothing to excuse any more.
    assert_eq!(
        found(&[TABLE, &public, "REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC"]),
        ["suppression 2.sql 2.sql:1:1"]
    );
    // In a definition that was replaced, nobody minds.
    let replaced = public.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION");
    let replaced = replaced.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(
        found(&[TABLE, &public, &replaced, "REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC"]),
        Vec::<String>::new()
    );
}

#[test]
fn keys_are_those_of_the_database_and_stay_when_code_moves() {
    let bad = "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM app.t $$;";
    let keys =
        |texts: &[&str]| check(&project(texts)).into_iter().map(|finding| finding.key).collect::<Vec<_>>();
    let moved = bad.replace("SELECT", "\n\n SELECT");
    assert_eq!(keys(&[TABLE, bad]), keys(&[TABLE, "SELECT 1;\n\n\n", &moved]));
    assert!(keys(&[TABLE, bad]).len() > 1);
}

#[test]
fn what_an_extension_brings_is_unknown_and_not_capturable() {
    let file = "CREATE EXTENSION citext SCHEMA app; CREATE FUNCTION app.f(x app.citext) RETURNS boolean LANGUAGE sql SECURITY DEFINER
      SET search_path = pg_catalog, app, pg_temp AS $$ SELECT unaccent(x) = 'a' $$; REVOKE EXECUTE ON FUNCTION app.f FROM PUBLIC;";
    let found = found(&[TABLE, file]);
    assert!(!found.is_empty() && found.iter().all(|found| found.starts_with("unread ")), "{found:?}");
}

#[test]
fn what_is_rolled_back_was_never_there() {
    let bad = "CREATE FUNCTION app.b() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';";
    assert_eq!(
        found(&[TABLE, GOOD, &format!("BEGIN; {bad} ALTER FUNCTION app.f() RESET search_path; ROLLBACK;")]),
        Vec::<String>::new()
    );
    let kept = found(&[
        TABLE,
        GOOD,
        &format!("BEGIN; {bad} COMMIT; BEGIN; DROP FUNCTION app.b(); DROP SCHEMA app CASCADE; ROLLBACK;"),
    ]);
    assert!(kept.iter().any(|found| found.starts_with("definer-without-path app.b()")), "{kept:?}");
    // The path of SET LOCAL ends with the transaction.
    let local = "CREATE SCHEMA s; BEGIN; SET LOCAL search_path = s; CREATE TABLE here (k int); COMMIT; CREATE TABLE there (k int);";
    let project = project(&[local]);
    let names: Vec<String> = project
        .catalog
        .snapshot
        .relations
        .iter()
        .filter(|r| r.oid > 16_384)
        .map(|r| format!("{}.{}", project.catalog.schema_name(r.schema), r.name))
        .collect();
    assert_eq!(names, ["s.here", "public.there"]);
}

#[test]
fn a_publication_makes_what_its_tables_evaluate_run_on_apply() {
    let tables = "CREATE ROLE author; CREATE SCHEMA app; SET search_path = app, public;
CREATE FUNCTION helper(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE FUNCTION checked(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
ALTER FUNCTION checked OWNER TO author; CREATE TABLE doc (i int CHECK (checked(i)));\n";
    let about = |publication: &str| {
        let mut found = found(&[tables, publication]);
        found.retain(|found| found.starts_with("stops-apply") || found.starts_with("foreign-on-apply"));
        found
    };
    let both = [
        "foreign-on-apply app.checked(pg_catalog.int4) 1.sql:3:17",
        "stops-apply app.checked(pg_catalog.int4) 1.sql:3:82",
    ];
    assert_eq!(about(""), Vec::<String>::new());
    assert_eq!(about("CREATE PUBLICATION p FOR TABLE app.doc;"), both);
    assert_eq!(about("CREATE PUBLICATION p; ALTER PUBLICATION p ADD TABLES IN SCHEMA app;"), both);
    assert_eq!(about("CREATE PUBLICATION p FOR ALL TABLES; DROP PUBLICATION p;"), Vec::<String>::new());
    // By a domain that an expression casts to.
    let cast = "CREATE DOMAIN app.d AS int CHECK (app.checked(VALUE)); CREATE TABLE app.casted (i int CHECK (i::app.d > 0));";
    assert_eq!(about(cast), Vec::<String>::new());
    assert_eq!(about(&format!("{cast} CREATE PUBLICATION p FOR TABLE app.casted;")), both);
    let pinned = "CREATE PUBLICATION p FOR ALL TABLES; ALTER FUNCTION app.checked SET search_path = pg_catalog, app, pg_temp;
        ALTER FUNCTION app.checked OWNER TO postgres;";
    assert_eq!(about(pinned), Vec::<String>::new());
}

#[test]
fn a_publication_that_sends_what_policies_hide_is_found_where_it_says_so() {
    let tables = "CREATE SCHEMA app; CREATE TABLE app.doc (id int, tenant text); CREATE TABLE app.open (id int);
        CREATE TABLE app.part (id int) PARTITION BY LIST (id); CREATE TABLE app.one PARTITION OF app.part FOR VALUES IN (1);\n";
    let secured =
        "ALTER TABLE app.doc ENABLE ROW LEVEL SECURITY; ALTER TABLE app.one ENABLE ROW LEVEL SECURITY;";
    let about = |publication: &str| {
        let mut found = found(&[tables, publication, secured]);
        found.retain(|found| found.starts_with("publication-past-policies"));
        found
    };
    let of = |name: &str, column: usize| {
        vec![format!("publication-past-policies publication {name} 2.sql:1:{column}")]
    };
    assert_eq!(about("CREATE PUBLICATION p FOR TABLE app.doc"), of("p", 20));
    assert_eq!(about("CREATE PUBLICATION p FOR TABLE app.open"), Vec::<String>::new());
    assert_eq!(about("CREATE PUBLICATION p FOR TABLE app.doc WHERE (tenant = 'x')"), Vec::<String>::new());
    assert_eq!(about("CREATE PUBLICATION p; ALTER PUBLICATION p ADD TABLE app.doc"), of("p", 41));
    assert_eq!(
        about("CREATE PUBLICATION p FOR TABLE app.doc; ALTER PUBLICATION p SET TABLE app.open"),
        Vec::<String>::new()
    );
    assert_eq!(about("CREATE PUBLICATION p FOR TABLE app.doc; ALTER PUBLICATION p RENAME TO q"), of("q", 20));
    // Part of a table that is sent; and all there are.
    assert_eq!(about("CREATE PUBLICATION p FOR TABLE app.part"), of("p", 20));
    assert_eq!(about("CREATE PUBLICATION p FOR ALL TABLES").len(), 2);
    assert_eq!(about("CREATE PUBLICATION p FOR TABLES IN SCHEMA app").len(), 2);
    assert_eq!(about("CREATE PUBLICATION p FOR ALL TABLES; DROP PUBLICATION p"), Vec::<String>::new());
    assert_eq!(
        about(
            "-- postern: allow publication-past-policies: a copy of everything\nCREATE PUBLICATION p FOR TABLE app.doc"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn what_a_subscription_may_receive_is_assumed() {
    let tables = "CREATE SCHEMA app; SET search_path = app, public;
CREATE FUNCTION helper(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE FUNCTION checked(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION key(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE TABLE doc (i int CHECK (checked(i))); CREATE TABLE log (i int) PARTITION BY RANGE (key(i));
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (helper(1)) TO (9);\n";
    let about = |more: &str| {
        let mut findings = check(&project(&[tables, more]));
        findings.retain(|finding| finding.rule == "stops-apply");
        findings.into_iter().map(|finding| (finding.severity.word(), finding.message)).collect::<Vec<_>>()
    };
    assert_eq!(about(""), []);
    let subscription = "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;";
    let assumed = about(subscription);
    let of = |function: &str, table: &str| {
        let _ = function;
        (
            "warning",
            format!(
                "if a subscription receives the table, table app.{table} runs it when a row is applied, and the subscription would stop: function helper(…) does not exist"
            ),
        )
    };
    assert_eq!(assumed, [of("checked", "doc"), of("key", "log")]);
    assert_eq!(about(&format!("{subscription} DROP SUBSCRIPTION s;")), []);
    // What is published is no assumption; a part of a table has its key.
    let both = about("CREATE PUBLICATION p FOR TABLE app.doc, app.log_1;");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(
        both.iter().all(|(severity, message)| *severity == "error" && message.starts_with("table app.")),
        "{both:?}"
    );
}
