//! Replication between two servers: what is copied, what runs on apply and as whom, and what the rules keep from running.

#![allow(clippy::unwrap_used, reason = "a test")]

mod apply;
mod conflicts;
mod doctor;
mod pair;
mod pg_upgrade;
mod random;
mod restore;
mod ring;
mod scripts;
mod stalled;
