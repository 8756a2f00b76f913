//! `bench-gate`: builds everything optimized and hands over to the program in `bench/gate`.

use std::process::Command;

use postern_cluster::Installation;

use crate::build;
use crate::process::{Result, run};
use crate::workspace::{self, Profile};

/// Runs the benchmark of the gate.
pub fn gate(server: &Installation, arguments: &[String]) -> Result<()> {
    build::extension(server, Profile::Release)?;
    run(workspace::cargo().args(["build", "--release", "-p", "postern-cli", "-p", "postern-bench-gate"]))?;
    let built = workspace::target().join(Profile::Release.folder());
    run(Command::new(built.join("bench-gate"))
        .args(arguments)
        .current_dir(workspace::root())
        .env("POSTERN_BIN", built.join("postern"))
        .env("POSTERN_PG_CONFIG", &server.pg_config)
        .env("POSTERN_EXTENSION_DIR", workspace::extension(server)))
}
