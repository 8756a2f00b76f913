//! Subtransactions (`src/backend/access/transam/xact.c`).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;

use super::caught::{self, Caught};

/// Runs `f` in a subtransaction: what it gives is kept, an ERROR rolls it back and is returned.
pub fn attempt<R>(f: impl FnOnce() -> R) -> Result<R, Caught> {
    attempt_if(|| (f(), true))
}

/// As [`attempt`]; `f` also says whether to keep what it did.
pub fn attempt_if<R>(f: impl FnOnce() -> (R, bool)) -> Result<R, Caught> {
    // SAFETY: as in `rolled_back`.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(core::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = caught::catch(|| {
            let (result, good) = f();
            if good {
                pg_sys::ReleaseCurrentSubTransaction();
            } else {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
            }
            result
        });
        pg_sys::MemoryContextSwitchTo(context);
        if result.is_err() {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
            pg_sys::MemoryContextSwitchTo(context);
        }
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Runs `f` in a subtransaction and rolls it back. An ERROR in `f` rolls it back too, and goes on as it was: a
/// subtransaction that nobody ends would leave the session in a block that is aborted for good.
pub fn rolled_back<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: memory context and resource owner are those of the caller, and are put back after the rollback, as the
    // server's procedural languages do. The record of an ERROR is in a context of its own, which a rollback does not touch.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(core::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = catch_unwind(AssertUnwindSafe(f));
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result.unwrap_or_else(|error| resume_unwind(error))
    }
}
