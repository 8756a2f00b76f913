//! The one error type of this crate.
//!
//! The message says what could not be done; where a program of PostgreSQL said why, its own words follow.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a cluster could not be made, started, used or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No installation of a supported server was found.
    #[error("could not find a PostgreSQL server (15 to 18): {0}")]
    NoServer(String),
    /// We are root, the server may not be, and the account to run it as is missing.
    #[error("could not find the operating system user \"{0}\" to run the server as")]
    NoAccount(String),
    /// The extension has not been built for this server.
    #[error(
        "could not find the extension's files for PostgreSQL {major} (run \"cargo xtask build-extension\", or set POSTERN_EXTENSION_DIR)"
    )]
    NoExtension {
        /// The major version of the server that wants it.
        major: u32,
    },
    /// A persistent cluster belongs to another process.
    #[error("cluster in \"{}\" is in use by {holder}", folder.display())]
    InUse {
        /// The cluster's folder.
        folder: PathBuf,
        /// Who says that it uses it.
        holder: String,
    },
    /// The data was made by another major version.
    #[error("data in \"{}\" belongs to PostgreSQL {found}, but the server found is {expected}", folder.display())]
    WrongVersion {
        /// The data folder.
        folder: PathBuf,
        /// What PG_VERSION says.
        found: String,
        /// What the installation is.
        expected: u32,
    },
    /// A folder that we would use is someone else's.
    #[error("could not use folder \"{}\": {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The server ended instead of coming up.
    #[error("server did not start ({status})\n{log}")]
    Start {
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The server neither came up nor ended.
    #[error("server was not ready after {} s\n{log}", waited.as_secs())]
    NotReady {
        /// How long we waited.
        waited: Duration,
        /// The end of its log.
        log: String,
    },
    /// Something was asked of a server that is not running.
    #[error("server is not running")]
    NotRunning,
    /// A server that runs was asked to start.
    #[error("server is running already")]
    Running,
    /// A program ended with an error.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// A standby did not reach the primary's position.
    #[error("standby had not replayed {position} after {} s", waited.as_secs())]
    Behind {
        /// The position in the primary's WAL.
        position: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The operating system refused something.
    #[error("could not {action}: {source}")]
    Io {
        /// What we tried, with the file's name.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Gives an I/O error the words that make it useful: what was tried, on which file.
pub(crate) trait Context<T> {
    fn context(self, action: &str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action: format!("{action} \"{}\"", path.display()), source })
    }
}
