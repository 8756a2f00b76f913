//! What is printed and written: the tables, the aims, the JSON.

use std::fmt::Write as _;

use postern_bench::aim::Aim;
use postern_bench::machine::{self, Machine};
use postern_cluster::Installation;
use serde::Serialize;

use crate::contestant::Contestant;
use crate::driver;
use crate::history::History;
use crate::measure::{Plan, Rounds, Sample, What};
use crate::waiting::Waiting;

/// Everything about one run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub date: String,
    pub machine: Machine,
    pub versions: Versions,
    pub rounds: usize,
    /// Of each contestant; so many steps of it run at once, but for Postern, which decides itself.
    pub connections: usize,
    pub plan: Plan,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    pub measured: Vec<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    pub aims: Vec<Aim>,
}

/// What ran.
#[derive(Debug, Serialize)]
pub struct Versions {
    pub postern: String,
    pub postgresql: String,
    pub node: Option<String>,
    pub packages: Vec<(&'static str, Option<String>)>,
}

/// Who was not measured, and why.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    pub who: String,
    pub why: String,
}

/// The medians of one contestant in one measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub fsync: bool,
    pub what: What,
    pub contestant: Contestant,
    #[serde(flatten)]
    pub median: Sample,
    pub rounds: Vec<Sample>,
}

impl Versions {
    pub fn of(installation: &Installation) -> Self {
        let folder = driver::folder();
        let others = [Contestant::GraphileWorker, Contestant::PgBoss, Contestant::Dbos, Contestant::Absurd];
        let packages = others.into_iter().filter_map(Contestant::package).chain(["pg"]);
        Self {
            postern: machine::postern(),
            postgresql: installation.version.clone(),
            node: machine::node(),
            packages: packages.map(|name| (name, machine::package(&folder, name))).collect(),
        }
    }
}

impl Report {
    /// The medians of the rounds.
    pub fn measured(rounds: &Rounds) -> Vec<Measured> {
        let measured = |(key, samples): (&crate::measure::Key, &Vec<Sample>)| Measured {
            fsync: key.fsync.0,
            what: key.what,
            contestant: key.contestant,
            median: Sample::median(samples),
            rounds: samples.clone(),
        };
        rounds.iter().map(measured).collect()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let mut above = None;
        for measured in &self.measured {
            let Measured { fsync, what, contestant, median, .. } = measured;
            if above != Some((*fsync, *what)) {
                above = Some((*fsync, *what));
                let unit = if *what == What::Idle { "for each second" } else { "for each step" };
                writeln!(out, "\n{}, fsync {}; {unit}:", what.title(), if *fsync { "on" } else { "off" })?;
                writeln!(
                    out,
                    "  {:<18}{:>12}{:>12}{:>12}{:>10}{:>10}{:>10}{:>10}",
                    "", "per second", "server µs", "client µs", "WAL bytes", "commits", "p50 ms", "p99 ms"
                )?;
            }
            line(out, contestant.title(), median)?;
        }
        if let Some(History { iterations, first, last }) = self.history {
            writeln!(
                out,
                "\na loop of {iterations} iterations: {first:.0} steps/s in the first tenth, {last:.0} in the last"
            )?;
        }
        if let Some(waiting) = &self.waiting {
            let Waiting { instances, started, waited, memory_before, memory, bytes, signal, one } = waiting;
            writeln!(
                out,
                "\n{instances} instances that wait: started in {started:.1} s, waiting after {waited:.1} s\n  \
                 memory of the server's processes {memory_before:.1} MB before, {memory:.1} MB with them; {bytes:.0} bytes on disk for each\n  \
                 {signal:.1} ms from a signal to the end of its instance; beside them:"
            )?;
            line(out, "one step", one)?;
        }
        for LeftOut { who, why } in &self.left_out {
            writeln!(out, "\nleft out: {who}: {why}")?;
        }
        writeln!(out)?;
        for Aim { what, measured, wanted, met } in &self.aims {
            writeln!(out, "  {} {what}: {measured:.2} ({wanted})", if *met { "met   " } else { "MISSED" })?;
        }
        Ok(())
    }
}

fn line(out: &mut String, who: &str, sample: &Sample) -> std::fmt::Result {
    let Sample { per_second, server_cpu, client_cpu, wal, commits, p50, p99 } = sample;
    let maybe = |value: &Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
    writeln!(
        out,
        "  {who:<18}{per_second:>12.0}{server_cpu:>12.1}{client_cpu:>12.1}{wal:>10.0}{commits:>10.2}{:>10}{:>10}",
        maybe(p50),
        maybe(p99)
    )
}
