//! Durable functions on real servers: what they do, as whom, and what survives.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod branches;
mod call;
mod cancel;
mod copies;
mod debris;
mod disk;
mod elsewhere;
mod engine;
mod errand;
mod failover;
mod faults;
mod http;
mod http_secrets;
mod identity;
mod load;
mod messages;
mod outside;
mod pause;
mod quotas;
mod results;
mod retention;
mod room;
mod schedules;
mod stage;
mod stubborn;
mod together;
mod values;
mod waiting;
mod waking;
mod workflows;
