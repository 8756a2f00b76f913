//! Branches of one instance, which share commits when they are short.

use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

/// One server for the tests that leave each other alone.
static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

#[test]
fn branches_of_several_steps_keep_their_order_and_names() {
    STAGE.run("alice", "create table app.several(branch int, step int, at bigserial)");
    let result = STAGE.result(
        "df.all((select array_agg(format('insert into app.several values (%s, 1) returning branch', n) |=> ('b' || n)
                    ~> format('insert into app.several select branch, 2 from app.several where branch = $b%s and step = 1 returning branch as n', n)
                    order by n) from generate_series(1, 100) n))
         ~> 'select $b1 + $b50 + $b100 as n'",
    );
    assert_eq!(result, r#"{"rows": [{"n": 151}], "row_count": 1}"#);
    assert_eq!(
        STAGE.run(
            "alice",
            "select count(*), count(distinct branch), count(*) filter (where step = 2) from app.several"
        ),
        "200|100|100"
    );
}

#[test]
fn a_map_runs_every_row_once_and_no_more_than_so_many_at_a_time() {
    STAGE.run("alice", "create table app.mapped(n int)");
    let result = STAGE.result(
        "df.map('select n from generate_series(1, 300) n', 'insert into app.mapped select $item.n::int returning n', 7)
         |=> 'all' ~> 'select count(*) as n, sum(n) as s from app.mapped'",
    );
    assert_eq!(result, r#"{"rows": [{"n": 300, "s": 45150}], "row_count": 1}"#);
}

#[test]
fn the_results_of_a_map_are_in_the_order_of_its_rows() {
    let id = STAGE
        .start_as_alice("df.map('select n from generate_series(1, 120) n', 'select $item.n::int as n', 16)");
    let (status, result) = STAGE.end_of(&id);
    assert_eq!(status, "completed", "{result}");
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let found: Vec<i64> =
        result.as_array().unwrap().iter().map(|item| item["rows"][0]["n"].as_i64().unwrap()).collect();
    assert_eq!(found, (1..=120).collect::<Vec<_>>());
}

#[test]
fn many_branches_that_fail_are_named_by_the_first_when_all_have_ended() {
    STAGE.run("alice", "create table app.some(n int)");
    let failure = STAGE.failure(
        "df.all((select array_agg(case when n % 10 = 3 then 'select 1/0' else format('insert into app.some values (%s)', n) end order by n)
                   from generate_series(1, 100) n))",
    );
    assert!(failure.starts_with("JOIN branch 3 failed: "), "{failure}");
    assert_eq!(STAGE.run("alice", "select count(*), count(distinct n) from app.some"), "90|90");
}

#[test]
fn a_failed_fork_goes_on_with_the_branch_that_failed() {
    STAGE.run("alice", "create table app.again(n int); create table app.fixed(ok bool)");
    let id = STAGE.start_as_alice(
        "df.all((select array_agg(case when n = 30 then 'select 1 / count(*) as n from app.fixed'
                                       else format('insert into app.again values (%s)', n) end order by n)
                   from generate_series(1, 60) n))",
    );
    assert_eq!(STAGE.end_of(&id).0, "failed");
    STAGE.run("alice", &format!("insert into app.fixed values (true); select df.rerun('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "completed");
    assert_eq!(STAGE.run("alice", "select count(*), count(distinct n) from app.again"), "59|59");
}

#[test]
fn of_a_race_that_shares_a_commit_only_the_winner_has_done_something() {
    STAGE.run("alice", "create table app.raced(who int)");
    // Both are due at the same moment, so that they are taken together, again and again.
    let result = STAGE.result(
        "df.loop(df.race('insert into app.raced values (1)', 'insert into app.raced values (2)')
                 ~> 'select count(*) as n from app.raced' |=> 'c', 'select $c < 60')",
    );
    assert_eq!(result, r#"{"rows": [{"n": 60}], "row_count": 1}"#);
    // The loop's body is one row at a time: an effect of a loser would have been counted.
    assert_eq!(STAGE.run("alice", "select count(*) from app.raced"), "60");
}

#[test]
fn races_among_many_branches_are_each_decided_once() {
    STAGE.run("alice", "create table app.races(n int)");
    let races = STAGE.outcome(
        "df.all((select array_agg(df.race(format('insert into app.races values (%s)', n), format('insert into app.races values (%s)', n)))
                   from generate_series(1, 60) n))",
    );
    assert_eq!(races.0, "completed", "{}", races.1);
    assert_eq!(STAGE.run("alice", "select count(*), count(distinct n) from app.races"), "60|60");
    let forks = STAGE.outcome(
        "df.race(df.all((select array_agg(format('insert into app.races values (%s)', 1000 + n)) from generate_series(1, 40) n)), 'select pg_sleep(60)')",
    );
    assert_eq!(forks.0, "completed", "{}", forks.1);
    assert_eq!(
        STAGE.run("alice", "select count(*), count(distinct n) from app.races where n > 1000"),
        "40|40"
    );
}

#[test]
fn a_cancelled_fork_does_nothing_more() {
    STAGE.run("alice", "create table app.stopped(n int)");
    let id = STAGE.start_as_alice(
        "df.all((select array_agg(format('insert into app.stopped values (%s)', n) ~> df.wait_for_signal('never')) from generate_series(1, 200) n))",
    );
    STAGE.until("some have run", "select count(*) >= 20 from app.stopped", "t");
    STAGE.run("alice", &format!("select df.cancel('{id}', 'enough')"));
    assert_eq!(STAGE.end_of(&id).0, "cancelled");
    STAGE.until(
        "nothing is left",
        &format!("select count(*) from postern.strand where instance = '{id}'"),
        "0",
    );
    let recorded = format!(
        "select count(*) = (select count(*) from app.stopped) from postern.step where instance = '{id}' and status = 'completed'"
    );
    assert_eq!(STAGE.admin(&recorded), "t");
    // Nothing runs after the end.
    let before = STAGE.run("alice", "select count(*) from app.stopped");
    assert_eq!(
        STAGE.result("'select count(*) as n from app.stopped'"),
        format!(r#"{{"rows": [{{"n": {before}}}], "row_count": 1}}"#)
    );
}

#[test]
fn who_waits_is_woken_by_the_end() {
    STAGE.run(
        "alice",
        "create function app.waited(id text) returns interval language plpgsql as $$
         declare began timestamptz := clock_timestamp();
         begin
             perform df.await_instance(id);
             return clock_timestamp() - began;
         end $$",
    );
    // Who is not woken looks once a second.
    let quick: Vec<String> = (0..20)
        .map(|_| {
            let id = STAGE.start_as_alice("df.sleep(interval '50 milliseconds')");
            STAGE.run("alice", &format!("select app.waited('{id}') < interval '900 milliseconds'"))
        })
        .collect();
    assert!(quick.iter().filter(|quick| *quick == "t").count() >= 15, "{quick:?}");
}

#[test]
fn a_map_fetches_its_rows_once_for_each_executor_and_not_for_each_body() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "1"));
    // Long enough to be kept out of line, where reads of it alone are counted; what bodies come to is short.
    let rows = "'select n, repeat(md5(n::text), 4) as t from generate_series(1, 300) n'";
    for concurrency in [3, 300] {
        let text = stage.result(&format!("df.map({rows}, 'select $item.n as n', {concurrency})"));
        assert!(text.contains("[{\"n\": 300}]"), "{text}");
    }
    // The server writes its counts down when it stops.
    stage.cluster.restart().unwrap();
    let fetched: i64 = stage
        .admin(
            "select t.idx_scan from pg_class c join pg_stat_all_tables t on t.relid = c.reltoastrelid
              where c.oid = 'postern.step'::regclass",
        )
        .parse()
        .unwrap();
    // A database has one executor more than that, for others. Looking at the instances reads nothing of it.
    assert!((1..20).contains(&fetched), "{fetched} reads of 300 rows in 100 groups");
}

#[test]
fn a_row_of_a_map_that_fails_in_a_fork_of_its_own_is_the_last() {
    // Branches that share a commit: one succeeds, and the one that ends the row fails.
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "1"));
    let ids = stage.run(
        "alice",
        "select df.start(df.map('select n from generate_series(1, 4) n',
                    df.all(array['insert into app.log(what) values (''row '' || $item.n)', 'select 1/0']), 1))
           from generate_series(1, 20)",
    );
    for id in ids.lines() {
        let (status, text) = stage.end_of(id);
        assert_eq!(status, "failed");
        assert!(text.starts_with("MAP item 1 failed: JOIN branch 2 failed: "), "{text}");
    }
    assert_eq!(stage.admin("select what, count(*) from app.log group by what order by what"), "row 1|20");
}

#[test]
fn what_a_branch_has_done_is_undone_when_the_failure_is_caught_and_not_before() {
    let step = |what: &str| {
        format!(
            "df.compensate('insert into app.log(what) values (''{what}'')', 'insert into app.log(what) values (''undo {what}'')') ~> 'select 1/0'"
        )
    };
    let log = |what: &str| {
        STAGE.admin(&format!(
            "select string_agg(what, ', ' order by at) from app.log where what like '%{what}'"
        ))
    };
    // Another one has succeeded, and the function with it.
    STAGE.result(&format!("df.first(array[{}, 'select pg_sleep(0.2)'])", step("of first")));
    assert_eq!(log("of first"), "of first");
    // The fork fails when all have ended.
    let late = "df.sleep(interval '200 ms') ~> 'insert into app.log(what) values (''late of all'')'";
    STAGE.result(&format!("df.catch(df.all(array[{}, {late}]), 'select 1')", step("of all")));
    assert_eq!(log("of all"), "of all, late of all, undo of all");
}
