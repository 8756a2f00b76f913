//! Everything at once: starts, cancels, signals, roles that come and go, an extension that comes and goes, settings that change.
//!
//! `POSTERN_SOAK_SECONDS` says how long; without it, a few seconds.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postern_cluster::Cluster;

use crate::stage::Stage;

/// What executors may have for themselves at the end, in kB, and how much more than in the middle.
const MOST: u64 = 96 * 1024;
const MORE: u64 = 16 * 1024;

/// Functions of every kind, most of them short, some that fail, some that never end by themselves.
const START: &str = "
    select count(df.start(f, 'load')) from unnest(array[
        df.seq('insert into app.log(what) values (''{sys_instance_id}'')', 'select 1'),
        df.join('insert into app.log(what) values (''{sys_instance_id}'')', 'select pg_sleep(0.002)'),
        df.race('select pg_sleep(30)', 'select 1'),
        df.retry('select 1/0', 2, interval '1 ms'),
        df.catch('select 1/0', 'insert into app.log(what) values (''{sys_instance_id}'')'),
        df.map('select n from generate_series(1, 5) n', 'select $item.n', 2),
        df.timeout('select pg_sleep(30)', interval '5 ms'),
        df.seq(df.wait_for_signal('go'), 'insert into app.log(what) values (''{sys_instance_id}'')'),
        df.seq(df.sleep(interval '20 ms'), 'select 1'),
        df.loop('select 1', 'select random() < 0.8'),
        'select pg_sleep(20)',
        'select * from app.nowhere']) f";

const CANCEL: &str = "
    select count(df.cancel(id)) from
        (select id from df.instances where label = 'load' and status in ('pending', 'running') order by random() limit 4) i";

const SIGNAL: &str = "
    select count(df.signal(i.id, 'go')) from
        (select i.id from df.instances i join postern.strand s on s.instance = i.id where s.signal = 'go' limit 10) i";

/// A role with work of its own that is dropped while it runs.
const ROLE: &str = "
    create role passing; grant postern_application to passing; grant usage on schema app to passing;
    grant insert on app.log to passing;
    begin; set local role passing;
    select count(df.start(df.seq('insert into app.log(what) values (''{sys_instance_id}'')', df.seq(df.sleep(interval '5 ms'),
        'insert into app.log(what) values (''{sys_instance_id}'')')), 'passing')) from generate_series(1, 5);
    commit;
    select pg_sleep(0.01);
    drop owned by passing; drop role passing";

const EXTENSION: &str = "
    create extension if not exists postern;
    set role alice;
    select count(df.start('select pg_sleep(0.003)')) from generate_series(1, 20);
    reset role;
    select pg_sleep(0.05);
    drop extension postern cascade";

const SETTINGS: [&str; 4] = [
    "alter system set postern.step_commit = 'each'",
    "alter system set postern.executors = 2",
    "alter system reset postern.step_commit",
    "alter system reset postern.executors",
];

#[test]
fn a_mixed_load_ends_as_it_should() {
    let seconds = std::env::var("POSTERN_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    // Who waits for whom, should it go wrong.
    let stage = Stage::with(Cluster::builder().setting("log_lock_waits", "on"));
    stage.cluster.create_database("other", true).unwrap();
    let ended = AtomicBool::new(false);
    let middle = std::thread::scope(|scope| {
        let repeat = |database: &'static str, role: Option<&'static str>, sql: &'static str| {
            let (stage, ended) = (&stage, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let result = match role {
                        Some(role) => stage.cluster.psql_as(role, database, sql),
                        None => stage.cluster.psql(database, sql),
                    };
                    if let Err(error) = result {
                        let error = error.to_string();
                        // What is cancelled may have ended since it was looked for, and be gone; an executor may be at the
                        // tables of the extension that is dropped.
                        assert!(error.contains("Instance not found"), "{sql}: {error}");
                    }
                }
            })
        };
        let workers = [
            repeat("postgres", Some("alice"), START),
            repeat("postgres", Some("bob"), START),
            repeat("postgres", Some("alice"), CANCEL),
            repeat("postgres", Some("bob"), SIGNAL),
            repeat("postgres", None, ROLE),
            repeat("other", None, EXTENSION),
        ];
        let begin = Instant::now();
        let mut middle = 0;
        for change in SETTINGS.iter().cycle() {
            std::thread::sleep(Duration::from_millis(300));
            stage.admin(change);
            stage.admin("select pg_reload_conf()");
            if middle == 0 && begin.elapsed() > Duration::from_secs(seconds) / 2 {
                middle = largest(&stage);
            }
            // A worker that has failed says so when it is joined.
            if begin.elapsed() > Duration::from_secs(seconds)
                || workers.iter().any(std::thread::ScopedJoinHandle::is_finished)
            {
                break;
            }
        }
        ended.store(true, Ordering::Relaxed);
        middle
    });
    stage.admin("alter system reset all");
    stage.admin("select pg_reload_conf()");

    // Every function ends, in its own way or because it is told to.
    stage.admin("select count(df.cancel(id)) from postern.instance where ended_at is null");
    stage.until("all have ended", "select count(*) from postern.instance where ended_at is null", "0");
    stage.until(
        "nothing is left of them",
        "select (select count(*) from postern.strand) + (select count(*) from postern.message)",
        "0",
    );
    let started: u64 = stage.admin("select count(*) from postern.instance").parse().unwrap();
    assert!(started > 100, "{started}");

    // A step of the log is there once for each that was recorded.
    assert_eq!(
        stage.admin(
            "with l as (select what, count(*) as n from app.log group by what),
                  p as (select s.instance, count(*) as n from postern.step s join postern.instance i on i.id = s.instance
                         where s.status = 'completed' and s.query like 'insert into app.log%' group by s.instance)
             select count(*) from l full join p on p.instance = l.what
              where coalesce(l.n, 0) <> coalesce(p.n, 0) and (p.n is not null or exists (select from postern.instance i where i.id = l.what))"
        ),
        "0"
    );

    let log = fs::read_to_string(stage.cluster.folder().join("log")).unwrap();
    for bad in [
        "PANIC",
        "was terminated by signal",
        "deadlock detected",
        "crash of another",
        "TRAP:",
        "exited with exit code",
    ] {
        let at = log.lines().position(|line| line.contains(bad));
        let around =
            at.map(|at| log.lines().skip(at.saturating_sub(30)).take(60).collect::<Vec<_>>().join("\n"));
        assert!(around.is_none(), "{bad}: {}", around.unwrap_or_default());
    }
    stage.until(
        "nobody is connected but who asks",
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
        "0",
    );
    let executors: usize =
        stage.admin("select count(*) from df.executors where database = current_database()").parse().unwrap();
    assert!(executors <= 8, "{executors}");
    let most = largest(&stage);
    assert!(most < MOST, "an executor has {most} kB");
    assert!(middle == 0 || most < middle + MORE, "an executor had {middle} kB and has {most}");
    assert_eq!(stage.result("'select 1 as n'"), r#"{"rows": [{"n": 1}], "row_count": 1}"#);
}

/// What the largest executor has for itself, in kB.
fn largest(stage: &Stage) -> u64 {
    let pids = stage.admin("select pid from pg_stat_activity where backend_type = 'postern executor'");
    let own = |pid: &str| {
        // One that has ended since has none.
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    pids.lines().map(own).max().unwrap_or(0)
}
