//! The one error type of the command: what could not be done, and where it helps, what to do instead.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A private cluster could not be made, started or asked.
    #[error(transparent)]
    Cluster(#[from] postern_cluster::Error),
    /// There is no private cluster running to ask.
    #[error("no PostgreSQL is running for \"{}\" (start it with \"postern up\", or name another folder with --dir)", .0.display())]
    NotUp(PathBuf),
    /// Another process has the folder.
    #[error("another \"postern up\" is running in \"{}\"{}", folder.display(), holder.as_ref().map(|pid| format!(", as process {pid}")).unwrap_or_default())]
    Locked {
        /// The folder of `postern up`.
        folder: PathBuf,
        /// Its process id, if it has written it already.
        holder: Option<String>,
    },
    /// The folder of `postern up` cannot be made.
    #[error("could not create folder \"{}\": {source} (name another one with --dir)", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address of `postern up` cannot be listened on.
    #[error("{0} (another address: --listen 127.0.0.1:8485; any free port: --listen 127.0.0.1:0)")]
    Listen(postern_gate::Error),
    /// There is no key to sign with.
    #[error("there is no signing key \"{}\" (\"postern up\" makes one; or name one with --key)", .0.display())]
    NoKey(PathBuf),
    /// The file is not a key.
    #[error("could not read the signing key: {0}")]
    Key(String),
    /// The configuration cannot be used.
    #[error("configuration \"{}\" cannot be used: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The database could not be examined.
    #[error(transparent)]
    Doctor(#[from] postern_doctor::Error),
    /// The catalogs could not be read.
    #[error(transparent)]
    Names(#[from] postern_analyze::Error),
    /// What was asked for is not in the database.
    #[error(transparent)]
    NotFound(#[from] postern_analyze::report::NotFound),
    /// What was asked for makes no sense together.
    #[error("{0}")]
    Usage(String),
    /// The database refused a question.
    #[error("{}", said(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The gate could not start, or ended.
    #[error(transparent)]
    Gate(#[from] postern_gate::Error),
    /// The outbound worker could not start.
    #[error(transparent)]
    Outbound(#[from] postern_outbound::Error),
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
pub trait Context<T> {
    fn context(self, action: &str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action: format!("{action} \"{}\"", path.display()), source })
    }
}

/// What the database said: message, detail and hint.
fn said(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else { return error.to_string() };
    let mut text = db.message().to_owned();
    for (title, more) in [("DETAIL", db.detail()), ("HINT", db.hint())] {
        if let Some(more) = more {
            text = format!("{text}\n{title}:  {more}");
        }
    }
    text
}
