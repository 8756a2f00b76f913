//! N34 – …: what the server keeps of a reading or a look, by ways that the tests of `n_kept` do not go.

use super::world;

// Settings that are read when an expression is planned, or a function compiled: constants are computed then.
#[tokio::test]
async fn n34_constants_computed_under_other_settings() {
    let world = world().await;
    world
        .superuser(
            r"
            create function app.bytes() returns text language plpgsql as
                $$ begin return pg_catalog.decode('4142', 'hex')::text; end $$;
            create function app.third() returns text language plpgsql as
                $$ begin return (1.0::float8 / 3.0::float8)::text; end $$;
            create function app.one_of_two() returns int language plpgsql as
                $$ declare x int; begin select i into x from (values (1), (2)) v (i); return x; end $$;
            create function app.strictly() returns text language plpgsql as $$
                declare least int := 0; x int; said text;
                begin
                    select i into strict x from (values (1), (2)) v (i) where i > least;
                exception when too_many_rows then
                    get stacked diagnostics said = pg_exception_detail;
                    return said;
                end $$;
            ",
        )
        .await;
    for (setting, call, truth) in [
        ("bytea_output = 'escape'", "select app.bytes()", r"\x4142"),
        ("extra_float_digits = -10", "select app.third()", "0.3333333333333333"),
        ("plpgsql.extra_errors = 'too_many_rows'", "select app.one_of_two()", "1"),
        ("plpgsql.print_strict_params = on", "select app.strictly()", ""),
    ] {
        let _ = world.alice().batch(&[&format!("set {setting}"), call]).await;
        assert_eq!(world.bob().sql(call).await.text(), truth, "after {setting}");
        // The other way round: what he has used is not hers.
        let _ = world.alice().batch(&[&format!("set {setting}"), call]).await;
        assert_eq!(world.bob().sql(call).await.text(), truth, "after {setting}, once more");
    }
    world.canary().await;
}

// The settings change while a function is under way, and are back before it ends; no function of anybody's changes them.
#[tokio::test]
async fn n35_settings_that_change_in_the_middle_and_back() {
    let world = world().await;
    world
        .superuser(
            r"
            create table work.once (x text);
            create table work.again (x text);
            alter table work.once owner to alice;
            alter table work.again owner to alice;
            grant insert on work.once, work.again to bob;
            create function app.in_between(x text) returns bool language plpgsql as $$
                declare found bool;
                begin
                    insert into work.once (x) values (x);
                    found := x ~ '^\d+$';
                    insert into work.again (x) values (x);
                    return found;
                end $$;
            ",
        )
        .await;
    let default = |value| {
        format!(
            "case when current_user = 'alice' then set_config('standard_conforming_strings', '{value}', false) end"
        )
    };
    world
        .alice()
        .batch(&[
            &format!("alter table work.once add y text default {}", default("off")),
            &format!("alter table work.again add y text default {}", default("on")),
        ])
        .await
        .fine();
    let call = "select app.in_between('12')";
    world.alice().sql(call).await.fine();
    assert_eq!(world.bob().sql(call).await.text(), "t");
    world.canary().await;
}

// From 18 on: the planner calls a function in SQL for a constant, and keeps what it has read of it.
#[tokio::test]
async fn n36_functions_in_sql_that_the_planner_calls() {
    let world = world().await;
    world
        .superuser(
            r"
            create function app.folded(x text) returns bool language sql immutable as
                $$ select null::text; select x ~ '^\d+$' $$;
            create function app.inlined(x text) returns bool language sql immutable as
                $$ select x ~ '^\d+$' $$;
            ",
        )
        .await;
    for function in ["folded", "inlined"] {
        let constant = format!("select app.{function}('12')");
        world.alice().batch(&["set standard_conforming_strings = off", &constant]).await.fine();
        let varying = format!("select bool_and(app.{function}(x)) from (values ('12'), ('34')) v (x)");
        assert_eq!(world.bob().sql(&varying).await.text(), "t", "{function}");
        assert_eq!(world.bob().sql(&constant).await.text(), "t", "{function}");
    }
    world.canary().await;
}

// What a look leaves in the operator's session, which a rollback does not take back.
#[tokio::test]
async fn n37_locks_of_a_look() {
    let world = world().await;
    let held = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()";
    world
        .alice()
        .batch(&[
            "create function work.lock(int, int) returns bool language plpgsql as
                $$ begin perform pg_advisory_lock($1, $2); return true; end $$",
            "create operator work.## (leftarg = int, rightarg = int, function = pg_catalog.pg_try_advisory_lock)",
        ])
        .await
        .fine();
    world.superuser("select pg_advisory_lock(7)").await;
    for query in [
        "select pg_advisory_lock(1)",
        "select pg_advisory_lock_shared(1)",
        "select pg_try_advisory_lock(1)",
        "select pg_try_advisory_lock_shared(1)",
        "select pg_advisory_lock(1, 2)",
        "select pg_advisory_lock_shared(1, 2)",
        "select pg_try_advisory_lock(1, 2)",
        "select pg_try_advisory_lock_shared(1, 2)",
        "select work.lock(1, 2)",
        "select 1 operator(work.##) 2",
        "select (array_agg(1 operator(work.##) i))[1] from generate_series(1, 3) i",
        "select 1 operator(work.##) any (array[2, 3])",
        // The operator's own.
        "select pg_advisory_unlock(7)",
        "select pg_advisory_unlock_all()",
    ] {
        let look = format!("select postern.run_as('alice', null, $look$ {query} $look$)");
        let error = world.admin().simple_query(&look).await.expect_err(query);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), "0A000", "{query}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("pg_advisory_xact_lock")), "{error:?}");
        assert_eq!(world.look(held).await, "1", "after {query}");
    }
    // A lock of the transaction goes with the look.
    world.look("select postern.run_as('alice', null, 'select pg_advisory_xact_lock(1)')").await;
    assert_eq!(world.look(held).await, "1");
    // The same as an owner's table is asked why a row is seen.
    let attempt = "select postern.attempt_as('alice'::regrole, null, 'select pg_advisory_lock(1)')";
    assert!(world.admin().simple_query(attempt).await.is_err());
    assert_eq!(world.look(held).await, "1");
    world.superuser("select pg_advisory_unlock(7)").await;
    // Entered, they are as ever: released with the request.
    world.alice().sql("select pg_advisory_lock(1)").await.fine();
    world.canary().await;
}

#[tokio::test]
async fn n38_the_seed_of_a_look() {
    let world = world().await;
    let mut drawn = std::collections::HashSet::new();
    for _ in 0..3 {
        world.look("select postern.run_as('alice', null, 'select setseed(0.5)')").await;
        drawn.insert(world.look("select random()").await);
    }
    assert_eq!(drawn.len(), 3, "alice says what the operator's random() gives: {drawn:?}");
    world.canary().await;
}

// From 18 on: columns that are computed whenever somebody reads, and the rows that were there before a change.
#[tokio::test]
async fn n39_columns_that_are_computed_by_who_reads() {
    let world = world().await;
    if version(&world).await < 180_000 {
        let refused =
            world.alice().sql("create table work.v (a int, b int generated always as (a) virtual)").await;
        refused.refused("42601");
        world.canary().await;
        return;
    }
    world.alice().sql("create function work.trap(int) returns int language plpgsql immutable as $$ begin perform work.evil('computed'); return $1; end $$").await.fine();
    world
        .alice()
        .sql("create table work.v (a int, b int generated always as (work.trap(a)) virtual)")
        .await
        .refused("0A000");
    world
        .alice()
        .sql("create table work.v (a int, b text generated always as (a::work.evildom::text) virtual)")
        .await
        .refused("0A000");
    // An operator or a cast of hers is a function, too.
    world.alice().sql("create operator work.@@@ (rightarg = int, function = work.trap)").await.fine();
    world
        .alice()
        .sql("create table work.v (a int, b int generated always as (operator(work.@@@) a) virtual)")
        .await
        .refused("0A000");
    world
        .alice()
        .batch(&[
            "create table work.v (a int, b int generated always as (a + 1) virtual)",
            "grant all on work.v to bob",
            "insert into work.v values (1)",
        ])
        .await
        .fine();
    assert_eq!(world.bob().sql("select b from work.v").await.text(), "2");
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

// Who changes rows past their policies does not read them past their policies.
#[tokio::test]
async fn n40_rows_that_a_change_gives_back() {
    let world = world().await;
    world
        .superuser(
            "create table app.held (id int primary key, who text, secret text);
             insert into app.held values (1, 'alice', 'hers'), (2, 'bob', 'BOB-SECRET');
             alter table app.held enable row level security;
             create policy own on app.held using (who = current_user);
             create table app.news (id int, secret text);
             insert into app.news values (1, 'new'), (2, 'new'), (3, 'new');
             grant select on app.news to alice;
             grant select on app.held to alice;
             select postern.grant_direct('{update,delete,insert}', 'app.held', '{alice}')",
        )
        .await;
    let version = version(&world).await;
    let merge = "merge into app.held h using app.news n on h.id = n.id when matched then";
    let mut statements = vec![
        "update app.held set secret = secret where id = 2 returning secret".to_owned(),
        "update app.held set secret = 'x' where secret like 'BOB%'".to_owned(),
        "delete from app.held where id = 2 returning *".to_owned(),
    ];
    if version >= 170_000 {
        statements
            .push(format!("{merge} delete when not matched by source then delete returning h.id, h.secret"));
        statements.push(format!("{merge} update set secret = 'x' returning merge_action(), h.secret"));
    }
    if version >= 180_000 {
        statements.push("update app.held set secret = 'x' returning old.secret, new.secret".to_owned());
        statements.push("delete from app.held returning old.secret".to_owned());
        statements.push(
            "insert into app.held values (2, 'alice', 'x') on conflict (id) do update set secret = 'x' returning old.secret"
                .to_owned(),
        );
    }
    for sql in statements {
        let said = match world.alice().sql(&sql).await.result {
            Ok(answers) => answers.iter().map(postern_e2e::Answer::text).collect(),
            Err(refusal) => refusal.to_string(),
        };
        assert!(!said.contains("BOB-SECRET"), "{sql}: {said}");
    }
    assert_eq!(world.look("select secret from app.held where id = 2").await, "BOB-SECRET");
    world.canary().await;
}

// From 17 on: the client says when the server ends its connection. It costs her request, and nobody else's.
#[tokio::test]
async fn n41_a_timeout_that_ends_the_connection() {
    let world = world().await;
    let newer = version(&world).await >= 170_000;
    let before = world.backend().await;
    for setting in
        ["transaction_timeout = 20", "idle_in_transaction_session_timeout = 1", "idle_session_timeout = 1"]
    {
        let ends = newer && setting.starts_with("transaction_timeout");
        let sleep = if ends { "select pg_sleep(20)" } else { "select pg_sleep(0.05)" };
        let outcome = world.alice().batch(&[&format!("set {setting}"), sleep]).await;
        match outcome.result {
            Err(refusal) if ends => assert_eq!(refusal.code, "25P04", "{refusal}"),
            Err(refusal) => assert_eq!((setting, &*refusal.code), ("transaction_timeout = 20", "42704")),
            Ok(_) => assert!(!ends, "{setting}"),
        }
        assert_eq!(world.bob().sql("select current_user").await.text(), "bob", "after {setting}");
    }
    if !newer {
        assert_eq!(world.backend().await, before, "no connection was lost");
    }
    world.canary().await;
}

// What an operator who looks has open: cursors, with what is in them and how they were written.
#[tokio::test]
async fn n42_cursors_of_who_looks() {
    let world = world().await;
    world
        .alice()
        .batch(&[
            "create function work.by_language(name text) returns text language plpgsql as
                $$ declare c refcursor := name; r record; begin fetch next from c into r; return to_jsonb(r); end $$",
            "create function work.by_text(name text) returns text language plpgsql as
                $$ declare r record; begin execute format('fetch next from %I', name) into r; return to_jsonb(r); end $$",
            "create function work.moved(name text) returns text language plpgsql as
                $$ begin execute format('move 2 from %I', name); return 'moved'; end $$",
            "create function work.closed(name text) returns text language plpgsql as
                $$ begin execute format('close %I', name); return 'closed'; end $$",
            "create function work.all_closed(name text) returns text language plpgsql as
                $$ begin execute 'close all'; return ''; end $$",
            "create function work.own(name text) returns text language plpgsql as $$
                declare c cursor for select 'own' || i as x from generate_series(1, 3) i; x text; said text := '';
                begin
                    open c; fetch c into x; said := x; close c;
                    for x in select 'loop' || i from generate_series(1, 2) i loop said := said || x; end loop;
                    return said;
                end $$",
        ])
        .await
        .fine();
    let look = |call: &str, cursor: &str| {
        format!("select postern.run_as('alice', null, 'select work.{call}(''{cursor}'')')::text")
    };
    let declared =
        "declare held cursor with hold for select 'OP-SECRET' || i as s from generate_series(1, 5) i";
    world.superuser(declared).await;
    let opened = format!("begin; {}", declared.replace("held cursor with hold", "open cursor"));
    world.superuser(&opened).await;
    for cursor in ["held", "open"] {
        for call in ["by_language", "by_text", "moved", "closed"] {
            world.superuser("savepoint s").await;
            let error = world.admin().simple_query(&look(call, cursor)).await.expect_err(call);
            let error = error.as_db_error().expect("an error of the server");
            assert!(!error.to_string().contains("SECRET"), "{error}");
            assert!(["55000", "24000"].contains(&error.code().code()), "{call} of {cursor}: {error}");
            world.superuser("rollback to s").await;
        }
        world.look(&look("all_closed", cursor)).await;
    }
    let names = "select postern.run_as('alice', null, 'select * from pg_cursors')";
    world.superuser("savepoint s").await;
    let error = world.admin().simple_query(names).await.expect_err("cursors");
    assert_eq!(error.as_db_error().expect("an error of the server").code().code(), "0A000");
    world.superuser("rollback to s").await;
    // Her own work as ever, and so do the operator's afterwards: at their first rows.
    assert_eq!(world.look(&look("own", "")).await, r#"{"own": "own1loop1loop2"}"#);
    assert_eq!(world.look("fetch next from open").await, "OP-SECRET1");
    world.superuser("commit").await;
    assert_eq!(world.look("fetch next from held").await, "OP-SECRET1");
    world.superuser("close held").await;
    // A loop of the operator's is a cursor, too.
    let looping = "do $$ declare s text; mine text; said text := '';
        begin
            for s in select 'OP-SECRET' || i from generate_series(1, 3) i loop
                select name into strict mine from pg_cursors where name like '<unnamed portal%';
                begin
                    said := said || postern.run_as('alice', null, format('select work.by_text(%L)', mine))::text;
                exception when others then said := said || sqlstate; end;
            end loop;
            if said <> '550005500055000' then raise '%', said; end if;
        end $$";
    world.superuser(looping).await;
    world.canary().await;
}

// A large object that the operator has opened: whoever says its number reads it.
#[tokio::test]
async fn n43_large_objects_that_are_open_in_a_look() {
    let world = world().await;
    let object = world.look("select lo_from_bytea(0, 'OP-SECRET')").await;
    world.superuser("begin").await;
    let descriptor = world.look(&format!("select lo_open({object}, 393216)")).await;
    for call in [
        format!("select loread({descriptor}, 100)"),
        format!("select lowrite({descriptor}, 'hers')"),
        format!("select lo_lseek({descriptor}, 3, 0)"),
        format!("select lo_lseek64({descriptor}, 3, 0)"),
        format!("select lo_tell({descriptor})"),
        format!("select lo_tell64({descriptor})"),
        format!("select lo_truncate({descriptor}, 0)"),
        format!("select lo_truncate64({descriptor}, 0)"),
        format!("select lo_close({descriptor})"),
    ] {
        world.superuser("savepoint s").await;
        let look = format!("select postern.run_as('alice', null, '{}')", call.replace('\'', "''"));
        let error = world.admin().simple_query(&look).await.expect_err(&call);
        assert_eq!(
            error.as_db_error().expect("an error of the server").code().code(),
            "0A000",
            "{call}: {error}"
        );
        world.superuser("rollback to s").await;
    }
    world.superuser("commit").await;
    // Her own.
    let own = "select postern.run_as('alice', null, 'select lo_from_bytea(0, ''own'') > 0 x')::text";
    assert_eq!(world.look(own).await, r#"{"x": true}"#);
    world.canary().await;
}

/// The server's version as a number.
async fn version(world: &postern_e2e::World) -> u32 {
    world.look("show server_version_num").await.parse().expect("a number")
}
