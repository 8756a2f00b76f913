//! Strands that nobody wants any more: the losers of a fork, what runs when an instance ends.
//!
//! **How it works.** Whoever decides takes them away, but for those that another process has locked, and never waits: that process
//! may wait for it. Whoever executes one is told, and takes it away itself. But a row may be locked for other reasons, by somebody
//! who does not even know: `FOR UPDATE` locks a row before it looks again whether it is still meant (nodeLockRows.c of the server),
//! so an executor that looks for work holds, until its commit, also what has just ceased to be due. So a message is left, and stays
//! until they are gone.
//!
//! **Why none of them does harm meanwhile.** Its own turn counts only if it is wanted, which is asked under the lock of the instance
//! ([`store::is_wanted`]); a new fork of the same strand knows its branches by their numbers.

use super::{board, outbox, store};
use crate::pg::worker;

/// What is left of what nobody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// Whoever executes it was told, and has everybody look again when that is over.
    Told,
    /// Somebody holds it for a moment, and does not know.
    Held,
}

/// Takes strands of an instance away, with this transaction's commit or soon after. As the owner.
pub fn clear(id: &str, numbers: &[i32]) {
    let cleared = store::delete_free(id, numbers);
    for number in cleared.outside.iter().chain(&cleared.left) {
        board::cancel(worker::database(), id, Some(*number));
    }
    if !cleared.left.is_empty() {
        store::leave_debris(id);
        outbox::sent();
    }
}

/// Takes away what nobody wants of an instance. As the owner.
pub fn sweep(id: &str) -> Left {
    // What was below is seen to be unwanted once what was above is gone.
    loop {
        let gone = store::delete_unwanted(id);
        if gone.is_empty() {
            break;
        }
        for (number, outside) in gone {
            if outside {
                board::cancel(worker::database(), id, Some(number));
            }
        }
    }
    let left = store::unwanted(id);
    let told = left.iter().filter(|number| board::cancel(worker::database(), id, Some(**number))).count();
    match left.len() {
        0 => Left::Nothing,
        all if all == told => Left::Told,
        _ => Left::Held,
    }
}
