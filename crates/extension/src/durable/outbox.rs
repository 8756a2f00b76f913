//! What a transaction has to tell executors when it is committed. A rollback tells nobody; one of a savepoint may wake an executor
//! that finds nothing.

use std::cell::{Cell, RefCell};

use super::board;
use crate::pg::xact::Moment;
use crate::pg::{shmem, worker};

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each of these may have happened, whatever else has")]
struct Pending {
    started: bool,
    sent: bool,
    rescheduled: bool,
    installed: bool,
    emptied: bool,
    dropped: bool,
    updated: bool,
}

thread_local! {
    static PENDING: Cell<Pending> = const { Cell::new(Pending { started: false, sent: false, rescheduled: false, installed: false, emptied: false, dropped: false, updated: false }) };
}

thread_local! {
    /// Instances that have ended.
    static ENDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// An instance has ended.
pub fn ended(instance: &str) {
    if let Some(number) = board::number(instance) {
        ENDED.with_borrow_mut(|ended| ended.push(number));
    }
}

/// A function was started.
pub fn started() {
    PENDING.set(Pending { started: true, ..PENDING.get() });
}

/// A message was put into a box.
pub fn sent() {
    PENDING.set(Pending { sent: true, ..PENDING.get() });
}

/// A schedule, or what it waits for, has changed.
pub fn rescheduled() {
    PENDING.set(Pending { rescheduled: true, ..PENDING.get() });
}

/// The extension was made in this database.
pub fn installed() {
    PENDING.set(Pending { installed: true, ..PENDING.get() });
}

/// The extension was dropped in this database.
pub fn dropped() {
    PENDING.set(Pending { dropped: true, ..PENDING.get() });
}

/// The extension was made or updated in this database: those of its executors that wait for that look again.
pub fn updated() {
    PENDING.set(Pending { updated: true, ..PENDING.get() });
}

/// Executors have left a database for this transaction: they come back, if it is still there, however the transaction ends.
pub fn emptied() {
    PENDING.set(Pending { emptied: true, ..PENDING.get() });
}

/// The end of a transaction. Must not raise.
pub fn at_transaction_end(moment: Moment) {
    if matches!(moment, Moment::Committed | Moment::Aborted) {
        board::errand_done();
        board::transaction_ends(moment == Moment::Committed);
        let ended = ENDED.take();
        if moment == Moment::Committed {
            ended.into_iter().for_each(board::has_ended);
        }
    }
    match moment {
        Moment::Committed => {
            let pending = PENDING.take();
            if pending.sent {
                board::sent();
            }
            if pending.rescheduled {
                board::rescheduled();
            }
            if pending.started || pending.sent {
                board::wake(worker::database());
            } else if pending.rescheduled {
                // One reads them, and keeps the time; others read them when there is something to do.
                board::wake_for(worker::database(), i64::MAX);
            }
            if pending.dropped || pending.updated {
                // They find nothing, and end; or find what they have waited for.
                board::wake_all(worker::database());
            }
            if pending.installed || pending.emptied || pending.updated {
                shmem::ask_for_executors();
            }
        }
        Moment::Aborted => {
            if PENDING.take().emptied {
                shmem::ask_for_executors();
            }
        }
        Moment::BeforeCommit | Moment::BeforePrepare => {}
    }
}
