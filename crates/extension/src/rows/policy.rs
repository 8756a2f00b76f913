//! Policies that run as the owner of their table: `postern.create_policy`.
//!
//! Such a policy is an ordinary one. What it reads is in SECURITY DEFINER functions of the table's owner, which `postern.policy_parts`
//! makes of its expression and `postern.create_policy` (in SQL, with the rights of its caller) creates. Such a function may be called
//! by anyone whom the policy is for, so it must not be told by a name for whom it answers: it takes a `postern.caller`, which only
//! `postern.caller()` makes.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::owner_run;
use crate::pg::query::{self, Arg};

/// The parts of a policy's USING or WITH CHECK, as JSON; `None` if it has no such expression.
pub fn parts(
    relation: pg_sys::Oid,
    policy: &CStr,
    checks: bool,
    prefix: &str,
) -> Result<Option<String>, Error> {
    let name = policy.to_string_lossy();
    let rows = query::as_owner(|| {
        query::run(
            c"SELECT CASE WHEN $3 THEN p.polwithcheck ELSE p.polqual END::pg_catalog.text,
                     'postern.caller_role(postern.caller)'::pg_catalog.regprocedure::pg_catalog.oid
                FROM pg_catalog.pg_policy p
               WHERE p.polrelid OPERATOR(pg_catalog.=) $1 AND p.polname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
            &[Arg::Oid(relation), Arg::Text(&name), Arg::Bool(checks)],
        )
    });
    let Some(row) = rows.first() else { return Ok(None) };
    let Some(tree) = row.text(0).and_then(crate::pg::spi::c_string) else { return Ok(None) };
    let split = owner_run::of_policy(&tree, relation, prefix, row.oid(1));
    serde_json::to_string(&split).map(Some).map_err(|error| Error::Spi(error.to_string()))
}
