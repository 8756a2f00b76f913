//! What is said of a subscription before it runs is what then happens.

use postern_doctor::{connect, subscription};

use crate::pair::Pair;

/// What `postern doctor --subscription sub` prints.
pub fn doctor(pair: &Pair) -> String {
    let url = pair.subscriber.url(pair.subscriber.superuser(), "app");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = connect::connect(&connect::parse(&url).unwrap(), None).await.unwrap();
        let found = subscription::examine(&client, "sub").await.unwrap().unwrap();
        assert_eq!(subscription::examine(&client, "other").await.unwrap(), None);
        let text = subscription::text(&found);
        assert_eq!(found.is_safe(), text.ends_with("\nsafe\n"), "{text}");
        assert!(text.lines().count() < 40, "{text}");
        text
    })
}

/// The statements that give the subscription an owner with fewer rights, but for the one that enables it.
fn follow_recipe(pair: &Pair) {
    let recipe = pair.there("select * from postern.subscription_recipe('sub')");
    recipe
        .lines()
        .filter(|statement| !statement.ends_with(" ENABLE;"))
        .for_each(|statement| drop(pair.there(statement)));
}

#[test]
fn row_security_that_stops_apply_is_foretold_and_flows_after_the_fix() {
    let pair = Pair::start("create table doc (id int primary key, body text);");
    pair.publish("create publication pub for table app.doc");
    // As statements go, the policy lets everything through.
    pair.there(
        "set role owner; alter table app.doc enable row level security; alter table app.doc force row level security;
         create policy everything on app.doc using (true)",
    );
    pair.subscribe("enabled = false");
    follow_recipe(&pair);
    let major: u32 = pair.there("select current_setting('server_version_num')::int / 10000").parse().unwrap();
    let applier = if major < 16 { "sub_apply" } else { "owner" };
    let message =
        format!("user \"{applier}\" cannot replicate into relation with row-level security enabled: \"doc\"");
    let fix = "ALTER TABLE app.doc NO FORCE ROW LEVEL SECURITY;";
    let foretold = "select runs_as, outcome, message, fix from postern.rehearse_apply('app.doc') where step = 'row security'";
    assert_eq!(pair.there(foretold), format!("{applier}|fails|{message}|{fix}"));
    let before = doctor(&pair);
    assert!(before.contains(&format!("would stop:\n  app.doc, row security: {message}")), "{before}");
    assert!(before.contains(&format!("mend: {fix}")), "{before}");
    assert_eq!(
        pair.there("select sentence from postern.replication_notes where note = 'row security'"),
        format!(
            "app.doc has row security that holds for \"{applier}\", as whom its rows are applied: apply stops."
        )
    );
    // Seen.
    pair.there("alter subscription sub enable");
    pair.publish("insert into app.doc values (1, 'theirs')");
    pair.until("select apply_error_count + sync_error_count > 0 from pg_stat_subscription_stats", "t");
    assert!(pair.log().contains(&message), "{}", pair.log());
    assert_eq!(pair.there("select count(*) from app.doc"), "0");
    // Mended.
    pair.there(fix);
    assert_eq!(pair.there(foretold), "");
    pair.until("select body from app.doc", "theirs");
    let after = doctor(&pair);
    assert!(after.ends_with("\nsafe\n"), "{after}");
}

#[test]
fn a_sample_that_the_table_does_not_take_is_no_stall() {
    let pair = Pair::start(
        "create table doc (id int primary key, kind text not null check (kind in ('a', 'b')), place point not null);",
    );
    pair.publish("create publication pub for table app.doc");
    pair.subscribe("enabled = false");
    follow_recipe(&pair);
    // An empty table, and nobody knows what it takes.
    let before = doctor(&pair);
    assert!(before.contains("not rehearsed:\n  app.doc, insert: null value in column \"place\""), "{before}");
    assert!(before.contains("postern.rehearse_apply('app.doc', sample => "), "{before}");
    assert!(before.ends_with("\nnot known: not everything could be rehearsed\n"), "{before}");
    pair.there("alter subscription sub enable");
    pair.publish("insert into app.doc values (1, 'a', '(1,1)'), (2, 'b', '(2,2)')");
    pair.until("select count(*) from app.doc", "2");
    // A row that is there is what it takes; it is there afterwards as it was, and so is the other.
    let after = doctor(&pair);
    assert!(after.ends_with("\nsafe\n"), "{after}");
    let rows = "select string_agg(concat_ws(' ', id, kind, place, xmax), ', ' order by id) from app.doc";
    let kept =
        pair.there("select string_agg(concat_ws(' ', id, kind, place), ', ' order by id) from app.doc");
    assert_eq!(kept, "1 a (1,1), 2 b (2,2)");
    // The other was not even looked at.
    assert!(pair.there(rows).ends_with("2 b (2,2) 0"), "{}", pair.there(rows));
}

#[test]
fn a_disabled_subscription_is_judged_as_an_enabled_one() {
    let pair = Pair::start("create table doc (id int primary key, body text);");
    pair.publish("create publication pub for table app.doc");
    pair.there(
        "set role owner;
         create function app.mark() returns trigger language plpgsql as $$ begin new.body := current_user; return new; end $$;
         create trigger mark before insert on app.doc for each row execute function app.mark();
         alter table app.doc enable always trigger mark",
    );
    pair.subscribe("enabled = false");
    let major: u32 = pair.there("select current_setting('server_version_num')::int / 10000").parse().unwrap();
    if major < 16 {
        // The owner's code would run as a superuser, the moment that somebody enables it.
        let before = doctor(&pair);
        assert!(before.contains("may not run:\n  Trigger \"mark\" of app.doc runs app.mark()"), "{before}");
        assert!(before.contains("postern.subscription_recipe('sub')"), "{before}");
    }
    follow_recipe(&pair);
    let disabled = doctor(&pair);
    assert!(disabled.contains(", disabled\n") && disabled.ends_with("\nsafe\n"), "{disabled}");
    pair.there("alter subscription sub enable");
    let enabled = doctor(&pair);
    assert!(enabled.contains(", enabled\n") && enabled.ends_with("\nsafe\n"), "{enabled}");
    pair.publish("insert into app.doc values (1, 'theirs')");
    pair.until("select body from app.doc", if major < 16 { "sub_apply" } else { "owner" });
    if major < 16 {
        // Who runs it gets more rights: administrators are told what runs with them.
        let told =
            pair.subscriber.psql("app", "set client_min_messages = error; alter role sub_apply superuser");
        assert!(told.is_ok());
        assert!(
            pair.log().contains("as \"sub_apply\", the owner of subscription \"sub\" and a superuser"),
            "{}",
            pair.log()
        );
    }
}
