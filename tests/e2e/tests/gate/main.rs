//! The gate under the clients, the input and the accidents of real life. (What attackers do to it: `tests/attacks`.)

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod bad_input;
mod chaos;
mod claims;
mod clients;
mod crowd;
mod node;
mod oidc;
mod openapi;
mod standby;

use std::sync::OnceLock;

use postern_e2e::Example;

static EXAMPLE: OnceLock<Example> = OnceLock::new();

/// The server that most tests share. What stops a server has its own.
fn example() -> &'static Example {
    EXAMPLE.get_or_init(|| Example::start(&[]))
}
