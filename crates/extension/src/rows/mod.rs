//! **Rows: who gets past the policies of a table, and who gets an error instead of fewer rows.**
//!
//! # How it works
//! Two tables say it, `postern.direct_access` and `postern.row_security_modes`; [`state`] is what a backend remembers of them.
//! The rewriter adds the policies of each relation to a query. Before planning, [`direct`] takes them off where the user that
//! the relation is accessed as has direct access; after planning, [`mode`] refuses the plan if a relation in it is filtered for
//! a role that is to get an error. Both look at the same trees that the server checks privileges on, so that views, rules,
//! cursors, functions, COPY and EXPLAIN are no cases of their own. The one exception is a set-returning SQL function that the
//! planner puts in place of its call: when the plan shows one that was missed, it is planned again with the call kept.
//!
//! # Invariants
//! 1. Direct access widens rows and nothing else: the server checks all privileges, those on columns included, as ever.
//! 2. It counts for a relation only if *every* command that the statement needs on it is direct for the user; otherwise the
//!    policies stand as they are. What is not recognised stays filtered.
//! 3. A plan is for one role: the server marks every query under row security so, whether it was filtered or not.
//! 4. A change of either table invalidates the plans of the relation in every session, when it commits.
//! 5. Direct access without the plain privilege is never stored: a REVOKE of that, by whatever statement, ends it ([`revoked`]).
//!
//! # Not guaranteed
//! COPY FROM into a table under row security is refused by the server before it asks anybody, and `row_security = off` raises
//! for a role with direct access too. A policy that the server cannot even expand (it reads its own table) stays an
//! error for a role with direct access.

pub mod direct;
mod look;
pub mod mode;
mod policy;
pub mod revoked;
mod sql;
pub mod state;
mod write;
