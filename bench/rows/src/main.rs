//! `make bench-rows`: reads under row security, PostgreSQL's own and ours, on one machine, in one run.
//!
//! Every case is a statement of pgbench. The cases of a group take turns in every round, so that what disturbs the machine disturbs
//! all of them. What counts is time on a processor of the server for each statement, as a ratio to that of the first case in the same
//! round: the median of the rounds. Transactions per second stand beside it, likewise. A second server without the extension is measured
//! like the one with it: what these two differ by is what the measurement cannot tell.
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

use crate::fixture::{Fixture, OF_TENANT, Server};
use crate::measure::{Case, Mode, Turn};

#[derive(Debug, Parser)]
#[command(name = "bench-rows", about = "Measures reads under row security, ours and PostgreSQL's own")]
struct Arguments {
    /// For trying: a tenth of the rows, one round, a second each; two minutes, and not what is kept
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
    /// Where the JSON goes: bench/results/recorded-rows.json, or rows.json beside it for a trial
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A case, measured.
#[derive(Debug, Serialize)]
struct Measured {
    group: String,
    case: &'static str,
    clients: usize,
    mode: Mode,
    turns: Vec<Turn>,
    /// The median of the rounds.
    server_micros: f64,
    /// How much of the first case's of its group that is: the median of the ratios within a round.
    server_of_first: f64,
    /// The same of the least of all rounds: other work of the machine only ever adds.
    least_of_first: f64,
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
    let machine = Machine::here();
    eprintln!("starting three servers and filling them with {rows} rows a table");
    let fixture = Fixture::start(rows)?;
    let mut all = Vec::new();
    for mut group in groups(rows).into_iter().filter(|group| group.name.contains(&arguments.only)) {
        group.rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { group.rounds }).max(1);
        group.seconds = arguments.seconds.unwrap_or(if arguments.quick { 1 } else { group.seconds }).max(1);
        for &clients in &arguments.clients {
            for mode in [Mode::Simple, Mode::Prepared] {
                let measured = turns(&fixture, &group, clients, mode)?;
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
        server: fixture.of(Server::With).installation().version.clone(),
        machine,
        rows,
        rows_of_tenant: OF_TENANT,
        aims,
        measured: all,
    };
    let whole = !arguments.quick && arguments.only.is_empty();
    let name = if whole { "bench/results/recorded-rows.json" } else { "bench/results/rows.json" };
    let output = arguments.output.clone().unwrap_or_else(|| name.into());
    machine::save(&report, &output)?;
    eprintln!("written to {}", output.display());
    Ok(())
}

/// What is compared with what: the first case is what the others are measured by.
struct Group {
    name: &'static str,
    cases: Vec<Case>,
    rounds: usize,
    /// Of each turn. What takes a tenth of a second needs more of them.
    seconds: u32,
}

fn groups(rows: u64) -> Vec<Group> {
    let mut groups = Vec::new();
    for (name, suffix, rounds, seconds) in
        [("one tenant, index", "", 2, 1), ("one tenant, no index", "_noindex", 2, 2)]
    {
        let all = |table: &str| format!("select sum(amount) from {table}{suffix};\n");
        let tenant = |table: &str| format!("select sum(amount) from {table}{suffix} where tenant = 5;\n");
        let case = |name, role, sql| Case { name, server: Server::With, role, sql };
        let cases = vec![
            case("no policy, tenant = 5", "filtered", tenant("plain")),
            case("policy tenant = 5", "filtered", all("constant")),
            case("policy by hand, SECURITY DEFINER", "filtered", all("by_hand")),
            case("create_policy, run_as owner", "filtered", all("ours")),
            case("direct access, tenant = 5", "direct", tenant("ours")),
        ];
        groups.push(Group { name, cases, rounds, seconds });
    }
    for (name, table) in [("loaded, no row security", "plain"), ("loaded, row security", "constant")] {
        let case = |name, server| Case {
            name,
            server,
            role: "filtered",
            sql: format!("\\set id random(1, {rows})\nselect amount from {table} where id = :id;\n"),
        };
        let cases = vec![
            case("without the extension", Server::Without),
            case("with the extension", Server::With),
            case("another without the extension", Server::Another),
        ];
        groups.push(Group { name, cases, rounds: 4, seconds: 1 });
    }
    groups
}

fn turns(fixture: &Fixture, group: &Group, clients: usize, mode: Mode) -> Result<Vec<Measured>> {
    let cases = &group.cases;
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); cases.len()];
    for round in 0..group.rounds {
        // Every other round the other way: whoever comes first after a pause has it easier, or harder.
        let mut order: Vec<usize> = (0..cases.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for n in order {
            let case = &cases[n];
            turns[n].push(measure::run(fixture.of(case.server), case, clients, mode, group.seconds)?);
        }
    }
    let least = |turns: &[Turn]| turns.iter().map(|turn| turn.server_micros).fold(f64::INFINITY, f64::min);
    let first = turns[0].clone();
    let ratio = |turns: &[Turn], of: fn(&Turn) -> f64| {
        median(turns.iter().zip(&first).map(|(one, first)| of(one) / of(first)))
    };
    Ok(cases
        .iter()
        .zip(turns)
        .map(|(case, turns)| Measured {
            group: group.name.to_owned(),
            case: case.name,
            clients,
            mode,
            server_micros: median(turns.iter().map(|turn| turn.server_micros)),
            server_of_first: ratio(&turns, |turn| turn.server_micros),
            least_of_first: least(&turns) / least(&first),
            speed_of_first: ratio(&turns, |turn| turn.per_second),
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
