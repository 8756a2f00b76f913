//! The current user and its security context (`src/backend/utils/init/miscinit.c`).

use pgrx::pg_sys;

use super::compat;

/// A user and the security context that it acts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The role whose privileges count.
    pub oid: pg_sys::Oid,
    /// Bits of `SECURITY_*`; 0 at top level.
    pub context: i32,
}

impl User {
    /// The role under which the server refuses to change role or session user, in any nesting, until the user is changed
    /// back: `SECURITY_LOCAL_USERID_CHANGE`.
    pub fn confined(oid: pg_sys::Oid) -> Self {
        Self { oid, context: pg_sys::SECURITY_LOCAL_USERID_CHANGE.cast_signed() }
    }
}

/// The user that privileges are checked for now.
pub fn current() -> User {
    let mut user = User { oid: pg_sys::InvalidOid, context: 0 };
    // SAFETY: both pointers are valid for writes during the call, which only assigns.
    unsafe { compat::GetUserIdAndSecContext(&raw mut user.oid, &raw mut user.context) };
    user
}

/// The user of the session: who logged in, or what a superuser made of it.
pub fn session() -> pg_sys::Oid {
    // SAFETY: a plain read; valid once a backend has logged in, and SQL runs only after that.
    unsafe { compat::GetSessionUserId() }
}

/// Makes `user` the current one. Never raises.
pub fn set(user: User) {
    // SAFETY: assigns two variables. The end of a transaction or subtransaction by error puts back what held at its
    // beginning, so no path leaves a user behind that was set inside it.
    unsafe { compat::SetUserIdAndSecContext(user.oid, user.context) };
}
