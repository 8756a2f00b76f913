//! `run`: builds what `postern up` needs, and becomes it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use postern_cluster::Installation;

use crate::build;
use crate::process::{Context, Result, run};
use crate::workspace::{self, Profile};

/// Replaces this process, so that Ctrl-C and the exit status are those of `postern`.
pub fn up(server: &Installation, profile: Profile, arguments: &[String]) -> Result<()> {
    build::extension(server, profile)?;
    run(workspace::cargo().args(["build", "-p", "postern-cli"]).args(profile.arguments()))?;
    let program = workspace::target().join(profile.folder()).join("postern");
    let mut command = Command::new(&program);
    command.arg("up").args(arguments).current_dir(workspace::root());
    command.env("POSTERN_PG_CONFIG", &server.pg_config);
    command.env("POSTERN_EXTENSION_DIR", workspace::extension(server));
    Err(command.exec()).context("run", Path::new(&program))
}
