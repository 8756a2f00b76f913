//! Statements as an entered identity, over few PostgreSQL connections.
//!
//! ```no_run
//! # use postern_pool::{Config, Error, Event, Pool, Request};
//! # async fn example(request: Request) -> Result<(), Error> {
//! let pool = Pool::new(Config { host: Some("/run/postgresql".into()), ..Config::default() })?;
//! let mut answer = pool.run(request).await?;
//! loop {
//!     match answer.next().await? {
//!         Event::Row(row) => println!("{:?}", row.get(0)),
//!         Event::Committed => break,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A request is one write: `enter`, the client's statements, Sync ([`pipeline`]). Its answer is read when the caller asks
//! ([`running`], [`flight`]), over a connection ([`connection`], [`startup`], [`stream`], [`tls`], [`wire`]) that the pool lends ([`pool`], [`queue`])
//! and whose backend is on a leash ([`leash`]). Statements that come again stay parsed ([`plans`]).
//!
//! **Invariants.** Each module names its own; the tests prove them. The ones that the wall rests on:
//! - SQL of a client is parsed only after `enter` was executed in the same transaction, and nothing between the two, or between
//!   statements, can end that transaction.
//! - A connection serves another request only after ReadyForQuery with status `I`. Any doubt closes it.
//! - A result is good only when [`Event::Committed`] came.
#![forbid(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links, reason = "the map above is for readers of the code")]

mod config;
mod connection;
mod error;
mod event;
mod flight;
mod leash;
mod outbox;
mod pipeline;
mod plans;
mod pool;
mod queue;
mod request;
mod running;
mod server_error;
mod startup;
mod stats;
mod stream;
mod tls;
mod wire;

pub use config::{Address, Config, Secret, Target, Tls};
pub use error::{Error, Outcome};
pub use event::{Cells, Column, Event, Row};
pub use pool::Pool;
pub use request::{Isolation, Request, Statement, TransactionOptions};
pub use running::Running;
pub use server_error::ServerError;
pub use stats::Stats;
