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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The names below headings of dependencies in a manifest.
    fn dependencies(manifest: &str) -> BTreeSet<String> {
        let mut is_list = false;
        let mut names = BTreeSet::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                is_list = line.trim_end_matches(']').ends_with("dependencies");
            } else if let Some((name, _)) =
                line.split_once(" =").filter(|_| is_list && !line.starts_with('#'))
            {
                names.insert(name.to_owned());
            }
        }
        names
    }

    /// The text of every Rust file in a folder.
    fn source(folder: &Path) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target" && name != "node_modules")
            {
                text += &source(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
        text
    }

    #[test]
    fn every_dependency_is_named_by_its_crate() {
        let root = root();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let (_, members) = manifest.split_once("\nmembers = [").unwrap();
        let members: Vec<&str> = members.split(']').next().unwrap().split('"').skip(1).step_by(2).collect();
        assert!(members.len() > 10, "{members:?}");
        let (mut all, mut needless) = (BTreeSet::new(), Vec::new());
        for member in members {
            let folder = root.join(member);
            let source = source(&folder);
            for name in dependencies(&fs::read_to_string(folder.join("Cargo.toml")).unwrap()) {
                let as_written = name.replace('-', "_");
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let is_named = source.match_indices(&as_written).any(|(at, _)| {
                    let (before, after) = (&source[..at], &source[at + as_written.len()..]);
                    !before.ends_with(is_part) && !after.starts_with(is_part)
                });
                if !is_named {
                    needless.push(format!("{member}: {name}"));
                }
                all.insert(name);
            }
        }
        assert_eq!(needless, [""; 0]);
        // And none is kept for all that nobody has.
        let (_, shared) = manifest.split_once("\n[workspace.dependencies]\n").unwrap();
        let shared = dependencies(&format!("[dependencies]\n{shared}"));
        assert_eq!(shared.difference(&all).collect::<Vec<_>>(), [""; 0]);
    }
}
