//! What a statement does when it runs as apply would run it: the step behind `postern.rehearse_apply`.

use pgrx::pg_sys;

use crate::error::Error;
use crate::identity::{admission, enter, facts::Checked};
use crate::pg::caught::Caught;
use crate::pg::{guc, role, spi, subxact, user};

/// Runs `statement` as the role, in a replica's role and with the empty path, and rolls it back. Gives the error, if there is one.
pub fn rehearse(as_role: pg_sys::Oid, statement: &str) -> Result<Option<Caught>, Error> {
    let caller = role::by_oid(user::current().oid).ok_or(Error::NotInstalled)?;
    let wanted = role::by_oid(as_role).ok_or_else(|| Error::UnknownRole(as_role.to_u32().to_string()))?;
    if !caller.superuser {
        admission::harmless(&wanted.name)?;
    }
    let statement = spi::c_string(statement).ok_or(Error::Null("statement"))?;
    let facts = Checked::new(None)?;
    // The inner subtransaction is rolled back whatever happens, and the identity ends with it; the outer one catches the error.
    let outcome = subxact::attempt(|| {
        subxact::rolled_back(|| {
            enter::enter_subtransaction(as_role, facts)?;
            guc::set(c"session_replication_role", c"replica");
            guc::set(c"search_path", c"");
            // Whoever waits for a table keeps those waiting who come later.
            guc::set(c"lock_timeout", c"2s");
            spi::execute(&statement)?;
            // Deferred triggers fire while the role stands, as they do at the commit of an applied transaction.
            spi::execute(c"SET CONSTRAINTS ALL IMMEDIATE")?;
            Ok::<(), Error>(())
        })
    });
    match outcome {
        Ok(Ok(())) => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(caught) => Ok(Some(caught)),
    }
}
