//! Which roles may be entered: those on the list `postern.admitted`, as long as they can do no harm to the wall itself.
//!
//! The list is not role membership: should SQL ever get out of the wall, it is in a role that can become nobody. A row names
//! the role by OID *and* name: a rename, or a dump restored where the OID is another role's, ends an admission instead of
//! passing it on.

use std::ffi::CString;

use crate::error::Error;
use crate::pg::{self, role::Role};

/// Predefined roles whose members act outside what grants on objects allow: on files, programs and other sessions.
const OUTSIDE: [&str; 8] = [
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
    "pg_signal_backend",
    "pg_signal_autovacuum_worker",
    "pg_checkpoint",
    "pg_maintain",
    "pg_create_subscription",
];

/// Postern's own roles that administer the wall, or open it.
const OURS: [&str; 2] = ["postern_admin", "postern_gate"];

/// The role of exactly this name, if it may be entered now.
pub fn admitted(name: &str) -> Result<Role, Error> {
    let role = harmless(name)?;
    let listed =
        pg::table::name_by_oid(c"admitted", c"admitted_pkey", role.oid).map_err(|()| Error::NotInstalled)?;
    if listed.as_deref() != Some(role.name.as_str()) {
        return Err(Error::NotAdmitted { role: role.name });
    }
    Ok(role)
}

/// The role of exactly this name, if it, and everything that it is a member of, has no power over the wall.
pub fn harmless(name: &str) -> Result<Role, Error> {
    // Longer names are not found: the cache compares 64 bytes, and nothing is cut.
    let unknown = || Error::UnknownRole(name.to_owned());
    if name.len() > 63 {
        return Err(unknown());
    }
    let role = pg::role::by_name(&CString::new(name).map_err(|_| unknown())?).ok_or_else(unknown)?;
    let reached = pg::role::memberships(role.oid);
    for other in std::iter::once(role.clone()).chain(reached.into_iter().filter_map(pg::role::by_oid)) {
        if let Some(what) = power(&other, other.oid == role.oid) {
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
    } else if OUTSIDE.contains(&role.name.as_str()) {
        Some("acts on the server itself")
    } else if itself && role.name.starts_with("pg_") {
        Some("is a predefined role")
    } else {
        None
    }
}
