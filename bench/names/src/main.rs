//! Measures the analysis of names. [`server`] checks a database of many functions, [`files`] checks files without a server, and
//! [`pgspot`] runs on the same files.
//!
//! Each measurement is made in a process of its own, so that the most memory that it took is its own.

mod corpus;
mod files;
mod pgspot;
mod server;

use std::process::{Command, ExitCode};

use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["server"] => server::measure(),
        ["files"] => files::measure(),
        ["compare"] => pgspot::compare().map(Value::String),
        [] => all(),
        _ => Err("usage: bench-names [server | files | compare]".to_owned()),
    };
    match result {
        Ok(Value::String(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(value) => {
            println!("{value:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<Value, String> {
    let mut measured = serde_json::Map::new();
    for part in ["server", "files"] {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let output = Command::new(own).arg(part).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        measured.insert(part.to_owned(), value);
    }
    measured.insert("pgspot".to_owned(), pgspot::measure()?);
    Ok(json!(measured))
}

/// The most memory that this process has had, in megabytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
}
