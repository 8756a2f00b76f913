//! **The primitive: a transaction enters an identity, and stays in it until it ends.**
//!
//! An identity is a role and facts. Everything of Postern that runs someone's SQL runs it through here.
//!
//! # How it works
//! [`enter`] makes the role the current user under `SECURITY_LOCAL_USERID_CHANGE`, the flag under which the server refuses
//! SET ROLE, SET SESSION AUTHORIZATION and every other spelling of them, in any nesting, after any caught error; and it opens
//! a level of settings. Both stand until the transaction is *committed*, so that deferred triggers, held cursors and
//! ON COMMIT actions run inside. Then the settings are undone, the user is put back, and what else of the session outlasts a
//! transaction is removed ([`clean`]). A rollback puts user and settings back by itself.
//!
//! # Invariants
//! 1. Only the login role `postern_gate` enters by SQL, as itself, outside any security context: `enter` is neither SECURITY
//!    DEFINER nor has a SET clause, and EXECUTE is not PUBLIC's. Beside it our own background workers enter, by a right that no
//!    SQL can come by ([`worker`]), and operators look ([`run_as`]).
//! 2. For the gate, entering is the first thing of an implicit transaction: not in a block (after an error the wall would be down and the
//!    client's ROLLBACK accepted), not in a subtransaction (whose rollback would take the wall down), not nested.
//! 3. The right to enter is that of now: what is remembered of it is forgotten when the server says that a role, a membership
//!    or the list has changed ([`admission`]).
//! 4. While entered, no statement ends the transaction, and none leaves anything for the next user of the connection
//!    ([`confine`]).
//! 5. Facts are in the memory of the process. SQL cannot write them.
//! 6. State changes in [`enter`] and in its callbacks at the end of a transaction, nowhere else.
//!
//! # Statements at top level
//! VACUUM and its kin, and procedures that commit, end transactions by themselves. A process that runs one such statement and then
//! ends enters for its life ([`worker::Judged::enter_for_life`]): between transactions, so that each begins as the role, a ROLLBACK
//! goes back to the role, and no COMMIT changes anything. What such a statement leaves in its session ends with the process.
//!
//! # Not guaranteed
//! A server that was built with assertions believes that no security context stands between transactions, and stops a procedure that
//! commits inside a durable function.
//!
//! `session_user` stays the login role. Names of custom settings that a client invented remain known to the process.
//!
//! # Unwinding
//! No rule rests on a destructor: after an ERROR the server's abort puts the user back, and the callback forgets the rest.

pub mod admission;
pub mod clean;
pub mod confine;
pub mod enter;
pub mod facts;
mod json;
pub mod kept;
pub mod run_as;
mod seal;
mod settings;
mod sql;
pub mod worker;

pub use enter::{is_entered, share_with_workers};

use crate::pg;

/// Registers what happens at the end of transactions. Once, while preloading.
pub fn init() {
    pg::xact::at_end(enter::at_transaction_end, enter::at_subtransaction_abort);
}
