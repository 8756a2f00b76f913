//! **Replication: who may attach code to a table, and what may be copied.**
//!
//! A row that is applied runs code: triggers and their WHEN clauses, checks of tables and domains, defaults, generated columns,
//! index expressions. It runs as the owner of the table, or as the owner of the subscription, who is often a superuser. So
//! whoever may attach code, or change it later, gets the rights of somebody else, unless rules say who may.
//!
//! # How it works
//! [`touched`] is told by the object-access hook of every object that was made or changed, by whatever statement, and notes it.
//! [`judge`] looks at what was noted when the statement is through, and once more before the transaction commits: it asks the
//! catalogs, in our own SQL (`sql/60_replication.sql`), whether a trigger was made that no rule allows, and whether a replicated
//! table now has code that it may not have. The rules themselves are `postern_core::trigger_rule`.
//!
//! # Invariants
//! 1. Nothing is judged by the text of a statement: clones of triggers, scripts of extensions, REASSIGN OWNED and functions
//!    that run DDL are no cases of their own.
//! 2. The judge sees the catalogs after the statement, and raises before the next one: an error undoes the statement.
//! 3. Names are resolved with a path of our own, as the bootstrap superuser; the caller's path and privileges play no part.
//! 4. What has been noted is forgotten at the end of the transaction; what a subtransaction noted, when it is rolled back.
//! 5. Without the extension in the database nothing is judged, and nothing is looked up but that.
//! 6. The judge sees what is committed when it judges, not when a REPEATABLE READ transaction began; and of code that another
//!    transaction is changing, what becomes of it: who replicates a table waits for those who change its code, and they for it.
//! 7. The rules only refuse more: what the server refuses, it has refused before they are asked.
//!
//! # Not guaranteed
//! Catalogs that a superuser writes by hand, and databases where the library was not loaded: `postern.replication_findings`
//! looks at what is there. `pg_upgrade` is let through.

mod grants;
mod judge;
mod pending;
mod recorder;
mod refusal;
mod rehearse;
mod sql;

pub use grants::{judge as judge_grant, judge_disowned, touch as touched_by_grant};
pub use judge::judge;
pub use pending::{forget, lost, script_begins, touched};
pub use recorder::{Recorders, dropped, make_way};
pub use refusal::Refusal;

use pgrx::{pg_guard, pg_sys};

use crate::pg::xact::{self, Moment};

/// Registers what happens at the end of transactions. Once, while preloading.
pub fn init() {
    xact::also_at_end(at_end);
    xact::also_at_end(recorder::at_transaction_end);
    xact::also_at_subtransaction_abort(pending::forget_subtransaction);
}

/// The entry point of a recorder.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the server finds the function by its name")]
pub extern "C-unwind" fn postern_recorder(argument: pg_sys::Datum) {
    recorder::run(pg_sys::Oid::from_u32(u32::try_from(argument.value()).unwrap_or(0)));
}

fn at_end(moment: Moment) {
    match moment {
        Moment::BeforeCommit | Moment::BeforePrepare => judge::before_commit(),
        Moment::Committed | Moment::Aborted => pending::forget(),
    }
}
