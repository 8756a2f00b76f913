//! What does not wait for the caller's commit: `transaction_mode => 'new'`, and `postern.signal_mode = immediate`.

use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

const NEW: &str = "transaction_mode => 'new'";

#[test]
fn a_start_of_its_own_survives_the_caller_s_rollback() {
    STAGE.run(
        "alice",
        &format!(
            "begin; insert into app.log(what) values ('undone');
             select df.start('insert into app.log(what) values (''kept'')', 'kept', {NEW});
             select df.start('insert into app.log(what) values (''lost'')', 'lost'); rollback;
             select df.start('select 1', 'after');"
        ),
    );
    STAGE.until(
        "it runs",
        "select status from postern.instance where label = 'kept' and submitted_by = 'alice'::regrole",
        "completed",
    );
    assert_eq!(
        STAGE.run(
            "alice",
            "select string_agg(what, ',') from app.log where what in ('undone', 'kept', 'lost')"
        ),
        "kept"
    );
    assert_eq!(STAGE.admin("select count(*) from postern.instance where label = 'lost'"), "0");
    // In the caller's own transaction it runs, and ends, before that does.
    let done = STAGE.run(
        "alice",
        &format!(
            "begin; create temp table mine as select df.start('select 7 as n', {NEW}) as id;
             select df.await_instance(id) from mine; select df.result(id) from mine; rollback"
        ),
    );
    assert!(done.contains(r#"{"rows": [{"n": 7}], "row_count": 1}"#), "{done}");
}

#[test]
fn a_look_through_another_s_eyes_leaves_nothing_behind() {
    let stage = Stage::start();
    stage.admin(
        "create role operator login in role postern_admin; select postern.admit('alice'); create database other",
    );
    stage.cluster.psql("other", "create extension postern; grant postern_application to alice").unwrap();
    stage.cluster.set_password("operator").unwrap();
    let waits = stage.start_as_alice("df.wait_for_signal('go')");
    let started = "select count(*) from postern.instance where label = 'look'";
    for (before, query) in [
        ("", format!("select df.start('select 1', 'look', {NEW})")),
        ("", "select df.start('select 1', 'look', database => 'other')".to_owned()),
        ("set postern.signal_mode = immediate;", format!("select df.signal('{waits}', 'go', '{{}}')")),
        ("set postern.signal_mode = immediate;", format!("select df.cancel('{waits}', 'look')")),
    ] {
        let look = format!(
            "{before} select postern.run_as('alice', '{{\"claims\": {{\"tenant\": \"acme\"}}}}', $q${query}$q$)"
        );
        let error = stage.try_run("operator", &look).unwrap_err();
        assert!(error.contains("while looking as another role"), "{query}: {error}");
        assert_eq!(stage.admin(started), "0");
        assert_eq!(stage.cluster.psql("other", started).unwrap().trim(), "0");
    }
    assert_eq!(stage.admin("select count(*) from postern.message"), "0");
    assert_eq!(stage.admin(&format!("select status from postern.instance where id = '{waits}'")), "running");
}

#[test]
fn a_start_of_its_own_is_the_caller_s_and_no_more() {
    // As whom, with which facts, through which functions.
    STAGE.admin(
        "create function app.through(q text) returns text language sql security definer
             as $$ select df.start(q, 'through', transaction_mode => 'new') $$;
         alter function app.through(text) owner to bob; grant execute on function app.through(text) to alice",
    );
    let id = STAGE.run("alice", "begin; select app.through('select current_user as u'); rollback");
    let id = id.lines().map(str::trim).find(|line| line.len() == 8).unwrap();
    STAGE.until("it ends", &format!("select status from postern.instance where id = '{id}'"), "completed");
    assert_eq!(
        STAGE.admin(&format!(
            "select submitted_by, session_role, definers, output from postern.instance where id = '{id}'"
        )),
        r#"bob|alice|{app.through(pg_catalog.text)}|{"rows":[{"u":"bob"}],"row_count":1}"#
    );
    // What the caller may not, nobody does for it.
    STAGE.admin("create role outsider login; create role boss login superuser");
    STAGE.cluster.set_password("outsider").unwrap();
    STAGE.cluster.set_password("boss").unwrap();
    let error = STAGE.try_run("outsider", &format!("select df.start('select 1', {NEW})")).unwrap_err();
    assert!(error.contains("permission denied for schema df"), "{error}");
    let error = STAGE.try_run("boss", &format!("select df.start('select 1', {NEW})")).unwrap_err();
    assert!(error.contains("superuser instances are disabled"), "{error}");
    let error = STAGE
        .try_run("alice", &format!("begin read only; select df.start('select 1', 'sly', {NEW}); commit"))
        .unwrap_err();
    assert!(error.contains("from a read-only transaction"), "{error}");
    assert_eq!(STAGE.admin("select count(*) from postern.instance where label = 'sly'"), "0");
    assert!(
        STAGE
            .failure(&format!("'select df.start(''select 1'', {})'", NEW.replace('\'', "''")))
            .contains("cannot be called inside a workflow")
    );
    let error =
        STAGE.try_run("alice", "select df.start('select 1', transaction_mode => 'other')").unwrap_err();
    assert!(error.contains("expected 'caller' or 'new'"), "{error}");
}

#[test]
fn a_start_of_its_own_sees_what_is_committed() {
    STAGE.run("bob", "select df.setvar('seen', 'committed')");
    let id = STAGE.run(
        "bob",
        &format!("begin; select df.setvar('seen', 'mine') is null; select df.start('select ''{{seen}}'' as s', {NEW}); commit"),
    );
    let id = id.lines().rev().map(str::trim).find(|line| line.len() == 8).unwrap();
    STAGE.until(
        "it ends",
        &format!("select output from postern.instance where id = '{id}'"),
        r#"{"rows":[{"s":"committed"}],"row_count":1}"#,
    );
    // A key is one for both ways.
    let ids = STAGE.run(
        "bob",
        &format!(
            "select df.start('select 1', key => 'once'); select df.start('select 1', key => 'once', {NEW})"
        ),
    );
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_new_transaction_that_waits_for_the_caller_gives_up() {
    let stage = Stage::start();
    // The worker waits for the row that the caller has not committed: nobody sees that circle but the clock.
    let error = stage
        .try_run("alice", &format!("begin; select df.start('select 1', key => 'both'); set statement_timeout = '2s'; select df.start('select 1', key => 'both', {NEW}); commit"))
        .unwrap_err();
    assert!(error.contains("statement timeout"), "{error}");
    // What waited goes on when the caller is gone, and finds that nobody asks for it any more; the place is free at once.
    stage.until(
        "its process is gone",
        "select count(*) from pg_stat_activity where backend_type = 'postern errand'",
        "0",
    );
    assert_eq!(stage.admin("select count(*) from postern.instance where key = 'both'"), "0");
    assert_eq!(stage.run("alice", &format!("select length(df.start('select 1', {NEW}))")), "8");
}

#[test]
fn a_flood_waits_for_its_turn() {
    let stage = Stage::with(Cluster::builder().setting("postern.new_transaction_start_timeout", "60s"));
    let most = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    stage.run(
                        "alice",
                        &format!(
                            "select count(df.start('select 1', 'flood', {NEW})) from generate_series(1, 15)"
                        ),
                    )
                })
            })
            .collect();
        while !callers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let now =
                stage.admin("select count(*) from pg_stat_activity where backend_type = 'postern errand'");
            most.fetch_max(now.parse().unwrap(), std::sync::atomic::Ordering::Relaxed);
        }
        for caller in callers {
            assert_eq!(caller.join().unwrap(), "15");
        }
    });
    // One may be on its way out when the next begins.
    assert!(most.into_inner() <= 4);
    stage.until(
        "all ran",
        "select count(*) from postern.instance where label = 'flood' and status = 'completed'",
        "90",
    );
}

#[test]
fn who_finds_no_place_is_told() {
    let stage = Stage::with(
        Cluster::builder()
            .setting("postern.max_new_transaction_starts", "1")
            .setting("postern.new_transaction_start_timeout", "1s"),
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            stage.try_run(
                "alice",
                &format!("begin; select df.start('select 1', key => 'k'); set statement_timeout = '8s'; select df.start('select 1', key => 'k', {NEW}); rollback"),
            )
        });
        stage.until("its worker waits", "select count(*) from pg_stat_activity where backend_type = 'postern errand' and wait_event_type = 'Lock'", "1");
        let error = stage.try_run("bob", &format!("select df.start('select 1', {NEW})")).unwrap_err();
        assert!(error.contains("launch limit reached (max_new_transaction_starts=1)"), "{error}");
        stage.admin("select pg_cancel_backend(pid) from pg_stat_activity where usename = 'alice'");
        assert!(waiting.join().unwrap().is_err());
    });
    assert_eq!(stage.run("bob", &format!("select length(df.start('select 1', {NEW}))")), "8");
}

#[test]
fn a_signal_is_delivered_at_once_where_that_is_asked_for() {
    let id = STAGE.start_as_alice("df.wait_for_signal('go') |=> 'sig' ~> 'select $sig.data::jsonb as data'");
    STAGE.until(
        "it waits",
        &format!("select count(*) from postern.strand where instance = '{id}' and state = 'w'"),
        "1",
    );
    // The script of pg_durable's users: signal and watch, in one transaction.
    STAGE.run(
        "alice",
        &format!(
            "set postern.signal_mode = immediate;
             do $$ begin
                 perform df.signal('{id}', 'go', '{{\"n\": 1}}');
                 for n in 1..3000 loop exit when df.status('{id}') = 'completed'; perform pg_sleep(0.01); end loop;
                 if df.status('{id}') <> 'completed' then raise 'it does not move'; end if;
                 raise 'rolled back' using errcode = 'PA000';
             exception when sqlstate 'PA000' then null; end $$"
        ),
    );
    assert_eq!(
        STAGE.end_of(&id),
        ("completed".into(), r#"{"rows": [{"data": {"n": 1}}], "row_count": 1}"#.into())
    );
    // A rollback takes back what waits for the commit, and nothing else.
    let id = STAGE.start_as_alice("df.wait_for_signal('go')");
    STAGE.run("alice", &format!("begin; select df.signal('{id}', 'go'); rollback"));
    STAGE.run(
        "alice",
        &format!(
            "begin; set local postern.signal_mode = immediate; select df.cancel('{id}', 'now'); rollback"
        ),
    );
    assert_eq!(STAGE.end_of(&id).0, "cancelled");
}

#[test]
fn a_signal_at_once_needs_the_same_right() {
    let id = STAGE.start_as_alice("df.wait_for_signal('go', 2)");
    for sql in [format!("select df.signal('{id}', 'go')"), format!("select df.cancel('{id}')")] {
        let error = STAGE.try_run("bob", &format!("set postern.signal_mode = immediate; {sql}")).unwrap_err();
        assert!(error.contains("Instance not found or access denied"), "{error}");
        let error = STAGE
            .try_run("alice", &format!("set postern.signal_mode = immediate; begin read only; {sql}; commit"))
            .unwrap_err();
        assert!(error.contains("from a read-only transaction"), "{error}");
    }
    assert_eq!(
        STAGE.end_of(&id),
        ("completed".into(), r#"{"data": null, "timed_out": true, "signal_name": "go"}"#.into())
    );
    // One that was started in this transaction is nowhere yet.
    let error = STAGE
        .try_run("alice", "set postern.signal_mode = immediate; do $$ begin perform df.signal(df.start('select 1'), 'go'); end $$")
        .unwrap_err();
    assert!(error.contains("df.signal() on new transaction failed: Instance not found"), "{error}");
}
