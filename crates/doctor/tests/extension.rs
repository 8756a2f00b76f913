//! What is looked at when the extension is there: that it is whole, and who is served by it.

mod common;

use common::{Database, case, run};
use postern_doctor::{Finding, Settings, Severity};

#[test]
fn a_database_as_installed_has_no_danger() {
    let database = Database::with_extension();
    let report = database.examine();
    assert_eq!(report.refusals(&database.old_server()), Vec::<&Finding>::new());
    assert_eq!(report.served_roles, [database.fill("{a}"), database.fill("{b}")]);
    assert_eq!(report.server.role, "postern_gate");

    database.sql("REVOKE TEMPORARY ON DATABASE {d} FROM PUBLIC");
    assert_eq!(database.examine().complaints(&database.old_server()), Vec::<&Finding>::new());
    let as_superuser = database.examine_as_superuser();
    assert_eq!(as_superuser.complaints(&database.old_server()), Vec::<&Finding>::new());
    assert_eq!(as_superuser.skipped, []);
}

#[test]
fn an_extension_that_was_tampered_with_is_found_and_mended() {
    run(
        Database::with_extension,
        &[
            case(
                "enter-definer",
                "function postern.enter(text,text,text)",
                "ALTER FUNCTION postern.enter SECURITY DEFINER",
            ),
            case(
                "enter-settings",
                "function postern.enter(text,text,text)",
                "ALTER FUNCTION postern.enter SET search_path = x",
            ),
            case(
                "enter-executable",
                "function postern.enter(text,text,text)",
                "GRANT EXECUTE ON FUNCTION postern.enter TO PUBLIC",
            ),
            case(
                "enter-executable",
                "function postern.seal(text)",
                "GRANT EXECUTE ON FUNCTION postern.seal TO {a}",
            ),
            case(
                "enter-executable",
                "function postern.find_api_key(bytea)",
                "GRANT EXECUTE ON FUNCTION postern.find_api_key TO {a}",
            ),
            case("object-granted", "table postern.api_key", "GRANT INSERT ON postern.api_key TO {a}"),
            case("object-granted", "table postern.admitted", "GRANT SELECT ON postern.admitted TO PUBLIC"),
            case(
                "object-granted",
                "function postern.admit(text)",
                "GRANT EXECUTE ON FUNCTION postern.admit TO {a}",
            ),
            case(
                "enter-foreign",
                "function postern.enter(text)",
                "CREATE FUNCTION postern.enter(text) RETURNS void LANGUAGE sql AS ''",
            ),
            case("extension-missing", "database {d}", "DROP EXTENSION postern CASCADE"),
            case("postern-schema-create", "schema postern", "GRANT CREATE ON SCHEMA postern TO {a}"),
            case("role-administers", "role {a}", "GRANT postern_admin TO {b}; GRANT {b} TO {a}"),
            case("role-superuser", "role {a}", "ALTER ROLE {a} SUPERUSER"),
            case(
                "fact-immutable",
                "function public.tenant()",
                "CREATE FUNCTION tenant() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN postern.fact('claims.tenant'); END $$",
            ),
        ],
    );
}

#[test]
fn a_gate_without_its_function_is_told_so() {
    let database = Database::with_extension();
    database.sql("ALTER EXTENSION postern DROP FUNCTION postern.enter(text, text, text)");
    assert_eq!(database.subjects("enter-missing"), ["extension postern"]);
    assert_eq!(database.subjects("enter-foreign"), ["function postern.enter(text,text,text)"]);
}

#[test]
fn another_release_line_is_a_danger_and_another_patch_a_warning() {
    let database = Database::with_extension();
    let found = |version: &str| {
        let settings = Settings { extension_version: version.into(), ..database.settings() };
        let report = database.examine_by("postern_gate", &settings);
        let finding = report.findings.into_iter().find(|finding| finding.subject == "extension postern");
        finding.map(|finding| (finding.code, finding.severity))
    };
    assert_eq!(found(env!("CARGO_PKG_VERSION")), None);
    assert_eq!(found("99.0.0"), Some(("extension-incompatible", Severity::Danger)));
    let (line, _) = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap();
    assert_eq!(found(&format!("{line}.999")), Some(("extension-version", Severity::Warning)));
}

#[test]
fn a_database_that_was_not_updated_is_told_of_with_what_updates_it() {
    let database = Database::with_extension();
    assert_eq!(database.subjects("extension-not-updated"), Vec::<String>::new());
    database.sql("DROP EXTENSION postern CASCADE; CREATE EXTENSION postern VERSION '0.1.0'");
    assert_eq!(database.subjects("extension-not-updated"), [database.fill("database {d}")]);
    let report = database.examine();
    let finding = report.findings.iter().find(|finding| finding.code == "extension-not-updated").unwrap();
    assert!(
        finding.message.contains("is 0.1.0 in this database, and its library is "),
        "{}",
        finding.message
    );
    database.sql(finding.hint.as_ref().unwrap());
    assert_eq!(database.subjects("extension-not-updated"), Vec::<String>::new());
}

#[test]
fn a_server_that_does_not_preload_is_told_from_one_that_does() {
    let with = Database::with_extension();
    let without = Database::new();
    for (database, expected) in [(&with, 0), (&without, 1)] {
        // The gate may not read the list of libraries and goes by what the library defines; a superuser may.
        for report in [database.examine(), database.examine_as_superuser()] {
            let found =
                report.findings.iter().filter(|finding| finding.code == "extension-not-preloaded").count();
            assert_eq!(found, expected, "as {}", report.server.role);
        }
    }
}

#[test]
fn who_is_served_follows_admission() {
    let database = Database::with_extension();
    database.sql("ALTER ROLE {b} RENAME TO {b}_renamed");
    assert_eq!(database.examine().served_roles, [database.fill("{a}")], "a rename ends an admission");
    assert_eq!(
        database.subjects("role-missing"),
        [database.fill("role {b}")],
        "and the configuration still names it"
    );

    database.sql("ALTER ROLE {b}_renamed RENAME TO {b}; SELECT postern.dismiss('{b}')");
    let report = database.examine();
    let finding = report.findings.iter().find(|finding| finding.code == "role-not-admitted").unwrap();
    assert_eq!(finding.subject, database.fill("role {b}"));
    database.sql(finding.hint.as_ref().unwrap());
    assert_eq!(database.subjects("role-not-admitted"), [""; 0]);

    database.sql("SELECT postern.dismiss('{a}'), postern.dismiss('{b}')");
    assert_eq!(database.subjects("no-roles"), [database.fill("database {d}")]);
}

#[test]
fn temporary_objects_are_noted_when_allowed() {
    let database = Database::with_extension();
    assert_eq!(database.subjects("temp-allowed"), [""; 0]);
    database.sql("ALTER DATABASE {d} SET postern.allow_temp = on");
    assert_eq!(database.subjects("temp-allowed"), ["setting postern.allow_temp"]);
}

#[test]
fn functions_that_stand_in_for_the_fact_functions_are_found() {
    let database = Database::with_extension();
    database.sql(
        "CREATE FUNCTION public.fact(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'acme' $$;
         CREATE TABLE t(tenant text); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
         CREATE POLICY good ON t USING (tenant = (SELECT postern.fact('claims.tenant')));
         CREATE POLICY captured ON t USING (tenant = (SELECT fact('claims.tenant')));
         CREATE FUNCTION public.qualified() RETURNS text LANGUAGE sql AS $$ SELECT postern.fact('claims.tenant') $$;
         CREATE FUNCTION public.unqualified() RETURNS text LANGUAGE sql AS $$ SELECT fact('claims.tenant') $$",
    );
    assert_eq!(database.subjects("policy-lookalike"), ["policy captured on public.t"]);
    assert_eq!(database.subjects("fact-unqualified"), ["function public.unqualified()"]);
}
