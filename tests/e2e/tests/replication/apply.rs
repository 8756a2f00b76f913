//! As whom code runs on apply, and whose does not.

use crate::pair::Pair;

const TABLES: &str =
    "create table doc (id int primary key, body text); create table log (what text, who text);";

/// A trigger of another role, which the owner of the table has let fire on apply: what the rules are about.
const FOREIGN: &str = "
    grant trigger on app.doc to author; grant insert on app.log to author;
    set role author;
    create function app.audit() returns trigger language plpgsql as
        $$ begin insert into app.log values (tg_op, current_user); return new; end $$;
    create trigger audit before insert on app.doc for each row execute function app.audit();
    set role owner; alter table app.doc enable always trigger audit";

#[test]
fn a_trigger_of_another_role_runs_neither_in_the_copy_nor_in_the_stream() {
    let pair = Pair::start(TABLES);
    pair.publish("insert into app.doc values (1, 'copied'); create publication pub for table app.doc");
    pair.there(FOREIGN);
    // The subscription is made, and held.
    pair.subscribe("enabled = true");
    assert_eq!(pair.there("select subenabled from pg_subscription"), "f");
    let error = pair.refused("alter subscription sub enable");
    assert!(error.contains("has tables with code that may not run on apply"), "{error}");
    assert!(error.contains("app.audit(), which belongs to \"author\""), "{error}");
    assert_eq!(pair.there("select subenabled from pg_subscription"), "f");
    assert_eq!(pair.there("select count(*) from app.doc"), "0");

    // Mended as the findings say. On 15 the owner of the subscription is a superuser, who would run the owner's code: the recipe.
    let mend = pair.there("select mend from postern.replication_findings where relation = 'app.doc'::regclass and reason = 'foreign'");
    let mend = mend.split("; ").next().unwrap();
    assert_eq!(mend, "ALTER FUNCTION app.audit() OWNER TO owner");
    pair.there(mend);
    let major: u32 = pair.there("select current_setting('server_version_num')::int / 10000").parse().unwrap();
    if major < 16 {
        let error = pair.refused("alter subscription sub enable");
        assert!(error.contains("the owner of subscription \"sub\" and a superuser"), "{error}");
        for statement in pair.there("select * from postern.subscription_recipe('sub')").lines() {
            pair.there(statement);
        }
        assert_eq!(pair.there("select * from postern.subscription_recipe('sub')"), "");
    } else {
        pair.there("alter subscription sub enable");
    }
    let runner = if major < 16 { "sub_apply" } else { "owner" };
    assert_eq!(
        pair.there("select kind, object, runs_as from postern.apply_identity"),
        format!("trigger|audit|{runner}")
    );
    pair.until("select count(*) from app.doc", "1");
    pair.publish("insert into app.doc values (2, 'streamed')");
    pair.until("select count(*) from app.doc", "2");
    assert_eq!(
        pair.there("select what, who, count(*) from app.log group by 1, 2"),
        format!("INSERT|{runner}|2")
    );

    // While it streams, nobody makes the code another's.
    for statement in [
        "set role author; create trigger more before insert on app.doc for each row execute function app.mine()",
        "set role owner; alter function app.audit() owner to author",
        "set role owner; create trigger more before insert on app.doc for each row execute function app.mine()",
        "set role owner; alter table app.doc add check (app.test(id)) not valid",
        "set role owner; alter table app.doc alter body set default app.text()",
    ] {
        pair.there(
            "grant author to owner; set role author;
             create or replace function app.mine() returns trigger language plpgsql as $$ begin insert into app.log values ('mine', current_user); return new; end $$;
             create or replace function app.test(int) returns bool language sql as 'select true';
             create or replace function app.text() returns text language sql as 'select ''x'''",
        );
        let error = pair.refused(&format!("set role author; {statement}"));
        assert!(
            error.contains("may not run app.mine()")
                || error.contains("may not be replicated after this change"),
            "{statement}: {error}"
        );
    }
    pair.publish("insert into app.doc values (3, 'streamed')");
    pair.until("select count(*) from app.doc", "3");
    assert_eq!(pair.there("select distinct who from app.log"), runner);
}

#[test]
fn what_is_held_would_have_run_as_the_owner_of_the_subscription() {
    // The same without the rules: what they are for.
    let pair = Pair::start(TABLES);
    pair.publish("insert into app.doc values (1, 'copied'); create publication pub for table app.doc");
    pair.there(FOREIGN);
    pair.there("alter system set postern.trigger_rule = off; select pg_reload_conf()");
    pair.until("show postern.trigger_rule", "off");
    pair.subscribe("enabled = true");
    pair.until("select count(*) from app.doc", "1");
    let major: u32 = pair.there("select current_setting('server_version_num')::int / 10000").parse().unwrap();
    let runner = if major < 16 { pair.subscriber.superuser() } else { "owner" };
    assert_eq!(pair.there("select who from app.log"), runner);
    assert_eq!(pair.there("select runs_as from postern.apply_identity where object = 'audit'"), runner);
}

#[test]
fn a_definer_function_runs_as_its_owner_and_a_domain_is_held() {
    let pair = Pair::start(TABLES);
    pair.publish("create publication pub for table app.doc");
    pair.there(
        "grant trigger on app.doc to author; grant insert on app.log to author;
         set role author;
         create function app.audit() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as
             $$ begin insert into app.log values (tg_op, current_user); return new; end $$;
         create trigger audit before insert on app.doc for each row execute function app.audit();
         create domain app.text as text;
         set role owner; alter table app.doc enable replica trigger audit",
    );
    pair.subscribe("enabled = true");
    pair.publish("insert into app.doc values (1, 'a')");
    pair.until("select count(*) from app.doc", "1");
    assert_eq!(pair.there("select who from app.log"), "author");
    assert_eq!(pair.there("select runs_as from postern.apply_identity where object = 'audit'"), "author");
    // The author takes the DEFINER away, or makes the type of a column its own.
    let error = pair.refused("set role author; alter function app.audit() security invoker");
    assert!(error.contains("may not be replicated after this change"), "{error}");
    let error = pair.refused("set role owner; alter table app.doc alter body type app.text");
    assert!(error.contains("Domain app.text in app.doc belongs to \"author\""), "{error}");
}

#[test]
fn what_an_owner_writes_does_not_run_as_a_superuser() {
    // An expression calls nothing but the server's own functions, and functions that are not for its author: whoever applies a row may
    // execute both.
    let pair = Pair::start(TABLES);
    pair.publish("create publication pub for table app.doc");
    let major: u32 = pair.there("select current_setting('server_version_num')::int / 10000").parse().unwrap();
    pair.there(
        "create function app.administers(int) returns bool language plpgsql security definer set search_path = pg_catalog, pg_temp as
             $$ begin execute 'alter role owner createrole'; return true; end $$;
         revoke execute on function app.administers(int) from public;
         set role owner;
         create function app.more() returns int language plpgsql as
             $$ begin execute 'alter role owner superuser'; return 1; exception when insufficient_privilege then return 2; end $$;
         alter table app.doc add leak text; alter table app.doc alter leak set default pg_read_file('PG_VERSION');
         alter table app.doc add constraint told check (ts_rewrite('a', 'select ''a''::tsquery, ''b''::tsquery where app.more() > 0') is not null) not valid;
         alter table app.doc add constraint closed check (app.administers(id)) not valid",
    );
    pair.subscribe(if major < 16 { "enabled = true" } else { "enabled = true, run_as_owner = true" });
    assert_eq!(pair.there("select subenabled from pg_subscription"), "f");
    let error = pair.refused("alter subscription sub enable");
    for what in [
        "Default \"leak\" of app.doc, which \"owner\" has written, calls pg_read_file(text)",
        "Check \"told\" of app.doc, which \"owner\" has written, calls ts_rewrite(tsquery,text)",
        "Check \"closed\" of app.doc, which \"owner\" has written, calls app.administers(integer)",
    ] {
        assert!(error.contains(what), "{what}: {error}");
    }
    // Mended, it flows; and nobody puts it back while it does.
    pair.there(
        "set role owner; alter table app.doc alter leak drop default;
         alter table app.doc drop constraint told; alter table app.doc drop constraint closed;
         alter table app.doc alter leak set default clock_timestamp()::text",
    );
    pair.there("alter subscription sub enable");
    pair.publish("insert into app.doc values (1, 'theirs')");
    pair.until("select count(leak) from app.doc", "1");
    for statement in [
        "alter table app.doc alter leak set default pg_read_file('PG_VERSION')",
        "alter table app.doc add check (ts_rewrite('a', 'select ''a''::tsquery, ''b''::tsquery where app.more() > 0') is not null) not valid",
        "alter table app.doc add check (app.administers(id)) not valid",
        "create domain app.told as text check (ts_rewrite('a', 'select ''a''::tsquery, ''b''::tsquery') is not null); alter table app.doc alter body type app.told",
        "create index on app.doc (id) where app.administers(id)",
    ] {
        let error = pair.refused(&format!("set role owner; {statement}"));
        assert!(
            error.contains("may not be replicated after this change")
                // The server asks itself when there are rows.
                || error.contains("permission denied") || error.contains("must be marked IMMUTABLE"),
            "{statement}: {error}"
        );
    }
    assert_eq!(pair.there("select rolsuper, rolcreaterole from pg_roles where rolname = 'owner'"), "f|f");
    // What its author may execute now and then no more: to take that away is refused, by whatever GRANT or REVOKE.
    pair.there(
        "create schema lent authorization author; set role author; grant usage on schema lent to owner;
         create function lent.stamps(int) returns bool language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return true; end';
         set role owner; alter table app.doc add constraint lent check (lent.stamps(id)) not valid",
    );
    for statement in [
        "revoke execute on function lent.stamps(int) from public",
        "revoke execute on all functions in schema lent from public",
        "revoke all on routine lent.stamps from public",
    ] {
        let error = pair.refused(&format!("set role author; {statement}"));
        assert!(
            error.contains(
                "Check \"lent\" of app.doc, which \"owner\" has written, calls lent.stamps(integer)"
            ),
            "{statement}: {error}"
        );
    }
    // With another way to it that stays, and of a function that nothing calls, it is not.
    pair.there("set role author; grant execute on function lent.stamps(int) to owner; revoke execute on function lent.stamps(int) from public; create function lent.idle() returns int language sql as 'select 1'; revoke execute on function lent.idle() from public");
    pair.there("set role owner; alter table app.doc drop constraint lent");
    // As the owner of the table it is the owner's own affair, from 16 on.
    if major >= 16 {
        pair.there("alter subscription sub set (run_as_owner = false)");
        pair.there("set role owner; alter table app.doc add constraint told check (ts_rewrite('a', 'select ''a''::tsquery, ''b''::tsquery where app.more() > 0') is not null) not valid");
        pair.publish("insert into app.doc values (2, 'theirs')");
        pair.until("select count(*) from app.doc", "2");
        assert_eq!(pair.there("select rolsuper, rolcreaterole from pg_roles where rolname = 'owner'"), "f|f");
    }
}
