//! Entering from a background worker of ours, which has no gate and no client in front of it.
//!
//! A [`Worker`] is the right to do so. It is a value that a worker's entry point takes once, before any SQL runs in the
//! process, and that no SQL can come by: it is given to a process that the postmaster started for our library, and only to
//! the first who asks there.
//!
//! # Invariants
//! 1. Only the process of a worker of ours enters so, as itself, outside any security context.
//! 2. The identity stands until the transaction ends, as the gate's does: entering is refused in a subtransaction, and nested.
//!    It may come after reads and writes of the worker's own: they ran as the worker, and nobody else's SQL has run yet.
//! 3. The role is harmless, as for the gate. That it be admitted is not asked: the list says what the gate may enter. Whether
//!    the role may have work done at all (LOGIN, CONNECT) the worker judges.
//!
//! Who runs somebody's SQL names whose it is, and is refused where another identity stands, or none ([`must_stand`]): what the worker
//! does outside an identity, it does as a superuser.
//!
//! A step that may fail runs in a subtransaction of the worker's: its rollback puts back what was at its beginning, which is
//! the identity.

use std::cell::Cell;

use pgrx::pg_sys;

use super::facts::Checked;
use super::{admission, enter, settings};
use crate::error::Error;
use crate::pg::{self, user};

pub use super::admission::Superusers;

thread_local! {
    static TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// The right of this process to enter identities.
#[derive(Debug)]
pub struct Worker(());

impl Worker {
    /// Takes the right: first thing in a worker's entry point.
    pub fn new() -> Result<Self, Error> {
        if !pg::worker::is_ours() || TAKEN.replace(true) {
            return Err(Error::NotOurWorker);
        }
        Ok(Self(()))
    }
}

/// Enters `role` until the transaction ends; `facts` are the text of a JSON object. Its settings are not applied: a worker runs
/// SQL of its own meanwhile, as the owner of its tables, and a role may set its own path. See [`apply_settings`].
pub fn enter(
    _right: &Worker,
    role: pg_sys::Oid,
    facts: Option<&str>,
    superusers: Superusers,
) -> Result<(), Error> {
    enter::check_not_entered()?;
    let current = user::current();
    if current.context != 0 || current.oid != user::session() {
        return Err(Error::InDefiner);
    }
    enter::check_transaction()?;
    let role = admission::harmless_oid(role, superusers)?;
    enter::enter_without_settings(role.oid, Checked::new(facts)?)
}

/// An identity that was judged, to be entered for the life of a process.
#[derive(Debug)]
pub struct Judged {
    role: pg_sys::Oid,
    facts: Option<String>,
}

/// Judges an identity as [`enter`] does. In a transaction, before [`Judged::enter_for_life`].
pub fn judge(
    _right: &Worker,
    role: pg_sys::Oid,
    facts: Option<&str>,
    superusers: Superusers,
) -> Result<Judged, Error> {
    enter::check_not_entered()?;
    let role = admission::harmless_oid(role, superusers)?;
    Checked::new(facts)?;
    super::clean::before()?;
    crate::guc::reserve_requests();
    Ok(Judged { role: role.oid, facts: facts.map(str::to_owned) })
}

impl Judged {
    /// Enters for the life of the process, which runs one statement and ends: nothing of it reaches anyone else. Outside a
    /// transaction. The identity stands through every COMMIT and ROLLBACK of the statement: see [`enter::enter_for_life`].
    pub fn enter_for_life(&self) -> Result<(), Error> {
        enter::enter_for_life(self.role, Checked::new(self.facts.as_deref())?);
        Ok(())
    }

    /// As [`must_stand`], of this identity. In a transaction.
    pub fn must_stand(&self) -> Result<(), Error> {
        must_stand(self.role, self.facts.as_deref())
    }
}

/// Makes the settings of the entered role those of the process, as its login would. In a transaction.
pub fn settings_for_life() {
    if let Some(role) = enter::role() {
        settings::apply_for_life(role);
    }
}

/// Checks that this identity stands, and that the current user is its role: right before SQL of its is run.
pub fn must_stand(role: pg_sys::Oid, facts: Option<&str>) -> Result<(), Error> {
    let stands = enter::role() == Some(role)
        && user::current().oid == role
        && super::facts::text().as_deref().unwrap_or_default() == facts.unwrap_or_default();
    if stands { Ok(()) } else { Err(Error::NotEntered { role: pg::role::name(role) }) }
}

/// Applies the settings of the entered role to the innermost level of settings, which ends before SQL of the worker's own is run.
pub fn apply_settings() {
    if let Some(role) = enter::role() {
        settings::apply(role);
    }
}
