//! Durable functions on real servers: what they do, as whom, and what survives.

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
