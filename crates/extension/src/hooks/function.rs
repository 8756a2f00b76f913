//! The function manager: a function whose language keeps something of it is called (`src/backend/utils/fmgr/fmgr.c`).

use std::cell::Cell;

use pgrx::{pg_guard, pg_sys};

use super::planner;
use crate::identity::kept;
use crate::pg::compiled::Call;

static mut PREVIOUS: pg_sys::fmgr_hook_type = None;
static mut PREVIOUS_CONCERNS: pg_sys::needs_fmgr_hook_type = None;

thread_local! {
    /// The function whose call the executor prepares: it looks at the right to, tells us of that, and then asks the function manager.
    static PREPARED: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// The executor prepares a call of the function. Never raises.
pub fn prepares(function: pg_sys::Oid) {
    PREPARED.set(function);
}

pub fn install() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::fmgr_hook;
        pg_sys::fmgr_hook = Some(called);
        PREVIOUS_CONCERNS = pg_sys::needs_fmgr_hook;
        pg_sys::needs_fmgr_hook = Some(concerns);
    }
}

/// A call of a function is being prepared. No guard, and no value with a destructor in this frame: an ERROR from below jumps
/// straight over it.
unsafe extern "C-unwind" fn concerns(function: pg_sys::Oid) -> bool {
    // SAFETY: written once, while preloading.
    ours(function) || unsafe { PREVIOUS_CONCERNS }.is_some_and(|next| unsafe { next(function) })
}

#[pg_guard]
extern "C-unwind" fn ours(function: pg_sys::Oid) -> bool {
    // The planner has the executor call functions for constants; otherwise it asks whether it may put one in place of its call.
    let called = PREPARED.replace(pg_sys::InvalidOid) == function;
    kept::concerns(function, planner::is_planning() && !called)
}

/// As [`concerns`]. After an ERROR the server calls it while it handles that: then nothing here raises.
unsafe extern "C-unwind" fn called(
    event: pg_sys::FmgrHookEventType::Type,
    info: *mut pg_sys::FmgrInfo,
    arg: *mut pg_sys::Datum,
) {
    // SAFETY: the arguments are the server's own; PREVIOUS is written once, while preloading.
    unsafe {
        if event == pg_sys::FmgrHookEventType::FHET_START {
            begins(info);
        } else {
            ends(info);
        }
        if let Some(next) = PREVIOUS {
            next(event, info, arg);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn begins(info: *mut pg_sys::FmgrInfo) {
    // SAFETY: what the server passed to the hook.
    kept::begins(unsafe { Call::new(info) });
}

#[pg_guard]
unsafe extern "C-unwind" fn ends(info: *mut pg_sys::FmgrInfo) {
    // SAFETY: what the server passed to the hook.
    kept::ends(unsafe { Call::new(info) });
}
