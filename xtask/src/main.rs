//! What the Makefile calls: building, testing and running, the same on every machine.
//!
//! One file per command; `workspace` knows the folders, `process` runs programs.

#![forbid(unsafe_code)]

mod bench;
mod bench_replication;
mod build;
mod check;
mod corpus;
mod fuzz;
mod process;
mod regress;
mod report;
mod run;
mod script;
mod servers;
mod suites;
mod test;
mod upgrade;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use postern_cluster::Installation;

use crate::process::Result;
use crate::workspace::Profile;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and runs Postern", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the extension for one server, into target/extension/pgMAJOR
    BuildExtension {
        #[command(flatten)]
        server: Server,
        /// Optimize
        #[arg(long)]
        release: bool,
    },
    /// Show what the upgrade script from the last released version of the extension lacks
    UpgradeDiff,
    /// Run the SQL tests in tests/regress with pg_regress on a private cluster
    Regress {
        #[command(flatten)]
        server: Server,
        /// Take what came out as what is expected
        #[arg(long)]
        accept: bool,
        /// Names of tests; all if none is given
        names: Vec<String>,
    },
    /// Run the interleavings in tests/isolation with isolationtester on a private cluster
    Isolation {
        #[command(flatten)]
        server: Server,
        /// Take what came out as what is expected
        #[arg(long)]
        accept: bool,
        /// Names of tests; all if none is given
        names: Vec<String>,
    },
    /// Run everything, from unit to end-to-end
    Test {
        #[command(flatten)]
        server: Server,
    },
    /// Fetch servers of other versions into target/servers, as `test` does
    FetchServers,
    /// Fetch public SQL into target/corpus, as `test` does: the analyser is compared with the server on it
    FetchCorpus,
    /// Check format, lints, documentation, licences and advisories
    Check {
        #[command(flatten)]
        server: Server,
    },
    /// Build everything and start `postern up`
    Run {
        #[command(flatten)]
        server: Server,
        /// Optimize: builds for minutes the first time, and serves several times as fast
        #[arg(long)]
        release: bool,
        /// Arguments for `postern up`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure the analysis of names beside pgspot; `-- compare` says what each of them finds
    BenchNames {
        #[command(flatten)]
        server: Server,
        /// Arguments for the benchmark
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run the fuzz target of the analyser; `-- FILE…` runs it on inputs that were kept
    Fuzz {
        /// How long
        #[arg(long, default_value_t = 600)]
        seconds: u32,
        /// Watch memory too: with AddressSanitizer, several times slower
        #[arg(long)]
        sanitizer: bool,
        /// Arguments for libFuzzer, in place of ours
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure the gate beside others
    BenchGate {
        #[command(flatten)]
        server: Server,
        /// Arguments for the benchmark
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure reads under row security
    BenchRows {
        #[command(flatten)]
        server: Server,
        /// Arguments for the benchmark
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure durable functions beside others
    BenchDurable {
        #[command(flatten)]
        server: Server,
        /// Arguments for the benchmark
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure what the rules of replication cost
    BenchReplication {
        #[command(flatten)]
        server: Server,
        /// Measure an optimized library
        #[arg(long)]
        release: bool,
        /// How often everything is measured
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// How long each takes
        #[arg(long, default_value_t = 5)]
        seconds: u32,
    },
}

#[derive(Debug, clap::Args)]
struct Server {
    /// The server's pg_config [default: POSTERN_PG_CONFIG, that on the PATH, Debian's]
    #[arg(long, value_name = "FILE")]
    pg_config: Option<PathBuf>,
}

impl Server {
    fn installation(&self) -> Result<Installation> {
        Ok(match &self.pg_config {
            Some(file) => Installation::from_pg_config(file)?,
            None => Installation::find()?,
        })
    }
}

fn profile(release: bool) -> Profile {
    if release { Profile::Release } else { Profile::Dev }
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::BuildExtension { server, release } => {
            build::extension(&server.installation()?, profile(release))
        }
        Task::UpgradeDiff => upgrade::print_difference(),
        Task::Regress { server, accept, names } => {
            let server = server.installation()?;
            build::extension(&server, Profile::Dev)?;
            regress::run(regress::Driver::Regress, &server, &names, accept)?.verdict()
        }
        Task::Isolation { server, accept, names } => {
            let server = server.installation()?;
            build::extension(&server, Profile::Dev)?;
            regress::run(regress::Driver::Isolation, &server, &names, accept)?.verdict()
        }
        Task::Test { server } => test::run(&server.installation()?),
        Task::FetchServers => servers::fetch().and(servers::fetch_plain()),
        Task::FetchCorpus => corpus::fetch(),
        Task::Check { server } => check::run(&server.installation()?),
        Task::Run { server, release, arguments } => {
            run::up(&server.installation()?, profile(release), &arguments)
        }
        Task::BenchNames { server, arguments } => bench::names(&server.installation()?, &arguments),
        Task::BenchReplication { server, release, rounds, seconds } => {
            bench_replication::run(&server.installation()?, release, rounds, seconds)
        }
        Task::Fuzz { seconds, sanitizer, arguments } => fuzz::run_target(seconds, sanitizer, &arguments),
        Task::BenchGate { server, arguments } => bench::gate(&server.installation()?, &arguments),
        Task::BenchDurable { server, arguments } => bench::durable(&server.installation()?, &arguments),
        Task::BenchRows { server, arguments } => bench::rows(&server.installation()?, &arguments),
    }
}
