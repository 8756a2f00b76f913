//! Direct access: a role reads or writes a table past all of its policies, for the commands that it was granted.

use pgrx::pg_sys;

use super::state;
use crate::pg::policy::{self, Access};
use crate::pg::role;

/// What was done before planning, for afterwards. It has no destructor: an ERROR jumps over it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Lifted {
    relations: usize,
    /// The query as it was before planning, or null if there is nothing to plan again.
    pub query: *mut pg_sys::Query,
}

/// Takes row security off the relations to which the statement has direct access.
///
/// # Safety
/// `query` is a rewritten query that may be changed, as the planner gets it.
#[allow(unsafe_code, reason = "hands the planner's query on")]
pub unsafe fn lift(query: *mut pg_sys::Query) -> Lifted {
    let state = state::get();
    if state.direct.is_empty() {
        return Lifted { relations: 0, query: core::ptr::null_mut() };
    }
    // SAFETY: the caller's word.
    unsafe {
        let relations = policy::lift(query, |access| is_direct(&state, access));
        Lifted { relations, query: policy::copy_with_functions(query) }
    }
}

/// Whether the plan has a relation under row security to which the statement has direct access, and which we have not seen
/// before planning: one of a set-returning SQL function that the planner has put in place of its call.
pub fn is_missed(lifted: Lifted, accesses: impl FnOnce() -> Vec<Access>) -> bool {
    if lifted.query.is_null() {
        return false;
    }
    let state = state::get();
    let direct = |access: &Access| is_direct(&state, *access) && policy::is_filtered(*access);
    accesses().iter().filter(|access| direct(access)).count() > lifted.relations
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
