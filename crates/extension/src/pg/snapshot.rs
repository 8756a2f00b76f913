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
