//! What in a database would weaken the wall, found and explained.
//!
//! The wall holds a request in its role. It cannot hold anything if that role is a superuser, and holds little if the role
//! may read every table. [`examine`] reads the catalogs, and only those, and says what it found: `postern doctor` prints
//! the [`Report`], and the gate refuses to serve while the report has [refusals](Report::refusals).
//!
//! Modules, in the order in which they are used: [`connect`] for those who have no connection of their own,
//! `examination` collects who is served and what the checks find, `checks` has one file for each thing looked at, [`codes`]
//! the kinds of weakness, [`floor`] the server versions, [`report`] and [`render`] the result.
//!
//! **Invariants**
//! - Nothing is written, and nothing of the database's own code is called: no view, function or operator outside
//!   `pg_catalog`, except what the extension offers. The path is pinned and every name is qualified besides.
//! - It works as the gate's login role. What that role may not read is reported as skipped, never left out.
//!
//! **Not guaranteed**: the catalogs say what is granted, not what a function does. A definer function that hands out rows
//! is not found here.
#![forbid(unsafe_code)]

mod checks;
pub mod codes;
pub mod connect;
mod examination;
pub mod floor;
pub mod render;
pub mod report;
mod scan;
pub mod subscription;

use tokio_postgres::Client;

pub use report::{Finding, Report, Server, Severity, Skipped};

/// What the catalogs cannot say: the configuration that is going to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The login role of the gate.
    pub gate_role: String,
    /// Roles that the configuration names, to be examined besides those that are admitted in the database.
    pub roles: Vec<String>,
    /// The version of the extension that this program was made with.
    pub extension_version: String,
    /// Whether the server's certificate is verified; `None` if the connection is not known to be the gate's.
    pub certificate_verified: Option<bool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gate_role: "postern_gate".into(),
            roles: Vec::new(),
            extension_version: env!("CARGO_PKG_VERSION").into(),
            certificate_verified: None,
        }
    }
}

/// Why an examination could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection.
    #[error("could not connect to the database: {}", describe(.0))]
    Connect(#[source] tokio_postgres::Error),
    /// The certificates of the machine, or those that were named, cannot be used.
    #[error("could not set up TLS: {0}")]
    Tls(String),
    /// A query of a check failed.
    #[error("could not check {check}: {}", describe(.source))]
    Check {
        /// What was looked at.
        check: &'static str,
        /// What the server said.
        source: tokio_postgres::Error,
    },
    /// What is asked is what the extension knows.
    #[error("the extension is not installed in this database, or is too old (run CREATE EXTENSION postern)")]
    NoExtension,
    /// The connection string cannot be read.
    #[error("connection string is not valid: {}", describe(.0))]
    Url(#[source] tokio_postgres::Error),
}

/// Examines the database that the client is connected to.
///
/// The connection must be outside a transaction and is best used for nothing else: a transaction remains open on it if the
/// future is dropped. A connection on which functions of the extension were called before cannot tell whether it was
/// preloaded.
pub async fn examine(client: &Client, settings: &Settings) -> Result<Report, Error> {
    checks::run(client, settings).await
}

// The `Display` of a tokio-postgres error leaves out what the server said.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
