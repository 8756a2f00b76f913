//! Executors that wait: who is woken, and that nothing waits for one that was not.

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
