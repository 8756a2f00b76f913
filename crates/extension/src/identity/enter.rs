//! The state of being entered, and the only places where it changes.

use std::cell::Cell;

use pgrx::pg_sys;

use super::facts::{self, Checked};
use super::{admission, clean, kept};
use crate::error::{Error, raise};
use crate::pg::guc::Level;
use crate::pg::portal;
use crate::pg::user::{self, User};
use crate::pg::xact::{self, Moment};
use crate::{guc, pg, version};

/// How long an identity stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Until the transaction ends.
    Transaction,
    /// Until this subtransaction is rolled back: an operator looks through someone's eyes.
    Subtransaction(pg_sys::SubTransactionId),
    /// As long as the process: a statement at top level, which may commit, is all that it runs.
    Process,
}

/// The identity that stands.
#[derive(Debug, Clone, Copy)]
struct Entered {
    role: pg_sys::Oid,
    before: User,
    /// None: they are the process's own.
    settings: Option<Level>,
    scope: Scope,
}

thread_local! {
    static ENTERED: Cell<Option<Entered>> = const { Cell::new(None) };
}

/// Whether an identity stands in this process; a parallel worker has that of its leader.
pub fn is_entered() -> bool {
    ENTERED.get().is_some() || (xact::is_parallel_worker() && guc::facts_for_worker().is_some())
}

/// Parallel workers are about to be started, or may be: they get the identity's facts as a setting, which is what the server
/// copies to them. A level of settings that is undone takes it away again, so this is asked each time.
pub fn share_with_workers() {
    if ENTERED.get().is_some() && guc::facts_for_worker().is_none() {
        guc::take_facts(&facts::for_workers());
    }
}

/// Whether the identity stands as long as the process: then a statement may be at top level, and end its transactions.
pub fn is_for_life() -> bool {
    ENTERED.get().is_some_and(|entered| entered.scope == Scope::Process)
}

/// Whether the identity is somebody's look through another's eyes: nothing of it may outlast its rollback.
pub fn is_a_look() -> bool {
    ENTERED.get().is_some_and(|entered| matches!(entered.scope, Scope::Subtransaction(_)))
}

/// The role that was entered.
pub fn role() -> Option<pg_sys::Oid> {
    ENTERED.get().map(|entered| entered.role)
}

/// Checks that no identity stands, and that the objects that say who may be entered are the library's.
pub fn check_not_entered() -> Result<(), Error> {
    version::check()?;
    match ENTERED.get() {
        Some(entered) => Err(Error::AlreadyEntered { role: pg::role::name(entered.role) }),
        None => Ok(()),
    }
}

/// Checks that the caller is the gate and nothing is around it.
pub fn check_caller() -> Result<(), Error> {
    check_not_entered()?;
    let current = user::current();
    if current.context != 0 {
        return Err(Error::InDefiner);
    }
    if admission::gate() != Some(current.oid) || current.oid != user::session() {
        return Err(Error::WrongCaller);
    }
    Ok(())
}

/// Checks that the transaction has just begun, and is not in anyone's hands.
pub fn check_state() -> Result<(), Error> {
    check_transaction()?;
    if xact::is_under_way() {
        return Err(Error::WrongState { why: "Entering is the first statement of a transaction." });
    }
    Ok(())
}

/// Checks that what is entered now stands until the transaction ends.
pub fn check_transaction() -> Result<(), Error> {
    let wrong = |why| Err(Error::WrongState { why });
    if xact::is_parallel_worker() || xact::in_parallel_mode() {
        return wrong("A parallel operation is in progress.");
    }
    if xact::nest_level() != 1 {
        return wrong(
            "A subtransaction is open; its rollback would end the identity before the transaction.",
        );
    }
    if xact::in_block() {
        return wrong("A transaction block is open; after an error in it the identity would not stand.");
    }
    Ok(())
}

/// Enters `role`, judged before, until the transaction ends, with its settings.
pub fn enter(role: pg_sys::Oid, facts: Checked<'_>) -> Result<(), Error> {
    enter_without_settings(role, facts)?;
    // An error from here on ends the transaction, and the identity with it.
    super::settings::apply(role);
    Ok(())
}

/// Enters `role`, judged before, until the transaction ends. For who runs SQL of its own meanwhile, to which the role's settings,
/// such as a path, must not apply.
pub fn enter_without_settings(role: pg_sys::Oid, facts: Checked<'_>) -> Result<(), Error> {
    clean::before()?;
    guc::reserve_requests();
    let settings = Level::open();
    if !settings.is_first() {
        return Err(Error::WrongState {
            why: "A function with a SET clause is around; its end would undo the identity's settings.",
        });
    }
    stand(role, facts, Some(settings), Scope::Transaction);
    Ok(())
}

/// Enters `role`, judged before, until the subtransaction that the process is in is rolled back.
pub fn enter_subtransaction(role: pg_sys::Oid, facts: Checked<'_>) -> Result<(), Error> {
    check_not_entered()?;
    // Looked up by the operator; withheld when nothing raises before the identity stands, whose end gives them back.
    let cursors = portal::names()?;
    stand(role, facts, Some(Level::open()), Scope::Subtransaction(xact::subxact_id()));
    portal::withhold(cursors);
    // An error from here on ends the subtransaction, and the identity with it.
    super::settings::apply(role);
    Ok(())
}

/// Enters `role`, judged before, for the life of the process. Outside a transaction: each that follows then begins as the role, and
/// goes back to it when it is rolled back, by whomever. Never raises.
pub fn enter_for_life(role: pg_sys::Oid, facts: Checked<'_>) {
    stand(role, facts, None, Scope::Process);
}

fn stand(role: pg_sys::Oid, facts: Checked<'_>, settings: Option<Level>, scope: Scope) {
    let before = user::current();
    // Nothing raises before the identity stands whole.
    facts::remember(facts);
    user::set(User::confined(role));
    ENTERED.set(Some(Entered { role, before, settings, scope }));
}

/// The end of a transaction.
///
/// The identity ends when the transaction is *committed*, not before it commits: ON COMMIT actions come between, and may
/// evaluate index expressions, which are somebody's code.
pub fn at_transaction_end(moment: Moment) {
    let entered = ENTERED.get();
    match moment {
        Moment::BeforeCommit => {
            if entered.is_some() && !guc::ALLOW_TEMP.get() && xact::touched_temp() {
                raise(Error::TemporaryObject);
            }
        }
        Moment::BeforePrepare => {
            if entered.is_some() {
                raise(Error::TransactionControl("PREPARE TRANSACTION"));
            }
        }
        Moment::Committed => {
            if let Some(entered) = entered
                && entered.scope != Scope::Process
            {
                if let Some(settings) = entered.settings {
                    settings.undo();
                }
                user::set(entered.before);
                forget();
                clean::after();
            }
        }
        // The server has put the user back, and undoes the settings after this.
        Moment::Aborted => {
            if entered.is_some_and(|entered| entered.scope != Scope::Process) {
                forget();
                clean::after();
            }
            guc::not_writing();
        }
    }
}

/// The rollback of a subtransaction: the server puts back user and settings as they were at its beginning.
pub fn at_subtransaction_abort(id: pg_sys::SubTransactionId) {
    if ENTERED.get().is_some_and(|entered| entered.scope == Scope::Subtransaction(id)) {
        forget();
        portal::give_back();
        // What is called next, is so by the operator.
        kept::spoil_all();
        clean::after_look();
        guc::not_writing();
    }
}

fn forget() {
    ENTERED.set(None);
    facts::forget();
    kept::identity_ends();
}
