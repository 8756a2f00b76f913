//! How a cluster is to be, and its start.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::cluster::Cluster;
use crate::error::Context;
use crate::extension::Extension;
use crate::home::Home;
use crate::installation::Installation;
use crate::passwords::{Passwords, SUPERUSER};
use crate::settings::Settings;
use crate::template::Template;
use crate::watchdog::{Orphan, Watchdog};
use crate::{Error, Result};

/// The number in a socket's name when no port is taken.
const NAME_ONLY_PORT: u16 = 5432;
/// How often to look for another free port when someone else was faster.
const PORT_TRIES: usize = 5;

/// A file that the server reads, and nobody else.
#[derive(Debug, Clone)]
pub(crate) struct PrivateFile {
    /// The setting that names it.
    setting: String,
    /// Its name in the cluster's folder.
    name: String,
    text: String,
}

/// What a cluster is to be. Made by [`Cluster::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pub(crate) installation: Option<Installation>,
    pub(crate) settings: Settings,
    pub(crate) private: Vec<PrivateFile>,
    extension: bool,
    extension_dir: Option<PathBuf>,
    pub(crate) tcp: bool,
    room: Option<PathBuf>,
}

impl Builder {
    /// A setting of the server. The last value given for a name counts.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.set(name, value);
        self
    }

    /// A file with this text in the cluster's folder, which only the server's account may read, and a setting that says where it is.
    #[must_use]
    pub fn private_file(mut self, setting: &str, name: &str, text: &str) -> Self {
        self.private.push(PrivateFile { setting: setting.into(), name: name.into(), text: text.into() });
        self
    }

    /// Preload the extension, and create it in the database `postgres`.
    #[must_use]
    pub fn extension(mut self, wanted: bool) -> Self {
        self.extension = wanted;
        self
    }

    /// Take the extension's files from this folder, instead of that named by `POSTERN_EXTENSION_DIR` or found beside
    /// the running program.
    #[must_use]
    pub fn extension_dir(mut self, folder: &Path) -> Self {
        self.extension_dir = Some(folder.to_owned());
        self
    }

    /// Listen on a free port of 127.0.0.1 besides the socket.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Use this server instead of the one that [`Installation::find`] finds.
    #[must_use]
    pub fn installation(mut self, installation: Installation) -> Self {
        self.installation = Some(installation);
        self
    }

    /// Make the temporary folder in this one instead of `/var/tmp`; its path must be short.
    #[must_use]
    pub fn under(mut self, folder: &Path) -> Self {
        self.room = Some(folder.to_owned());
        self
    }

    /// Makes a temporary cluster and starts it.
    pub fn start(self) -> Result<Cluster> {
        let installation = self.chosen()?;
        let account = Account::current()?;
        let home = Home::temporary(&account, self.room.as_deref())?;
        // Before anything is copied, which takes long enough for being killed meanwhile.
        let watchdog = Watchdog::start(home.folder(), Orphan::Remove)?;
        let mut settings = self.settled(&account, &home)?;
        // What is removed anyway need not reach the disk. A test of durability says otherwise.
        settings.set_default("fsync", "off");
        settings.set_default("shared_buffers", "32MB");
        let password = Template::copy_to(&installation, &account, &home)?;
        let passwords = Passwords::open(home.passwords())?;
        passwords.set(SUPERUSER, &password)?;
        let extension = self.chosen_extension();
        let cluster = Cluster::new(installation, account, home, watchdog, passwords, settings, extension);
        let cluster = cluster.begin(self.tcp)?;
        if self.extension {
            cluster.psql("postgres", "create extension postern")?;
        }
        Ok(cluster)
    }

    /// The settings, with the places of private files, which are written.
    pub(crate) fn settled(&self, account: &Account, home: &Home) -> Result<Settings> {
        let mut settings = self.settings.clone();
        for file in &self.private {
            let path = home.write_private(account, &file.name, &file.text)?;
            settings.set(&file.setting, &path.to_string_lossy());
        }
        Ok(settings)
    }

    pub(crate) fn chosen_extension(&self) -> Extension {
        match (self.extension, &self.extension_dir) {
            (false, _) => Extension::Without,
            (true, None) => Extension::Found,
            (true, Some(folder)) => Extension::In(folder.clone()),
        }
    }

    pub(crate) fn chosen(&self) -> Result<Installation> {
        self.installation.clone().map_or_else(Installation::find, Ok)
    }
}

impl Cluster {
    /// The first start: settles the port.
    pub(crate) fn begin(mut self, tcp: bool) -> Result<Self> {
        self.settings.set_default("listen_addresses", if tcp { "127.0.0.1" } else { "" });
        for tries in 1.. {
            self.port = if tcp { free_port()? } else { NAME_ONLY_PORT };
            self.settings.set("port", &self.port.to_string());
            match self.start_again() {
                Err(Error::Start { log, .. })
                    if tcp && tries < PORT_TRIES && log.contains("could not bind") => {}
                other => {
                    other?;
                    break;
                }
            }
        }
        Ok(self)
    }
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port on", Path::new("127.0.0.1"))?;
    let address = listener.local_addr().context("find a free port on", Path::new("127.0.0.1"))?;
    Ok(address.port())
}
