//! A cluster that stays: that of `postern up`.
//!
//! **How it works.** The first opening runs initdb; later ones start what is there. A server that a killed process left
//! behind is stopped first (its watchdog is doing the same), lock files of one that was killed itself are removed, and
//! PostgreSQL recovers the rest.

use std::fs;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::builder::Builder;
use crate::cluster::{Cluster, url};
use crate::error::Context;
use crate::extension::Extension;
use crate::home::{self, Home};
use crate::passwords::{Passwords, SUPERUSER, random};
use crate::server;
use crate::template::{Durability, initialize};
use crate::watchdog::{Orphan, Watchdog};
use crate::{Error, Result};

impl Cluster {
    /// Opens the persistent cluster in a folder, with the extension; makes it when there is none.
    pub fn open_or_init(folder: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        settings
            .iter()
            .fold(Self::builder().extension(true), |builder, (name, value)| builder.setting(name, value))
            .open_or_init(folder)
    }
}

impl Builder {
    /// Opens the persistent cluster in a folder; makes it when there is none.
    pub fn open_or_init(self, folder: &Path) -> Result<Cluster> {
        let installation = self.chosen()?;
        let account = Account::current()?;
        let home = Home::persistent(&account, folder)?;
        let passwords = Passwords::open(home.passwords())?;
        if home.data().is_dir() {
            let file = home.data().join("PG_VERSION");
            let found = fs::read_to_string(&file).context("read", &file)?.trim().to_owned();
            if found != installation.major.to_string() {
                let expected = installation.major;
                return Err(Error::WrongVersion { folder: home.data(), found, expected });
            }
            server::stop_orphan(&home.data());
        } else {
            let password = random();
            passwords.set(SUPERUSER, &password)?;
            initialize(&installation, &account, &home, &password, Durability::Full)?;
        }
        let extension = self.chosen_extension();
        let settings = self.settled(&account, &home)?;
        let watchdog = Watchdog::start(home.folder(), Orphan::Keep)?;
        let cluster =
            Cluster::new(installation, account, home, watchdog, passwords, settings, extension.clone());
        let cluster = cluster.begin(self.tcp)?;
        if extension != Extension::Without {
            // The files may be newer than what the database has; both statements do nothing otherwise.
            let sql = "set client_min_messages = warning;\n\
                       create extension if not exists postern; alter extension postern update";
            cluster.psql("postgres", sql)?;
        }
        Ok(cluster)
    }
}

/// How to reach a persistent cluster that another process holds.
#[derive(Debug)]
pub struct Address {
    sockets: PathBuf,
    port: u16,
    passwords: Passwords,
}

impl Address {
    /// Looks up the cluster in a folder.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when there is none, or its server does not run.
    pub fn of(folder: &Path) -> Result<Self> {
        let folder = home::existing(folder).ok_or(Error::NotRunning)?;
        let data = folder.join("data");
        server::living(&data).ok_or(Error::NotRunning)?;
        let file = data.join("postmaster.pid");
        let text = fs::read_to_string(&file).context("read", &file)?;
        // Line 4 is the port, line 5 the folder of the socket.
        let mut lines = text.lines().skip(3);
        let port = lines.next().and_then(|port| port.trim().parse().ok()).ok_or(Error::NotRunning)?;
        let sockets = lines.next().map(PathBuf::from).ok_or(Error::NotRunning)?;
        Ok(Self { sockets, port, passwords: Passwords::open(folder.join("pgpass"))? })
    }

    /// The URL of a connection, as [`Cluster::url`].
    pub fn url(&self, role: &str, database: &str) -> String {
        url(&self.sockets, self.port, &self.passwords, role, database)
    }

    /// The folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// The port, or the number in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of a role, if one was set by us.
    pub fn password(&self, role: &str) -> Option<String> {
        self.passwords.get(role)
    }
}
