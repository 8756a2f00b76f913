//! The language of durable functions, and what comes next in one.
//!
//! A durable function is a tree of nodes. Composers build it as a JSON text ([`compose`]), `df.start` checks it and
//! flattens it ([`Graph`]), and the engine walks the flat graph ([`machine`]). Everything here is a pure function of its
//! arguments: no PostgreSQL, no runtime, no `unsafe`, no clock.
//!
//! Nodes that pg_durable has not, in the spirit of its own:
//!
//! | `node_type` | children | `query` |
//! |---|---|---|
//! | `RETRY` | left: the step | the policy, [`Retry`] |
//! | `CATCH` | left: the step, right: the handler | |
//! | `TIMEOUT` | left: the step | `{"timeout_ms":…}` |
//! | `MAP` | left: the query, right: the body | `{"item":…,"concurrency":…}` |
//! | `FIRST` | as JOIN | |
//! | `CALL` | left: the function | `{"label":…}` |
//! | `COMPENSATE` | left: the step, right: its undo | |
//!
//! JOIN and RACE take `extra_nodes` too, and one branch alone; SLEEP takes a fraction of a second. What each node does is
//! written down, and can be run, in `semantics`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod agreement;
#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
mod check;
pub mod compose;
pub mod cron;
mod error;
pub mod explain;
mod graph;
mod json;
mod kind;
mod lexer;
pub mod machine;
pub mod nodes;
pub mod request;
mod retry;
pub mod rows;
pub mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod semantics;
pub mod substitute;
pub mod ticks;
pub mod tree;
pub mod value;

pub use error::{Error, MAX_NAME, check_name};
pub use graph::{Graph, GraphNode, is_name, node_id};
pub use kind::{Http, Kind, MAX_SLEEP_MILLIS, Part};
pub use retry::Retry;
pub use substitute::{Named, Param, Prepared, Scope, prepare};
pub use tree::Tree;
pub use value::Failure;
