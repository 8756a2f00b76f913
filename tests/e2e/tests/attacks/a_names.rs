//! A14 – A35: names, settings, objects and memberships that could be captured.

use postern_e2e::{Reply, World};

use super::{site, temp_world, world};

#[tokio::test]
async fn a14_type_names_captured() {
    let world = temp_world().await;
    for name in [
        "text", "name", "jsonb", "json", "bytea", "bool", "int4", "oid", "regrole", "cstring", "float8",
        "void",
    ] {
        let base = if name == "cstring" || name == "void" { "text" } else { name };
        let trap = [
            format!("create domain pg_temp.{name} as pg_catalog.{base} check (work.evil('captured'))"),
            format!("grant usage on type pg_temp.{name} to public"),
        ];
        world.alice().batch(&[&trap[0], &trap[1]]).await.fine();
        assert_eq!(world.bob().sql("select current_user").await.text(), "bob");
        // The same beside the gate's schema, in the first place of the path.
        let trap = format!("create domain work.{name} as pg_catalog.{base} check (work.evil('captured'))");
        world.alice().batch(&[&trap, "set search_path = work, pg_catalog"]).await.fine();
        assert_eq!(world.bob().sql("select current_user").await.text(), "bob");
    }
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

// The gate looks up API keys on the same connections, outside the wall.
#[tokio::test]
async fn a14_type_names_captured_for_the_gates_own_statements() {
    let builder = World::builder()
        .setting("postern.allow_temp", "on")
        .gate("[auth.api_keys]\nroles = [\"bob\"]\ncache_ttl = \"0s\"");
    let world = builder.start(site()).await;
    let key = world.look("select postern.create_api_key('bob', 'bob the robot')").await;
    for name in ["text", "name", "jsonb", "bytea", "uuid", "timestamptz", "api_key", "find_api_key"] {
        let base = if name.contains("api") { "text" } else { name };
        let domain =
            format!("create domain pg_temp.{name} as pg_catalog.{base} check (work.evil('captured'))");
        let table = format!("create temp table if not exists pg_{name} (i int)");
        let function = "create function pg_temp.find_api_key(bytea) returns text language sql as $$ select work.evil('captured')::text $$";
        let grant = format!("grant usage on type pg_temp.{name} to public");
        world
            .alice()
            .batch(&[&domain, &table, function, &grant, "set search_path = pg_temp, work"])
            .await
            .fine();
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
        let response = world
            .http()
            .send(
                http::Method::POST,
                "/v1/query",
                &headers,
                r#"{"query":"select current_user","array_mode":true}"#,
            )
            .await;
        assert_eq!(response.json()["rows"], serde_json::json!([["bob"]]), "{}", response.text());
    }
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

#[tokio::test]
async fn a15_relation_names_captured() {
    let world = temp_world().await;
    let traps: [&[&str]; 5] = [
        &["create temp table pg_class (k int)", "grant all on pg_temp.pg_class to public"],
        &[
            "create temp view pg_roles as select 'x'::name as rolname",
            "grant select on pg_temp.pg_roles to public",
        ],
        &["create temp table admitted (role oid, role_name name)", "grant all on pg_temp.admitted to public"],
        &["create temp table pg_authid (oid oid, rolname name)", "grant all on pg_temp.pg_authid to public"],
        &["create temp table t (id int, owner text, v text)", "grant all on t to public"],
    ];
    for trap in traps {
        world.alice().batch(trap).await.fine();
        world.canary().await;
    }
    world.bob().sql("insert into t (id, owner, v) values (9, 'bob', 'bob-private')").await.refused("42P01");
    let mut wire = world.wire().await;
    wire.request("alice", None, &[("create temp table pg_class (k int)", &[])]).await.fine();
    // The gate's own statements name the catalog; a bare name would find alice's table until the next entering.
    assert_ne!(wire.outside("select count(*) from pg_catalog.pg_class").await.text(), "0");
}

#[tokio::test]
async fn a16_search_path_and_operators() {
    let world = world().await;
    let alice = world.alice();
    for sql in [
        "create function work.pg_advisory_unlock_all() returns void language sql as $$ select work.evil('captured') $$",
        "create function work.pg_backend_pid() returns int language sql as $$ select work.evil('captured')::int $$",
        "create function work.enter(text, text, text) returns void language sql as $$ select work.evil('captured') $$",
        "create operator work.= (procedure = int4eq, leftarg = int4, rightarg = int4)",
        "create function work.eq(name, name) returns bool language sql as $$ select work.evil('captured') $$",
        "create operator work.= (procedure = work.eq, leftarg = name, rightarg = name)",
        "set search_path = work, pg_catalog",
    ] {
        alice.sql(sql).await.fine();
    }
    alice.batch(&["set search_path = work, pg_catalog", "set session search_path to work"]).await.fine();
    assert_eq!(world.bob().sql("show search_path").await.text(), r#""$user", public"#);
    assert_eq!(world.loot().await, "");
    // Also when the path is that of the whole database: the gate's own SQL and the extension's functions name everything.
    world.superuser(&format!("alter database {} set search_path = work, pg_catalog", world.database())).await;
    let mut wire = world.wire().await;
    let seen = "select postern.fact('claims.sub'), (postern.identity()).session_role";
    let facts = Some(r#"{"claims": {"sub": "bob"}}"#);
    assert_eq!(wire.request("bob", facts, &[(seen, &[])]).await.text(), "bob|bob");
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

#[tokio::test]
async fn a17_hijack_of_a_prepared_statement() {
    let world = world().await;
    for sql in [
        "do $$ begin execute 'deallocate gw_enter'; execute 'prepare gw_enter(text) as select true'; end $$",
        "prepare gw_enter(text) as select true",
        "execute gw_enter('x')",
        "deallocate gw_enter",
        "deallocate all",
        "discard all",
        "discard plans",
        "do $$ begin begin deallocate all; exception when division_by_zero then null; end; end $$",
    ] {
        world.alice().sql(sql).await.refused("0A000");
        assert_eq!(world.bob().sql("select current_user").await.text(), "bob");
    }
    // The names of the gate's statements are hidden, by every route to the function behind the view.
    for sql in [
        "select name, statement from pg_prepared_statements",
        "table pg_catalog.pg_prepared_statements",
        "select pg_prepared_statement()",
        "select query_to_xml('select * from pg_prepared_statements', true, true, '')",
        "do $$ declare r record; begin for r in select * from pg_prepared_statements loop raise '%', r; end loop; end $$",
        "declare c cursor for select * from pg_prepared_statement()",
    ] {
        let batch = world.alice().batch(&[sql, "fetch all from c"]).await;
        batch.refused("42501");
    }
    world.alice().sql("create view work.ps as select * from pg_prepared_statements").await.fine();
    world.alice().sql("select * from work.ps").await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn a18_overloads_of_the_gates_functions() {
    let world = temp_world().await;
    for (sql, code) in [
        ("create function postern.enter(text) returns bool language sql as 'select true'", "42501"),
        ("create function postern.enter(text, jsonb, text) returns void language sql as 'select'", "42501"),
        (
            "create function postern.enter(name, json, text) returns void language plpgsql as 'begin end'",
            "42501",
        ),
        (
            "create or replace function postern.enter(text, text, text) returns void language plpgsql as 'begin end'",
            "42501",
        ),
        ("create function pg_temp.enter(cstring) returns bool language sql as 'select true'", "42P13"),
        ("create function work.enter(cstring) returns bool language internal as 'boolin'", "42501"),
        ("create table postern.x (i int)", "42501"),
        ("create type postern.name as enum ()", "42501"),
        ("alter function work.evil(text) set schema postern", "42501"),
        ("create operator postern.= (procedure = int4eq, leftarg = int, rightarg = int)", "42501"),
    ] {
        world.alice().sql(sql).await.refused(code);
    }
    world.canary().await;
}

// ALTER ROLE is refused whoever asks for whatever: what it changes reaches other sessions.
#[tokio::test]
async fn a19_altering_posterns_objects() {
    let world = world().await;
    for sql in [
        "alter function postern.enter(text, text, text) owner to alice",
        "alter function postern.enter(text, text, text) security definer",
        "alter function postern.enter(text, text, text) set search_path = work",
        "drop function postern.enter(text, text, text)",
        "grant execute on function postern.enter(text, text, text) to alice",
        "drop schema postern cascade",
        "drop extension postern",
        "alter extension postern add function work.evil(text)",
        "alter extension postern update to '9'",
        "comment on role postern_gate is 'x'",
        "comment on extension postern is 'x'",
        "alter role postern_gate set search_path = 'x'",
        "alter role alice set search_path = 'x'",
        "alter role current_user password 'x'",
        "alter role all set search_path = 'x'",
        "insert into postern.admitted (role, role_name) values ('alice', 'alice')",
        "delete from postern.admitted",
        "select postern.admit('postgres')",
        "select postern.dismiss('bob')",
        "select postern.seal('mine')",
        "select postern.run_as('bob', null, 'select 1')",
        "select postern.refuse_powerful('bob')",
        "select postern.create_api_key('bob', 'x')",
        "lock table postern.admitted in access exclusive mode",
    ] {
        world.alice().sql(sql).await.refused("42501");
    }
    // (With grants on sequences or columns 15 fails half-way and undoes all of it: PostgreSQL's own fault, and harmless.)
    let leaver = world.new_role().await;
    world
        .superuser(&format!(
            "create schema {leaver} authorization {leaver}; grant select on app.t to {leaver}"
        ))
        .await;
    world.actor(&leaver).sql("drop owned by current_user cascade").await.fine();
    world.actor(&leaver).sql("select v from app.t").await.refused("42501");
    assert_eq!(world.bob().sql("select v from app.f").await.text(), "fact-b");
    world.canary().await;
}

#[tokio::test]
async fn a22_breaking_out_of_quoting() {
    let world = world().await;
    for sql in [
        "select 1) x; reset role; select (select 2",
        "select 1; reset role",
        "'; reset role; --",
        "$postern$; reset role; $postern$",
        "select $tag$ x $tag2$; reset role",
        "select e'\\'; reset role; --'",
        "select 1 \\; reset role",
    ] {
        let refusal = world.alice().sql(sql).await;
        match refusal.result {
            Err(refusal) => assert_eq!(refusal.code, "42601", "{sql}: {refusal}"),
            // A text that only looks like two statements is one.
            Ok(answers) => assert_eq!(answers[0].text(), "'; reset role; --", "{sql}"),
        }
    }
    world.canary().await;
}

#[tokio::test]
async fn a23_encoding_and_quoting_settings() {
    let world = world().await;
    world.alice().sql("set client_encoding = 'SJIS'").await.fine();
    world
        .alice()
        .batch(&["set standard_conforming_strings = off", r"select 'a\'; reset role; --'"])
        .await
        .fine();
    world.alice().batch(&["set backslash_quote = on", "set escape_string_warning = off"]).await.fine();

    // Bytes that are not UTF-8 really come, and nothing announces them.
    let mut wire = world.wire().await;
    let latin = "select set_config('client_encoding', 'LATIN1', false), 'héllo'";
    let steps = [
        postern_e2e::Step::Parse("", latin, &[]),
        postern_e2e::Step::Bind("", &[]),
        postern_e2e::Step::Execute("", 0),
        postern_e2e::Step::Sync,
    ];
    let exchange = wire.entered("alice", None, &steps).await;
    let raw = exchange.replies.iter().any(|reply| {
        matches!(reply, Reply::Row(cells) if cells.iter().flatten().any(|cell| std::str::from_utf8(cell).is_err()))
    });
    assert!(raw, "{exchange:?}");
    assert!(!exchange.replies.iter().any(|reply| matches!(reply, Reply::Parameter(..))), "{exchange:?}");
    assert_eq!(wire.request("bob", None, &[("select 'héllo'", &[])]).await.text(), "héllo");
    world.canary().await;
}

// What a maintenance role runs for alice is outside any request; the server at its floor guards it (`postern doctor`).
#[tokio::test]
async fn a24_restricted_operations() {
    let world = world().await;
    for sql in [
        "create function work.immu(i int) returns int immutable language plpgsql as
             $$ begin perform work.evil('maintenance'); return i; end $$",
        "create table work.m (i int)",
        "create index on work.m (work.immu(i))",
        "insert into work.m values (1)",
        "create materialized view work.mv as select work.evil('maintenance') with no data",
    ] {
        world.alice().sql(sql).await.fine();
    }
    world.superuser("truncate work.loot; analyze work.m; reindex table work.m").await;
    let _ = world.admin().batch_execute("refresh materialized view work.mv").await;
    let seen = world.look("select distinct cu from work.loot").await;
    assert!(seen.is_empty() || seen == "alice", "{seen}");
    world.canary().await;
}

// The install script names everything: what lies in `public` under the names of the catalog is not called.
#[tokio::test]
async fn a25_extension_script_hijack() {
    let world = world().await;
    world
        .superuser(
            "drop extension postern cascade; grant create on schema public to alice;
             create function public.boom(text) returns text language plpgsql as $$ begin raise 'captured'; end $$;
             create function public.boom2(name, name) returns bool language plpgsql as $$ begin raise 'captured'; end $$;
             create function public.boom2(oid, oid) returns bool language plpgsql as $$ begin raise 'captured'; end $$;
             create function public.boom2(text, text) returns bool language plpgsql as $$ begin raise 'captured'; end $$;
             create operator public.= (procedure = public.boom2, leftarg = name, rightarg = name);
             create operator public.= (procedure = public.boom2, leftarg = oid, rightarg = oid);
             create operator public.= (procedure = public.boom2, leftarg = text, rightarg = text);
             create function public.format(text, name) returns text language plpgsql as $$ begin raise 'captured'; end $$;
             create function public.now() returns timestamptz language plpgsql as $$ begin raise 'captured'; end $$;
             create domain public.name as text check (value is null); create domain public.text as pg_catalog.text check (value is null);
             create table public.pg_roles (rolname pg_catalog.name); create table public.pg_namespace (nspname pg_catalog.name);
             set search_path = public, pg_catalog; create extension postern; reset search_path;
             select postern.admit('alice'), postern.admit('bob'), postern.admit('carol');
             create policy p on app.f using (sub = (select postern.fact('claims.sub')))",
        )
        .await;
    let mut wire = world.wire().await;
    assert_eq!(wire.request("bob", None, &[("select current_user", &[])]).await.text(), "bob");
    world.canary().await;
}

// The floor (G) has the server's own repair. Elements of CREATE SCHEMA are made as the caller, and nothing of a definer's
// path is left to them.
#[tokio::test]
async fn a26_create_schema() {
    let world = world().await;
    world
        .superuser(&format!(
            "grant create on database {} to alice;
             create function app.make(name text) returns void language plpgsql security definer
                 set search_path = pg_catalog, pg_temp as $$ begin execute format('create schema %I', name); end $$",
            world.database()
        ))
        .await;
    let elements = "create schema mine create table t (b boolean default work.evil('element'))
        create view v as select current_user u, work.evil('view') e";
    world
        .alice()
        .batch(&[elements, "insert into mine.t default values", "select * from mine.v"])
        .await
        .fine();
    assert_eq!(world.loot().await, "element|alice\nview|alice");
    let owners = "select distinct relowner::regrole from pg_class where relnamespace = 'mine'::regnamespace";
    assert_eq!(world.look(owners).await, "alice");
    assert_eq!(
        world.alice().batch(&["select app.make('theirs')", "select current_user"]).await.text(),
        "alice"
    );
    world.alice().sql("create table theirs.t (i int)").await.refused("42501");
    world.canary().await;
}

// The floor (G) has the server's own repair. A role or user set for a role is not applied by entering it, its other settings are,
// and every request begins as the gate, whatever the one before was.
#[tokio::test]
async fn a27_roles_set_for_roles() {
    let world = world().await;
    let role = world.new_role().await;
    let presets =
        ["role = 'bob'", "search_path = 'work'", "statement_timeout = '1ms'", "request.jwt.claims = '{}'"];
    for preset in presets {
        world.superuser(&format!("alter role {role} set {preset}")).await;
    }
    let who = "select current_user, current_setting('role'), current_setting('search_path')";
    for _ in 0..3 {
        world.actor(&role).sql("select pg_sleep(600)").await.refused("57014");
        world.superuser(&format!("alter role {role} set statement_timeout = 0")).await;
        assert_eq!(world.actor(&role).sql(who).await.text(), format!("{role}|none|work"));
        world.superuser(&format!("alter role {role} set statement_timeout = '1ms'")).await;
        assert_eq!(world.alice().sql(who).await.text(), "alice|none|\"$user\", public");
        world.actor(&role).sql(&format!("alter role {role} reset all")).await.refused("42501");
        world.alice().sql("set session authorization default").await.refused("42501");
        world.alice().batch(&["select 1", "reset role"]).await.refused("42501");
    }
    world.superuser(&format!("alter role {role} reset all")).await;
    world.canary().await;
}

#[tokio::test]
async fn a28_loopback_connections() {
    let world = world().await;
    if !world.offers("dblink").await {
        return;
    }
    world.superuser("create extension dblink").await;
    let socket = world.site().cluster().socket_dir().display().to_string();
    for to in [
        "host=127.0.0.1 dbname=postgres user=postgres",
        &format!("host={socket} dbname=postgres user=postgres"),
    ] {
        let sql = format!("select * from dblink('{to}', 'select current_user') t(x text)");
        world.alice().sql(&sql).await.refused("2F003");
    }
    world.alice().sql("select dblink_connect_u('x', 'host=127.0.0.1')").await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn a30_server_files_programs_settings() {
    let world = world().await;
    for sql in [
        "copy app.t to program 'id'",
        "copy app.t from program 'id'",
        "copy app.t to '/var/tmp/x.out'",
        "copy app.t from '/etc/passwd'",
        "select pg_read_file('postgresql.conf')",
        "select pg_read_binary_file('postgresql.conf')",
        "select pg_ls_dir('.')",
        "select pg_stat_file('postgresql.conf')",
        "select lo_import('postgresql.conf')",
        "load 'plpgsql'",
        "checkpoint",
        "select pg_reload_conf()",
        "create function work.cf() returns int language c as 'x', 'y'",
        "create type work.bt",
        "create extension dblink",
        "create role zed",
        "create event trigger e on ddl_command_end execute function work.evil_trg()",
        "create language plperl",
        "create access method am type index handler work.evil",
        "create foreign data wrapper w",
        "create server s foreign data wrapper postgres_fdw",
        "select pg_switch_wal()",
        "select pg_create_restore_point('x')",
        "select * from pg_hba_file_rules",
        "select * from pg_authid",
        "select * from pg_file_settings",
    ] {
        let refusal = world.alice().sql(sql).await;
        let code = match sql {
            // There is no such wrapper to have rights on, and no such language.
            "create server s foreign data wrapper postgres_fdw"
            | "create language plperl"
            | "create extension dblink" => refusal.result.unwrap_err().code,
            _ => refusal.refused("42501").code,
        };
        assert!(["42501", "42704", "0A000"].contains(&code.as_str()), "{sql}: {code}");
    }
    // These run transactions of their own, which is refused first.
    world.alice().sql("alter system set work_mem = '1MB'").await.refused("25001");
    world.alice().sql("create subscription s connection '' publication p").await.refused("25001");
    world.canary().await;
}

#[tokio::test]
async fn a32_row_security_not_in_force() {
    let world = world().await;
    world.alice().batch(&["set row_security = off", "select * from app.t"]).await.refused("42501");
    for sql in [
        "alter table app.t disable row level security",
        "alter table app.t no force row level security",
        "create policy z on app.t using (true)",
        "alter policy p on app.t using (true)",
        "drop policy p on app.t",
        "alter table app.t owner to alice",
    ] {
        world.alice().sql(sql).await.refused("42501");
    }
    assert_eq!(world.alice().sql("select v from app.t").await.text(), "a1");
    world.canary().await;
}

#[tokio::test]
async fn a34_membership_games() {
    let world = world().await;
    for sql in [
        "grant alice to bob",
        "grant bob to alice",
        "grant postern_gate to alice",
        "grant alice to postern_gate",
        "grant postern_admin to alice",
        "revoke alice from postern_gate",
        "drop role alice",
        "drop role bob",
        "alter role bob password 'x'",
        "reassign owned by alice to bob",
        "reassign owned by bob to alice",
        "alter role alice bypassrls",
        "alter role alice superuser",
        "alter role alice rename to eve",
        "drop owned by bob",
        "alter group bob add user alice",
    ] {
        world.alice().sql(sql).await.refused("42501");
    }
    world.canary().await;
}

#[tokio::test]
async fn a35_drop_owned_and_restrictive_policies() {
    let world = world().await;
    let role = world.new_role().await;
    world
        .superuser(&format!(
            "create policy perm on app.rp using (true); grant usage on schema app to public;
             create policy restr on app.rp as restrictive to {role} using (who = current_user)"
        ))
        .await;
    let version: u32 = world.look("show server_version_num").await.parse().unwrap();
    let floor = match version / 10_000 {
        15 => 150_020,
        16 => 160_016,
        17 => 170_012,
        _ => 180_007,
    };
    let dropper = world.actor(&role);
    let seen = dropper.batch(&[&format!("drop owned by {role} cascade"), "select who from app.rp"]).await;
    // Below the floor the server takes the role out of the policy; the doctor refuses to serve there.
    if version >= floor {
        assert_eq!(seen.text(), "");
        assert_eq!(
            world
                .look(&format!(
                    "select polroles = array['{role}'::regrole::oid] from pg_policy where polname = 'restr'"
                ))
                .await,
            "t"
        );
    }
    world.canary().await;
}
