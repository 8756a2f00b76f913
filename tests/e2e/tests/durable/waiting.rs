//! Waiting for the end of an instance: what it holds meanwhile, and where it is refused.

use std::sync::LazyLock;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::start();
    stage.admin(
        "select postern.admit('report');
         create function public.wait(id text) returns text language plpgsql as
             $$ declare s text; begin call df.await(id, 60, s); return s; end $$;
         grant execute on function public.wait(text) to public",
    );
    stage
});

/// Runs SQL that waits for an instance that waits for a signal; gives what it held then, and what it answered.
fn waiting(sql: &str) -> (String, String) {
    let id = STAGE.start_as_alice("df.wait_for_signal('go')");
    let sql = sql.replace("ID", &id);
    let waiter = std::thread::spawn(move || STAGE.run("alice", &sql));
    // It has looked, and waits: for the latch that an end sets.
    let about = format!("pg_stat_activity where usename = 'alice' and query like '%{id}%'");
    STAGE.until(
        "it waits",
        &format!("select count(*) from {about} and wait_event_type = 'Extension' and state = 'active'"),
        "1",
    );
    let held = STAGE.admin(&format!("select backend_xmin is not null from {about}"));
    STAGE.admin(&format!("set role alice; select df.signal('{id}', 'go')"));
    (held, waiter.join().unwrap())
}

#[test]
fn the_procedure_holds_no_snapshot_while_it_waits() {
    assert_eq!(waiting("call df.await('ID', 60)"), ("f".into(), "completed".into()));
    assert_eq!(
        waiting("do $$ declare s text; begin call df.await('ID', 60, s); assert s = 'completed'; end $$"),
        ("f".into(), String::new())
    );
    // A function is part of a statement, whose snapshot holds.
    assert_eq!(waiting("select df.await_instance('ID', 60)"), ("t".into(), "completed".into()));
}

#[test]
fn what_waits_for_every_snapshot_can_be_waited_for() {
    STAGE.admin("create table app.wide(n int); alter table app.wide owner to alice");
    let id = STAGE.start_as_alice("'create index concurrently wide_n on app.wide (n)'");
    assert_eq!(STAGE.run("alice", &format!("call df.await('{id}', 60)")), "completed");
}

#[test]
fn where_it_cannot_end_the_transaction_it_is_refused() {
    let id = STAGE.start_as_alice("'select 1'");
    for sql in [format!("begin; call df.await('{id}')"), format!("select public.wait('{id}')")] {
        let error = STAGE.try_run("alice", &sql).unwrap_err();
        assert!(error.contains("df.await() cannot be called inside a transaction block"), "{sql}: {error}");
        assert!(error.contains("df.await_instance() waits inside one"), "{sql}: {error}");
    }
    let error = STAGE
        .cluster
        .psql(
            "postgres",
            &format!(
                "set session authorization postern_gate; begin; select postern.enter('report', '{{}}'); call df.await('{id}')"
            ),
        )
        .unwrap_err()
        .to_string();
    assert!(!error.contains("completed"), "{error}");
    let failure = STAGE.failure(&format!("'call df.await(''{id}'')'"));
    assert!(failure.contains("cannot be called inside a workflow"), "{failure}");
    for (sql, words) in [
        ("call df.await('00000000')", "Instance not found"),
        ("call df.await(null)", "argument instance_id must not be null"),
        ("call df.await('00000000', 0)", "Timeout must be positive"),
    ] {
        let error = STAGE.try_run("alice", sql).unwrap_err();
        assert!(error.contains(words), "{sql}: {error}");
    }
    let error = STAGE.try_run("bob", &format!("call df.await('{id}')")).unwrap_err();
    assert!(error.contains("Instance not found"), "{error}");
    let id = STAGE.start_as_alice("df.wait_for_signal('never')");
    let error = STAGE.try_run("alice", &format!("call df.await('{id}', 1)")).unwrap_err();
    assert!(error.contains("Timeout after 1s"), "{error}");
}
