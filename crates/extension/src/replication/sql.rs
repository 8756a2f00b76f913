//! The SQL face of replication. Declared in `sql/61_replication_apply.sql`; privileges are given there.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::rehearse;
use crate::error::Error;

/// `postern.rehearse_statement(role oid, statement text)`: SQLSTATE, message and context of its error, or NULL.
#[pg_extern(sql = false)]
fn rehearse_statement(
    role: Option<pg_sys::Oid>,
    statement: Option<&str>,
) -> Result<Option<Vec<Option<String>>>, ErrorReport> {
    let role = role.ok_or(Error::Null("role"))?;
    let error = rehearse::rehearse(role, statement.ok_or(Error::Null("statement"))?)?;
    Ok(error.map(|error| vec![Some(error.sqlstate), Some(error.message), error.context]))
}
