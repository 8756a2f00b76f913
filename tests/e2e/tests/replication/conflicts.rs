//! Errors of subscriptions are written down by themselves, and the process that does it is in nobody's way.

use std::time::Instant;

use crate::pair::Pair;

const TABLES: &str =
    "create table doc (id int primary key, body text); create table log (id int primary key);";

const RECORDERS: &str = "select count(*) from pg_stat_activity where backend_type = 'postern recorder'";

/// As many errors are written down as the server has counted.
const COMPLETE: &str = "select (select coalesce(sum(errors), 0) from postern.apply_conflicts where kind <> 'conflict') = sum(apply_error_count + sync_error_count)
    from pg_stat_subscription_stats";

/// A subscription of both tables, and a row of `doc` that is there twice: the copy of it fails.
fn conflicting() -> Pair {
    let pair = Pair::start(TABLES);
    pair.publish(
        "insert into app.doc values (1, 'theirs'); create publication pub for table app.doc, app.log",
    );
    pair.there("insert into app.doc values (1, 'ours')");
    pair
}

/// Waits until a recorder has written something, then drops the subscription; the recorder waits for more.
fn recorder_that_waits(pair: &Pair) {
    pair.there("delete from postern.apply_conflicts");
    pair.subscribe("enabled = true");
    pair.until("select count(*) > 0 from postern.apply_conflicts", "t");
    pair.there("alter subscription sub disable");
    pair.until(
        "select count(*) from pg_stat_activity where backend_type like 'logical replication%worker'",
        "0",
    );
    pair.there("drop subscription sub");
    assert_eq!(pair.there(RECORDERS), "1");
}

#[test]
fn a_conflict_is_written_down_for_those_who_may_read_the_table() {
    let pair = conflicting();
    assert_eq!(pair.there(RECORDERS), "0");
    pair.subscribe("enabled = true");
    // In the first copy.
    let seen = "select subscription, relation, kind, sqlstate, message from postern.apply_conflicts";
    let duplicate = "23505|duplicate key value violates unique constraint \"doc_pkey\"";
    pair.until(seen, &format!("sub|app.doc|sync|{duplicate}"));
    pair.until("select errors > 1 from postern.apply_conflicts", "t");
    pair.there("delete from app.doc");
    pair.until("select count(*) from app.doc", "1");
    pair.until("select count(*) filter (where srsubstate = 'r') from pg_subscription_rel", "2");

    // In the stream: again and again at one place, and one row for it, which says where.
    pair.there("insert into app.doc values (2, 'ours')");
    pair.publish("insert into app.doc values (2, 'theirs')");
    let major: u32 = pair.there("select current_setting('server_version_num')::int / 10000").parse().unwrap();
    let duplicate = if major < 18 {
        duplicate
    } else {
        "23505|conflict detected on relation \"app.doc\": conflict=insert_exists"
    };
    pair.until(&format!("{seen} where kind = 'apply'"), &format!("sub|app.doc|apply|{duplicate}"));
    pair.until("select errors > 1 from postern.apply_conflicts where kind = 'apply'", "t");
    assert_eq!(pair.there("select count(*) from postern.apply_conflicts where kind = 'apply'"), "1");
    // It is the place that one can skip.
    let place = pair.there("select position from postern.apply_conflicts where kind = 'apply'");
    pair.there(&format!("alter subscription sub skip (lsn = '{place}')"));
    pair.publish("insert into app.doc values (3, 'theirs')");
    pair.until("select string_agg(body, ' ' order by id) from app.doc", "theirs ours theirs");

    // What apply goes on from, 18 says; versions before pass it over in silence.
    pair.there("delete from app.doc where id = 3");
    pair.publish(
        "update app.doc set body = 'changed' where id = 3; insert into app.doc values (4, 'theirs')",
    );
    pair.until("select string_agg(body, ' ' order by id) from app.doc", "theirs ours theirs");
    if major >= 18 {
        pair.until(
            &format!("{seen} where kind = 'conflict'"),
            "sub|app.doc|conflict|40001|conflict detected on relation \"app.doc\": conflict=update_missing",
        );
    }

    // What code says that runs on apply is not told: it may be of other tables.
    pair.there("alter system set postern.trigger_rule = off; select pg_reload_conf()");
    pair.until("show postern.trigger_rule", "off");
    pair.there(
        "create table app.secret (word text); insert into app.secret values ('swordfish');
         create function app.tells() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as
             $$ begin raise exception 'the word is %, for \"app.doc\" and 0/1', (select word from app.secret); end $$;
         create trigger tells before insert on app.log for each row execute function app.tells();
         alter table app.log enable always trigger tells",
    );
    pair.publish("insert into app.log values (1)");
    let told = "select relation, sqlstate, message is null, position > '0/1' from postern.apply_conflicts where sqlstate = 'P0001'";
    pair.until(told, "app.log|P0001|t|t");
    assert!(pair.log().contains("the word is swordfish"), "{}", pair.log());
    // Nor if it says so with an SQLSTATE of the server's.
    pair.there(
        "create or replace function app.tells() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as
             $$ begin raise unique_violation using message = 'the word is ' || (select word from app.secret); end $$",
    );
    let told = "select sqlstate, message is null, position > '0/1' from postern.apply_conflicts where relation = 'app.log'::regclass and sqlstate = '23505'";
    pair.until(told, "23505|t|t");
    pair.there("alter table app.log disable trigger tells");
    pair.until("select count(*) from app.log", "1");
    pair.until(COMPLETE, "t");

    // By the rule, who may read the table reads the row.
    let whose = |role: &str| {
        pair.there(&format!(
            "set role {role}; select string_agg(distinct relation::text, ' ') from postern.apply_conflicts"
        ))
    };
    assert_eq!(whose("owner"), "app.doc app.log");
    assert_eq!(whose("author"), "");
    pair.there("grant select on app.log to author");
    assert_eq!(whose("author"), "app.log");
    pair.there("alter table app.log enable row level security; create policy p on app.log using (id > 0)");
    assert_eq!(whose("author"), "");
}

#[test]
fn what_nobody_noted_and_a_restart_are_made_up_for_by_the_counters() {
    let pair = conflicting();
    // Errors are not even logged, and counters not looked at.
    pair.there("alter system set log_min_messages = fatal; alter system set postern.conflict_interval = 0; select pg_reload_conf()");
    pair.until(
        "select current_setting('log_min_messages') || current_setting('postern.conflict_interval')",
        "fatal0",
    );
    pair.subscribe("enabled = true");
    pair.until("select sum(sync_error_count) > 0 from pg_stat_subscription_stats", "t");
    // The other table is copied: it is known whose the errors are.
    pair.until("select count(*) from pg_subscription_rel where srsubstate = 'r'", "1");
    pair.there("alter subscription sub disable");
    assert_eq!(pair.there("select count(*) from postern.apply_conflicts"), "0");
    assert_eq!(pair.there(RECORDERS), "0");
    // The server has been away: what was counted before is written down.
    pair.there("alter system set postern.conflict_interval = 1");
    pair.subscriber.restart().unwrap();
    pair.until(
        "select relation, kind, sqlstate is null, message is null from postern.apply_conflicts",
        "app.doc|sync|t|t",
    );
    pair.until(COMPLETE, "t");
    // And what comes later, at the next look.
    let before = pair.there("select sum(errors) from postern.apply_conflicts");
    pair.there("alter subscription sub enable");
    pair.until(&format!("select sum(errors) > {before} from postern.apply_conflicts"), "t");
    // A crash takes the counters; the error comes again, and is noted.
    pair.there("alter system reset log_min_messages; alter system reset postern.conflict_interval");
    pair.subscriber.stop(postern_cluster::Mode::Immediate).unwrap();
    pair.subscriber.start_again().unwrap();
    pair.until("select count(*) from postern.apply_conflicts where sqlstate = '23505' and relation = 'app.doc'::regclass", "1");
}

#[test]
fn the_recorder_is_in_nobodys_way() {
    let pair = conflicting();
    recorder_that_waits(&pair);
    // It ends with the extension.
    let begun = Instant::now();
    pair.there("drop extension postern");
    pair.until(RECORDERS, "0");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    // Without it, a subscription fails as ever, and nobody writes it down.
    pair.subscribe("enabled = true");
    pair.until("select sum(sync_error_count) > 1 from pg_stat_subscription_stats", "t");
    pair.there("alter subscription sub disable; drop subscription sub");
    pair.there("create extension postern");
    recorder_that_waits(&pair);
    // A database that it is in is copied, renamed and dropped all the same.
    let begun = Instant::now();
    pair.subscriber.psql("postgres", "alter database app rename to gone").unwrap();
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    pair.subscriber.psql("postgres", "alter database gone rename to app").unwrap();
    recorder_that_waits(&pair);
    let begun = Instant::now();
    pair.subscriber.psql("postgres", "create database copy template app").unwrap();
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    // Who may not drop it does not send it away.
    recorder_that_waits(&pair);
    pair.subscriber.psql("postgres", "set role author; drop database app").unwrap_err();
    assert_eq!(pair.there(RECORDERS), "1");
    let begun = Instant::now();
    pair.subscriber.psql("postgres", "drop database app").unwrap();
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
}
