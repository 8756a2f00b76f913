//! The SQL face of the primitive. Declared in `sql/10_identity.sql`; privileges are given there.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]
#![allow(clippy::needless_pass_by_value, reason = "pgrx passes arguments by value")]

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::{admission, enter as state, facts as memory, run_as as look, seal as key};
use crate::error::Error;
use crate::pg::jsonb::Jsonb;

/// `postern.enter(role name, facts jsonb, seal text)`
#[pg_extern(sql = false)]
fn enter(
    role: Option<&core::ffi::CStr>,
    facts: Option<Jsonb>,
    seal: Option<&str>,
) -> Result<(), ErrorReport> {
    state::check_caller()?;
    key::check(seal)?;
    state::check_state()?;
    let role = role.ok_or(Error::Null("role"))?.to_string_lossy();
    let role = admission::admitted(&role)?;
    Ok(state::enter(role, memory::Checked::new(facts)?)?)
}

/// `postern.seal(key text)`
#[pg_extern(sql = false)]
fn seal(key: String) -> Result<(), ErrorReport> {
    state::check_caller()?;
    Ok(self::key::seal(key)?)
}

/// `postern.fact(path text)`
#[pg_extern(sql = false)]
fn fact(path: &str) -> Result<Option<String>, ErrorReport> {
    Ok(memory::at(path)?)
}

/// `postern.facts()`
#[pg_extern(sql = false)]
fn facts() -> Option<Jsonb> {
    memory::with(Jsonb::copy)
}

/// `postern.entered_role()`
#[pg_extern(sql = false)]
fn entered_role() -> Option<pg_sys::Oid> {
    state::role()
}

/// `postern.refuse_powerful(role name)`: raises for a role that must not be entered, whoever admits it.
#[pg_extern(sql = false)]
fn refuse_powerful(role: &core::ffi::CStr) -> Result<(), ErrorReport> {
    Ok(admission::harmless(&role.to_string_lossy()).map(drop)?)
}

/// `postern.admitted_changed()`: trigger of `postern.admitted`.
#[pg_trigger(sql = false)]
fn admitted_changed<'a>(
    trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, ErrorReport> {
    let relation = trigger.relation().map_err(|_| Error::NotInstalled)?;
    admission::changed(relation.oid());
    Ok(None)
}

/// `postern.run_as(role name, facts jsonb, query text)`
#[pg_extern(sql = false)]
fn run_as(
    role: Option<&core::ffi::CStr>,
    facts: Option<Jsonb>,
    query: Option<&str>,
) -> Result<SetOfIterator<'static, Jsonb>, ErrorReport> {
    let role = role.ok_or(Error::Null("role"))?.to_string_lossy();
    let query = query.ok_or(Error::Null("query"))?;
    Ok(SetOfIterator::new(look::run_as(&role, facts, query)?))
}
