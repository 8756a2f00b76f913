//! Statements at top level: what the server does not take in a transaction, and procedures that commit.
//!
//! A turn finds out that a statement is one, since the server refuses it, and leaves the strand so. The next turn writes that it is
//! begun, and commits; then it is run, in a process of its own (`durable/outside.rs`), which writes what it came to into the frame.
//! The turn after that goes on. So it may be run more than once: the record says how often it was begun.

use postern_durable::Failure;
use postern_durable::machine::{Next, Outcome};

use super::{Beginning, Course, NEVER, State, Turn, as_owner, rerun, store};

/// How often a statement is begun that never comes to an end, before it fails.
const MOST: u32 = 10;

impl Course<'_> {
    /// Goes on with what the statement came to; if it has come to nothing yet, has it run.
    pub(super) fn came_back(&mut self, node: u32) -> Result<Next, Turn> {
        if let Some(outcome) = self.strand.frame.outcome.take() {
            self.strand.frame.begun = 0;
            self.failing = rerun::note(&self.strand, node, &outcome);
            return Ok(self.machine().finished(node, *outcome));
        }
        let begun = self.strand.frame.begun;
        if begun >= MOST {
            let message = format!("the statement was begun {begun} times, and never came to an end");
            let failure = Failure {
                detail: Some("Each time, the process that ran it ended, or the server did.".into()),
                ..Failure::new("58000", message)
            };
            let record = self.write(node, self.now, None, None, None, Some(&failure));
            as_owner(|| store::begun(&self.strand.instance, record, begun.cast_signed()));
            self.strand.frame.begun = 0;
            let outcome = Outcome::Failed(failure);
            self.failing = rerun::note(&self.strand, node, &outcome);
            return Ok(self.machine().finished(node, outcome));
        }
        self.strand.frame.begun += 1;
        self.flush = true;
        Err(match self.rest(node, State::Outside, NEVER) {
            Turn::NotNow => Turn::NotNow,
            _ => Turn::Outside(Beginning::of(&self.strand)),
        })
    }
}
