//! PostgreSQL's grammar, and its trees as structs.
//!
//! pg_query has the same trees from the same grammar, but by a protobuf that is written in C and read in Rust again, which takes several
//! times as long as the grammar. Here the nodes are read where the grammar has left them.
//!
//! **Invariants**
//! * A tree is the one that [`pg_query::parse`] gives for the text, but for pointers: `tests/same.rs`.
//! * Nothing of PostgreSQL's memory is left or kept when a call ends, however it ends.
//! * `unsafe` is here and nowhere else: [`tree`] and what `build.rs` writes for it.

pub mod nodes;
mod tree;

use std::ffi::CString;

pub use nodes::Node;
pub use nodes::node::Node as NodeEnum;

/// What a text is parsed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Statements.
    Statements,
    /// One type name.
    Type,
    /// One expression of PL/pgSQL.
    Expression,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The byte where it begins.
    pub at: usize,
    /// Its tree.
    pub node: Node,
}

/// Parses a text. The error is what the grammar says. An expression with nothing in it stands nowhere, and is left out.
pub fn parse(text: &str, parse_as: As) -> Result<Vec<Statement>, String> {
    let text = CString::new(text).map_err(|error| format!("Invalid statement format: {error}"))?;
    tree::parse(&text, parse_as)
}
