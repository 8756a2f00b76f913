//! What differs between versions of the server, and what the bindings do not declare. No other file knows versions.

use pgrx::pg_sys;

/// Attribute number of `roleid` in `pg_auth_members`: 16 put `oid` before it.
#[cfg(feature = "pg15")]
pub const ANUM_AUTH_MEMBERS_ROLEID: pg_sys::AttrNumber = 1;
/// Attribute number of `roleid` in `pg_auth_members`.
#[cfg(not(feature = "pg15"))]
pub const ANUM_AUTH_MEMBERS_ROLEID: pg_sys::AttrNumber = 2;

/// Attribute number of `conrelid` in `pg_constraint`: 18 put `conenforced` before it.
#[cfg(not(feature = "pg18"))]
pub const ANUM_CONSTRAINT_CONRELID: pg_sys::AttrNumber = 8;
/// Attribute number of `conrelid` in `pg_constraint`.
#[cfg(feature = "pg18")]
pub const ANUM_CONSTRAINT_CONRELID: pg_sys::AttrNumber = 9;

/// Attribute number of `contypid` in `pg_constraint`.
pub const ANUM_CONSTRAINT_CONTYPID: pg_sys::AttrNumber = ANUM_CONSTRAINT_CONRELID + 1;

/// OID of `pg_catalog.pg_prepared_statement()`, the function behind the view `pg_prepared_statements`
/// (`src/include/catalog/pg_proc.dat`; OIDs below 10000 never change).
pub const PG_PREPARED_STATEMENT: pg_sys::Oid = pg_sys::Oid::from_u32(2510);

/// OIDs of the functions that take or release advisory locks of the session, as above.
pub const SESSION_LOCKS: core::ops::RangeInclusive<u32> = 2880..=2892;

/// OID of `pg_catalog.pg_cursor()`, the function behind the view `pg_cursors`, as above.
pub const PG_CURSOR: pg_sys::Oid = pg_sys::Oid::from_u32(2511);

/// OIDs of the functions that take a descriptor of a large object, as above: `lo_close`, `loread`, `lowrite`, `lo_lseek`, `lo_tell`,
/// `lo_truncate`, and the last three with 64 bits.
pub const OF_LARGE_OBJECTS: [u32; 9] = [953, 954, 955, 956, 958, 1004, 3170, 3171, 3172];

/// OID of `pg_catalog.setseed(float8)`, as above.
pub const SETSEED: pg_sys::Oid = pg_sys::Oid::from_u32(1599);

/// All settings.
///
/// # Safety
/// What is returned is used before any setting is defined.
#[cfg(feature = "pg15")]
pub unsafe fn guc_variables() -> &'static [*mut pg_sys::config_generic] {
    // SAFETY: the server's own array and its length.
    unsafe {
        let count = usize::try_from(pg_sys::GetNumConfigOptions()).unwrap_or(0);
        core::slice::from_raw_parts(pg_sys::get_guc_variables(), count)
    }
}
/// All settings.
///
/// # Safety
/// What is returned is used before the memory context is reset and any setting is defined.
#[cfg(not(feature = "pg15"))]
pub unsafe fn guc_variables() -> &'static [*mut pg_sys::config_generic] {
    let mut count = 0;
    // SAFETY: an array in the current memory context, and its length.
    unsafe {
        let array = pg_sys::get_guc_variables(&raw mut count);
        core::slice::from_raw_parts(array, usize::try_from(count).unwrap_or(0))
    }
}

/// Defines a hook of ExecutorRun that calls `$before` with the query and passes on. 18 has one argument less.
#[cfg(not(feature = "pg18"))]
macro_rules! executor_run_hook {
    ($(#[$doc:meta])* fn $name:ident($before:ident, $previous:ident)) => {
        $(#[$doc])*
        unsafe extern "C-unwind" fn $name(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
            once: bool,
        ) {
            // SAFETY: the arguments are the server's own and live for this call; the previous hook is written once, while
            // preloading.
            unsafe {
                $before(query);
                match $previous {
                    Some(next) => next(query, direction, count, once),
                    None => compat::standard_ExecutorRun(query, direction, count, once),
                }
            }
        }
    };
}
/// Defines a hook of ExecutorRun that calls `$before` with the query and passes on.
#[cfg(feature = "pg18")]
macro_rules! executor_run_hook {
    ($(#[$doc:meta])* fn $name:ident($before:ident, $previous:ident)) => {
        $(#[$doc])*
        unsafe extern "C-unwind" fn $name(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
        ) {
            // SAFETY: the arguments are the server's own and live for this call; the previous hook is written once, while
            // preloading.
            unsafe {
                $before(query);
                match $previous {
                    Some(next) => next(query, direction, count),
                    None => compat::standard_ExecutorRun(query, direction, count),
                }
            }
        }
    };
}
pub(crate) use executor_run_hook;

unsafe extern "C-unwind" {
    /// The plain function, as the next one.
    #[cfg(not(feature = "pg18"))]
    pub fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        once: bool,
    );
    /// The plain function, as the next one.
    #[cfg(feature = "pg18")]
    pub fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
    );
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

// Not "C-unwind": these only read or assign variables of the process, and never raise. They are called several times in every
// entering: the guard that the bindings put round each call costs more than the call.
unsafe extern "C" {
    /// `src/backend/commands/sequence.c`: forgets what `lastval()` and cached sequence values hold.
    pub fn ResetSequenceCaches();
    /// `src/backend/utils/cache/ts_cache.c`: forgets which configuration `default_text_search_config` means. 16 renamed it.
    #[cfg_attr(feature = "pg15", link_name = "assign_TSCurrentConfig")]
    pub fn assign_default_text_search_config(value: *const core::ffi::c_char, extra: *mut core::ffi::c_void);
    /// `src/backend/utils/init/miscinit.c`.
    pub fn GetUserIdAndSecContext(user: *mut pg_sys::Oid, context: *mut core::ffi::c_int);
    /// `src/backend/utils/init/miscinit.c`.
    pub fn SetUserIdAndSecContext(user: pg_sys::Oid, context: core::ffi::c_int);
    /// `src/backend/utils/init/miscinit.c`.
    pub fn GetSessionUserId() -> pg_sys::Oid;
    /// `src/backend/access/transam/xact.c`.
    pub fn GetCurrentTransactionNestLevel() -> core::ffi::c_int;
    /// `src/backend/access/transam/xact.c`; in a process with a client the state is one of those that it knows.
    pub fn TransactionBlockStatusCode() -> core::ffi::c_char;
    /// `src/backend/access/transam/xact.c`.
    pub fn IsInParallelMode() -> bool;
    /// `src/backend/access/transam/xact.c`.
    pub fn GetTopTransactionIdIfAny() -> pg_sys::TransactionId;
    /// `src/backend/catalog/namespace.c`.
    pub fn GetTempNamespaceState(schema: *mut pg_sys::Oid, toast: *mut pg_sys::Oid);
    /// `src/backend/utils/misc/guc.c`.
    pub fn NewGUCNestLevel() -> core::ffi::c_int;
    /// `src/backend/replication/logical/worker.c`; asked while an error is being reported, where a guard has no place.
    pub fn IsLogicalWorker() -> bool;
}

unsafe extern "C-unwind" {
    /// `src/backend/catalog/partition.c`: OIDs, from the parent upwards.
    pub fn get_partition_ancestors(relation: pg_sys::Oid) -> *mut pg_sys::List;
    /// The server's own handler of SIGHUP.
    pub fn SignalHandlerForConfigReload(signal: core::ffi::c_int);
    /// The server's own handler of SIGTERM: the process ends at the next place where it can.
    pub fn die(signal: core::ffi::c_int);
    /// The server's own handler of SIGINT: the statement is cancelled.
    pub fn StatementCancelHandler(signal: core::ffi::c_int);
}

// Not "C-unwind": none of them raises.
unsafe extern "C" {
    /// Sets a handler. 18 renamed it for processes of the server.
    #[cfg_attr(feature = "pg18", link_name = "pqsignal_be")]
    pub fn pqsignal(
        signal: core::ffi::c_int,
        handler: Option<unsafe extern "C-unwind" fn(core::ffi::c_int)>,
    ) -> *mut core::ffi::c_void;
    /// `src/backend/utils/misc/timeout.c`.
    pub fn enable_timeout_after(id: core::ffi::c_int, milliseconds: core::ffi::c_int);
    /// `src/backend/utils/misc/timeout.c`.
    pub fn disable_timeout(id: core::ffi::c_int, keep_indicator: bool);
}

// Settings that say how literals are read, and that the bindings do not declare.
unsafe extern "C" {
    /// `src/backend/parser/scan.l`.
    pub static standard_conforming_strings: bool;
    /// `src/backend/parser/scan.l`.
    pub static backslash_quote: core::ffi::c_int;
    /// `src/backend/utils/adt/varlena.c`.
    pub static bytea_output: core::ffi::c_int;
    /// `src/backend/utils/adt/xml.c`.
    pub static xmloption: core::ffi::c_int;
    /// `src/backend/utils/adt/pg_locale.c`.
    pub static locale_monetary: *const core::ffi::c_char;
    /// `src/backend/utils/adt/pg_locale.c`.
    pub static locale_numeric: *const core::ffi::c_char;
    /// `src/backend/utils/adt/pg_locale.c`.
    pub static locale_time: *const core::ffi::c_char;
}

/// How that begins which PL/pgSQL keeps of a function (`PLpgSQL_function`, `src/pl/plpgsql/src/plpgsql.h`).
#[cfg(not(feature = "pg18"))]
#[repr(C)]
#[derive(Debug)]
pub struct CompiledFunction {
    signature: *mut core::ffi::c_char,
    function: pg_sys::Oid,
    /// What made the row of `pg_proc` that it was compiled from.
    pub xmin: pg_sys::TransactionId,
}
/// How that begins which languages keep of a function (`CachedFunction`, `src/include/utils/funccache.h`). The key begins with the
/// function.
#[cfg(feature = "pg18")]
#[repr(C)]
#[derive(Debug)]
pub struct CompiledFunction {
    key: *const pg_sys::Oid,
    /// What made the row of `pg_proc` that it was compiled from.
    pub xmin: pg_sys::TransactionId,
}

/// Whether the server keeps functions in SQL from one call to the next, as PL/pgSQL does: from 18 on.
pub const KEEPS_SQL: bool = cfg!(feature = "pg18");

/// Whether a call is one of a function in SQL, which the server keeps.
///
/// # Safety
/// What the function manager has passed to its hook.
pub unsafe fn is_kept_sql(info: *const pg_sys::FmgrInfo) -> bool {
    unsafe extern "C-unwind" {
        /// `src/backend/executor/functions.c`.
        fn fmgr_sql(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    }
    // SAFETY: the caller's word.
    KEEPS_SQL
        && unsafe { (*info).fn_addr }.is_some_and(|address| {
            core::ptr::fn_addr_eq(
                address,
                fmgr_sql as unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
            )
        })
}

/// What a language keeps of a function, as a call of it has found it; null if it has not. That it is what we think is seen by the
/// function that it is of.
///
/// # Safety
/// What the function manager has passed to its hook, for a call of a function in PL/pgSQL, or of one of [`is_kept_sql`].
pub unsafe fn compiled(info: *const pg_sys::FmgrInfo) -> *mut CompiledFunction {
    let null = core::ptr::null_mut();
    // SAFETY: the caller's word. What a function in SQL has for its calls begins with a pointer to what is kept of it
    // (`SQLFunctionCache`).
    unsafe {
        let mut compiled = (*info).fn_extra.cast::<CompiledFunction>();
        if !compiled.is_null() && is_kept_sql(info) {
            compiled = *compiled.cast::<*mut CompiledFunction>();
        }
        if compiled.is_null() {
            return null;
        }
        #[cfg(not(feature = "pg18"))]
        let function = (*compiled).function;
        #[cfg(feature = "pg18")]
        let function = if (*compiled).key.is_null() { return null } else { *(*compiled).key };
        if function == (*info).fn_oid { compiled } else { null }
    }
}

/// `STATEMENT_TIMEOUT` of `src/include/utils/timeout.h`: the fourth since 9.3.
pub const STATEMENT_TIMEOUT: core::ffi::c_int = 3;

/// Whether a role has CONNECT on a database. 16 made one function of what was one for each kind of object.
///
/// # Safety
/// In a transaction.
pub unsafe fn may_connect(role: pg_sys::Oid, database: pg_sys::Oid) -> bool {
    let mode = pg_sys::AclMode::from(pg_sys::ACL_CONNECT);
    // SAFETY: the caller's word.
    #[cfg(feature = "pg15")]
    let result = unsafe { pg_sys::pg_database_aclcheck(database, role, mode) };
    // SAFETY: the caller's word.
    #[cfg(not(feature = "pg15"))]
    let result = unsafe { pg_sys::object_aclcheck(pg_sys::DatabaseRelationId, database, role, mode) };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether a member may make a role its own by SET ROLE. From 16 on a membership may be without that: the one that CREATEROLE gives to who
/// creates a role, for one.
///
/// # Safety
/// In a transaction.
pub unsafe fn may_set_role(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: the caller's word.
    #[cfg(feature = "pg15")]
    return unsafe { pg_sys::is_member_of_role(member, role) };
    // SAFETY: the caller's word.
    #[cfg(not(feature = "pg15"))]
    return unsafe { pg_sys::member_can_set_role(member, role) };
}

/// Whether a role owns a database. 16 made one function of what was one for each kind of object.
///
/// # Safety
/// In a transaction.
pub unsafe fn owns_database(role: pg_sys::Oid, database: pg_sys::Oid) -> bool {
    // SAFETY: the caller's word.
    #[cfg(feature = "pg15")]
    return unsafe { pg_sys::pg_database_ownercheck(database, role) };
    // SAFETY: the caller's word.
    #[cfg(not(feature = "pg15"))]
    return unsafe { pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, role) };
}

/// Runs a portal to its end, at top level. 18 has one argument less.
///
/// # Safety
/// A portal that was started; the receiver takes what it gives.
pub unsafe fn portal_run(
    portal: pg_sys::Portal,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the caller's word.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        pg_sys::PortalRun(portal, core::ffi::c_long::MAX, true, true, receiver, receiver, completion);
    }
    // SAFETY: the caller's word.
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::PortalRun(portal, core::ffi::c_long::MAX, true, receiver, receiver, completion);
    }
}

type Mutator = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut core::ffi::c_void) -> *mut pg_sys::Node;
type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut core::ffi::c_void) -> bool;

// Plain functions, for the reason above; 16 renamed them and made macros of the old names.
unsafe extern "C-unwind" {
    /// Visits what is in a query (`src/backend/nodes/nodeFuncs.c`).
    #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_walker_impl")]
    pub fn query_tree_walker(
        query: *mut pg_sys::Query,
        walker: Walker,
        context: *mut core::ffi::c_void,
        flags: core::ffi::c_int,
    ) -> bool;

    /// Visits what is in an expression.
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
    pub fn expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: Walker,
        context: *mut core::ffi::c_void,
    ) -> bool;

    /// Copies a query, with what the mutator makes of what is in it.
    #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_mutator_impl")]
    pub fn query_tree_mutator(
        query: *mut pg_sys::Query,
        mutator: Mutator,
        context: *mut core::ffi::c_void,
        flags: core::ffi::c_int,
    ) -> *mut pg_sys::Query;

    /// Copies an expression, with what the mutator makes of what is in it.
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_mutator_impl")]
    pub fn expression_tree_mutator(
        node: *mut pg_sys::Node,
        mutator: Mutator,
        context: *mut core::ffi::c_void,
    ) -> *mut pg_sys::Node;

    /// Asks about each function that the node itself calls (`src/backend/nodes/nodeFuncs.c`).
    pub fn check_functions_in_node(
        node: *mut pg_sys::Node,
        checker: unsafe extern "C-unwind" fn(pg_sys::Oid, *mut core::ffi::c_void) -> bool,
        context: *mut core::ffi::c_void,
    ) -> bool;

    /// `src/backend/utils/cache/lsyscache.c`.
    pub fn func_parallel(function: pg_sys::Oid) -> core::ffi::c_char;

    /// `src/backend/rewrite/rewriteManip.c`.
    pub fn checkExprHasSubLink(node: *mut pg_sys::Node) -> bool;

    /// Moves variables of the levels from `from` on by `by` levels, in place (`src/backend/rewrite/rewriteManip.c`).
    pub fn IncrementVarSublevelsUp(node: *mut pg_sys::Node, by: core::ffi::c_int, from: core::ffi::c_int);

    /// `src/backend/optimizer/plan/planner.c`.
    pub fn standard_planner(
        parse: *mut pg_sys::Query,
        query: *const core::ffi::c_char,
        options: core::ffi::c_int,
        params: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
}

/// The user that a range-table entry is checked as (0: the current one), and the privileges it needs; `None` if it needs none.
///
/// # Safety
/// `entry` is a relation of the range table of `query`.
#[cfg(feature = "pg15")]
#[allow(clippy::unnecessary_wraps, reason = "as in the other versions")]
pub unsafe fn permissions(
    _query: *const pg_sys::Query,
    entry: *const pg_sys::RangeTblEntry,
) -> Option<(pg_sys::Oid, pg_sys::AclMode)> {
    // SAFETY: the caller's word.
    unsafe { Some(((*entry).checkAsUser, (*entry).requiredPerms)) }
}

/// The user that a range-table entry is checked as (0: the current one), and the privileges it needs; `None` if it needs none.
///
/// # Safety
/// `entry` is a relation of the range table of `query`.
#[cfg(not(feature = "pg15"))]
pub unsafe fn permissions(
    query: *const pg_sys::Query,
    entry: *const pg_sys::RangeTblEntry,
) -> Option<(pg_sys::Oid, pg_sys::AclMode)> {
    // SAFETY: the caller's word; an entry with a number has its permissions in the list of the query.
    unsafe {
        if (*entry).perminfoindex == 0 {
            return None;
        }
        let info = pg_sys::getRTEPermissionInfo((*query).rteperminfos, entry.cast_mut());
        Some(((*info).checkAsUser, (*info).requiredPerms))
    }
}

/// Relation, user and privileges that the executor checks before it runs the plan.
///
/// # Safety
/// `plan` is a finished plan.
pub unsafe fn planned_permissions(
    plan: *const pg_sys::PlannedStmt,
) -> Vec<(pg_sys::Oid, pg_sys::Oid, pg_sys::AclMode)> {
    // SAFETY: the lists of a plan are lists of these nodes.
    unsafe {
        #[cfg(feature = "pg15")]
        let list = (*plan).rtable;
        #[cfg(not(feature = "pg15"))]
        let list = (*plan).permInfos;
        let length = if list.is_null() { 0 } else { usize::try_from((*list).length).unwrap_or(0) };
        (0..length)
            .map(|n| (*(*list).elements.add(n)).ptr_value)
            .filter_map(|node| {
                #[cfg(feature = "pg15")]
                let info = &*node.cast::<pg_sys::RangeTblEntry>();
                #[cfg(feature = "pg15")]
                if info.rtekind != pg_sys::RTEKind::RTE_RELATION {
                    return None;
                }
                #[cfg(not(feature = "pg15"))]
                let info = &*node.cast::<pg_sys::RTEPermissionInfo>();
                Some((info.relid, info.checkAsUser, info.requiredPerms))
            })
            .collect()
    }
}
