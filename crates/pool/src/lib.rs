//! Statements as an entered identity, over few PostgreSQL connections.
#![forbid(unsafe_code)]

mod event;
mod request;

pub use event::{Column, Event, Row};
pub use request::{Isolation, Request, Statement, TransactionOptions};

/// An error or notice of the server: every field of its ErrorResponse.
/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `V`: ERROR, FATAL, PANIC, WARNING, …; never localised.
    pub severity: String,
    /// `C`: the SQLSTATE, five characters.
    pub code: String,
    /// `M`: the primary message.
    pub message: String,
    /// `D`
    pub detail: Option<String>,
    /// `H`
    pub hint: Option<String>,
    /// `P`: 1-based character position in the statement.
    pub position: Option<u32>,
    /// `p`
    pub internal_position: Option<u32>,
    /// `q`
    pub internal_query: Option<String>,
    /// `W`
    pub r#where: Option<String>,
    /// `s`
    pub schema: Option<String>,
    /// `t`
    pub table: Option<String>,
    /// `c`
    pub column: Option<String>,
    /// `d`
    pub data_type: Option<String>,
    /// `n`
    pub constraint: Option<String>,
    /// `F`
    pub file: Option<String>,
    /// `L`
    pub line: Option<u32>,
    /// `R`
    pub routine: Option<String>,
}
