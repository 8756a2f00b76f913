//! A bound on one statement of someone else's that the statement cannot shake off.
//!
//! A time-out, and a request to cancel, is an ERROR that the server raises once. A function may catch it (`EXCEPTION WHEN
//! query_canceled`), and go on as if nothing had been said. Here it is said again as soon as the subtransaction that caught it is
//! rolled back. Each block catches it once, and then stands inside the next one: so the statement ends.

use std::cell::Cell;

use pgrx::pg_sys;

use super::{worker, xact};

/// What bounds the statement that runs.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// The level of the (sub)transaction that the statement runs in: what it catches is deeper.
    level: i32,
    /// When its time is up.
    deadline: Option<i64>,
    /// Whether somebody has asked for it to be cancelled.
    unwanted: fn() -> bool,
    /// It was told again that its time is up.
    late: bool,
}

thread_local! {
    static LIMIT: Cell<Option<Limit>> = const { Cell::new(None) };
}

/// Bounds what runs from here on in (sub)transactions deeper than `level`, until [`end`]: it has so many milliseconds, or as long as
/// it likes (0), and ends when `unwanted` says so, of which it was told by a signal.
pub fn begin(level: i32, milliseconds: i32, unwanted: fn() -> bool) {
    let deadline = (milliseconds > 0)
        .then(|| worker::now().saturating_add(i64::from(milliseconds).saturating_mul(1_000)));
    LIMIT.set(Some(Limit { level, deadline, unwanted, late: false }));
    if milliseconds > 0 {
        worker::arm(milliseconds);
    }
}

/// Takes [`begin`] back. Whether the statement was told again that its time is up: what it ended with does not say so.
pub fn end() -> bool {
    let Some(limit) = LIMIT.take() else { return false };
    if limit.deadline.is_some() {
        worker::disarm();
    }
    // Said again while it ended already, or said by a clock that was too late: not meant for what comes next.
    // SAFETY: a plain write of a flag of this process.
    unsafe { pg_sys::QueryCancelPending = 0 };
    limit.late
}

/// A subtransaction is being rolled back. Never raises.
pub fn at_subtransaction_abort(_: pg_sys::SubTransactionId) {
    let Some(limit) = LIMIT.get() else { return };
    if xact::nest_level() <= limit.level {
        return;
    }
    let unwanted = (limit.unwanted)();
    let late = !unwanted && limit.deadline.is_some_and(|deadline| worker::now() >= deadline);
    if unwanted || late {
        LIMIT.set(Some(Limit { late, ..limit }));
        // SAFETY: plain writes of flags of this process, as the handler of the signal does; acted on once interrupts are let in again.
        unsafe {
            pg_sys::QueryCancelPending = 1;
            pg_sys::InterruptPending = 1;
        }
    }
}

/// The time that a role, a database or the configuration gives to a statement (`statement_timeout`), in milliseconds; 0: none. A
/// session's own loop goes by it; a worker has none.
pub fn of_settings() -> i32 {
    // SAFETY: a plain read.
    unsafe { pg_sys::StatementTimeout }
}

/// What is said of a statement whose time is up.
pub const TIME_IS_UP: &str = "canceling statement due to statement timeout";

/// The shorter of two times; 0 is none.
pub fn shorter(one: i32, other: i32) -> i32 {
    match (one, other) {
        (0, time) | (time, 0) => time,
        (one, other) => one.min(other),
    }
}
