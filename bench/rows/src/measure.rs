//! One turn of one case: pgbench.

use std::process::Stdio;

use postern_cluster::Cluster;
use serde::Serialize;

use crate::Error;

/// A statement, who runs it, and on which server.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: &'static str,
    pub extension: bool,
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

/// Transactions per second.
pub fn run(cluster: &Cluster, case: &Case, clients: usize, mode: Mode, seconds: u32) -> Result<f64, Error> {
    let folder = tempfile::tempdir().map_err(|error| Error::Io("create a temporary folder", error))?;
    let script = folder.path().join("case.sql");
    std::fs::write(&script, &case.sql).map_err(|error| Error::Io("write a script", error))?;
    let mut command = cluster.client("pgbench");
    command.args(["-n", "-M", mode.word(), "-U", case.role, "-T", &seconds.to_string()]);
    command
        .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string(), "-f"])
        .arg(&script)
        .arg("bench");
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::Io("run pgbench", error))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), speed(&said)) {
        (true, Some(speed)) => Ok(speed),
        _ => Err(Error::Pgbench(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// The line `tps = 123.4 (without initial connection time)`; a run in which something failed has none that counts.
fn speed(said: &str) -> Option<f64> {
    let failed = said.lines().any(|line| {
        line.strip_prefix("number of failed transactions: ").is_some_and(|rest| !rest.starts_with("0 "))
    });
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    (!failed).then(|| line.split(' ').next()?.parse().ok()).flatten()
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::{median, speed};

    #[test]
    fn only_a_run_without_failures_has_a_speed() {
        let good = "number of failed transactions: 0 (0.000%)\nlatency average = 1 ms\ntps = 1234.5 (without initial connection time)\n";
        assert_eq!(speed(good), Some(1234.5));
        assert_eq!(speed(&good.replace("0 (0", "3 (1")), None);
        assert_eq!(speed("pgbench: error"), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
