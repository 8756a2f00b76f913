//! `make bench-durable`: durable functions beside what else there is, on one server, in one run.
//!
//! | module | |
//! |---|---|
//! | `fixture` | the server, a database for each contestant |
//! | `contestant` | who is measured |
//! | `driver` | a program in `node/` that starts work and waits for it |
//! | `measure` | one measurement: what was done, and what it cost the server |
//! | `waiting`, `history` | a million instances that wait; a long loop |
//! | `aims`, `report` | what came out |
//!
//! **Invariants**: contestants take turns in every round. Costs are counted from the scheduler's clocks, the write-ahead log and the
//! server's statistics, for all alike. A contestant that cannot be had is left out, and the report says why.
#![forbid(unsafe_code)]

mod aims;
mod contestant;
mod driver;
mod fixture;
mod history;
mod measure;
mod report;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use postern_bench::error::Result;
use postern_bench::machine::{self, Machine};

use crate::contestant::Contestant;
use crate::fixture::Fixture;
use crate::measure::{Plan, Rounds, What};
use crate::report::{LeftOut, Report, Versions};

#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(
    name = "bench-durable",
    about = "Measures durable functions beside graphile-worker, pg-boss, DBOS and Absurd"
)]
struct Arguments {
    /// Some minutes for trying instead of most of an hour: one round, less of everything
    #[arg(long)]
    quick: bool,
    /// How often each contestant has its turn
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// Who is measured [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Contestant>,
    /// What is measured [default: everything]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    measure: Vec<What>,
    /// Leave out the runs without fsync
    #[arg(long)]
    no_fsync_off: bool,
    /// Leave out the instances that wait
    #[arg(long)]
    no_waiting: bool,
    /// Leave out the long loop
    #[arg(long)]
    no_history: bool,
    /// Connections of each contestant
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    connections: usize,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE", default_value = "bench/results/durable.json")]
    output: PathBuf,
    /// Why packages of others are not there, if they could not be installed
    #[arg(long, value_name = "REASON", hide = true)]
    without: Vec<String>,
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
    let plan = if arguments.quick { Plan::quick() } else { Plan::full() };
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 2 });
    let (date, machine) = (machine::now(), Machine::here());
    let all = [
        Contestant::Postern,
        Contestant::GraphileWorker,
        Contestant::PgBoss,
        Contestant::Dbos,
        Contestant::Absurd,
    ];
    let chosen = all.into_iter().filter(|one| arguments.only.is_empty() || arguments.only.contains(one));

    eprintln!("starting the server");
    let fixture = Fixture::start(arguments.connections)?;
    let versions = Versions::of(fixture.cluster.installation());
    let mut left_out: Vec<LeftOut> =
        arguments.without.iter().map(|why| LeftOut { who: "others".into(), why: why.clone() }).collect();
    let mut contestants = Vec::new();
    for contestant in chosen {
        match fixture
            .prepare(contestant)
            .and_then(|()| fixture.drive(contestant))
            .and_then(|mut driver| driver.warm_up())
        {
            Ok(()) => contestants.push(contestant),
            // Without Postern there is nothing to measure beside.
            Err(error) if contestant == Contestant::Postern => return Err(error),
            Err(error) => {
                eprintln!("left out: {error}");
                left_out.push(LeftOut { who: contestant.title().into(), why: error.to_string() });
            }
        }
    }

    let mut samples = Rounds::new();
    for fsync in [true, false].into_iter().filter(|fsync| *fsync || !arguments.no_fsync_off) {
        fixture.fsync(fsync)?;
        for round in 1..=rounds {
            for &contestant in &contestants {
                eprintln!(
                    "fsync {}, round {round}: {}",
                    if fsync { "on" } else { "off" },
                    contestant.title()
                );
                measure::all(&fixture, contestant, &plan, &arguments.measure, fsync, &mut samples)?;
            }
        }
    }
    fixture.fsync(true)?;
    let measured = contestants.contains(&Contestant::Postern);
    let history = if arguments.no_history || !measured {
        None
    } else {
        eprintln!("a loop of {} iterations", plan.turns);
        Some(history::long_loop(&fixture, plan.turns)?)
    };
    let waiting = if arguments.no_waiting || !measured {
        None
    } else {
        eprintln!("{} instances that wait", plan.waiting);
        Some(waiting::many(&fixture, &plan)?)
    };

    let report = Report {
        aims: aims::judge(&samples, history.as_ref()),
        date,
        machine,
        versions,
        rounds,
        connections: arguments.connections,
        plan,
        left_out,
        measured: Report::measured(&samples),
        history,
        waiting,
    };
    machine::save(&report, &arguments.output)?;
    print!("{}", report.text());
    eprintln!("written to {}", arguments.output.display());
    Ok(())
}
