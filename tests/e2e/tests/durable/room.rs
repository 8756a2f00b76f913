//! Few background workers: one database does not keep them from another.

use postern_cluster::Cluster;

use crate::stage::Stage;

#[test]
fn an_executor_that_waits_makes_room_for_a_database_that_has_none() {
    // Two are the launcher's and the server's own.
    let stage = Stage::with(Cluster::builder().setting("max_worker_processes", "6"));
    let ids = stage
        .run("alice", "select string_agg(df.start('select pg_sleep(1)'), ' ') from generate_series(1, 4)");
    stage.until("all are taken", "select count(*) from df.executors", "4");
    for id in ids.split(' ') {
        stage.end_of(id);
    }
    stage.cluster.create_database("second", true).unwrap();
    let id = stage.cluster.psql("second", "set role alice; select df.start('select 1')").unwrap();
    let sql = format!("select df.await_instance('{}', 20)", id.trim());
    assert_eq!(stage.cluster.psql("second", &sql).unwrap().trim(), "completed");
    // So it is for what runs at top level, and for a transaction of its own.
    let ids = stage
        .run("alice", "select string_agg(df.start('select pg_sleep(1)'), ' ') from generate_series(1, 4)");
    for id in ids.split(' ') {
        stage.end_of(id);
    }
    assert_eq!(stage.result("'vacuum app.log'"), "{\"rows\": [], \"row_count\": 0}");
    let id = stage.start_as_alice("'select 1', transaction_mode => 'new'");
    assert_eq!(stage.end_of(&id).0, "completed");
}
