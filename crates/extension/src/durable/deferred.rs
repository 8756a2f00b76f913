//! Whether this database has constraints, or triggers, that are deferred by default.
//!
//! What is deferred in a step happens at its end, and the server has one way to say so: from then on, until the transaction ends, no
//! constraint is deferred unless it is asked for. So where some are by default, a step shares its commit with no other.

use std::cell::Cell;

use crate::pg::query;
use crate::pg::{Oid, inval};

thread_local! {
    /// What was found; nothing since a relation has changed.
    static FOUND: Cell<Option<bool>> = const { Cell::new(None) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// How often relations have changed: what was found meanwhile is not remembered.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

fn forget(_relation: Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    FOUND.set(None);
}

/// Whether there are any. As the owner.
pub fn any() -> bool {
    if let Some(found) = FOUND.get() {
        return found;
    }
    if !WATCHED.replace(true) {
        inval::watch_relations(forget);
    }
    let changes = CHANGES.get();
    let found =
        !query::run(c"SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tginitdeferred LIMIT 1", &[]).is_empty();
    if changes == CHANGES.get() {
        FOUND.set(Some(found));
    }
    found
}
