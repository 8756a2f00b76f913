//! N27 – …: what the server keeps of a function from one call to the next: types, constants, readings of its text.

use postern_e2e::{Membership, Site, World};

use super::world;

/// A function and a trigger of an application, without a path of their own, as most are.
const SHARED: &str = r"
create function app.shared(n int) returns text language plpgsql as
    $$ declare said text; begin said := 'n' || n; return said; end $$;
create table app.audited (i int);
grant all on app.audited to alice, bob;
create function app.audit() returns trigger language plpgsql as
    $$ declare said text; begin said := new.i; return new; end $$;
create trigger audit before insert on app.audited for each row execute function app.audit();
";

#[tokio::test]
async fn n27_types_that_a_function_was_first_called_with() {
    let world = world().await;
    world.superuser(SHARED).await;
    let trap = "create domain work.text as pg_catalog.text check (work.evil('compiled'::pg_catalog.text))";
    world.alice().sql(trap).await.fine();
    let path = "set search_path = work, pg_catalog";
    world.alice().batch(&[path, "select app.shared(1)"]).await.fine();
    world.alice().batch(&[path, "insert into app.audited values (1)"]).await.fine();
    let hers = world.loot().await;
    assert!(hers.contains("compiled|alice"), "{hers}");
    world.bob().sql("select app.shared(2)").await.fine();
    world.bob().sql("insert into app.audited values (2)").await.fine();
    assert_eq!(world.loot().await, hers, "her check has run as bob");
    world.canary().await;
}

#[tokio::test]
async fn n28_readings_of_a_function_that_was_first_called_otherwise() {
    let world = world().await;
    world
        .superuser(
            r"
            create function app.digits(x text) returns bool language plpgsql as
                $$ begin return x ~ '^\d+$'; end $$;
            create function app.first_of_february() returns text language plpgsql as
                $$ begin return to_char('01/02/2020'::date, 'MM'); end $$;
            create function app.is_unknown(x int) returns bool language plpgsql as
                $$ begin return (x = null) is true; end $$;
            -- From 18 on the server keeps functions in SQL, too; those that the planner does not put in place of their calls.
            create function app.in_sql(x text) returns bool language sql volatile as
                $$ select null::text; select x ~ '^\d+$' $$;
            ",
        )
        .await;
    for (setting, call, truth) in [
        ("standard_conforming_strings = off", "select app.digits('12')", "t"),
        ("standard_conforming_strings = off", "select app.in_sql('12')", "t"),
        ("datestyle = 'sql, dmy'", "select app.first_of_february()", "01"),
        ("transform_null_equals = on", "select app.is_unknown(null)", "f"),
    ] {
        world.alice().batch(&[&format!("set {setting}"), call]).await.fine();
        assert_eq!(world.bob().sql(call).await.text(), truth, "after {setting}");
    }
    world.canary().await;
}

#[tokio::test]
async fn n29_a_text_search_configuration_that_was_found_by_a_path() {
    let site = Box::leak(Box::new(Site::start(
        Membership::Granted,
        // As an administrator writes it: the server looks it up where it is needed first.
        &[("default_text_search_config", "english")],
    )));
    let world = World::builder().start(site).await;
    world.alice().sql("create text search configuration work.english (parser = default)").await.fine();
    let words = "select to_tsvector('attack')";
    assert_eq!(world.alice().batch(&["set search_path = work, pg_catalog", words]).await.text(), "");
    assert_eq!(world.bob().sql(words).await.text(), "'attack':1");
    // The same for an operator who looks.
    let look = "select postern.run_as('alice', null, $$ select set_config('search_path', 'work, pg_catalog', true), to_tsvector('attack') $$)";
    assert!(world.look(look).await.contains("\"to_tsvector\": \"\""));
    assert_eq!(world.look(words).await, "'attack':1");
    world.canary().await;
}

#[tokio::test]
async fn n30_a_function_that_fails_is_kept_too() {
    let world = world().await;
    world
        .superuser(
            "create function app.checked(n int) returns text language plpgsql as
                $$ declare said text; begin said := 'n' || n; if n < 2 then raise 'too small'; end if; return said; end $$;",
        )
        .await;
    let trap = "create domain work.text as pg_catalog.text check (work.evil('compiled'::pg_catalog.text))";
    world.alice().sql(trap).await.fine();
    world
        .alice()
        .batch(&["set search_path = work, pg_catalog", "select app.checked(1)"])
        .await
        .refused("P0001");
    let caught = "do $$ begin perform app.checked(1); exception when others then null; end $$";
    world.alice().batch(&["set search_path = work, pg_catalog", caught]).await.fine();
    world.bob().sql("select app.checked(2)").await.fine();
    assert_eq!(world.loot().await, "", "hers was rolled back, and has not run as bob");
    world.canary().await;
}

// The settings change while a function is under way: what it reads from there on is read so.
#[tokio::test]
async fn n31_settings_that_change_in_the_middle() {
    let world = world().await;
    world
        .superuser(
            r"
            create function app.after_all(x text) returns bool language plpgsql as $$
                begin
                    insert into work.hooked values (x);
                    return x ~ '^\d+$';
                end $$;
            ",
        )
        .await;
    world
        .alice()
        .batch(&[
            "create table work.hooked (x text)",
            "grant insert on work.hooked to bob",
            "create function work.hook() returns trigger language plpgsql as
                $$ begin
                    if current_user = 'alice' then perform set_config('standard_conforming_strings', 'off', false); end if;
                    return new;
                end $$",
            "create trigger hook before insert on work.hooked for each row execute function work.hook()",
        ])
        .await
        .fine();
    let call = "select app.after_all('12')";
    world.alice().sql(call).await.fine();
    assert_eq!(world.bob().sql(call).await.text(), "t");
    world.canary().await;
}

// With one connection for all, a function that is called along different paths is compiled again and again, by itself too.
#[tokio::test]
async fn n32_a_function_that_calls_itself_along_other_paths() {
    let world = world().await;
    world
        .superuser(
            "create function app.down(n int, path text) returns text language plpgsql as $$
                declare said text := n;
                begin
                    perform set_config('search_path', path, true);
                    if n = 0 then return said; end if;
                    return said || app.down(n - 1, case path when 'app, pg_catalog' then 'pg_catalog, app' else 'app, pg_catalog' end);
                end $$",
        )
        .await;
    let calls = "select string_agg(app.down(n % 4, case n % 3 when 0 then 'app, pg_catalog' else 'pg_catalog' end), ' ' order by n) from generate_series(1, 40) n";
    let said = (1..=40)
        .map(|n| (0..=n % 4).rev().map(|n| n.to_string()).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ");
    for actor in [world.alice(), world.bob(), world.carol(), world.alice()] {
        assert_eq!(actor.sql(calls).await.text(), said);
    }
    world.canary().await;
}

#[tokio::test]
async fn n33_what_is_called_after_a_look() {
    let world = world().await;
    // By another session: whoever makes a function has it compiled.
    let maker = world.site().superuser(world.database()).await;
    let shared = "create type app.mood as enum ('fine'); create schema alice authorization alice;
        create function app.feels() returns text language plpgsql as
            $$ declare m mood; begin m := 'fine'; return m; end $$";
    maker.batch_execute(&format!("set search_path = app; {shared}")).await.expect("it can be made");
    world
        .alice()
        .batch(&[
            "create domain alice.mood as pg_catalog.text check (work.evil('looked at'))",
            "create function work.look() returns text language sql as 'select app.feels()'",
        ])
        .await
        .fine();
    // Her path is hers by her name.
    world
        .superuser(&format!("alter role alice in database {} set search_path = alice, app", world.database()))
        .await;
    world.superuser("set search_path = app; select postern.run_as('alice', null, 'select work.look()'); select app.feels()").await;
    assert_eq!(world.loot().await, "", "what she looked at was rolled back, and nothing of hers ran since");
    world.canary().await;
}
