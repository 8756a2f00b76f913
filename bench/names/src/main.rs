//! Measures the analysis of names. [`server`] checks a database of many functions, [`files`] checks files without a server, and
//! [`pgspot`] runs on the same files.
//!
//! Each measurement is made in a process of its own, so that the most memory that it took is its own. On the clock a machine's other
//! work counts too; time on a processor depends on it much less, so that the aims are judged by it.

mod corpus;
mod counted;
mod files;
mod generated;
mod pgspot;
mod server;
mod usage;

use std::path::Path;
use std::process::{Command, ExitCode};

use postern_bench::aim::{Aim, at_least, below};
use postern_bench::machine::{Machine, now, postern, save};
use serde_json::{Value, json};

/// How many functions are made for measurements without pgspot.
const SIZES: [usize; 2] = [10_000, 30_000];
/// With how many pgspot is measured: it takes minutes with more.
const OF_PGSPOT: usize = 1_000;
/// How often both are measured.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["server"] => server::measure(),
        ["files"] => files::scripts(),
        ["generated", functions] => functions
            .parse()
            .map_err(|_| format!("{functions} is no number of functions"))
            .and_then(files::generated),
        ["compare"] => pgspot::compare().map(Value::String),
        [] => all(),
        _ => Err("usage: bench-names [server | files | generated FUNCTIONS | compare]".to_owned()),
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
    let machine = Machine::here();
    let server = own(&["server"])?;
    // By turns, and of each the least time on a processor: other work only adds to it.
    let (mut files, mut few, mut pgspot_files, mut pgspot_few) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        files.push(own(&["files"])?);
        pgspot_files.push(pgspot::scripts()?);
        few.push(own(&["generated", &OF_PGSPOT.to_string()])?);
        pgspot_few.push(pgspot::generated(OF_PGSPOT)?);
    }
    let files = least(files);
    let mut generated = serde_json::Map::new();
    generated.insert(OF_PGSPOT.to_string(), least(few));
    for size in SIZES {
        generated.insert(size.to_string(), own(&["generated", &size.to_string()])?);
    }
    let generated = Value::Object(generated);
    let pgspot = json!({
        "files": least(pgspot_files),
        "generated": { (OF_PGSPOT.to_string()): least(pgspot_few) },
    });
    let aims = aims(&server, &files, &generated, &pgspot);
    let report = json!({
        "at": now(),
        "postern": postern(),
        "machine": machine,
        "server": server,
        "files": files,
        "generated": generated,
        "pgspot": pgspot,
        "aims": aims,
    });
    save(&report, Path::new("bench/results/names.json")).map_err(|error| error.to_string())?;
    Ok(report)
}

/// The measurement that took the least time on a processor.
fn least(mut measured: Vec<Value>) -> Value {
    let used = |of: &Value| of["processor_seconds"].as_f64().unwrap_or(f64::INFINITY);
    measured.sort_by(|one, other| used(one).total_cmp(&used(other)));
    measured.into_iter().next().unwrap_or_default()
}

/// A measurement in a process of its own.
fn own(arguments: &[&str]) -> Result<Value, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn aims(server: &Value, files: &Value, generated: &Value, pgspot: &Value) -> Vec<Aim> {
    let mut aims = Vec::new();
    let rate = |of: &Value| Some(of["bytes"].as_f64()? / of["processor_seconds"].as_f64()?);
    let ratio = |ours: &Value, theirs: &Value| Some(rate(ours)? / rate(theirs)?);
    let size = OF_PGSPOT.to_string();
    let what = |of: &str| format!("{of}: bytes for each second on a processor, to pgspot's");
    at_least(&mut aims, what("generated files"), ratio(&generated[&size], &pgspot["generated"][&size]), 50.0);
    at_least(&mut aims, what("scripts of extensions"), ratio(files, &pgspot["files"]), 50.0);
    let ten = &generated["10000"];
    let number = |value: &Value| value.as_f64();
    below(
        &mut aims,
        "10,000 functions: seconds on a processor".into(),
        number(&ten["processor_seconds"]),
        10.0,
    );
    below(&mut aims, "10,000 functions: MB of memory".into(), number(&ten["peak_memory_mb"]), 300.0);
    let of_database = "a database of 5,000 functions";
    below(&mut aims, format!("{of_database}: seconds on the clock"), number(&server["seconds"]), 30.0);
    let trips = number(&server["round_trips_per_function"]);
    below(&mut aims, format!("{of_database}: round trips for each"), trips, 1.0);
    below(&mut aims, format!("{of_database}: MB of memory"), number(&server["peak_memory_mb"]), 300.0);
    let linear = [&generated["30000"], &generated[&size]].map(rate);
    if let [Some(many), Some(few)] = linear {
        at_least(&mut aims, "30,000 functions: speed, to that with 1,000".into(), Some(many / few), 0.8);
    }
    aims
}
