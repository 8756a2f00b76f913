//! What an executor does between turns: the box, schedules, statements that nobody waits for, and what is too old.

use super::super::quota::Quotas;
use super::super::store::{self, NEVER};
use super::super::{board, messages, outside, pause, schedule};
use super::{Executor, RETIRE_EVERY, ours};
use crate::guc;
use crate::pg::caught::Caught;
use crate::pg::log;
use crate::pg::query::as_owner_in_executor as as_owner;
use crate::pg::worker;

/// Turns between two looks for instances that are too old, where much happens; each may have ended [`super::GROUP`] instances.
const RETIRE_TURNS: u32 = 250;

/// How many are removed at once: as many as may have ended since the last look.
const RETIRE_AT_ONCE: i64 = 4_000;

/// Microseconds until the box is looked into again for what could not be delivered: at first, and at the most.
pub(super) const LOOK_AGAIN: (i64, i64) = (2_000, 1_000_000);

impl Executor {
    /// Removes instances that are too old: one executor every hour, each after so many turns of its own.
    pub(super) fn retire(&mut self, rank: usize) {
        let hourly = rank == 0 && worker::now() - self.retired >= RETIRE_EVERY;
        if !hourly && self.turns < RETIRE_TURNS {
            return;
        }
        (self.turns, self.retired) = (0, worker::now());
        loop {
            let removed = ours(|| {
                as_owner(|| {
                    store::retire(
                        guc::RETENTION_DAYS.get(),
                        guc::RETENTION_INSTANCES.get().into(),
                        RETIRE_AT_ONCE,
                    )
                })
            });
            match removed {
                Ok(removed) if hourly && removed > 0 && !board::is_to_leave(self.slot) => {}
                Ok(_) => return,
                Err(caught) => {
                    log::warning(
                        &caught.message,
                        "Durable functions that have ended could not be removed.",
                        "",
                    );
                    return;
                }
            }
            worker::attend();
        }
    }

    /// Has what came with a copy go on here, where that is wanted.
    pub(super) fn arrive(&mut self) {
        if !self.copies.is_due() {
            return;
        }
        if let Err(caught) = self.copies.adopt(|f| ours(|| as_owner(f))) {
            log::warning(&caught.message, "What came with a copy of the database could not be adopted.", "");
        }
    }

    /// Has statements begun again of which nobody hears any more.
    pub(super) fn adopt(&mut self) {
        let orphans = board::orphans();
        if orphans != self.orphans {
            self.orphans = orphans;
            if let Err(caught) = ours(|| as_owner(outside::look_again)) {
                log::warning(&caught.message, "Statements of durable functions could not be looked for.", "");
            }
        }
    }

    /// Looks into the box if something was put in.
    pub(super) fn deliver(&mut self) {
        let sent = board::sent_so_far();
        if sent == self.seen {
            return;
        }
        self.seen = sent;
        let (mut after, mut again) = (0, false);
        loop {
            // First: a signal of the same commit must not have a step run that was to be paused.
            Self::answer_pauses();
            match ours(|| as_owner(|| messages::deliver(after))) {
                Ok(delivered) => {
                    again |= delivered.again;
                    match delivered.more {
                        Some(last) => after = last,
                        None => break,
                    }
                    worker::attend();
                }
                Err(caught) => {
                    log::warning(
                        &caught.message,
                        "Messages to durable functions could not be delivered.",
                        "",
                    );
                    // They are looked at again, by whoever comes first.
                    board::sent();
                    worker::wait(Some(1_000));
                    return;
                }
            }
        }
        if again {
            // Whoever holds it does so for a moment, or for as long as its statement takes.
            self.look_at = Some(worker::now() + self.again);
            self.again = (2 * self.again).min(LOOK_AGAIN.1);
        } else {
            (self.look_at, self.again) = (None, LOOK_AGAIN.0);
        }
    }

    /// Pauses and resumes what somebody asked for.
    pub(super) fn answer_pauses() {
        let warn = |caught: &Caught| {
            log::warning(&caught.message, "Durable functions could not be paused or resumed.", "");
        };
        for id in ours(|| as_owner(pause::asked)).inspect_err(warn).unwrap_or_default() {
            if let Err(caught) = pause::answer(&id, |f| ours(|| as_owner(f))) {
                warn(&caught);
            }
        }
    }

    /// Starts what schedules have come to, and reads when the next of them does, and the quotas with it.
    pub(super) fn tick(&mut self) {
        while self.clock.is_due() {
            if self.clock.has_changed() {
                self.clock.reading();
                if let Ok(Some(quotas)) = ours(|| Some(as_owner(Quotas::read))) {
                    self.quotas = quotas;
                }
            }
            self.clock.reading();
            let ticked = ours(|| as_owner(schedule::tick));
            let next =
                ticked.and_then(
                    |ticked| {
                        if ticked { Ok(Some(0)) } else { ours(|| Some(as_owner(schedule::next))) }
                    },
                );
            match next {
                Ok(None) => self.clock.next = NEVER,
                Ok(Some(0)) => self.clock.next = 0,
                // Someone else has it, and tells when that is over; this is for one that cannot.
                Ok(Some(next)) => {
                    let now = worker::now();
                    self.clock.next = if next <= now { now + 1_000_000 } else { next };
                }
                Err(caught) => {
                    log::warning(&caught.message, "A schedule could not be looked at.", "");
                    // As in a turn.
                    self.clock.next = worker::now() + 1_000_000;
                }
            }
            if board::is_to_leave(self.slot) {
                return;
            }
            worker::attend();
        }
    }
}
