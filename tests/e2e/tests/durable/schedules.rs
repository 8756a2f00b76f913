//! Functions that start again and again.
//!
//! Time is injected: a schedule that would come once a year is moved to the past, or a second from now.

use std::sync::LazyLock;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

/// Moves the next tick of one of alice's schedules, and has executors look.
fn comes(stage: &Stage, name: &str, when: &str) {
    stage.admin(&format!(
        "begin; update postern.schedule set next_at = {when} where name = '{name}';
         set local role alice;
         select df.schedule('a change', '0 0 1 1 *', 'select 1'), df.unschedule('a change');
         select df.schedule('a change', '0 0 1 1 *', 'select 1'); commit"
    ));
}

fn of(name: &str) -> String {
    format!("from df.instances where schedule = '{name}'")
}

#[test]
fn a_tick_starts_its_function_as_who_asked_with_the_facts_of_that_time() {
    STAGE.run(
        "alice",
        "select df.setvar('v', 'then'); select df.schedule('yearly', '0 0 1 1 *', 'select current_user as u, ''{v}'' as v');
         select df.setvar('v', 'now')",
    );
    assert_eq!(
        STAGE.run("alice", "select cron, overlap, backfill, status, submitted_by, next_at > now(), started from df.schedules where name = 'yearly'"),
        "0 0 1 1 *|skip|f|active|alice|t|0"
    );
    comes(&STAGE, "yearly", "now() - interval '1 second'");
    STAGE.until("it has run", &format!("select status {}", of("yearly")), "completed");
    let id = STAGE.run("alice", &format!("select id {}", of("yearly")));
    assert_eq!(STAGE.end_of(&id).1, r#"{"rows": [{"u": "alice", "v": "then"}], "row_count": 1}"#);
    assert_eq!(
        STAGE.run(
            "alice",
            &format!("select s.started, s.missed, s.next_at = date_trunc('year', now(), 'UTC') + interval '1 year', s.last_instance = '{id}', i.tick = s.last_tick, i.label
                        from df.schedules s join df.instances i on i.id = '{id}' where s.name = 'yearly'")
        ),
        "1|0|t|t|t|yearly"
    );
}

#[test]
fn a_timer_wakes_an_executor_and_a_schedule_survives_a_restart() {
    let stage = Stage::start();
    stage.run(
        "alice",
        "select df.schedule('each second', '* * * * * *', 'insert into app.log(what) values (''tick'')')",
    );
    stage.until("three ticks", "select count(*) >= 3 from app.log where what = 'tick'", "t");
    stage.cluster.restart().unwrap();
    let before = stage.admin("select count(*) from app.log where what = 'tick'");
    stage.until(
        "further ticks",
        &format!("select count(*) >= {before} + 2 from app.log where what = 'tick'"),
        "t",
    );
    stage.run("alice", "select df.unschedule('each second')");
    stage.until("all have ended", "select count(*) from postern.strand", "0");
    // One instance at most for each tick, and each has run once.
    assert_eq!(
        stage.admin(&format!(
            "select count(*) = count(distinct tick), count(*) = (select count(*) from app.log where what = 'tick') {}",
            of("each second")
        )),
        "t|t"
    );
}

#[test]
fn ticks_that_have_passed_are_made_up_only_when_that_was_asked_for() {
    STAGE.run(
        "alice",
        "select df.schedule('passed', '0 0 1 1 *', 'select 1');
         select df.schedule('made up', '0 0 1 1 *', 'select 1', overlap => 'queue', backfill => true)",
    );
    let past = "date_trunc('year', now(), 'UTC') - interval '2 years'";
    comes(&STAGE, "passed", past);
    comes(&STAGE, "made up", past);
    STAGE.until(
        "three are made up",
        &format!("select count(*) {} and status = 'completed'", of("made up")),
        "3",
    );
    assert_eq!(
        STAGE.run("alice", "select name, started, missed, next_at > now() from df.schedules where name in ('passed', 'made up') order by name"),
        "made up|3|0|t\npassed|0|1|t"
    );
    assert_eq!(STAGE.admin(&format!("select count(*) {}", of("passed"))), "0");
    // One after the other, in order.
    assert_eq!(
        STAGE.admin(&format!(
            "select bool_and(ok) from (select created_at >= coalesce(lag(ended_at) over (order by tick), '-infinity') as ok {}) x",
            of("made up")
        )),
        "t"
    );
}

#[test]
fn while_the_one_before_runs_a_tick_is_left_out_or_waits_or_starts_all_the_same() {
    STAGE.run(
        "alice",
        "select df.schedule(overlap, '0 0 1 1 *', df.wait_for_signal('go'), overlap => overlap)
           from unnest(array['skip', 'queue', 'allow']) overlap",
    );
    for round in 1..=2 {
        for name in ["skip", "queue", "allow"] {
            comes(&STAGE, name, "now() - interval '1 second'");
            STAGE.until(
                "the tick is over",
                &format!(
                    "select started + missed + waiting::int from postern.schedule where name = '{name}'"
                ),
                &round.to_string(),
            );
        }
    }
    assert_eq!(
        STAGE.run("alice", "select name, status, started, missed from df.schedules where name in ('skip', 'queue', 'allow') order by name"),
        "allow|active|2|0\nqueue|waiting|1|0\nskip|active|1|1"
    );
    // It waits for that one, and starts by itself when it has ended: also when it fails.
    let id = STAGE.run("alice", &format!("select id {}", of("queue")));
    STAGE.run("alice", &format!("select df.cancel('{id}')"));
    STAGE.until("the tick that waited has started", &format!("select count(*) {}", of("queue")), "2");
    STAGE.until("it waits no more", "select waiting from postern.schedule where name = 'queue'", "f");
    STAGE.run("alice", "select df.cancel(id) from df.instances where schedule in ('skip', 'queue', 'allow') and ended_at is null");
}

#[test]
fn a_schedule_that_is_paused_or_was_rolled_back_starts_nothing() {
    STAGE.run("alice", "begin; select df.schedule('never', '* * * * * *', 'select 1'); rollback");
    STAGE.run("alice", "select df.schedule('paused', '0 0 1 1 *', 'select 1', backfill => true); select df.pause_schedule('paused')");
    comes(&STAGE, "paused", "now() - interval '400 days'");
    // A tick of another one shows that schedules were looked at.
    STAGE.run("alice", "select df.schedule('other', '0 0 1 1 *', 'select 1')");
    comes(&STAGE, "other", "now() - interval '1 second'");
    STAGE.until("the other one starts", &format!("select count(*) {}", of("other")), "1");
    assert_eq!(STAGE.run("alice", "select status from df.schedules where name = 'paused'"), "paused");
    assert_eq!(STAGE.run("alice", "select df.resume_schedule('paused') > now()"), "t");
    comes(&STAGE, "other", "now() - interval '1 second'");
    STAGE.until("the other one starts again", &format!("select count(*) {}", of("other")), "2");
    assert_eq!(STAGE.admin("select count(*) from df.instances where schedule in ('never', 'paused')"), "0");
}

#[test]
fn everybody_has_schedules_of_their_own() {
    STAGE.run("alice", "select df.schedule('mine', '0 0 1 1 *', 'select 1')");
    assert_eq!(STAGE.run("bob", "select count(*) from df.schedules where name = 'mine'"), "0");
    for call in ["df.unschedule('mine')", "df.pause_schedule('mine')", "df.resume_schedule('mine')"] {
        let error = STAGE.try_run("bob", &format!("select {call}")).unwrap_err();
        assert!(error.contains("schedule \"mine\" does not exist"), "{error}");
    }
    STAGE.run("bob", "select df.schedule('mine', '0 0 1 1 *', 'select 2')");
    assert_eq!(STAGE.admin("select count(*) from df.schedules where name = 'mine'"), "2");
    for forged in [
        "insert into postern.schedule select * from postern.schedule",
        "update postern.schedule set owner = 'alice'::regrole",
        "update df.schedules set step = 'select 2'",
        "delete from postern.schedule",
    ] {
        let error = STAGE.try_run("bob", forged).unwrap_err();
        assert!(error.contains("permission denied"), "{error}");
    }
}

#[test]
fn inside_security_definer_it_runs_as_the_caller_where_that_is_asked_for() {
    let stage =
        Stage::with(postern_cluster::Cluster::builder().setting("postern.start_in_definer", "session"));
    stage.run(
        "alice",
        "create function app.plan(what text) returns timestamptz language sql security definer
             begin atomic select df.schedule('planned', '0 0 1 1 *', what); end;
         grant execute on function app.plan to bob",
    );
    stage.run("bob", "select app.plan('select current_user as u')");
    assert_eq!(
        stage.admin(
            "select submitted_by, definers::text ~ 'app.plan' from df.schedules where name = 'planned'"
        ),
        "bob|t"
    );
    stage.admin("alter system set postern.start_in_definer = 'refuse'; select pg_reload_conf()");
    stage.until(
        "it is refused",
        "select setting from pg_settings where name = 'postern.start_in_definer'",
        "refuse",
    );
    let error = stage.try_run("bob", "select app.plan('select 1')").unwrap_err();
    assert!(error.contains("df.schedule() inside a SECURITY DEFINER function is refused"), "{error}");
}

#[test]
fn a_dropped_role_s_schedule_goes_and_others_tick_on() {
    let stage = Stage::start();
    stage.admin("create role gone; grant postern_application to gone");
    stage.admin("set role gone; select df.schedule('orphan', '0 0 1 1 *', 'select 1')");
    stage.run("alice", "select df.schedule('kept', '0 0 1 1 *', 'select 1')");
    stage.admin("drop role gone");
    comes(&stage, "orphan", "now() - interval '2 seconds'");
    comes(&stage, "kept", "now() - interval '1 second'");
    stage.until("it is removed", "select count(*) from postern.schedule where name = 'orphan'", "0");
    stage.until("the other one ran", &format!("select count(*) {}", of("kept")), "1");
}
