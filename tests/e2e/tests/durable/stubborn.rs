//! Statements that catch what is to stop them: they are stopped all the same, and nobody waits for them.

use std::sync::LazyLock;

use crate::stage::Stage;

/// A server with functions that go on whatever happens to them, and one that gives up after a while.
static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::start();
    stage.admin(
        "create function app.stubborn(note text default null) returns text language plpgsql as $$
         begin
             loop
                 begin
                     begin
                         perform pg_sleep(600);
                     exception when query_canceled then
                         if note is not null then insert into app.log(what) values (note); end if;
                     end;
                 exception when query_canceled or others then
                     null;
                 end;
             end loop;
         end $$;
         create procedure app.stubborn_at_top_level() language plpgsql as $$
         begin
             insert into app.log(what) values ('top level');
             commit;
             perform app.stubborn();
         end $$",
    );
    stage
});

/// Starts a function as alice, and waits until its statement, which shows as this, sleeps.
fn started(function: &str, shown: &str) -> String {
    let id = STAGE.start_as_alice(function);
    let sql = format!(
        "select count(*) from pg_stat_activity where query like '%{shown}%' and wait_event = 'PgSleep'"
    );
    STAGE.until("it runs", &sql, "1");
    id
}

#[test]
fn a_statement_that_catches_its_cancel_is_cancelled() {
    for (function, running) in [
        ("'select app.stubborn(''cancelled'')'", "node 00000000 */ select app.stubborn(''cancelled''"),
        ("'call app.stubborn_at_top_level()'", "node 00000000 */ call app.stubborn"),
    ] {
        let id = started(function, running);
        STAGE.run("alice", &format!("select df.cancel('{id}')"));
        assert_eq!(STAGE.end_of(&id), ("cancelled".into(), "canceled: Cancelled by user".into()));
    }
    assert_eq!(STAGE.admin("select count(*) from app.log where what = 'cancelled'"), "0");
}

#[test]
fn time_limits_hold_for_it() {
    let late = STAGE.failure("df.timeout('select app.stubborn(''timed out'')', '200 milliseconds')");
    assert_eq!(late, "Timeout after 0.2s");
    let stage = Stage::start();
    stage.admin(
        "create function app.stubborn() returns void language plpgsql as $$
         begin
             loop
                 begin perform pg_sleep(600); exception when query_canceled then insert into app.log(what) values ('caught'); end;
             end loop;
         end $$;
         alter system set postern.step_timeout = '200ms'; select pg_reload_conf()",
    );
    for function in ["'select app.stubborn()'", "'do $b$ begin commit; perform app.stubborn(); end $b$'"] {
        stage.until("the setting is read", "show postern.step_timeout", "200ms");
        let failure = stage.failure(function);
        assert!(failure.ends_with("canceling statement due to statement timeout"), "{failure}");
    }
    assert_eq!(stage.admin("select count(*) from app.log"), "0");
}

#[test]
fn the_loser_of_a_race_is_stopped_and_a_rerun_does_not_wait_for_it() {
    let id = STAGE.start_as_alice(
        "df.race('select pg_sleep(0.3), 1 / (select count(*) from app.log where what = ''raced'')', 'select app.stubborn()')",
    );
    assert_eq!(STAGE.end_of(&id).0, "failed");
    STAGE.run("alice", "insert into app.log(what) values ('raced')");
    STAGE.run("alice", &format!("set statement_timeout = '10s'; select df.rerun('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "completed");
    STAGE.until(
        "the loser is gone",
        &format!("select count(*) from df.executors where instance_id = '{id}'"),
        "0",
    );
}

#[test]
fn who_shares_its_commit_does_not_wait_for_it() {
    // One transaction, so that they are due at once, of one role.
    let ids = STAGE.run(
        "bob",
        "select string_agg(df.start(case when n % 8 = 3 then 'select app.stubborn()' else 'select 1' end, 'company'), ' ')
           from generate_series(1, 24) n",
    );
    STAGE.until(
        "the others are done",
        "select count(*) from df.instances where label = 'company' and status = 'completed'",
        "21",
    );
    for id in ids.split(' ') {
        STAGE.run("bob", &format!("select df.cancel('{id}')"));
    }
    STAGE.until(
        "all have ended",
        "select count(*) from df.instances where label = 'company' and ended_at is null",
        "0",
    );
}

#[test]
fn a_role_s_statement_timeout_is_that_of_its_steps() {
    STAGE.admin("create role hasty; create role patient; grant postern_application to hasty, patient;
                 alter role hasty set statement_timeout = '200ms'; alter role patient set statement_timeout = '1min'");
    let run = |role: &str, function: &str| {
        let id = STAGE.admin(&format!("set role {role}; select df.start({function})"));
        STAGE.admin(&format!("select df.await_instance('{id}')"));
        STAGE
            .admin(&format!("select coalesce(error->>'message', status) from df.instances where id = '{id}'"))
    };
    for function in ["'select pg_sleep(600)'", "'do $b$ begin commit; perform pg_sleep(600); end $b$'"] {
        let failure = run("hasty", function);
        assert!(failure.ends_with("canceling statement due to statement timeout"), "{failure}");
    }
    assert_eq!(run("patient", "'select pg_sleep(0.5)'"), "completed");
    // It is a limit of the statement: what waits takes none of it.
    assert_eq!(run("hasty", "df.sleep(interval '0.5 seconds') ~> 'select 1'"), "completed");
}
