//! Programs in `tests/clients`, run by Node.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// The oldest version that the clients work with.
const OLDEST: u32 = 18;

/// The folder of the programs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// Whether they can be run; if not, notes that this test was not, and why.
pub async fn is_there(test: &str) -> bool {
    let version = Command::new("node").arg("--version").output().await;
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let major = |version: &str| version.strip_prefix('v')?.split('.').next()?.parse::<u32>().ok();
    let reason = match version.as_deref().map(major) {
        Err(_) | Ok(None) => "node is not installed".to_owned(),
        Ok(Some(major)) if major < OLDEST => format!("the clients need node {OLDEST}, this is {major}"),
        Ok(_) if !folder().join("node_modules").is_dir() => "run `npm ci` in tests/clients first".to_owned(),
        Ok(_) => return true,
    };
    postern_cluster::skipped(test, reason);
    false
}

/// Runs a file of tests. What it prints is shown if one fails.
pub async fn test(file: &str, environment: &[(&str, String)]) {
    let mut command = node();
    command.args(["--test", "--test-reporter=spec", file]);
    let output = command
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .await
        .expect("node runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{file}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    // A file without tests succeeds as well.
    let passed = text.lines().find_map(|line| line.split_once("pass ")?.1.trim().parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 0), "no test of {file} was run:\n{text}");
}

/// `node` in the folder, ended with the value.
pub fn node() -> Command {
    let mut command = Command::new("node");
    command
        .current_dir(folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // A test within a test would report to it.
    command
        .env_remove("NODE_TEST_CONTEXT")
        .env_remove("NODE_OPTIONS")
        .env("TZ", "Europe/Zurich")
        .env("NO_COLOR", "1");
    command
}
