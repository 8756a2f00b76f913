//! Which roles may be entered: those on the list `postern.admitted`, as long as they can do no harm to the wall itself.
//!
//! The list is not role membership: should SQL ever get out of the wall, it is in a role that can become nobody. A row names
//! the role by OID *and* name: a rename, or a dump restored where the OID is another role's, ends an admission instead of
//! passing it on.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use super::settings;
use crate::error::Error;
use crate::pg::{self, role::Role};

/// How many admitted roles a backend remembers.
const REMEMBERED: usize = 1_000;

/// The longest name that the server keeps, in bytes.
const LONGEST: usize = pg_sys::NAMEDATALEN as usize - 1;

/// Predefined roles whose members act outside what grants on objects allow: on files, programs and other sessions, or read
/// what others run.
const OUTSIDE: [&str; 12] = [
    "pg_monitor",
    "pg_read_all_settings",
    "pg_read_all_stats",
    "pg_stat_scan_tables",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
    "pg_signal_backend",
    "pg_signal_autovacuum_worker",
    "pg_checkpoint",
    "pg_maintain",
    "pg_create_subscription",
];

/// Whether superusers, and who is a member of one, may be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Superusers {
    /// They may not.
    Refused,
    /// They may: an administrator has said so.
    Allowed,
}

/// Postern's own roles that administer the wall, or open it.
const OURS: [&str; 3] = ["postern_admin", "postern_gate", "postern_outbound"];

/// The login role of the gate: the only one that may enter by SQL.
const GATE: &CStr = c"postern_gate";

thread_local! {
    static GATE_OID: Cell<Option<pg_sys::Oid>> = const { Cell::new(None) };
    /// Roles found admitted, by name: true until the server says that a role, a membership or the list has changed. It is the
    /// discipline of the server's own caches, and a right that was taken away is gone with the next transaction.
    static ADMITTED: RefCell<HashMap<String, pg_sys::Oid>> = RefCell::default();
    /// How often the server said so: what was judged meanwhile is not remembered.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

fn forget() {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    GATE_OID.set(None);
    settings::forget();
    ADMITTED.with_borrow_mut(HashMap::clear);
}

/// Reads something that [`forget`] forgets, and tells whether it may be remembered: not if something changed meanwhile.
pub fn read_watched<R>(read: impl FnOnce() -> R) -> (R, bool) {
    // Before anything is read: what changes from here on is heard of.
    pg::inval::watch(forget);
    let changes = CHANGES.get();
    let result = read();
    (result, changes == CHANGES.get())
}

/// The login role of the gate.
pub fn gate() -> Option<pg_sys::Oid> {
    GATE_OID.get().or_else(|| {
        let (gate, current) = read_watched(|| pg::role::by_name(GATE).map(|role| role.oid));
        if current {
            GATE_OID.set(gate);
        }
        gate
    })
}

/// The role of exactly this name, if it may be entered now.
pub fn admitted(name: &str) -> Result<pg_sys::Oid, Error> {
    crate::version::check()?;
    if let Some(role) = ADMITTED.with_borrow(|admitted| admitted.get(name).copied()) {
        return Ok(role);
    }
    let table = pg::table::find(c"admitted", c"admitted_pkey").ok_or(Error::NotInstalled)?;
    pg::inval::watch_relation(table.relation);
    let (role, current) = read_watched(|| {
        let role = harmless(name)?;
        match pg::table::name_by_oid(table, role.oid) {
            Some(name) if name == role.name => Ok(role),
            _ => Err(Error::NotAdmitted { role: role.name }),
        }
    });
    let role = role?;
    if !current {
        return Ok(role.oid);
    }
    ADMITTED.with_borrow_mut(|admitted| {
        // Names come from outside; there are never more that are admitted than roles, but many may be.
        if admitted.len() >= REMEMBERED {
            admitted.clear();
        }
        admitted.insert(role.name, role.oid);
    });
    Ok(role.oid)
}

/// The list has changed: every backend looks again.
pub fn changed(relation: pg_sys::Oid) {
    pg::inval::changed(relation);
}

/// The role of exactly this name, if it, and everything that it is a member of, has no power over the wall.
pub fn harmless(name: &str) -> Result<Role, Error> {
    // Never cut: what is left of a longer name may be another role's.
    if name.len() > LONGEST {
        return Err(Error::NameTooLong { bytes: name.len() });
    }
    let unknown = || Error::UnknownRole(name.to_owned());
    let role = pg::role::by_name(&CString::new(name).map_err(|_| unknown())?).ok_or_else(unknown)?;
    judge(role, Superusers::Refused)
}

/// The role with this OID, judged as [`harmless`] judges.
pub fn harmless_oid(oid: pg_sys::Oid, superusers: Superusers) -> Result<Role, Error> {
    let role = pg::role::by_oid(oid).ok_or(Error::DroppedRole(oid.to_u32()))?;
    judge(role, superusers)
}

fn judge(role: Role, superusers: Superusers) -> Result<Role, Error> {
    let allowed =
        |role: &Role| superusers == Superusers::Allowed && role.superuser && !OURS.contains(&&*role.name);
    if allowed(&role) {
        // Nothing that it has besides adds to what it may.
        return Ok(role);
    }
    let reached = pg::role::memberships(role.oid);
    for other in std::iter::once(role.clone()).chain(reached.into_iter().filter_map(pg::role::by_oid)) {
        if !allowed(&other)
            && let Some(what) = power(&other, other.oid == role.oid)
        {
            return Err(Error::TooPowerful { role: role.name, through: other.name, what });
        }
    }
    Ok(role)
}

/// What a role has that no entered role may have; `itself`: it is the one to be entered, not one that it is a member of.
fn power(role: &Role, itself: bool) -> Option<&'static str> {
    if role.superuser {
        Some("is a superuser")
    } else if role.bypass_rls && itself {
        Some("has BYPASSRLS")
    } else if role.creates_roles && itself {
        Some("has CREATEROLE")
    } else if role.replication && itself {
        Some("has REPLICATION")
    } else if OURS.contains(&role.name.as_str()) {
        Some("is a role of Postern itself")
    } else if itself && role.name.starts_with("pg_") {
        Some("is a predefined role")
    } else if OUTSIDE.contains(&role.name.as_str()) {
        Some("acts on the server itself")
    } else {
        None
    }
}
