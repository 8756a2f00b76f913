//! What can go wrong with the worker itself.

/// An error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("[outbound]: {0}")]
    Config(String),
    /// The database does not answer, or refuses.
    #[error("the outbound worker's database: {}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// No HTTPS client can be made.
    #[error("no HTTPS client can be made: {}", .0)]
    Client(String),
}

fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{} ({})", refusal.message(), refusal.code().code()),
        None => chain(error),
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.replace(['\r', '\n'], " ")
}
