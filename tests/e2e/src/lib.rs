//! The harness of the attack suite.
//!
//! **How it works.** A [`Site`] is a private cluster with the extension and a template database that holds the fixture. A
//! [`World`] is a database of its own made from that template, with one connection of the gate: whatever one request
//! leaves behind, the next one on the same backend would find. [`World::canary`] looks for it, and ends every test.
//! [`Wire`] speaks the protocol by hand, for what a well-behaved gate never sends.
//!
//! **Invariants**
//! * A world shares nothing with another one but the server: tests run in parallel.
//! * What a test does that reaches beyond its database (roles, settings of the server) has names of its own, or a site of
//!   its own.

#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "a harness panics: that is how a test fails")]

mod answer;
mod canary;
mod example;
mod front;
mod http;
mod issuer;
mod package;
mod pg_upgrade;
mod random;
mod site;
mod wire;
mod world;

/// A query that gives everything of the extension in a database as one text.
pub const CATALOG: &str = include_str!("catalog.sql");

pub use answer::{Answer, Outcome, Refusal};
pub use example::Example;
pub use front::{Front, Returned, database_section};
pub use http::{Http, Response};
pub use issuer::{AUDIENCE, Issuer, unix_time};
pub use package::copy_of_extension;
pub use pg_upgrade::{admit_everybody, pg_upgrade};
pub use random::Random;
pub use site::{ISSUER, Membership, Site};
pub use wire::{Exchange, Reply, Step, Wire};
pub use world::{Actor, Builder, World};
