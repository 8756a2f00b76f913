//! What PostgreSQL's own benchmark does, with the same statement.
//!
//! **How it works.** pgbench prints its progress every second from when all connections are made. The first line is the end of
//! the warm-up. Each transaction is logged with its end and its duration; those that end while we measure count. Its own limit
//! of time counts from before it connects, which takes a while for many clients; so we end it ourselves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use postern_cluster::Cluster;

use crate::fixture::{ENTERED_ROLE, FACTS};
use crate::sample::{Sample, Span, histogram};
use postern_bench::error::{Context, Error, Result};
use postern_bench::process::Cast;

/// A script of `bench/gate/pgbench`, and who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    pub name: &'static str,
    pub text: &'static str,
    pub role: &'static str,
}

/// Logs in as the reader; the bare statement.
pub const DIRECT: Script =
    Script { name: "direct.sql", text: include_str!("../pgbench/direct.sql"), role: "bench_direct" };
/// A transaction with SET LOCAL ROLE, in one pipeline.
pub const SET_ROLE: Script =
    Script { name: "set-role.sql", text: include_str!("../pgbench/set-role.sql"), role: "bench_pool" };
/// The entered statement, in one pipeline.
pub const ENTERED: Script =
    Script { name: "entered.sql", text: include_str!("../pgbench/entered.sql"), role: "postern_gate" };

/// How long pgbench may keep lines of its log to itself: 4 kB of them.
const FLUSH: Duration = Duration::from_secs(1);

/// Runs a script.
pub fn run(cluster: &Cluster, server: u32, script: Script, clients: usize, span: Span) -> Result<Sample> {
    let folder = tempfile::tempdir().context("create a temporary folder")?;
    let file = folder.path().join(script.name);
    fs::write(&file, script.text).context(format!("write {}", file.display()))?;
    let mut command = cluster.client("pgbench");
    command.current_dir(folder.path()).args(["-n", "-M", "prepared", "-l"]);
    command.args(["-U", script.role, "-f"]).arg(&file);
    let warm_up = span.warm_up.as_secs().max(1);
    command.args(["-P", &warm_up.to_string(), "-T", "3600"]);
    command.args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()]);
    command.args(["-D", &format!("role={ENTERED_ROLE}"), "-D", &format!("facts={FACTS}"), "postgres"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("run pgbench")?;
    let cast = Cast { server, middle: None, client: child.id() };

    let mut said = String::new();
    let mut lines = child.stderr.take().map(|pipe| BufReader::new(pipe).lines()).into_iter().flatten();
    let mut started = false;
    for line in lines.by_ref() {
        let line = line.context("read from pgbench")?;
        if line.starts_with("progress:") {
            started = true;
            break;
        }
        said.push_str(&line);
        said.push('\n');
    }
    if !started {
        // It has ended by itself.
        let _ = child.wait();
        return Err(Error::wrong(format!("pgbench {}", script.name), said.trim()));
    }
    let (from, begin, before) = (SystemTime::now(), Instant::now(), cast.clocks()?);
    std::thread::sleep(span.measured);
    let (elapsed, after) = (begin.elapsed(), cast.clocks()?);
    // Until what belongs to the window has left its buffer.
    std::thread::sleep(FLUSH);
    let ended = child.try_wait().context("wait for pgbench")?.is_some();
    let _ = child.kill();
    child.wait().context("wait for pgbench")?;
    for line in lines.map_while(Result::ok).filter(|line| !line.starts_with("progress:")) {
        said.push_str(&line);
        said.push('\n');
    }
    if ended || said.contains("error") {
        return Err(Error::wrong(format!("pgbench {}", script.name), said.trim()));
    }
    Sample::new(&read_logs(folder.path(), from, elapsed)?, elapsed, after.since(&before), 0)
}

fn read_logs(folder: &Path, from: SystemTime, elapsed: Duration) -> Result<Histogram<u64>> {
    let from = from.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut latencies = histogram();
    for entry in fs::read_dir(folder).context("read the folder of pgbench")? {
        let path = entry.context("read the folder of pgbench")?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgbench_log")) {
            continue;
        }
        let log = fs::read_to_string(&path).context(format!("read {}", path.display()))?;
        // The last line may have been cut off.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        for line in whole.lines() {
            let (end, latency) = transaction(line).ok_or_else(|| Error::wrong("the log of pgbench", line))?;
            if end >= from && end < from + elapsed {
                latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            }
        }
    }
    Ok(latencies)
}

/// The end of a transaction and its duration, from `client number micros script seconds microseconds`.
fn transaction(line: &str) -> Option<(Duration, Duration)> {
    let mut fields = line.split(' ').skip(2);
    let latency = Duration::from_micros(fields.next()?.parse().ok()?);
    let mut fields = fields.skip(1);
    let seconds = Duration::from_secs(fields.next()?.parse().ok()?);
    Some((seconds + Duration::from_micros(fields.next()?.parse().ok()?), latency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_that_end_while_we_measure_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pgbench_log.7"), "0 1 90 0 99 999999\n0 2 100 0 100 0\n0 3 100 0 10")
            .unwrap();
        fs::write(folder.path().join("pgbench_log.7.1"), "1 1 300 0 101 499999\n1 2 70 0 101 500000\n")
            .unwrap();
        fs::write(folder.path().join("direct.sql"), "select 1").unwrap();
        let from = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let latencies = read_logs(folder.path(), from, Duration::from_millis(1500)).unwrap();
        assert_eq!(latencies.len(), 2);
        assert!(latencies.max().abs_diff(300_000) < 1_000 && latencies.min().abs_diff(100_000) < 1_000);
    }

    #[test]
    fn a_transaction_that_failed_is_not_taken_for_one() {
        assert_eq!(transaction("0 1 failed 0 100 5"), None);
        assert_eq!(transaction("0 1 12"), None);
    }
}
