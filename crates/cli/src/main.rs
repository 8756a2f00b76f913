//! The `postern` command: words in, words out; what it does is in the libraries.
//!
//! `args` says what can be said; each command has a file. Exit status: 0, or 1 on failure, or 2 for what cannot be
//! understood; the doctor's own meanings are in its help.
//!
//! **Invariants**: what a command is asked for goes to standard output, everything else to standard error; no secret goes
//! anywhere but where it was asked for.
#![forbid(unsafe_code)]

mod args;
mod database;
mod doctor;
mod dump;
mod error;
mod lsp;
mod names;
mod progress;
mod rows;
mod serve;
mod token;
mod up;
mod url;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use error::Error;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Doctor(args) => return doctor::run(&args),
        Command::Resolve(args) => names::resolve::run(&args),
        Command::Check(args) => return names::check::run(&args),
        Command::Fix(args) => names::fix::run(&args),
        Command::Lsp(args) => lsp::run(&args),
        Command::Rows(args) => return rows::run(&args),
        Command::Dump(args) => return dump::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Url(args) => url::run(&args),
        Command::Version => version(),
        Command::Completions { shell } => completions(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what was asked for. That nobody reads on (`| head`) is no failure.
fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "write to standard output".into(), source })
        }
        _ => Ok(()),
    }
}

fn version() -> Result<(), Error> {
    let server = match postern_cluster::Installation::find() {
        Ok(found) => found.version,
        Err(error) => format!("none ({error})"),
    };
    print(&format!(
        "postern {}\nextension {}\nserver for \"postern up\": {server}\n",
        env!("CARGO_PKG_VERSION"),
        postern_doctor::Settings::default().extension_version,
    ))
}

fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "postern", &mut script);
    print(&String::from_utf8_lossy(&script))
}
