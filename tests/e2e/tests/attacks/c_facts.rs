//! C1 – C15: forging facts.

use postern_e2e::Step;
use serde_json::json;

use super::{temp_world, world};

/// What a client says instead of the truth.
const FORGED: &str = r#"{"sub": "bob"}"#;

#[tokio::test]
async fn c01_overwriting_a_setting() {
    let world = world().await;
    for sql in [
        format!("select set_config('request.jwt.claims', '{FORGED}', true)"),
        format!("select set_config('request.jwt.claims', '{FORGED}', false)"),
        format!("select set_config('Request.JWT.Claims', '{FORGED}', true)"),
        format!("set request.jwt.claims = '{FORGED}'"),
        format!("set local \"request.jwt.claims\" = '{FORGED}'"),
        format!("do $$ begin perform set_config('request.jwt.claims', '{FORGED}', true); end $$"),
        format!(
            "create function work.f() returns text language sql set request.jwt.claims = '{FORGED}' as 'select 1::text'"
        ),
        "set postern.facts = '{\"claims\": {\"sub\": \"bob\"}}'".to_owned(),
        "select set_config('postern.facts', '{\"claims\": {\"sub\": \"bob\"}}', true)".to_owned(),
        "select set_config('postern.facts', '', true)".to_owned(),
        "reset postern.facts".to_owned(),
    ] {
        world.alice().sql(&sql).await.refused("42501");
        world.alice().batch(&[&sql, "select v from app.f"]).await.refused("42501");
    }
    let seen = "select postern.fact('claims.sub'), current_setting('request.jwt.claims')::json ->> 'sub'";
    // Caught, reset or not: policies see alice.
    for attempt in [
        "do $$ begin perform set_config('request.jwt.claims', '{}', true); exception when others then null; end $$",
        "do $$ begin perform set_config('postern.facts', '{}', true); exception when others then null; end $$",
        "reset all",
        "set local my.claims = '{}'",
    ] {
        assert_eq!(world.alice().batch(&[attempt, seen]).await.text(), "alice|alice", "{attempt}");
        assert_eq!(
            world.alice().batch(&[attempt, "select v from app.f"]).await.text(),
            "fact-a",
            "{attempt}"
        );
    }
    world.canary().await;
}

// Facts are not signed text that could be kept and said again: they are given by entering, once.
#[tokio::test]
async fn c02_replay() {
    let world = world().await;
    let kept = world.bob().sql("select postern.facts()").await.text();
    world
        .alice()
        .query("select set_config('postern.facts', $1, true)", &[Some(&kept)])
        .await
        .refused("42501");
    world.alice().query("select postern.enter('alice', $1)", &[Some(&kept)]).await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn c03_look_alike_table() {
    let world = temp_world().await;
    let batch = [
        "create temp table facts (claims jsonb)",
        "insert into facts values ('{\"sub\": \"bob\"}')",
        "set local search_path = pg_temp, postern",
        "select postern.fact('claims.sub')",
    ];
    assert_eq!(world.alice().batch(&batch).await.text(), "alice");
    world.canary().await;
}

// A limit that the documentation names: these describe the gate's connection.
#[tokio::test]
async fn c04_facts_that_are_the_gates() {
    let world = world().await;
    let sql = "select session_user, current_setting('application_name'), inet_client_addr() is null";
    let seen = world.alice().sql(sql).await.text();
    assert!(seen.starts_with("postern_gate|postern"), "{seen}");
    world.canary().await;
}

#[tokio::test]
async fn c05_replacing_or_shadowing_fact_functions() {
    let world = temp_world().await;
    let alice = world.alice();
    for sql in [
        "create or replace function postern.fact(text) returns text language sql as $$ select 'bob' $$",
        "create function postern.fact(varchar) returns text language sql as $$ select 'bob' $$",
        "alter function postern.fact(text) rename to fact2",
        "drop function postern.fact(text) cascade",
        "alter function postern.fact(text) immutable",
    ] {
        alice.sql(sql).await.refused("42501");
    }
    let batch = [
        "create function pg_temp.fact(text) returns text language sql as $$ select 'bob' $$",
        "create function work.fact(text) returns text language sql as $$ select 'bob' $$",
        "set local search_path = pg_temp, work, postern, pg_catalog",
        "select v from app.f",
    ];
    assert_eq!(alice.batch(&batch).await.text(), "fact-a");
    world.canary().await;
}

#[tokio::test]
async fn c06_reading_the_facts_of_others() {
    let world = world().await;
    let mut other = world.wire().await;
    // Bob's request is under way on another backend, in a statement that waits for a lock that we hold.
    world.superuser("select pg_advisory_lock(77)").await;
    let facts = r#"{"claims": {"sub": "bob", "secret": "BOB-FACT"}}"#;
    let waits = [
        Step::Parse("", "select pg_advisory_xact_lock(77), postern.fact('claims.secret')", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Sync,
    ];
    let pid = other.pid;
    let running = other.entered("bob", Some(facts), &waits);
    let spying = async {
        world.until_waiting(pid).await;
        let mut seen = world.alice().sql("select postern.facts()").await.text();
        seen += &world.alice().sql("select * from pg_stat_activity").await.text();
        seen += &world.alice().sql("select query from pg_stat_activity").await.text();
        seen += &world.alice().sql("select name, setting from pg_settings").await.text();
        world.superuser("select pg_advisory_unlock(77)").await;
        seen
    };
    let (running, seen) = tokio::join!(running, spying);
    assert!(running.text().contains("BOB-FACT"), "{running:?}");
    assert!(!seen.contains("BOB-FACT"), "{seen}");
    world.canary().await;
}

const PARALLEL: [&str; 4] = [
    "set local parallel_setup_cost = 0",
    "set local parallel_tuple_cost = 0",
    "set local min_parallel_table_scan_size = 0",
    "set local max_parallel_workers_per_gather = 2",
];

#[tokio::test]
async fn c07_parallel_workers() {
    let world = world().await;
    world
        .superuser(
            "create table app.pf as select g id, 'u' || (g % 1000) u from generate_series(1, 20000) g;
             alter table app.pf enable row level security; grant select on app.pf to alice, bob; analyze app.pf;
             create policy p on app.pf using (u = postern.fact('claims.sub'));
             create table app.pc as table app.pf; alter table app.pc enable row level security;
             grant select on app.pc to alice, bob; analyze app.pc;
             create policy p on app.pc using (u = current_setting('request.jwt.claims')::json ->> 'sub')",
        )
        .await;
    let seven = world.alice().claiming(json!({ "sub": "u7" }));
    for table in ["app.pf", "app.pc"] {
        let count = format!("select count(*), count(*) filter (where u = 'u7') from {table}");
        let plan = seven
            .batch(&[PARALLEL[0], PARALLEL[1], PARALLEL[2], PARALLEL[3], &format!("explain {count}")])
            .await
            .text();
        assert!(plan.contains("Workers Planned: 2"), "{plan}");
        let inside = [PARALLEL[0], PARALLEL[1], PARALLEL[2], PARALLEL[3], &count];
        assert_eq!(seven.batch(&inside).await.text(), "20|20", "{table}");
        assert_eq!(seven.sql(&count).await.text(), "20|20", "{table}");
        // Another identity on the same backend, with workers of its own; and one without facts.
        let eight = world.alice().claiming(json!({ "sub": "u8" }));
        assert_eq!(eight.batch(&inside).await.text(), "20|0", "{table}");
        let nobody = world.alice().claiming(json!({}));
        assert_eq!(nobody.batch(&inside).await.text(), "0|0", "{table}");
    }
    world.canary().await;
}

#[tokio::test]
async fn c08_stale_facts() {
    let world = world().await;
    let mut wire = world.wire().await;
    let facts = Some(r#"{"claims": {"sub": "alice"}}"#);
    let look = "select postern.facts() is null, postern.fact('claims.sub') is null, current_setting('request.jwt.claims')";
    for sql in ["select v from app.f", "select 1/0", "insert into app.plain values (1), (1)", "begin"] {
        // There are none in the gate's own statements.
        let _ = wire.request("alice", facts, &[(sql, &[])]).await;
        assert_eq!(wire.outside(look).await.text(), "t|t|", "after {sql}");
        assert_eq!(wire.request("bob", None, &[(look, &[])]).await.text(), "t|t|");
        // Without facts a policy that asks for one shows nothing.
        assert_eq!(wire.request("alice", None, &[("select v from app.f", &[])]).await.text(), "");
    }
    world.canary().await;
}

#[tokio::test]
async fn c09_facts_at_commit() {
    let world = world().await;
    world
        .alice()
        .batch(&[
            "create function work.note() returns trigger language plpgsql as $$ begin
                 insert into work.loot values ('late', current_user, postern.fact('claims.sub') || '/' ||
                     (current_setting('request.jwt.claims')::json ->> 'sub'), ' setrole 42501 reset 42501'); return null; end $$",
            "create constraint trigger note after insert on work.dt deferrable initially deferred
                 for each row execute function work.note()",
        ])
        .await
        .fine();
    world.alice().sql("insert into work.dt values (1)").await.fine();
    world
        .bob()
        .sql("insert into work.loot values ('direct', current_user, '', ' setrole 42501 reset 42501')")
        .await
        .fine();
    assert_eq!(world.look("select su from work.loot where tag = 'late'").await, "alice/alice");
    world.canary().await;
}

#[tokio::test]
async fn c10_volatility() {
    let world = world().await;
    world
        .superuser(
            "create function app.who() returns text language plpgsql stable as
                 $$ declare w text; begin select postern.fact('claims.sub') into w; return w; end $$;
             create function app.who_inlined() returns text language sql stable return postern.fact('claims.sub')",
        )
        .await;
    for _ in 0..7 {
        for sub in ["one", "two"] {
            let actor = world.alice().claiming(json!({ "sub": sub }));
            for sql in ["select app.who()", "select app.who_inlined()", "select postern.fact('claims.sub')"] {
                let seen =
                    actor.batch(&["set local plan_cache_mode = 'force_generic_plan'", sql]).await.text();
                assert_eq!(seen, sub);
                assert_eq!(actor.sql(sql).await.text(), sub);
            }
        }
    }
    world.alice().sql("create table work.ct (a text)").await.fine();
    world.alice().sql("create index on work.ct (postern.fact(a))").await.refused("42P17");
    world
        .alice()
        .sql("alter table work.ct add g text generated always as (postern.fact(a)) stored")
        .await
        .refused("42P17");
    world.canary().await;
}

// A limit that the documentation names: whatever a token says is a fact, also what its subject may change.
#[tokio::test]
async fn c11_claims_that_a_user_may_write() {
    let world = world().await;
    let actor = world.alice().claiming(json!({ "sub": "alice", "user_metadata": { "admin": true } }));
    assert_eq!(actor.sql("select postern.fact('claims.user_metadata.admin')").await.text(), "true");
    world.canary().await;
}

#[tokio::test]
async fn c12_secrets_in_statement_texts() {
    let world = world().await;
    let actor = world.alice().claiming(json!({ "sub": "alice", "token": "FACT-SECRET" }));
    let own = "select query from pg_stat_activity where pid = pg_backend_pid()";
    assert_eq!(actor.sql(own).await.text(), "<insufficient privilege>");
    let current = actor.sql("select current_query()").await.text();
    assert_eq!(current, "select current_query()");
    actor.sql("select statement from pg_prepared_statements").await.refused("42501");
    actor.sql("select * from pg_prepared_statement()").await.refused("42501");
    let from_outside = world.look("select string_agg(query, ' ') from pg_stat_activity").await;
    assert!(!from_outside.contains("FACT-SECRET"), "{from_outside}");
    world.canary().await;
}

#[tokio::test]
async fn c13_function_bodies() {
    let world = world().await;
    let bodies = "select string_agg(prosrc, ' ') from pg_proc where pronamespace = 'postern'::regnamespace";
    let seen = world.alice().sql(bodies).await.text();
    assert!(!seen.contains("the key of this world"), "the seal is in the memory of the process only");
    world.alice().sql("select sha256 from postern.api_key").await.refused("42501");
    world.alice().sql("select * from postern.admitted").await.refused("42501");
    world.alice().sql("select * from postern.find_api_key('')").await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn c15_size_and_shape() {
    let world = world().await;
    let mut wire = world.wire().await;
    let one: &[(&str, &[Option<&str>])] = &[("select 1", &[])];
    let large = format!(r#"{{"claims": {{"x": "{}"}}}}"#, "y".repeat(70_000));
    wire.request("alice", Some(&large), one).await.refused("53400");
    wire.request("alice", Some(r#"["sub"]"#), one).await.refused("22023");
    wire.request("alice", Some("{"), one).await.refused("22P02");
    wire.request("alice", Some(r#"{"claims": "\u0000"}"#), one).await.refused("22P05");
    wire.request("alice", Some(r#"{"claims": "\ud800"}"#), one).await.refused("22P02");
    let deep = format!("{}1{}", r#"{"a":"#.repeat(9_000), "}".repeat(9_000));
    let outcome = wire.request("alice", Some(&deep), one).await;
    assert!(outcome.result.is_ok() || outcome.result.is_err_and(|error| error.code == "54001"));
    // The last of members with one name counts, and numbers keep every digit.
    let facts = Some(r#"{"claims": {"sub": "x", "sub": "alice", "n": 123456789012345678901234567890.10}}"#);
    let seen = "select postern.fact('claims.sub'), postern.fact('claims.n')";
    assert_eq!(
        wire.request("alice", facts, &[(seen, &[])]).await.text(),
        "alice|123456789012345678901234567890.10"
    );
    wire.request("alice", facts, &[("select postern.fact('')", &[])]).await.refused("22023");
    world.canary().await;
}
