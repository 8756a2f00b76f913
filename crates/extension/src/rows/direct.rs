//! Direct access: a role reads or writes a table past all of its policies, for the commands that it was granted.

use std::cell::Cell;

use pgrx::pg_sys;

use super::state;
use crate::pg::policy::{self, Access};
use crate::pg::role;

/// What was there before planning, for afterwards. It has no destructor: an ERROR jumps over it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Lifted {
    /// How often relations had been marked.
    marks: u64,
    /// The query as it was before planning, or null if there is nothing to plan again.
    pub query: *mut pg_sys::Query,
}

thread_local! {
    static MARKS: Cell<u64> = const { Cell::new(0) };
}

/// The rewriter has marked a relation to which somebody has direct access.
pub fn marked() {
    MARKS.set(MARKS.get().wrapping_add(1));
}

/// Takes row security off the relations to which the statement has direct access.
///
/// # Safety
/// `query` is a rewritten query that may be changed, as the planner gets it.
#[allow(unsafe_code, reason = "hands the planner's query on")]
pub unsafe fn lift(query: *mut pg_sys::Query) -> Lifted {
    let state = state::get();
    if state.direct.is_empty() {
        return Lifted { marks: 0, query: core::ptr::null_mut() };
    }
    // SAFETY: the caller's word.
    unsafe {
        policy::lift(query, |access| is_direct(&state, access));
        Lifted { marks: MARKS.get(), query: policy::copy_with_functions(query) }
    }
}

/// Whether the plan may have a relation under row security to which the statement has direct access, and which we have not seen
/// before planning: one of a set-returning SQL function that the planner has put in place of its call. The query of such a function
/// was rewritten meanwhile.
pub fn is_missed(lifted: Lifted, accesses: impl FnOnce() -> Vec<Access>) -> bool {
    if lifted.query.is_null() || lifted.marks == MARKS.get() {
        return false;
    }
    let state = state::get();
    accesses().iter().any(|access| is_direct(&state, *access) && policy::is_filtered(*access))
}

/// Whether the user has direct access to the relation for everything that the statement does with it: itself, or by a role
/// whose privileges it inherits.
pub fn is_direct(state: &state::State, access: Access) -> bool {
    let Some(grants) = state.direct.get(&access.relation) else { return false };
    !access.needs.is_empty()
        && access.needs.each().all(|command| {
            grants
                .iter()
                .any(|grant| grant.command == command && role::has_privileges_of(access.user, grant.grantee))
        })
}

/// Whether anybody has direct access to the relation.
pub fn is_granted_on(relation: pg_sys::Oid) -> bool {
    state::get().direct.contains_key(&relation)
}
