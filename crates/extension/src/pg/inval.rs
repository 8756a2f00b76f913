//! Invalidation: the server tells each backend when a catalog row or a relation that it may remember has changed
//! (`src/backend/utils/cache/inval.c`).
//!
//! Messages are sent after the change is visible, and received at the latest when the next transaction begins. What was
//! read before is therefore forgotten before it can be wrong.

use std::cell::Cell;

use pgrx::{pg_guard, pg_sys};

use super::role_setting;

thread_local! {
    static FORGET: Cell<Option<fn()>> = const { Cell::new(None) };
    static RELATION: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// Has `forget` called, from now on, whenever a role, a membership, the settings of one, or the relation of [`watch_relation`]
/// may have changed. It is the same in every call.
pub fn watch(forget: fn()) {
    if FORGET.replace(Some(forget)).is_some() {
        return;
    }
    let none = pg_sys::Datum::from(0);
    // SAFETY: registered once in this backend; the functions live as long as it does.
    unsafe {
        for cache in [pg_sys::SysCacheIdentifier::AUTHOID, pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE] {
            pg_sys::CacheRegisterSyscacheCallback(cache.cast_signed(), Some(catalog_changed), none);
        }
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), none);
    }
}

/// The relation whose changes are heard of too.
pub fn watch_relation(relation: pg_sys::Oid) {
    RELATION.set(relation);
}

/// Hears what other backends have told. The server does so by itself when it locks a relation, and when a transaction begins.
pub fn hear() {
    // SAFETY: in a transaction; calls what was registered, as the server does at any lock.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

/// Tells every backend, when the transaction commits, that `relation` has changed. May raise if there is none.
pub fn changed(relation: pg_sys::Oid) {
    // SAFETY: called in a transaction, where the relation is being changed.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) };
}

fn forget() {
    if let Some(forget) = FORGET.get() {
        forget();
    }
}

#[pg_guard]
extern "C-unwind" fn catalog_changed(_arg: pg_sys::Datum, _cache: core::ffi::c_int, _hash: u32) {
    forget();
}

#[pg_guard]
extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    // No OID: messages were lost, and anything may have changed.
    let ours = [pg_sys::InvalidOid, role_setting::RELATION, RELATION.get()];
    if ours.contains(&relation) {
        forget();
    }
}

/// How many parts may watch all relations.
const PARTS: usize = 2;

/// Who is to be told of a relation.
type Watchers = [Option<fn(pg_sys::Oid)>; PARTS];

thread_local! {
    static RELATIONS: Cell<Watchers> = const { Cell::new([None; PARTS]) };
}

/// Has `forget` called with every relation that may have changed; with 0 when any of them may have. By at most [`PARTS`] parts, each
/// with the same function every time.
pub fn watch_relations(forget: fn(pg_sys::Oid)) {
    let mut parts = RELATIONS.get();
    if parts.iter().flatten().any(|known| core::ptr::fn_addr_eq(*known, forget)) {
        return;
    }
    if parts[0].is_none() {
        // SAFETY: registered once in this backend; the function lives as long as it does.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(any_relation_changed), pg_sys::Datum::from(0));
        }
    }
    // Whoever is not called would go by what is no more.
    *parts.iter_mut().find(|part| part.is_none()).expect("a free place for a part") = Some(forget);
    RELATIONS.set(parts);
}

#[pg_guard]
extern "C-unwind" fn any_relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    for forget in RELATIONS.get().into_iter().flatten() {
        forget(relation);
    }
}

thread_local! {
    static EXTENSIONS: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has `forget` called whenever somebody has told that an extension of this database has changed. Always the same function.
pub fn watch_extensions(forget: fn()) {
    if EXTENSIONS.replace(Some(forget)).is_none() {
        // SAFETY: registered once in this backend; the function lives as long as it does.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(extension_changed), pg_sys::Datum::from(0));
        }
    }
}

#[pg_guard]
extern "C-unwind" fn extension_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    // No OID: messages were lost.
    if (relation == pg_sys::InvalidOid || relation == super::catalog::EXTENSIONS)
        && let Some(forget) = EXTENSIONS.get()
    {
        forget();
    }
}

/// Tells every backend that all relations have changed: no plan outlives it.
pub fn all_changed() {
    // SAFETY: called in a transaction.
    unsafe { pg_sys::CacheInvalidateRelcacheAll() };
}

/// Has every saved plan made again once a role, a membership or the owner of a database has changed, if `matters` says so. The server does so itself
/// from 15.19, 16.15, 17.11 and 18.5 on.
pub fn plan_again_after_roles(matters: fn() -> bool) {
    if MATTERS.replace(Some(matters)).is_none() {
        // SAFETY: registered once in this backend; the function lives as long as it does.
        unsafe {
            // Whoever owns the database is a member of pg_database_owner.
            for cache in [
                pg_sys::SysCacheIdentifier::AUTHOID,
                pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
                pg_sys::SysCacheIdentifier::DATABASEOID,
            ] {
                let none = pg_sys::Datum::from(0);
                pg_sys::CacheRegisterSyscacheCallback(cache.cast_signed(), Some(roles_changed), none);
            }
        }
    }
}

thread_local! {
    static MATTERS: Cell<Option<fn() -> bool>> = const { Cell::new(None) };
}

#[pg_guard]
extern "C-unwind" fn roles_changed(_arg: pg_sys::Datum, _cache: core::ffi::c_int, _hash: u32) {
    if MATTERS.get().is_some_and(|matters| matters()) {
        // SAFETY: marks plans as invalid, and does nothing else; the server's own callbacks do the same.
        unsafe { pg_sys::ResetPlanCache() };
    }
}
