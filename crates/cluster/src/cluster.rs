//! A running cluster, and what can be done with it.
//!
//! **Invariants**
//! * Every method takes `&self`: one cluster may serve all tests of a process.
//! * Dropping a temporary cluster ends the server and removes its folder; dropping a persistent one ends the server
//!   in order.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::Signal;

use crate::account::{self, Account};
use crate::builder::Builder;
use crate::error::Context;
use crate::extension::{self, Extension};
use crate::home::Home;
use crate::installation::Installation;
use crate::passwords::{Passwords, SUPERUSER, random};
use crate::server::Server;
use crate::settings::Settings;
use crate::watchdog::Watchdog;
use crate::{Error, Result};

/// What may stand in a URL as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// One private server. See the crate's own page.
#[derive(Debug)]
pub struct Cluster {
    installation: Installation,
    account: Account,
    home: Home,
    watchdog: Option<Watchdog>,
    passwords: Passwords,
    extension: Extension,
    sockets: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) port: u16,
    server: Mutex<Option<Server>>,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Sessions are ended, everything is written: the next start has nothing to recover.
    Fast,
    /// At once, as in a crash of the server: the next start recovers.
    Immediate,
    /// `kill -9` of the server's first process, as the system does when memory is short.
    Kill,
}

impl Cluster {
    /// A temporary cluster, to be described further.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        installation: Installation,
        account: Account,
        home: Home,
        watchdog: Watchdog,
        passwords: Passwords,
        mut settings: Settings,
        extension: Extension,
    ) -> Self {
        let sockets = home.sockets();
        settings.set("unix_socket_directories", &sockets.to_string_lossy());
        settings.set("logging_collector", "off");
        settings.set("log_destination", "stderr");
        settings.set_default("timezone", "UTC");
        // Executors of durable functions, what runs at top level, and the server's own: eight are too few for two databases.
        settings.set_default("max_worker_processes", "32");
        Self {
            installation,
            account,
            home,
            watchdog: Some(watchdog),
            passwords,
            extension,
            sockets,
            settings,
            port: 0,
            server: Mutex::new(None),
        }
    }

    /// The folder of the socket: the `host` of a connection.
    pub fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// The port. Unless [`Builder::tcp`] was asked for, it is only part of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &'static str {
        SUPERUSER
    }

    /// The server's installation.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The folder of the cluster; the server's log is `log` in it.
    pub fn folder(&self) -> &Path {
        self.home.folder()
    }

    /// Where a persistent cluster really is, if that is not where it was asked for: say so to the user.
    pub fn moved_to(&self) -> Option<&Path> {
        self.home.moved_to()
    }

    /// The password of a role, if we have set one.
    pub fn password(&self, role: &str) -> Option<String> {
        self.passwords.get(role)
    }

    /// Gives a role a new random password, and remembers it.
    pub fn set_password(&self, role: &str) -> Result<String> {
        let password = random();
        self.psql("postgres", &format!("alter role {} password '{password}'", quote(role)))?;
        self.passwords.set(role, &password)?;
        Ok(password)
    }

    /// The URL of a connection through the socket. A role without a known password gets a URL without one.
    pub fn url(&self, role: &str, database: &str) -> String {
        url(&self.sockets, self.port, &self.passwords, role, database)
    }

    /// What a client of libpq needs in its environment to connect as superuser.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PGHOST", self.sockets.to_string_lossy().into_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGDATABASE", "postgres".to_owned()),
            ("PGPASSFILE", self.passwords.file().to_string_lossy().into_owned()),
        ]
    }

    /// A program of the installation (such as `pgbench`), or any other by its path, set to connect to this cluster as
    /// superuser.
    pub fn client(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(self.installation.client(program.as_ref()));
        account::clean(&mut command).envs(self.environment());
        command
    }

    /// Runs SQL as superuser. Gives what the last statements print: rows in lines, columns parted by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        self.psql_as(SUPERUSER, database, sql)
    }

    /// Runs SQL as a role whose password was set.
    pub fn psql_as(&self, role: &str, database: &str, sql: &str) -> Result<String> {
        let mut command = self.client("psql");
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-w", "-U", role, "-d", database, "-f", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = self.installation.client(Path::new("psql"));
        let mut child = command.spawn().context("run", &program)?;
        let pipe = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // A long script and a long answer must not wait for each other.
            scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(sql.as_bytes())));
            child.wait_with_output()
        })
        .context("run", &program)?;
        if !output.status.success() {
            return Err(Error::Program { program: "psql".to_owned(), message: account::message_of(&output) });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Is there a database of this name?
    pub fn has_database(&self, name: &str) -> Result<bool> {
        let sql = format!("select 1 from pg_catalog.pg_database where datname = {}", literal(name));
        Ok(!self.psql("postgres", &sql)?.is_empty())
    }

    /// Makes a database.
    pub fn create_database(&self, name: &str, with_extension: bool) -> Result<()> {
        self.psql("postgres", &format!("create database {}", quote(name)))?;
        if with_extension {
            self.psql(name, "create extension postern")?;
        }
        Ok(())
    }

    /// The process id of the server's first process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server().as_mut().and_then(|server| (!server.has_ended()).then(|| server.pid()))
    }

    /// Stops the server. The folder stays, for [`Cluster::start_again`].
    pub fn stop(&self, mode: Mode) -> Result<()> {
        let mut server = self.server();
        let running = server.as_mut().ok_or(Error::NotRunning)?;
        running.stop(match mode {
            Mode::Fast => Signal::INT,
            Mode::Immediate => Signal::QUIT,
            Mode::Kill => Signal::KILL,
        })?;
        *server = None;
        Ok(())
    }

    /// Starts a server that was stopped, or that ended by itself.
    pub fn start_again(&self) -> Result<()> {
        let mut server = self.server();
        if server.as_mut().is_some_and(|server| !server.has_ended()) {
            return Err(Error::Running);
        }
        *server = None;
        let mut settings = self.settings.clone();
        extension::install(&self.extension, &self.installation, &self.home.extension(), &mut settings)?;
        self.home.write_configuration(&settings.file())?;
        *server = Some(Server::start(&self.installation, &self.account, &self.home)?);
        Ok(())
    }

    /// Stops in order, and starts again.
    pub fn restart(&self) -> Result<()> {
        self.stop(Mode::Fast)?;
        self.start_again()
    }

    pub(crate) fn parts(&self) -> (&Account, &Settings, &Extension) {
        (&self.account, &self.settings, &self.extension)
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let signal = if self.home.is_temporary() { Signal::QUIT } else { Signal::INT };
        if let Some(mut server) = self.server().take() {
            // Nobody is left to tell; the watchdog is still there.
            let _ = server.stop(signal);
        }
        // The watchdog goes last: until then, the folder is cleared even if we are killed here.
        self.home.clear();
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.release();
        }
    }
}

/// The URL of a connection through a socket.
pub(crate) fn url(sockets: &Path, port: u16, passwords: &Passwords, role: &str, database: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, PLAIN).to_string().replace('/', "%2F");
    let password = passwords.get(role).map(|password| format!(":{password}")).unwrap_or_default();
    let host = utf8_percent_encode(&sockets.to_string_lossy(), PLAIN).to_string();
    format!("postgresql://{}{password}@/{}?host={host}&port={port}", encode(role), encode(database))
}

/// A name as SQL writes it.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it, whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
