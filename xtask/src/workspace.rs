//! The folders of the workspace.

use std::path::PathBuf;
use std::process::Command;

use postern_cluster::Installation;

/// How much the compiler is to optimize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// The name of the folder with what was built.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    /// The arguments for cargo.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &[],
            Self::Release => &["--release"],
        }
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    // Cargo says where at run time too, so that a moved checkout works.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The extension as built for one server.
pub fn extension(server: &Installation) -> PathBuf {
    target().join(format!("extension/pg{}", server.major))
}

/// Cargo in the root of the workspace, the same one that started us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told us about our own package is not meant for what we start.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root());
    command
}

/// Cargo for the extension's crate, which is built once for each server, in a folder of its own.
pub fn cargo_for(server: &Installation, verb: &str) -> Command {
    let mut command = cargo();
    command.arg(verb).args(["-p", "postern-extension", "--no-default-features"]);
    command.arg(format!("--features=pg{}", server.major));
    command.arg("--target-dir").arg(pgrx_target(server));
    command.env("PGRX_PG_CONFIG_PATH", &server.pg_config);
    command
}

/// The folder in which the extension is built.
pub fn pgrx_target(server: &Installation) -> PathBuf {
    target().join(format!("pgrx-{}", server.major))
}
