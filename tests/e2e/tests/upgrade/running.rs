//! Durable functions that a version before had begun go on after the update, and nothing is lost that somebody has set.

use postern_cluster::Cluster;

use crate::old::{KEPT, Old, ROLES, WAITING, dump};

#[test]
fn what_was_under_way_goes_on_after_the_update_each_step_once() {
    let old = Old::start();
    let (kept, log) = (old.admin(KEPT), old.log());
    for wanted in [
        "postern_admin|boss|f",
        "postern_application|bob|t",
        "df.http",
        "direct|app.doc|alice|r",
        "mode|app.doc|bob|r|e",
        "secret|alice|token",
    ] {
        assert!(kept.contains(wanted), "{wanted} in {kept}");
    }
    old.cluster.restart().unwrap();
    old.until("an executor waits", WAITING, "1");
    assert_eq!((old.version(), old.log()), ("0.1.0".into(), log));
    old.admin("alter extension postern update");
    assert_eq!(old.version(), env!("CARGO_PKG_VERSION"));
    old.until("nobody waits for an update", WAITING, "0");
    assert_eq!(old.admin(KEPT), kept);
    old.finish();
}

#[test]
fn a_dump_restores_where_only_a_later_version_is() {
    let cluster = Cluster::builder()
        .extension(true)
        .setting("postern.loop_min_interval", "0")
        .setting("max_worker_processes", "24")
        .start()
        .unwrap();
    cluster.psql("postgres", ROLES).unwrap();
    for role in ["alice", "bob"] {
        cluster.set_password(role).unwrap();
    }
    cluster.create_database("app", false).unwrap();
    cluster.psql("app", &dump(&cluster)).unwrap();
    let copy = Old { cluster };
    assert_eq!(copy.version(), env!("CARGO_PKG_VERSION"));
    // It is a copy: what runs waits for a word, and what was due has come to wait. Rows that are copied wake nobody.
    copy.admin("select postern.durable_wake()");
    copy.until(
        "what was due is paused",
        "select string_agg(label, ' ' order by label) from postern.instance where away",
        "retry slow vacuum",
    );
    let kept = copy.admin(KEPT);
    for wanted in [
        "postern_admin|boss|f",
        "df.http",
        "direct|app.doc|alice|r",
        "mode|app.doc|bob|r|e",
        "key|",
        "quota|bob|2|100",
    ] {
        assert!(kept.contains(wanted), "{wanted} in {kept}");
    }
    // All but what has ended; and the schedule.
    assert_eq!(copy.admin("select postern.adopt_durable()"), "19");
    copy.finish();
}
