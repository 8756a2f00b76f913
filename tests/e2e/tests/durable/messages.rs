//! Signals and requests to cancel, many at once.

use postern_cluster::Cluster;

use crate::stage::Stage;

#[test]
fn every_message_of_one_transaction_is_delivered() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "1"));
    stage.run(
        "alice",
        "select count(df.start(df.wait_for_signal('go'), 'waits')) from generate_series(1, 600)",
    );
    stage.until("all wait", "select count(*) from postern.strand where state = 'w'", "600");
    stage.run(
        "alice",
        "select count(case when n % 2 = 0 then df.signal(id, 'go') else df.cancel(id) end)
           from (select id, row_number() over (order by id) as n from df.instances where label = 'waits') i",
    );
    stage.until(
        "half of them complete, and half are cancelled",
        "select string_agg(status || ' ' || n, ', ' order by status)
           from (select status, count(*) as n from postern.instance group by status) i",
        "cancelled 300, completed 300",
    );
    assert_eq!(stage.admin("select count(*) from postern.message"), "0");
}
