//! One statement at top level, as a client's would be: it may commit, and begin transactions of its own
//! (`src/backend/tcop/postgres.c`, `exec_simple_query`; `src/backend/tcop/pquery.c`).
//!
//! A procedure that commits needs a portal that is being executed, and memory that outlives the transaction. So the statement has a
//! portal and a memory context of its own.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::caught::{self, Caught};
use super::compat;
use super::receiver::Bound;
use super::statement::{self, Output, Parameter};

/// Runs one statement as the current user, with the transactions that it makes, and commits; the user must stand already, since a
/// ROLLBACK inside goes back to whom the transaction began as. `limit` as for [`statement::run`]. An ERROR rolls back what was not committed, and is returned.
/// Outside a transaction, in a worker.
pub fn run(sql: &CStr, parameters: &[Parameter], limit: usize) -> Result<Output, Caught> {
    // SAFETY: outside a transaction. The context is current whenever the server is called, so that whatever restores it after an
    // ERROR restores one that still exists. After an ERROR the transaction is aborted as in the server's own main loop.
    unsafe {
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"postern statement".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        pg_sys::MemoryContextSwitchTo(context);
        let result = caught::catch(|| {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::MemoryContextSwitchTo(context);
            let output = execute(sql, parameters, limit);
            pg_sys::CommitTransactionCommand();
            output
        });
        if result.is_err() {
            pg_sys::AbortCurrentTransaction();
            pg_sys::PortalErrorCleanup();
        }
        pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        pg_sys::MemoryContextDelete(context);
        result
    }
}

/// # Safety
/// In a transaction without a snapshot, in a memory context that outlives it.
unsafe fn execute(sql: &CStr, parameters: &[Parameter], limit: usize) -> Output {
    // SAFETY: the parser gives a list of RawStmt. Types and values have as many elements as there are parameters. What the portal
    // needs is in the current context. No snapshot is active while it runs: it takes those that it needs.
    unsafe {
        let list = pg_sys::pg_parse_query(sql.as_ptr());
        if list.is_null() {
            return Output { columns: Vec::new(), rows: Vec::new() };
        }
        let raw = (*(*list).elements).ptr_value.cast::<pg_sys::RawStmt>();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let types: Vec<pg_sys::Oid> = parameters.iter().map(|parameter| parameter.type_oid).collect();
        let count = i32::try_from(parameters.len()).unwrap_or(0);
        let values = statement::values(parameters);
        let queries = pg_sys::pg_analyze_and_rewrite_fixedparams(
            raw,
            sql.as_ptr(),
            types.as_ptr(),
            count,
            core::ptr::null_mut(),
        );
        let parallel = pg_sys::CURSOR_OPT_PARALLEL_OK.cast_signed();
        let plans = pg_sys::pg_plan_queries(queries, sql.as_ptr(), parallel, values);
        pg_sys::PopActiveSnapshot();
        let portal = pg_sys::CreatePortal(c"".as_ptr(), true, true);
        (*portal).visible = false;
        let tag = pg_sys::CreateCommandTag((*raw).stmt);
        pg_sys::PortalDefineQuery(portal, core::ptr::null(), sql.as_ptr(), tag, plans, core::ptr::null_mut());
        pg_sys::PortalStart(portal, values, 0, core::ptr::null_mut());
        let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestNone);
        let mut completion = pg_sys::QueryCompletion::default();
        compat::portal_run(portal, receiver, &raw mut completion);
        let output = output(portal, limit);
        pg_sys::PortalDrop(portal, false);
        output
    }
}

/// What a portal has kept of what its statement returned. It keeps what is too much for memory on the disk.
///
/// # Safety
/// A portal that has run, in a transaction.
unsafe fn output(portal: pg_sys::Portal, limit: usize) -> Output {
    // SAFETY: what it has kept can be read again from the beginning, in its descriptor.
    unsafe {
        let (store, descriptor) = ((*portal).holdStore, (*portal).tupDesc);
        if store.is_null() || descriptor.is_null() {
            return Output { columns: Vec::new(), rows: Vec::new() };
        }
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let converters = statement::converters(descriptor);
        let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsMinimalTuple);
        pg_sys::tuplestore_rescan(store);
        let (mut rows, mut bound) = (Vec::new(), Bound::new(limit));
        while pg_sys::tuplestore_gettupleslot(store, true, false, slot) {
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, core::ptr::null_mut());
            let row: Vec<String> = (1..)
                .zip(&converters)
                .map(|(column, converter)| converter.json(tuple, descriptor, column))
                .collect();
            bound.count(&converters, &row);
            rows.push(row);
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::PopActiveSnapshot();
        Output { columns: converters.into_iter().map(|converter| converter.column).collect(), rows }
    }
}
