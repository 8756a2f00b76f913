//! Names in SQL and PL/pgSQL: found, resolved, judged and qualified.
//!
//! **How it works.** A [`catalog::Snapshot`] of a database is read once; everything after that happens here, without the
//! server. [`path`] makes the effective path of a setting. `parse` is the server's own grammar, made safe. [`walk`] goes
//! through a statement as the server's analysis does and notes every name with what it means, by the rules in [`typing`].
//!
//! **Invariants**
//! * What cannot be decided is *unknown*, never guessed.
//! * No text makes this crate panic; what cannot be parsed is reported, and the rest is analysed.
//! * Nothing of the analysed database is executed.
#![forbid(unsafe_code)]

// Only for its feature: see the workspace.
use prost as _;

pub mod body;
pub mod capture;
pub mod catalog;
pub mod check;
pub mod files;
pub mod fix;
pub mod occurrence;
pub mod parse;
pub mod path;
pub mod plpgsql;
pub mod render;
pub mod report;
pub mod text;
mod threads;
pub mod typing;
pub mod unpinned;
pub mod walk;

/// Why something could not be analysed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or the connection was lost.
    #[error("could not read the catalogs: {}", describe(.0))]
    Server(#[from] tokio_postgres::Error),
}

// The `Display` of a tokio-postgres error leaves out what the server said.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
