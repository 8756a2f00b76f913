//! A cluster fresh from initdb, made once and copied for each temporary cluster.
//!
//! **How it works.** The template is made at the first use in a process and goes with it. Where every test is a
//! process of its own, `POSTERN_CLUSTER_TEMPLATE` names a folder in which they share one; whoever made the folder
//! removes it.
//!
//! **Invariants**
//! * Everyone connects with a password (scram-sha-256), the server's own user too: there is no `trust`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::account::{Account, run};
use crate::error::Context;
use crate::home::Home;
use crate::installation::Installation;
use crate::passwords::{Passwords, SUPERUSER, random};
use crate::watchdog::{Orphan, Watchdog};
use crate::{Error, Result};

static OF_THIS_PROCESS: Mutex<BTreeMap<PathBuf, Arc<Template>>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
pub(crate) struct Template {
    data: PathBuf,
    password: String,
    // Held, never read: the folder lives as long as the template, which is as long as the process.
    _owned: Option<(Home, Watchdog)>,
}

impl Template {
    /// Copies the template's data into a new cluster's folder; gives the superuser's password.
    pub(crate) fn copy_to(installation: &Installation, account: &Account, home: &Home) -> Result<String> {
        let template = match std::env::var_os("POSTERN_CLUSTER_TEMPLATE") {
            Some(folder) => Arc::new(Self::shared(installation, account, Path::new(&folder))?),
            None => Self::own(installation, account)?,
        };
        let data = home.new_data(account, "data")?;
        let mut source = template.data.clone().into_os_string();
        source.push("/.");
        run(account.command("cp", home.folder()).args(["-a", "--reflink=auto", "--"]).arg(source).arg(data))?;
        Ok(template.password.clone())
    }

    fn own(installation: &Installation, account: &Account) -> Result<Arc<Self>> {
        // The lock is held during initdb: whoever comes second wants the same one.
        let mut known = OF_THIS_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = known.get(&installation.bindir) {
            return Ok(Arc::clone(template));
        }
        let home = Home::temporary(account, None)?;
        let watchdog = Watchdog::start(home.folder(), Orphan::Remove)?;
        let password = random();
        let data = initialize(installation, account, &home, &password, Durability::None)?;
        let template = Arc::new(Self { data, password, _owned: Some((home, watchdog)) });
        known.insert(installation.bindir.clone(), Arc::clone(&template));
        Ok(template)
    }

    fn shared(installation: &Installation, account: &Account, folder: &Path) -> Result<Self> {
        let lock_path = folder.join("template.lock");
        let lock = File::create(&lock_path).context("create", &lock_path)?;
        lock.lock().context("lock", &lock_path)?;
        let place = folder.join(format!("pg{}", installation.major));
        let home = Home::persistent(account, &place)?;
        let passwords = Passwords::open(home.passwords())?;
        if !home.data().is_dir() {
            let password = random();
            passwords.set(SUPERUSER, &password)?;
            initialize(installation, account, &home, &password, Durability::None)?;
        }
        let password = passwords.get(SUPERUSER).ok_or_else(|| Error::Folder {
            folder: place,
            reason: "it has no password of the superuser".to_owned(),
        })?;
        Ok(Self { data: home.data(), password, _owned: None })
    }
}

/// A folder for templates that several processes share, as long as this value lives; see `POSTERN_CLUSTER_TEMPLATE`.
#[derive(Debug)]
pub struct SharedTemplates {
    home: Home,
    watchdog: Option<Watchdog>,
}

impl SharedTemplates {
    /// Makes the folder. It goes away with this process, however that ends.
    pub fn new() -> Result<Self> {
        let home = Home::temporary(&Account::current()?, None)?;
        let watchdog = Some(Watchdog::start(home.folder(), Orphan::Remove)?);
        Ok(Self { home, watchdog })
    }

    /// What the other processes are told by `POSTERN_CLUSTER_TEMPLATE`.
    pub fn folder(&self) -> &Path {
        self.home.folder()
    }
}

impl Drop for SharedTemplates {
    fn drop(&mut self) {
        self.home.clear();
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.release();
        }
    }
}

/// Must initdb wait until its files are on disk?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    None,
    Full,
}

/// Runs initdb for a folder that has no data yet. The data appears under its name only when complete.
pub(crate) fn initialize(
    installation: &Installation,
    account: &Account,
    home: &Home,
    password: &str,
    durability: Durability,
) -> Result<PathBuf> {
    let unfinished = home.folder().join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("remove", &unfinished)?;
    }
    let new = home.new_data(account, "data.new")?;
    let secret = tempfile::NamedTempFile::new_in(home.folder()).context("create a file in", home.folder())?;
    fs::write(secret.path(), format!("{password}\n")).context("write", secret.path())?;
    fs::set_permissions(secret.path(), fs::Permissions::from_mode(0o600))
        .context("change the mode of", secret.path())?;
    account.give(secret.path())?;
    let mut command = account.command(installation.program("initdb"), home.folder());
    command.arg("-D").arg(&new).arg(format!("--username={SUPERUSER}"));
    command.arg(format!("--pwfile={}", secret.path().display()));
    command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]);
    if installation.major >= 14 {
        command.arg("--no-instructions");
    }
    if durability == Durability::None {
        command.arg("--no-sync");
    }
    run(&mut command)?;
    let data = home.data();
    fs::rename(&new, &data).context("rename", &new)?;
    Ok(data)
}
