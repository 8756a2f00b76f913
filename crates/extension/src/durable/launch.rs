//! What the launcher does for durable functions: every database with the extension has executors.
//!
//! It is connected to no database, so it cannot see where the extension is. It starts one executor in each database; one that
//! finds no extension ends again. A database whose executors are all busy asks for another one, up to one more than `postern.executors`, so
//! that one waits for what comes; those that have nothing to do for a while end. So a database where little happens takes one
//! background worker. The launcher looks when the server starts, when it is asked, and when the extension was made somewhere.

use super::{board, executor};
use crate::guc;
use crate::pg::{Oid, catalog, log, worker};

/// Starts executors where some are wanted.
pub fn launch() {
    let wanting = board::take_wanting();
    match worker::transaction(catalog::databases) {
        Ok(databases) => {
            let another = |database: &Oid| match board::executors(*database) {
                0 => guc::executors() > 0,
                some => some < guc::executors_at_most() && wanting.contains(database),
            };
            for database in databases.into_iter().filter(another) {
                if !executor::start(database) {
                    log::warning(
                        "could not start an executor of durable functions",
                        "No background worker is free.",
                        "Raise max_worker_processes.",
                    );
                }
            }
        }
        Err(error) => log::warning(&error.message, "The launcher could not list the databases.", ""),
    }
}
