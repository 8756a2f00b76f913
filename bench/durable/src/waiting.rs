//! Many instances that wait for a signal: what they take, and whether they slow the others down.

use std::fs;
use std::time::{Duration, Instant};

use postern_bench::error::{Context, Error, Result};
use serde::Serialize;

use crate::contestant::Contestant;
use crate::driver::Command;
use crate::fixture::{Fixture, ROLE};
use crate::measure::{self, Plan, Sample};

/// Instances that are started with one transaction.
const BATCH: usize = 10_000;

/// What was found.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Waiting {
    pub instances: usize,
    /// Seconds until all had been started, and until all waited.
    pub started: f64,
    pub waited: f64,
    /// Memory of its own, in MB, of all processes of the server together: before, and with all of them.
    pub memory_before: f64,
    pub memory: f64,
    /// Bytes on disk for each, indexes included.
    pub bytes: f64,
    /// Milliseconds from a signal to the end of the instance that waited for it.
    pub signal: f64,
    /// Instances of one step beside them.
    pub one: Sample,
}

/// Starts them, and measures.
#[allow(clippy::cast_precision_loss, reason = "counts")]
pub fn many(fixture: &Fixture, plan: &Plan) -> Result<Waiting> {
    let run = |sql: &str| fixture.cluster.psql_as(ROLE, "postgres", sql);
    let count = plan.waiting;
    let memory_before = memory(fixture.server)?;
    let size = "select pg_total_relation_size('postern.instance') + pg_total_relation_size('postern.strand')";
    let before = number(&fixture.cluster.psql("postgres", size)?)?;
    let begin = Instant::now();
    for at in (0..count).step_by(BATCH) {
        let some = BATCH.min(count - at);
        run(&format!(
            "select count(df.start(df.wait_for_signal('go'), 'waits')) from generate_series(1, {some})"
        ))?;
    }
    let started = begin.elapsed().as_secs_f64();
    while run("select exists (select from postern.strand where due < 'infinity')")? == "t" {
        std::thread::sleep(Duration::from_millis(200));
    }
    let waited = begin.elapsed().as_secs_f64();
    let found = run("select count(*) from postern.strand where state = 'w'")?;
    if found != count.to_string() {
        return Err(Error::wrong("instances that wait", format!("{found} of {count}")));
    }
    let memory = memory(fixture.server)?;
    let bytes = (number(&fixture.cluster.psql("postgres", size)?)? - before) / count as f64;

    let id = run("select id from df.instances where label = 'waits' order by id limit 1")?;
    let before =
        number(&run(&format!("select extract(epoch from clock_timestamp()) from df.signal('{id}', 'go')"))?)?;
    run(&format!("select df.await_instance('{id}')"))?;
    let ended = run(&format!("select extract(epoch from ended_at) from postern.instance where id = '{id}'"))?;
    let signal = (number(&ended)? - before) * 1_000.0;

    let mut driver = fixture.drive(Contestant::Postern)?;
    driver.warm_up()?;
    let one = measure::one(fixture, Contestant::Postern, &mut driver, Command::One { count: plan.one })?;
    Ok(Waiting { instances: count, started, waited, memory_before, memory, bytes, signal, one })
}

fn number(text: &str) -> Result<f64> {
    text.trim().parse().map_err(|_| Error::wrong("a number", text))
}

/// What the processes of a server have for themselves, in MB.
#[allow(clippy::cast_precision_loss, reason = "kB of a few processes")]
fn memory(server: u32) -> Result<f64> {
    let children = format!("/proc/{server}/task/{server}/children");
    let children = fs::read_to_string(&children).context(format!("read {children}"))?;
    let own = |pid: &str| -> u64 {
        // One that has ended since has none.
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    let all: u64 = children.split_whitespace().map(own).sum();
    Ok((all + own(&server.to_string())) as f64 / 1024.0)
}
