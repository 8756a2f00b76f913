//! Signals, and requests to cancel: rows that the sender's transaction writes, delivered by executors after its commit.
//!
//! **Why nothing is lost.** A sender's row is looked at after its commit by an executor that then sees every strand that waited
//! before. A strand that begins to wait looks into the box before, and once more after its commit. One of the two sees the other.

use postern_durable::machine::{Outcome, Value};
use postern_durable::{Failure, value};

use super::debris::{self, Left};
use super::store::{self, End, State};
use super::{board, call, outbox};
use crate::pg::worker;

/// How far the box was looked through.
#[derive(Debug, Default)]
pub struct Delivered {
    /// There may be more after this one.
    pub more: Option<i64>,
    /// Who something is for is held for a moment by somebody who is not told: it must be looked at again.
    pub again: bool,
}

/// Delivers some of what nobody has looked at, after the message of that number. As the owner.
pub fn deliver(after: i64) -> Delivered {
    let fresh = store::fresh_messages(after);
    let more = fresh.last().map(|message| message.id).filter(|_| fresh.len() >= store::MESSAGES);
    let mut again = false;
    for message in fresh {
        if message.kind == b'd' {
            match debris::sweep(&message.instance) {
                Left::Nothing => store::delete_message(message.id),
                Left::Told => {}
                Left::Held => again = true,
            }
            continue;
        }
        if !store::is_alive(&message.instance) {
            store::delete_message(message.id);
            continue;
        }
        let payload = message.payload.as_deref().unwrap_or_default();
        let name = message.name.as_deref().unwrap_or_default();
        match message.kind {
            b'c' => {
                if !cancel(&message.instance, payload) {
                    // It is being executed: that executor is told, and looks here when it has rolled back.
                    again |= !board::cancel(worker::database(), &message.instance, None);
                }
            }
            b'e' => {
                if call::came_back(&message.instance, name, payload) {
                    store::delete_message(message.id);
                } else {
                    // Somebody is taking the strand away this very moment, or will not after all.
                    again = true;
                }
            }
            _ => again |= !signal(message.id, &message.instance, name),
        }
    }
    Delivered { more, again }
}

/// Delivers a signal that nobody has looked at, after those of its name that came before: who has just begun to wait may not have looked
/// into the box yet. False: it must be looked at again.
fn signal(message: i64, id: &str, name: &str) -> bool {
    // None: somebody is delivering one that came before.
    while let Some((oldest, payload)) = store::oldest_signal_at_once(id, name) {
        match wake_waiters(id, name, payload.as_deref()) {
            Woken::Some => {
                store::delete_message(oldest);
                if oldest == message {
                    return true;
                }
            }
            Woken::Nobody => {
                store::keep_message(message);
                return true;
            }
            Woken::Held => return false,
        }
    }
    false
}

/// A strand has begun to wait: what arrived in between wakes it.
pub fn deliver_kept(id: &str, name: &str) {
    if store::waiters(id, name).is_empty() {
        return;
    }
    let (message, payload) = loop {
        match store::lock_signal(id, name) {
            Some(found) => break found,
            // That one has reached somebody while we waited for it: there may be another.
            None if store::has_signal(id, name) => {}
            None => return,
        }
    };
    match wake_waiters(id, name, payload.as_deref()) {
        Woken::Some => store::delete_message(message),
        Woken::Nobody => {}
        Woken::Held => {
            store::freshen_message(message);
            outbox::sent();
        }
    }
}

/// After a crash: every strand that waits for a signal that is there.
pub fn look_again() {
    for (id, name) in store::waiting_with_signal() {
        deliver_kept(&id, &name);
    }
}

/// Who went on with a signal.
enum Woken {
    Some,
    /// Nobody waits for it.
    Nobody,
    /// Who waits for it is held by somebody: because its time is up, or for a moment, and then it waits on.
    Held,
}

/// Makes every strand that waits for the signal ready to go on with it.
fn wake_waiters(id: &str, name: &str, payload: Option<&str>) -> Woken {
    let mut woken = Woken::Nobody;
    for number in store::waiters(id, name) {
        let Some(mut strand) = store::try_lock(id, number) else {
            if matches!(woken, Woken::Nobody) {
                woken = Woken::Held;
            }
            continue;
        };
        // One that has got a signal waits for no other: that one is for whoever waits next.
        let waits = strand.state == State::Waiting
            && strand.signal.as_deref() == Some(name)
            && strand.frame.outcome.is_none();
        if !waits || !store::is_wanted(&strand) {
            continue;
        }
        let result = value::signal_result(name, payload.map(value::payload).as_deref());
        strand.frame.outcome = Some(Box::new(Outcome::Done(Value::Json(result))));
        strand.signal = None;
        strand.due = worker::now();
        // Of an instance that is paused too: it is held again.
        strand.held = None;
        store::save(&strand);
        woken = Woken::Some;
    }
    woken
}

/// Ends an instance that nobody executes right now; false if somebody does.
fn cancel(id: &str, reason: &str) -> bool {
    let strands = store::strands(id);
    let Some(first) = strands.first() else {
        store::delete_messages(id);
        return true;
    };
    if store::try_lock(id, first.strand).is_none() {
        return false;
    }
    let failure = Failure::new("57014", format!("canceled: {reason}"));
    let end = End { status: "cancelled", failure: Some(&failure), ..End::default() };
    if let Some(caller) = store::end(id, &end, worker::now()) {
        call::tell(id, &caller, None, None, Some(failure));
    }
    let numbers: Vec<i32> = strands.iter().map(|strand| strand.strand).collect();
    debris::clear(id, &numbers);
    call::drop_unwanted(id);
    true
}
