//! What differs between versions of the server, and what the bindings do not declare. No other file knows versions.

use pgrx::pg_sys;

/// Attribute number of `roleid` in `pg_auth_members`: 16 put `oid` before it.
#[cfg(feature = "pg15")]
pub const ANUM_AUTH_MEMBERS_ROLEID: pg_sys::AttrNumber = 1;
/// Attribute number of `roleid` in `pg_auth_members`.
#[cfg(not(feature = "pg15"))]
pub const ANUM_AUTH_MEMBERS_ROLEID: pg_sys::AttrNumber = 2;

/// OID of `pg_catalog.pg_prepared_statement()`, the function behind the view `pg_prepared_statements`
/// (`src/include/catalog/pg_proc.dat`; OIDs below 10000 never change).
pub const PG_PREPARED_STATEMENT: pg_sys::Oid = pg_sys::Oid::from_u32(2510);

unsafe extern "C-unwind" {
    /// The plain function: `pg_sys::standard_ProcessUtility` is a guarded wrapper, and would put a frame of Rust between
    /// an error and its handler.
    pub fn standard_ProcessUtility(
        pstmt: *mut pg_sys::PlannedStmt,
        query: *const core::ffi::c_char,
        read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        dest: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

// Not "C-unwind": it never raises.
unsafe extern "C" {
    /// `src/backend/commands/sequence.c`: forgets what `lastval()` and cached sequence values hold. Never raises.
    pub fn ResetSequenceCaches();
}
