//! ProcessUtility: every utility statement, from wherever it is run.

use pgrx::{pg_guard, pg_sys};

use crate::durable;
use crate::error::raise;
use crate::identity::{self, confine};
use crate::names::rule;
use crate::pg::compat;
use crate::pg::grant;
use crate::pg::node;
use crate::replication;
use crate::rows::revoked;
use crate::version;

static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

pub fn install() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// No guard, and no value with a destructor in this frame: an ERROR from below jumps straight over it.
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const core::ffi::c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the arguments are the server's own and live for this call; PREVIOUS is written once, while preloading.
    unsafe {
        let context = decide(statement, context);
        let before = before(statement);
        match PREVIOUS {
            Some(next) => next(statement, query, read_only, context, params, environment, dest, completion),
            None => compat::standard_ProcessUtility(
                statement,
                query,
                read_only,
                context,
                params,
                environment,
                dest,
                completion,
            ),
        }
        after(before);
    }
}

/// What is to be known after a statement of the time before it. It has no destructor: an ERROR jumps over it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Before {
    /// What a statement that may take privileges away is to be compared with.
    revoked: revoked::Before,
    /// Where the list of touched subprograms ended.
    touched: usize,
    /// What the statement does to our extension.
    extension: node::OfExtension,
}

#[pg_guard]
unsafe extern "C-unwind" fn before(statement: *mut pg_sys::PlannedStmt) -> Before {
    // SAFETY: the statement is the one that the server passed to the hook.
    if unsafe { node::runs_extension_script(statement) } {
        replication::script_begins();
    }
    // SAFETY: as above.
    if unsafe { node::copies_into_ours(statement) } {
        durable::writes_by_hand();
    }
    // SAFETY: as above.
    let granted = unsafe { grant::targets(statement) };
    if !granted.is_empty() {
        replication::judge_grant(&granted);
        // SAFETY: as above.
        if unsafe { grant::is_on_functions(statement) } {
            replication::touched_by_grant(&granted);
        }
    }
    // SAFETY: as above.
    let disowned = unsafe { grant::disowned(statement) };
    if !disowned.is_empty() {
        replication::judge_disowned(&disowned);
    }
    // SAFETY: as above.
    let takes = unsafe { node::takes(statement) };
    // SAFETY: as above.
    let extension = unsafe { node::of_extension(statement, c"postern") };
    if extension == node::OfExtension::Update {
        version::before_update();
    }
    Before { revoked: revoked::before(takes), touched: rule::before(), extension }
}

#[pg_guard]
unsafe extern "C-unwind" fn after(before: Before) {
    revoked::after(before.revoked);
    if let Err(error) = rule::after(before.touched) {
        raise(error);
    }
    if before.extension == node::OfExtension::Create && version::is_other() {
        // Our own script of another version has made what the rules ask; they ask what this library's has.
        replication::forget();
    } else {
        replication::judge();
    }
    if before.extension != node::OfExtension::Nothing {
        version::after(before.extension == node::OfExtension::Update);
        durable::updated();
    }
}

/// Refuses by raising, or gives the context to go on with. While entered nothing is at top level, so that nothing can commit
/// or run transactions of its own: not CALL, not DO, not VACUUM. A process that entered for its life runs such a statement.
#[pg_guard]
unsafe extern "C-unwind" fn decide(
    statement: *mut pg_sys::PlannedStmt,
    context: pg_sys::ProcessUtilityContext::Type,
) -> pg_sys::ProcessUtilityContext::Type {
    use pg_sys::ProcessUtilityContext as C;
    // SAFETY: the statement is the one that the server passed to the hook.
    if let Some(database) = unsafe { node::database_for_itself(statement) } {
        durable::make_way(&database);
        replication::make_way(&database);
    }
    if !identity::is_entered() {
        return context;
    }
    identity::kept::reads();
    // SAFETY: the statement is the one that the server passed to the hook.
    let kind = unsafe { node::utility(statement, crate::guc::is_claim_setting) };
    if let Err(error) = confine::utility(kind) {
        raise(error);
    }
    // It may build an index with workers.
    identity::share_with_workers();
    if identity::enter::is_for_life() {
        return context;
    }
    match context {
        C::PROCESS_UTILITY_TOPLEVEL | C::PROCESS_UTILITY_QUERY_NONATOMIC => C::PROCESS_UTILITY_QUERY,
        nested => nested,
    }
}
