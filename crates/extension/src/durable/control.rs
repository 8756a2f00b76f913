//! `df.signal()`, `df.cancel()`, `df.await_instance()`.

use super::errand::{self, Errand};
use super::error::Refusal;
use super::{board, outbox, store};
use crate::error::Error;
use crate::guc;
use crate::pg::query::as_owner;
use crate::pg::{Oid, role, user, worker};

/// The role that asks, if the instance is its own, or it is a superuser; and the instance's owner and status.
pub fn reach(id: &str) -> Result<(Oid, Oid, String), Error> {
    let caller = user::current().oid;
    let found = as_owner(|| store::owner_and_status(id));
    match found {
        Some((owner, status))
            if owner == caller || role::by_oid(caller).is_some_and(|role| role.superuser) =>
        {
            Ok((caller, owner, status))
        }
        _ => Err(Refusal::NotFound(id.into()).into()),
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
    let (caller, owner, status) = reach(id)?;
    if !has_ended(&status) {
        send("df.signal()", id, b's', Some(name), payload, caller, owner)?;
    }
    Ok(())
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
    let (caller, owner, status) = reach(id)?;
    if !has_ended(&status) {
        send("df.cancel()", id, b'c', None, reason, caller, owner)?;
    }
    Ok(())
}

/// The status of an instance of the caller's, as it is now.
pub fn status(id: &str) -> Result<Option<String>, Error> {
    match reach(id) {
        Ok((_, _, status)) if status == "pending" && !board::running(id).is_empty() => {
            Ok(Some("running".into()))
        }
        Ok((_, _, status)) => Ok(Some(status)),
        Err(Error::Durable(Refusal::NotFound(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until an instance has ended; gives how.
pub fn await_end(id: &str, seconds: i32) -> Result<String, Error> {
    if worker::is_ours() {
        return Err(Refusal::AwaitInside.into());
    }
    if seconds <= 0 {
        return Err(Refusal::Timeout.into());
    }
    let deadline = worker::now().saturating_add(i64::from(seconds) * 1_000_000);
    let status = until_ended(id, deadline);
    board::wait_no_more();
    let status = status?;
    if has_ended(&status) {
        return Ok(status);
    }
    Err(Refusal::TimedOut { seconds, id: id.into(), status }.into())
}

/// Waits until an instance has ended, or for that long; gives its status.
fn until_ended(id: &str, deadline: i64) -> Result<String, Error> {
    let woken = board::wait_for_end(id);
    let began = worker::now();
    loop {
        let status = status(id)?.ok_or_else(|| Refusal::Unknown(id.into()))?;
        let now = worker::now();
        if has_ended(&status) || now >= deadline {
            return Ok(status);
        }
        // Who is woken looks all the same once a second: shared memory is not what decides. Who is not, because too many wait, waits no
        // more than a third longer than it takes.
        let longest = if woken { 1_000 } else { ((now - began) / 3_000).clamp(1, 50) };
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
    let owner = user::current().oid;
    as_owner(|| store::set_variable(owner, name, value));
    Ok(())
}
