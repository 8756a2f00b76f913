//! G, and what the doctor has to find at start: each weakness is made on purpose, is found, and is not found without.

use postern_doctor::floor::{Verdict, judge};
use postern_doctor::{Severity, codes};

use super::world;

#[test]
fn g_versions_below_the_floor_are_refused() {
    for floor in [150_020, 160_016, 170_012, 180_007] {
        assert_eq!(judge(floor), Verdict::Supported, "{floor}");
        assert!(matches!(judge(floor - 1), Verdict::BelowFloor { .. }), "{floor}");
        assert_eq!(judge(floor + 1), Verdict::Supported, "{floor}");
    }
    assert!(!matches!(judge(140_024), Verdict::Supported));
    assert_eq!(codes::SERVER_BELOW_FLOOR.severity, Severity::Danger, "the gate refuses to serve there");
}

/// The weakness is not found; it is made, and found.
async fn finds(code: &str, subject: &str, make: &str) {
    let world = world().await;
    let expected = format!("{code} ");
    let found = |findings: Vec<String>| {
        findings.iter().any(|one| one.starts_with(&expected) && one.contains(subject))
    };
    let before = world.doctor().await;
    assert!(!found(before.clone()), "{code} {subject} is found before it is there: {before:#?}");
    world.superuser(make).await;
    let after = world.doctor().await;
    assert!(found(after.clone()), "{code} {subject} is not found: {after:#?}");
    world.canary().await;
}

#[tokio::test]
async fn a28_functions_that_open_connections_are_found() {
    if world().await.offers("dblink").await {
        finds("function-reaches-out", "dblink", "create extension dblink").await;
    }
}

#[tokio::test]
async fn a29_procedural_languages_are_found() {
    // A language like plperl, in the eyes of the catalogs.
    finds("language-usable", "plother", "create trusted language plother handler plpgsql_call_handler").await;
}

#[tokio::test]
async fn a30_functions_on_server_files_are_found() {
    finds("function-server-files", "alice", "grant execute on function pg_read_file(text) to alice").await;
}

#[tokio::test]
async fn a31_event_triggers_are_found() {
    let make = "create function app.et() returns event_trigger language plpgsql as 'begin end';
        create event trigger et on ddl_command_end execute function app.et()";
    finds("event-trigger", "et", make).await;
}

#[tokio::test]
async fn a32_tables_without_row_security_in_force_are_found() {
    finds(
        "table-without-rls",
        "app.open",
        "create table app.open (i int); grant select on app.open to alice",
    )
    .await;
    let make = "create table app.own (i int); alter table app.own owner to alice; alter table app.own enable row level security";
    finds("table-rls-not-forced", "app.own", make).await;
}

#[tokio::test]
async fn a33_views_with_their_owners_rights_are_found() {
    finds(
        "view-without-invoker",
        "app.v",
        "create view app.v as select * from app.t; grant select on app.v to alice",
    )
    .await;
}

#[tokio::test]
async fn a36_execute_on_enter_is_found() {
    finds("enter-executable", "enter", "grant execute on function postern.enter(text, text, text) to alice")
        .await;
}

#[tokio::test]
async fn a39_enter_with_definer_or_set_clause_is_found() {
    let world = world().await;
    let enter = "alter function postern.enter(text, text, text)";
    for (change, code, back) in [
        ("security definer", "enter-definer", "security invoker"),
        ("set search_path = pg_catalog", "enter-settings", "reset all"),
    ] {
        let found = async || world.doctor().await.iter().any(|one| one.starts_with(&format!("{code} ")));
        assert!(!found().await, "{code}");
        world.superuser(&format!("{enter} {change}")).await;
        assert!(found().await, "{code}");
        world.superuser(&format!("{enter} {back}")).await;
        assert!(!found().await, "{code}");
    }
    world.canary().await;
}

#[tokio::test]
async fn a48_code_that_asks_session_user_is_found() {
    finds("policy-session-user", "app.su", "create policy p on app.su using (session_user = 'postern_gate')")
        .await;
    let make =
        "create function app.who() returns text language sql security definer as 'select session_user::text'";
    finds("definer-session-user", "app.who", make).await;
}

#[tokio::test]
async fn c05_look_alikes_of_fact_functions_are_found() {
    let make = "create function work.fact(text) returns text language sql as 'select $1';
        create policy q on app.f using (sub = work.fact('x'))";
    finds("policy-lookalike", "app.f", make).await;
}

#[tokio::test]
async fn c10_immutable_functions_of_facts_are_found() {
    let make = "create function app.im() returns text language sql immutable as $$ select postern.fact('claims.sub') $$";
    finds("fact-immutable", "app.im", make).await;
}

#[tokio::test]
async fn f01_shared_schemas_are_found() {
    finds(
        "schema-create",
        "shared",
        "create schema shared; grant create, usage on schema shared to alice, bob",
    )
    .await;
}

#[tokio::test]
async fn f09_truncate_on_tables_with_row_security_is_found() {
    finds("table-truncate", "app.u", "create table app.u (i int); alter table app.u enable row level security; grant truncate on app.u to alice").await;
}

#[tokio::test]
async fn h12_the_gates_role_is_examined() {
    // Of the whole cluster: found in the shared one, where it is a member of the roles that it enters.
    let world = world().await;
    let found = world.doctor().await.join("\n");
    assert!(found.contains("gate-member "), "{found}");
    // Of the database.
    finds("gate-create", "", "grant create on schema work to postern_gate").await;
    finds("gate-owns", "", "create table work.g (i int); alter table work.g owner to postern_gate").await;
    finds("postern-schema-create", "", "grant create on schema postern to bob").await;
    finds("public-create", "", "grant create on schema work to public").await;
    let temp = format!("grant temp on database {} to public", world.database());
    world.superuser(&temp).await;
    assert!(world.doctor().await.join("\n").contains("public-temp"));
    world.canary().await;
}

#[tokio::test]
async fn h12_roles_that_must_not_be_served_are_found() {
    for (attribute, code) in [
        ("superuser", "role-superuser"),
        ("bypassrls", "role-bypassrls"),
        ("createrole", "role-createrole"),
        ("replication", "role-replication"),
        ("login", "role-login"),
    ] {
        let world = world().await;
        let role = world.new_role().await;
        let found = async || {
            world.doctor().await.iter().any(|one| one.starts_with(&format!("{code} ")) && one.contains(&role))
        };
        assert!(!found().await, "{code}");
        world.superuser(&format!("alter role {role} {attribute}")).await;
        assert!(found().await, "{code}");
        world.superuser(&format!("alter role {role} no{attribute}")).await;
        world.canary().await;
    }
}
