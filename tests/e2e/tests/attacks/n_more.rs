//! N01 – …: attacks that the catalogue does not have.

use postern_e2e::{Step, Wire};
use serde_json::json;

use super::{site, temp_world, world};

#[tokio::test]
async fn n01_execute_inside_other_statements() {
    let world = world().await;
    let mut wire = world.wire().await;
    // A statement of the gate's with a name that alice has guessed.
    let secret = "select 'GATE-SECRET'::text as secret";
    assert_eq!(wire.send(&[Step::Parse("gw", secret, &[]), Step::Sync]).await.code(), "");
    for sql in [
        "execute gw",
        "explain execute gw",
        "explain (analyze, verbose) execute gw",
        "create table work.stolen as execute gw",
        "create unlogged table work.stolen (a) as execute gw with no data",
        "explain create table work.stolen as execute gw",
        "explain analyze create table work.stolen as execute gw",
        "do $$ begin execute 'execute gw'; end $$",
        "do $$ begin execute 'explain execute gw'; end $$",
        "do $$ declare r text; begin execute 'execute gw' into r; raise '%', r; end $$",
        "deallocate gw",
    ] {
        let refusal = wire.request("alice", None, &[(sql, &[])]).await.refused("0A000");
        assert!(!refusal.to_string().contains("SECRET"), "{refusal}");
    }
    assert_eq!(
        wire.send(&[Step::Bind("gw", &[]), Step::Execute("", 0), Step::Sync]).await.text(),
        "GATE-SECRET"
    );
    world.canary().await;
}

/// Settings that policies made for PostgREST and Supabase read.
const CLAIM_SETTINGS: [&str; 6] = [
    "request.jwt.claims",
    "request.jwt.claim.sub",
    "request.jwt.claim.role",
    "request.jwt.claim.email",
    "request.jwt.claim",
    "request.headers",
];

#[tokio::test]
async fn n02_settings_that_show_claims() {
    let world = world().await;
    for name in CLAIM_SETTINGS {
        let (read, truth) = if name == "request.jwt.claims" {
            (format!("select current_setting('{name}')::json ->> 'sub'"), "alice")
        } else {
            (format!("select coalesce(current_setting('{name}', true), '')"), "")
        };
        assert_eq!(world.alice().sql(&read).await.text(), truth, "{name}");
        for (sql, code) in [
            (format!("set {name} = 'bob'"), "42501"),
            (format!("set local {name} to default"), "42501"),
            (format!("reset {name}"), "42501"),
            (format!("select set_config('{name}', 'bob', true)"), "42501"),
            (format!("select set_config('{name}', '', true)"), "42501"),
            (
                format!("create function work.f() returns int language sql set {name} = 'bob' as 'select 1'"),
                "42501",
            ),
        ] {
            world.alice().sql(&sql).await.refused(code);
            let caught =
                format!("do $$ begin execute $x$ {sql} $x$; exception when others then null; end $$");
            assert_eq!(world.alice().batch(&[&caught, &read]).await.text(), truth, "{sql}");
        }
        // NULL resets, which no check sees: it changes nothing either.
        for reset in [format!("select set_config('{name}', null, true)"), "reset all".to_owned()] {
            let _ = world.alice().sql(&reset).await;
            let caught =
                format!("do $$ begin execute $x$ {reset} $x$; exception when others then null; end $$");
            assert_eq!(world.alice().batch(&[&caught, &read]).await.text(), truth, "{reset}");
        }
    }
    world.canary().await;
}

#[tokio::test]
async fn n03_settings_of_the_database() {
    let world = world().await;
    let name = world.database();
    // Its owner may do this; it reaches every new connection of the gate.
    for (setting, value) in [
        ("request.jwt.claims", r#"{"sub": "bob"}"#),
        ("request.jwt.claim.sub", "bob"),
        ("request.jwt.claim.role", "bob"),
        ("request.headers", "bob"),
        ("search_path", "work, pg_catalog"),
        ("row_security", "off"),
        ("client_encoding", "LATIN1"),
        ("datestyle", "SQL, DMY"),
        ("statement_timeout", "1"),
        ("default_transaction_read_only", "off"),
    ] {
        world.superuser(&format!("alter database {name} set {setting} = '{value}'")).await;
    }
    let mut wire = world.wire().await;
    let facts = Some(r#"{"claims": {"sub": "alice"}}"#);
    for setting in
        ["request.jwt.claims", "request.jwt.claim.sub", "request.jwt.claim.role", "request.headers"]
    {
        let read = format!("select current_setting('{setting}', true)");
        let truth = if setting == "request.jwt.claims" { r#"{"sub": "alice"}"# } else { "" };
        assert_eq!(wire.request("alice", facts, &[(&read, &[])]).await.text(), truth, "{setting}");
        for reset in [
            format!("select set_config('{setting}', null, true)"),
            "reset all".to_owned(),
            "select 1".to_owned(),
        ] {
            let caught =
                format!("do $$ begin execute $x$ {reset} $x$; exception when others then null; end $$");
            let seen = wire.request("alice", facts, &[(&caught, &[]), (&read, &[])]).await;
            assert_eq!(seen.text(), truth, "{setting} after {reset}");
        }
    }
    // What the gate pins in its startup packet is stronger.
    let pinned = "select current_setting('row_security'), current_setting('client_encoding'), current_setting('statement_timeout')";
    assert_eq!(wire.request("alice", facts, &[(pinned, &[])]).await.text(), "on|UTF8|0");
    assert_eq!(
        wire.request("bob", facts, &[("select current_user, postern.fact('claims.sub')", &[])]).await.text(),
        "bob|alice"
    );
    world.canary().await;
}

// A limit that the documentation names: the owner of a database can close it to the gate, but not get anything by it.
#[tokio::test]
async fn n04_a_role_set_for_the_database() {
    let world = world().await;
    world.superuser(&format!("alter database {} set role = 'bob'", world.database())).await;
    let mut wire = Wire::gate(world.site(), world.database(), None).await;
    let outcome = wire.request("alice", None, &[("select current_user", &[])]).await;
    match outcome.result {
        // The server did not let the gate's login become bob: it is a member of nothing.
        Ok(answers) => assert_eq!(answers[0].text(), "alice"),
        Err(refusal) => assert_eq!(refusal.code, "42501", "{refusal}"),
    }
    world.canary().await;
}

#[tokio::test]
async fn n05_an_owner_of_the_database() {
    let world = world().await;
    let owner = world.new_role().await;
    let name = world.database();
    world.superuser(&format!("alter database {name} owner to {owner}")).await;
    for sql in [
        format!("alter database {name} set postern.allow_temp = on"),
        format!("alter database {name} set postern.facts = '{{}}'"),
        format!("alter database {name} set session_preload_libraries = 'x'"),
        format!("alter database {name} set postern.max_facts_bytes = 1"),
        format!("alter database {name} set role = 'bob'"),
        "alter database postgres set search_path = ''".to_owned(),
        "select postern.admit('app')".to_owned(),
        "drop extension postern cascade".to_owned(),
        "create or replace function postern.enter(text, text, text) returns void language plpgsql as 'begin end'".to_owned(),
        "alter schema postern owner to current_user".to_owned(),
        "alter schema postern rename to p".to_owned(),
    ] {
        world.actor(&owner).sql(&sql).await.refused("42501");
    }
    world.canary().await;
}

/// Has one worker run everything that it may.
const IN_WORKER: [&str; 2] =
    ["set local parallel_setup_cost = 0", "set local max_parallel_workers_per_gather = 2"];

#[tokio::test]
async fn n06_utility_statements_in_a_parallel_worker() {
    let world = world().await;
    let alice = world.alice();
    let force = if world.look("show server_version_num").await.as_str() < "160000" {
        "set local force_parallel_mode = on"
    } else {
        "set local debug_parallel_query = on"
    };
    let run = "create function work.run(sql text) returns text language plpgsql parallel safe as
        $$ begin execute sql; return current_user || '/' || postern.fact('claims.sub'); end $$";
    alice.sql(run).await.fine();
    alice.sql("create function work.worker() returns int language sql parallel safe as 'select pg_backend_pid()'").await.fine();
    let here = "select work.worker() <> pg_backend_pid() from pg_backend_pid()";
    let probe = "select work.worker()";
    let worker = alice.batch(&[IN_WORKER[0], IN_WORKER[1], force, probe]).await.text();
    assert_ne!(worker, world.backend().await, "it does not run in a worker: {here}");
    for sql in [
        "reset role",
        "set role bob",
        "select set_config('role', 'bob', true)",
        "select set_config('request.jwt.claims', '{}', true)",
        "select set_config('postern.facts', '{}', true)",
        "prepare p as select 1",
        "deallocate all",
        "discard all",
        "listen x",
        "commit",
        "create temp table x (i int)",
        "select postern.enter('bob', '{}')",
        "copy app.t to stdout",
        "alter role alice password 'x'",
        "select * from pg_prepared_statements",
    ] {
        let call = format!("select work.run($x${sql}$x$)");
        let outcome = alice.batch(&[IN_WORKER[0], IN_WORKER[1], force, &call]).await;
        let refusal = outcome.result.expect_err(sql);
        assert!(
            ["42501", "0A000", "25000", "2D000", "55000"].contains(&refusal.code.as_str()),
            "{sql}: {refusal}"
        );
    }
    let fine = alice.batch(&[IN_WORKER[0], IN_WORKER[1], force, "select work.run('select 1')"]).await;
    assert_eq!(fine.text(), "alice/alice");
    world.canary().await;
}

#[tokio::test]
async fn n07_the_schema_made_beforehand() {
    let world = world().await;
    world
        .superuser("drop extension postern cascade; drop schema postern; create schema postern authorization alice; set role alice;
            create function postern.trap() returns int language sql as 'select 1'; reset role")
        .await;
    let error = world.admin().batch_execute("create extension postern").await.unwrap_err();
    assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42P06"), "{error:?}");
    world
        .superuser(
            "drop schema postern cascade; create extension postern;
            select postern.admit('alice'), postern.admit('bob'), postern.admit('carol');
            create policy p on app.f using (sub = (select postern.fact('claims.sub')))",
        )
        .await;
    world.canary().await;
}

#[tokio::test]
async fn n08_two_roles_swap_names() {
    let world = world().await;
    let (one, two) = (world.new_role().await, world.new_role().await);
    let mut wire = world.wire().await;
    wire.request(&one, None, &[("select 1", &[])]).await.fine();
    let three = format!("{one}_x");
    world.superuser(&format!("alter role {one} rename to {three}; alter role {two} rename to {one}; alter role {three} rename to {two}")).await;
    for role in [&one, &two] {
        wire.request(role, None, &[("select 1", &[])]).await.refused("42501");
    }
    // Admitted under its new name, it may be entered again.
    world.superuser(&format!("select postern.admit('{one}')")).await;
    assert_eq!(wire.request(&one, None, &[("select current_user", &[])]).await.text(), one);
    wire.request(&two, None, &[("select 1", &[])]).await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn n09_a_trusted_extension() {
    let world = world().await;
    if !world.offers("pg_trgm").await {
        return;
    }
    let role = world.new_role().await;
    world.superuser(&format!("grant create on database {} to {role}", world.database())).await;
    let installer = world.actor(&role);
    // Its script runs as a superuser for a moment; the identity is what it was afterwards, also after a failure.
    let batch = [
        "create schema inst",
        "create extension pg_trgm schema inst",
        "select current_user, inst.similarity('a', 'a')",
    ];
    assert_eq!(installer.batch(&batch).await.text(), format!("{role}|1"));
    let failing =
        "do $$ begin create extension citext version 'none'; exception when others then null; end $$";
    assert_eq!(installer.batch(&[failing, "select current_user"]).await.text(), role);
    installer.batch(&["create extension hstore schema inst", "reset role"]).await.refused("42501");
    installer.sql("create extension dblink").await.refused("42501");
    world.canary().await;
}

// A limit that the documentation names, and the doctor looks for: whoever marks a function IMMUTABLE has its value kept in
// plans. Ours is STABLE, and right.
#[tokio::test]
async fn n10_an_immutable_function_around_a_fact() {
    let world = world().await;
    world
        .superuser(
            "create function app.im() returns text language plpgsql immutable as
            $$ begin return postern.fact('claims.sub'); end $$",
        )
        .await;
    let mut wire = world.wire().await;
    for (name, sql) in [("wrong", "select app.im()"), ("right", "select postern.fact('claims.sub')")] {
        let facts = |sub| json!({ "claims": { "sub": sub } }).to_string();
        let (one, two) = (facts("one"), facts("two"));
        let parse = [Step::Parse(name, sql, &[]), Step::Bind(name, &[]), Step::Execute("", 0), Step::Sync];
        assert!(wire.entered("alice", Some(&one), &parse).await.text().ends_with("one"));
        let seen = wire.entered("alice", Some(&two), &parse[1..]).await.text();
        assert!(seen.ends_with(if name == "right" { "two" } else { "one" }), "{seen}");
    }
    world.canary().await;
}

#[tokio::test]
async fn n11_a_trigger_on_the_table_of_another() {
    let world = world().await;
    world.superuser("revoke trigger on app.t from alice").await;
    for sql in [
        "create trigger t before insert on app.t for each row execute function work.evil_trg('x')",
        "create trigger t before insert on app.bob_only for each row execute function work.evil_trg('x')",
        "create rule r as on insert to app.t do also select work.evil('x')",
        "alter table app.t add column x bool default work.evil('x')",
        "create index on app.t ((work.evil(v)))",
    ] {
        let code = world.alice().sql(sql).await.result.unwrap_err().code;
        assert!(["42501", "42P17"].contains(&code.as_str()), "{sql}: {code}");
    }
    world.canary().await;
}

#[tokio::test]
async fn n12_set_constraints() {
    let world = world().await;
    world
        .alice()
        .batch(&["insert into work.dt values (1)", "set constraints all immediate", "select current_user"])
        .await
        .fine();
    world.alice().batch(&["set constraints all deferred", "insert into work.dt values (2)"]).await.fine();
    world
        .alice()
        .batch(&["insert into app.plain values (1), (1)", "set constraints all immediate", "select 1"])
        .await
        .refused("23505");
    let flip = "do $$ begin set constraints all immediate; insert into work.dt values (3); set constraints all deferred; end $$";
    world.alice().batch(&[flip, "insert into work.dt values (4)"]).await.fine();
    assert_eq!(world.loot().await, ["deferred|alice"; 4].join("\n"));
    world.canary().await;
}

#[tokio::test]
async fn n13_nested_blocks() {
    let world = world().await;
    for (inner, code) in [
        ("commit", "2D000"),
        ("reset role", "42501"),
        ("execute 'listen x'", "0A000"),
        ("perform set_config('role', 'bob', true)", "42501"),
    ] {
        let mut sql = format!("do $l0$ begin {inner}; end $l0$");
        for level in 1..6 {
            sql = format!(
                "do $l{level}$ begin begin execute $q{level}${sql}$q{level}$; exception when division_by_zero then null; end; end $l{level}$"
            );
        }
        world.alice().batch(&["select 1", &sql]).await.refused(code);
    }
    // Errors caught at any depth leave the wall standing.
    let caught = "do $$ begin
        begin begin begin execute 'reset role'; exception when others then raise; end; exception when others then raise; end;
        exception when others then perform work.evil('after caught errors'); end; end $$";
    assert_eq!(
        world.alice().batch(&[caught, "select current_user, postern.fact('claims.sub')"]).await.text(),
        "alice|alice"
    );
    assert_eq!(world.loot().await, "after caught errors|alice");
    world.canary().await;
}

#[tokio::test]
async fn n14_procedures_with_set_clauses() {
    let world = world().await;
    let alice = world.alice();
    for (name, clause, body) in [
        ("a", "set search_path = work", "commit"),
        ("b", "security definer", "commit"),
        ("c", "security definer set search_path = work", "rollback"),
        ("d", "", "set search_path = work; call work.a()"),
    ] {
        alice
            .sql(&format!(
                "create procedure work.{name}() language plpgsql {clause} as $$ begin {body}; end $$"
            ))
            .await
            .fine();
        alice
            .batch(&["insert into work.loot values ('lost')", &format!("call work.{name}()")])
            .await
            .refused("2D000");
    }
    alice.sql("create procedure work.e() language plpgsql security definer set work_mem = '1MB' as $$ begin perform work.evil('proc'); end $$").await.fine();
    world.bob().sql("call work.e()").await.fine();
    assert_eq!(world.loot().await, "proc|alice");
    alice
        .sql("create procedure work.f() language plpgsql set role = bob as 'begin end'")
        .await
        .refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn n15_many_custom_settings() {
    let world = world().await;
    let many = "do $$ begin for i in 1..1000 loop perform set_config('junk.n' || i, repeat('x', 1000), false); end loop; end $$";
    world.alice().sql(many).await.fine();
    assert_eq!(world.bob().sql("select current_setting('junk.n7', true)").await.text(), "");
    world.canary().await;
}

#[tokio::test]
async fn n16_recursion() {
    let world = world().await;
    let before = world.backend().await;
    let alice = world.alice();
    alice.sql("create function work.down(i int) returns int language plpgsql as $$ begin return work.down(i + 1); end $$").await.fine();
    alice.sql("select work.down(0)").await.refused("54001");
    let deep = format!("select {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    // The parser gives up first.
    alice.sql(&deep).await.refused("42601");
    let caught =
        "do $$ begin begin perform work.down(0); exception when statement_too_complex then null; end; end $$";
    assert_eq!(alice.batch(&[caught, "select current_user"]).await.text(), "alice");
    assert_eq!(world.backend().await, before);
    world.canary().await;
}

#[tokio::test]
async fn n17_security_barrier_views() {
    let world = world().await;
    world
        .superuser("create view app.barrier with (security_barrier) as select v from app.f where sub = postern.fact('claims.sub');
            grant select on app.barrier to alice, bob;
            create function work.peek(text) returns bool language plpgsql cost 0.0000001 as $$ begin
                insert into work.loot values ('peek', current_user, $1, ' setrole 42501 reset 42501'); return true; end $$")
        .await;
    assert_eq!(world.alice().sql("select v from app.barrier where work.peek(v)").await.text(), "fact-a");
    assert_eq!(world.look("select su from work.loot").await, "fact-a");
    assert_eq!(world.bob().sql("select v from app.barrier").await.text(), "fact-b");
    world.canary().await;
}

#[tokio::test]
async fn n18_transaction_settings() {
    let world = world().await;
    // Entering has taken the snapshot: too late.
    world.alice().sql("set transaction isolation level serializable").await.refused("25001");
    world.alice().sql("set transaction snapshot '00000003-00000001-1'").await.refused("25001");
    for sql in ["set local transaction_read_only = on", "set transaction read only"] {
        world.alice().batch(&[sql, "insert into app.s values (1)"]).await.refused("25006");
        world.alice().batch(&[sql, "set transaction read write"]).await.refused("25001");
    }
    world.alice().sql("insert into app.s values (1)").await.fine();
    world.canary().await;
}

#[tokio::test]
async fn n19_cursors_within_a_batch() {
    let world = world().await;
    let batch = [
        "declare c scroll cursor for select i from generate_series(1, 3) i",
        "fetch 2 from c",
        "fetch backward 1 from c",
    ];
    assert_eq!(world.alice().batch(&batch).await.text(), "1");
    world.alice().sql("fetch 1 from c").await.refused("34000");
    world.bob().sql("move 1 from c").await.refused("34000");
    world.bob().sql("declare c cursor for select 1").await.fine();
    world.canary().await;
}

#[tokio::test]
async fn n20_the_path_to_temporary_objects() {
    let world = world().await;
    for batch in [
        ["set local search_path = pg_temp", "create table x (i int)"],
        [
            "set local search_path = pg_temp",
            "create function pg_temp.f() returns int language sql as 'select 1'",
        ],
        ["set local search_path = pg_temp, work", "create domain d as int"],
        ["create table work.m (i int)", "create temp table x (like work.m)"],
        ["create schema if not exists pg_temp", "select 1"],
        ["drop table if exists pg_temp.x", "create sequence pg_temp.s"],
    ] {
        let code = world.alice().batch(&batch).await.result.expect_err(batch[1]).code;
        assert!(["0A000", "42501", "42939"].contains(&code.as_str()), "{batch:?}: {code}");
    }
    world.canary().await;
}

#[tokio::test]
async fn n21_row_security_by_a_function() {
    let world = world().await;
    let body = "language sql set row_security = off as 'select v from app.t'";
    world
        .alice()
        .sql(&format!("create function work.all_rows() returns setof text {body}"))
        .await
        .refused("42501");
    let body = "language plpgsql set row_security = off as $$ begin return query select v from app.t; end $$";
    world.alice().sql(&format!("create function work.all_rows() returns setof text {body}")).await.fine();
    world.alice().sql("select * from work.all_rows()").await.refused("42501");
    world.bob().sql("select * from work.all_rows()").await.refused("42501");
    world.canary().await;
}

// A request that is under way ends as it began: rights to enter are judged when it enters.
#[tokio::test]
async fn n22_dismissed_while_a_request_runs() {
    let world = world().await;
    let role = world.new_role().await;
    world.superuser("select pg_advisory_lock(22)").await;
    let mut wire = world.wire().await;
    let pid = wire.pid;
    let batch: &[(&str, &[Option<&str>])] =
        &[("select pg_advisory_xact_lock(22)", &[]), ("select current_user", &[])];
    let running = wire.request(&role, None, batch);
    let dismiss = async {
        world.until_waiting(pid).await;
        world.superuser(&format!("select postern.dismiss('{role}'), pg_advisory_unlock(22)")).await;
    };
    let (outcome, ()) = tokio::join!(running, dismiss);
    assert_eq!(outcome.text(), role);
    wire.request(&role, None, &[("select 1", &[])]).await.refused("42501");
    world.canary().await;
}

// The older form has a setting for each claim, and any name: none can be made up on a connection of the gate.
#[tokio::test]
async fn n23_other_settings_of_the_older_form() {
    let world = world().await;
    world.alice().sql("select set_config('request.jwt.claim.tenant', 'forged', true)").await.refused("42602");
    world.alice().sql("set request.header.x = 'forged'").await.refused("42602");
    assert_eq!(
        world
            .bob()
            .sql("select coalesce(current_setting('request.jwt.claim.tenant', true), '')")
            .await
            .text(),
        ""
    );
    world.canary().await;
}

#[tokio::test]
async fn n24_objects_for_others() {
    let world = world().await;
    world.superuser(&format!("grant create on database {} to alice", world.database())).await;
    for sql in [
        "create schema s authorization bob",
        "alter table work.dt owner to bob",
        "alter function work.evil(text) owner to bob",
        "grant select on app.bob_only to alice",
        "create policy p on app.bob_only using (true)",
        "create view app.v as select 1",
        "alter default privileges for role bob grant all on tables to alice",
        "set local role none",
        "create user mapping for bob server s",
    ] {
        let code = world.alice().sql(sql).await.result.expect_err(sql).code;
        assert!(["42501", "42704"].contains(&code.as_str()), "{sql}: {code}");
    }
    world.canary().await;
}

#[tokio::test]
async fn n25_a_temporary_trap_survives_nothing() {
    let world = temp_world().await;
    // Made in one request, not there in the next one, not even for its maker.
    world
        .alice()
        .batch(&["create temp table mine as select 'ALICE-TEMP' x", "select x from mine"])
        .await
        .fine();
    world.alice().sql("select x from pg_temp.mine").await.refused("42P01");
    world.bob().sql("select count(*) from pg_class where relname = 'mine'").await.fine();
    assert_eq!(world.bob().sql("select relname from pg_class where relname = 'mine'").await.text(), "");
    world.canary().await;
}

// Roles are of the whole server, admission is of one database.
#[tokio::test]
async fn n26_admitted_elsewhere() {
    let (here, there) = (world().await, world().await);
    let role = here.new_role().await;
    let mut wire = there.wire().await;
    wire.request(&role, None, &[("select 1", &[])]).await.refused("42501");
    let mut plain = Wire::gate(site(), "postgres", None).await;
    plain.request("alice", None, &[("select 1", &[])]).await.refused("42501");
    here.canary().await;
    there.canary().await;
}
