//! The language of durable functions, and what comes next in one.
//!
//! A durable function is a tree of nodes. Composers build it as a JSON text ([`compose`]), `df.start` checks it and
//! flattens it ([`Graph`]), and the engine walks the flat graph ([`machine`]). Everything here is a pure function of its
//! arguments: no PostgreSQL, no runtime, no `unsafe`, no clock.
#![forbid(unsafe_code)]

mod check;
pub mod compose;
pub mod cron;
mod error;
mod graph;
mod json;
mod kind;
mod lexer;
pub mod machine;
pub mod nodes;
pub mod request;
mod retry;
pub mod substitute;
pub mod tree;
pub mod value;

pub use error::Error;
pub use graph::{Graph, GraphNode, is_name, node_id};
pub use kind::{Http, Kind, MAX_SLEEP_MILLIS, Part};
pub use retry::Retry;
pub use substitute::{Named, Param, Prepared, Scope, prepare};
pub use tree::Tree;
pub use value::Failure;
