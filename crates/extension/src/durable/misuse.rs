//! What a function of the control plane answered, used as a step: `df.setvar(…) ~> …`.
//!
//! The answer itself is looked for, where a step is expected, in the statement in which it was given. So a start beside a
//! `df.setvar()` in one statement is none.

use std::cell::Cell;

use postern_durable::{Error as Language, compose};

use super::error::Refusal;
use crate::error::Error;
use crate::pg::session;

thread_local! {
    /// The function that answered last, and the statement in which it did, by its time.
    static ANSWERED: Cell<Option<(&'static str, i64)>> = const { Cell::new(None) };
}

/// A function has answered.
pub fn answered(function: &'static str) {
    ANSWERED.set(Some((function, session::statement_began())));
}

/// Refuses an answer that is given as a step.
pub fn check(text: &str) -> Result<(), Language> {
    match ANSWERED.get() {
        Some((function, when)) if when == session::statement_began() => {
            compose::misused(text, Some(function))
        }
        _ => Ok(()),
    }
}

/// Refuses an answer that is given to `df.start()`.
pub fn check_start(text: &str) -> Result<(), Error> {
    check(text).map_err(|error| {
        let error = match error {
            Language::Misused(function) => Language::MisusedStart(function),
            other => Language::Function(other.to_string()),
        };
        Refusal::Language(error).into()
    })
}
