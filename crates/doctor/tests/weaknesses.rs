//! Each weakness, made on purpose in a database of its own: it is found by the gate's own login role, and it is gone once
//! the hint was run.

mod common;

use common::{Database, case, run};

#[test]
fn a_gate_role_with_rights_is_found_and_mended() {
    run(
        Database::new,
        &[
            case("gate-superuser", "role {g}", "ALTER ROLE {g} SUPERUSER"),
            case("gate-bypassrls", "role {g}", "ALTER ROLE {g} BYPASSRLS"),
            case("gate-createrole", "role {g}", "ALTER ROLE {g} CREATEROLE"),
            case("gate-replication", "role {g}", "ALTER ROLE {g} REPLICATION"),
            case("gate-createdb", "role {g}", "ALTER ROLE {g} CREATEDB"),
            case("gate-member", "role {g}", "GRANT {a} TO {g}"),
            case("gate-powerful-member", "role {g}", "GRANT pg_read_all_data TO {a}; GRANT {a} TO {g}"),
            case("gate-inherits", "role {g}", "ALTER ROLE {g} INHERIT; GRANT {a} TO {g}"),
            case("gate-owns", "role {g}", "CREATE TABLE gates(); ALTER TABLE gates OWNER TO {g}"),
            case("gate-create", "database {d}", "GRANT TEMPORARY ON DATABASE {d} TO {g}"),
            case("gate-create", "schema \"S\"", "CREATE SCHEMA \"S\"; GRANT CREATE ON SCHEMA \"S\" TO {g}"),
            case("gate-settings", "role {g}", "ALTER ROLE {g} IN DATABASE {d} SET search_path = x"),
            case("gate-other-role", "role {g}", "GRANT {a} TO {g}; ALTER ROLE {g} SET role = {a}"),
        ],
    );
}

#[test]
fn a_served_role_with_power_is_found_and_mended() {
    run(
        Database::new,
        &[
            case("role-superuser", "role {a}", "ALTER ROLE {a} SUPERUSER"),
            case("role-bypassrls", "role {a}", "ALTER ROLE {a} BYPASSRLS"),
            case("role-createrole", "role {a}", "ALTER ROLE {a} CREATEROLE"),
            case("role-replication", "role {a}", "ALTER ROLE {a} REPLICATION"),
            case("role-createdb", "role {a}", "ALTER ROLE {a} CREATEDB"),
            case(
                "role-powerful-member",
                "role {a}",
                "GRANT pg_execute_server_program TO {b}; GRANT {b} TO {a}",
            ),
            case("role-powerful-member", "role {a}", "GRANT pg_monitor TO {a}"),
            case("role-powerful-member", "role {b}", "ALTER ROLE {a} BYPASSRLS; GRANT {a} TO {b}"),
            case("role-administers", "role {a}", "GRANT {g} TO {a}"),
            case("role-owns-database", "role {a}", "ALTER DATABASE {d} OWNER TO {a}"),
            case("role-login", "role {a}", "ALTER ROLE {a} LOGIN PASSWORD 'x'"),
        ],
    );
}

#[test]
fn relations_without_a_guard_are_found_and_mended() {
    const GUARDED: &str = "CREATE TABLE \"T\"(i int); ALTER TABLE \"T\" ENABLE ROW LEVEL SECURITY; \
                           ALTER TABLE \"T\" FORCE ROW LEVEL SECURITY; GRANT SELECT ON \"T\" TO {a};";
    let after_guarded =
        |sql: &str| -> &'static str { Box::leak(format!("{GUARDED} {sql}").into_boxed_str()) };
    run(
        Database::new,
        &[
            case(
                "table-without-rls",
                "table public.\"T\"",
                "CREATE TABLE \"T\"(i int); GRANT SELECT (i) ON \"T\" TO {a}",
            ),
            case(
                "table-without-rls",
                "table public.leaf",
                "CREATE TABLE root(i int) PARTITION BY LIST (i); ALTER TABLE root ENABLE ROW LEVEL SECURITY; \
             CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1); GRANT SELECT ON root, leaf TO {a}",
            ),
            case(
                "table-rls-not-forced",
                "table public.own",
                "CREATE TABLE own(i int); ALTER TABLE own ENABLE ROW LEVEL SECURITY; ALTER TABLE own OWNER TO {b}; GRANT {b} TO {a}",
            ),
            case("table-truncate", "table public.\"T\"", after_guarded("GRANT TRUNCATE ON \"T\" TO PUBLIC")),
            case("table-trigger", "table public.\"T\"", after_guarded("GRANT TRIGGER ON \"T\" TO {a}")),
            case(
                "view-without-invoker",
                "view public.v",
                after_guarded("CREATE VIEW v AS SELECT * FROM \"T\"; GRANT SELECT ON v TO {a}"),
            ),
            case(
                "view-without-invoker",
                "view public.outer_view",
                after_guarded(
                    "CREATE VIEW inner_view WITH (security_invoker, check_option = local) AS SELECT * FROM \"T\"; \
                 CREATE VIEW outer_view WITH (security_barrier) AS SELECT * FROM inner_view; GRANT SELECT ON outer_view TO {b}",
                ),
            ),
            case(
                "materialized-view",
                "materialized view public.m",
                after_guarded(
                    "CREATE MATERIALIZED VIEW m AS SELECT * FROM \"T\"; GRANT SELECT ON m TO {a}, {b}",
                ),
            ),
            case(
                "schema-create",
                "schema work",
                "CREATE SCHEMA work; GRANT USAGE ON SCHEMA work TO {a}, {b}; GRANT CREATE ON SCHEMA work TO {a}",
            ),
            case(
                "schema-create",
                "schema his",
                "CREATE SCHEMA his AUTHORIZATION {a}; GRANT USAGE ON SCHEMA his TO {b}",
            ),
        ],
    );
}

#[test]
fn code_that_asks_the_wrong_thing_is_found_and_mended() {
    run(
        Database::new,
        &[
            case(
                "policy-session-user",
                "policy \"P\" on public.t",
                "CREATE TABLE t(owner text, v text); CREATE POLICY \"P\" ON t USING (owner = session_user AND v <> 'session_user') \
             WITH CHECK (session_user = owner)",
            ),
            case(
                "fact-immutable",
                "function public.tenant()",
                "CREATE FUNCTION tenant() RETURNS text LANGUAGE sql IMMUTABLE AS \
             $$ SELECT current_setting('request.jwt.claims', true)::json->>'tenant' $$",
            ),
        ],
    );
    let cases = [
        case(
            "definer-session-user",
            "function public.who()",
            "CREATE FUNCTION who() RETURNS name LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN session_user; END $$",
        ),
        case(
            "definer-session-user",
            "function public.who()",
            "CREATE FUNCTION who() RETURNS name LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT session_user; END",
        ),
    ];
    for case in cases {
        let database = Database::new();
        database.sql(case.make);
        assert_eq!(database.subjects(case.code), [case.subject]);
        database.sql("ALTER FUNCTION who() SECURITY INVOKER");
        assert_eq!(database.subjects(case.code), [""; 0]);
    }
}

#[test]
fn languages_and_functions_that_reach_out_are_found_and_mended() {
    run(
        Database::new,
        &[
            case(
                "language-usable",
                "language perlish",
                "CREATE TRUSTED LANGUAGE perlish HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler \
             VALIDATOR plpgsql_validator",
            ),
            case(
                "function-server-files",
                "functions on the server's files",
                "GRANT EXECUTE ON FUNCTION pg_read_file(text), lo_export(oid, text) TO {a}",
            ),
            case("function-large-object", "functions on large objects", ""),
            case("function-emit-message", "function pg_catalog.pg_logical_emit_message", ""),
            case("function-notify", "function pg_catalog.pg_notify", ""),
        ],
    );
}

#[test]
fn an_extension_that_connects_from_the_server_is_found_and_mended() {
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'";
    if Database::new().sql(available) == "0" {
        eprintln!("skipped: the server has no extension dblink");
        return;
    }
    run(Database::new, &[case("function-reaches-out", "extension dblink", "CREATE EXTENSION dblink")]);
}

#[test]
fn a_login_trigger_is_found_and_mended() {
    if Database::new().version_num() < 170_000 {
        eprintln!("skipped: the server has no login triggers, which came with PostgreSQL 17");
        return;
    }
    let make = "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; \
                CREATE EVENT TRIGGER greet ON login EXECUTE FUNCTION ev()";
    run(Database::new, &[case("login-trigger", "event trigger greet", make)]);
}

#[test]
fn what_everybody_may_is_found_and_mended() {
    run(
        Database::new,
        &[
            case("public-create", "schema public", "GRANT CREATE ON SCHEMA public TO PUBLIC"),
            case("public-create-database", "database {d}", "GRANT CREATE ON DATABASE {d} TO PUBLIC"),
            case("public-temp", "database {d}", ""),
            case(
                "event-trigger",
                "event trigger \"E\"",
                "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; \
             CREATE EVENT TRIGGER \"E\" ON ddl_command_end EXECUTE FUNCTION ev()",
            ),
        ],
    );
}

#[test]
fn a_role_that_is_configured_must_exist() {
    let database = Database::new();
    database.sql("DROP ROLE {b}");
    assert_eq!(database.subjects("role-missing"), [database.fill("role {b}")]);
}

#[test]
fn a_trust_line_is_found_by_a_superuser_and_reported_as_not_looked_at_otherwise() {
    let database = Database::new();
    let file = database.sql("SHOW hba_file");
    let before = std::fs::read_to_string(&file).unwrap();
    let report = database.examine();
    assert!(report.skipped.iter().any(|skipped| skipped.check == "pg_hba.conf"), "{:?}", report.skipped);

    // The file's own owner and mode are kept: it is written in place.
    std::fs::write(&file, format!("{before}\nhost all all 10.0.0.0/8 trust\nlocal all all trust\n")).unwrap();
    let report = database.examine_as_superuser();
    for code in ["hba-trust-remote", "hba-trust"] {
        assert_eq!(report.findings.iter().filter(|finding| finding.code == code).count(), 1, "{code}");
    }
    assert!(!report.refusals(&[]).is_empty());

    std::fs::write(&file, before).unwrap();
    let report = database.examine_as_superuser();
    assert!(
        !report.findings.iter().any(|finding| finding.code.starts_with("hba-trust")),
        "{:#?}",
        report.findings
    );
    assert!(!report.skipped.iter().any(|skipped| skipped.check == "pg_hba.conf"));
}

#[test]
fn names_of_every_kind_are_quoted_in_hints() {
    let database = Database::new();
    database.sql(
        "CREATE SCHEMA \"my \"\"schema\"\"\"; CREATE TABLE \"my \"\"schema\"\"\".\"ta;ble\"(i int); \
         GRANT USAGE ON SCHEMA \"my \"\"schema\"\"\" TO {a}; GRANT ALL ON \"my \"\"schema\"\"\".\"ta;ble\" TO {a}",
    );
    for _ in 0..2 {
        let report = database.examine();
        let subject = "table \"my \"\"schema\"\"\".\"ta;ble\"";
        for hint in report.findings.iter().filter(|f| f.subject == subject).filter_map(|f| f.hint.as_ref()) {
            database.sql(hint);
        }
    }
    let report = database.examine();
    let left: Vec<_> = report.findings.iter().filter(|finding| finding.subject.contains("ta;ble")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_hostile_path_and_look_alikes_of_system_functions_change_nothing() {
    let database = Database::new();
    database.sql(
        "CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE sql AS $$ SELECT 'captured' $$; \
         CREATE FUNCTION public.ne(name, text) RETURNS bool LANGUAGE sql AS 'SELECT false'; \
         CREATE OPERATOR public.!~ (FUNCTION = public.ne, LEFTARG = name, RIGHTARG = text); \
         CREATE TABLE public.pg_roles AS SELECT 1 AS oid; CREATE TABLE public.plain(i int); \
         GRANT SELECT ON public.plain TO {a}; \
         ALTER DATABASE {d} SET search_path = public, pg_catalog",
    );
    assert_eq!(database.subjects("table-without-rls"), ["table public.plain"]);
}

#[test]
fn objects_of_the_system_and_of_extensions_are_not_complained_about() {
    let database = Database::new();
    database.sql("REVOKE TEMPORARY ON DATABASE {d} FROM PUBLIC");
    let report = database.examine();
    let mut allow = database.old_server();
    allow.extend(["extension-missing".into(), "extension-not-preloaded".into()]);
    let complaints: Vec<_> =
        report.complaints(&allow).iter().map(|finding| (finding.code, finding.subject.clone())).collect();
    assert_eq!(complaints, []);
}
