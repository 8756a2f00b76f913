//! How much of the executors one role gets. What is counted is order, not time.

use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

#[test]
fn a_role_with_many_short_steps_delays_nobody() {
    let stage = Stage::start();
    stage.admin("create sequence app.place; grant usage on app.place to alice, bob;
                 create table app.done(who name default current_user, place bigint default nextval('app.place'));
                 grant insert, select on app.done to alice, bob");
    // A hundred thousand steps: of many functions, and of some that fan out.
    stage.run(
        "alice",
        "select count(df.start('insert into app.done default values')) from generate_series(1, 20000);
         select count(df.start(df.all(array_fill('insert into app.done default values'::text, array[400])))) from generate_series(1, 200)",
    );
    for _ in 0..5 {
        let id = stage.run(
            "bob",
            "begin; insert into app.done(who) values ('asked'); select df.start('insert into app.done default values'); commit",
        );
        stage.run("bob", &format!("select df.await_instance('{}')", id.lines().last().unwrap()));
    }
    assert_ne!(
        stage.admin("select count(*) from postern.strand where owner = 'alice'::regrole"),
        "0",
        "she still has work"
    );
    // Between what bob asked for and what he got, each executor has finished what it had, and some more.
    let waited = stage.admin(
        "select max((select count(*) from app.done a where a.who = 'alice' and a.place between q.place and b.place))
           from app.done q cross join lateral (select min(place) as place from app.done b where b.who = 'bob' and b.place > q.place) b
          where q.who = 'asked'",
    );
    assert!(waited.parse::<u32>().unwrap() < 1_000, "{waited} steps of alice's came first");
}

#[test]
fn who_always_goes_on_at_once_does_not_keep_out_who_comes_later() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "1"));
    // More of them than share a commit, by one executor, without a pause.
    let endless = "df.loop('select 1' ~> 'select 2')";
    stage.run("alice", &format!("select count(df.start({endless}, 'endless')) from generate_series(1, 40)"));
    let running = "select count(*) from df.instances where label = 'endless' and status = 'running'";
    stage.until("they run", running, "40");
    let id = stage.run("alice", "select df.start('select 1' ~> 'select 2')");
    assert_eq!(stage.run("alice", &format!("select df.await_instance('{id}', 60)")), "completed");
    assert_eq!(stage.admin(running), "40");
}

#[test]
fn a_role_whose_steps_take_long_leaves_an_executor_to_others() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "2"));
    stage.run("alice", "select count(df.start('select pg_sleep(600)', 'long')) from generate_series(1, 5)");
    stage.until(
        "all that she may have are hers",
        "select count(*) from df.executors e join df.instances i on i.id = e.instance_id where i.label = 'long'",
        "2",
    );
    let id = stage.run("bob", "select df.start('select 1' ~> 'select 2')");
    assert_eq!(stage.run("bob", &format!("select df.await_instance('{id}', 60)")), "completed");
    // And she goes on when one of hers has ended.
    stage.run("alice", "select df.cancel(id) from df.instances where label = 'long' and status = 'running'");
    stage.until(
        "the next of hers run",
        "select count(*) filter (where status = 'cancelled'), count(*) filter (where status = 'running') from df.instances where label = 'long'",
        "2|2",
    );
    stage.run("alice", "select df.cancel(id) from df.instances where label = 'long' and ended_at is null");
}

#[test]
fn a_quota_bounds_what_runs_at_one_time() {
    STAGE.admin("grant postern_admin to bob");
    STAGE.run("bob", "select postern.set_quota('alice', concurrency => 1)");
    STAGE.run("alice", "create table app.inside(n int)");
    // Each sees what others have begun and not ended, by a lock that it would have to wait for.
    let step = "do $$ begin
            if not pg_try_advisory_xact_lock(4711) then raise exception 'another one is running'; end if;
            perform pg_sleep(0.02);
            insert into app.inside values (1);
        end $$";
    STAGE
        .run("alice", &format!("select count(df.start($q${step}$q$, 'inside')) from generate_series(1, 40)"));
    STAGE.until(
        "all have run one after the other",
        "select count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed') from df.instances where label = 'inside'",
        "40|0",
    );
    assert_eq!(STAGE.run("bob", "select postern.drop_quota('alice'), postern.drop_quota('alice')"), "t|f");
}

#[test]
fn a_rate_spaces_turns_and_only_those_of_its_role() {
    STAGE.admin("create role slow; grant postern_application to slow; grant usage on schema app to slow; grant insert on app.log to slow;
                 select postern.set_quota('slow', per_second => 10)");
    STAGE.admin("set role slow; select count(df.start('insert into app.log(what) values (''paced'')')) from generate_series(1, 10)");
    STAGE.until("all have run", "select count(*) from app.log where what = 'paced'", "10");
    // A tenth of a second from turn to turn, by the server's own clock; two executors may look at the same moment.
    assert_eq!(
        STAGE.admin(
            "select max(at) - min(at) >= interval '700 milliseconds' from app.log where what = 'paced'"
        ),
        "t"
    );
}

#[test]
fn only_an_administrator_sets_quotas() {
    for call in ["postern.set_quota('alice', 1)", "postern.drop_quota('alice')", "postern.durable_changed()"]
    {
        let error = STAGE.try_run("alice", &format!("select {call}")).unwrap_err();
        assert!(error.contains("permission denied"), "{error}");
    }
    for (call, words) in [
        ("postern.set_quota('alice')", "a quota has a concurrency"),
        ("postern.set_quota('alice', 0)", "at least 1"),
        ("postern.set_quota('alice', per_second => 0)", "between 0.001"),
        ("postern.set_quota('alice', per_second => 'NaN')", "between 0.001"),
        ("postern.set_quota(null, 1)", "does not exist"),
    ] {
        let error = STAGE.cluster.psql("postgres", &format!("select {call}")).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
