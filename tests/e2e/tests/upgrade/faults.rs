//! Servers that are killed, and updates that are rolled back: the version is one or the other, and every step takes effect once.

use std::process::{Child, Stdio};

use crate::old::{KEPT, Old, WAITING};

/// A session that has updated and not committed.
fn updating(old: &Old) -> Child {
    let mut command = old.cluster.client("psql");
    command.args([
        "-XqAt",
        "-w",
        "-d",
        "app",
        "-c",
        "begin",
        "-c",
        "alter extension postern update",
        "-c",
        "select pg_sleep(600)",
    ]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    old.until(
        "it has updated",
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'",
        "1",
    );
    child
}

#[test]
fn a_postmaster_that_is_killed_before_and_during_the_update_loses_nothing() {
    let old = Old::start();
    let (kept, log) = (old.admin(KEPT), old.log());
    old.kill();
    old.until("an executor waits", WAITING, "1");
    assert_eq!((old.version(), old.log()), ("0.1.0".into(), log.clone()));
    let mut child = updating(&old);
    assert_eq!(old.version(), "0.1.0", "nobody sees it before it is committed");
    old.kill();
    child.wait().unwrap();
    assert_eq!((old.version(), old.log()), ("0.1.0".into(), log));
    old.until("an executor waits", WAITING, "1");
    old.admin("alter extension postern update");
    // As soon as it is committed.
    old.kill();
    assert_eq!(old.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(old.admin(KEPT), kept);
    old.finish();
    old.kill();
    old.check();
}

#[test]
fn an_update_that_is_rolled_back_never_happened() {
    let old = Old::start();
    let log = old.log();
    // In its transaction it works; in a savepoint, too; taken back, it does not, in the same session.
    let said = old.admin(
        "begin; alter extension postern update; set local role alice; select df.start('insert into app.log(what) values (''never'')') <> ''; rollback;
         select extversion from pg_extension where extname = 'postern';
         begin; savepoint a; alter extension postern update; select length(df.start('select 1', database => 'app')) from pg_roles where false; rollback to a;
         select extversion from pg_extension where extname = 'postern'; commit",
    );
    assert_eq!(said, "t\n0.1.0\n0.1.0");
    let error = old
        .try_admin(
            "begin; alter extension postern update; rollback; set role alice; select df.start('select 1')",
        )
        .unwrap_err();
    assert!(error.contains("is 0.1.0 in this database"), "{error}");
    let error = old
        .try_admin("begin; savepoint a; alter extension postern update; rollback to a; set role alice; select df.start('select 1')")
        .unwrap_err();
    assert!(error.contains("is 0.1.0 in this database"), "{error}");
    old.until("an executor waits", WAITING, "1");
    assert_eq!((old.version(), old.log()), ("0.1.0".into(), log));
    old.admin("alter extension postern update");
    old.finish();
}

#[test]
fn executors_that_are_killed_while_they_wait_are_there_when_it_is_updated() {
    let old = Old::start();
    let pid = old.admin(
        "select pid from pg_stat_activity where backend_type = 'postern executor' and datname = 'app'",
    );
    old.admin(&format!("select pg_terminate_backend({pid})"));
    old.until("another waits", &format!("select count(*) from pg_stat_activity where backend_type = 'postern executor' and datname = 'app'
        and pid <> {pid} and query = 'waits for ALTER EXTENSION postern UPDATE'"), "1");
    // With none at all it is the launcher that has them started.
    old.admin("alter system set postern.executors = 0; select pg_reload_conf()");
    old.until(
        "nobody is left",
        "select count(*) from pg_stat_activity where backend_type = 'postern executor' and datname = 'app'",
        "0",
    );
    old.admin("alter extension postern update");
    old.admin("alter system reset postern.executors; select pg_reload_conf()");
    old.finish();
}
