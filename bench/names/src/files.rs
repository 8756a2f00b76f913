//! Files, checked without a server.

use std::time::Instant;

use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;
use serde_json::{Value, json};

use crate::corpus;

/// Measures each script as a project of its own.
pub fn measure() -> Result<Value, String> {
    let scripts = corpus::scripts()?;
    let bytes: usize = scripts.iter().map(|script| script.text.len()).sum();
    let functions: usize = scripts.iter().map(|script| functions(&script.text)).sum();
    let before = Instant::now();
    let mut findings = 0;
    for script in &scripts {
        let source = Source::new(script.name, script.text.clone().into_bytes());
        let found = with_stack(|| files::check(&files::replay(files::empty(15, RUNNER), vec![source])))
            .map_err(|error| error.to_string())?;
        findings += found.len();
    }
    let seconds = before.elapsed().as_secs_f64();
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    Ok(json!({
        "scripts": scripts.len(),
        "bytes": bytes,
        "functions": functions,
        "seconds": seconds,
        "megabytes_per_second": count(bytes) / 1e6 / seconds,
        "functions_per_second": count(functions) / seconds,
        "findings": findings,
        "peak_memory_mb": crate::peak_memory(),
    }))
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
