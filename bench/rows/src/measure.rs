//! One turn of one case: pgbench, and what the server's processes used meanwhile.
//!
//! **How it works.** pgbench tells its progress every second, from when all connections are made, with the time to the millisecond.
//! The first of those lines ends the warm-up. Clocks of the server's processes are read there and at the last line: what they used in
//! between, for each transaction of these seconds, depends much less on other work of the machine than transactions per second do.
//! pgbench is ended by us, so that no connection is made or ended while it is measured.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use postern_bench::error::{Context, Error, Result};
use postern_bench::process::Cast;
use postern_cluster::Cluster;
use serde::Serialize;

use crate::fixture::Server;

/// A statement, who runs it, and on which server.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: &'static str,
    pub server: Server,
    pub role: &'static str,
    pub sql: String,
}

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Parsed and planned each time.
    Simple,
    /// Prepared once.
    Prepared,
}

impl Mode {
    /// As pgbench calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Prepared => "prepared",
        }
    }
}

/// What one turn came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Turn {
    pub per_second: f64,
    /// Microseconds on a processor of the server for each transaction.
    pub server_micros: f64,
}

/// Runs a case for so many seconds, after one to warm up.
pub fn run(cluster: &Cluster, case: &Case, clients: usize, mode: Mode, seconds: u32) -> Result<Turn> {
    let server = cluster.pid().ok_or_else(|| Error::wrong("the server", "has ended"))?;
    let folder = tempfile::tempdir().context("create a temporary folder")?;
    let script = folder.path().join("case.sql");
    std::fs::write(&script, &case.sql).context("write a script")?;
    let mut command = cluster.client("pgbench");
    command.args(["-n", "-M", mode.word(), "-U", case.role, "-P", "1", "--progress-timestamp", "-T", "3600"]);
    command
        .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string(), "-f"])
        .arg(&script)
        .arg("bench");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("run pgbench")?;
    let watched_processes = Cast { server, middle: None, client: child.id() };
    let watched = watch(&mut child, watched_processes, seconds);
    let ended = child.try_wait().context("wait for pgbench")?.is_some();
    let _ = child.kill();
    child.wait().context("wait for pgbench")?;
    match watched? {
        (Some(turn), _) if !ended => Ok(turn),
        (_, said) => Err(Error::wrong(
            format!("pgbench, {}, {clients} clients", case.name),
            format!("{}\nthe server's log ends with:\n{}", said.trim(), log_end(cluster)),
        )),
    }
}

/// The end of a server's log, for whoever was not there.
fn log_end(cluster: &Cluster) -> String {
    let log = std::fs::read(cluster.folder().join("log")).unwrap_or_default();
    let lines: Vec<_> = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Reads what pgbench says until the last second is over; what it said that is no progress comes with it.
fn watch(child: &mut std::process::Child, cast: Cast, seconds: u32) -> Result<(Option<Turn>, String)> {
    let mut said = String::new();
    let mut begin = None;
    let mut last = 0.0;
    let (mut transactions, mut lines) = (0.0, 0);
    let output = child.stderr.take().map(|pipe| BufReader::new(pipe).lines()).into_iter().flatten();
    for line in output {
        let line = line.context("read from pgbench")?;
        let Some((at, per_second)) = progress(&line) else {
            said.push_str(&line);
            said.push('\n');
            continue;
        };
        let clocks = cast.clocks()?;
        let Some((from, before)) = &begin else {
            begin = Some((at, clocks));
            last = at;
            continue;
        };
        transactions += per_second * (at - last);
        last = at;
        lines += 1;
        if lines == seconds {
            #[allow(clippy::cast_precision_loss, reason = "far fewer nanoseconds than a double is exact for")]
            let used = clocks.since(before).server as f64 / 1000.0;
            let turn = (transactions > 0.0)
                .then(|| Turn { per_second: transactions / (at - from), server_micros: used / transactions });
            return Ok((turn, said));
        }
    }
    Ok((None, said))
}

/// When, and the transactions per second, of a line `progress: 1700000000.123 s, 1234.5 tps, lat …, 0 failed`. One in which
/// something failed is none: it comes back as what pgbench has to say.
fn progress(line: &str) -> Option<(f64, f64)> {
    let (at, rest) = line.strip_prefix("progress: ")?.split_once(" s, ")?;
    let (per_second, rest) = rest.split_once(" tps")?;
    let failed = rest.split(", ").any(|part| part.ends_with(" failed") && part != "0 failed");
    (!failed).then(|| Some((at.parse().ok()?, per_second.parse().ok()?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::progress;

    #[test]
    fn progress_is_read_unless_something_failed() {
        let line = "progress: 1700000000.125 s, 1234.5 tps, lat 0.8 ms stddev 0.1, 0 failed";
        let (at, per_second) = progress(line).unwrap();
        assert!((at - 1_700_000_000.125).abs() < 1e-6 && (per_second - 1234.5).abs() < 1e-9);
        assert!(progress(&line.replace(" 0 failed", " 3 failed")).is_none());
        assert!(progress("pgbench: error: client 3 aborted").is_none());
    }
}
