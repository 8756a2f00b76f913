//! Why a measurement could not be made.

use std::io;

/// What every fallible call of the benchmarks gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error type of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A cluster made trouble.
    #[error(transparent)]
    Cluster(#[from] postern_cluster::Error),
    /// The operating system refused something.
    #[error("could not {action}: {source}")]
    Io {
        /// What we tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program or a service did not do what is measured.
    #[error("{who}: {what}")]
    Wrong {
        /// Who.
        who: String,
        /// What it did or said instead.
        what: String,
    },
}

impl Error {
    #[allow(clippy::needless_pass_by_value, reason = "errors are passed as map_err has them")]
    /// Someone did something else than what is measured.
    pub fn wrong(who: impl Into<String>, what: impl ToString) -> Self {
        Self::Wrong { who: who.into(), what: what.to_string() }
    }
}

/// Gives an I/O error the words that make it useful.
pub trait Context<T> {
    /// `action` is what was tried: "could not {action}".
    fn context(self, action: impl Into<String>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    /// `action` is what was tried: "could not {action}".
    fn context(self, action: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Io { action: action.into(), source })
    }
}
