//! Versions of the extension: what an update makes of a database, and what holds until it is made.

#![allow(clippy::unwrap_used, reason = "a test")]

mod catalog;
mod faults;
mod old;
mod pg_upgrade;
mod running;
mod waiting;
