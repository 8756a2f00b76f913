//! `make bench-rows`: reads under row security, PostgreSQL's own and ours, on one machine, in one run.
//!
//! Every case is a statement of pgbench. The cases of a group take turns in every round, so that what disturbs the machine disturbs
//! all of them. What counts is time on a processor of the server for each statement; of its rounds the least, since other work only
//! ever adds to it. Transactions per second stand beside it; their ratios are made within a round, and the median is told.
#![forbid(unsafe_code)]

mod fixture;
mod measure;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use postern_bench::aim::{self, Aim, median};
use postern_bench::error::Result;
use postern_bench::machine::{self, Machine};
use serde::Serialize;

use crate::fixture::{Fixture, OF_TENANT};
use crate::measure::{Case, Mode, Turn};

#[derive(Debug, Parser)]
#[command(name = "bench-rows", about = "Measures reads under row security, ours and PostgreSQL's own")]
struct Arguments {
    /// For trying: a tenth of the rows, one round, a second each
    #[arg(long)]
    quick: bool,
    /// Rows of each table
    #[arg(long, value_name = "NUMBER")]
    rows: Option<u64>,
    /// How often each case has its turn
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// Seconds of each turn
    #[arg(long, value_name = "NUMBER")]
    seconds: Option<u32>,
    /// Numbers of clients
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_values_t = [1, 16])]
    clients: Vec<usize>,
    /// Only the groups with this in their name: index, loaded, …
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE", default_value = "bench/results/rows.json")]
    output: PathBuf,
}

/// A case, measured.
#[derive(Debug, Serialize)]
struct Measured {
    group: String,
    case: &'static str,
    clients: usize,
    mode: Mode,
    turns: Vec<Turn>,
    /// The least of the rounds.
    server_micros: f64,
    /// How much of the first case's of its group that is.
    server_of_first: f64,
    /// Transactions per second, of the first case's of the same round: the median.
    speed_of_first: f64,
}

/// All that is written.
#[derive(Debug, Serialize)]
struct Report {
    at: String,
    postern: String,
    server: String,
    machine: Machine,
    rows: u64,
    rows_of_tenant: u64,
    rounds: usize,
    seconds: u32,
    aims: Vec<Aim>,
    measured: Vec<Measured>,
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
    let rows = arguments.rows.unwrap_or(if arguments.quick { 100_000 } else { 1_000_000 });
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 5 });
    let seconds = arguments.seconds.unwrap_or(if arguments.quick { 1 } else { 3 }).max(1);
    let machine = Machine::here();
    eprintln!("starting two servers and filling them with {rows} rows a table");
    let fixture = Fixture::start(rows)?;
    let mut all = Vec::new();
    for (group, cases) in groups(rows).into_iter().filter(|(group, _)| group.contains(&arguments.only)) {
        for &clients in &arguments.clients {
            for mode in [Mode::Simple, Mode::Prepared] {
                let measured = turns(&fixture, &group, &cases, clients, mode, rounds, seconds)?;
                for one in &measured {
                    println!(
                        "{:<26} {:<34} {:>2} clients, {:<8} {:>10.1} µs {:>7.3} {:>10.1}/s {:>7.3}",
                        one.group,
                        one.case,
                        one.clients,
                        one.mode.word(),
                        one.server_micros,
                        one.server_of_first,
                        median(one.turns.iter().map(|turn| turn.per_second)),
                        one.speed_of_first
                    );
                }
                all.extend(measured);
            }
        }
    }
    let aims = aims(&all);
    for aim in &aims {
        println!(
            "{}: {:.3}, {}: {}",
            aim.what,
            aim.measured,
            aim.wanted,
            if aim.met { "met" } else { "missed" }
        );
    }
    let report = Report {
        at: machine::now(),
        postern: machine::postern(),
        server: fixture.with.installation().version.clone(),
        machine,
        rows,
        rows_of_tenant: OF_TENANT,
        rounds,
        seconds,
        aims,
        measured: all,
    };
    machine::save(&report, &arguments.output)?;
    eprintln!("written to {}", arguments.output.display());
    Ok(())
}

/// What is compared with what: within a group the first case is what the others are measured by.
fn groups(rows: u64) -> Vec<(String, Vec<Case>)> {
    let mut groups = Vec::new();
    for (words, suffix) in [("one tenant, index", ""), ("one tenant, no index", "_noindex")] {
        let all = |table: &str| format!("select sum(amount) from {table}{suffix};\n");
        let tenant = |table: &str| format!("select sum(amount) from {table}{suffix} where tenant = 5;\n");
        groups.push((
            words.to_owned(),
            vec![
                Case {
                    name: "no policy, tenant = 5",
                    extension: true,
                    role: "filtered",
                    sql: tenant("plain"),
                },
                Case { name: "policy tenant = 5", extension: true, role: "filtered", sql: all("constant") },
                Case {
                    name: "policy by hand, SECURITY DEFINER",
                    extension: true,
                    role: "filtered",
                    sql: all("by_hand"),
                },
                Case {
                    name: "create_policy, run_as owner",
                    extension: true,
                    role: "filtered",
                    sql: all("ours"),
                },
                Case {
                    name: "direct access, tenant = 5",
                    extension: true,
                    role: "direct",
                    sql: tenant("ours"),
                },
            ],
        ));
    }
    for (words, table) in [("loaded, no row security", "plain"), ("loaded, row security", "constant")] {
        let sql = format!("\\set id random(1, {rows})\nselect amount from {table} where id = :id;\n");
        groups.push((
            words.to_owned(),
            vec![
                Case { name: "without the extension", extension: false, role: "filtered", sql: sql.clone() },
                Case { name: "with the extension", extension: true, role: "filtered", sql },
            ],
        ));
    }
    groups
}

fn turns(
    fixture: &Fixture,
    group: &str,
    cases: &[Case],
    clients: usize,
    mode: Mode,
    rounds: usize,
    seconds: u32,
) -> Result<Vec<Measured>> {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        // Every other round the other way: whoever comes first after a pause has it easier, or harder.
        let mut order: Vec<usize> = (0..cases.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for n in order {
            let case = &cases[n];
            let cluster = if case.extension { &fixture.with } else { &fixture.without };
            turns[n].push(measure::run(cluster, case, clients, mode, seconds)?);
        }
    }
    let least = |turns: &[Turn]| turns.iter().map(|turn| turn.server_micros).fold(f64::INFINITY, f64::min);
    let first = turns[0].clone();
    Ok(cases
        .iter()
        .zip(turns)
        .map(|(case, turns)| Measured {
            group: group.to_owned(),
            case: case.name,
            clients,
            mode,
            server_micros: least(&turns),
            server_of_first: least(&turns) / least(&first),
            speed_of_first: median(
                turns.iter().zip(&first).map(|(one, first)| one.per_second / first.per_second),
            ),
            turns,
        })
        .collect())
}

/// The aims: of all that counts for one, the worst.
fn aims(all: &[Measured]) -> Vec<Aim> {
    let mut aims = Vec::new();
    for (what, group, case, wanted) in [
        ("create_policy, of tenant = constant", "one tenant", "create_policy", 2.0),
        ("loaded, a table without row security", "loaded, no", "with the", 1.01),
        ("loaded, a table with row security", "loaded, row", "with the", 1.03),
    ] {
        let worst = all
            .iter()
            .filter(|one| one.group.starts_with(group) && one.case.starts_with(case))
            .map(|one| one.server_of_first)
            .reduce(f64::max);
        aim::below(&mut aims, what.to_owned(), worst, wanted);
    }
    aims
}
