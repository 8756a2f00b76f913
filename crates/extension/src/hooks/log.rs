//! The server's log: an apply worker that fails says so there, and nowhere else.

use pgrx::pg_sys;

use crate::pg::apply;

static mut PREVIOUS: pg_sys::emit_log_hook_type = None;

pub fn install() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(emitted);
    }
}

/// No guard: what it calls neither raises nor panics, and an error is being reported.
unsafe extern "C-unwind" fn emitted(report: *mut pg_sys::ErrorData) {
    // SAFETY: the report is the server's own and lives for this call; PREVIOUS is written once, while preloading.
    unsafe {
        if apply::is_worker() {
            apply::reported(report);
        }
        if let Some(next) = PREVIOUS {
            next(report);
        }
    }
}
