//! The rule: a SECURITY DEFINER subprogram has a path that only trusted roles can create in, with `pg_temp` last, or is BEGIN
//! ATOMIC.

use std::cell::RefCell;

use pgrx::pg_sys;

use crate::error::Error;
use crate::guc::{self, DefinerRule};
use crate::pg::query::{self, Arg};
use crate::pg::{catalog, log, table, xact};

/// A subprogram that was made or altered.
#[derive(Debug, Clone, Copy)]
struct Touched {
    subprogram: pg_sys::Oid,
    /// Where: what a subtransaction did that was rolled back is not there any more.
    subtransaction: pg_sys::SubTransactionId,
}

thread_local! {
    static TOUCHED: RefCell<Vec<Touched>> = const { RefCell::new(Vec::new()) };
}

/// A subprogram is made or altered.
pub fn touched(subprogram: pg_sys::Oid) {
    if guc::DEFINER_RULE.get() != DefinerRule::Off {
        let subtransaction = xact::subxact_id();
        TOUCHED.with_borrow_mut(|all| all.push(Touched { subprogram, subtransaction }));
    }
}

/// A statement begins: what it touches comes after the place that is given.
pub fn before() -> usize {
    TOUCHED.with_borrow(Vec::len)
}

/// A statement is done. Judges what it touched.
pub fn after(mark: usize) -> Result<(), Error> {
    let found = TOUCHED.with_borrow_mut(|all| all.split_off(mark.min(all.len())));
    if found.is_empty() {
        return Ok(());
    }
    let rule = guc::DEFINER_RULE.get();
    let excused = catalog::in_extension_script() && !guc::DEFINER_RULE_IN_EXTENSIONS.get();
    if rule == DefinerRule::Off || excused || catalog::in_binary_upgrade() || !is_installed() {
        return Ok(());
    }
    let mut subprograms: Vec<pg_sys::Oid> = found
        .iter()
        .filter(|touched| xact::is_active(touched.subtransaction))
        .map(|touched| touched.subprogram)
        .collect();
    subprograms.sort_unstable_by_key(|subprogram| subprogram.to_u32());
    subprograms.dedup();
    for subprogram in subprograms {
        let Some(broken) = judge(subprogram) else { continue };
        if rule == DefinerRule::Error {
            return Err(broken);
        }
        let (_, detail, hint) = broken.parts();
        log::warning(&broken.to_string(), &detail.unwrap_or_default(), &hint.unwrap_or_default());
    }
    Ok(())
}

/// The extension is in this database, and its script has come as far as the view.
fn is_installed() -> bool {
    table::relations([c"subprograms"]).is_some()
}

/// What is wrong with a subprogram, if it breaks the rule.
fn judge(subprogram: pg_sys::Oid) -> Option<Error> {
    let rows = query::as_owner(|| {
        query::run(
            c"SELECT kind, identity, problem, remedy FROM postern.subprograms \
               WHERE oid OPERATOR(pg_catalog.=) $1 AND security_definer AND NOT safe",
            &[Arg::Oid(subprogram)],
        )
    });
    rows.first().map(|row| Error::UnsafeDefiner {
        kind: row.string(0),
        identity: row.string(1),
        problem: row.string(2),
        remedy: row.string(3),
    })
}

/// Forgets what nobody judged: the statement has failed.
pub fn at_transaction_end(moment: xact::Moment) {
    if matches!(moment, xact::Moment::Committed | xact::Moment::Aborted) {
        TOUCHED.with_borrow_mut(Vec::clear);
    }
}
