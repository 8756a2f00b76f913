//! `make bench-gate`: one indexed row under row security, read in each way there is, on one machine, in one run.
//!
//! | module | |
//! |---|---|
//! | `fixture` | the server, what is read, who may read it |
//! | `contestant` | who is measured and how each is asked; `service` starts those that are services |
//! | `pgbench`, `load` | one measurement: load for a while, then a `sample` |
//! | `memory`, `large` | the gate with idle clients; with many rows |
//! | `aims`, `report` | what came out |
//!
//! **Invariants**: contestants take turns in every round, so that what disturbs the machine disturbs all of them. Ratios are
//! made within a round, and their median counts.
#![forbid(unsafe_code)]

mod aims;
mod contestant;
mod fixture;
mod large;
mod load;
mod memory;
mod pgbench;
mod report;
mod sample;
mod service;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use postern_bench::machine::{self, Machine};

use crate::aims::Rounds;
use crate::contestant::{Contestant, MOST_CLIENTS, Stage};
use crate::fixture::Fixture;
use crate::report::{Method, Report, Versions};
use crate::sample::Span;
use postern_bench::error::{Error, Result};

#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(
    name = "bench-gate",
    about = "Measures the gate beside pgbench, PostGraphile and a minimal gate in Node"
)]
struct Arguments {
    /// A minute for trying instead of a quarter of an hour: one round, short, fewer rows
    #[arg(long)]
    quick: bool,
    /// How often each contestant has its turn
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// Numbers of clients
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_values_t = [1, 16, 256])]
    clients: Vec<usize>,
    /// Who is measured [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Contestant>,
    /// Leave out the reads
    #[arg(long)]
    no_reads: bool,
    /// Leave out the gate with idle clients
    #[arg(long)]
    no_idle: bool,
    /// Leave out the gate with many rows
    #[arg(long)]
    no_stream: bool,
    /// Connections to the server of the gate and of each program in Node
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    connections: usize,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE", default_value = "bench/results/gate.json")]
    output: PathBuf,
    /// The program "postern"
    #[arg(long, value_name = "FILE", env = "POSTERN_BIN")]
    program: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    allow_many_sockets();
    let quick = arguments.quick;
    let rounds = arguments.rounds.unwrap_or(if quick { 1 } else { 5 });
    let span =
        Span { warm_up: Duration::from_secs(1), measured: Duration::from_secs(if quick { 2 } else { 4 }) };
    let events = match (arguments.no_stream, quick) {
        (true, _) => 0,
        (false, true) => 500_000,
        (false, false) => 5_000_000,
    };
    let contestants = chosen(&arguments.only)?;
    let (date, machine) = (machine::now(), Machine::here());

    eprintln!("starting the server and filling it");
    let fixture = Fixture::start(events)?;
    let versions = Versions::of(fixture.cluster.installation());
    let (program, connections) = (arguments.program.as_path(), arguments.connections);

    let mut samples = Rounds::new();
    let fixture = if arguments.no_reads {
        fixture
    } else {
        let stage = Stage::set(fixture, program, connections, &contestants)?;
        measure(&stage, &contestants, &arguments.clients, rounds, span, &mut samples)?;
        stage.fixture
    };
    let idle = if arguments.no_idle { None } else { Some(idle(&fixture, program, connections)?) };
    let stream = if arguments.no_stream {
        None
    } else {
        eprintln!("{events} rows");
        Some(large::stream(&fixture, program, connections, events, rounds.min(3))?)
    };

    let report = Report {
        aims: aims::judge(&samples, idle.as_ref(), stream.as_ref()),
        date,
        machine,
        versions,
        method: Method::new(rounds, span, connections),
        reads: Report::reads(&samples),
        idle,
        stream,
    };
    machine::save(&report, &arguments.output)?;
    print!("{}", report.text());
    eprintln!("written to {}", arguments.output.display());
    Ok(())
}

fn measure(
    stage: &Stage,
    contestants: &[Contestant],
    clients: &[usize],
    rounds: usize,
    span: Span,
    samples: &mut Rounds,
) -> Result<()> {
    for round in 1..=rounds {
        for &clients in clients {
            for &contestant in contestants {
                eprint!("round {round}/{rounds}, {clients} clients, {}: ", contestant.title());
                match stage.measure(contestant, clients, span)? {
                    Some(sample) => {
                        eprintln!("{:.0}/s", sample.per_second);
                        samples.entry((clients, contestant)).or_default().push(sample);
                    }
                    None => eprintln!("not there"),
                }
            }
        }
    }
    Ok(())
}

fn idle(fixture: &Fixture, program: &Path, connections: usize) -> Result<memory::Idle> {
    eprintln!("{MOST_CLIENTS} idle clients");
    memory::idle(fixture, program, connections, MOST_CLIENTS)
}

/// Those that were asked for and can be had on this machine.
fn chosen(only: &[Contestant]) -> Result<Vec<Contestant>> {
    let mut contestants = if only.is_empty() { Contestant::ALL.to_vec() } else { only.to_vec() };
    if contestants.iter().any(|contestant| contestant.needs_node())
        && let Err(error) = service::install_node_packages()
    {
        eprintln!("without the programs in Node: {error}");
        contestants.retain(|contestant| !contestant.needs_node());
    }
    if contestants.is_empty() {
        Err(Error::wrong("the machine", "has none of them"))
    } else {
        Ok(contestants)
    }
}

/// A thousand clients need as many descriptors, here and in the gate, which takes over our limits.
fn allow_many_sockets() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it is refused, connecting fails and says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
