//! `make bench-rows`: reads under row security, PostgreSQL's own and ours, on one machine, in one run.
//!
//! Every case is a statement of pgbench. The cases of a group take turns in every round, so that what disturbs the machine disturbs
//! all of them; ratios are made within a round, and their median counts.
#![forbid(unsafe_code)]

mod fixture;
mod measure;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use crate::fixture::{Fixture, OF_TENANT};
use crate::measure::{Case, Mode, median};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server could not be started or asked.
    #[error(transparent)]
    Cluster(#[from] postern_cluster::Error),
    /// The operating system refused something.
    #[error("could not {0}: {1}")]
    Io(&'static str, std::io::Error),
    /// pgbench failed.
    #[error("pgbench: {0}")]
    Pgbench(String),
}

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
    /// Where the JSON goes
    #[arg(long, value_name = "FILE", default_value = "bench/results/rows.json")]
    output: PathBuf,
}

/// A case, measured: transactions per second in each round, and how much of the first case of its group that is.
#[derive(Debug, Serialize)]
struct Measured {
    group: String,
    case: &'static str,
    clients: usize,
    mode: Mode,
    per_second: Vec<f64>,
    of_first: f64,
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

fn run(arguments: &Arguments) -> Result<(), Error> {
    let rows = arguments.rows.unwrap_or(if arguments.quick { 100_000 } else { 1_000_000 });
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 5 });
    let seconds = arguments.seconds.unwrap_or(if arguments.quick { 1 } else { 3 });
    eprintln!("starting two servers and filling them with {rows} rows a table");
    let fixture = Fixture::start(rows)?;
    let mut all = Vec::new();
    for (group, cases) in groups(rows) {
        for &clients in &arguments.clients {
            for mode in [Mode::Simple, Mode::Prepared] {
                let measured = turns(&fixture, &group, &cases, clients, mode, rounds, seconds)?;
                for one in &measured {
                    println!(
                        "{:<34} {:<34} {:>2} clients, {:<8} {:>10.1}/s {:>7.3}",
                        one.group,
                        one.case,
                        one.clients,
                        one.mode.word(),
                        median(one.per_second.clone()),
                        one.of_first
                    );
                }
                all.extend(measured);
            }
        }
    }
    let aims = aims(&all);
    for (aim, worst, met) in &aims {
        println!("{aim}: {worst:.3} {}", if *met { "met" } else { "missed" });
    }
    let report = serde_json::json!({
        "rows": rows, "rows_of_tenant": OF_TENANT, "rounds": rounds, "seconds": seconds,
        "server": fixture.with.installation().version,
        "aims": aims.iter().map(|(aim, worst, met)| serde_json::json!({ "aim": aim, "worst": worst, "met": met })).collect::<Vec<_>>(),
        "measured": all,
    });
    if let Some(folder) = arguments.output.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::Io("create the folder of results", error))?;
    }
    std::fs::write(&arguments.output, format!("{report:#}\n"))
        .map_err(|error| Error::Io("write the results", error))?;
    eprintln!("written to {}", arguments.output.display());
    Ok(())
}

/// What is compared with what: within a group the first case is what the others are measured by.
fn groups(rows: u64) -> Vec<(String, Vec<Case>)> {
    let mut groups = Vec::new();
    for (words, suffix) in [("one tenant, index", ""), ("one tenant, no index", "_noindex")] {
        let all = |table: &str| format!("select sum(amount) from {table}{suffix}");
        let tenant = |table: &str| format!("select sum(amount) from {table}{suffix} where tenant = 5");
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
        let sql = format!("\\set id random(1, {rows})\nselect amount from {table} where id = :id");
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
) -> Result<Vec<Measured>, Error> {
    let mut speeds: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        // Every other round the other way: whoever comes first after a pause has it easier, or harder.
        let mut order: Vec<usize> = (0..cases.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for n in order {
            let case = &cases[n];
            let cluster = if case.extension { &fixture.with } else { &fixture.without };
            speeds[n].push(measure::run(cluster, case, clients, mode, seconds)?);
        }
    }
    let first = speeds[0].clone();
    Ok(cases
        .iter()
        .zip(speeds)
        .map(|(case, per_second)| Measured {
            group: group.to_owned(),
            case: case.name,
            clients,
            mode,
            of_first: median(per_second.iter().zip(&first).map(|(one, first)| one / first).collect()),
            per_second,
        })
        .collect())
}

/// The aims, the worst ratio that counts for each, and whether that is good enough.
fn aims(all: &[Measured]) -> Vec<(&'static str, f64, bool)> {
    let worst = |group: &str, case: &str| {
        all.iter()
            .filter(|one| one.group.starts_with(group) && one.case.starts_with(case))
            .map(|one| one.of_first)
            .fold(f64::INFINITY, f64::min)
    };
    [
        ("create_policy within 2 times of tenant = constant", worst("one tenant", "create_policy"), 0.5),
        ("loaded, a table without row security: under 1 %", worst("loaded, no", "with the"), 0.99),
        ("loaded, a table with row security: under 3 %", worst("loaded, row", "with the"), 0.97),
    ]
    .into_iter()
    .map(|(aim, worst, wanted)| (aim, worst, worst >= wanted))
    .collect()
}
