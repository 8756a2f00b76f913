//! ExecutorRun: a plan is about to be run, perhaps with the help of parallel workers, or one that writes into our tables.

use pgrx::{pg_guard, pg_sys};

use crate::durable;
use crate::identity;
use crate::pg::{compat, node};

static mut PREVIOUS: pg_sys::ExecutorRun_hook_type = None;

pub fn install() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(executor_run);
    }
}

compat::executor_run_hook! {
    /// No guard, and no value with a destructor in this frame: an ERROR from below jumps straight over it.
    fn executor_run(before, PREVIOUS)
}

unsafe fn before(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the plan belongs to the query that the server passed to the hook.
    if unsafe { (*(*query).plannedstmt).parallelModeNeeded } {
        share();
    }
    // SAFETY: as above.
    if unsafe { node::inserts_as_superuser(query) } {
        // SAFETY: as above.
        unsafe { inserts(query) };
    }
}

/// A dump may have INSERT in place of COPY.
#[pg_guard]
unsafe extern "C-unwind" fn inserts(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the query that the server passed to the hook.
    if unsafe { node::inserts_into_ours(query) } {
        durable::writes_by_hand();
    }
}

#[pg_guard]
extern "C-unwind" fn share() {
    identity::share_with_workers();
}
