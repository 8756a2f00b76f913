//! The gate over real HTTP, before a real server with the extension.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

mod bad_input;
mod common;
mod connections;
mod limits;
mod neon;
mod service;
mod tls;
mod v1;
