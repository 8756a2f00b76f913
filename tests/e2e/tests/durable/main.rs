//! Durable functions on real servers: what they do, as whom, and what survives.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod call;
mod cancel;
mod engine;
mod errand;
mod faults;
mod http;
mod identity;
mod outside;
mod stage;
