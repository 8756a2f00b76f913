//! What nobody wants any more, and what somebody else has locked just when it is to be changed.
//!
//! Rows of strands are locked here by a session of the superuser. Executors lock each other's in the same way, for a moment, when they
//! look for work.

use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

/// A server on which no two branches share a transaction: one of them could wait for the other here.
static STAGE: LazyLock<Stage> =
    LazyLock::new(|| Stage::with(Cluster::builder().setting("postern.step_commit", "each")));

const DEBRIS: &str = "select (select count(*) from postern.strand where instance = '{id}')
                           + (select count(*) from postern.message where instance = '{id}')";

/// Runs `meanwhile` while the strands of an instance that `which` names are locked.
fn held<R>(id: &str, which: &str, meanwhile: impl FnOnce() -> R) -> R {
    locked("strand", id, which, meanwhile)
}

/// The same of a table.
fn locked<R>(table: &str, id: &str, which: &str, meanwhile: impl FnOnce() -> R) -> R {
    let hold = format!(
        "begin; select from postern.{table} where instance = '{id}' and {which} for update; select pg_sleep(100) as {table}_held_{id}"
    );
    std::thread::scope(|scope| {
        // It ends with its connection.
        scope.spawn(|| drop(STAGE.cluster.psql("postgres", &hold)));
        let holds = format!(
            "from pg_stat_activity where query like '%{table}_held_{id}' and wait_event = 'PgSleep' and pid <> pg_backend_pid()"
        );
        STAGE.until("the strand is locked", &format!("select count(*) {holds}"), "1");
        let result = meanwhile();
        assert_eq!(STAGE.admin(&format!("select pg_terminate_backend(pid) {holds}")), "t");
        result
    })
}

/// Waits until so many strands of an instance wait for signals.
fn waiting(id: &str, many: u32) {
    STAGE.until(
        "it waits",
        &format!("select count(*) from postern.strand where instance = '{id}' and state = 'w'"),
        &many.to_string(),
    );
}

fn nothing_is_left(id: &str) {
    STAGE.until("nothing is left", &DEBRIS.replace("{id}", id), "0");
}

#[test]
fn a_branch_that_is_locked_when_its_instance_is_cancelled_goes_too() {
    let id = STAGE.start_as_alice("df.join(df.wait_for_signal('one'), df.wait_for_signal('two'))");
    waiting(&id, 2);
    held(&id, "signal = 'one'", || {
        STAGE.run("alice", &format!("select df.cancel('{id}', 'enough')"));
        assert_eq!(STAGE.end_of(&id).0, "cancelled");
        let left = format!("select string_agg(signal, ' ') from postern.strand where instance = '{id}'");
        assert_eq!(STAGE.admin(&left), "one");
    });
    nothing_is_left(&id);
}

#[test]
fn a_signal_reaches_who_is_locked_when_it_comes() {
    let id = STAGE.start_as_alice("df.wait_for_signal('go')");
    waiting(&id, 1);
    held(&id, "true", || {
        STAGE.run("alice", &format!("select df.signal('{id}', 'go', '{{\"n\": 1}}')"));
        // Somebody has looked at it.
        let looked = format!("select fresh from postern.message where instance = '{id}' and kind = 's'");
        let before = STAGE.admin("select coalesce(max(id), 0) from postern.message");
        let other = STAGE.start_as_alice("df.wait_for_signal('go')");
        waiting(&other, 1);
        STAGE.run("alice", &format!("select df.signal('{other}', 'go')"));
        assert_eq!(STAGE.end_of(&other).0, "completed");
        assert_eq!(STAGE.admin(&looked), "t", "{before}");
    });
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(status, "completed", "{text}");
    nothing_is_left(&id);
}

#[test]
fn a_loser_that_is_locked_takes_no_part_in_the_next_fork() {
    let graph = |first: &str| format!("df.seq({first}, df.join(df.wait_for_signal('go'), 'select 2 as n'))");
    let wanted = {
        let id = STAGE.start_as_alice(&graph("df.sleep(0)"));
        waiting(&id, 1);
        STAGE.run("alice", &format!("select df.signal('{id}', 'go')"));
        STAGE.end_of(&id)
    };
    assert_eq!(wanted.0, "completed");
    let id = STAGE.start_as_alice(&graph("df.race(df.wait_for_signal('go'), df.wait_for_signal('won'))"));
    waiting(&id, 2);
    held(&id, "signal = 'go'", || {
        STAGE.run("alice", &format!("select df.signal('{id}', 'won')"));
        STAGE.until(
            "the next fork is there",
            &format!("select count(*) from postern.strand where instance = '{id}' and signal = 'go'"),
            "2",
        );
        // For the branch of the second fork, not for the one that has lost.
        STAGE.run("alice", &format!("select df.signal('{id}', 'go')"));
        assert_eq!(STAGE.end_of(&id), wanted);
    });
    nothing_is_left(&id);
}

#[test]
fn a_loser_that_does_not_let_itself_be_cancelled_decides_nothing_later() {
    STAGE.run(
        "alice",
        "create table app.stubborn(n int);
         create function app.stubborn() returns void language plpgsql as $$
         begin
             loop
                 begin
                     perform pg_advisory_xact_lock(4711);
                     insert into app.stubborn values (1);
                     return;
                 exception when query_canceled then null;
                 end;
             end loop;
         end $$",
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(STAGE.cluster.psql(
                "postgres",
                "begin; select pg_advisory_xact_lock(4711); select pg_sleep(100) as stubborn",
            ));
        });
        let holds = "from pg_stat_activity where query like '%as stubborn' and wait_event = 'PgSleep' and pid <> pg_backend_pid()";
        STAGE.until("the lock is held", &format!("select count(*) {holds}"), "1");
        // Both forks are of the same strand.
        let id = STAGE.start_as_alice(
            "df.seq(df.race('select app.stubborn()', df.wait_for_signal('won')),
                    df.race(df.wait_for_signal('left'), df.wait_for_signal('right')))",
        );
        STAGE.until(
            "it runs",
            "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted",
            "1",
        );
        waiting(&id, 1);
        STAGE.run("alice", &format!("select df.signal('{id}', 'won')"));
        waiting(&id, 2);
        assert_eq!(STAGE.admin(&format!("select pg_terminate_backend(pid) {holds}")), "t");
        // What it did is rolled back, and it is gone.
        STAGE.until(
            "the loser has gone",
            &format!("select count(*) from postern.strand where instance = '{id}'"),
            "3",
        );
        assert_eq!(STAGE.run("alice", "select count(*) from app.stubborn"), "0");
        STAGE.run("alice", &format!("select df.signal('{id}', 'right', '\"r\"')"));
        let (status, text) = STAGE.end_of(&id);
        assert_eq!(status, "completed", "{text}");
        assert!(text.contains("right"), "{text}");
        nothing_is_left(&id);
    });
}

#[test]
fn what_a_branch_has_undone_is_not_undone_again_with_what_is_left_of_it() {
    let id = STAGE.start_as_alice(
        "df.first(array[df.timeout(df.compensate('select 1', 'insert into app.log(what) values (''undone once'')')
                                       ~> df.wait_for_signal('never'), interval '1 second')])",
    );
    waiting(&id, 1);
    // When its time is up, somebody holds the row of the step that took too long.
    held(&id, "signal = 'never'", || {
        let (status, text) = STAGE.end_of(&id);
        assert_eq!(status, "failed");
        assert!(text.contains("Timeout after 1s"), "{text}");
    });
    assert_eq!(STAGE.admin("select count(*) from app.log where what = 'undone once'"), "1");
    nothing_is_left(&id);
}

#[test]
fn signals_arrive_in_the_order_in_which_they_were_sent_whoever_delivers_them() {
    let id = STAGE.start_as_alice(
        "df.wait_for_signal('go') |=> 'a' ~> df.wait_for_signal('go') |=> 'b' ~> 'select $a.data as a, $b.data as b'",
    );
    waiting(&id, 1);
    let send = |data: &str| STAGE.run("alice", &format!("select df.signal('{id}', 'go', '\"{data}\"')"));
    let other = || {
        let other = STAGE.start_as_alice("df.wait_for_signal('go')");
        waiting(&other, 1);
        STAGE.run("alice", &format!("select df.signal('{other}', 'go')"));
        assert_eq!(STAGE.end_of(&other).0, "completed");
    };
    let release = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        held(&id, "true", || {
            send("first");
            scope.spawn(|| locked("message", &id, "true", || drop((release.wait(), release.wait()))));
            release.wait();
        });
        // The first is in somebody's hands; the strand is not.
        send("second");
        other();
        release.wait();
    });
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(
        (status.as_str(), text.as_str()),
        ("completed", r#"{"rows": [{"a": "first", "b": "second"}], "row_count": 1}"#)
    );
    nothing_is_left(&id);
}
