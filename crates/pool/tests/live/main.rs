//! The pool against a real server with the extension.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

mod common;
mod crowd;
mod identity;
mod limits;
mod outage;
mod plans;
mod tls;
