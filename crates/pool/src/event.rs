//! What the server answers, in order.

use std::sync::Arc;

use bytes::Bytes;

/// The answer to a request, piece by piece.
///
/// For each statement: `Columns`, any number of `Row`, then `Complete` (or `Empty`, for a statement without SQL). After the
/// last statement: `Committed`. **Nothing is true before `Committed`**: deferred constraints, deferred triggers and
/// serialization failures come after `Complete`.
#[derive(Debug, Clone)]
pub enum Event {
    /// The columns of a statement; empty for a statement that returns no rows.
    Columns(Arc<[Column]>),
    /// One row.
    Row(Row),
    /// A statement ended, with its command tag, for example `INSERT 0 2`.
    Complete(String),
    /// A statement without SQL ended: nothing, `;` or a comment.
    Empty,
    /// A notice or warning that the statement in flight raised.
    Notice(Box<crate::ServerError>),
    /// The transaction is committed. The last event.
    Committed,
}

/// One column, as RowDescription says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, valid UTF-8.
    pub name: String,
    /// OID of the table it comes from, or 0.
    pub table_oid: u32,
    /// Attribute number in that table, or 0.
    pub column_id: i16,
    /// OID of its type.
    pub type_oid: u32,
    /// Length of the type in bytes; negative for variable length.
    pub type_size: i16,
    /// Type modifier, or -1.
    pub type_modifier: i32,
}

/// One row: the body of a DataRow message, checked for shape and UTF-8 once, with its cells found by offset.
#[derive(Debug, Clone)]
pub struct Row {
    pub(crate) body: Bytes,
    pub(crate) cells: Arc<[Option<std::ops::Range<u32>>]>,
}
