//! What is printed and written: the table, the aims, the JSON.

use std::fmt::Write as _;

use postern_bench::aim::Aim;
use postern_bench::machine::{self, Machine};
use postern_cluster::Installation;
use serde::Serialize;

use crate::aims::Rounds;
use crate::contestant::Contestant;
use crate::large::Stream;
use crate::memory::Idle;
use crate::sample::{Sample, Span};
use crate::service::node_folder;

/// Everything about one run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub date: String,
    pub machine: Machine,
    pub versions: Versions,
    pub method: Method,
    pub reads: Vec<Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    pub aims: Vec<Aim>,
}

/// What ran.
#[derive(Debug, Serialize)]
pub struct Versions {
    pub postern: String,
    pub postgresql: String,
    pub node: Option<String>,
    pub postgraphile: Option<String>,
    pub pg: Option<String>,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub struct Method {
    pub rounds: usize,
    pub warm_up_seconds: f64,
    pub measured_seconds: f64,
    /// Connections to the server of the gate and of each program in Node.
    pub connections: usize,
}

/// The medians of one contestant with one number of clients.
#[derive(Debug, Serialize)]
pub struct Read {
    pub contestant: Contestant,
    pub clients: usize,
    #[serde(flatten)]
    pub median: Sample,
    pub rounds: Vec<Sample>,
}

impl Versions {
    pub fn of(installation: &Installation) -> Self {
        let package = |name| machine::package(&node_folder(), name);
        Self {
            postern: machine::postern(),
            postgresql: installation.version.clone(),
            node: machine::node(),
            postgraphile: package("postgraphile"),
            pg: package("pg"),
        }
    }
}

impl Method {
    pub fn new(rounds: usize, span: Span, connections: usize) -> Self {
        Self {
            rounds,
            warm_up_seconds: span.warm_up.as_secs_f64(),
            measured_seconds: span.measured.as_secs_f64(),
            connections,
        }
    }
}

impl Report {
    /// The medians of the rounds.
    pub fn reads(rounds: &Rounds) -> Vec<Read> {
        let read = |(&(clients, contestant), samples): (&(usize, Contestant), &Vec<Sample>)| Read {
            contestant,
            clients,
            median: Sample::median(samples),
            rounds: samples.clone(),
        };
        rounds.iter().map(read).collect()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let mut clients = 0;
        for read in &self.reads {
            if read.clients != clients {
                clients = read.clients;
                writeln!(out, "\n{clients} client{}", if clients == 1 { "" } else { "s" })?;
                writeln!(
                    out,
                    "  {:<26}{:>10}{:>10}{:>10}{:>12}{:>12}{:>12}{:>9}",
                    "", "per second", "p50 µs", "p99 µs", "server µs", "middle µs", "client µs", "RSS MB"
                )?;
            }
            let Sample { per_second, p50, p99, server_cpu, middle_cpu, client_cpu, middle_rss } = read.median;
            writeln!(
                out,
                "  {:<26}{per_second:>10.0}{p50:>10.0}{p99:>10.0}{server_cpu:>12.1}{middle_cpu:>12.1}{client_cpu:>12.1}{middle_rss:>9.1}",
                read.contestant.title()
            )?;
        }
        if let Some(idle) = &self.idle {
            writeln!(
                out,
                "\n{} idle clients: gate {:.1} MB (at start {:.1})",
                idle.clients, idle.rss, idle.rss_at_start
            )?;
        }
        if let Some(stream) = &self.stream {
            let Stream { rows, ndjson_rows_per_second, copy_rows_per_second, ndjson_cpu, copy_cpu, .. } =
                stream;
            writeln!(
                out,
                "\n{rows} rows\n  NDJSON       {ndjson_rows_per_second:>9.0} rows/s, ns of processor per row: server {:.0}, gate {:.0}, client {:.0}\n  \
                   psql COPY    {copy_rows_per_second:>9.0} rows/s, server {:.0}, client {:.0}\n  \
                   {:.0} MB of NDJSON, gate {:.1} MB at most",
                ndjson_cpu[0],
                ndjson_cpu[1],
                ndjson_cpu[2],
                copy_cpu[0],
                copy_cpu[1],
                stream.ndjson_megabytes,
                stream.peak_rss
            )?;
        }
        writeln!(out)?;
        for Aim { what, measured, wanted, met } in &self.aims {
            writeln!(out, "  {} {what}: {measured:.2} ({wanted})", if *met { "met   " } else { "MISSED" })?;
        }
        Ok(())
    }
}
