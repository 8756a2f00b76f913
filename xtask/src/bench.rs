//! `bench-gate`, `bench-durable`, `bench-rows`, `bench-names`: build everything optimized, install what it is measured beside, and start the
//! measurement.

use postern_cluster::Installation;

use crate::process::{Result, run};
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
    run(command.args(arguments).current_dir(workspace::root()))?;
    if arguments.first().is_none_or(|argument| argument != "compare") {
        return Ok(());
    }
    // The set whose answers the server gives is a test, which says nothing of pgspot unless it is told where that is.
    let mut labelled = workspace::cargo();
    labelled.args(["test", "-p", "postern-analyze", "--test", "oracle", "labelled", "--", "--nocapture"]);
    suites::environment(&mut labelled, server, Profile::Dev);
    run(labelled.env("POSTERN_PGSPOT", pgspot).current_dir(workspace::root()))
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
