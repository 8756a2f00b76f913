//! `bench-gate`, `bench-durable`, `bench-rows`, `bench-names`: build everything optimized, install what it is measured beside, and start the
//! measurement.

use std::fs;

use postern_cluster::Installation;

use crate::process::{Context, Error, Result, output, run};
use crate::workspace::{self, Profile};
use crate::{build, corpus, suites};

/// Runs the benchmark of the gate.
pub fn gate(server: &Installation, arguments: &[String]) -> Result<()> {
    build::extension(server, Profile::Release)?;
    run(workspace::cargo().args(["build", "--release", "-p", "postern-cli", "-p", "postern-bench-gate"]))?;
    suites::node(&workspace::root().join("bench/gate/node"))?;
    let binaries = workspace::target().join(Profile::Release.folder());
    let mut command = std::process::Command::new(binaries.join("bench-gate"));
    suites::environment(&mut command, server, Profile::Release);
    run(command.args(arguments).current_dir(workspace::root()))
}

/// Runs the benchmark of the analysis of names, or its comparison.
pub fn names(server: &Installation, arguments: &[String]) -> Result<()> {
    corpus::fetch()?;
    run(workspace::cargo().args(["build", "--release", "-p", "postern-bench-names"]))?;
    let venv = workspace::target().join("pgspot");
    let pgspot = venv.join("bin/pgspot");
    if !pgspot.is_file() {
        run(std::process::Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let wanted = workspace::root().join("bench/names/requirements.txt");
        run(std::process::Command::new(venv.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(wanted))?;
    }
    let program = workspace::target().join(Profile::Release.folder()).join("bench-names");
    let mut command = std::process::Command::new(program);
    suites::environment(&mut command, server, Profile::Release);
    command.env("POSTERN_PGSPOT", &pgspot);
    command.args(arguments).current_dir(workspace::root());
    if arguments.first().is_none_or(|argument| argument != "compare") {
        return run(&mut command);
    }
    let scripts = output(&mut command)?;
    // The set whose answers the server gives is a test, which says nothing of pgspot unless it is told where that is.
    let mut labelled = workspace::cargo();
    labelled.args(["test", "-p", "postern-analyze", "--test", "oracle", "labelled", "--", "--nocapture"]);
    suites::environment(&mut labelled, server, Profile::Dev);
    let said = output(labelled.env("POSTERN_PGSPOT", pgspot).current_dir(workspace::root()))?;
    let labelled: Vec<&str> = said.lines().filter(|line| line.starts_with('|')).collect();
    println!("{scripts}\n{}", labelled.join("\n"));
    let page = workspace::root().join("docs/reference/names-compared.md");
    let old = fs::read_to_string(&page).context("read", &page)?;
    let (scripts, pages) = scripts.split_once("\n\n").unwrap_or_default();
    let new = with_table(&old, "| script |", scripts)
        .and_then(|text| with_table(&text, "| rule |", pages))
        .and_then(|text| with_table(&text, "| tool |", &labelled.join("\n")))
        .ok_or_else(|| Error::Wrong(format!("{} has not the three tables", page.display())))?;
    fs::write(&page, new).context("write", &page)
}

/// A page with one of its tables, which begins like this, in a new version.
fn with_table(page: &str, begins: &str, table: &str) -> Option<String> {
    let start = page.find(&format!("\n{begins}"))? + 1;
    let end = page[start..].find("\n\n").map_or(page.len(), |at| start + at);
    let table = table.trim_end();
    table.starts_with(begins).then(|| format!("{}{table}{}", &page[..start], &page[end..]))
}

/// Runs the benchmark of rows.
pub fn rows(server: &Installation, arguments: &[String]) -> Result<()> {
    build::extension(server, Profile::Release)?;
    run(workspace::cargo().args(["build", "--release", "-p", "postern-bench-rows"]))?;
    let binaries = workspace::target().join(Profile::Release.folder());
    let mut command = std::process::Command::new(binaries.join("bench-rows"));
    suites::environment(&mut command, server, Profile::Release);
    run(command.args(arguments).current_dir(workspace::root()))
}

/// Runs the benchmark of durable functions. What cannot be installed is left out, and the report says why.
pub fn durable(server: &Installation, arguments: &[String]) -> Result<()> {
    build::extension(server, Profile::Release)?;
    run(workspace::cargo().args(["build", "--release", "-p", "postern-bench-durable"]))?;
    let folder = workspace::root().join("bench/durable/node");
    suites::node(&folder)?;
    let mut command =
        std::process::Command::new(workspace::target().join(Profile::Release.folder()).join("bench-durable"));
    if let Err(error) = suites::python(&folder) {
        command.arg("--without").arg(format!("the schema of Absurd could not be installed: {error}"));
    }
    suites::environment(&mut command, server, Profile::Release);
    run(command.args(arguments).current_dir(workspace::root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_that_begins_alike() {
        let page = "text\n\n| a |\n|---|\n| old |\n\nmore\n\n| b |\n| x |\n";
        let new = with_table(page, "| a |", "| a |\n|---|\n| new |\n| newer |\n").unwrap();
        assert_eq!(new, page.replace("| old |", "| new |\n| newer |"));
        assert!(with_table(page, "| c |", "| c |\n").is_none());
        assert!(with_table(page, "| a |", "nothing").is_none());
    }
}
