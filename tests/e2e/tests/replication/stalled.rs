//! The subscription that stops because a trigger does not find its table: foretold, seen, and mended.

use postern_analyze::catalog::{Catalog, load};
use postern_analyze::check::{self, Finding, Scope};
use postern_doctor::connect;

use crate::doctor::doctor;
use crate::pair::Pair;

/// What `postern check` finds on the subscriber.
fn check(pair: &Pair) -> Vec<Finding> {
    let url = pair.subscriber.url(pair.subscriber.superuser(), "app");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = connect::connect(&connect::parse(&url).unwrap(), None).await.unwrap();
        check::database(&Catalog::new(load::load(&client).await.unwrap()), Scope::default())
    })
}

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
    // From the code alone, as well.
    let found = check(&pair);
    let stop = found.iter().find(|finding| finding.rule == "stops-apply").unwrap();
    assert!(stop.message.ends_with("relation \"log\" does not exist"), "{}", stop.message);
    assert!(stop.remedy.ends_with("SET search_path = pg_catalog, app, pg_temp"), "{}", stop.remedy);

    pair.subscribe("enabled = false");
    let recipe = pair.there("select * from postern.subscription_recipe('sub')");
    let before = doctor(&pair);
    assert!(before.contains("code runs as") && before.contains("disabled"), "{before}");
    recipe.lines().for_each(|statement| drop(pair.there(statement)));
    pair.there("alter subscription sub enable");
    let foretold_by_doctor = doctor(&pair);
    assert!(
        foretold_by_doctor.contains("would stop:\n  app.doc, insert: relation \"log\" does not exist"),
        "{foretold_by_doctor}"
    );
    assert!(foretold_by_doctor.contains(fix), "{foretold_by_doctor}");
    pair.until("select srsubstate from pg_subscription_rel", "r");
    pair.publish("insert into app.doc values (1)");
    // Seen.
    pair.until("select apply_error_count > 0 from pg_stat_subscription_stats", "t");
    assert!(pair.log().contains("relation \"log\" does not exist"), "{}", pair.log());
    assert_eq!(pair.there("select count(*) from app.doc"), "0");
    // Written down by itself, once, for those who may read the table.
    let conflicts = "select subscription, relation, kind, errors > 0, position is null, message from postern.apply_conflicts";
    pair.until(
        &format!("set role owner; {conflicts}"),
        "sub|app.doc|apply|t|f|relation \"log\" does not exist",
    );
    assert_eq!(pair.there(&format!("set role author; {conflicts}")), "");
    assert_eq!(
        pair.there("set role postern_read_all_conflicts; select count(*) from postern.apply_conflicts"),
        "1"
    );
    let stats = "set role postern_read_all_stats; select subscription, tables, ready, apply_errors > 0 from postern.subscription_stats";
    assert_eq!(pair.there(stats), "sub|1|1|t");
    // Mended.
    pair.there(fix);
    pair.until("select count(*) from app.log", "1");
    // Not before: the row that is made up could be the one that is being applied.
    assert_eq!(pair.there(foretold), "insert|||");
    assert_eq!(pair.there("select count(*) from app.doc"), "1");
    assert!(!check(&pair).iter().any(|finding| finding.rule == "stops-apply"));
    let after = doctor(&pair);
    assert!(after.contains("trigger audit on app.doc runs app.audit() of \"owner\" as"), "{after}");
    assert!(after.ends_with("\nsafe\n"), "{after}");
}
