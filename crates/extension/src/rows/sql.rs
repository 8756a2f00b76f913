//! The SQL face of rows. Declared in `sql/50_rows.sql`; privileges are given there.
//!
//! Who may change the two tables is decided by the `…_write` functions there, which nobody may call: they run as the superuser
//! of the cluster, and are told here who asks. Asked from SQL they could not know: inside SECURITY DEFINER the current user is
//! the definer, and `session_user` is not who a SET ROLE made.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]

use std::ffi::{CStr, CString};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::{look, policy};
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::query::{self, Arg};
use crate::pg::{self, owner_run, role, user};

/// `postern.change_direct(relation oid, grantee oid, command "char", direct bool, with_grant bool)`
#[pg_extern(sql = false)]
fn change_direct(relation: pg_sys::Oid, grantee: pg_sys::Oid, command: i8, direct: bool, with_grant: bool) {
    let args = [
        Arg::Oid(user::current().oid),
        Arg::Oid(relation),
        Arg::Oid(grantee),
        Arg::Char(command.cast_unsigned()),
        Arg::Bool(direct),
        Arg::Bool(with_grant),
    ];
    query::as_owner(|| query::run(c"SELECT postern.direct_write($1, $2, $3, $4, $5, $6)", &args));
}

/// `postern.change_row_security(relation oid, role oid, command "char", mode "char")`
#[pg_extern(sql = false)]
fn change_row_security(relation: pg_sys::Oid, role: pg_sys::Oid, command: i8, mode: i8) {
    let args = [
        Arg::Oid(user::current().oid),
        Arg::Oid(relation),
        Arg::Oid(role),
        Arg::Char(command.cast_unsigned()),
        Arg::Char(mode.cast_unsigned()),
    ];
    query::as_owner(|| query::run(c"SELECT postern.row_security_write($1, $2, $3, $4, $5)", &args));
}

/// `postern.evaluate_as(role oid, facts jsonb, query text)`
#[pg_extern(sql = false)]
fn evaluate_as(
    role: Option<pg_sys::Oid>,
    facts: Option<Jsonb>,
    query: Option<&str>,
) -> Result<Option<String>, ErrorReport> {
    let role = role.ok_or(Error::Null("role"))?;
    Ok(look::evaluate(role, facts, query.ok_or(Error::Null("query"))?)?)
}

/// `postern.view_columns(view oid)`
#[pg_extern(sql = false)]
fn view_columns(view: pg_sys::Oid) -> Result<String, ErrorReport> {
    let columns = pg::view::columns(view);
    Ok(serde_json::to_string(&columns).map_err(|error| Error::Spi(error.to_string()))?)
}

/// `postern.attempt_as(role oid, facts jsonb, query text)`
#[pg_extern(sql = false)]
fn attempt_as(
    role: Option<pg_sys::Oid>,
    facts: Option<Jsonb>,
    query: Option<&str>,
) -> Result<Jsonb, ErrorReport> {
    let role = role.ok_or(Error::Null("role"))?;
    Ok(look::attempt(role, facts, query.ok_or(Error::Null("query"))?)?)
}

/// `postern.caller_in(cstring)`: input of the type, and nothing can be input.
#[pg_extern(sql = false)]
fn caller_in(_text: &CStr) -> Result<pg_sys::Oid, ErrorReport> {
    Err(Error::MadeCaller.into())
}

/// `postern.caller_out(postern.caller)`
#[pg_extern(sql = false)]
fn caller_out(caller: pg_sys::Oid) -> CString {
    pg::spi::c_string(&role::name(caller)).unwrap_or_default()
}

/// `postern.caller()`
#[pg_extern(sql = false)]
fn caller() -> pg_sys::Oid {
    user::current().oid
}

/// `postern.caller_role(postern.caller)`
#[pg_extern(sql = false)]
fn caller_role(caller: pg_sys::Oid) -> pg_sys::Oid {
    caller
}

/// `postern.is_expression(text)`
#[pg_extern(sql = false)]
fn is_expression(expression: &str) -> bool {
    owner_run::is_expression(expression)
}

/// `postern.policy_parts(relation oid, policy name, checks bool, prefix text)`
#[pg_extern(sql = false)]
fn policy_parts(
    relation: pg_sys::Oid,
    name: &CStr,
    checks: bool,
    prefix: &str,
) -> Result<Option<String>, ErrorReport> {
    Ok(policy::parts(relation, name, checks, prefix)?)
}

/// `postern.rows_changed()`: trigger of both tables, for each row: no plan of the relation outlives the change.
#[pg_trigger(sql = false)]
fn rows_changed<'a>(
    trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, ErrorReport> {
    let table = trigger.relation().map_err(|_| Error::NotInstalled)?;
    for row in [trigger.old(), trigger.new()].into_iter().flatten() {
        match row.get_by_index::<pg_sys::Oid>(core::num::NonZeroUsize::MIN) {
            Ok(Some(relation)) if relation != pg_sys::InvalidOid => {
                if pg::table::exists(relation) {
                    pg::inval::changed(relation);
                }
            }
            _ => pg::inval::all_changed(),
        }
    }
    pg::inval::changed(table.oid());
    Ok(None)
}
