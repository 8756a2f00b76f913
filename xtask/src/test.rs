//! `test`: everything, from unit to end-to-end, on private clusters, in an order in which the cheap things fail first.
//!
//! **How it works.** A failing suite does not stop the next one. At the end comes what was not run and why, and the
//! counts. A test that cannot run on this machine appends a line `name: reason` to the file named by `POSTERN_SKIPPED`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use postern_cluster::{Installation, SharedTemplates};

use crate::process::{Context, Result, is_there};
use crate::regress::Driver;
use crate::report::{Report, Suite};
use crate::workspace::Profile;
use crate::{build, corpus, process, regress, servers, suites, workspace};

/// All crates but the extension, which is built for one server at a time and tested apart.
const ALL: [&str; 3] = ["--workspace", "--exclude", "postern-extension"];

/// What property tests draw from, unless the environment says otherwise: two runs try the same.
const SEED: &str = "5432";

/// Runs all tests.
pub fn run(server: &Installation) -> Result<()> {
    let begun = Instant::now();
    let shared = SharedTemplates::new()?;
    let skipped = shared.folder().join("skipped");
    let prepare = |command: &mut Command| {
        suites::environment(command, server, Profile::Dev);
        command.env("POSTERN_CLUSTER_TEMPLATE", shared.folder()).env("POSTERN_SKIPPED", &skipped);
        if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
            command.env("PROPTEST_RNG_SEED", SEED);
        }
    };

    let mut report = Report::default();
    println!("== build");
    build::extension(server, Profile::Dev)?;
    process::run(workspace::cargo().args(["build", "-p", "postern-cli"]))?;
    let missing = suites::prepare()?;
    if let Err(error) = corpus::fetch() {
        // The test that wants it says that it was not run.
        println!("the corpus of the analyser could not be fetched: {error}");
    }
    if let Err(error) = servers::fetch().and(servers::fetch_plain()) {
        // So do the tests that want other servers.
        println!("not every server of another version could be fetched: {error}");
    }
    report.suites.extend(
        missing.iter().map(|reason| Suite { skipped: vec![reason.clone()], ..Suite::new("other languages") }),
    );

    report.suites.extend(extension(server)?);
    // First: tests of two servers take those of other versions, too.
    let others = other_versions(server, servers::fetch().err().as_ref())?;
    println!("\n== crates");
    let mut command = workspace::cargo();
    prepare(&mut command);
    if is_there("cargo-nextest", "--version") {
        report.suites.push(nextest("crates", command.args(["nextest", "run", "--no-fail-fast"]).args(ALL))?);
        let mut command = workspace::cargo();
        prepare(&mut command);
        report
            .suites
            .push(cargo_test("examples in the documentation", command.args(["test", "--doc"]).args(ALL))?);
    } else {
        report.suites.push(cargo_test("crates", command.args(["test", "--no-fail-fast"]).args(ALL))?);
    }
    report.suites.extend(suites::run_all(server)?);
    report.suites.extend(others);
    let reasons = fs::read_to_string(&skipped).unwrap_or_default();
    if !reasons.is_empty() {
        let skipped = reasons.lines().map(str::to_owned).collect();
        report.suites.push(Suite { skipped, ..Suite::new("skipped by themselves") });
    }
    println!("\n{report}\n{} s", begun.elapsed().as_secs());
    report.verdict()
}

/// What tests the extension by itself, on one server.
fn extension(server: &Installation) -> Result<Vec<Suite>> {
    println!("\n== unit tests of the extension, pg{}", server.major);
    let mut command = workspace::cargo_for(server, "test");
    let mut suites = vec![cargo_test(&format!("extension pg{}", server.major), command.arg("--lib"))?];
    for driver in [Driver::Regress, Driver::Isolation].into_iter().filter(|driver| driver.folder().is_dir()) {
        println!("\n== {driver:?} on {}", server.version);
        suites.push(regress::run(driver, server, &[], false)?);
    }
    Ok(suites)
}

/// The extension on every other version that is to be had here; those that are not are named.
fn other_versions(tested: &Installation, not_fetched: Option<&process::Error>) -> Result<Vec<Suite>> {
    let found = Installation::find_all()?;
    let mut suites = Vec::new();
    for major in Installation::supported().filter(|major| *major != tested.major) {
        let title = format!("PostgreSQL {major}");
        match found.iter().find(|server| server.major == major) {
            None => {
                let why =
                    not_fetched.map_or_else(String::new, |error| format!("; none was fetched: {error}"));
                let reason = format!("there is no such server here (POSTERN_PG_CONFIGS names more){why}");
                suites.push(Suite::skipped(&title, &reason));
            }
            Some(server) if !server.has_headers()? => {
                suites.push(Suite::skipped(&title, "the server's headers are not installed"));
            }
            Some(server) => {
                println!("\n== build for {}", server.version);
                match build::extension(server, Profile::Dev) {
                    Ok(()) => suites.extend(extension(server)?),
                    failed => suites.push(Suite::of(&format!("build pg{major}"), &failed)),
                }
            }
        }
    }
    Ok(suites)
}

/// Runs `cargo test` and adds up the results that each test program prints.
fn cargo_test(name: &str, command: &mut Command) -> Result<Suite> {
    let mut suite = Suite::new(name);
    let went_well = follow(command, Stream::Output, |line| count_line(&mut suite, line))?;
    if !went_well {
        suite.failed = suite.failed.max(1);
    }
    Ok(suite)
}

/// What one line of a test program says.
fn count_line(suite: &mut Suite, line: &str) {
    if let Some(result) = line.strip_prefix("test result: ") {
        suite.passed += number_before(result, " passed");
        suite.failed += number_before(result, " failed");
    } else if let Some((test, reason)) = line.split_once(" ... ignored") {
        let reason = reason.trim_start_matches(", ");
        suite.skipped.push(format!("{}: {reason}", test.trim_start_matches("test ")));
    }
}

/// Runs `cargo nextest` and reads its summary.
fn nextest(name: &str, command: &mut Command) -> Result<Suite> {
    let mut suite = Suite::new(name);
    // A crate without tests is no error here; that nothing was run at all is one of the report.
    let went_well = follow(command.arg("--no-tests=pass"), Stream::Errors, |line| {
        if line.trim_start().starts_with("Summary [") {
            suite.passed = number_before(line, " passed");
            suite.failed = number_before(line, " failed") + number_before(line, " timed out");
            let ignored = number_before(line, " skipped");
            suite.skipped.extend((0..ignored).map(|_| format!("{name}: a test marked as ignored")));
        }
    })?;
    if !went_well {
        suite.failed = suite.failed.max(1);
    }
    Ok(suite)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Errors,
}

/// Runs a program, shows what it prints, and looks at each line of one stream.
fn follow(command: &mut Command, stream: Stream, mut look: impl FnMut(&str)) -> Result<bool> {
    let program = command.get_program().to_owned();
    match stream {
        Stream::Output => command.stdout(Stdio::piped()),
        Stream::Errors => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().context("run", Path::new(&program))?;
    let pipe: Option<Box<dyn std::io::Read>> = match stream {
        Stream::Output => child.stdout.take().map(|pipe| Box::new(pipe) as _),
        Stream::Errors => child.stderr.take().map(|pipe| Box::new(pipe) as _),
    };
    for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')) {
        let line = line.context("read what came from", Path::new(&program))?;
        let line = String::from_utf8_lossy(&line);
        // Whoever reads our output may have gone; the tests go on.
        let _ = match stream {
            Stream::Output => writeln!(std::io::stdout(), "{line}"),
            Stream::Errors => writeln!(std::io::stderr(), "{line}"),
        };
        look(&line);
    }
    Ok(child.wait().context("wait for", Path::new(&program))?.success())
}

/// The number that stands before a word: 12 for ` passed` in `3 failed; 12 passed`.
fn number_before(line: &str, word: &str) -> usize {
    let before = line.split(word).next().filter(|before| before.len() < line.len()).unwrap_or_default();
    let digits = before.rsplit(|character: char| !character.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_the_drivers_print() {
        let cargo = "ok. 17 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.03s";
        assert_eq!((number_before(cargo, " passed"), number_before(cargo, " failed")), (17, 2));
        let nextest = "     Summary [   5.037s] 32 tests run: 31 passed (1 slow), 1 failed, 4 skipped";
        assert_eq!(number_before(nextest, " passed"), 31);
        assert_eq!(number_before(nextest, " failed"), 1);
        assert_eq!(number_before(nextest, " skipped"), 4);
        assert_eq!(number_before(nextest, " timed out"), 0);
    }

    #[test]
    fn ignored_tests_are_named_with_their_reason() {
        let mut suite = Suite::new("x");
        count_line(&mut suite, "test a::b ... ignored, needs a browser");
        count_line(&mut suite, "test result: ok. 1 passed; 0 failed; 1 ignored");
        count_line(&mut suite, "test result: FAILED. 2 passed; 1 failed; 0 ignored");
        assert_eq!(suite.skipped, ["a::b: needs a browser"]);
        assert_eq!((suite.passed, suite.failed), (3, 1));
    }

    #[test]
    fn a_run_that_fails_without_a_count_is_a_failure() {
        assert_eq!(cargo_test("x", &mut Command::new("false")).unwrap().failed, 1);
        assert_eq!(nextest("x", &mut Command::new("false")).unwrap().failed, 1);
    }
}
