//! Snapshots (`src/backend/utils/time/snapmgr.c`).

use pgrx::pg_sys;

/// Does `f` with a fresh active snapshot: where no statement is around it, as before a commit. An ERROR takes the snapshot away
/// with the transaction.
pub fn with_fresh<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: pushed and popped in pairs, in a transaction.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = f();
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// Does `f` with a snapshot of this moment, whatever the isolation level is: it sees what others have committed since a REPEATABLE
/// READ transaction began, and what this one has done. An ERROR takes the snapshot away with the transaction.
pub fn with_latest<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: pushed and popped in pairs, in a transaction; the snapshot is copied when it is pushed.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let result = f();
        pg_sys::PopActiveSnapshot();
        result
    }
}
