//! What of a session outlasts a transaction, and its removal.

use pgrx::pg_sys;

use super::compat;

/// Releases every advisory lock that the session holds. The server calls the same function for
/// `pg_advisory_unlock_all()`; it warns, but does not raise, when its own table is inconsistent.
pub fn release_advisory_locks() {
    // SAFETY: walks the backend's own table of locks; needs no transaction.
    unsafe { pg_sys::LockReleaseSession(pg_sys::USER_LOCKMETHOD.try_into().unwrap_or(2)) };
}

/// Forgets cached sequence values and `lastval()`. Never raises.
pub fn forget_sequences() {
    // SAFETY: drops a hash table of the backend.
    unsafe { compat::ResetSequenceCaches() };
}

/// Forgets which text search configuration is the default: it was found by the path of whoever needed it first. Never raises.
pub fn forget_text_search() {
    // SAFETY: assigns one variable of the backend, and looks at neither argument.
    unsafe { compat::assign_default_text_search_config(core::ptr::null(), core::ptr::null_mut()) };
}

/// The session's schema for temporary objects, with something in it or not; the invalid OID if it has none.
pub fn temp_schema() -> pg_sys::Oid {
    let (mut schema, mut toast) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: only assigns to the two.
    unsafe { compat::GetTempNamespaceState(&raw mut schema, &raw mut toast) };
    schema
}

/// Whether it has one.
pub fn has_temp_schema() -> bool {
    temp_schema() != pg_sys::InvalidOid
}

/// Drops all temporary objects of the session, as DISCARD TEMP does. May raise, for instance when so many locks are needed
/// that the lock table overflows.
pub fn drop_temp() {
    // SAFETY: called inside a transaction.
    unsafe { pg_sys::ResetTempTableNamespace() };
}

/// When the client's statement began: microseconds since 2000-01-01 00:00 UTC. The same for whatever it calls.
pub fn statement_began() -> i64 {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// Shows `text` as the statement of this session, to others and in the log of its errors, until its next one.
pub fn show_statement(text: &'static core::ffi::CStr) {
    // SAFETY: the text is copied into shared memory, and lives as long as the process. The state is what it is while a statement runs.
    unsafe {
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
        pg_sys::debug_query_string = text.as_ptr();
    }
}

/// The identifier that the cluster was given when it was made, and that its standbys have.
pub fn system_identifier() -> u64 {
    // SAFETY: reads shared memory that is set before there are backends.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// Fills `bytes` with randomness of the operating system; false if there was none.
pub fn random_bytes(bytes: &mut [u8]) -> bool {
    // SAFETY: pointer and length are those of one slice.
    unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// A random number in 0 … 1, for what is no secret: not the one that SQL sees.
pub fn random() -> f64 {
    let mut bytes = [0; 8];
    if !random_bytes(&mut bytes) {
        return 0.5;
    }
    // 52 bits of fraction give a number in 1 … 2, whatever they are.
    f64::from_bits((u64::from_ne_bytes(bytes) >> 12) | 1_f64.to_bits()) - 1.0
}

/// Seeds SQL's `random()` with a number in -1 … 1. Never raises for such a number.
pub fn seed_random(seed: f64) {
    use pgrx::IntoDatum;
    // SAFETY: `setseed(float8)` takes one argument that is not null, and returns void.
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::setseed, &[seed.into_datum()]) };
}
