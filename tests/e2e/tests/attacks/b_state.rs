//! B1 – B17: state left behind. Alice poisons; the canary, as bob on the same backend, finds nothing.

use postern_e2e::{Membership, Site, World};

use super::{temp_world, world};

#[tokio::test]
async fn b01_settings() {
    let world = world().await;
    for sql in [
        "set search_path = work, pg_catalog",
        "set statement_timeout = 1",
        "set client_encoding = 'SJIS'",
        "set standard_conforming_strings = off",
        "set row_security = off",
        "set default_transaction_read_only = on",
        "set default_transaction_isolation = 'serializable'",
        "set idle_session_timeout = 1000",
        "set idle_in_transaction_session_timeout = 1",
        "set lock_timeout = 1",
        "set application_name = 'spoof'",
        "set datestyle = 'SQL, DMY'",
        "set intervalstyle = 'sql_standard'",
        "set extra_float_digits = -15",
        "set bytea_output = 'escape'",
        "set timezone = 'Asia/Tokyo'",
        "set xmloption = 'document'",
        "set plan_cache_mode = 'force_generic_plan'",
        "set local_preload_libraries = 'x'",
        "set temp_buffers = '1MB'",
        "set session characteristics as transaction isolation level serializable read only deferrable",
        "select set_config('search_path', 'work', false)",
        "update pg_settings set setting = 'spoof' where name = 'application_name'",
        "do $$ begin set search_path = work; end $$",
        "set local search_path = work",
        "reset all",
        "set session_preload_libraries to default",
    ] {
        let outcome = world.alice().sql(sql).await;
        // `session_preload_libraries` is the one here that only a superuser sets.
        if sql.contains("session_preload") {
            outcome.refused("42501");
        } else {
            outcome.fine();
        }
        world.settings_are_fresh().await;
    }
    for setting in [
        "log_statement = 'none'",
        "session_replication_role = 'replica'",
        "temp_file_limit = -1",
        "log_min_messages = 'panic'",
        "postern.allow_temp = on",
        "postern.max_facts_bytes = 100000",
        "zero_damaged_pages = on",
    ] {
        world.alice().sql(&format!("set {setting}")).await.refused("42501");
        world.alice().sql(&format!("set local {setting}")).await.refused("42501");
    }
    // What was set before an error goes with it.
    world.alice().batch(&["set search_path = work", "select 1/0"]).await.refused("22012");
    // A setting made in a trigger at commit goes too.
    world
        .alice()
        .batch(&[
            "create function work.late() returns trigger language plpgsql as
                 $$ begin set search_path = work; set datestyle = 'SQL'; return null; end $$",
            "create constraint trigger late after insert on work.dt deferrable initially deferred
                 for each row execute function work.late()",
            "insert into work.dt values (1)",
        ])
        .await
        .fine();
    world.canary().await;
}

#[tokio::test]
async fn b02_role_survives_reset_all() {
    let world = world().await;
    for sql in ["set role bob", "set session authorization bob", "select set_config('role', 'bob', false)"] {
        world.alice().sql(sql).await.refused("42501");
    }
    world.alice().sql("reset all").await.fine();
    world.canary().await;
}

#[tokio::test]
async fn b03_prepared_statements() {
    let world = world().await;
    for sql in [
        "prepare ps as select 'alice-secret'",
        "execute ps",
        "deallocate ps",
        "deallocate all",
        "do $$ begin execute 'prepare ps as select 1'; end $$",
    ] {
        world.alice().sql(sql).await.refused("0A000");
        world.bob().sql("execute ps").await.refused("0A000");
    }
    let mut wire = world.wire().await;
    assert_eq!(
        wire.outside("select count(*) from pg_catalog.pg_prepared_statements where from_sql").await.text(),
        "0"
    );
    world.canary().await;
}

#[tokio::test]
async fn b04_held_cursors() {
    let world = world().await;
    world.alice().sql("declare hq cursor with hold for select * from app.t").await.refused("0A000");
    world.alice().sql("declare hq binary no scroll cursor with hold for table app.t").await.refused("0A000");
    // A plain one ends with the request, also when the request fails.
    let batch = world.alice().batch(&["declare q cursor for select v from app.t", "fetch all from q"]).await;
    assert_eq!(batch.text(), "a1");
    world.alice().batch(&["declare q cursor for select v from app.t", "select 1/0"]).await.refused("22012");
    for sql in ["fetch all from hq", "fetch all from q", "select cursor_to_xml('q', 1, true, true, '')"] {
        world.bob().sql(sql).await.refused("34000");
    }
    world.canary().await;
}

/// Every way to a temporary object.
const TEMPORARY: [&str; 16] = [
    "create temp table x (i int)",
    "create table pg_temp.x (i int)",
    "create temp view x as select 1",
    "create temp sequence x",
    "create domain pg_temp.d as int",
    "create type pg_temp.e as enum ('a')",
    "create type pg_temp.c as (a int)",
    "create function pg_temp.f() returns int language sql as 'select 1'",
    "select 1 into temp x",
    "create temp table x as select 1",
    "create operator pg_temp.## (procedure = int4pl, leftarg = int, rightarg = int)",
    "create aggregate pg_temp.a(int) (sfunc = int4pl, stype = int)",
    "do $$ begin create temp table x (i int); end $$",
    "do $$ begin begin create temp table x (i int); exception when others then null; end;
         create temp table y (i int); end $$",
    "create recursive view pg_temp.r (n) as select 1",
    "create collation pg_temp.c from \"C\"",
];

#[tokio::test]
async fn b05_temporary_objects() {
    let world = world().await;
    for sql in TEMPORARY {
        world.alice().sql(sql).await.refused("0A000");
        world.carol().sql(sql).await.refused("42501");
    }
    // Moved there, or used for a moment only: no.
    world.alice().sql("create table work.mine (i int)").await.fine();
    world.alice().sql("alter table work.mine set schema pg_temp").await.refused("0A000");
    world.alice().batch(&["create temp table x (i int)", "drop table x"]).await.refused("0A000");
    world.alice().sql("create temp table x (i int) on commit drop").await.refused("0A000");
    world.canary().await;

    // In a backend whose schema for temporary objects exists.
    let world = temp_world().await;
    world.alice().sql("create temp table x (i int)").await.fine();
    for sql in TEMPORARY {
        world.carol().sql(sql).await.refused("42501");
    }
    world.canary().await;
}

#[tokio::test]
async fn b05_temporary_objects_when_allowed() {
    let world = temp_world().await;
    for sql in TEMPORARY {
        world.alice().sql(sql).await.fine();
        world.canary().await;
    }
    let trap = [
        "create temp table tg (i int)",
        "create trigger x before insert on tg for each statement execute function work.evil_trg('trap')",
        "grant all on tg to public",
    ];
    world.alice().batch(&trap).await.fine();
    world.bob().sql("insert into tg values (1)").await.refused("42P01");
    // After a request that failed, and one that failed to commit.
    world.alice().batch(&["create temp table x (i int)", "select 1/0"]).await.refused("22012");
    world
        .alice()
        .batch(&["create temp table x (i int)", "insert into app.plain values (1), (1)"])
        .await
        .refused("23505");
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

#[tokio::test]
async fn b06_listen() {
    let world = world().await;
    for sql in [
        "listen foo",
        "unlisten *",
        "unlisten foo",
        "do $$ begin execute 'listen foo'; end $$",
        "do $$ begin begin execute 'listen foo'; exception when division_by_zero then null; end; end $$",
    ] {
        world.alice().sql(sql).await.refused("0A000");
        world.alice().batch(&[sql, "notify foo"]).await.refused("0A000");
    }
    world.alice().sql("notify foo, 'bar'").await.fine();
    world.canary().await;
}

#[tokio::test]
async fn b07_advisory_locks() {
    let world = world().await;
    for sql in [
        "select pg_advisory_lock(1)",
        "select pg_advisory_lock(1), pg_advisory_lock(1), pg_advisory_lock_shared(2)",
        "select pg_try_advisory_lock(1, 2)",
    ] {
        world.alice().sql(sql).await.fine();
        world.canary().await;
        world.alice().batch(&[sql, "select 1/0"]).await.refused("22012");
        world.canary().await;
        world.alice().batch(&[sql, "insert into app.plain values (1), (1)"]).await.refused("23505");
        world.canary().await;
    }
    assert_eq!(world.look("select pg_try_advisory_lock(1)").await, "t");
}

#[tokio::test]
async fn b08_sequence_state() {
    let world = world().await;
    world
        .superuser("create sequence app.cached cache 10; grant usage on sequence app.cached to alice, bob")
        .await;
    assert_eq!(world.alice().batch(&["select nextval('app.sq')", "select lastval()"]).await.text(), "1");
    world.bob().sql("select lastval()").await.refused("55000");
    world.bob().sql("select currval('app.sq')").await.refused("55000");
    // Values fetched in advance for alice are not bob's.
    assert_eq!(world.alice().sql("select nextval('app.cached')").await.text(), "1");
    assert_eq!(world.bob().sql("select nextval('app.cached')").await.text(), "11");
    world.alice().batch(&["select nextval('app.sq')", "select 1/0"]).await.refused("22012");
    world.bob().sql("select lastval()").await.refused("55000");
    world.canary().await;
}

#[tokio::test]
async fn b09_random_seed() {
    let world = world().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let foretold =
            world.alice().batch(&["select setseed(0.42)", "select random()", "select random()"]).await.all();
        seen.extend(foretold[1..].iter().map(postern_e2e::Answer::text));
        assert!(
            seen.insert(world.bob().sql("select random()").await.text()),
            "bob's random() can be foretold"
        );
        world.alice().batch(&["select setseed(0.42)", "select 1/0"]).await.refused("22012");
        assert!(
            seen.insert(world.bob().sql("select random()").await.text()),
            "bob's random() can be foretold"
        );
    }
    world.canary().await;
}

// Memory of languages and libraries: entered identities load nothing, and the doctor lists the languages (A29).
#[tokio::test]
async fn b10_memory_of_extensions() {
    let world = world().await;
    world.alice().sql("load 'plpgsql'").await.refused("42501");
    world.alice().sql("create function work.c() returns int language c as 'x', 'y'").await.refused("42501");
    if world.offers("dblink").await {
        world.alice().sql("create extension dblink").await.refused("42501");
    }
    world.canary().await;
}

#[tokio::test]
async fn b11_open_or_failed_transaction() {
    let world = world().await;
    let before = world.backend().await;
    for sql in ["select 1/0", "begin", "insert into app.plain values (1), (1)", "selec"] {
        assert!(world.alice().sql(sql).await.result.is_err());
        assert_eq!(world.bob().sql("select txid_current_if_assigned()").await.text(), "");
    }
    assert_eq!(world.backend().await, before, "a failing statement does not cost the connection");
    world.canary().await;
}

#[tokio::test]
async fn b12_protocol_state() {
    let world = world().await;
    for sql in [
        "copy app.plain from stdin",
        "copy app.t to stdout",
        "copy (select 1) to stdout",
        "do $$ begin execute 'copy app.t to stdout'; end $$",
    ] {
        world.alice().sql(sql).await.refused("0A000");
        world.canary().await;
    }
}

#[tokio::test]
async fn b13_plans_made_for_another_role() {
    let world = world().await;
    world
        .superuser(
            "create function app.mine_plpgsql() returns text language plpgsql stable as
                 $$ begin return (select string_agg(v, ',') from app.t); end $$;
             create function app.mine_sql() returns setof text language sql stable as $$ select v from app.t $$;
             create function app.mine_scalar() returns text language sql stable
                 return (select string_agg(v, ',') from app.t);
             create view app.mine with (security_invoker) as select v from app.t;
             grant select on app.mine to alice, bob",
        )
        .await;
    for sql in [
        "select app.mine_plpgsql()",
        "select * from app.mine_sql()",
        "select app.mine_scalar()",
        "select v from app.mine",
        "select v from app.t",
        "select v from app.f",
        "do $$ declare x text; begin select v into strict x from app.t;
             if x <> left(current_user, 1) || '1' then raise 'not mine: %', x; end if; end $$",
    ] {
        // More often than the five times after which a plan becomes generic.
        for _ in 0..7 {
            for (actor, own, by_fact) in [(world.alice(), "a1", "fact-a"), (world.bob(), "b1", "fact-b")] {
                let seen =
                    actor.batch(&["set local plan_cache_mode = 'force_generic_plan'", sql]).await.text();
                assert!([own, by_fact, ""].contains(&seen.as_str()), "{sql} gave {seen}");
                let seen = actor.sql(sql).await.text();
                assert!(seen == own || seen == by_fact || sql.starts_with("do"), "{sql} gave {seen}");
            }
        }
    }
    world.canary().await;
}

#[tokio::test]
async fn b14_plan_sabotage() {
    let world = world().await;
    world
        .superuser(
            "create function app.one(n int) returns bigint language plpgsql stable as
                 $$ begin return (select count(*) from app.big where id = n); end $$",
        )
        .await;
    let warm = "select sum(app.one(i)) from generate_series(-10, -1) i";
    world.alice().batch(&["set plan_cache_mode = 'force_generic_plan'", warm]).await.fine();
    // Harmless: a plan may be slow, the answer is right.
    assert_eq!(world.bob().sql("select app.one(7)").await.text(), "1");
    assert_eq!(world.bob().sql("show plan_cache_mode").await.text(), "auto");
    world.canary().await;
}

#[tokio::test]
async fn b15_facts_of_the_previous_request() {
    let world = world().await;
    let alice = world.alice().claiming(serde_json::json!({ "sub": "alice", "secret": "ALICE-FACT" }));
    for sql in ["select postern.facts()", "select 1/0", "insert into app.plain values (1), (1)"] {
        let _ = alice.sql(sql).await;
        assert_eq!(world.bob().sql("select postern.fact('claims.secret') is null").await.text(), "t");
        assert!(
            !world
                .bob()
                .sql("select postern.facts(), current_setting('request.jwt.claims')")
                .await
                .text()
                .contains("ALICE")
        );
    }
    world.canary().await;
}

// A limit that the documentation names: one bit for each name. A connection has an age and a number of requests.
#[tokio::test]
async fn b16_names_of_custom_settings() {
    let world = world().await;
    assert_eq!(world.bob().sql("select current_setting('junk.v1', true) is null").await.text(), "t");
    world.alice().sql("set junk.v1 = 'ALICE'").await.fine();
    assert_eq!(
        world.bob().sql("select current_setting('junk.v1', true)").await.text(),
        "",
        "the value is gone"
    );
    assert_eq!(
        world.bob().sql("select current_setting('junk.v1', true) is null").await.text(),
        "f",
        "the name is not"
    );
    world.alice().sql("set postern.junk = 'x'").await.refused("42602");
    world.canary().await;
}

// Dropping so many objects takes more locks than the server has, so that the next entering fails; nothing runs then, and
// the gate gives the connection up. A server of its own: others would starve.
#[tokio::test]
async fn b17_a_reset_that_fails() {
    let settings = [("max_locks_per_transaction", "10"), ("max_connections", "20")];
    let site: &'static Site = Box::leak(Box::new(Site::start(Membership::None, &settings)));
    let world = World::builder().setting("postern.allow_temp", "on").start(site).await;
    let mut wire = world.wire().await;
    let mut tables = 1000;
    loop {
        let make = format!(
            "do $$ begin for i in 1..{tables} loop execute format('create temp table z%s (a text unique)', i); end loop; end $$"
        );
        match wire.request("alice", None, &[(&make, &[])]).await.result {
            Ok(_) => break,
            Err(refusal) => assert_eq!(refusal.code, "53200", "{refusal}"),
        }
        tables = tables * 9 / 10;
    }
    let look = "insert into work.loot select 'ran', current_user, count(*)::text, '' from pg_class where relname ~ '^z'";
    wire.request("bob", None, &[(look, &[])]).await.refused("53200");
    assert_eq!(world.loot().await, "", "a statement ran although entering had failed");
    // Another connection finds nothing of it, once the first one has ended.
    let first = std::mem::replace(&mut wire, world.wire().await).pid;
    world.until_gone(first).await;
    assert_eq!(
        wire.request("bob", None, &[("select count(*) from pg_temp.z1", &[])]).await.refused("42P01").code,
        "42P01"
    );
    world.canary().await;
}
