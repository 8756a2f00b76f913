//! What functions come to.

use std::sync::LazyLock;

use crate::stage::Stage;

/// One server for the tests that leave each other alone.
static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

#[test]
fn a_step_gives_its_rows() {
    assert_eq!(
        STAGE.result("'select 1 as n, ''x'' as t'"),
        r#"{"rows": [{"n": 1, "t": "x"}], "row_count": 1}"#
    );
}

#[test]
fn a_statement_that_returns_nothing_has_no_rows() {
    assert_eq!(
        STAGE.result("'insert into app.log(what) values (''nothing'')'"),
        r#"{"rows": [], "row_count": 0}"#
    );
}

#[test]
fn a_sequence_gives_what_its_last_step_gives() {
    assert_eq!(STAGE.result("'select 1 as a' ~> 'select 2 as b'"), r#"{"rows": [{"b": 2}], "row_count": 1}"#);
}

#[test]
fn a_named_result_is_a_value_of_its_type() {
    assert_eq!(
        STAGE.result(
            "'select 41 as n, date ''2024-02-29'' as d' |=> 'x' ~> 'select $x + 1 as n, $x.d + 1 as d'"
        ),
        r#"{"rows": [{"d": "2024-03-01", "n": 42}], "row_count": 1}"#
    );
}

#[test]
fn a_set_of_rows_keeps_its_columns_when_it_is_empty() {
    assert_eq!(
        STAGE.result("'select 1 as id where false' |=> 'batch' ~> 'select count(id) as n from $batch.*'"),
        r#"{"rows": [{"n": 0}], "row_count": 1}"#
    );
}

#[test]
fn the_guide_s_example_works_on_a_batch() {
    STAGE.run(
        "alice",
        "create table app.documents as select n as id, false as processed from generate_series(1, 250) n",
    );
    STAGE.result(
        "'select id from app.documents where not processed order by id limit 100' |=> 'batch'
         ~> 'update app.documents set processed = true where id in (select id from $batch.*)'",
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.documents where processed"), "100");
}

#[test]
fn a_condition_chooses_a_branch() {
    assert_eq!(
        STAGE.result("'select 1 > 0' ?> 'select ''yes'' as a' !> 'select ''no'' as a'"),
        r#"{"rows": [{"a": "yes"}], "row_count": 1}"#
    );
    assert_eq!(
        STAGE.result("df.if('select false', 'select 1', 'select 2 as b')"),
        r#"{"rows": [{"b": 2}], "row_count": 1}"#
    );
}

#[test]
fn the_first_failure_ends_a_function() {
    let failure = STAGE.failure("'select 1/0' ~> 'insert into app.log(what) values (''after a failure'')'");
    assert_eq!(failure, "SQL execution failed: error returned from database: division by zero");
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'after a failure'"), "0");
}

#[test]
fn a_failed_step_leaves_nothing_behind() {
    STAGE.failure(
        "'with new as (insert into app.log(what) values (''half'') returning 1) select 1/0 from new'",
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'half'"), "0");
}

#[test]
fn branches_give_their_results_in_order() {
    assert_eq!(
        STAGE.result("'select pg_sleep(0.2), 1 as n' & 'select 2 as n'"),
        r#"[{"rows": [{"n": 1, "pg_sleep": null}], "row_count": 1}, {"rows": [{"n": 2}], "row_count": 1}]"#
    );
    assert_eq!(
        STAGE.result("df.join3('select 1 as n', 'select 2 as n', 'select 3 as n') ~> 'select 4 as n'"),
        r#"{"rows": [{"n": 4}], "row_count": 1}"#
    );
}

#[test]
fn a_failed_branch_is_named_when_all_have_ended() {
    let failure = STAGE.failure("'select 1' & 'select 1/0'");
    assert_eq!(
        failure,
        "JOIN branch 2 failed: SQL execution failed: error returned from database: division by zero"
    );
}

#[test]
fn branches_really_run_at_the_same_time() {
    // Each waits until the other has begun: one after the other, neither would end.
    STAGE.run("alice", "create table app.met(who text primary key)");
    let meet = |me: &str, other: &str| {
        format!(
            "df.loop('insert into app.met values (''{me}'') on conflict do nothing' ~> 'select exists(select from app.met where who = ''{other}'')' |=> 'there',
                     'select not exists(select from app.met where who = ''{other}'')')"
        )
    };
    let join = format!("({}) & ({})", meet("a", "b"), meet("b", "a"));
    assert_eq!(STAGE.outcome(&join).0, "completed");
}

#[test]
fn the_loser_of_a_race_is_stopped_and_has_done_nothing() {
    let result = STAGE.result(
        "'with new as (insert into app.log(what) values (''loser'') returning 1) select pg_sleep(60) from new' | 'select 1 as n'",
    );
    assert_eq!(result, r#"{"rows": [{"n": 1}], "row_count": 1}"#);
    STAGE.until(
        "nobody runs the loser's statement",
        "select count(*) from pg_stat_activity where query like '%loser%' and pid <> pg_backend_pid() and state = 'active'",
        "0",
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'loser'"), "0");
}

#[test]
fn a_loop_runs_until_its_condition_is_false() {
    STAGE.run("alice", "create table app.counter(n int); insert into app.counter values (0)");
    let result =
        STAGE.result("df.loop('update app.counter set n = n + 1 returning n' |=> 'c', 'select $c < 5')");
    assert_eq!(result, r#"{"rows": [{"n": 5}], "row_count": 1}"#);
}

#[test]
fn a_break_leaves_the_nearest_loop_with_its_value() {
    STAGE.run("alice", "create table app.breaks(n int); insert into app.breaks values (0)");
    let result = STAGE
        .result("@> ('update app.breaks set n = n + 1 returning n >= 3' ?> df.break('out') !> 'select 1')");
    assert_eq!(result, r#""out""#);
    assert_eq!(STAGE.run("alice", "select n from app.breaks"), "3");
}

#[test]
fn a_break_outside_a_loop_fails() {
    assert_eq!(
        STAGE.failure("df.break('x')"),
        "df.break() was called outside of a loop. df.break() may only be used inside df.loop()."
    );
}

#[test]
fn a_sleep_ends_when_its_time_is_up() {
    assert_eq!(STAGE.result("df.sleep(1)"), r#"{"slept": true, "seconds": 1}"#);
}

#[test]
fn a_signal_that_comes_before_it_is_waited_for_is_kept() {
    let id = STAGE.start_as_alice("df.sleep(1) ~> df.wait_for_signal('go') |=> 's' ~> 'select $s.data as d'");
    STAGE.run("alice", &format!("select df.signal('{id}', 'go', '{{\"x\": 1}}')"));
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(
        (status.as_str(), text.as_str()),
        ("completed", r#"{"rows": [{"d": "{\"x\": 1}"}], "row_count": 1}"#)
    );
}

#[test]
fn a_signal_wakes_whoever_waits_and_a_time_out_too() {
    let id = STAGE.start_as_alice("df.wait_for_signal('go')");
    STAGE.until("it waits", &format!("select state from postern.strand where instance = '{id}'"), "w");
    STAGE.run("alice", &format!("select df.signal('{id}', 'go', 'plain text')"));
    assert_eq!(STAGE.end_of(&id).1, r#"{"data": "plain text", "timed_out": false, "signal_name": "go"}"#);
    assert_eq!(
        STAGE.result("df.wait_for_signal('never', 1)"),
        r#"{"data": null, "timed_out": true, "signal_name": "never"}"#
    );
}

#[test]
fn what_is_rolled_back_never_happened() {
    let before = STAGE.admin("select count(*) from postern.instance where label = 'rolled back'");
    STAGE.run("alice", "begin; select df.start('select 1', 'rolled back'); rollback");
    assert_eq!(STAGE.admin("select count(*) from postern.instance where label = 'rolled back'"), before);

    let id = STAGE.start_as_alice("df.wait_for_signal('go', 1)");
    STAGE.run("alice", &format!("begin; select df.signal('{id}', 'go'); select df.cancel('{id}'); rollback"));
    assert_eq!(STAGE.end_of(&id).1, r#"{"data": null, "timed_out": true, "signal_name": "go"}"#);
}

#[test]
fn cancelling_stops_the_statement_and_undoes_it() {
    let id = STAGE.start_as_alice(
        "'with new as (insert into app.log(what) values (''cancelled'') returning 1) select pg_sleep(600) from new'",
    );
    STAGE.until("it runs", &format!("select df.status('{id}')"), "running");
    STAGE.run("alice", &format!("select df.cancel('{id}', 'enough')"));
    let (status, text) = STAGE.end_of(&id);
    assert_eq!((status.as_str(), text.as_str()), ("cancelled", "canceled: enough"));
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'cancelled'"), "0");
    assert_eq!(
        STAGE.run("alice", &format!("select df.cancel('{id}', 'again')")),
        format!("Instance {id} cancelled: again")
    );
}

#[test]
fn a_key_gives_the_instance_that_there_is() {
    let start = "select df.start('select 1', key => 'once')";
    let first = STAGE.run("alice", start);
    assert_eq!(STAGE.run("alice", start), first);
    assert_ne!(STAGE.run("bob", start), first);
}

#[test]
fn every_type_has_a_value() {
    let result = STAGE.result(
        "'select 1.50::numeric as numeric, 1e400::numeric as big, ''NaN''::float8 as nan, ''{1,2}''::int[] as array,
                 ''1 day''::interval as interval, ''\\x00ff''::bytea as bytea, row(1, ''a'') as record,
                 timestamptz ''2024-06-15 14:30:00+02'' as instant, ''infinity''::timestamptz as never, int4range(1, 3) as range, 1, 2'",
    );
    let value: serde_json::Value = serde_json::from_str(&result).unwrap();
    let row = &value["rows"][0];
    assert_eq!(row["numeric"], "1.50");
    assert!(row["big"].as_str().unwrap().starts_with("1000"));
    assert_eq!(row["nan"], "NaN");
    assert_eq!(row["array"], serde_json::json!([1, 2]));
    assert_eq!(row["interval"], "1 day");
    assert_eq!(row["bytea"], "\\x00ff");
    assert_eq!(row["record"], serde_json::json!({"f1": 1, "f2": "a"}));
    assert_eq!(row["instant"], "2024-06-15T12:30:00+00:00");
    assert_eq!(row["never"], "infinity");
    assert_eq!(row["range"], "[1,3)");
    assert_eq!((row["?column?"].clone(), row["?column?_1"].clone()), (1.into(), 2.into()));
}

#[test]
fn a_thousand_branches_all_run_once() {
    STAGE.run("alice", "create table app.fan(n int)");
    let branches = "df.all((select array_agg(format('insert into app.fan values (%s)', n)) from generate_series(1, 1000) n))";
    assert_eq!(STAGE.outcome(branches).0, "completed");
    assert_eq!(STAGE.run("alice", "select count(*), count(distinct n) from app.fan"), "1000|1000");
}

#[test]
fn a_failing_step_is_tried_again_and_caught() {
    STAGE.run("alice", "create sequence app.tries");
    let retried =
        STAGE.result("df.retry('select 1 / (nextval(''app.tries'') / 3) as n', 5, interval '1 millisecond')");
    assert_eq!(retried, r#"{"rows": [{"n": 1}], "row_count": 1}"#);
    let caught = STAGE.result("df.catch('select 1/0', 'select $error.sqlstate as s')");
    assert_eq!(caught, r#"{"rows": [{"s": "22012"}], "row_count": 1}"#);
}

#[test]
fn what_was_done_is_undone_in_reverse_order() {
    let failure = STAGE.failure(
        "df.compensate('insert into app.log(what) values (''do 1'')', 'insert into app.log(what) values (''undo 1'')')
         ~> df.compensate('insert into app.log(what) values (''do 2'')', 'insert into app.log(what) values (''undo 2'')')
         ~> 'select 1/0'",
    );
    assert!(failure.contains("division by zero"), "{failure}");
    assert_eq!(
        STAGE.run("alice", "select string_agg(what, ',' order by at) from app.log where what ~ '^(un)?do '"),
        "do 1,do 2,undo 2,undo 1"
    );
}

#[test]
fn a_step_that_takes_too_long_times_out() {
    let failure = STAGE.failure("df.timeout('select pg_sleep(600)', interval '200 milliseconds')");
    assert!(failure.contains("Timeout after 0.2s"), "{failure}");
}

#[test]
fn nothing_of_a_session_passes_to_the_next_step() {
    let result = STAGE.result(
        "'select set_config(''app.x'', ''left'', false), pg_advisory_lock(4711)'
         ~> 'select current_setting(''app.x'', true) is distinct from ''left'' as clean,
                    (select count(*) from pg_locks where locktype = ''advisory'') as locks'",
    );
    assert_eq!(result, r#"{"rows": [{"clean": true, "locks": 0}], "row_count": 1}"#);
}

#[test]
fn steps_that_share_a_commit_fail_and_take_long_by_themselves() {
    STAGE.run("alice", "create table app.shared(n int primary key)");
    // Every tenth fails, every twentieth takes long, and all are due at once.
    STAGE.run(
        "alice",
        "select count(df.start(
             format('insert into app.shared values (%s)', n)
             ~> case when n % 10 = 0 then 'select 1/0' when n % 20 = 5 then 'select pg_sleep(0.2)' else 'select 1' end,
             'shared')) from generate_series(1, 200) n",
    );
    STAGE.until(
        "all end",
        "select count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed')
           from postern.instance where label = 'shared'",
        "180|20",
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.shared"), "200");
}

#[test]
fn a_constraint_that_is_deferred_fails_its_own_step() {
    STAGE.run(
        "alice",
        "create table app.parent(id int primary key); create table app.child(p int references app.parent deferrable initially deferred);
         select count(df.start(format('insert into app.child values (%s)', n % 2), 'deferred')) from generate_series(1, 40) n",
    );
    STAGE.until(
        "all fail",
        "select count(*) from postern.instance where label = 'deferred' and status = 'failed'",
        "40",
    );
    STAGE.run(
        "alice",
        "insert into app.parent values (1);
         select count(df.start(format('insert into app.child values (%s)', n % 2), 'deferred again')) from generate_series(1, 40) n",
    );
    STAGE.until(
        "half of them fail",
        "select count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed')
           from postern.instance where label = 'deferred again'",
        "20|20",
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.child"), "20");
}

#[test]
fn what_has_ended_is_kept_as_long_as_the_settings_say() {
    let stage = Stage::with(
        postern_cluster::Cluster::builder()
            .setting("postern.retention_instances", "100")
            .setting("postern.executors", "1"),
    );
    let waiting = stage.start_as_alice("df.wait_for_signal('go')");
    // Enough turns that old ones are looked for.
    stage.run("alice", "select count(df.start('select 1' ~> 'select 2')) from generate_series(1, 6000)");
    stage.until("all end", "select count(*) from postern.strand", "1");
    stage.until("old ones are removed", "select count(*) <= 5000 from postern.instance", "t");
    assert_eq!(
        stage.admin("select count(*) from postern.step p where not exists (select from postern.instance i where i.id = p.instance)"),
        "0"
    );
    assert_eq!(stage.run("alice", &format!("select df.status('{waiting}')")), "running");
}

#[test]
fn a_loser_of_many_steps_takes_no_further_one() {
    STAGE.run("alice", "create table app.steps(n int)");
    let result = STAGE.result(
        "(@> 'insert into app.steps values (1)') | (df.loop(df.sleep(interval '20 milliseconds'), 'select count(*) < 20 from app.steps') ~> 'select count(*) as n from app.steps')",
    );
    let counted: serde_json::Value = serde_json::from_str(&result).unwrap();
    let counted = counted["rows"][0]["n"].as_i64().unwrap();
    assert!(counted >= 20);
    // What was committed before the race was decided stays; nothing comes after it.
    let after = STAGE.run("alice", "select count(*) from app.steps");
    let strands = "select count(*) from postern.strand s where not exists (select from postern.instance i where i.id = s.instance and i.status in ('pending', 'running'))";
    STAGE.until("nothing of the loser is left", strands, "0");
    assert_eq!(STAGE.run("alice", "select count(*) from app.steps"), after);
}

#[test]
fn what_is_deferred_in_one_step_is_so_in_those_that_share_its_commit() {
    STAGE.run(
        "alice",
        "create table app.first(id int primary key);
         create table app.second(id int references app.first deferrable initially deferred);
         create function app.second_first(n int) returns void language plpgsql as
             $$ begin insert into app.second values (n); insert into app.first values (n); end $$;
         select count(df.start(format('select app.second_first(%s)', n), 'second first')) from generate_series(1, 60) n",
    );
    STAGE.until(
        "all end",
        "select count(*) from postern.instance where label = 'second first' and ended_at is not null",
        "60",
    );
    let failed = "select string_agg(distinct error->>'message', '; ') from postern.instance where label = 'second first' and status = 'failed'";
    assert_eq!(STAGE.admin(failed), "");
    assert_eq!(STAGE.run("alice", "select count(*) from app.second"), "60");
}

#[test]
fn no_step_hears_of_a_limit_that_others_who_share_its_commit_need() {
    STAGE.run(
        "alice",
        "create function app.patient() returns text language plpgsql as
             $$ begin perform pg_sleep(0.1); return 'slept'; exception when query_canceled then return 'interrupted'; end $$;
         select count(df.start('select app.patient() as how', 'patient')) from generate_series(1, 40) n",
    );
    STAGE.until(
        "all end",
        "select count(*) from postern.instance where label = 'patient' and status = 'completed'",
        "40",
    );
    let seen = "select string_agg(distinct output, ' ') from postern.instance where label = 'patient'";
    assert_eq!(STAGE.admin(seen), r#"{"rows":[{"how":"slept"}],"row_count":1}"#);
}
