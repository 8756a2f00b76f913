//! Pausing, resuming, and going on from the step that failed.

use std::sync::LazyLock;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

fn status(id: &str) -> String {
    format!("select status from df.instances where id = '{id}'")
}

/// What was sent is delivered.
fn delivered(id: &str) {
    let left = format!("select count(*) from postern.message where instance = '{id}' and kind in ('p', 'u')");
    STAGE.until("what was asked for is done", &left, "0");
}

#[test]
fn a_pause_is_part_of_the_transaction_that_asks_for_it() {
    let id = STAGE.start_as_alice("df.wait_for_signal('go')");
    STAGE.run("alice", &format!("begin; select df.pause('{id}'); rollback"));
    assert_eq!(STAGE.run("alice", &format!("select df.pause('{id}')")), format!("Instance {id} paused"));
    STAGE.until("it is paused", &status(&id), "paused");
    assert_eq!(STAGE.run("alice", &format!("select df.status('{id}')")), "paused");
    let picture = STAGE.run("alice", &format!("select df.explain('{id}')"));
    assert!(picture.contains("Paused"), "{picture}");
    // The last word counts, also within one transaction.
    STAGE.run("alice", &format!("begin; select df.resume('{id}'); select df.pause('{id}'); commit"));
    delivered(&id);
    assert_eq!(STAGE.admin(&status(&id)), "paused");
    STAGE.run("alice", &format!("begin; select df.pause('{id}'); select df.resume('{id}'); commit"));
    delivered(&id);
    STAGE.run("alice", &format!("select df.signal('{id}', 'go')"));
    assert_eq!(STAGE.end_of(&id).0, "completed");
}

/// Pauses an instance of bob's, who has no other, while it sleeps. On a slow machine that takes longer than some sleeps.
fn paused_asleep() -> String {
    for seconds in ["0.3", "3", "30"] {
        let id = STAGE.run(
            "bob",
            &format!(
                "select df.start(df.sleep(interval '{seconds} seconds') ~> 'insert into app.log(what) values (''after {{sys_instance_id}}'')')"
            ),
        );
        if let Err(error) = STAGE.try_run("bob", &format!("select df.pause('{id}')")) {
            assert!(error.contains("has ended: completed"), "{error}");
            continue;
        }
        let answered =
            format!("select status in ('paused', 'completed') from df.instances where id = '{id}'");
        STAGE.until("it is paused, or it was too late", &answered, "t");
        if STAGE.admin(&status(&id)) == "paused" {
            return id;
        }
    }
    panic!("no pause within 30 seconds");
}

#[test]
fn a_paused_instance_takes_no_step_whatever_becomes_due() {
    let id = paused_asleep();
    STAGE.until(
        "its time is up, and it is held",
        &format!("select held < now() from postern.strand where instance = '{id}'"),
        "t",
    );
    let done = format!("select count(*) from app.log where what = 'after {id}'");
    // Others run meanwhile, and after them it still waits.
    STAGE.result("'select 1' ~> 'select 2'");
    assert_eq!(STAGE.admin(&done), "0");
    assert_eq!(STAGE.admin("select paused from df.queue where role = 'bob'::regrole and paused > 0"), "1");
    STAGE.run("bob", &format!("select df.resume('{id}')"));
    assert_eq!(STAGE.run("bob", &format!("select df.await_instance('{id}', 60)")), "completed");
    assert_eq!(STAGE.admin(&done), "1");
}

#[test]
fn a_step_that_runs_is_let_end_and_a_signal_in_a_pause_counts() {
    STAGE.run("alice", "create table app.open()");
    let id = STAGE.start_as_alice(
        "'do $$ begin
              while not exists (select from app.open) loop perform pg_sleep(0.01); end loop;
              insert into app.log(what) values (''let end'');
          end $$'
         ~> df.wait_for_signal('go', 1) |=> 's' ~> 'select $s.timed_out as late'",
    );
    STAGE.until("it runs", &format!("select df.status('{id}')"), "running");
    STAGE.run("alice", &format!("select df.pause('{id}')"));
    STAGE.until("it is paused", &status(&id), "paused");
    STAGE.run("alice", "insert into app.open default values");
    STAGE.until("the step has ended", "select count(*) from app.log where what = 'let end'", "1");
    STAGE.run("alice", &format!("select df.signal('{id}', 'go')"));
    STAGE.until(
        "nothing goes on",
        &format!("select count(held) from postern.strand where instance = '{id}'"),
        "1",
    );
    STAGE.run("alice", &format!("select df.resume('{id}')"));
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(
        (status.as_str(), text.as_str()),
        ("completed", r#"{"rows": [{"late": false}], "row_count": 1}"#)
    );
}

#[test]
fn a_paused_instance_can_be_cancelled_and_has_none_of_its_branches_run() {
    STAGE.run("alice", "create table app.paused_fan(n int)");
    let id = STAGE.start_as_alice(
        "df.wait_for_signal('go') ~> df.all((select array_agg(format('insert into app.paused_fan values (%s)', n)) from generate_series(1, 20) n))",
    );
    STAGE.run("alice", &format!("begin; select df.pause('{id}'); select df.signal('{id}', 'go'); commit"));
    delivered(&id);
    STAGE.until(
        "it is held",
        &format!("select count(held) from postern.strand where instance = '{id}'"),
        "1",
    );
    assert_eq!(STAGE.admin("select count(*) from app.paused_fan"), "0");
    STAGE.run("alice", &format!("select df.cancel('{id}', 'no more')"));
    assert_eq!(STAGE.end_of(&id), ("cancelled".into(), "canceled: no more".into()));
    assert_eq!(STAGE.admin(&format!("select count(*) from postern.strand where instance = '{id}'")), "0");
}

#[test]
fn pausing_and_resuming_at_any_moment_loses_nothing_and_repeats_nothing() {
    STAGE.run("alice", "create table app.steady(run int, n int)");
    // Instances with branches, paused and resumed by two sessions while they run.
    STAGE.run(
        "alice",
        "select count(df.start(
             df.map(format('select g as n, %s as run from generate_series(1, 20) g', r),
                    'insert into app.steady values ($item.run, $item.n)' ~> 'select 1', 3), 'steady'))
           from generate_series(1, 10) r",
    );
    let toggle = "do $$
         declare i record;
         begin
             for n in 1..15 loop
                 for i in select id from df.instances where label = 'steady' and ended_at is null loop
                     begin
                         if random() < 0.5 then perform df.pause(i.id); else perform df.resume(i.id); end if;
                     exception when object_not_in_prerequisite_state then null;
                     end;
                     commit;
                 end loop;
             end loop;
         end $$";
    std::thread::scope(|scope| {
        scope.spawn(|| STAGE.run("alice", toggle));
        scope.spawn(|| STAGE.run("alice", toggle));
    });
    // One may end while this looks at it.
    STAGE.run(
        "alice",
        "do $$
         declare i record;
         begin
             for i in select id from df.instances where label = 'steady' and ended_at is null loop
                 begin
                     perform df.resume(i.id);
                 exception when object_not_in_prerequisite_state then null;
                 end;
             end loop;
         end $$",
    );
    STAGE.until(
        "all are done",
        "select count(*) from df.instances where label = 'steady' and status = 'completed'",
        "10",
    );
    assert_eq!(
        STAGE.admin("select count(*), count(distinct (run, n)) from app.steady"),
        "200|200",
        "every row once"
    );
}

#[test]
fn a_rerun_goes_on_from_the_step_that_failed_with_the_identity_of_the_start() {
    STAGE.run("alice", "create table app.broken(n int); insert into app.broken values (0)");
    let id = STAGE.start_as_alice(
        "'insert into app.log(what) values (''once'') returning 7 as n' |=> 'x'
         ~> df.retry('select 10 / n as ten, $x.n as seven, current_user as u from app.broken', 2, interval '1 millisecond')",
    );
    assert_eq!(STAGE.end_of(&id).0, "failed");
    assert_eq!(
        STAGE.run("alice", &format!("select can_rerun, reruns from df.instances where id = '{id}'")),
        "t|0"
    );
    // Still broken: it fails again, with all its attempts, and can go on again.
    STAGE.run("alice", &format!("select df.rerun('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "failed");
    assert_eq!(STAGE.run("alice", &format!("select count(*) from df.history where instance_id = '{id}' and node_type = 'SQL' and status = 'failed'")), "4");
    STAGE.run("alice", "update app.broken set n = 2");
    STAGE.run("alice", &format!("begin; select df.rerun('{id}'); rollback"));
    assert_eq!(STAGE.run("alice", &format!("select df.status('{id}')")), "failed");
    // Whoever asks, it runs as who started it.
    STAGE.admin(&format!("select df.rerun('{id}')"));
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(
        (status.as_str(), text.as_str()),
        ("completed", r#"{"rows": [{"u": "alice", "ten": 5, "seven": 7}], "row_count": 1}"#)
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'once'"), "1");
    assert_eq!(
        STAGE.run("alice", &format!("select reruns, error is null from df.instances where id = '{id}'")),
        "2|t"
    );
}

#[test]
fn a_rerun_repeats_only_the_branches_that_failed() {
    STAGE.run(
        "alice",
        "create table app.half(n int); insert into app.half values (0); create table app.ran(what text)",
    );
    let id = STAGE.start_as_alice(
        "('insert into app.ran values (''a'') returning 1 as n'
          & ('insert into app.ran values (''b'') returning 1 as n' ~> ('select 1 / n as n from app.half' & 'insert into app.ran values (''c'') returning 3 as n')))
         ~> 'insert into app.ran values (''d'')'",
    );
    assert_eq!(STAGE.end_of(&id).0, "failed");
    STAGE.run("alice", &format!("update app.half set n = 1; select df.rerun('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "completed");
    assert_eq!(STAGE.run("alice", "select string_agg(what, '' order by what) from app.ran"), "abcd");

    STAGE.run("alice", "create table app.rows(n int, bad boolean); insert into app.rows select n, n in (3, 7) from generate_series(1, 9) n; create table app.mapped(n int)");
    let id = STAGE.start_as_alice(
        "df.map('select n, bad from app.rows order by n', 'insert into app.mapped select n from app.rows where n = $item.n and 1 / (not bad)::int = 1', 9)",
    );
    assert_eq!(STAGE.end_of(&id).0, "failed");
    STAGE.run("alice", &format!("update app.rows set bad = false; select df.rerun('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "completed");
    assert_eq!(STAGE.run("alice", "select count(*), count(distinct n) from app.mapped"), "9|9");
}

#[test]
fn what_was_undone_or_has_not_failed_cannot_go_on() {
    let refused = |id: &str, words: &str| {
        let error = STAGE.try_run("alice", &format!("select df.rerun('{id}')")).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    let id = STAGE.start_as_alice("df.compensate('select 1', 'select 2') ~> 'select 1/0'");
    STAGE.end_of(&id);
    refused(&id, "cannot go on from where it failed");
    let id = STAGE.start_as_alice("'select 1'");
    STAGE.end_of(&id);
    refused(&id, "has not failed: completed");
    let error = STAGE.try_run("alice", &format!("select df.pause('{id}')")).unwrap_err();
    assert!(error.contains("has ended: completed"), "{error}");
    let id = STAGE.start_as_alice("'select 1/0'");
    STAGE.end_of(&id);
    // Not another's.
    for call in ["df.rerun", "df.pause", "df.resume"] {
        let error = STAGE.try_run("bob", &format!("select {call}('{id}')")).unwrap_err();
        assert!(error.contains("not found or access denied"), "{error}");
    }
    assert_eq!(STAGE.run("alice", &format!("select df.status('{id}')")), "failed");
}

#[test]
fn an_instance_that_lost_its_role_s_rights_goes_on_when_it_has_them_again() {
    STAGE.admin("create role temp login; grant postern_application to temp; grant usage on schema app to temp; grant insert on app.log to temp");
    STAGE.cluster.set_password("temp").unwrap();
    let id = STAGE.run("temp", "select df.start('insert into app.log(what) values (''t1'')' ~> df.wait_for_signal('go') ~> 'insert into app.log(what) values (''t2'')')");
    STAGE.until("it waits", &format!("select state from postern.strand where instance = '{id}'"), "w");
    STAGE.admin("alter role temp superuser");
    STAGE.admin(&format!("select df.signal('{id}', 'go')"));
    STAGE.until("it fails", &status(&id), "failed");
    let error = STAGE.cluster.psql("postgres", &format!("select df.rerun('{id}')")).unwrap_err().to_string();
    assert!(error.contains("superuser"), "{error}");
    STAGE.admin("alter role temp nosuperuser");
    STAGE.admin(&format!("select df.rerun('{id}')"));
    STAGE.until("it ends", &status(&id), "completed");
    assert_eq!(
        STAGE.admin("select string_agg(what, ',' order by at) from app.log where who = 'temp'"),
        "t1,t2"
    );
}

#[test]
fn what_is_due_beside_one_that_does_not_run_runs_as_its_owner() {
    STAGE.run(
        "alice",
        "select count(df.start(df.wait_for_signal('go') ~> 'insert into app.log(what) values (''beside'')', 'beside'))
           from generate_series(1, 40)",
    );
    STAGE.until(
        "all wait",
        "select count(*) from postern.strand s join postern.instance i on i.id = s.instance where i.label = 'beside' and s.state = 'w'",
        "40",
    );
    STAGE.run(
        "alice",
        "select count(df.pause(id)) from (select id, row_number() over (order by id) as n from df.instances where label = 'beside') i where n % 2 = 1",
    );
    STAGE.until(
        "every other is paused",
        "select count(*) from postern.instance where label = 'beside' and paused_at is not null",
        "20",
    );
    // All are due at one moment, and every other is held when its turn comes.
    STAGE.run("alice", "select count(df.signal(id, 'go')) from df.instances where label = 'beside'");
    STAGE.until("the others have run", "select count(*) from app.log where what = 'beside'", "20");
    STAGE.until(
        "the rest is held",
        "select count(held) from postern.strand s join postern.instance i on i.id = s.instance where i.label = 'beside'",
        "20",
    );
    assert_eq!(STAGE.admin("select distinct who from app.log where what = 'beside'"), "alice");
    STAGE.run(
        "alice",
        "select count(df.resume(id)) from df.instances where label = 'beside' and status = 'paused'",
    );
    STAGE.until("all have run", "select count(*) from app.log where what = 'beside'", "40");
    assert_eq!(STAGE.admin("select distinct who from app.log where what = 'beside'"), "alice");
}
