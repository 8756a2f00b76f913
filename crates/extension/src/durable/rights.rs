//! Whether a role may have work done: asked at the start, and again before each step.

use pgrx::pg_sys::panic::ErrorReport;
use postern_durable::Failure;

use super::error::Refusal;
use crate::error::Error;
use crate::guc;
use crate::identity::admission;
use crate::pg::query::{self, Arg};
use crate::pg::{Oid, catalog, role, worker};

/// At the start, here.
pub fn check_start(oid: Oid) -> Result<(), Error> {
    check_start_in(oid, worker::database())
}

/// At the start, in a database.
pub fn check_start_in(oid: Oid, database: Oid) -> Result<(), Error> {
    let role = role::by_oid(oid).ok_or_else(|| Error::DroppedRole(oid.to_u32()))?;
    if guc::START_REQUIRES_LOGIN.get() && !role.login {
        return Err(Refusal::NoLogin(role.name).into());
    }
    if role.superuser {
        return if guc::superuser_instances() { Ok(()) } else { Err(Refusal::Superuser(role.name).into()) };
    }
    if !role::may_connect(oid, database) {
        return Err(Refusal::NoConnect(role.name).into());
    }
    Ok(())
}

/// What only the database can say in which a start arrives that was made in another: whether its role may start anything here, and,
/// if it was the gate that entered it there, whether the gate may here.
pub fn check_arrival(oid: Oid, entered: bool) -> Result<(), Error> {
    let name = role::name(oid);
    if entered {
        admission::admitted(&name)?;
    }
    let rows = query::run(
        c"SELECT 1 WHERE has_schema_privilege($1, 'df', 'USAGE') \
             AND has_function_privilege($1, 'df.start(text,text,text,text)', 'EXECUTE')",
        &[Arg::Oid(oid)],
    );
    if rows.is_empty() {
        let database = catalog::database_name(worker::database()).unwrap_or_default();
        return Err(Refusal::NoUse { role: name, database }.into());
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
