//! Durable functions on real servers: what they do, as whom, and what survives.

mod call;
mod cancel;
mod engine;
mod errand;
mod faults;
mod http;
mod identity;
mod outside;
mod stage;
