//! What the launcher does for durable functions: every database with the extension has executors.
//!
//! It is connected to no database, so it cannot see where the extension is. It starts one executor in each database; one that
//! finds no extension ends again. A database whose executors are all busy asks for another one, up to one more than `postern.executors`, so
//! that one waits for what comes; those that have nothing to do for a while end. So a database where little happens takes one
//! background worker. The launcher looks when the server starts, when it is asked, and when the extension was made somewhere. Where no
//! background worker is free for a database that has none, it asks an executor that waits beside others to end, and tries again.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::{board, executor};
use crate::guc;
use crate::pg::{Oid, catalog, log, worker};

/// Milliseconds until a database without executors is tried again: where somebody was asked to make room, and where nobody could be.
const AGAIN: (i64, i64) = (50, 1_000);

/// What could not be started was told of; once, until something can.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Starts executors where some are wanted. Where a database is left without any, gives when to try again.
pub fn launch() -> Option<i64> {
    let mut again = None;
    let wanting = board::take_wanting();
    match worker::transaction(catalog::databases) {
        Ok(databases) => {
            let another = |database: &Oid| match board::executors(*database) {
                0 => guc::executors() > 0,
                some => some < guc::executors_at_most() && wanting.contains(database),
            };
            for database in databases.into_iter().filter(another) {
                if executor::start(database) {
                    TOLD.store(false, Relaxed);
                    continue;
                }
                if !TOLD.swap(true, Relaxed) {
                    log::warning(
                        "could not start an executor of durable functions",
                        "No background worker is free.",
                        "Raise max_worker_processes.",
                    );
                }
                if board::executors(database) == 0 {
                    again = Some(if board::make_room() { AGAIN.0 } else { again.unwrap_or(AGAIN.1) });
                }
            }
        }
        Err(error) => log::warning(&error.message, "The launcher could not list the databases.", ""),
    }
    again
}
