//! The description of the HTTP interface is valid, and what it says is so: requests made up from it get answers that it
//! describes.

use std::path::PathBuf;

use postern_e2e::Front;
use tokio::process::Command;

use crate::{example, node};

/// Requests for each operation and phase.
const EXAMPLES: &str = "40";

/// What is checked of each answer. Not on `/sql`: other methods there get what drivers of Neon expect, not a 405.
const SETTINGS: &str = r#"
[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_schema_conformance.enabled = true
response_headers_conformance.enabled = true
unsupported_method.enabled = true

[[operations]]
include-path = "/sql"
[operations.checks]
unsupported_method.enabled = false
"#;

/// A program of `tests/clients/requirements.txt`; if it is not there, notes that the test was not run.
fn program(test: &str, name: &str) -> Option<PathBuf> {
    let path = node::folder().join(".venv/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    postern_cluster::skipped(test, "tests/clients/.venv does not hold what requirements.txt there names");
    None
}

async fn succeeds(command: &mut Command) {
    let output = command.kill_on_drop(true).output().await.expect("it can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_valid() {
    let Some(validator) = program("the_document_is_valid", "openapi-spec-validator") else { return };
    let front = Front::start(example().cluster(), &example().database("")).await;
    let document = front.get("/openapi.json").await;
    assert_eq!(
        (document.status, document.headers["content-type"].as_bytes()),
        (200, b"application/json".as_slice())
    );
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), document.body.to_string()).unwrap();
    succeeds(Command::new(validator).arg(file.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_made_up_from_the_document_get_answers_that_it_describes() {
    let test = "requests_made_up_from_the_document_get_answers_that_it_describes";
    let Some(schemathesis) = program(test, "schemathesis") else { return };
    let database = example().database(include_str!("clients.sql"));
    let front = Front::with(example().cluster(), &database, &["app_user"], |config| {
        config.limits.rate = 0;
        config.limits.wall_clock = std::time::Duration::from_secs(5);
    })
    .await;
    // What it finds, it writes down for the next time, in the folder where it runs; there it looks for settings, too.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let mut command = Command::new(schemathesis);
    command.args(["run", &front.url("/openapi.json"), "--header"]);
    command.arg(format!("Authorization: Bearer {}", front.token("alice", "acme")));
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES]);
    command.args(["--seed", "1", "--generation-deterministic", "--no-color", "--request-timeout", "30"]);
    succeeds(command.current_dir(folder.path())).await;
    assert_eq!(front.ask(&front.token("bob", "globex"), "select 1").await.text(), "1");
}
