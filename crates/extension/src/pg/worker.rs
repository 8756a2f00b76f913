//! Background workers (`src/backend/postmaster/bgworker.c`).

use std::ffi::CStr;

use pgrx::pg_sys;

/// The name that our library is registered under.
const LIBRARY: &CStr = c"postern";

/// Whether the postmaster started this process to run a function of our library. SQL registers no workers: a parallel
/// worker runs a function of the server's.
pub fn is_ours() -> bool {
    // SAFETY: null in any other process; in a worker it points to what the worker was registered with, whose name of the
    // library ends with NUL, and lives as long as the process.
    unsafe {
        let entry = pg_sys::MyBgworkerEntry;
        !entry.is_null() && CStr::from_ptr((*entry).bgw_library_name.as_ptr()) == LIBRARY
    }
}
