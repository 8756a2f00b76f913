//! Roles, and what they are members of, from the system caches.

use std::collections::HashSet;
use std::ffi::CStr;

use pgrx::pg_sys;

use super::compat;

/// What `pg_authid` says of a role.
#[allow(clippy::struct_excessive_bools, reason = "they are columns of pg_authid")]
#[derive(Debug, Clone)]
pub struct Role {
    /// Its OID.
    pub oid: pg_sys::Oid,
    /// Its name.
    pub name: String,
    /// SUPERUSER.
    pub superuser: bool,
    /// BYPASSRLS.
    pub bypass_rls: bool,
    /// CREATEROLE.
    pub creates_roles: bool,
    /// REPLICATION.
    pub replication: bool,
    /// LOGIN.
    pub login: bool,
    /// CREATEDB.
    pub creates_databases: bool,
}

/// The role of exactly this name. May raise as any catalog read may.
pub fn by_name(name: &CStr) -> Option<Role> {
    // SAFETY: the key is a C string that lives during the call; `read` takes over the tuple.
    unsafe {
        read(pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::AUTHNAME.cast_signed(),
            pg_sys::Datum::from(name.as_ptr()),
        ))
    }
}

/// The role with this OID. May raise as any catalog read may.
pub fn by_oid(oid: pg_sys::Oid) -> Option<Role> {
    // SAFETY: as in `by_name`.
    unsafe {
        read(pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::AUTHOID.cast_signed(),
            pg_sys::Datum::from(oid),
        ))
    }
}

/// # Safety
/// `tuple` is null or a pinned tuple of `pg_authid` from a system cache; it is released here.
unsafe fn read(tuple: pg_sys::HeapTuple) -> Option<Role> {
    if tuple.is_null() {
        return None;
    }
    // SAFETY: the fixed part of a tuple of pg_authid is a FormData_pg_authid; the name ends with NUL.
    unsafe {
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_authid>();
        let role = Role {
            oid: (*form).oid,
            name: CStr::from_ptr((*form).rolname.data.as_ptr()).to_string_lossy().into_owned(),
            superuser: (*form).rolsuper,
            bypass_rls: (*form).rolbypassrls,
            creates_roles: (*form).rolcreaterole,
            replication: (*form).rolreplication,
            login: (*form).rolcanlogin,
            creates_databases: (*form).rolcreatedb,
        };
        pg_sys::ReleaseSysCache(tuple);
        Some(role)
    }
}

/// Every role that `role` is a member of, directly or not, with INHERIT or without; itself not included.
pub fn memberships(role: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut seen = HashSet::from([role]);
    let mut found = Vec::new();
    let mut next = vec![role];
    while let Some(member) = next.pop() {
        for oid in direct_memberships(member) {
            if seen.insert(oid) {
                found.push(oid);
                next.push(oid);
            }
        }
    }
    found
}

fn direct_memberships(member: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let cache = pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE.cast_signed();
    // SAFETY: the list is pinned until it is released; its members are tuples of pg_auth_members, where roleid is NOT NULL.
    // An error in between releases the list with the transaction's resource owner.
    unsafe {
        let none = pg_sys::Datum::from(0);
        let list = pg_sys::SearchSysCacheList(cache, 1, pg_sys::Datum::from(member), none, none);
        let count = usize::try_from((*list).n_members).unwrap_or(0);
        let roles = (*list).members.as_slice(count).iter().map(|tuple| {
            let mut is_null = false;
            let datum = pg_sys::SysCacheGetAttr(
                cache,
                &raw mut (**tuple).tuple,
                compat::ANUM_AUTH_MEMBERS_ROLEID,
                &raw mut is_null,
            );
            pg_sys::Oid::from_datum_u32(datum)
        });
        let roles = roles.collect();
        pg_sys::ReleaseCatCacheList(list);
        roles
    }
}

trait FromDatumU32 {
    fn from_datum_u32(datum: pg_sys::Datum) -> Self;
}

impl FromDatumU32 for pg_sys::Oid {
    fn from_datum_u32(datum: pg_sys::Datum) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "an OID fills the lower 32 bits of its datum")]
        pg_sys::Oid::from_u32(datum.value() as u32)
    }
}

/// Whether a role may connect to a database.
pub fn may_connect(role: pg_sys::Oid, database: pg_sys::Oid) -> bool {
    // SAFETY: asks the catalogs, in a transaction; may raise as any catalog read may.
    unsafe { compat::may_connect(role, database) }
}

/// Whether a role owns a database, as a superuser does.
pub fn owns_database(role: pg_sys::Oid, database: pg_sys::Oid) -> bool {
    // SAFETY: asks the catalogs, in a transaction; may raise as any catalog read may.
    unsafe { compat::owns_database(role, database) }
}

/// The name of a role; for messages.
pub fn name(oid: pg_sys::Oid) -> String {
    by_oid(oid).map_or_else(|| format!("{}", oid.to_u32()), |role| role.name)
}

/// Whether `member` may make `role` its own by SET ROLE. May raise as any catalog read may.
pub fn may_set(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: asks the system caches, in a transaction.
    unsafe { compat::may_set_role(member, role) }
}

/// Whether there is a role with this OID. May raise as any catalog read may.
pub fn exists(oid: pg_sys::Oid) -> bool {
    let none = pg_sys::Datum::from(0);
    // SAFETY: reads the system cache.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::AUTHOID.cast_signed();
        pg_sys::SearchSysCacheExists(cache, pg_sys::Datum::from(oid), none, none, none)
    }
}

/// Whether `member` has the privileges of `role`: it is it, inherits it, or is a superuser. May raise as any catalog read may.
pub fn has_privileges_of(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the system caches.
    unsafe { pg_sys::has_privs_of_role(member, role) }
}
