//! pgspot on the same files, from a virtual environment that `cargo xtask` makes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
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

/// What each of the two finds, for each script, as a table.
pub fn compare() -> Result<String, String> {
    let listed = |found: &BTreeMap<String, usize>| {
        let each: Vec<String> = found.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
        if each.is_empty() { "nothing".to_owned() } else { each.join(", ") }
    };
    let mut table = String::from("| script | functions | postern check | pgspot |\n|---|---|---|---|\n");
    for script in corpus::scripts()? {
        let (text, ..) = run(&[(&format!("{}.sql", script.name), &script.text)])?;
        let theirs = codes(&text);
        let gave_up = if text.contains("Traceback") { "gave up" } else { "" };
        let source = Source::new(script.name, script.text.clone().into_bytes());
        let found = with_stack(|| files::check(&files::replay(files::empty(15, RUNNER), vec![source])))
            .map_err(|error| error.to_string())?;
        let mut ours: BTreeMap<String, usize> = BTreeMap::new();
        for finding in &found {
            *ours.entry(finding.rule.to_owned()).or_default() += 1;
        }
        let functions = crate::files::functions(&script.text);
        let theirs = if gave_up.is_empty() { listed(&theirs) } else { gave_up.to_owned() };
        let _ = writeln!(table, "| {} | {functions} | {} | {theirs} |", script.name, listed(&ours));
    }
    Ok(format!("{table}\n{}", pages()?))
}

/// How often it says what.
fn codes(text: &str) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        if let Some((code, _)) = line.split_once(": ")
            && code.len() == 5
            && code.starts_with("PS")
        {
            *found.entry(code.to_owned()).or_default() += 1;
        }
    }
    found
}

/// What it says of the case of each rule's page, and no longer says once the remedy is applied.
fn pages() -> Result<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules");
    let mut table = String::from("| rule | of the case | of case and remedy |\n|---|---|---|\n");
    for rule in postern_analyze::check::RULES {
        let path = folder.join(format!("{}.md", rule.id));
        let page = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let blocks: Vec<&str> =
            page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let said = |text: String| -> Result<String, String> {
            let (said, ..) = run(&[(&format!("{}.sql", rule.id), &text)])?;
            let each: Vec<String> = codes(&said).into_iter().map(|(code, n)| format!("{code} {n}")).collect();
            Ok(match (said.contains("Traceback"), each.is_empty()) {
                (true, _) => "gave up".to_owned(),
                (false, true) => "nothing".to_owned(),
                (false, false) => each.join(", "),
            })
        };
        let case = blocks.first().copied().unwrap_or_default().to_owned();
        let (before, after) = (said(case)?, said(blocks.join("\n"))?);
        let _ = writeln!(table, "| `{}` | {before} | {after} |", rule.id);
    }
    Ok(table)
}
