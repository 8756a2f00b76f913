//! What can go wrong, and what is then known of the transaction.
//!
//! **Invariant.** An error says whether anything may have been committed: [`Error::outcome`]. Only a message of the
//! server proves a rollback; a connection that merely ended proves nothing.

use crate::ServerError;

/// Why a request has no result, or no whole result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// The request cannot be put into messages of the protocol. Nothing was sent.
    #[error("{0}")]
    Request(&'static str),
    /// All connections are busy, and the queue is full or the wait was too long. Nothing was sent.
    #[error("all database connections are busy")]
    Busy,
    /// The pool is being closed. Nothing was sent.
    #[error("the connection pool is shutting down")]
    Closed,
    /// There is no connection to the server. Nothing was sent.
    #[error("the database is not available")]
    Unavailable {
        /// What connecting failed with. For the log: it may name hosts.
        reason: String,
        /// What the server said, if it said something.
        server: Option<Box<ServerError>>,
    },
    /// The server refused to enter the identity. Nothing of the client's ran.
    #[error("{}", .0.message)]
    Entering(Box<ServerError>),
    /// The statement failed. The transaction is rolled back.
    #[error("{}", .0.message)]
    Server(Box<ServerError>),
    /// The deadline passed and the statement was stopped. The transaction is rolled back.
    #[error("canceling statement due to the time limit of the request")]
    Deadline,
    /// The connection ended before the result was known.
    #[error("{}", if *.unsent {
        "the connection to the database was lost; the transaction is rolled back"
    } else {
        "the connection to the database was lost; it is unknown whether the transaction committed"
    })]
    Lost {
        /// The end of the pipeline had not been sent: the server cannot have committed.
        unsent: bool,
    },
    /// The server sent text that is not UTF-8: a statement changed `client_encoding`.
    #[error("the server sent text that is not valid UTF-8")]
    Encoding,
    /// A COPY that moves data through the connection.
    #[error("COPY through the connection is not supported")]
    Copy,
    /// One message of the server, normally one row, is over the limit.
    #[error("a message of the server is larger than {limit} bytes")]
    TooLarge {
        /// The limit, `max_message_bytes`.
        limit: usize,
    },
    /// The server sent what this protocol does not allow here.
    #[error("unexpected answer of the server: {0}")]
    Protocol(&'static str),
    /// [`crate::Running::next`] was called after the end.
    #[error("the request has already ended")]
    Ended,
}

/// What is known of the transaction of a request that gave an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of the request was run.
    NotStarted,
    /// What ran is rolled back.
    RolledBack,
    /// It may have been committed.
    Unknown,
}

impl Error {
    /// The SQLSTATE: the server's own, or the one PostgreSQL has for the case.
    pub fn sqlstate(&self) -> &str {
        match self {
            Self::Config(_) => "F0000",
            Self::Request(_) | Self::TooLarge { .. } => "54000",
            Self::Busy => "53300",
            Self::Closed => "57P03",
            Self::Unavailable { server, .. } => match server {
                Some(error) if error.code.starts_with("57P") => &error.code,
                _ => "08001",
            },
            Self::Server(error) | Self::Entering(error) => &error.code,
            Self::Deadline => "57014",
            Self::Lost { unsent: true } => "08006",
            Self::Lost { unsent: false } => "08007",
            Self::Encoding => "22021",
            Self::Copy => "0A000",
            Self::Protocol(_) => "08P01",
            Self::Ended => "55000",
        }
    }

    /// What is known of the transaction.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Config(_)
            | Self::Request(_)
            | Self::Busy
            | Self::Closed
            | Self::Unavailable { .. }
            | Self::Entering(_) => Outcome::NotStarted,
            Self::Server(_) | Self::Deadline | Self::Lost { unsent: true } => Outcome::RolledBack,
            Self::Lost { unsent: false }
            | Self::Encoding
            | Self::Copy
            | Self::TooLarge { .. }
            | Self::Protocol(_)
            | Self::Ended => Outcome::Unknown,
        }
    }

    /// What the server said, if this came from the server.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) | Self::Entering(error) => Some(error),
            Self::Unavailable { server, .. } => server.as_deref(),
            _ => None,
        }
    }

    /// The connection is no more, with or without a word.
    pub(crate) fn is_end_of_connection(&self) -> bool {
        match self {
            Self::Lost { .. } => true,
            Self::Server(error) => error.is_fatal(),
            Self::Unavailable { server: Some(error), .. } => error.code == "57P01",
            _ => false,
        }
    }

    pub(crate) fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string(), server: None }
    }
}
