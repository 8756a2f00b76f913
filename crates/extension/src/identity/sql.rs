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

/// `postern.enter(role text, facts text, seal text)`
#[pg_extern(sql = false)]
fn enter(role: Option<&str>, facts: Option<&str>, seal: Option<&str>) -> Result<(), ErrorReport> {
    state::check_caller()?;
    key::check(seal)?;
    state::check_state()?;
    let role = admission::admitted(role.ok_or(Error::Null("role"))?)?;
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
    memory::all()
}

/// `postern.entered_role()`
#[pg_extern(sql = false)]
fn entered_role() -> Option<pg_sys::Oid> {
    state::role()
}

/// `postern.refuse_powerful(role text)`: raises for a role that must not be entered, whoever admits it.
#[pg_extern(sql = false)]
fn refuse_powerful(role: &str) -> Result<(), ErrorReport> {
    Ok(admission::harmless(role).map(drop)?)
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

/// `postern.run_as(role text, facts jsonb, query text)`
#[pg_extern(sql = false)]
fn run_as(
    role: Option<&str>,
    facts: Option<Jsonb>,
    query: Option<&str>,
) -> Result<SetOfIterator<'static, Jsonb>, ErrorReport> {
    let role = role.ok_or(Error::Null("role"))?;
    let query = query.ok_or(Error::Null("query"))?;
    Ok(SetOfIterator::new(look::run_as(role, facts, query)?))
}
