//! D1 – D13: leaks without escalation.

use postern_e2e::{Membership, Reply, Site, Step, World};

use super::world;

#[tokio::test]
async fn d01_texts_in_pg_stat_activity() {
    let world = world().await;
    let mut other = world.wire().await;
    other.request("bob", None, &[("select 'BOB-TEXT'", &[])]).await.fine();
    let seen =
        world.alice().sql("select query from pg_stat_activity where usename = 'postern_gate'").await.text();
    assert!(!seen.contains("BOB-TEXT"), "{seen}");
    assert!(
        seen.lines().count() >= 2 && seen.lines().all(|line| line == "<insufficient privilege>"),
        "{seen}"
    );
    world.canary().await;
}

// A limit that the documentation names: texts are kept. They are kept under the entered role, and others see none of them.
#[tokio::test]
async fn d02_texts_in_pg_stat_statements() {
    if !world().await.offers("pg_stat_statements").await {
        return;
    }
    let settings = [("shared_preload_libraries", "pg_stat_statements")];
    let site: &'static Site = Box::leak(Box::new(Site::start(Membership::None, &settings)));
    let world = World::builder().start(site).await;
    world.superuser("create extension pg_stat_statements").await;
    world.alice().sql("select 'x' as alice_text").await.fine();
    let kept =
        "select userid::regrole from pg_stat_statements where query ~ 'alice_text' and query !~ 'pg_stat'";
    assert_eq!(world.look(kept).await, "alice");
    let seen =
        world.bob().sql("select query from pg_stat_statements where userid <> 'bob'::regrole").await.text();
    assert!(!seen.is_empty() && seen.lines().all(|line| line == "<insufficient privilege>"), "{seen}");
    world.canary().await;
}

#[tokio::test]
async fn d03_planner_and_leaky_functions() {
    let world = world().await;
    assert_eq!(world.alice().sql("select * from app.rp3 where ssn::int = 1").await.text(), "");
    assert_eq!(
        world
            .alice()
            .sql("select * from app.rp3 where ssn ~ 'SECRET' and 1 / (length(ssn) - 10) > 0")
            .await
            .text(),
        ""
    );
    let trap = "create function work.peek(text) returns bool language plpgsql cost 0.0000001 as
        $$ begin insert into work.loot values ('peek', current_user, $1, ' setrole 42501 reset 42501'); return true; end $$";
    world.alice().sql(trap).await.fine();
    assert_eq!(world.alice().sql("select * from app.rp3 where work.peek(ssn)").await.text(), "");
    assert_eq!(world.loot().await, "", "a function saw a hidden row");
    // Statistics of a table with row security are not shown.
    world.superuser("analyze app.rp3").await;
    assert_eq!(
        world.alice().sql("select most_common_vals from pg_stats where tablename = 'rp3'").await.text(),
        ""
    );
    world.alice().sql("explain select * from app.rp3 where id = 1").await.fine();
    world.canary().await;
}

// A limit that the documentation names: a unique index tells that a hidden row exists.
#[tokio::test]
async fn d04_unique_oracle() {
    let world = world().await;
    let refusal = world.alice().sql("insert into app.rp3 values (2, 'SECRET-999')").await.refused("23505");
    // Its values are not in the message: the role cannot read them.
    assert!(refusal.detail.is_none(), "{refusal}");
    world.canary().await;
}

// Limits that the documentation names: sizes, counters and places tell about rows that are not seen. What is in them, not.
#[tokio::test]
async fn d05_sizes_counters_places() {
    let world = world().await;
    assert_ne!(world.alice().sql("select pg_relation_size('app.rp3')").await.text(), "0");
    world.alice().sql("select n_tup_ins from pg_stat_user_tables where relname = 'rp3'").await.fine();
    assert_eq!(world.alice().sql("select ctid from app.rp3").await.text(), "");
    assert_eq!(world.alice().sql("select * from app.rp3 where ctid = '(0,1)'").await.text(), "");
    assert_eq!(world.alice().sql("select * from app.rp3 tablesample system (100)").await.text(), "");
    world.alice().sql("select last_value from app.sq").await.refused("42501");
    world.canary().await;
}

// Limits that the documentation names: catalogs show names, texts of functions and policies. Secrets are not among them.
#[tokio::test]
async fn d06_catalogs() {
    let world = world().await;
    assert!(world.alice().sql("select rolname from pg_roles").await.text().contains("bob"));
    for sql in [
        "select * from pg_authid",
        "select * from pg_hba_file_rules",
        "select * from pg_file_settings",
        "select * from pg_user_mapping",
        "select * from pg_statistic",
        "select * from pg_largeobject",
        "select * from pg_backend_memory_contexts",
        "select * from pg_shmem_allocations",
        "select pg_log_backend_memory_contexts(pg_backend_pid())",
        "select * from pg_subscription",
    ] {
        world.alice().sql(sql).await.refused("42501");
    }
    assert_eq!(
        world.alice().sql("select distinct passwd from pg_shadow limit 1").await.refused("42501").code,
        "42501"
    );
    world.canary().await;
}

#[tokio::test]
async fn d07_error_fields() {
    let world = world().await;
    let refusal = world.alice().sql("insert into app.nn (a) values (null)").await.refused("23502");
    assert!(!refusal.to_string().contains("DEFAULT-SECRET"), "only what alice may read: {refusal}");
    world.superuser("grant select on app.nn to alice").await;
    let refusal = world.alice().sql("insert into app.nn (a) values (null)").await.refused("23502");
    assert!(refusal.to_string().contains("DEFAULT-SECRET"), "passed on as PostgreSQL made it: {refusal}");
    world.canary().await;
}

/// Errors that pass through the hook of utility statements, and one that does not.
const FAILING: [&str; 8] = [
    "do $$ begin raise 'plain'; end $$",
    "do $$ begin raise 'full' using detail = 'the detail', hint = 'the hint', errcode = 'P0042'; end $$",
    "create table app.x (i int)",
    "create table pg_catalog.x (i int)",
    "declare c cursor for select 1/0 from nowhere",
    "set work_mem = 'x'",
    "alter table nowhere add x int",
    "select 1/0",
];

#[tokio::test]
async fn d08_decoration_of_errors() {
    let world = world().await;
    let role = world.new_role().await;
    world.superuser(&format!("alter role {role} login")).await;
    world.site().cluster().set_password(&role).unwrap();
    let mut plain = postern_e2e::Wire::connect(world.site(), &role, world.database()).await;
    let mut wire = world.wire().await;
    for sql in FAILING {
        let entered = wire.request(&role, None, &[(sql, &[])]).await.result.unwrap_err();
        let direct = plain.outside(sql).await.error().cloned();
        // What one statement needs, a block, another has by itself: compare where both fail alike.
        assert_eq!(Some(entered), direct, "{sql}");
    }
    // Our own refusals are plain too.
    let own = world.alice().sql("listen x").await.refused("0A000");
    let text = format!("{own} {:?}", own.hint);
    assert!(!text.contains("backtrace") && !text.contains(".rs") && !text.contains("0x"), "{text}");
    world.canary().await;
}

#[tokio::test]
async fn d09_texts_of_earlier_requests() {
    let world = world().await;
    let batch = ["declare c cursor for select 'ALICE-TEXT'", "select 1"];
    world.alice().batch(&batch).await.fine();
    for sql in ["select statement from pg_cursors", "select current_query()"] {
        assert!(!world.bob().sql(sql).await.text().contains("ALICE-TEXT"), "{sql}");
    }
    world.canary().await;
}

// Floors for the rest (G): here, that an error about a row of a partition shows no column that alice may not read.
#[tokio::test]
async fn d10_errors_of_partitions() {
    let world = world().await;
    world
        .superuser(
            "create table app.part (k int, secret text default 'PART-SECRET', check (k > 0)) partition by list (k);
             create table app.part1 partition of app.part for values in (1, -1);
             grant insert (k), select (k), update (k) on app.part to alice",
        )
        .await;
    let refusal = world.alice().sql("insert into app.part (k) values (-1)").await.refused("23514");
    assert!(!refusal.to_string().contains("PART-SECRET"), "{refusal}");
    world.canary().await;
}

#[tokio::test]
async fn d11_notices_of_other_requests() {
    let world = world().await;
    let mut wire = world.wire().await;
    let steps = |sql| [Step::Parse("", sql, &[]), Step::Bind("", &[]), Step::Execute("", 0), Step::Sync];
    let raised =
        wire.entered("alice", None, &steps("do $$ begin raise warning 'ALICE-NOTICE'; end $$")).await;
    assert!(raised.replies.iter().any(|reply| matches!(reply, Reply::Notice(_))), "{raised:?}");
    let next = wire.entered("bob", None, &steps("select 1")).await;
    assert!(!next.replies.iter().any(|reply| matches!(reply, Reply::Notice(_))), "{next:?}");
    world.alice().sql("do $$ begin raise warning 'ALICE-NOTICE'; end $$").await.fine();
    world.canary().await;
}

// A limit that the documentation names: the server's own records show the gate. The gate logs who it was.
#[tokio::test]
async fn d12_who_did_it() {
    let world = world().await;
    let mut wire = world.wire().await;
    wire.request("alice", None, &[("select 1", &[])]).await.fine();
    let seen = world.look(&format!("select usename from pg_stat_activity where pid = {}", wire.pid)).await;
    assert_eq!(seen, "postern_gate");
    world.canary().await;
}

#[tokio::test]
async fn d13_files_left_on_disk() {
    let world = world().await;
    let batch =
        ["set local work_mem = '64kB'", "select count(*) from (select * from app.big order by u, id desc) x"];
    assert_eq!(world.alice().batch(&batch).await.text(), "20000");
    world
        .alice()
        .batch(&["declare c cursor for select * from app.big order by u", "select 1/0"])
        .await
        .refused("22012");
    // Others sort meanwhile: only files of this backend count.
    let files =
        format!("select name from pg_ls_tmpdir() where name like 'pgsql_tmp{}.%'", world.backend().await);
    assert_eq!(world.look(&files).await, "");
    world.canary().await;
}
