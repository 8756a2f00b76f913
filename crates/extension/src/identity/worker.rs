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
//! A step that may fail runs in a subtransaction of the worker's: its rollback puts back what was at its beginning, which is
//! the identity.

use std::cell::Cell;

use pgrx::pg_sys;

use super::facts::Checked;
use super::{admission, enter};
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

/// Enters `role` until the transaction ends; `facts` are the text of a JSON object.
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
    enter::enter(role.oid, Checked::new(facts)?)
}
