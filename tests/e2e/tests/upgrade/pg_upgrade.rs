//! `pg_upgrade` moves a database with the objects of an older version, and the update is made there.

use postern_cluster::{Cluster, Installation, Mode, skipped};
use postern_e2e::{admit_everybody, pg_upgrade};

use crate::old::{KEPT, Old, WAITING};

#[test]
fn a_database_of_an_older_version_is_moved_and_updated() {
    let server = Installation::find().unwrap();
    across(&server, &server);
}

#[test]
fn a_database_of_an_older_version_is_moved_to_a_later_server_and_updated() {
    // The two latest that are there: servers that were released together. pg_upgrade to one that is older than the release of the
    // other's major version reads catalogs that it does not know.
    let mut found = Installation::find_all().unwrap();
    found.sort_by_key(|server| server.major);
    let [.., from, to] = &found[..] else {
        skipped("pg_upgrade to a later server", "there is one server; cargo xtask fetch-servers has others");
        return;
    };
    if found.len() < 3 {
        skipped(
            "pg_upgrade to a later server",
            "two servers that were released together are needed; cargo xtask fetch-servers",
        );
        return;
    }
    across(from, to);
}

/// From one server to another: everything is kept, what ran waits, and goes on after the update.
fn across(from: &Installation, to: &Installation) {
    let (_folder, hba) = admit_everybody();
    let builder = |server: &Installation| {
        Cluster::builder()
            .installation(server.clone())
            .setting("hba_file", &hba)
            .setting("postern.loop_min_interval", "0")
            .setting("max_worker_processes", "24")
    };
    let old = Old::with(builder(from));
    let (kept, log) = (old.admin(KEPT), old.log());
    let new = builder(to).extension(true).start().unwrap();
    // An empty server, as a new one is.
    new.psql(
        "postgres",
        "drop extension postern; do $$ declare r name; begin
           for r in select rolname from pg_roles where rolname like 'postern%' loop execute format('drop owned by %1$I; drop role %1$I', r); end loop;
         end $$",
    )
    .unwrap();
    old.cluster.stop(Mode::Fast).unwrap();
    new.stop(Mode::Fast).unwrap();
    pg_upgrade(&old.cluster, &new);
    new.start_again().unwrap();
    let new = Old { cluster: new };
    assert_eq!((new.version(), new.log()), ("0.1.0".into(), log));
    assert_eq!(new.admin(KEPT), kept);
    new.until("an executor waits", WAITING, "1");
    new.admin("alter extension postern update");
    // Another cluster is another place: what runs is said to go on here, as after a restored dump. Two clusters of one server are
    // copies of one template here, and no different places.
    let away = new.admin(
        "select count(*) filter (where not starts_with(home, postern.durable_here())) from postern.instance",
    );
    assert_eq!(away, if from.major == to.major { "0" } else { "20" });
    if from.major != to.major {
        let away = "select string_agg(label, ' ' order by label) from postern.instance where away";
        new.until("what was due is paused", away, "retry slow vacuum");
        assert_eq!(new.admin("select postern.adopt_durable()"), "19");
    }
    assert_eq!(new.admin(KEPT), kept);
    new.finish();
}
