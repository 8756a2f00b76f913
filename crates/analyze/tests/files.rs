//! SQL files, judged without a server.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "files/mod.rs"]
mod files;
