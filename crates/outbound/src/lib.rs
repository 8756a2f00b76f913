//! The outbound worker: sends the HTTP requests of durable functions, so that no process of the server talks to the network.
//!
//! A step writes its request into the database (`postern.outbound`). Any number of workers take what is due, send it, and write
//! what came back; each request belongs to one of them for a while, and to another one when that time runs out.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | `[outbound]` of `postern.toml` |
//! | `worker` | the loop: take, send, keep, give back |
//! | `database` | the one connection, and every statement over it |
//! | `call` | one request |
//! | `answer` | what came back, as the result of a step |
//! | `resolver` | which addresses are connected to |
//!
//! **Invariants**
//! * A request is sent at least once, and may be sent again: its `Idempotency-Key` is then the same. The worker itself never
//!   tries again; that is for `df.retry()` to say.
//! * It goes where the server checked that it may go: scheme, host and port are compared with the whole URL before it is sent,
//!   addresses are looked at after the name is resolved and the connection goes to one that was looked at, and no redirect is
//!   followed.
//! * The worker's role may do nothing but this: whoever takes over the worker gains the requests that are due and nothing else
//!   of the database.
#![forbid(unsafe_code)]

mod answer;
mod call;
pub mod config;
mod database;
mod error;
mod resolver;
mod secrets;
mod worker;

pub use config::Config;
pub use error::Error;
pub use worker::{Outbound, Stats};
