//! The pool against servers that do what no server should, or what a real one does too seldom for a test.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

mod answers;
mod server;
mod starting;
