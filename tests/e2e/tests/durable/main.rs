//! Durable functions on real servers: what they do, as whom, and what survives.

mod cancel;
mod copies;
mod engine;
mod faults;
mod http;
mod http_secrets;
mod identity;
mod pause;
mod quotas;
mod schedules;
mod stage;
