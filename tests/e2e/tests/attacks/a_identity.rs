//! A1 – A13: becoming someone else, from inside.

use postern_e2e::{Reply, Step};

use super::{temp_world, world};

#[tokio::test]
async fn a01_plain_reset() {
    let world = world().await;
    for sql in [
        "reset role",
        "set role bob",
        "set role none",
        "set role alice",
        "set local role bob",
        "set session authorization bob",
        "set session authorization default",
        "reset session authorization",
        "reset all; reset role",
    ] {
        // Two statements in one text are refused by the protocol itself.
        let code = if sql.contains(';') { "42601" } else { "42501" };
        world.alice().sql(sql).await.refused(code);
        world.alice().batch(&["select 1", sql, "select x from app.bob_only"]).await.refused(code);
        assert_eq!(world.alice().sql("select current_user").await.text(), "alice");
    }
    // RESET ALL runs, and leaves the role alone.
    let after = world.alice().batch(&["reset all", "select current_user"]).await;
    assert_eq!(after.text(), "alice");
    world.canary().await;
}

#[tokio::test]
async fn a02_spelled_otherwise() {
    let world = world().await;
    for sql in [
        "select set_config('role', 'bob', false)",
        "select set_config('role', 'bob', true)",
        "select set_config('ROLE', 'none', true)",
        "select set_config('session_authorization', 'bob', true)",
        "do $$ begin execute 're' || 'set ro' || 'le'; end $$",
        r#"select U&"\0073et_config"('role', 'bob', true)"#,
        "/* x */ set /**/ role -- y\n bob",
        "do $$ begin begin perform 1/0; exception when others then null; end; execute 'reset role'; end $$",
        "do $$ begin begin execute 'reset role'; exception when division_by_zero then null; end; end $$",
        "with w as materialized (select set_config('role', 'bob', true)) select * from w, app.bob_only",
    ] {
        world.alice().sql(sql).await.refused("42501");
    }
    // `role` is not in pg_settings, and a caught refusal changes nothing.
    world.alice().sql("update pg_settings set setting = 'bob' where name = 'role'").await.fine();
    let caught =
        "do $$ begin execute 'set role bob'; exception when insufficient_privilege then null; end $$";
    assert_eq!(world.alice().batch(&[caught, "select current_user"]).await.text(), "alice");
    world.canary().await;
}

#[tokio::test]
async fn a02_from_inside_every_kind_of_object() {
    let world = world().await;
    let alice = world.alice();
    for sql in [
        "create view work.v as select work.evil('view') e",
        "create table work.dflt (b boolean default work.evil('default'), c boolean)",
        "create table work.chk (i int check (work.evil('check')))",
        "create table work.trg (i int)",
        "create trigger a before insert on work.trg for each statement execute function work.evil_trg('trigger')",
        "create function work.step(s int, i int) returns int language plpgsql as
             $$ begin perform work.evil('aggregate'); return s + i; end $$",
        "create aggregate work.agg(int) (sfunc = work.step, stype = int, initcond = '0')",
        "create function work.plus(a int, b int) returns int language plpgsql as
             $$ begin perform work.evil('operator'); return a + b; end $$",
        "create operator work.## (procedure = work.plus, leftarg = int, rightarg = int)",
        "create type work.ce as enum ('a')",
        "create function work.ce2int(work.ce) returns int language plpgsql as
             $$ begin perform work.evil('cast'); return 1; end $$",
        "create cast (work.ce as int) with function work.ce2int(work.ce)",
        "create function work.immutable(i int) returns int immutable language plpgsql as
             $$ begin perform work.evil('index'); return i; end $$",
        "create table work.idx (i int)",
        "create index on work.idx (work.immutable(i))",
        "create table work.pol (i int)",
        "create rule r as on insert to work.pol do also select work.evil('rule')",
        "create materialized view work.mv as select work.evil('matview') e with no data",
    ] {
        alice.sql(sql).await.fine();
    }
    for sql in [
        "select * from work.v",
        "insert into work.dflt default values",
        "insert into work.chk values (1)",
        "insert into work.trg values (1)",
        "select work.agg(i) from (values (1)) v(i)",
        "select 1 operator(work.##) 2",
        "select 'a'::work.ce::int",
        "insert into work.idx values (1)",
        "select '1'::work.evildom",
        "insert into work.pol values (1)",
    ] {
        alice.sql(sql).await.fine();
    }
    let tags: Vec<_> = [
        "aggregate",
        "cast",
        "check",
        "default",
        "domain check",
        "index",
        "operator",
        "rule",
        "trigger",
        "view",
    ]
    .map(|tag| format!("{tag}|alice"))
    .into();
    assert_eq!(world.loot().await, tags.join("\n"));
    // A materialized view is filled under the server's own guard, which forbids what the probe does.
    let refused = alice.sql("refresh materialized view work.mv").await;
    assert!(
        refused.result.is_ok() || world.loot().await.matches("matview|alice").count() <= 1,
        "{refused:?}"
    );
    world.canary().await;
}

#[tokio::test]
async fn a03_function_with_a_role_clause() {
    let world = world().await;
    let alice = world.alice();
    let create = "create function work.asbob() returns text language sql set role = 'bob' as $$ select current_user::text $$";
    alice.sql(create).await.refused("42501");
    alice
        .sql("create function work.f() returns text language sql as $$ select current_user::text $$")
        .await
        .fine();
    alice.sql("alter function work.f() set role = 'bob'").await.refused("42501");
    alice.sql("alter function work.f() set session_authorization = 'bob'").await.refused("42501");
    // One that got its clause elsewhere, and was given to alice.
    world.superuser("alter function work.f() set role = 'bob'; alter function work.f() owner to alice").await;
    alice.sql("select work.f()").await.refused("42501");
    alice
        .sql("do $$ begin perform work.f(); exception when others then raise; end $$")
        .await
        .refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn a04_transaction_control() {
    let world = world().await;
    for sql in [
        "commit",
        "rollback",
        "begin",
        "start transaction",
        "end",
        "abort",
        "savepoint a",
        "release a",
        "rollback to a",
        "prepare transaction 'x'",
        "commit prepared 'x'",
        "rollback prepared 'x'",
        "commit and chain",
    ] {
        world.alice().sql(sql).await.refused("2D000");
        world.alice().batch(&["select 1", sql, "set role bob"]).await.refused("2D000");
    }
    world.alice().sql("commit; set role bob; select * from app.bob_only").await.refused("42601");
    world.canary().await;
}

#[tokio::test]
async fn a05_commit_from_inside_code() {
    let world = world().await;
    let alice = world.alice();
    for (name, body) in [("pc", "commit"), ("pr", "rollback"), ("pd", "execute 'commit'")] {
        alice
            .sql(&format!("create procedure work.{name}() language plpgsql as $$ begin {body}; end $$"))
            .await
            .fine();
    }
    for (sql, code) in [
        ("call work.pc()", "2D000"),
        ("call work.pr()", "2D000"),
        ("do $$ begin commit; end $$", "2D000"),
        ("do $$ begin rollback; end $$", "2D000"),
        ("do $$ begin commit and chain; end $$", "2D000"),
        ("do $$ begin call work.pc(); end $$", "2D000"),
        ("do $$ begin execute 'call work.pc()'; end $$", "2D000"),
        ("do $$ begin execute 'commit'; end $$", "0A000"),
        ("call work.pd()", "0A000"),
        ("do $$ begin begin commit; exception when division_by_zero then null; end; end $$", "2D000"),
    ] {
        alice.sql(sql).await.refused(code);
        alice.batch(&["insert into work.loot values ('lost')", sql]).await.refused(code);
    }
    assert_eq!(world.loot().await, "", "nothing of a refused request is kept");
    world.canary().await;
}

// WITH HOLD is refused before anything of it runs, which is the catalogue's first choice.
#[tokio::test]
async fn a06_held_cursor() {
    let world = world().await;
    for sql in [
        "declare h cursor with hold for
           select set_config('role', 'bob', true), query_to_xml('select * from app.bob_only', true, true, '')",
        "declare h cursor with hold for select work.evil('hold')",
        "do $$ begin execute 'declare h cursor with hold for select work.evil(''hold'')'; end $$",
    ] {
        world.alice().sql(sql).await.refused("0A000");
    }
    world.bob().sql("fetch all from h").await.refused("34000");
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

#[tokio::test]
async fn a07_deferred_trigger() {
    let world = temp_world().await;
    world.alice().sql("insert into work.dt values (1)").await.fine();
    let temporary = [
        "create temp table dtt (n int)",
        "create constraint trigger d1 after insert on dtt deferrable initially deferred
             for each row execute function work.evil_trg('temporary')",
        "insert into dtt values (1)",
    ];
    world.alice().batch(&temporary).await.fine();
    assert_eq!(world.loot().await, "deferred|alice\ntemporary|alice");
    world.canary().await;
}

// 18 runs a deferred trigger as the role that queued it, others as the role at commit: neither is the gate's.
#[tokio::test]
async fn a08_queued_role() {
    let world = world().await;
    world
        .superuser(
            "create table app.queue (n int); alter table app.queue owner to app;
             create constraint trigger d after insert on app.queue deferrable initially deferred
                 for each row execute function work.evil_trg('queued');
             create function app.enqueue() returns void language sql security definer
                 as 'insert into app.queue values (1)';
             alter function app.enqueue() owner to app; grant create, usage on schema work to app",
        )
        .await;
    world.alice().sql("insert into work.dt values (1)").await.fine();
    world.alice().sql("select app.enqueue()").await.fine();
    let queued =
        if world.look("show server_version_num").await.as_str() < "180000" { "alice" } else { "app" };
    assert_eq!(world.loot().await, format!("deferred|alice\nqueued|{queued}"));
    world.canary().await;
}

#[tokio::test]
async fn a09_requeue_and_hold_from_a_deferred_trigger() {
    let world = world().await;
    // The cursor is refused at the end, and takes the whole request with it.
    world.alice().sql("insert into work.dq values (2)").await.refused("0A000");
    assert_eq!(world.look("select count(*) from work.dq").await, "0");
    assert_eq!(world.loot().await, "");
    // Without the cursor the requeued trigger runs inside.
    world
        .alice()
        .sql(
            "create or replace function work.requeue_trg() returns trigger language plpgsql as $$
             begin
                 if new.n > 0 then set constraints all deferred; insert into work.dq values (new.n - 1);
                 else perform work.evil('requeued'); end if;
                 return null;
             end $$",
        )
        .await
        .fine();
    world.alice().sql("insert into work.dq values (2)").await.fine();
    assert_eq!(world.loot().await, "requeued|alice");
    world.canary().await;
}

#[tokio::test]
async fn a10_code_that_runs_at_parse_time() {
    let world = world().await;
    world.alice().sql("select '{1}'::work.evildom[]").await.fine();
    world.alice().sql("select ('(1)'::work.evilcomp)::text").await.fine();
    assert_eq!(world.loot().await, "domain check|alice\ndomain check|alice");

    // Parsed and described, never executed.
    let mut wire = world.wire().await;
    let steps =
        [Step::Parse("", "select '{1}'::work.evildom[]", &[]), Step::DescribeStatement(""), Step::Sync];
    let described = wire.entered("alice", None, &steps).await;
    assert_eq!((described.code(), described.status), ("", 'I'), "{described:?}");
    assert_eq!(world.loot().await, "domain check|alice\ndomain check|alice\ndomain check|alice");
    world.canary().await;
}

#[tokio::test]
async fn a11_code_that_runs_at_bind() {
    let world = world().await;
    let alice = world.alice();
    alice.query("select $1::work.evildom", &[Some("1")]).await.fine();
    alice.sql("create table work.dtab (d work.evildom)").await.fine();
    alice.query("insert into work.dtab values ($1)", &[Some("1")]).await.fine();
    alice.sql("create domain work.texty as text check (work.evil('text domain'))").await.fine();
    alice.query("select $1::work.texty", &[Some("x")]).await.fine();
    let loot = world.loot().await;
    assert!(loot.contains("domain check|alice") && loot.contains("text domain|alice"), "{loot}");
    // As a gate that binds and gives up.
    let mut wire = world.wire().await;
    let steps = [Step::Parse("", "select $1::work.texty", &[]), Step::Bind("", &[Some("x")]), Step::Sync];
    let bound = wire.entered("alice", None, &steps).await;
    assert_eq!((bound.code(), bound.status), ("", 'I'), "{bound:?}");
    world.canary().await;
}

#[tokio::test]
async fn a12_lazy_portal() {
    let world = world().await;
    let create = "create function work.rc() returns refcursor language plpgsql as $$
        declare c refcursor := 'cc';
        begin open c for execute 'select current_user, work.evil(''rc'')'; return c; end $$";
    world.alice().sql(create).await.fine();
    let fetched = world.alice().batch(&["select work.rc()", "fetch all from cc"]).await;
    assert_eq!(fetched.text(), "alice|t");
    assert_eq!(world.loot().await, "rc|alice");
    world.alice().sql("select work.rc()").await.fine();
    world.alice().sql("fetch all from cc").await.refused("34000");
    world.bob().sql("fetch all from cc").await.refused("34000");

    // Nor is a portal of the protocol there any more, whoever fetches from it.
    let mut wire = world.wire().await;
    let steps = [
        Step::Parse("", "select i, current_user from generate_series(1, 3) i", &[]),
        Step::BindAs("lazy", "", &[]),
        Step::Execute("lazy", 1),
        Step::Sync,
    ];
    let first = wire.entered("alice", None, &steps).await;
    assert!(first.replies.contains(&Reply::Suspended), "{first:?}");
    assert_eq!(wire.send(&[Step::Execute("lazy", 0), Step::Sync]).await.code(), "34000");
    assert_eq!(wire.outside("fetch all from cc").await.code(), "34000");
    world.canary().await;
}

#[tokio::test]
async fn a13_conversion_done_outside() {
    let world = world().await;
    let alice = world.alice();
    for sql in [
        "create type work.ce as enum ('a')",
        "create function work.ce2json(work.ce) returns json language plpgsql as
             $$ begin perform work.evil('cast'); return '{}'; end $$",
        "create cast (work.ce as json) with function work.ce2json(work.ce)",
        "create cast (work.ce as jsonb) with inout",
        "create cast (work.ce as text) with inout as implicit",
    ] {
        alice.sql(sql).await.fine();
    }
    assert_eq!(alice.sql("select 'a'::work.ce").await.text(), "a");
    assert_eq!(alice.sql("select array['a'::work.ce], row('a'::work.ce)").await.text(), "{a}|(a)");
    assert_eq!(world.loot().await, "", "nobody converted the value but the client's own SQL");
    world.canary().await;
}
