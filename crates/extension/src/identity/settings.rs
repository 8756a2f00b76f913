//! The settings that a role is given: `ALTER ROLE … SET` and `ALTER ROLE … IN DATABASE … SET`.
//!
//! A login has them from its start. Who is entered gets them on entering, in the level of settings that ends with the identity,
//! and like a login's they are set with the rights of a superuser: who may set what was judged when they were stored. Those for
//! all roles, and for the database, the connection has since its own login.
//!
//! What was read is remembered for each role until the server says that something of it has changed ([`super::admission`]).
//!
//! # Never applied
//! Settings that the wall or the facts rest on, and those that say how the connection talks to whoever holds it: whoever may
//! preset something for another role, or for itself, reaches neither.
//!
//! # Not guaranteed
//! RESET goes back to the connection's own value. A transaction's isolation is decided before the role is known, so
//! `default_transaction_isolation` has no effect; `default_transaction_read_only` has, unless the session was told otherwise, or a
//! worker entered, which writes its results in the same transaction.
//! Rows that a superuser writes into the catalog by hand are not heard of.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::pg_sys;

use crate::pg::{guc, role_setting, worker, xact};

/// Settings that are never taken from a role, beside those with a prefix of [`PREFIXES`].
const NEVER: [&[u8]; 14] = [
    // The wall.
    b"role",
    b"session_authorization",
    b"is_superuser",
    b"row_security",
    b"transaction_isolation",
    b"transaction_read_only",
    b"transaction_deferrable",
    // How the connection talks.
    b"application_name",
    b"bytea_output",
    b"client_encoding",
    b"datestyle",
    b"extra_float_digits",
    b"intervalstyle",
    b"standard_conforming_strings",
];

/// Facts, and what is ours.
const PREFIXES: [&[u8]; 2] = [b"request.", b"postern."];

const DEFAULT_READ_ONLY: &CStr = c"default_transaction_read_only";

/// How many roles a process remembers settings of.
const REMEMBERED: usize = 1_000;

type Settings = Rc<[(CString, CString)]>;

thread_local! {
    static SETTINGS: RefCell<HashMap<pg_sys::Oid, Settings>> = RefCell::default();
}

/// Something may have changed.
pub fn forget() {
    SETTINGS.with_borrow_mut(HashMap::clear);
}

/// Applies the settings of `role` to the innermost level of settings. A value that is no good any more is warned of and left
/// out, as at a login; may raise all the same.
pub fn apply(role: pg_sys::Oid) {
    let settings = of(role);
    for (name, value) in settings.iter() {
        if same(name, DEFAULT_READ_ONLY) {
            read_only(value);
        } else {
            guc::set_for_role(name, value);
        }
    }
}

/// Makes the settings of `role` those of the process: for one that has no other identity in its life.
pub fn apply_for_life(role: pg_sys::Oid) {
    for (name, value) in of(role).iter() {
        guc::set_as_login(name, value);
    }
}

/// The default was taken when the transaction began: now it is the transaction that is made read-only.
fn read_only(value: &CStr) {
    // What was SET in the session, or asked for by whoever sends the request, stands above the role's.
    if guc::is_set_in_session(DEFAULT_READ_ONLY) {
        return;
    }
    guc::set_for_role(DEFAULT_READ_ONLY, value);
    // A worker of ours writes down, in the same transaction, what the step came to.
    if guc::default_read_only() && !worker::is_ours() {
        xact::make_read_only();
    }
}

fn of(role: pg_sys::Oid) -> Settings {
    if let Some(known) = SETTINGS.with_borrow(|settings| settings.get(&role).cloned()) {
        return known;
    }
    let (read, current) = super::admission::read_watched(|| {
        // Those for the role in this database stand above those for the role.
        let mut read = role_setting::read(pg_sys::InvalidOid, role);
        read.extend(role_setting::read(crate::pg::database(), role));
        read.retain(|(name, _)| may_apply(name));
        Settings::from(read)
    });
    if current {
        SETTINGS.with_borrow_mut(|settings| {
            if settings.len() >= REMEMBERED {
                settings.clear();
            }
            settings.insert(role, Rc::clone(&read));
        });
    }
    read
}

fn may_apply(name: &CStr) -> bool {
    let lower = name.to_bytes().to_ascii_lowercase();
    !NEVER.contains(&lower.as_slice()) && !PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

fn same(a: &CStr, b: &CStr) -> bool {
    a.to_bytes().eq_ignore_ascii_case(b.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::{NEVER, PREFIXES};

    #[test]
    fn what_is_never_applied_is_compared_in_lower_case() {
        assert!(NEVER.iter().chain(&PREFIXES).all(|name| name.to_ascii_lowercase() == *name));
    }
}
