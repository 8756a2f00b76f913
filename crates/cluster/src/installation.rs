//! Where a PostgreSQL server is installed, and how it finds extensions outside its own folders.
//!
//! **How it works.** Everything follows from one `pg_config`: that named by `POSTERN_PG_CONFIG`, that on the PATH, or
//! Debian's, newest first. The PATH is not searched for `postgres` itself: what lies there may belong to something
//! else, and Debian keeps its servers off it.
//!
//! **Invariants**
//! * An [`Installation`] is complete: `postgres`, `initdb` and `psql` lie in its `bindir`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::run;
use crate::{Error, Result};

/// The versions that the extension supports.
const SUPPORTED: std::ops::RangeInclusive<u32> = 15..=18;

/// The versions that names are analysed of, without the extension.
const ANALYSED: std::ops::RangeInclusive<u32> = 13..=18;

/// One installed server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The program that described the rest.
    pub pg_config: PathBuf,
    /// Where `postgres`, `initdb`, `psql` are.
    pub bindir: PathBuf,
    /// Where control files and SQL of extensions are, in `extension/`.
    pub sharedir: PathBuf,
    /// The makefile of extensions; the test drivers lie beside it.
    pub pgxs: PathBuf,
    /// Such as `PostgreSQL 15.20 (Debian 15.20-0+deb12u1)`.
    pub version: String,
    /// Such as 15.
    pub major: u32,
}

/// How a server is told to look for an extension's files in a folder of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionLookup {
    /// `extension_destdir`, a patch of Debian's: the folder is put before the server's own path.
    Destdir,
    /// `extension_control_path`, from 18 on: the folder contains `extension/`.
    ControlPath,
    /// Not at all: the files go into the installation, which must be a private one.
    Share,
}

impl Installation {
    /// The major versions that the extension supports.
    pub fn supported() -> impl Iterator<Item = u32> {
        SUPPORTED
    }

    /// The server to use when none is named.
    pub fn find() -> Result<Self> {
        if let Some(path) = std::env::var_os("POSTERN_PG_CONFIG") {
            return Self::from_pg_config(Path::new(&path));
        }
        let mut reasons = Vec::new();
        for candidate in candidates() {
            match Self::from_pg_config(&candidate) {
                Ok(found) => return Ok(found),
                Err(error) => reasons.push(format!("{}: {error}", candidate.display())),
            }
        }
        Err(Error::NoServer(if reasons.is_empty() {
            "there is no pg_config on the PATH or under /usr/lib/postgresql".to_owned()
        } else {
            reasons.join("; ")
        }))
    }

    /// Every server that is found, the one that [`Installation::find`] gives first, one of each major version. More are
    /// named, with colons between, by `POSTERN_PG_CONFIGS`; the tests fetch some into `servers` in cargo's target folder.
    pub fn find_all() -> Result<Vec<Self>> {
        let mut found = vec![Self::find()?];
        let named = std::env::var_os("POSTERN_PG_CONFIGS").unwrap_or_default();
        for pg_config in std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()) {
            found.push(Self::from_pg_config(&pg_config)?);
        }
        found.extend(
            candidates()
                .iter()
                .chain(&fetched())
                .filter_map(|pg_config| Self::from_pg_config(pg_config).ok()),
        );
        let mut seen = BTreeSet::new();
        found.retain(|installation| seen.insert(installation.major));
        Ok(found)
    }

    /// Every server for what needs no extension, one of each major version from 13 on: those of [`Installation::find_all`], and
    /// the plain ones that the tests fetch into `servers-plain` in cargo's target folder.
    pub fn find_plain() -> Result<Vec<Self>> {
        let mut found = Self::find_all()?;
        let program = std::env::current_exe().unwrap_or_default();
        let servers =
            program.ancestors().flat_map(|folder| entries(&folder.join("servers-plain/node_modules")));
        found.extend(servers.filter_map(|folder| Self::plain(&folder.join("native")).ok()));
        let mut seen = BTreeSet::new();
        found.retain(|installation| seen.insert(installation.major));
        found.sort_by_key(|installation| installation.major);
        Ok(found)
    }

    /// The major versions that names are analysed of.
    pub fn analysed() -> impl Iterator<Item = u32> {
        ANALYSED
    }

    /// A server without `pg_config` and clients: what the name of each folder says is not asked.
    fn plain(folder: &Path) -> Result<Self> {
        let bindir = folder.join("bin");
        // Printed before the server looks who it runs as.
        let output = run(Command::new(bindir.join("postgres")).arg("--version"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().trim_start_matches("postgres (").replacen(')', "", 1);
        let major = major(&version).filter(|major| ANALYSED.contains(major)).ok_or_else(|| {
            Error::NoServer(format!("\"{version}\" is no version of PostgreSQL from 13 to 18"))
        })?;
        if !bindir.join("initdb").is_file() {
            return Err(Error::NoServer(format!("there is no initdb in {}", bindir.display())));
        }
        Ok(Self {
            pg_config: bindir.join("pg_config"),
            sharedir: folder.join("share/postgresql"),
            pgxs: folder.join("lib/postgresql/pgxs/src/makefiles/pgxs.mk"),
            bindir,
            version,
            major,
        })
    }

    /// Are the headers there that the extension is built with?
    pub fn has_headers(&self) -> Result<bool> {
        let output = run(Command::new(&self.pg_config).arg("--includedir-server"))?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(folder.join("postgres.h").is_file())
    }

    /// The server that one `pg_config` describes.
    pub fn from_pg_config(pg_config: &Path) -> Result<Self> {
        let output = run(Command::new(pg_config).args(["--bindir", "--sharedir", "--pgxs", "--version"]))?;
        Self::described(pg_config, &String::from_utf8_lossy(&output.stdout))
    }

    /// The four lines that `pg_config` printed, checked.
    fn described(pg_config: &Path, text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::trim);
        let mut next = || lines.next().unwrap_or_default().to_owned();
        let (bindir, sharedir, pgxs, version) = (next(), next(), next(), next());
        let major = major(&version)
            .ok_or_else(|| Error::NoServer(format!("\"{version}\" is not a version of PostgreSQL")))?;
        if !SUPPORTED.contains(&major) {
            return Err(Error::NoServer(format!("{version} is not supported")));
        }
        let found = Self {
            pg_config: pg_config.to_owned(),
            bindir: bindir.into(),
            sharedir: sharedir.into(),
            pgxs: pgxs.into(),
            version,
            major,
        };
        match ["postgres", "initdb", "psql"].iter().find(|name| !found.program(name).is_file()) {
            None => Ok(found),
            Some(name) => Err(Error::NoServer(format!("there is no {name} in {}", found.bindir.display()))),
        }
    }

    /// A program of this installation.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bindir.join(name)
    }

    /// A client: of this installation, or of the one that [`Installation::find`] finds if this one comes without.
    pub fn client(&self, name: &Path) -> PathBuf {
        let own = self.bindir.join(name);
        if own.is_file() {
            return own;
        }
        Self::find().map_or(own, |other| other.bindir.join(name))
    }

    /// A program of the test drivers that come with the server's headers, such as `regress/pg_regress`.
    pub fn test_driver(&self, name: &str) -> PathBuf {
        self.pgxs.parent().unwrap_or(Path::new("/")).join("../test").join(name)
    }

    /// How this server finds our extension's SQL.
    pub fn extension_lookup(&self) -> Result<ExtensionLookup> {
        if self.major >= 18 {
            return Ok(ExtensionLookup::ControlPath);
        }
        // The one thing a server does as root, and without a data folder: list its settings.
        let output = run(Command::new(self.program("postgres")).arg("--describe-config"))?;
        let known = String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| line.split('\t').next() == Some("extension_destdir"));
        Ok(if known { ExtensionLookup::Destdir } else { ExtensionLookup::Share })
    }

    /// Below a folder made for [`Installation::extension_lookup`], the folder of control files and SQL.
    pub fn extension_subfolder(&self, lookup: ExtensionLookup) -> PathBuf {
        match lookup {
            ExtensionLookup::Destdir => {
                self.sharedir.strip_prefix("/").unwrap_or(&self.sharedir).join("extension")
            }
            ExtensionLookup::ControlPath | ExtensionLookup::Share => PathBuf::from("extension"),
        }
    }
}

/// Every `pg_config` worth asking, in the order of preference.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join("pg_config"))
        .filter(|file| file.is_file())
        .collect();
    found.extend(
        SUPPORTED
            .rev()
            .map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/pg_config")))
            .filter(|file| file.is_file()),
    );
    found
}

/// The `pg_config` of every server in `servers` beside the running program's target folder.
fn fetched() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().flat_map(|folder| below(&folder.join("servers"))).collect()
}

/// Those two folders below one, in order: a package has several servers.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = entries(folder)
        .iter()
        .flat_map(|package| entries(package))
        .map(|server| server.join("bin/pg_config"))
        .filter(|file| file.is_file())
        .collect();
    found.sort();
    found
}

/// What lies in a folder; nothing if there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    found.sort();
    found
}

fn major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("PostgreSQL ")?;
    let digits = number.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_any_kind_of_release() {
        assert_eq!(major("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major("PostgreSQL 18beta1"), Some(18));
        assert_eq!(major("PostgreSQL 19devel"), Some(19));
        assert_eq!(major("MySQL 8"), None);
        assert_eq!(major("PostgreSQL devel"), None);
    }

    #[test]
    fn a_pg_config_without_a_server_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{0}\n{0}\n{0}\nPostgreSQL 15.1\n", folder.path().display());
        let error = Installation::described(Path::new("pg_config"), &text).unwrap_err();
        assert!(error.to_string().contains("there is no postgres in"), "{error}");
    }

    #[test]
    fn servers_that_were_fetched_are_found_in_their_packages() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("package/b/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(folder.path().join("package/a/lib")).unwrap();
        std::fs::write(bin.join("pg_config"), "").unwrap();
        assert_eq!(below(folder.path()), [bin.join("pg_config")]);
        assert!(below(&folder.path().join("not")).is_empty());
    }

    #[test]
    fn a_plain_server_says_its_version_itself() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let program = |name: &str, says: &str| {
            std::fs::write(bin.join(name), format!("#!/bin/sh\necho '{says}'\n")).unwrap();
            std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        };
        program("postgres", "postgres (PostgreSQL) 13.23");
        let error = Installation::plain(folder.path()).unwrap_err();
        assert!(error.to_string().contains("no initdb"), "{error}");
        program("initdb", "");
        let found = Installation::plain(folder.path()).unwrap();
        assert_eq!((found.major, found.version.as_str()), (13, "PostgreSQL 13.23"));
        program("postgres", "postgres (PostgreSQL) 12.1");
        assert!(Installation::plain(folder.path()).is_err());
    }

    #[test]
    fn a_version_that_the_extension_does_not_know_is_refused() {
        let error =
            Installation::described(Path::new("pg_config"), "/\n/\n/\nPostgreSQL 14.2\n").unwrap_err();
        assert!(error.to_string().contains("PostgreSQL 14.2 is not supported"), "{error}");
    }
}
