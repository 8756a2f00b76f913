//! `regress` and `isolation`: PostgreSQL's own test drivers on a private cluster.
//!
//! **How it works.** Each driver gets an existing database with the extension in it, and runs the named files one after
//! another: roles belong to the whole cluster, so files side by side would meet. Results go to `target/`, never beside
//! the sources.

use std::fs;
use std::path::{Path, PathBuf};

use postern_cluster::{Cluster, Installation};

use crate::process::{Context, Error, Result, is_there, status};
use crate::report::Suite;
use crate::workspace;

/// The database that the tests run in.
const DATABASE: &str = "regression";

/// Which of the two drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Regress,
    Isolation,
}

impl Driver {
    fn name(self) -> &'static str {
        match self {
            Self::Regress => "regress",
            Self::Isolation => "isolation",
        }
    }

    /// Where the tests are.
    pub fn folder(self) -> PathBuf {
        workspace::root().join("tests").join(self.name())
    }

    /// The driver, below the folder where the server's headers put them.
    fn program(self) -> &'static str {
        match self {
            Self::Regress => "regress/pg_regress",
            Self::Isolation => "isolation/pg_isolation_regress",
        }
    }

    /// The folder of the tests and what their names end with.
    fn tests(self) -> (&'static str, &'static str) {
        match self {
            Self::Regress => ("sql", "sql"),
            Self::Isolation => ("specs", "spec"),
        }
    }
}

/// Runs the named tests, or all.
pub fn run(driver: Driver, server: &Installation, names: &[String], accept: bool) -> Result<Suite> {
    let title = format!("{} pg{}", driver.name(), server.major);
    let input = driver.folder();
    let names = if names.is_empty() { all(driver, &input)? } else { names.to_vec() };
    if names.is_empty() {
        return Ok(Suite::skipped(&title, "there are no tests"));
    }
    check_expected(&input.join("expected"), &names, accept)?;
    let Some((program, version)) = find(driver, server)? else {
        let reason = format!("no server here came with a {} that works", driver.program());
        return Ok(Suite::skipped(&title, &reason));
    };
    let results = workspace::target().join(format!("{}-pg{}", driver.name(), server.major));
    if results.exists() {
        fs::remove_dir_all(&results).context("remove", &results)?;
    }
    fs::create_dir_all(&results).context("create", &results)?;

    let cluster = Cluster::builder()
        .installation(server.clone())
        .extension(true)
        .setting("max_prepared_transactions", "10")
        // Executors take some, and there are tests of parallel workers.
        .setting("max_worker_processes", "32")
        .start()?;
    cluster.create_database(DATABASE, true)?;
    let mut command = cluster.client(&program);
    command.current_dir(&results).arg("--use-existing").arg(format!("--dbname={DATABASE}"));
    command.arg(flag("inputdir", &input)).arg(flag("outputdir", &results));
    command.arg(flag("bindir", &server.bindir)).arg(flag("host", cluster.socket_dir()));
    command.arg(format!("--port={}", cluster.port())).arg(format!("--user={}", cluster.superuser()));
    if version >= 16 {
        command.arg(flag("expecteddir", &input));
    }
    let went_well = status(command.args(&names))?.success();

    let failed = if went_well { Vec::new() } else { differing(&results, &input, &names) };
    if !went_well {
        let diffs = results.join("regression.diffs");
        print!("{}", fs::read_to_string(&diffs).unwrap_or_default());
        let log = fs::read_to_string(cluster.folder().join("log")).unwrap_or_default();
        // A crash is in no result file.
        log.lines()
            .filter(|line| line.contains("was terminated by signal"))
            .for_each(|line| eprintln!("{line}"));
    }
    if accept {
        take_over(&results, &input, &names)?;
        return Ok(Suite { passed: names.len(), ..Suite::new(&title) });
    }
    let failed = if went_well { 0 } else { failed.len().max(1) };
    Ok(Suite { passed: names.len() - failed, failed, ..Suite::new(&title) })
}

/// The driver that came with the server's headers, and its version; if that does not run, another's: what it does to
/// an existing database is the same in all.
fn find(driver: Driver, server: &Installation) -> Result<Option<(PathBuf, u32)>> {
    let mut servers = vec![server.clone()];
    servers.extend(Installation::find_all()?);
    Ok(servers
        .iter()
        .map(|server| (server.test_driver(driver.program()), server.major))
        .find(|(program, _)| is_there(&program.to_string_lossy(), "--version")))
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// The names of all tests, in order.
fn all(driver: Driver, input: &Path) -> Result<Vec<String>> {
    let (folder, ending) = driver.tests();
    let folder = input.join(folder);
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder).context("read", &folder)? {
            let path = entry.context("read", &folder)?.path();
            if path.extension().is_some_and(|found| found == ending) {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The drivers give up at the first test of which nothing is expected: an empty text lets them go on to the end.
fn check_expected(folder: &Path, names: &[String], accept: bool) -> Result<()> {
    for name in names {
        let path = folder.join(format!("{name}.out"));
        if path.is_file() {
            continue;
        }
        if !accept {
            return Err(Error::Wrong(format!("there is no {} (--accept makes it)", path.display())));
        }
        fs::create_dir_all(folder).context("create", folder)?;
        fs::write(&path, "").context("write", &path)?;
    }
    Ok(())
}

fn result_of(results: &Path, name: &str) -> PathBuf {
    results.join("results").join(format!("{name}.out"))
}

/// The tests whose result is none of the files expected: `<name>.out`, `<name>_1.out`, …
fn differing(results: &Path, input: &Path, names: &[String]) -> Vec<String> {
    let same = |name: &String| {
        let got = fs::read(result_of(results, name)).ok();
        let variants =
            std::iter::once(format!("{name}.out")).chain((0..10).map(|n| format!("{name}_{n}.out")));
        got.is_some()
            && variants.into_iter().any(|file| fs::read(input.join("expected").join(file)).ok() == got)
    };
    names.iter().filter(|name| !same(name)).cloned().collect()
}

/// Makes the results the expected ones.
fn take_over(results: &Path, input: &Path, names: &[String]) -> Result<()> {
    let expected = input.join("expected");
    fs::create_dir_all(&expected).context("create", &expected)?;
    for name in names {
        let from = result_of(results, name);
        if !from.is_file() {
            return Err(Error::Wrong(format!("test \"{name}\" left no result")));
        }
        fs::copy(&from, expected.join(format!("{name}.out"))).context("copy", &from)?;
    }
    Ok(())
}
