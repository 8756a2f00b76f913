//! Suites that are programs of their own: `tests/<name>/run`, for clients written in other languages.
//!
//! **How it works.** A folder may hold `package.json` (installed by `npm ci`) and `requirements.txt` (into a `.venv` in
//! the folder) before its `run` is called with the environment that [`environment`] describes. The exit status is 0 for
//! success and 77 for "cannot be run here", with the reason as the last line of standard output.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postern_cluster::Installation;

use crate::process::{Context, Error, Result, is_there, run};
use crate::report::Suite;
use crate::workspace::{self, Profile};

/// The exit status of a suite that cannot be run here, as with Automake.
const CANNOT: i32 = 77;

/// What a program that tests or measures finds in its environment.
pub fn environment(command: &mut Command, server: &Installation, profile: Profile) {
    command
        .env("POSTERN_BIN", workspace::target().join(profile.folder()).join("postern"))
        .env("POSTERN_PG_CONFIG", &server.pg_config)
        .env("POSTERN_EXTENSION_DIR", workspace::extension(server));
}

/// Installs what the folders below `tests/` and those of the crates need; gives what could not be, with the reason.
pub fn prepare() -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for folder in folders()? {
        let name = folder.strip_prefix(workspace::root()).unwrap_or(&folder).display().to_string();
        if folder.join("package.json").is_file() {
            if is_there("npm", "--version") {
                node(&folder)?;
            } else {
                missing.push(format!("{name}: npm is not installed"));
            }
        }
        if folder.join("requirements.txt").is_file() {
            if is_there("python3", "--version") {
                python(&folder)?;
            } else {
                missing.push(format!("{name}: python3 is not installed"));
            }
        }
    }
    Ok(missing)
}

/// Runs every suite.
pub fn run_all(server: &Installation) -> Result<Vec<Suite>> {
    let mut suites = Vec::new();
    for folder in folders()? {
        let program = folder.join("run");
        if fs::metadata(&program).is_ok_and(|file| file.permissions().mode() & 0o111 != 0) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            println!("\n== {name}");
            suites.push(one(&name, &program, server)?);
        }
    }
    Ok(suites)
}

fn one(name: &str, program: &Path, server: &Installation) -> Result<Suite> {
    let mut command = Command::new(program);
    environment(&mut command, server, Profile::Dev);
    command.current_dir(program.parent().unwrap_or(Path::new("."))).stdout(Stdio::piped());
    let mut child = command.spawn().context("run", program)?;
    let mut last = String::new();
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).lines() {
            let line = line.context("read what came from", program)?;
            println!("{line}");
            last = line;
        }
    }
    let status = child.wait().context("wait for", program)?;
    if status.code() == Some(CANNOT) {
        return Ok(Suite::skipped(name, &last));
    }
    let result = if status.success() { Ok(()) } else { Err(Error::Failed(name.to_owned())) };
    Ok(Suite::of(name, &result))
}

/// The folders that may need something installed, in order.
fn folders() -> Result<Vec<PathBuf>> {
    let root = workspace::root();
    let mut found = Vec::new();
    for above in ["tests", "crates"] {
        let above = root.join(above);
        if !above.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&above).context("read", &above)? {
            let folder = entry.context("read", &above)?.path();
            found.extend([folder.join("tests/clients"), folder].into_iter().filter(|folder| folder.is_dir()));
        }
    }
    found.sort();
    Ok(found)
}

/// `npm ci`, unless what is installed is newer than what is asked for.
pub fn node(folder: &Path) -> Result<()> {
    let (wanted, stamp) = (folder.join("package-lock.json"), folder.join("node_modules/.package-lock.json"));
    if is_newer(&stamp, &wanted) && is_newer(&stamp, &folder.join("package.json")) {
        return Ok(());
    }
    let verb = if wanted.is_file() { "ci" } else { "install" };
    run(Command::new("npm").args([verb, "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder))
}

/// A virtual environment with what is asked for, unless it is there.
pub fn python(folder: &Path) -> Result<()> {
    let (wanted, venv) = (folder.join("requirements.txt"), folder.join(".venv"));
    let stamp = venv.join("installed");
    if is_newer(&stamp, &wanted) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = venv.join("bin/pip");
    run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted))?;
    fs::write(&stamp, "").context("write", &stamp)
}

fn is_newer(file: &Path, other: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    match (time(file), time(other)) {
        (Some(file), Some(other)) => file >= other,
        (found, None) => found.is_some(),
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_newer_than_what_does_not_exist_but_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (there, not) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&there, "").unwrap();
        assert!(is_newer(&there, &not));
        assert!(!is_newer(&not, &there));
        assert!(!is_newer(&not, &not));
    }
}
