//! Durable functions on real servers: what they do, as whom, and what survives.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod call;
mod cancel;
mod disk;
mod engine;
mod errand;
mod failover;
mod faults;
mod http;
mod identity;
mod load;
mod messages;
mod outside;
mod retention;
mod stage;
