//! `df.signal()`, `df.cancel()`, `df.await_instance()`.

use postern_durable::check_name;

use super::afar::There;
use super::errand::{self, Errand};
use super::error::Refusal;
use super::{afar, board, outbox, store};
use crate::error::Error;
use crate::guc;
use crate::pg::nonatomic::Procedure;
use crate::pg::query::as_owner;
use crate::pg::{Oid, role, user, worker};

/// Whether an instance is the caller's, or that is a superuser.
pub fn is_its(caller: Oid, owner: Oid) -> bool {
    owner == caller || role::by_oid(caller).is_some_and(|role| role.superuser)
}

/// An instance that the caller may reach.
enum Found {
    /// The caller, the instance's owner, its status.
    Here(Oid, Oid, String),
    /// In another database.
    There(There),
}

fn find(id: &str) -> Result<Found, Error> {
    let caller = user::current().oid;
    if let Some((owner, status)) = as_owner(|| store::owner_and_status(id))
        && is_its(caller, owner)
    {
        return Ok(Found::Here(caller, owner, status));
    }
    afar::find(id).map(Found::There).ok_or_else(|| Refusal::NotFound(id.into()).into())
}

/// The role that asks, if the instance is in this database and its own, or it is a superuser; and the instance's owner and status.
pub fn reach(id: &str) -> Result<(Oid, Oid, String), Error> {
    match find(id)? {
        Found::Here(caller, owner, status) => Ok((caller, owner, status)),
        Found::There(there) => Err(match there.name() {
            Some(database) => Refusal::NotHere { id: id.into(), database },
            None => Refusal::NotFound(id.into()),
        }
        .into()),
    }
}

pub fn has_ended(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}

/// Sends a signal with the caller's commit. One to an instance that has ended is no error, and reaches nobody.
pub fn signal(id: &str, name: &str, payload: &str) -> Result<(), Error> {
    if id.is_empty() {
        return Err(Refusal::Empty("Instance ID").into());
    }
    if name.is_empty() {
        return Err(Refusal::Empty("Signal name").into());
    }
    check_name("Signal name", name).map_err(Refusal::Language)?;
    post("df.signal()", id, b's', Some(name), payload)
}

/// Puts a message into the box of an instance that has not ended.
fn post(what: &'static str, id: &str, kind: u8, name: Option<&str>, payload: &str) -> Result<(), Error> {
    match find(id)? {
        Found::Here(_, _, status) if has_ended(&status) => Ok(()),
        Found::Here(caller, owner, _) => send(what, id, kind, name, payload, caller, owner),
        Found::There(there) => there.tell(what, id, kind, name, payload),
    }
}

/// With the caller's commit, or at once.
fn send(
    what: &'static str,
    id: &str,
    kind: u8,
    name: Option<&str>,
    payload: &str,
    sender: Oid,
    owner: Oid,
) -> Result<(), Error> {
    if guc::SIGNAL_MODE.get() == guc::SignalMode::Immediate {
        let errand = Errand::Send {
            id: id.into(),
            kind,
            name: name.map(Into::into),
            payload: payload.into(),
            sender: sender.to_u32(),
            from: None,
        };
        errand::send(what, &errand, worker::database())?;
        return Ok(());
    }
    as_owner(|| store::send(id, kind, name, payload, sender, owner));
    outbox::sent();
    Ok(())
}

/// Cancels with the caller's commit: what is running is stopped, what has ended stays as it is.
pub fn cancel(id: &str, reason: &str) -> Result<(), Error> {
    post("df.cancel()", id, b'c', None, reason)
}

/// The status of an instance of this database, as it is now.
pub fn shown(id: &str, status: String) -> String {
    if status == "pending" && !board::running(id).is_empty() { "running".into() } else { status }
}

/// The status of an instance of the caller's, as it is now.
pub fn status(id: &str) -> Result<Option<String>, Error> {
    status_of("df.status()", id, find(id))
}

fn status_of(what: &'static str, id: &str, found: Result<Found, Error>) -> Result<Option<String>, Error> {
    match found {
        Ok(Found::Here(_, _, status)) => Ok(Some(shown(id, status))),
        Ok(Found::There(there)) if there.name().is_none() => Ok(None),
        Ok(Found::There(there)) => Ok(there.ask(what, id, false)?.map(|said| said.status)),
        Err(Error::Durable(Refusal::NotFound(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until an instance has ended; gives how. `let_go` is called before each wait.
pub fn await_end(id: &str, seconds: i32, let_go: &dyn Fn()) -> Result<String, Error> {
    if worker::is_ours() {
        return Err(Refusal::AwaitInside.into());
    }
    if seconds <= 0 {
        return Err(Refusal::Timeout.into());
    }
    let deadline = worker::now().saturating_add(i64::from(seconds) * 1_000_000);
    let status = until_ended(id, deadline, let_go);
    board::wait_no_more();
    let status = status?;
    if has_ended(&status) {
        return Ok(status);
    }
    Err(Refusal::TimedOut { seconds, id: id.into(), status }.into())
}

/// As [`await_end`], between transactions: it holds no snapshot while it waits.
pub fn await_between(id: &str, seconds: i32, procedure: &Procedure) -> Result<String, Error> {
    await_end(id, seconds, &|| board::waiting_over(|| procedure.commit()))
}

/// Waits until an instance has ended, or for that long; gives its status.
fn until_ended(id: &str, deadline: i64, let_go: &dyn Fn()) -> Result<String, Error> {
    let far = match find(id) {
        Ok(Found::There(there)) => Some(there.database),
        _ => None,
    };
    let woken = board::wait_for_end(far.unwrap_or_else(worker::database), id);
    let began = worker::now();
    loop {
        let status = status_of("df.await_instance()", id, find(id))?;
        let status = status.ok_or_else(|| Refusal::Unknown(id.into()))?;
        let now = worker::now();
        // What is to be cancelled is waited for too, unless that is to happen with this very transaction.
        let over = has_ended(&status)
            && (status != "cancelled"
                || far.is_some()
                || as_owner(|| !store::is_alive(id) || store::cancelled_by_us(id)));
        if over || now >= deadline {
            return Ok(status);
        }
        // Who is woken looks all the same once a second: shared memory is not what decides. Who is not, because too many wait, waits no
        // more than a third longer than it takes.
        let longest = match (woken, far) {
            (true, None) => 1_000,
            (false, None) => ((now - began) / 3_000).clamp(1, 50),
            // To ask takes a process.
            (true, Some(_)) => 10_000,
            (false, Some(_)) => ((now - began) / 3_000).clamp(100, 1_000),
        };
        let_go();
        worker::nap(longest.min((deadline - now) / 1_000 + 1));
    }
}

/// Sets a variable of the current user; without a value, takes it away; without a name, all of them.
pub fn set_variable(function: &'static str, name: Option<&str>, value: Option<&str>) -> Result<(), Error> {
    if worker::is_ours() {
        let instead = match function {
            "setvar" => "set variables before starting the workflow",
            _ => "manage variables before starting the workflow",
        };
        return Err(Refusal::VariablesInside { function, instead }.into());
    }
    check_name("name of a variable", name.unwrap_or_default()).map_err(Refusal::Language)?;
    let owner = user::current().oid;
    as_owner(|| store::set_variable(owner, name, value));
    Ok(())
}
