//! Tests of policies as they are written, in TOML.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Context as _, Error};

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    test: Vec<Case>,
}

/// One test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// Who runs the statement.
    pub role: String,
    /// With which facts.
    pub facts: Option<Value>,
    /// Rows that there are before, by table.
    #[serde(default)]
    pub given: Map<String, Value>,
    /// SQL that runs before, as whoever runs the tests.
    pub before: Option<String>,
    /// The statement.
    pub sql: String,
    /// The rows that it must give, in any order.
    pub rows: Option<Vec<Value>>,
    /// How many rows it must give or change.
    pub count: Option<u64>,
    /// The SQLSTATE or a part of the message that it must be refused with.
    pub error: Option<String>,
}

/// The tests of the files, in order.
pub fn read(files: &[impl AsRef<Path>]) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for file in files {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file).context("read", file)?;
        let wrong = |reason: String| Error::Usage(format!("{}: {reason}", file.display()));
        let parsed: File = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for case in &parsed.test {
            let wanted = [case.rows.is_some(), case.count.is_some(), case.error.is_some()];
            if wanted.iter().filter(|one| **one).count() != 1 {
                return Err(wrong(format!("test \"{}\" must say one of rows, count and error", case.name)));
            }
            if case.facts.as_ref().is_some_and(|facts| !facts.is_object()) {
                return Err(wrong(format!("the facts of test \"{}\" must be a table", case.name)));
            }
            if let Some((table, _)) = case.given.iter().find(|(_, rows)| !is_rows(rows)) {
                return Err(wrong(format!(
                    "given.\"{table}\" of test \"{}\" must be an array of tables",
                    case.name
                )));
            }
        }
        cases.extend(parsed.test);
    }
    Ok(cases)
}

fn is_rows(rows: &Value) -> bool {
    rows.as_array().is_some_and(|rows| rows.iter().all(Value::is_object))
}
