//! The SQL face of rows. Declared in `sql/50_rows.sql`; privileges are given there.
//!
//! Who may change the two tables is decided by functions there that are told here who asks ([`write`]). Asked from SQL they could not
//! know: inside SECURITY DEFINER the current user is the definer, and `session_user` is not who a SET ROLE made.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]

use std::ffi::{CStr, CString};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::{look, policy, write};
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::{self, owner_run, role, user};

/// `postern.change_direct(relation oid, grantee oid, command "char", direct bool, with_grant bool)`
#[pg_extern(sql = false)]
fn change_direct(
    relation: pg_sys::Oid,
    grantee: pg_sys::Oid,
    command: i8,
    direct: bool,
    with_grant: bool,
) -> Result<(), ErrorReport> {
    Ok(write::direct(relation, grantee, command.cast_unsigned(), direct, with_grant)?)
}

/// `postern.lock_direct(relation oid, command "char")`
#[pg_extern(sql = false)]
fn lock_direct(relation: pg_sys::Oid, command: i8) {
    write::lock(relation, command.cast_unsigned());
}

/// `postern.direct_state(relation oid, grantee oid, command "char")`
#[pg_extern(sql = false)]
fn direct_state(relation: pg_sys::Oid, grantee: pg_sys::Oid, command: i8) -> &'static str {
    write::automaton(relation, grantee, command.cast_unsigned())
}

/// `postern.plain_entries(relation oid, grantee oid, command "char")`
#[pg_extern(sql = false)]
fn plain_entries(relation: pg_sys::Oid, grantee: pg_sys::Oid, command: i8) -> i32 {
    i32::try_from(write::entries(relation, grantee, command.cast_unsigned())).unwrap_or(i32::MAX)
}

/// `postern.change_row_security(relation oid, role oid, command "char", mode "char")`
#[pg_extern(sql = false)]
fn change_row_security(relation: pg_sys::Oid, role: pg_sys::Oid, command: i8, mode: i8) {
    write::mode(relation, role, command.cast_unsigned(), mode.cast_unsigned());
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
fn caller_role(caller: Option<pg_sys::Oid>) -> Result<pg_sys::Oid, ErrorReport> {
    Ok(caller.ok_or(Error::NoCaller)?)
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
