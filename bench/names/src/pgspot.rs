//! pgspot on the same files, from a virtual environment that `cargo xtask` makes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;
use serde_json::{Value, json};

use crate::files::number;
use crate::usage::Processor;
use crate::{corpus, generated};

fn program() -> Result<PathBuf, String> {
    std::env::var_os("POSTERN_PGSPOT")
        .map(PathBuf::from)
        .ok_or_else(|| "POSTERN_PGSPOT names no pgspot".to_owned())
}

/// Runs it on files; gives its lines, and how long it took: on the clock, and on a processor.
fn run(files: &[(&str, &str)]) -> Result<(String, f64, f64), String> {
    let folder = std::env::temp_dir().join(format!("bench-names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut paths = Vec::new();
    for (name, text) in files {
        let file = folder.join(name);
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        paths.push(file);
    }
    let (before, used) = (Instant::now(), Processor::now());
    let output = Command::new(program()?).args(&paths).output().map_err(|error| error.to_string())?;
    let (seconds, processor) = (before.elapsed().as_secs_f64(), Processor::now().children - used.children);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    let text = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8_lossy(&text).into_owned(), seconds, processor))
}

/// Measures it on all scripts of the corpus, each in a process of its own: it gives up on some.
pub fn scripts() -> Result<Value, String> {
    let scripts = corpus::scripts()?;
    let (mut bytes, mut all, mut seconds, mut processor, mut failed) = (0, 0, 0.0, 0.0, Vec::new());
    for script in &scripts {
        let (text, took, used) = run(&[(&format!("{}.sql", script.name), &script.text)])?;
        (seconds, processor) = (seconds + took, processor + used);
        all += script.text.len();
        if text.contains("Traceback") {
            failed.push(script.name);
        } else {
            bytes += script.text.len();
        }
    }
    Ok(json!({
        "seconds": seconds,
        "processor_seconds": processor,
        "bytes": all,
        "bytes_analysed": bytes,
        "megabytes_per_second": number(all) / 1e6 / seconds,
        "gave_up_on": failed,
    }))
}

/// Measures it on files that are made here, all with one process.
pub fn generated(functions: usize) -> Result<Value, String> {
    let sources = generated::files(functions);
    let files: Vec<(&str, &str)> =
        sources.iter().map(|source| (source.name.as_str(), source.text.as_str())).collect();
    let (text, seconds, processor) = run(&files)?;
    let bytes = files.iter().map(|(_, text)| text.len()).sum();
    Ok(json!({
        "seconds": seconds,
        "processor_seconds": processor,
        "bytes": bytes,
        "megabytes_per_second": number(bytes) / 1e6 / seconds,
        "gave_up": text.contains("Traceback"),
    }))
}

/// What each of the two finds, for each script.
pub fn compare() -> Result<Value, String> {
    let mut table = Vec::new();
    for script in corpus::scripts()? {
        let (text, ..) = run(&[(&format!("{}.sql", script.name), &script.text)])?;
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
