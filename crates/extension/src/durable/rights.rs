//! Whether a role may have work done: asked at the start, and again before each step.

use pgrx::pg_sys::panic::ErrorReport;
use postern_durable::Failure;

use super::error::Refusal;
use crate::error::Error;
use crate::guc;
use crate::pg::{Oid, role, worker};

/// At the start.
pub fn check_start(oid: Oid) -> Result<(), Error> {
    let role = role::by_oid(oid).ok_or_else(|| Error::DroppedRole(oid.to_u32()))?;
    if guc::START_REQUIRES_LOGIN.get() && !role.login {
        return Err(Refusal::NoLogin(role.name).into());
    }
    if role.superuser {
        return if guc::superuser_instances() { Ok(()) } else { Err(Refusal::Superuser(role.name).into()) };
    }
    if !role::may_connect(oid, worker::database()) {
        return Err(Refusal::NoConnect(role.name).into());
    }
    Ok(())
}

/// Before a step.
pub fn check(oid: Oid) -> Result<(), Failure> {
    check_start(oid).map_err(failure)
}

/// A refusal as what a step failed with.
pub fn failure(error: Error) -> Failure {
    let (code, detail, hint) = error.parts();
    Failure { detail, hint, ..Failure::new(&code, ErrorReport::from(error).message()) }
}
