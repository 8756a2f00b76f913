//! Where the server asks us. Shims only: each asks `decide`, which may raise, and then passes on, so that neither errors nor
//! results of the server or of another extension's hook are touched.
//!
//! Order: installed once while preloading. Whoever is preloaded after us is asked before us.
#![allow(unsafe_code, reason = "signatures of the server's hooks")]
#![allow(ffi_unwind_calls, reason = "an error of the server passes through frames that have nothing to drop")]

mod executor;
mod function;
mod log;
mod object_access;
mod planner;
mod utility;

use crate::pg::definer;

/// Installs the hooks, in this order.
pub fn install() {
    utility::install();
    object_access::install();
    executor::install();
    planner::install();
    // Asked after the next one, which has no frame of Rust around it.
    definer::init();
    function::install();
    log::install();
}
