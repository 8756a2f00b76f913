//! **Durable functions: SQL that survives, run as the identity that asked.**
//!
//! A function is a tree of steps, built by `df.*` and operators as text. `df.start()` writes it down as rows, in the caller's
//! transaction, with the identity that asked. Executors, which are background workers, take what is due, run one step at a time
//! inside that identity, and write its result and what comes next in the transaction of its effect.
//!
//! | module | what it is for |
//! |---|---|
//! | [`start`] | `df.start()`: whose it is, and its rows |
//! | [`control`] | signals, cancelling, waiting |
//! | [`pause`], [`rerun`] | pausing, resuming; going on from the step that failed |
//! | [`home`], [`arrive`] | copies of a database; those that go on by themselves |
//! | [`afar`] | instances of another database |
//! | [`quota`] | how much of the executors one role gets |
//! | [`schedule`] | functions that start again and again |
//! | [`inspect`] | what nodes came to; pictures; who executes what |
//! | [`compose`], [`sql`] | the functions of SQL; [`misuse`]: an answer taken for a step |
//! | [`store`] | the rows, and every statement on them |
//! | [`launch`], [`executor`] | the background workers |
//! | [`turn`] | one transaction of an executor |
//! | [`step`] | one SQL step |
//! | [`substitution`] | `{name}` and `$name` in a step's text |
//! | [`call`] | functions that functions call |
//! | [`errand`] | what is done for a caller in a transaction of its own |
//! | [`outside`] | one statement at top level, in a process of its own |
//! | [`outbound`] | HTTP requests, for the worker that sends them |
//! | [`secrets`] | secrets of HTTP steps |
//! | [`debris`] | what nobody wants any more |
//! | [`messages`] | delivering signals and requests to cancel |
//! | [`board`], [`outbox`] | waking each other, through shared memory |
//! | [`leave`] | making way for DROP DATABASE and its kin |
//! | [`rights`] | whether a role may have work done |
//!
//! What comes next, and what a text means, is decided in `postern-durable`, which knows no server.
//!
//! # Invariants
//! 1. An effect, its result and what comes next are one transaction: a step that took effect is never run again, and one that did
//!    not is. What refuses a transaction (VACUUM, a procedure that commits) and what leaves the server is at least once, and says so.
//! 2. What decides is in tables. Shared memory and latches wake, and show; losing them loses time only.
//! 3. Someone's SQL runs inside an entered identity, and under no other user. The engine's own statements run as the owner of its
//!    tables, with every name qualified, before and after, while no setting of the step stands.
//! 4. Nobody writes the tables but these functions.
//!
//! # Unwinding
//! An ERROR of a step is caught with its subtransaction; any other ends the turn's transaction.

mod afar;
mod arrive;
mod board;
mod call;
mod compose;
mod control;
mod debris;
mod deferred;
mod errand;
mod error;
mod executor;
mod home;
mod inspect;
mod launch;
mod leave;
mod messages;
mod misuse;
mod outbound;
mod outbox;
mod outside;
mod pause;
mod quota;
mod rerun;
mod rights;
mod schedule;
mod secrets;
mod sql;
mod start;
mod step;
mod store;
mod substitution;
mod turn;

pub use arrive::writes_by_hand;
pub use error::Refusal;
pub use launch::launch;
pub use leave::make_way;
pub use outbox::{dropped, updated};

use pgrx::{pg_guard, pg_sys};

use crate::pg::{definer, limit, shmem, xact};

/// Sets up shared memory and callbacks. Once, while preloading.
pub fn init() {
    shmem::init();
    xact::also_at_end(outbox::at_transaction_end);
    xact::also_at_subtransaction_abort(limit::at_subtransaction_abort);
    xact::also_at_end(|moment| {
        if matches!(moment, xact::Moment::Committed | xact::Moment::Aborted) {
            definer::forget();
        }
    });
}

/// The entry point of an executor.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the server finds the function by its name")]
pub extern "C-unwind" fn postern_executor(argument: pg_sys::Datum) {
    executor::run(pg_sys::Oid::from_u32(u32::try_from(argument.value()).unwrap_or(0)));
}

/// The entry point of a process that does something for a caller.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the server finds the function by its name")]
pub extern "C-unwind" fn postern_errand(argument: pg_sys::Datum) {
    errand::run(u32::try_from(argument.value()).unwrap_or(0));
}

/// The entry point of a process that runs one statement at top level.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the server finds the function by its name")]
pub extern "C-unwind" fn postern_statement(argument: pg_sys::Datum) {
    outside::run(pg_sys::Oid::from_u32(u32::try_from(argument.value()).unwrap_or(0)));
}
