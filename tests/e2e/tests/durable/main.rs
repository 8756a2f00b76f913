//! Durable functions on real servers: what they do, as whom, and what survives.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod cancel;
mod disk;
mod engine;
mod failover;
mod faults;
mod http;
mod identity;
mod load;
mod messages;
mod retention;
mod stage;
