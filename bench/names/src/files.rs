//! Files, checked without a server.

use std::time::Instant;

use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;
use serde_json::{Value, json};

use crate::usage::{Processor, peak_memory};
use crate::{corpus, generated};

/// Measures each script of the corpus as a project of its own.
pub fn scripts() -> Result<Value, String> {
    let scripts = corpus::scripts()?;
    measure(
        scripts.into_iter().map(|script| vec![Source::new(script.name, script.text.into_bytes())]).collect(),
    )
}

/// Measures files that are made here, as one project.
pub fn generated(functions: usize) -> Result<Value, String> {
    measure(vec![generated::files(functions)])
}

fn measure(projects: Vec<Vec<Source>>) -> Result<Value, String> {
    let sources = || projects.iter().flatten();
    let bytes: usize = sources().map(|source| source.text.len()).sum();
    let functions: usize = sources().map(|source| functions(&source.text)).sum();
    let files = sources().count();
    let (before, used) = (Instant::now(), Processor::now());
    let (mut findings, mut unread) = (0, 0);
    for project in projects {
        let found = with_stack(|| files::check(&files::replay(files::empty(15, RUNNER), project)))
            .map_err(|error| error.to_string())?;
        findings += found.len();
        unread += found.iter().filter(|finding| finding.rule == "unread").count();
    }
    let seconds = before.elapsed().as_secs_f64();
    let processor = Processor::now().own - used.own;
    Ok(json!({
        "files": files,
        "bytes": bytes,
        "functions": functions,
        "seconds": seconds,
        "processor_seconds": processor,
        "megabytes_per_second": number(bytes) / 1e6 / seconds,
        "functions_per_second": number(functions) / seconds,
        "findings": findings,
        "unread": unread,
        "peak_memory_mb": peak_memory(),
    }))
}

/// A count, to divide by.
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How many functions and procedures a text makes.
pub fn functions(text: &str) -> usize {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    words
        .windows(2)
        .filter(|pair| matches!(pair[0], "create" | "replace") && matches!(pair[1], "function" | "procedure"))
        .count()
}
