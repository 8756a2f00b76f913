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

// Signals: the server's own handlers, and how one is set. 18 renamed the latter for processes of the server.
unsafe extern "C-unwind" {
    pub fn SignalHandlerForConfigReload(signal: core::ffi::c_int);
    pub fn die(signal: core::ffi::c_int);
    pub fn StatementCancelHandler(signal: core::ffi::c_int);
    #[cfg_attr(feature = "pg18", link_name = "pqsignal_be")]
    pub fn pqsignal(
        signal: core::ffi::c_int,
        handler: Option<unsafe extern "C-unwind" fn(core::ffi::c_int)>,
    ) -> *mut core::ffi::c_void;
}

/// `STATEMENT_TIMEOUT` of `src/include/utils/timeout.h`: the fourth since 9.3.
pub const STATEMENT_TIMEOUT: core::ffi::c_int = 3;

unsafe extern "C-unwind" {
    /// `src/backend/utils/misc/timeout.c`.
    pub fn enable_timeout_after(id: core::ffi::c_int, milliseconds: core::ffi::c_int);
    /// `src/backend/utils/misc/timeout.c`.
    pub fn disable_timeout(id: core::ffi::c_int, keep_indicator: bool);
}
