//! How fast the pool is by itself, next to pgbench with the same statement and as many connections.
//!
//! `cargo run --release -p postern-pool --example load -- [CLIENTS] [CONNECTIONS] [SECONDS]`
#![allow(clippy::unwrap_used, reason = "a measurement ends at the first surprise")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use postern_cluster::Cluster;
use postern_core::RoleName;
use postern_pool::{Config, Event, Pool, Request, Statement, TransactionOptions};

const SCHEMA: &str = "
    create role reader nologin;
    select postern.admit('reader');
    create table notes(id int primary key, tenant text, body text);
    insert into notes select n, 'acme', 'note ' || n from generate_series(1, 100000) n;
    alter table notes enable row level security;
    create policy own on notes using (tenant = (select postern.fact('claims.tenant')));
    create policy bare on notes to bare using (true);
    grant select on notes to reader, bare;
    vacuum analyze notes;";

fn main() {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let clients = numbers.next().unwrap_or(16);
    let connections = numbers.next().unwrap_or(16);
    let time = Duration::from_secs(numbers.next().unwrap_or(5) as u64);

    let cluster = Cluster::builder().extension(true).start().unwrap();
    cluster.set_password("postern_gate").unwrap();
    cluster.psql("postgres", "create role bare login").unwrap();
    cluster.set_password("bare").unwrap();
    cluster.psql("postgres", SCHEMA).unwrap();

    for statements in [100, 0] {
        let before = own_cpu();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (count, elapsed) = runtime.block_on(async {
            let config = Config {
                url: Some(cluster.url("postern_gate", "postgres").into()),
                connections,
                statements,
                ..Config::default()
            };
            measure(Pool::new(config).unwrap(), clients, time).await
        });
        let count = f64::from(u32::try_from(count).unwrap());
        println!(
            "pool, {statements} kept statements: {:.0} per second, {:.1} µs of its CPU each",
            count / elapsed.as_secs_f64(),
            own_cpu().saturating_sub(before).as_secs_f64() * 1e6 / count
        );
    }

    let script = cluster.folder().join("read.sql");
    std::fs::write(&script, "\\set id random(1, 100000)\nselect body from notes where id = :id;\n").unwrap();
    for mode in ["prepared", "extended"] {
        let mut pgbench = cluster.client("pgbench");
        pgbench.args(["-n", "-M", mode, "-U", "bare", "-j", "2", "-c", &connections.to_string()]);
        pgbench.args(["-T", &time.as_secs().to_string(), "-f"]).arg(&script).arg("postgres");
        let output = pgbench.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.starts_with("tps")).unwrap_or("no result");
        println!("pgbench -M {mode}, not entered: {line}");
    }
}

/// CPU time of this process so far, as Linux counts it: in hundredths of a second.
fn own_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

/// Requests in a time, by so many clients at once.
async fn measure(pool: Pool, clients: usize, time: Duration) -> (usize, Duration) {
    let start = Instant::now();
    let sql: Arc<str> = Arc::from("select body from notes where id = $1");
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (pool, sql) = (pool.clone(), Arc::clone(&sql));
            tokio::spawn(async move {
                let mut count = 0;
                while start.elapsed() < time {
                    let id = (client * 7919 + count * 31) % 100_000 + 1;
                    let request = Request {
                        key: client as u64,
                        role: RoleName::try_from("reader").unwrap(),
                        facts: Some(Arc::from(r#"{"claims":{"tenant":"acme","sub":"ann"}}"#)),
                        statements: vec![Statement {
                            sql: Arc::clone(&sql),
                            params: vec![Some(Bytes::from(id.to_string()))],
                        }],
                        transaction: TransactionOptions::default(),
                        deadline: Instant::now() + Duration::from_secs(30),
                        grace: Duration::from_secs(1),
                    };
                    let mut running = pool.run(request).await.unwrap();
                    loop {
                        match running.next().await.unwrap() {
                            Event::Row(row) => assert_eq!(row.get(0), Some(format!("note {id}").as_str())),
                            Event::Committed => break,
                            _ => {}
                        }
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    (total, start.elapsed())
}
