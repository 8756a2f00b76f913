//! Public SQL for the tests and measurements of the analyser: Debian packages, unpacked into `target/corpus`.
//!
//! **How it works.** apt downloads the packages that `xtask/corpus.txt` names, and checks them against the signed lists.
//! They are unpacked, not installed. What is there stays until the list changes.

use std::fs;
use std::process::Command;

use crate::process::{Context, Error, Result, is_there, run};
use crate::workspace;

/// Where the corpus is: one folder for each package.
pub fn folder() -> std::path::PathBuf {
    workspace::target().join("corpus")
}

/// Makes sure that it is there, or says why it cannot be had.
pub fn fetch() -> Result<()> {
    let target = folder();
    let wanted = workspace::root().join("xtask/corpus.txt");
    let stamp = target.join("corpus.txt");
    let text = fs::read_to_string(&wanted).context("read", &wanted)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if !is_there("apt-get", "--version") || !is_there("dpkg-deb", "--version") {
        return Err(Error::Wrong("there is no apt-get and dpkg-deb here".to_owned()));
    }
    let above = workspace::target();
    let fresh = tempfile::Builder::new()
        .prefix(".corpus-")
        .tempdir_in(&above)
        .context("create a folder in", &above)?;
    let debs = fresh.path().join("debs");
    fs::create_dir(&debs).context("create", &debs)?;
    let packages = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    run(Command::new("apt-get")
        .args(["download", "--quiet=2", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1"])
        .args(packages)
        .current_dir(&debs))?;
    let corpus = fresh.path().join("corpus");
    fs::create_dir(&corpus).context("create", &corpus)?;
    for entry in fs::read_dir(&debs).context("read", &debs)? {
        let deb = entry.context("read", &debs)?.path();
        let name = deb.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let package = name.split('_').next().unwrap_or_default().to_owned();
        run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(corpus.join(package)))?;
    }
    let inner = corpus.join("corpus.txt");
    fs::write(&inner, text).context("write", &inner)?;
    if target.exists() {
        fs::remove_dir_all(&target).context("remove", &target)?;
    }
    fs::rename(&corpus, &target).context("rename", &corpus)
}
