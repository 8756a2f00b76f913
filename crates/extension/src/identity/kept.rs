//! What PL/pgSQL keeps of functions, from one identity to the next.
//!
//! The types of a function's variables are looked up along the path of whoever calls it first in a process, and its literals are
//! read as that one's settings say; then they stay. With a connection for one user that is a nuisance. Here, whoever may create
//! a type and set a path could have a check of hers run by the next caller of anybody's function, as him. So while identities
//! stand, a function that was compiled under another path or other settings is compiled anew before it is called.
//!
//! # How it works
//! The function manager asks before and after each call of such a function, if it is told to when the call is prepared. Before:
//! whatever is known to be compiled of the function otherwise is spoiled. After, also after an ERROR: what the call has used is
//! known, with the path and the settings that it began with. Statements of a body are read when they are reached first: if the
//! settings are others at the end of a call, what is under way around it is spoiled too; and if they are others when something is
//! planned or run inside a call, so is what that call uses.
//!
//! # Not guaranteed
//! What a function was compiled with before the first identity of a process stood: nobody else's SQL has run in it then, or it is
//! an operator's own session. From 18 on the server keeps functions in SQL as well, and we are told of them; but not where an estimate
//! of the planner calls the function of an operator. Such a function is read anew along another path; how its literals were read stays.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::pg::compiled::{self, Call, Compiled, Settings};
use crate::pg::{Oid, session};

/// How the text of a function is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    path: u64,
    settings: Settings,
    /// Temporary objects are of one identity.
    identity: Option<u64>,
}

/// A call that is under way.
#[derive(Debug)]
struct UnderWay {
    place: usize,
    reading: Reading,
    /// The settings have changed meanwhile.
    mixed: bool,
    /// What it uses was known before.
    known: bool,
}

thread_local! {
    /// Innermost last.
    static CALLS: RefCell<Vec<UnderWay>> = const { RefCell::new(Vec::new()) };
    /// What is known to be compiled of each function.
    static KEPT: RefCell<HashMap<Oid, Vec<(Compiled, Reading)>>> = RefCell::default();
    /// What was used last, and is as it was then: most calls are those of one function for many rows.
    static LAST: Cell<Option<(Compiled, Reading)>> = const { Cell::new(None) };
    /// How many identities have stood.
    static IDENTITIES: Cell<u64> = const { Cell::new(0) };
}

/// Whether calls of the function are to be told of; `planning`: the planner asks. May raise as any catalog read may.
pub fn concerns(function: Oid, planning: bool) -> bool {
    super::is_entered() && compiled::is_kept(function, planning)
}

/// A call begins. May raise as any catalog read may.
pub fn begins(call: Call) {
    if !super::is_entered() || !call.is_kept() {
        return;
    }
    let reading = Reading {
        path: compiled::path(),
        settings: Settings::now(),
        identity: session::has_temp_schema().then(|| IDENTITIES.get()),
    };
    let known = call.compiled().is_some_and(|compiled| LAST.get() == Some((compiled, reading)));
    if !known {
        spoil(call.function(), |_, other| other != reading);
    }
    let under_way = UnderWay { place: call.place(), reading, mixed: false, known };
    CALLS.with_borrow_mut(|calls| calls.push(under_way));
}

/// A call has ended, perhaps with an ERROR. Never raises.
pub fn ends(call: Call) {
    let ended = CALLS.with_borrow_mut(|calls| {
        let at = calls.iter().rposition(|other| other.place == call.place())?;
        // Whatever is above it was left by an ERROR.
        calls.truncate(at + 1);
        let mut ended = calls.pop()?;
        if ended.reading.settings != Settings::now() {
            ended.mixed = true;
            for around in calls.iter_mut() {
                around.mixed = true;
            }
        }
        Some(ended)
    });
    let Some(UnderWay { reading, mixed, known, .. }) = ended else { return };
    let Some(compiled) = call.compiled() else { return };
    if mixed {
        LAST.set(None);
        compiled.spoil();
        spoil(call.function(), |other, _| other == compiled);
    } else if !known || LAST.get() != Some((compiled, reading)) {
        LAST.set(Some((compiled, reading)));
        KEPT.with_borrow_mut(|kept| {
            let kept = kept.entry(call.function()).or_default();
            if !kept.iter().any(|(other, _)| *other == compiled) {
                kept.push((compiled, reading));
            }
        });
    }
}

/// Something is about to be planned or run. The innermost call may have just read a statement of its body: with the settings of
/// now, which may be back to what they were before it ends. Never raises.
pub fn reads() {
    CALLS.with_borrow_mut(|calls| {
        if let Some(call) = calls.last_mut()
            && !call.mixed
            && call.reading.settings != Settings::now()
        {
            call.mixed = true;
        }
    });
}

/// Spoils what is known to be compiled of a function, where `wrong` says so.
fn spoil(function: Oid, wrong: impl Fn(Compiled, Reading) -> bool) {
    KEPT.with_borrow_mut(|kept| {
        let Some(kept) = kept.get_mut(&function) else { return };
        kept.retain(|(compiled, reading)| {
            let wrong = wrong(*compiled, *reading);
            if wrong {
                LAST.set(None);
                compiled.spoil();
            }
            !wrong
        });
    });
}

/// An identity ends: calls that an ERROR has left are gone. Never raises.
pub fn identity_ends() {
    IDENTITIES.set(IDENTITIES.get().wrapping_add(1));
    CALLS.with_borrow_mut(Vec::clear);
}

/// Nothing that was compiled under an identity is used again: in a process that has an identity of its own. Never raises.
pub fn spoil_all() {
    LAST.set(None);
    KEPT.with_borrow_mut(|kept| {
        for (_, kept) in kept.drain() {
            for (compiled, _) in kept {
                compiled.spoil();
            }
        }
    });
}
