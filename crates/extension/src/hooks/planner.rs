//! The planner, and the rewriter when it asks for policies: what row security a statement meets.

use std::cell::Cell;

use pgrx::{pg_guard, pg_sys};

use crate::error::raise;
use crate::identity::kept;
use crate::pg::{compat, policy, xact};
use crate::rows;

static mut PREVIOUS: pg_sys::planner_hook_type = None;
static mut PREVIOUS_KEEP: pg_sys::needs_fmgr_hook_type = None;
static mut PREVIOUS_POLICIES: pg_sys::row_security_policy_hook_type = None;

thread_local! {
    /// Whether the planner is to leave calls of functions as they are.
    static KEEP_CALLS: Cell<bool> = const { Cell::new(false) };
    /// Whether the planner is at work.
    static PLANNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the planner is at work.
pub fn is_planning() -> bool {
    PLANNING.get()
}

/// An ERROR while planning has left it.
fn not_planning() {
    PLANNING.set(false);
}

pub fn install() {
    xact::also_at_end(|_| not_planning());
    xact::also_at_subtransaction_abort(|_| not_planning());
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(planner);
        PREVIOUS_KEEP = pg_sys::needs_fmgr_hook;
        pg_sys::needs_fmgr_hook = Some(keep_call);
        PREVIOUS_POLICIES = pg_sys::row_security_policy_hook_permissive;
        pg_sys::row_security_policy_hook_permissive = Some(policies);
    }
}

/// No guard, and no value with a destructor in this frame: an ERROR from below jumps straight over it.
unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    text: *const core::ffi::c_char,
    options: core::ffi::c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: the arguments are the server's own; PREVIOUS is written once, while preloading.
    unsafe {
        let lifted = before(query);
        let around = PLANNING.replace(true);
        let mut plan = next(query, text, options, params);
        if is_missed(plan, lifted) {
            KEEP_CALLS.set(true);
            plan = next(lifted.query, text, options, params);
            KEEP_CALLS.set(false);
        }
        PLANNING.set(around);
        after(plan);
        plan
    }
}

/// As [`planner`].
unsafe fn next(
    query: *mut pg_sys::Query,
    text: *const core::ffi::c_char,
    options: core::ffi::c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: as there.
    unsafe {
        match PREVIOUS {
            Some(next) => next(query, text, options, params),
            None => compat::standard_planner(query, text, options, params),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn before(query: *mut pg_sys::Query) -> rows::direct::Lifted {
    // An ERROR while planning may have left it.
    KEEP_CALLS.set(false);
    kept::reads();
    // SAFETY: the planner may scribble on its query, and has not begun.
    unsafe { rows::direct::lift(query) }
}

#[pg_guard]
unsafe extern "C-unwind" fn is_missed(plan: *mut pg_sys::PlannedStmt, lifted: rows::direct::Lifted) -> bool {
    // SAFETY: the plan is finished.
    rows::direct::is_missed(lifted, || unsafe { policy::accesses(plan) })
}

#[pg_guard]
unsafe extern "C-unwind" fn after(plan: *mut pg_sys::PlannedStmt) {
    // SAFETY: the plan is finished.
    if let Err(error) = rows::mode::check(|| unsafe { policy::accesses(plan) }) {
        raise(error);
    }
}

/// The planner asks whether calls of a function are to be seen by an extension, and then does not put its query in place of the
/// call. Cannot raise by itself.
unsafe extern "C-unwind" fn keep_call(function: pg_sys::Oid) -> bool {
    // SAFETY: written once, while preloading.
    KEEP_CALLS.get() || unsafe { PREVIOUS_KEEP }.is_some_and(|keep| unsafe { keep(function) })
}

/// No guard, and no value with a destructor in this frame: an ERROR from below jumps straight over it.
unsafe extern "C-unwind" fn policies(
    command: pg_sys::CmdType::Type,
    relation: pg_sys::Relation,
) -> *mut pg_sys::List {
    // SAFETY: as above.
    unsafe {
        let list = match PREVIOUS_POLICIES {
            Some(next) => next(command, relation),
            None => core::ptr::null_mut(),
        };
        marked(list, command, relation)
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn marked(
    list: *mut pg_sys::List,
    command: pg_sys::CmdType::Type,
    relation: pg_sys::Relation,
) -> *mut pg_sys::List {
    // SAFETY: the relation is open while the rewriter asks.
    unsafe {
        if rows::direct::is_granted_on(policy::relation_oid(relation)) {
            rows::direct::marked();
            policy::mark(list, command)
        } else {
            list
        }
    }
}
