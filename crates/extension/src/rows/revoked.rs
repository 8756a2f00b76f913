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

use super::state::{self, Direct, State};
use crate::pg::acl;
use crate::pg::memory::Kept;
use crate::pg::node::Takes;
use crate::pg::policy::Commands;
use crate::pg::query::{self, Arg};
use crate::pg::{inval, role, table, xact};

/// A table before a statement.
#[derive(Debug, Clone, Copy)]
struct Was {
    relation: pg_sys::Oid,
    /// How many grants there were on it.
    grants: usize,
    /// Its ACL, of which so many bytes are in the list of all.
    bytes: usize,
}

/// A grant that is to go, or its grant option.
struct Lost {
    relation: pg_sys::Oid,
    grant: Direct,
    /// It stays, without the option to pass it on.
    stays: bool,
}

/// What there was before a statement. It has no destructor: an ERROR jumps over it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Before {
    takes: Takes,
    tables: Kept<Was>,
    acls: Kept<u8>,
}

/// What the grantees have before a statement; to be given to [`after`].
pub fn before(takes: Takes) -> Before {
    let mut before = Before { takes, tables: Kept::none(), acls: Kept::none() };
    if matches!(takes, Takes::Privileges | Takes::Ownership) {
        inval::hear();
        let (mut tables, mut acls) = (Vec::new(), Vec::new());
        for (&relation, grants) in &state::get().direct {
            let acl = acl::stored(relation);
            tables.push(Was { relation, grants: grants.len(), bytes: acl.len() });
            acls.extend(acl);
        }
        before.tables = Kept::copy(&tables);
        before.acls = Kept::copy(&acls);
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
    let misses = misses_something(&state);
    if lost.is_empty() && !misses {
        return;
    }
    query::as_owner(|| {
        for lost in lost {
            let Some(letter) = lost.grant.command.letter() else { continue };
            let cell = [Arg::Oid(lost.relation), Arg::Oid(lost.grant.grantee), Arg::Char(letter)];
            let sql = if lost.stays {
                c"UPDATE postern.direct_access d SET with_grant = false
                   WHERE d.relation OPERATOR(pg_catalog.=) $1 AND d.grantee OPERATOR(pg_catalog.=) $2 AND d.command OPERATOR(pg_catalog.=) $3"
            } else {
                c"DELETE FROM postern.direct_access d
                   WHERE d.relation OPERATOR(pg_catalog.=) $1 AND d.grantee OPERATOR(pg_catalog.=) $2 AND d.command OPERATOR(pg_catalog.=) $3"
            };
            query::run_latest(sql, &cell);
        }
        if misses {
            forget_gone();
        }
        forget_passed_on();
    });
}

/// The grants that stand now, but have lost the plain privilege. Tables whose ACL is as it was have lost none.
fn lost(before: &Before, state: &State) -> Vec<Lost> {
    let mut had = HashMap::new();
    let mut rest = before.acls.values();
    for was in before.tables.values() {
        let (acl, others) = rest.split_at(was.bytes);
        had.insert(was.relation, (was.grants, acl));
        rest = others;
    }
    let mut lost = Vec::new();
    for (&relation, grants) in &state.direct {
        let (granted, old) = had.get(&relation).copied().unwrap_or_default();
        let new = acl::stored(relation);
        if old == new {
            continue;
        }
        let (old, new) = (given(old), given(&new));
        let came = grants.len() > granted;
        for &grant in grants {
            let of = |given: &Given| given.get(&(grant.grantee, grant.command)).copied().unwrap_or_default();
            let ((was, options_were), (now, options)) = (of(&old), of(&new));
            // What has neither now nor had before has waited for it since it was restored, unless it came in between.
            let is_gone = match (was, now) {
                (0, 0) => came,
                (_, 0) => true,
                // Entries of several grantors may become one when the table gets another owner.
                _ => before.takes == Takes::Privileges && now < was,
            };
            let no_option = grant.with_grant && options == 0 && (options_were > 0 || (came && now > 0));
            if is_gone || no_option {
                lost.push(Lost { relation, grant, stays: !is_gone });
            }
        }
    }
    lost
}

/// How many roles gave a command to a grantee, and how many with grant option.
type Given = HashMap<(pg_sys::Oid, Commands), (u32, u32)>;

fn given(acl: &[u8]) -> Given {
    let mut given = Given::new();
    for entry in acl::entries(acl) {
        for command in entry.commands.each() {
            let (plain, options) = given.entry((entry.grantee, command)).or_default();
            *plain += 1;
            *options += u32::from(entry.options.has(command));
        }
    }
    given
}

/// Whether a table or a role is gone that something is granted on, or set for.
fn misses_something(state: &State) -> bool {
    let grantees = state.direct.values().flatten().map(|grant| grant.grantee);
    let roles: HashSet<_> = grantees.chain(state.modes.values().flatten().map(|mode| mode.role)).collect();
    let mut relations = state.direct.keys().chain(state.modes.keys());
    relations.any(|relation| *relation != pg_sys::InvalidOid && !table::exists(*relation))
        || roles.into_iter().any(|role| role != pg_sys::InvalidOid && !role::exists(role))
}

/// Removes what has lost its table or its role.
fn forget_gone() {
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
}

/// Removes what has lost the grant option that it rested on, and what rested on that. Run as the owner.
pub fn forget_passed_on() {
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
