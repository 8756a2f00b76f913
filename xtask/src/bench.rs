//! `bench-gate`: builds everything optimized and hands over to `bench/gate/run`.

use std::process::Command;

use postern_cluster::Installation;

use crate::build;
use crate::process::{Error, Result, run};
use crate::workspace::{self, Profile};

/// Runs the benchmark of the gate.
pub fn gate(server: &Installation, arguments: &[String]) -> Result<()> {
    let program = workspace::root().join("bench/gate/run");
    if !program.is_file() {
        return Err(Error::Wrong(format!("there is no {}", program.display())));
    }
    build::extension(server, Profile::Release)?;
    run(workspace::cargo().args(["build", "-p", "postern-cli", "--release"]))?;
    let binary = workspace::target().join(Profile::Release.folder()).join("postern");
    run(Command::new(program)
        .args(arguments)
        .current_dir(workspace::root())
        .env("POSTERN_BIN", binary)
        .env("POSTERN_PG_CONFIG", &server.pg_config)
        .env("POSTERN_EXTENSION_DIR", workspace::extension(server)))
}
