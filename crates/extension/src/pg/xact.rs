//! The state of the transaction, and callbacks at its end (`src/backend/access/transam/xact.c`).

use pgrx::{pg_guard, pg_sys};

use super::compat;

/// A moment in the life of a transaction at which we act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Deferred triggers have run and held cursors are filled; the last place that may raise.
    BeforeCommit,
    /// PREPARE TRANSACTION is about to happen; may raise.
    BeforePrepare,
    /// The transaction is committed: nothing of it runs any more. Must not raise.
    Committed,
    /// The transaction is being rolled back; the server has put the user back already. Must not raise.
    Aborted,
}

/// How many parts have something to do at the end of a transaction.
const PARTS: usize = 12;

static mut AT_MOMENT: [Option<fn(Moment)>; PARTS] = [None; PARTS];
static mut AT_SUBXACT_ABORT: [Option<fn(pg_sys::SubTransactionId)>; PARTS] = [None; PARTS];

/// What the transaction has done so far is seen from here on. May raise where nothing may be written.
pub fn next_command() {
    // SAFETY: in a transaction, between statements of ours.
    unsafe { pg_sys::CommandCounterIncrement() };
}

/// Has `f` called at every [`Moment`] of every transaction, and `sub` with the id of each subtransaction that is rolled
/// back. Once, while preloading.
pub fn at_end(f: fn(Moment), sub: fn(pg_sys::SubTransactionId)) {
    also_at_end(f);
    also_at_subtransaction_abort(sub);
    // SAFETY: called once in the postmaster, before any backend exists; the callbacks are never removed.
    unsafe {
        pg_sys::RegisterXactCallback(Some(xact_callback), core::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subxact_callback), core::ptr::null_mut());
    }
}

/// Has `f` called too, after those that were named before. While preloading, at most [`PARTS`] times.
pub fn also_at_end(f: fn(Moment)) {
    // SAFETY: called in the postmaster, before any backend exists; only read since.
    unsafe {
        let parts = &raw mut AT_MOMENT;
        // A part that is not called would be a hole: the server does not start.
        *(*parts).iter_mut().find(|part| part.is_none()).expect("a free place for a part") = Some(f);
    }
}

/// Has `f` called too with the id of each subtransaction that is rolled back. While preloading, at most [`PARTS`] times.
pub fn also_at_subtransaction_abort(f: fn(pg_sys::SubTransactionId)) {
    // SAFETY: called in the postmaster, before any backend exists; only read since.
    unsafe {
        let parts = &raw mut AT_SUBXACT_ABORT;
        // A part that is not called would be a hole: the server does not start.
        *(*parts).iter_mut().find(|part| part.is_none()).expect("a free place for a part") = Some(f);
    }
}

#[pg_guard]
extern "C-unwind" fn xact_callback(event: pg_sys::XactEvent::Type, _arg: *mut core::ffi::c_void) {
    use pg_sys::XactEvent as E;
    let moment = match event {
        E::XACT_EVENT_PRE_COMMIT => Moment::BeforeCommit,
        E::XACT_EVENT_PRE_PREPARE => Moment::BeforePrepare,
        E::XACT_EVENT_COMMIT => Moment::Committed,
        E::XACT_EVENT_ABORT => Moment::Aborted,
        // A parallel worker neither enters nor ends anything of ours; PREPARE is refused while entered.
        _ => return,
    };
    // Every transaction of the server passes here twice: each part in its place, and nothing copied.
    let parts = &raw const AT_MOMENT;
    // SAFETY: written while preloading, only read since.
    for place in unsafe { &*parts } {
        let Some(f) = place else { break };
        f(moment);
    }
}

#[pg_guard]
extern "C-unwind" fn subxact_callback(
    event: pg_sys::SubXactEvent::Type,
    id: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut core::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        let parts = &raw const AT_SUBXACT_ABORT;
        // SAFETY: written while preloading, only read since.
        for place in unsafe { &*parts } {
            let Some(f) = place else { break };
            f(id);
        }
    }
}

/// 1 in a transaction, 2 and more in its subtransactions.
pub fn nest_level() -> i32 {
    // SAFETY: a plain read.
    unsafe { compat::GetCurrentTransactionNestLevel() }
}

/// Whether BEGIN, or several statements in one simple query, made a block that outlives this statement.
pub fn in_block() -> bool {
    // SAFETY: a plain read.
    unsafe { compat::TransactionBlockStatusCode() != b'I'.cast_signed() }
}

/// Whether something ran before in this transaction: an earlier statement of the pipeline, or anything that wrote.
pub fn is_under_way() -> bool {
    // SAFETY: plain reads.
    unsafe {
        pg_sys::MyXactFlags.cast_unsigned() & pg_sys::XACT_FLAGS_PIPELINING != 0
            || compat::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId
    }
}

/// Makes the rest of the transaction, or subtransaction, read-only. The server itself begins one so, by this variable, and
/// refuses to take it back once something was read.
pub fn make_read_only() {
    // SAFETY: a variable of this process; the server sets it anew at the beginning of a transaction, and back at the end of a
    // subtransaction.
    unsafe { pg_sys::XactReadOnly = true };
}

/// Whether the transaction writes nothing: it was begun so, or this is a standby.
pub fn is_read_only() -> bool {
    // SAFETY: plain reads.
    unsafe { pg_sys::XactReadOnly || pg_sys::RecoveryInProgress() }
}

/// Whether this is a standby, which starts no background workers of ours.
pub fn in_recovery() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Whether the transaction named or made a temporary object.
pub fn touched_temp() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::MyXactFlags.cast_unsigned() & pg_sys::XACT_FLAGS_ACCESSEDTEMPNAMESPACE != 0 }
}

/// Whether this process is a parallel worker.
pub fn is_parallel_worker() -> bool {
    // SAFETY: a plain read; -1 in any other process.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// Whether this process, a parallel worker, is taking over the state of its leader right now.
pub fn is_parallel_worker_starting() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::InitializingParallelWorker }
}

/// Whether a parallel operation is in progress in this process.
pub fn in_parallel_mode() -> bool {
    // SAFETY: a plain read of the transaction state.
    unsafe { compat::IsInParallelMode() }
}

/// Whether a row's transaction is the current one, or a subtransaction of it.
pub fn is_ours(transaction: u32) -> bool {
    // SAFETY: compares with the stack of transaction states.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from(transaction)) }
}

/// The subtransaction that the process is in.
pub fn subxact_id() -> pg_sys::SubTransactionId {
    // SAFETY: a plain read.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// Whether a subtransaction is the current one, or one around it.
pub fn is_active(subtransaction: pg_sys::SubTransactionId) -> bool {
    // SAFETY: reads the stack of transaction states.
    unsafe { pg_sys::SubTransactionIsActive(subtransaction) }
}
