//! N27 – …: what the server keeps of a function from one call to the next: types, constants, readings of its text.

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
            ",
        )
        .await;
    for (setting, call, truth) in [
        ("standard_conforming_strings = off", "select app.digits('12')", "t"),
        ("datestyle = 'sql, dmy'", "select app.first_of_february()", "01"),
        ("transform_null_equals = on", "select app.is_unknown(null)", "f"),
    ] {
        world.alice().batch(&[&format!("set {setting}"), call]).await.fine();
        assert_eq!(world.bob().sql(call).await.text(), truth, "after {setting}");
    }
    world.canary().await;
}
