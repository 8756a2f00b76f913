//! What a caller asks of the pool: statements, and the identity that they run as.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use postern_core::RoleName;

/// One request: an identity, and the statements that run as it in one transaction.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom the request counts for: who waits with another key takes turns with it, and one key never holds all connections.
    pub key: u64,
    /// The role to enter.
    pub role: RoleName,
    /// The facts, as the text of a JSON object; `None` enters without facts.
    pub facts: Option<Arc<str>>,
    /// The statements, in order. All of them take effect, or none. May be empty.
    pub statements: Vec<Statement>,
    /// How the transaction is run.
    pub transaction: TransactionOptions,
    /// When the statement is cancelled, wherever it is.
    pub deadline: Instant,
    /// How long a cancelled statement may take to end before its backend is terminated.
    pub grace: Duration,
}

/// One SQL statement with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text, exactly as the client sent it. It is only ever the body of its own Parse message.
    pub sql: Arc<str>,
    /// Parameters in PostgreSQL's text format; `None` is NULL. The server infers their types.
    pub params: Vec<Option<Bytes>>,
}

/// Isolation, access mode and deferrability. `None` leaves what the database has by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// The isolation level.
    pub isolation: Option<Isolation>,
    /// READ ONLY or READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE or NOT DEFERRABLE; has an effect on SERIALIZABLE READ ONLY only.
    pub deferrable: Option<bool>,
}

/// The isolation levels of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// As READ COMMITTED.
    ReadUncommitted,
    /// Each statement sees what was committed before it.
    ReadCommitted,
    /// The transaction sees what was committed before its first statement.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}
