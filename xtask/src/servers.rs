//! Servers of other versions for the tests: 16 and 18 from a Python wheel, in `target/servers`; 13, 14 and 17, without headers and
//! clients, from npm, in `target/servers-plain`.
//!
//! **How it works.** pip downloads the one file that `xtask/servers.txt` names, and checks its hash. It is unpacked, not
//! installed: nothing in it is run but the servers and what comes with them. `Installation::find_all` finds them there.
//! npm does the same for what `xtask/servers/package-lock.json` names; scripts of packages are not run. The links between
//! libraries, which a package of npm cannot hold, are made here from its list of them. `Installation::find_plain` finds those.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::process::{Context, Error, Result, is_there, run};
use crate::workspace;

/// What pip is told the machine is: the wheel is for one version of Python, which need not be here.
const PLATFORM: [&str; 8] = [
    "--platform",
    "manylinux_2_28_x86_64",
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--abi",
    "cp311",
];

/// Makes sure that the servers are there, or says why they cannot be had.
pub fn fetch() -> Result<()> {
    let target = workspace::target().join("servers");
    let wanted = workspace::root().join("xtask/servers.txt");
    let stamp = target.join("servers.txt");
    let text = fs::read_to_string(&wanted).context("read", &wanted)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::Wrong("there is no wheel with servers for this machine".to_owned()));
    }
    let above = workspace::target();
    let fresh = tempfile::Builder::new()
        .prefix(".servers-")
        .tempdir_in(&above)
        .context("create a folder in", &above)?;
    let (wheels, servers) = (fresh.path().join("wheels"), fresh.path().join("servers"));
    run(pip(fresh.path())?
        .args(["download", "--quiet", "--disable-pip-version-check", "--retries", "0", "--timeout", "15"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(PLATFORM)
        .arg("--dest")
        .arg(&wheels)
        .arg("--requirement")
        .arg(&wanted))?;
    fs::create_dir_all(&servers).context("create", &servers)?;
    for entry in fs::read_dir(&wheels).context("read", &wheels)? {
        let wheel = entry.context("read", &wheels)?.path();
        run(Command::new("python3").args(["-m", "zipfile", "-e"]).args([&wheel, &servers]))?;
    }
    open(&servers)?;
    let inner = servers.join("servers.txt");
    fs::write(&inner, text).context("write", &inner)?;
    if target.exists() {
        fs::remove_dir_all(&target).context("remove", &target)?;
    }
    fs::rename(&servers, &target).context("rename", &servers)
}

/// A link that a package lists: `target` is its name, `source` what it leads to, both from the package's folder.
#[derive(serde::Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Makes sure that the plain servers are there, or says why they cannot be had.
pub fn fetch_plain() -> Result<()> {
    let target = workspace::target().join("servers-plain");
    let wanted = workspace::root().join("xtask/servers");
    let (lock, stamp) = (wanted.join("package-lock.json"), target.join("fetched"));
    let text = fs::read_to_string(&lock).context("read", &lock)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if !is_there("npm", "--version") {
        return Err(Error::Wrong("npm is not installed".to_owned()));
    }
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::Wrong("there are no such packages for this machine".to_owned()));
    }
    let above = workspace::target();
    let fresh = tempfile::Builder::new()
        .prefix(".servers-plain-")
        .tempdir_in(&above)
        .context("create a folder in", &above)?;
    let servers = fresh.path().join("servers");
    fs::create_dir(&servers).context("create", &servers)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(wanted.join(name), servers.join(name)).context("copy", &wanted.join(name))?;
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"])
        .current_dir(&servers))?;
    let packages = servers.join("node_modules");
    for entry in fs::read_dir(&packages).context("read", &packages)? {
        let package = entry.context("read", &packages)?.path();
        let list = package.join("native/pg-symlinks.json");
        if list.is_file() {
            link(&package, &list)?;
        }
    }
    open(&servers)?;
    let inner = servers.join("fetched");
    fs::write(&inner, text).context("write", &inner)?;
    if target.exists() {
        fs::remove_dir_all(&target).context("remove", &target)?;
    }
    fs::rename(&servers, &target).context("rename", &servers)
}

/// Makes the links of one package. None leads out of it, whatever its list says.
fn link(package: &Path, list: &Path) -> Result<()> {
    let text = fs::read_to_string(list).context("read", list)?;
    let links: Vec<Link> =
        serde_json::from_str(&text).map_err(|error| Error::Wrong(format!("{}: {error}", list.display())))?;
    for Link { source, target } in links {
        let within = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let (true, true, Some(name)) = (within(&source), within(&target), source.file_name()) else {
            return Err(Error::Wrong(format!("{}: a link that leads out of the package", list.display())));
        };
        if source.parent() != target.parent() {
            return Err(Error::Wrong(format!("{}: a link to another folder", list.display())));
        }
        let new = package.join(&target);
        symlink(name, &new).context("create", &new)?;
    }
    Ok(())
}

/// pip of this machine, or that of a virtual environment in `folder`: Debian's Python comes without.
fn pip(folder: &Path) -> Result<Command> {
    if !is_there("python3", "--version") {
        return Err(Error::Wrong("python3 is not installed".to_owned()));
    }
    let own = || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]);
        command
    };
    if own().arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(own());
    }
    let venv = folder.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    Ok(Command::new(venv.join("bin/pip")))
}

/// Lets everyone read and run what is in a folder: the zip module keeps no modes, and the server has an account of its own.
fn open(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).context("read", folder)? {
        let path = entry.context("read", folder)?.path();
        if path.is_symlink() {
            continue;
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).context("change the mode of", &path)?;
        if path.is_dir() {
            open(&path)?;
        }
    }
    fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).context("change the mode of", folder)
}
