//! A thousand requests at once on four connections, in peace and while everything behind the gate breaks.

use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;

use postern_cluster::{Cluster, Mode};
use postern_e2e::Example;

use crate::crowd::{CONNECTIONS, Crowd, WAVE};
use crate::example;

/// Right answers that there must be between one blow and the next: the gate has recovered, and the next blow hits a crowd.
const RECOVERED: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_of_fifty_identities_at_once_on_four_connections() {
    let crowd = Crowd::gather(example()).await;
    // Nothing that reads the secrets ends before all are in flight.
    let mut admin = postgres(example().cluster(), &crowd.database).await;
    let lock = admin.transaction().await.unwrap();
    lock.batch_execute("lock table crowd.secrets in access exclusive mode").await.unwrap();
    let wave = tokio::spawn({
        let crowd = Arc::clone(&crowd);
        async move { crowd.wave().await }
    });
    let waiting = format!("\npostern_pool_waiting {}\n", WAVE - CONNECTIONS);
    Crowd::until("all requests are in flight", async || crowd.front.metrics().await.contains(&waiting)).await;
    assert_eq!(crowd.right(), 0);
    lock.commit().await.unwrap();
    wave.await.unwrap();

    assert_eq!((crowd.right(), crowd.tally().errors.len()), (WAVE as u64, 0));
    let used =
        "select count(distinct pid) from pg_stat_activity where usename = 'postern_gate' and datname = $1";
    let used: i64 = admin.query_one(used, &[&crowd.database]).await.unwrap().get(0);
    assert!(usize::try_from(used).unwrap() <= CONNECTIONS, "{used} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_fewer_connections_than_configured_serves_everyone() {
    let example = Example::start(&[]);
    example.cluster().psql("postgres", "alter role postern_gate connection limit 2").unwrap();
    let crowd = Crowd::gather(&example).await;
    crowd.wave().await;
    let errors = crowd.tally().errors.clone();
    assert_eq!((crowd.right(), errors.len()), (WAVE as u64, 0), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_no_answer_is_wrong_and_what_is_said_of_writes_is_so() {
    let example = Example::start(&[]);
    let crowd = Crowd::gather(&example).await;

    let over = Cell::new(false);
    let storm = async {
        storm(&example, &crowd).await;
        over.set(true);
    };
    let waves = async {
        while !over.get() {
            crowd.wave().await;
        }
    };
    tokio::join!(storm, waves);

    // By itself, it is as before.
    let before = crowd.right();
    crowd.wave().await;
    assert_eq!(crowd.right() - before, WAVE as u64);

    let tally = crowd.tally();
    let kept = example.cluster().psql(&crowd.database, "select id from crowd.log").unwrap();
    let kept: std::collections::BTreeSet<u64> = kept.lines().map(|id| id.parse().unwrap()).collect();
    let missing: Vec<_> = tally.committed.difference(&kept).collect();
    let undead: Vec<_> = tally.undone.intersection(&kept).collect();
    assert!(missing.is_empty(), "said to be committed, but are not there: {missing:?}");
    assert!(undead.is_empty(), "said to be rolled back, but are there: {undead:?}");
    let known = tally.committed.len() + tally.unknown.len();
    assert!(kept.len() <= known, "{} rows, of which nobody asked for {}", kept.len(), kept.len() - known);
    println!(
        "{} right answers, errors: {:?}, writes of unknown outcome: {}",
        crowd.right(),
        tally.errors,
        tally.unknown.len()
    );
    assert!(!tally.errors.is_empty(), "the storm has hit nobody");
}

async fn storm(example: &Example, crowd: &Crowd) {
    let cluster = example.cluster();
    for blow in 0..24 {
        let before = crowd.right();
        Crowd::until("the gate recovers", async || crowd.right() >= before + RECOVERED).await;
        match blow {
            7 | 15 => kill_a_backend(cluster),
            11 => cluster.stop(Mode::Immediate).and_then(|()| cluster.start_again()).unwrap(),
            19 => cluster.stop(Mode::Kill).and_then(|()| cluster.start_again()).unwrap(),
            // Fails only if the server is still recovering from an earlier blow; the gate is back, so it is not.
            _ => drop(
                cluster
                    .psql("postgres", &format!("select pg_terminate_backend({})", a_backend(cluster)))
                    .unwrap(),
            ),
        }
    }
}

/// A connection of the gate that serves a request.
fn a_backend(cluster: &Cluster) -> String {
    let sql = "select pid from pg_stat_activity where usename = 'postern_gate' order by state = 'active' desc, random() limit 1";
    loop {
        let pid = cluster.psql("postgres", sql).unwrap();
        if !pid.is_empty() {
            return pid;
        }
    }
}

/// As the system does when memory is short. The server then ends all other backends and recovers.
fn kill_a_backend(cluster: &Cluster) {
    let killed = Command::new("kill").args(["-KILL", &a_backend(cluster)]).status().unwrap();
    // It may have ended by itself meanwhile: the gate replaces connections.
    assert!(killed.code().is_some());
}

async fn postgres(cluster: &Cluster, database: &str) -> tokio_postgres::Client {
    let url = cluster.url(cluster.superuser(), database);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    // It ends with the client.
    tokio::spawn(connection);
    client
}
