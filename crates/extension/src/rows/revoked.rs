//! Direct access ends with the plain privilege, whoever takes that away, by whatever statement.
//!
//! Every statement that may take privileges away, or drop a table or a role, is looked at before and after: where a grantee has
//! fewer entries in the table's ACL than before, its direct access is gone. Comparing, not parsing: ALL TABLES IN SCHEMA,
//! CASCADE and DROP OWNED need no rule of their own, and a restore, which fills our table before it grants, loses nothing.
//!
//! Both looks see what is committed, not what the transaction's snapshot has: the server's own REVOKE does. What somebody else granted
//! between them is found by the second: it was granted beside a plain privilege, and if that is not there, it went meanwhile. Who grants
//! writes to the table's ACL, as who revokes does, so that one of the two waits for the other.

use std::collections::{HashMap, HashSet};

use pgrx::pg_sys;

use super::state::{self, State};
use crate::pg::acl;
use crate::pg::memory::Kept;
use crate::pg::node::Takes;
use crate::pg::policy::Commands;
use crate::pg::query::{self, Arg};
use crate::pg::{inval, role, table, xact};

/// A grant, and how many plain entries were beside it.
#[derive(Debug, Clone, Copy)]
struct Was {
    relation: pg_sys::Oid,
    grantee: pg_sys::Oid,
    command: Commands,
    entries: u32,
}

/// What there was before a statement. It has no destructor: an ERROR jumps over it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Before {
    takes: Takes,
    grants: Kept<Was>,
}

/// What the grantees have before a statement; to be given to [`after`].
pub fn before(takes: Takes) -> Before {
    let mut before = Before { takes, grants: Kept::none() };
    if matches!(takes, Takes::Privileges | Takes::Ownership) {
        inval::hear();
        before.grants = Kept::copy(&grants(&state::get()));
    }
    before
}

/// Takes away what the statement has taken the ground from.
pub fn after(before: Before) {
    if before.takes == Takes::Nothing {
        return;
    }
    xact::next_command();
    inval::hear();
    let state = state::get();
    if state.direct.is_empty() && state.modes.is_empty() {
        return;
    }
    let lost = if before.takes == Takes::Objects { Vec::new() } else { lost(&before, &state) };
    if lost.is_empty() && !misses_something(&state) {
        return;
    }
    query::as_owner(|| {
        for grant in lost {
            if let Some(letter) = grant.command.letter() {
                query::run_latest(
                    c"DELETE FROM postern.direct_access d
                       WHERE d.relation OPERATOR(pg_catalog.=) $1 AND d.grantee OPERATOR(pg_catalog.=) $2 AND d.command OPERATOR(pg_catalog.=) $3",
                    &[Arg::Oid(grant.relation), Arg::Oid(grant.grantee), Arg::Char(letter)],
                );
            }
        }
        prune();
    });
}

/// Every grant, with the plain entries beside it.
fn grants(state: &State) -> Vec<Was> {
    let mut all = Vec::new();
    for (&relation, grants) in &state.direct {
        let mut given = HashMap::<_, u32>::new();
        for entry in acl::entries(relation) {
            for command in entry.commands.each() {
                *given.entry((entry.grantee, command)).or_default() += 1;
            }
        }
        all.extend(grants.iter().map(|grant| Was {
            relation,
            grantee: grant.grantee,
            command: grant.command,
            entries: given.get(&(grant.grantee, grant.command)).copied().unwrap_or(0),
        }));
    }
    all
}

/// The grants that stand now, but have lost the plain privilege.
fn lost(before: &Before, state: &State) -> Vec<Was> {
    let key = |grant: &Was| (grant.relation, grant.grantee, grant.command);
    let had: HashMap<_, _> = before.grants.values().iter().map(|was| (key(was), was.entries)).collect();
    let mut lost = grants(state);
    lost.retain(|now| match had.get(&key(now)) {
        // Entries of several grantors may become one when the table gets another owner.
        Some(&was) if before.takes == Takes::Ownership => now.entries == 0 && was > 0,
        Some(&was) => now.entries < was,
        None => now.entries == 0,
    });
    lost
}

/// Whether a table or a role is gone that something is granted on, or set for.
fn misses_something(state: &State) -> bool {
    let grantees = state.direct.values().flatten().map(|grant| grant.grantee);
    let roles: HashSet<_> = grantees.chain(state.modes.values().flatten().map(|mode| mode.role)).collect();
    let mut relations = state.direct.keys().chain(state.modes.keys());
    relations.any(|relation| *relation != pg_sys::InvalidOid && !table::exists(*relation))
        || roles.into_iter().any(|role| role != pg_sys::InvalidOid && !role::exists(role))
}

/// Removes what has lost its table, its role, or the grant option that it rested on, and what rested on that. Run as the owner.
pub fn prune() {
    query::run_latest(
        c"DELETE FROM postern.direct_access d
           WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) d.relation)
              OR NOT EXISTS (SELECT FROM pg_catalog.pg_authid r WHERE r.oid OPERATOR(pg_catalog.=) d.grantee)",
        &[],
    );
    query::run_latest(
        c"DELETE FROM postern.row_security_modes m
           WHERE (m.relation OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) m.relation))
              OR (m.role OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_authid r WHERE r.oid OPERATOR(pg_catalog.=) m.role))",
        &[],
    );
    loop {
        let gone = query::run_latest(
            c"DELETE FROM postern.direct_access d
               WHERE d.grantor OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
                 AND NOT EXISTS (SELECT FROM postern.direct_access g
                                  WHERE g.relation OPERATOR(pg_catalog.=) d.relation AND g.command OPERATOR(pg_catalog.=) d.command
                                    AND g.grantee OPERATOR(pg_catalog.=) d.grantor AND g.with_grant)
              RETURNING 1",
            &[],
        );
        if gone.is_empty() {
            return;
        }
    }
}
