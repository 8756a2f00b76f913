//! What an executor takes next: round the owners, and within one owner by priority and by time.

use super::super::board;
use super::super::deferred;
use super::super::quota::May;
use super::super::store::{self, Instance, NEVER, Stale, Strand};
use super::{Executor, GROUP, SHORT_STREAK, STREAK};
use crate::guc;
use crate::pg::{NO_OID, worker};

/// Queues that are looked at for something left to do, before it is taken for granted.
const QUEUES: usize = 8;

/// The strand that was due last, and who else.
pub(super) enum Claim {
    /// These, at least one.
    Strands(Vec<(Strand, Instance)>),
    /// Nothing is due; the next thing is at this time, or it must be looked for again at once.
    Nothing(i64),
}

impl Executor {
    /// The strand that has been due longest in the next queue of the round.
    pub(super) fn claim(&mut self, now: i64) -> Claim {
        let start = self.after;
        let mut at = start;
        let mut next = NEVER;
        let mut wrapped = false;
        loop {
            match store::queue_after(at.0, at.1) {
                Some((owner, priority, due)) => {
                    at = (owner, priority);
                    if due <= now {
                        let alone = guc::STEP_COMMIT.get() == guc::StepCommit::Each || deferred::any();
                        let group = if alone { 1 } else { self.group };
                        match self.quotas.take(self.slot, owner, now, group) {
                            May::Go(most) => {
                                let Ok(claimed) = store::claim(owner, priority, now) else {
                                    return Claim::Nothing(now);
                                };
                                if let Some(first) = claimed {
                                    let Ok(strands) = self.with_others(first, most, now) else {
                                        return Claim::Nothing(now);
                                    };
                                    self.quotas.count(owner);
                                    self.role = owner;
                                    // First: whoever wakes it until now has told it before.
                                    self.slot.idle.store(0, std::sync::atomic::Ordering::SeqCst);
                                    self.hand_over(priority, &strands, now, next);
                                    // The next round begins with the next owner: its own later priorities come after it.
                                    self.after = (owner, i16::MAX);
                                    return Claim::Strands(strands);
                                }
                                board::leave_role(self.slot);
                                next = next.min(store::next_due(owner, priority, now));
                            }
                            May::Full => {}
                            May::At(at) => next = next.min(at),
                        }
                    } else {
                        next = next.min(due);
                    }
                    if wrapped && (at.0.to_u32(), at.1) >= (start.0.to_u32(), start.1) {
                        break;
                    }
                }
                None if wrapped => break,
                None => {
                    wrapped = true;
                    at = (NO_OID, i16::MIN);
                }
            }
        }
        self.after = (NO_OID, i16::MIN);
        Claim::Nothing(next)
    }

    /// The strand that went on until now, if it still may.
    pub(super) fn claim_again(&mut self, id: &str, strand: i32, now: i64) -> Claim {
        let May::Go(_) = self.quotas.take(self.slot, self.role, now, 1) else {
            return Claim::Nothing(NEVER);
        };
        match store::claim_one(id, strand, now) {
            Ok(Some(found)) => {
                self.quotas.count(self.role);
                Claim::Strands(vec![found])
            }
            Ok(None) | Err(Stale) => Claim::Nothing(NEVER),
        }
    }

    /// This process is about to be busy with what it has claimed: it wakes another one if there is something left to do, or if nobody
    /// who waits would look when the next thing is due that this process knows of. `next` is what it has just seen.
    pub(super) fn hand_over(&mut self, priority: i16, mine: &[(Strand, Instance)], now: i64, next: i64) {
        let known =
            self.later.min(next).min(self.clock.next).min(store::put_to_rest()).min(board::told(self.slot));
        // What could not be delivered is looked at by whoever is woken.
        let undelivered = board::somebody_waits() && self.look_at.take().is_some();
        if undelivered {
            board::sent();
        }
        // What is due by now is seen below; but others may have relied on this process for what comes after that.
        let unknown = known <= now || undelivered;
        self.later = if unknown { 0 } else { known };
        if !board::somebody_waits() {
            return;
        }
        let wanted = unknown || !board::is_covered(self.later) || self.is_left(priority, mine, now);
        if wanted && board::wake_for(worker::database(), self.later) && unknown {
            self.later = NEVER;
        }
    }

    /// Whether something is due that another may take. What processes hold that do not show it counts as well.
    pub(super) fn is_left(&self, priority: i16, mine: &[(Strand, Instance)], now: i64) -> bool {
        let free = |owner, priority| {
            store::due(owner, priority, now, 2 * GROUP).iter().any(|(id, number)| {
                !mine.iter().any(|(strand, _)| strand.strand == *number && strand.instance == *id)
                    && !board::is_at(id, *number)
            })
        };
        if self.quotas.might(self.slot, self.role, now, 1) && free(self.role, priority) {
            return true;
        }
        let mut at = (NO_OID, i16::MIN);
        for _ in 0..QUEUES {
            let Some((owner, its, due)) = store::queue_after(at.0, at.1) else { return false };
            at = (owner, its);
            let own = owner == self.role;
            if due <= now
                && !(own && its == priority)
                && self.quotas.might(self.slot, owner, now, usize::from(own))
                && free(owner, its)
            {
                return true;
            }
        }
        // Too many to look at each.
        true
    }

    /// A strand that was claimed, with others that share its commit.
    pub(super) fn with_others(
        &mut self,
        first: (Strand, Instance),
        most: i64,
        now: i64,
    ) -> Result<Vec<(Strand, Instance)>, Stale> {
        let slow = self.slow.contains(&(first.0.instance.clone(), first.0.strand));
        let others = if self.alone > 0 || slow { 0 } else { most - 1 };
        let mut strands = vec![first];
        if others > 0 {
            strands.extend(store::companions(&strands[0].0, now, others)?);
        }
        // Who asked for none does not know whether there are some.
        self.streak = if others > 0 { STREAK } else { SHORT_STREAK };
        Ok(strands)
    }
}
