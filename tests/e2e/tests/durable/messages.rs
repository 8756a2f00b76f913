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

/// Each wait takes one signal, in the order in which they were sent.
#[test]
fn signals_of_one_name_that_come_together_are_each_waited_for() {
    let stage = Stage::start();
    let waits = "df.wait_for_signal('go') |=> 'a' ~> df.wait_for_signal('go') |=> 'b' ~> df.wait_for_signal('go') |=> 'c'
        ~> 'select ($a::jsonb->>''data'') || ($b::jsonb->>''data'') || ($c::jsonb->>''data'') as got'";
    let send = |id: &str| {
        let sent: Vec<String> = (1..=3).map(|n| format!("select df.signal('{id}', 'go', '{n}')")).collect();
        stage.run("alice", &format!("begin; {}; commit", sent.join("; ")));
    };
    for paused in [false, true] {
        let id = stage.start_as_alice(waits);
        stage.until(
            "it waits",
            &format!("select count(*) from postern.strand where instance = '{id}' and signal = 'go'"),
            "1",
        );
        if paused {
            stage.run("alice", &format!("select df.pause('{id}')"));
            stage.until("it is paused", &format!("select df.status('{id}')"), "paused");
        }
        send(&id);
        if paused {
            stage.until("the box was looked into", "select count(*) from postern.message where fresh", "0");
            stage.run("alice", &format!("select df.resume('{id}')"));
        }
        let (status, got) = stage.end_of(&id);
        assert_eq!((status.as_str(), got.contains("123")), ("completed", true), "{got}");
    }
    assert_eq!(stage.admin("select count(*) from postern.message"), "0");
}
