//! pgspot on the same files, from a virtual environment that `cargo xtask` makes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;
use serde_json::{Value, json};

use crate::corpus::{self, Script};

fn program() -> Result<PathBuf, String> {
    std::env::var_os("POSTERN_PGSPOT")
        .map(PathBuf::from)
        .ok_or_else(|| "POSTERN_PGSPOT names no pgspot".to_owned())
}

/// Runs it on one script; gives its lines, and how many megabytes it took at most.
fn run(script: &Script) -> Result<(String, f64), String> {
    let folder = std::env::temp_dir().join(format!("bench-names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let file = folder.join(format!("{}.sql", script.name));
    std::fs::write(&file, &script.text).map_err(|error| error.to_string())?;
    let before = Instant::now();
    let output = Command::new(program()?).arg(&file).output().map_err(|error| error.to_string())?;
    let seconds = before.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    let text = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8_lossy(&text).into_owned(), seconds))
}

/// Measures it on all scripts.
pub fn measure() -> Result<Value, String> {
    let scripts = corpus::scripts()?;
    let (mut bytes, mut all, mut seconds, mut failed) = (0, 0, 0.0, Vec::new());
    for script in &scripts {
        let (text, took) = run(script)?;
        seconds += took;
        all += script.text.len();
        if text.contains("Traceback") {
            failed.push(script.name);
        } else {
            bytes += script.text.len();
        }
    }
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    Ok(json!({
        "seconds": seconds,
        "bytes": all,
        "bytes_analysed": bytes,
        "megabytes_per_second": count(all) / 1e6 / seconds,
        "gave_up_on": failed,
    }))
}

/// What each of the two finds, for each script.
pub fn compare() -> Result<Value, String> {
    let mut table = Vec::new();
    for script in corpus::scripts()? {
        let (text, _) = run(&script)?;
        let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
        for line in text.lines() {
            if let Some((code, _)) = line.split_once(": ")
                && code.len() == 5
                && code.starts_with("PS")
            {
                *theirs.entry(code.to_owned()).or_default() += 1;
            }
        }
        let source = Source::new(script.name, script.text.clone().into_bytes());
        let found = with_stack(|| files::check(&files::replay(files::empty(15, RUNNER), vec![source])))
            .map_err(|error| error.to_string())?;
        let mut ours: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &found {
            *ours.entry(finding.rule).or_default() += 1;
        }
        table.push(json!({
            "script": script.name,
            "functions": crate::files::functions(&script.text),
            "postern": ours,
            "pgspot": theirs,
            "pgspot_gave_up": text.contains("Traceback"),
        }));
    }
    Ok(json!(table))
}
