//! What survives: executors, servers and databases that end while functions run.

use std::process::Command;

use postern_cluster::{Cluster, Mode};

use crate::stage::Stage;

/// A server whose commits reach the disk, as it matters here.
pub fn durable() -> Stage {
    Stage::with(Cluster::builder().setting("fsync", "on").setting("restart_after_crash", "on"))
}

fn kill(pid: &str) {
    // It may have ended by itself.
    let _ = Command::new("kill").args(["-KILL", pid]).status();
}

/// Nothing is written any more, and what is in shared memory is lost.
fn kill_postmaster(stage: &Stage) {
    stage.cluster.stop(Mode::Kill).unwrap();
    // Its children see that it is gone; until the last of them has, the server does not start.
    for _ in 0..1_000 {
        if stage.cluster.start_again().is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the server does not start again");
}

/// Every step adds one to its own counter: run twice, it would be two.
pub fn chains(stage: &Stage, count: usize, steps: usize) {
    stage.run("alice", "create table if not exists app.effects(chain text, step int)");
    let chain = (1..=steps)
        .map(|step| format!("'insert into app.effects values (''{{sys_instance_id}}'', {step})'"))
        .collect::<Vec<_>>()
        .join(" ~> ");
    stage.run("alice", &format!("select df.start({chain}, 'chain') from generate_series(1, {count})"));
}

/// All chains completed, each step once, in order.
pub fn check(stage: &Stage, count: usize, steps: usize) {
    stage.until(
        "all chains complete",
        "select count(*) from postern.instance where label = 'chain' and status = 'completed'",
        &count.to_string(),
    );
    assert_eq!(
        stage.admin("select count(*), count(distinct (chain, step)), count(distinct chain) from app.effects"),
        format!("{}|{}|{count}", count * steps, count * steps)
    );
    stage.until(
        "no strand of a chain is left",
        "select count(*) from postern.strand s join postern.instance i on i.id = s.instance where i.label = 'chain'",
        "0",
    );
}

#[test]
fn each_step_takes_effect_once_whatever_executor_is_killed_when() {
    let stage = durable();
    let (count, steps) = (20, 40);
    chains(&stage, count, steps);
    // Each kill takes the whole server through a crash.
    for round in 1..=8 {
        let more = count * steps * round / 10;
        stage.until("more has happened", &format!("select count(*) >= {more} from app.effects"), "t");
        let pid = stage.admin("select pid from pg_stat_activity where backend_type = 'postern executor' order by random() limit 1");
        kill(&pid);
        wait_until_up(&stage);
    }
    check(&stage, count, steps);
}

#[test]
fn each_step_takes_effect_once_whenever_the_server_stops_at_once() {
    let stage = durable();
    let (count, steps) = (10, 30);
    chains(&stage, count, steps);
    for round in 1..=4 {
        let more = count * steps * round / 6;
        stage.until("more has happened", &format!("select count(*) >= {more} from app.effects"), "t");
        stage.cluster.stop(Mode::Immediate).unwrap();
        stage.cluster.start_again().unwrap();
    }
    check(&stage, count, steps);
}

#[test]
fn each_step_takes_effect_once_when_the_postmaster_is_killed_before_the_disk_has_it() {
    // Nothing but the ends of instances, and a full buffer, brings commits to the disk here.
    let stage = Stage::with(
        Cluster::builder()
            .setting("fsync", "on")
            .setting("postern.step_commit", "boundary")
            .setting("wal_writer_delay", "10s"),
    );
    let (count, steps) = (10, 40);
    stage.run("alice", "create table app.effects(chain text, step int)");
    let ahead = "select pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() > 20000";
    let looping = stage.start_as_alice("df.loop('insert into app.log(what) values (''ahead'')')");
    stage.until("commits are ahead of the disk", ahead, "t");
    stage.run("alice", &format!("select df.cancel('{looping}')"));
    assert_eq!(stage.end_of(&looping).0, "cancelled");
    chains(&stage, count, steps);
    for round in 1..=4 {
        let more = count * steps * round / 6;
        stage.until("more has happened", &format!("select count(*) >= {more} from app.effects"), "t");
        kill_postmaster(&stage);
    }
    // What was seen to have ended is on the disk.
    stage.until("one has ended", "select count(*) > 0 from postern.instance where status = 'completed'", "t");
    let ended = stage
        .admin("select string_agg(id, ',' order by id) from postern.instance where status = 'completed'");
    kill_postmaster(&stage);
    assert_eq!(
        stage.admin(&format!("select bool_and(status = 'completed') from postern.instance where id = any (string_to_array('{ended}', ','))")),
        "t"
    );
    check(&stage, count, steps);
}

#[test]
fn an_executor_that_is_terminated_is_started_again() {
    let stage = Stage::start();
    let id = stage.start_as_alice("'select pg_sleep(600)'");
    stage.until("it runs", &format!("select df.status('{id}')"), "running");
    stage.admin(
        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'postern executor'",
    );
    stage.until(
        "another executor runs the step",
        &format!("select df.status('{id}') = 'running' and count(*) > 0 from pg_stat_activity where query like '%pg_sleep%' or backend_type = 'postern executor'"),
        "t",
    );
    stage.run("alice", &format!("select df.cancel('{id}')"));
    assert_eq!(stage.end_of(&id).0, "cancelled");
}

#[test]
fn timers_and_signals_survive_a_restart() {
    let stage = durable();
    let sleeping = stage.start_as_alice("df.sleep(2) ~> 'select 1 as n'");
    let waiting = stage.start_as_alice("df.wait_for_signal('go') ~> 'select 2 as n'");
    stage.until("both wait", "select count(*) from postern.strand where state = 'w'", "2");
    stage.cluster.stop(Mode::Immediate).unwrap();
    stage.cluster.start_again().unwrap();
    stage.run("alice", &format!("select df.signal('{waiting}', 'go')"));
    assert_eq!(stage.end_of(&waiting).0, "completed");
    assert_eq!(stage.end_of(&sleeping).0, "completed");
}

#[test]
fn an_idle_server_does_nothing() {
    let stage = Stage::start();
    stage.result("'select 1'");
    let _waiting = stage.start_as_alice("df.wait_for_signal('go')");
    stage.until("it waits", "select count(*) from postern.strand where state = 'w'", "1");
    stage.until(
        "all executors wait",
        "select count(*) from pg_stat_activity where backend_type = 'postern executor' and wait_event_type is distinct from 'Extension'",
        "0",
    );
    let commits = "select sum(xact_commit) from pg_stat_database where datname = 'postgres'";
    // Statistics arrive late; what the two questions themselves add is known.
    stage.admin("select pg_stat_force_next_flush()");
    let wal = stage.admin("select pg_current_wal_insert_lsn()");
    let before = stage.admin(commits);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let after = stage.admin(commits);
    let written: i64 = stage.admin(&format!("select pg_current_wal_insert_lsn() - '{wal}'")).parse().unwrap();
    assert!(after.parse::<i64>().unwrap() - before.parse::<i64>().unwrap() < 10, "{before} → {after}");
    assert!(written < 10_000, "{written} bytes of WAL");
}

fn wait_until_up(stage: &Stage) {
    for _ in 0..3_000 {
        if stage.cluster.psql("postgres", "select 1").is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the server does not come back");
}

#[test]
fn executors_make_way_for_who_wants_a_database_for_himself() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "1"));
    stage.cluster.create_database("other", true).unwrap();
    let executors = |name: &str| {
        format!(
            "select count(*) > 0 from pg_stat_activity where backend_type = 'postern executor' and datname = '{name}'"
        )
    };
    stage.until("the other database has executors", &executors("other"), "t");
    stage.admin("create database copy template other");
    stage.until("they come back", &executors("other"), "t");
    stage.admin("alter database other rename to another");
    stage.until("they come back to the new name", &executors("another"), "t");
    // Who may not drop it disturbs nobody.
    let before = stage.admin("select string_agg(pid::text, ',' order by pid) from pg_stat_activity where backend_type = 'postern executor' and datname = 'another'");
    let error = stage.try_run("alice", "drop database another").unwrap_err();
    assert!(error.contains("must be owner"), "{error}");
    assert_eq!(
        stage.admin("select string_agg(pid::text, ',' order by pid) from pg_stat_activity where backend_type = 'postern executor' and datname = 'another'"),
        before
    );
    stage.admin("drop database another");
    stage.admin("drop database copy");
    assert_eq!(stage.admin("select count(*) from pg_database where datname in ('another', 'copy')"), "0");
}

#[test]
fn the_extension_can_be_dropped_and_made_again_while_functions_run() {
    let stage = Stage::start();
    for _ in 0..3 {
        stage.run("alice", "select count(df.start('select pg_sleep(0.01)')) from generate_series(1, 50)");
        stage.admin("drop extension postern cascade");
        stage.until(
            "no executor is left",
            "select count(*) from pg_stat_activity where backend_type = 'postern executor'",
            "0",
        );
        stage.admin("create extension postern");
        assert_eq!(stage.result("'select 1 as n'"), r#"{"rows": [{"n": 1}], "row_count": 1}"#);
    }
}
