//! The subscription that stops because a trigger does not find its table: foretold, seen, and mended.

use crate::pair::Pair;

#[test]
fn a_stall_is_foretold_and_flows_after_the_fix() {
    let pair = Pair::start("create table doc (id int primary key); create table log (id int);");
    pair.publish("create publication pub for table app.doc");
    pair.there(
        "set role owner; set search_path = app;
         create function audit() returns trigger language plpgsql as $$ begin insert into log values (new.id); return new; end $$;
         create trigger audit after insert on doc for each row execute function audit();
         alter table doc enable always trigger audit",
    );
    // By hand it works.
    pair.there(
        "set role owner; set search_path = app; insert into doc values (0); delete from doc; truncate log",
    );
    // Foretold, with the error that the subscriber will show, and the statement that mends it.
    let foretold =
        "select step, sqlstate, message, fix from postern.rehearse_apply('app.doc') where step = 'insert'";
    let fix = "ALTER FUNCTION app.audit() SET search_path = app, pg_temp;";
    assert_eq!(pair.there(foretold), format!("insert|42P01|relation \"log\" does not exist|{fix}"));
    assert_eq!(pair.there("select count(*) from app.log"), "0");

    pair.subscribe("enabled = false");
    let recipe = pair.there("select * from postern.subscription_recipe('sub')");
    recipe.lines().for_each(|statement| drop(pair.there(statement)));
    pair.there("alter subscription sub enable");
    pair.until("select srsubstate from pg_subscription_rel", "r");
    pair.publish("insert into app.doc values (1)");
    // Seen.
    pair.until("select apply_error_count > 0 from pg_stat_subscription_stats", "t");
    assert!(pair.log().contains("relation \"log\" does not exist"), "{}", pair.log());
    assert_eq!(pair.there("select count(*) from app.doc"), "0");
    // Mended.
    pair.there(fix);
    assert_eq!(pair.there(foretold), "insert|||");
    pair.until("select count(*) from app.log", "1");
    assert_eq!(pair.there("select count(*) from app.doc"), "1");
}
