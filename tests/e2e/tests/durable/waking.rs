//! Executors that wait: who is woken, and that nothing waits for one that was not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

/// A server whose executors, four with the one for others, have all been started.
static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "3"));
    let ids: Vec<String> = (0..3).map(|_| stage.start_as_alice("'select pg_sleep(600)'")).collect();
    stage.until("there are four", "select count(*) from df.executors", "4");
    for id in ids {
        stage.run("alice", &format!("select df.cancel('{id}')"));
        assert_eq!(stage.end_of(&id).0, "cancelled");
    }
    all_wait(&stage);
    stage
});

fn all_wait(stage: &Stage) {
    stage.until("they wait", "select string_agg(distinct state, ' ') from df.executors", "waits");
}

/// How often executors were woken since they were started.
fn woken() -> i64 {
    STAGE.admin("select sum(woken) from df.executors").parse().unwrap()
}

#[test]
fn an_idle_start_wakes_one_executor_which_wakes_nobody_and_timers_are_kept() {
    all_wait(&STAGE);
    // What has been handed over is: each has seen all there is.
    for _ in 0..4 {
        STAGE.result("'select 1'");
        all_wait(&STAGE);
    }
    for function in ["'select 1'", "'select 1' ~> 'select 2' ~> 'select 3'", "df.retry('select 1')"] {
        for _ in 0..5 {
            let before = woken();
            STAGE.result(function);
            all_wait(&STAGE);
            assert_eq!(woken() - before, 1, "{function}");
        }
    }
    // Several at once are more than one executor's.
    let before = woken();
    let ids = STAGE
        .run("alice", "select string_agg(df.start('select pg_sleep(600)'), ' ') from generate_series(1, 3)");
    STAGE.until("all run", "select count(*) from df.executors where state = 'runs'", "3");
    // The fourth may have been told as well; nobody was told twice.
    let told = woken() - before;
    assert!((3..=4).contains(&told), "{told}");
    for id in ids.split(' ') {
        STAGE.run("alice", &format!("select df.cancel('{id}')"));
        assert_eq!(STAGE.end_of(id).0, "cancelled");
    }
    all_wait(&STAGE);

    // Whoever put something to rest is busy when it is due: another one looks in time.
    for _ in 0..5 {
        let rests = STAGE.start_as_alice("df.sleep(interval '200 milliseconds') ~> 'select 1'");
        STAGE.until("it has begun", &format!("select df.status('{rests}') <> 'pending'"), "t");
        let busy = STAGE.start_as_alice("'select pg_sleep(600)'");
        assert_eq!(STAGE.end_of(&rests).0, "completed");
        assert_eq!(STAGE.run("alice", &format!("select df.status('{busy}')")), "running");
        STAGE.run("alice", &format!("select df.cancel('{busy}')"));
        assert_eq!(STAGE.end_of(&busy).0, "cancelled");
    }
}

#[test]
fn what_is_put_to_rest_together_with_what_goes_on_is_not_forgotten() {
    let stage = Stage::start();
    stage.run(
        "alice",
        "create procedure app.endless() language plpgsql as $$ begin loop commit; perform pg_sleep(0.01); end loop; end $$",
    );
    for _ in 0..5 {
        // One commit writes that the call is to be run at top level, at once, and that the other branch sleeps.
        let id = stage.start_as_alice("'call app.endless()' | df.sleep('200 milliseconds'::interval)");
        let ends = format!("select df.await_instance('{id}', 20)");
        assert_eq!(stage.run("alice", &ends), "completed");
    }
}

#[test]
fn who_leaves_hands_over_what_it_alone_waited_for() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "2"));
    let ids: Vec<String> = (0..2).map(|_| stage.start_as_alice("'select pg_sleep(600)'")).collect();
    stage.until("there are three", "select count(*) from df.executors", "3");
    let rests = stage.run("bob", "select df.start(df.sleep(interval '3 seconds') ~> 'select 1')");
    stage.until("it has begun", &format!("select df.status('{rests}') <> 'pending'"), "t");
    for id in &ids {
        stage.run("alice", &format!("select df.cancel('{id}')"));
        assert_eq!(stage.end_of(id).0, "cancelled");
    }
    stage.admin("alter system set postern.executors = 1");
    stage.admin("select pg_reload_conf()");
    stage.admin("select pg_terminate_backend(max(pid)) from df.executors");
    assert_eq!(stage.run("bob", &format!("select df.await_instance('{rests}', 60)")), "completed");
}

/// How often each executor has gone to sleep, once none does any more.
fn asleep(stage: &Stage) -> BTreeMap<String, String> {
    let look = || {
        let pids = stage.admin(
            "select string_agg(pid::text, ' ' order by pid) from df.executors where database = 'postgres'",
        );
        let naps = |pid: &str| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
            line.unwrap_or_default().to_owned()
        };
        pids.split(' ').map(|pid| (pid.to_owned(), naps(pid))).collect::<BTreeMap<_, _>>()
    };
    let mut last = look();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = look();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// How often each executor was told to wake.
fn told(stage: &Stage) -> BTreeMap<String, String> {
    let text = stage.admin("select pid, woken from df.executors where database = 'postgres'");
    text.lines().filter_map(|line| line.split_once('|')).map(|(pid, n)| (pid.into(), n.into())).collect()
}

#[test]
fn one_executor_keeps_a_time_for_all() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "5"));
    let ids: Vec<String> = (0..5).map(|_| stage.start_as_alice("'select pg_sleep(600)'")).collect();
    stage.until("there are six", "select count(*) from df.executors where database = 'postgres'", "6");
    for id in ids {
        stage.run("alice", &format!("select df.cancel('{id}')"));
        assert_eq!(stage.end_of(&id).0, "cancelled");
    }
    // One wakes by itself: who keeps the time. Told is who keeps the next one while that one is busy; of a schedule also who hears
    // that a function was started and that it has ended, and, if who was told first has not come to rest by the time the function
    // is taken up, another one for the next time.
    for (kind, most) in [("function", 1), ("schedule", 4)] {
        let at = stage.admin("select now() + interval '8 seconds'");
        let done = if kind == "function" {
            let sleep = format!("df.sleep('{at}'::timestamptz - clock_timestamp())");
            let id = stage.start_as_alice(&format!("{sleep} ~> 'select 1'"));
            format!("select status from df.instances where id = '{id}'")
        } else {
            stage.run("alice", "select df.schedule('tick', '@yearly', 'select 1')");
            let next =
                format!("update postern.schedule set next_at = '{at}'; select postern.durable_changed()");
            stage.admin(&next);
            "select status from df.instances where schedule = 'tick'".into()
        };
        let before = asleep(&stage);
        let told_before = told(&stage);
        assert_eq!(stage.admin(&format!("select now() < '{at}'::timestamptz - interval '1 second'")), "t");
        stage.until("its time has come", &done, "completed");
        let after = asleep(&stage);
        let told_after = told(&stage);
        let told = |pid: &String| told_before.get(pid) != told_after.get(pid);
        let woken: Vec<_> = after.iter().filter(|(pid, naps)| before.get(*pid) != Some(naps)).collect();
        let alone = woken.iter().filter(|(pid, _)| !told(pid)).count();
        let all = format!("{kind}\n{before:?}\n{told_before:?}\n{after:?}\n{told_after:?}");
        assert!(alone <= 1, "{alone} woke by themselves: {all}");
        assert!(woken.len() - alone <= most, "{} were told: {all}", woken.len() - alone);
    }
}

#[test]
fn no_time_is_missed_whoever_keeps_it_is_called_away() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "3"));
    stage.run(
        "alice",
        "select df.start(df.wait_for_signal('go') ~> df.wait_for_signal('go') ~> df.wait_for_signal('go'), 'waiter') from generate_series(1, 10);
         select df.start((select df.loop(df.sleep(make_interval(secs => 0.01 * (1 + g % 17))), 'update app.log set what = what where what = ''never'' returning true'
                         ) ~> df.sleep(make_interval(secs => 0.013 * (g % 23))) ~> df.sleep(make_interval(secs => 0.2 * (g % 5)))), 'sleeper')
           from generate_series(1, 60) g;
         select df.schedule('each second', '* * * * * *', 'select 1')",
    );
    for _ in 0..3 {
        stage.run(
            "alice",
            "select df.signal(id, 'go') from df.instances where label = 'waiter' and ended_at is null",
        );
        stage.run("alice", "select df.start('select pg_sleep(0.05)', 'short') from generate_series(1, 4)");
    }
    // Whoever keeps a time may be ended, too.
    stage.admin("select pg_terminate_backend(pid) from df.executors where database = 'postgres' limit 2");
    stage.run("alice", "select df.unschedule('each second')");
    let id = stage.start_as_alice("df.sleep(interval '1 second') ~> df.sleep(interval '0.5 seconds')");
    stage.admin("select pg_terminate_backend(pid) from df.executors where database = 'postgres' limit 1");
    assert_eq!(stage.end_of(&id).0, "completed");
    stage.until("all are done", "select count(*) from df.instances where ended_at is null", "0");
}
