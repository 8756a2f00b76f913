//! **Names: a SECURITY DEFINER subprogram whose names its callers could capture is not made unnoticed.**
//!
//! # How it works
//! The object-access hook notes each subprogram that a statement makes or alters ([`rule`]). When the statement is done, with its
//! event triggers, the catalog is asked what it left: the view `postern.subprograms` says of each subprogram whether its path is
//! safe, and if not, why. So it does not matter which statement it was, nor where it was run: in a DO block, by EXECUTE, in the
//! step of a durable function.
//!
//! # Invariants
//! 1. What is judged is the catalog as the statement leaves it, never its text.
//! 2. The view and the rule are one definition.
//! 3. Only a superuser changes the rule (`postern.definer_rule`).
//!
//! # Not guaranteed
//! A superuser's UPDATE of `pg_proc` is no statement about a subprogram. A privilege that is granted, or a schema that is renamed,
//! after the function was made shows in the view, and is refused to nobody. What a BEGIN ATOMIC body calls runs under the path
//! of whoever called it.

pub mod rule;
mod sql;

use crate::pg::xact;

/// Registers what happens at the end of transactions. Once, while preloading.
pub fn init() {
    xact::also_at_end(rule::at_transaction_end);
}
