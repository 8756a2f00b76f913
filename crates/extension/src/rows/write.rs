//! What changes the two tables: with the rights of the superuser of the cluster, for a caller who may.
//!
//! Everything here is judged and written as it is now, not as the transaction's snapshot has it: a right that was taken away after a
//! REPEATABLE READ transaction began is no right in it, and what was granted since then can be revoked. The server's own GRANT is like that.
//! The rules are functions in `sql/50_rows.sql` that see what their caller sees (STABLE); here they see the latest.

use pgrx::pg_sys;

use super::state;
use crate::error::Error;
use crate::pg::acl;
use crate::pg::policy::Commands;
use crate::pg::query::{self, Arg, Row};
use crate::pg::{inval, snapshot, table, user};

/// Asks one of our rules, which raises for who may not.
fn ask(rule: &'static core::ffi::CStr, args: &[Arg]) -> Vec<Row> {
    snapshot::with_latest(|| query::look(rule, args))
}

/// Lets changes of direct access to one table follow each other; nobody who reads or writes the table waits. Raises if the current user may
/// not change it for the command.
pub fn lock(relation: pg_sys::Oid, command: u8) {
    let caller = user::current().oid;
    query::as_owner(|| {
        grantor(caller, relation, command);
        table::lock_definition(relation);
    });
}

/// The role that the caller grants as; raises if there is none.
fn grantor(caller: pg_sys::Oid, relation: pg_sys::Oid, command: u8) -> pg_sys::Oid {
    let args = [Arg::Oid(caller), Arg::Oid(relation), Arg::Char(command)];
    let rows = ask(c"SELECT postern.direct_grantor($1, $2, $3)", &args);
    rows.first().map_or(pg_sys::InvalidOid, |row| row.oid(0))
}

/// Grants direct access, or takes it away, for the current user, if that may.
pub fn direct(
    relation: pg_sys::Oid,
    grantee: pg_sys::Oid,
    command: u8,
    gives: bool,
    with_grant: bool,
) -> Result<(), Error> {
    let caller = user::current().oid;
    let cell = [Arg::Oid(relation), Arg::Oid(grantee), Arg::Char(command)];
    // Who may not, locks nothing; and who waited is judged by what is then.
    lock(relation, command);
    query::as_owner(|| {
        let acts_as = grantor(caller, relation, command);
        if !gives {
            query::run_latest(
                c"DELETE FROM postern.direct_access d
                   WHERE d.relation OPERATOR(pg_catalog.=) $1 AND d.grantee OPERATOR(pg_catalog.=) $2 AND d.command OPERATOR(pg_catalog.=) $3
                     AND ($4 OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR d.grantor OPERATOR(pg_catalog.=) $4)",
                &[cell[0], cell[1], cell[2], Arg::Oid(acts_as)],
            );
            super::revoked::forget_passed_on();
            return;
        }
        ask(c"SELECT postern.direct_check($1, $2, $3)", &cell);
        query::run_latest(
            c"INSERT INTO postern.direct_access AS d (relation, grantee, command, grantor, with_grant) VALUES ($1, $2, $3, $4, $5)
              ON CONFLICT ON CONSTRAINT direct_access_pkey
              -- The owner's grant is the stronger one, and stays so. A grant option is added, never taken away by granting.
              DO UPDATE SET grantor = CASE WHEN d.grantor OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN d.grantor ELSE excluded.grantor END,
                            with_grant = d.with_grant OR excluded.with_grant,
                            granted_by = SESSION_USER, granted_at = pg_catalog.now()
                 WHERE (excluded.grantor OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND d.grantor OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)
                    OR (excluded.with_grant AND NOT d.with_grant)",
            &[cell[0], cell[1], cell[2], Arg::Oid(acts_as), Arg::Bool(with_grant)],
        );
    });
    // It may have waited for who was taking the plain privilege away.
    inval::hear();
    if gives && entries(relation, grantee, command) == 0 {
        return Err(Error::RevokedMeanwhile);
    }
    Ok(())
}

/// Sets what a role gets that would be filtered, for the current user, if that may.
pub fn mode(relation: pg_sys::Oid, role: pg_sys::Oid, command: u8, mode: u8) {
    let caller = user::current().oid;
    let cell = [Arg::Oid(relation), Arg::Oid(role), Arg::Char(command)];
    query::as_owner(|| {
        let args = [Arg::Oid(caller), cell[0], cell[1], cell[2], Arg::Char(mode)];
        ask(c"SELECT postern.row_security_check($1, $2, $3, $4, $5)", &args);
        if mode == b'd' {
            query::run_latest(
                c"DELETE FROM postern.row_security_modes m
                   WHERE m.relation OPERATOR(pg_catalog.=) $1 AND m.role OPERATOR(pg_catalog.=) $2 AND m.command OPERATOR(pg_catalog.=) $3",
                &cell,
            );
            return;
        }
        query::run_latest(
            c"INSERT INTO postern.row_security_modes AS m (relation, role, command, mode) VALUES ($1, $2, $3, $4)
              ON CONFLICT ON CONSTRAINT row_security_modes_pkey
              DO UPDATE SET mode = excluded.mode, set_by = SESSION_USER, set_at = pg_catalog.now()
                 WHERE m.mode OPERATOR(pg_catalog.<>) excluded.mode",
            &[cell[0], cell[1], cell[2], Arg::Char(mode)],
        );
    });
}

/// The state of the automaton that a role itself is in.
pub fn automaton(relation: pg_sys::Oid, grantee: pg_sys::Oid, command: u8) -> &'static str {
    inval::hear();
    let is_this = |grant: &state::Direct| grant.grantee == grantee && grant.command.letter() == Some(command);
    if entries(relation, grantee, command) == 0 {
        "None"
    } else if state::get().direct.get(&relation).is_some_and(|grants| grants.iter().any(is_this)) {
        "Set & Direct"
    } else {
        "Set"
    }
}

/// How many roles gave the grantee itself the plain privilege on the whole table.
pub fn entries(relation: pg_sys::Oid, grantee: pg_sys::Oid, command: u8) -> u32 {
    Commands::from_letter(command).map_or(0, |command| acl::count(&acl::stored(relation), grantee, command))
}
