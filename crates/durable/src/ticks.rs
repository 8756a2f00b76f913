//! What becomes of the ticks of a schedule: which one starts a function, which have passed, which waits.
//!
//! Times are microseconds since 1970 in UTC, given by whoever asks: nothing here reads a clock.

use crate::Error;
use crate::cron::Schedule;

/// How late a tick may be begun that is not to be made up: more, and it has passed.
pub const GRACE: i64 = 60_000_000;

/// What a tick does while the function of the one before still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// It waits until that one has ended.
    Queue,
    /// It starts all the same.
    Allow,
}

impl Overlap {
    /// Reads its name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name.to_ascii_lowercase().as_str() {
            "skip" => Ok(Self::Skip),
            "queue" => Ok(Self::Queue),
            "allow" => Ok(Self::Allow),
            _ => Err(Error::argument(format!(
                "unknown overlap \"{name}\": expected 'skip', 'queue' or 'allow'"
            ))),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }
}

/// A schedule when its time has come.
#[derive(Debug, Clone, Copy)]
pub struct Due<'a> {
    /// When.
    pub schedule: &'a Schedule,
    /// What overlapping does.
    pub overlap: Overlap,
    /// Whether ticks that have passed are made up.
    pub backfill: bool,
    /// The tick that has come.
    pub tick: i64,
    /// It waited for the one before to end.
    pub waited: bool,
    /// The function of the one before still runs.
    pub busy: bool,
    /// Now.
    pub now: i64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The tick for which a function starts now.
    pub start: Option<i64>,
    /// The tick to look at next, `None` if there is none ever.
    pub next: Option<i64>,
    /// That one has come, and waits for the function that runs to end.
    pub waits: bool,
    /// Ticks, at least one, have passed, or were left out.
    pub missed: bool,
}

impl Due<'_> {
    /// Decides.
    pub fn plan(self) -> Plan {
        let after = |time| self.schedule.next_after(time);
        // Whatever has passed by the time that it starts is not made up, unless it is to be.
        let following = |tick: i64| if self.backfill { after(tick) } else { after(tick.max(self.now)) };
        let kept = if self.backfill || self.waited { Some(self.tick) } else { self.latest() };
        let Some(tick) = kept else {
            return Plan { start: None, next: after(self.now), waits: false, missed: true };
        };
        let missed = tick > self.tick;
        match self.overlap {
            Overlap::Skip if self.busy => {
                Plan { start: None, next: following(tick), waits: false, missed: true }
            }
            Overlap::Queue if self.busy => Plan { start: None, next: Some(tick), waits: true, missed },
            _ => Plan { start: Some(tick), next: following(tick), waits: false, missed },
        }
    }

    /// The last tick until now that is not too late.
    fn latest(self) -> Option<i64> {
        let mut last = if self.now - self.tick <= GRACE {
            self.tick
        } else {
            self.schedule.next_after(self.now - GRACE - 1).filter(|tick| *tick <= self.now)?
        };
        while let Some(next) = self.schedule.next_after(last).filter(|next| *next <= self.now) {
            last = next;
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;

    /// An hourly schedule whose tick at 0 has come.
    fn due(now: i64, overlap: Overlap, backfill: bool, busy: bool) -> Plan {
        let schedule = Schedule::parse("0 * * * *").unwrap();
        Due { schedule: &schedule, overlap, backfill, tick: 0, waited: false, busy, now }.plan()
    }

    #[test]
    fn a_tick_starts_when_its_time_has_come() {
        let wanted = Plan { start: Some(0), next: Some(HOUR), waits: false, missed: false };
        for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Allow] {
            for backfill in [false, true] {
                assert_eq!(due(5, overlap, backfill, false), wanted);
            }
        }
        assert_eq!(due(5, Overlap::Allow, false, true), wanted);
    }

    #[test]
    fn one_that_is_too_late_has_passed_unless_it_is_made_up() {
        let late = 3 * HOUR + 10 * MINUTE;
        let passed = Plan { start: None, next: Some(4 * HOUR), waits: false, missed: true };
        assert_eq!(due(late, Overlap::Skip, false, false), passed);
        let made_up = Plan { start: Some(0), next: Some(HOUR), waits: false, missed: false };
        assert_eq!(due(late, Overlap::Skip, true, false), made_up);
        // The latest of them is not late.
        let latest = Plan { start: Some(3 * HOUR), next: Some(4 * HOUR), waits: false, missed: true };
        assert_eq!(due(3 * HOUR + 5, Overlap::Skip, false, false), latest);
    }

    #[test]
    fn while_the_one_before_runs_a_tick_is_left_out_or_waits() {
        let left_out = Plan { start: None, next: Some(HOUR), waits: false, missed: true };
        assert_eq!(due(5, Overlap::Skip, false, true), left_out);
        let waits = Plan { start: None, next: Some(0), waits: true, missed: false };
        assert_eq!(due(5, Overlap::Queue, false, true), waits);
    }

    #[test]
    fn one_that_waited_is_never_too_late_and_comes_once() {
        let schedule = Schedule::parse("0 * * * *").unwrap();
        let due = |backfill| {
            Due {
                schedule: &schedule,
                overlap: Overlap::Queue,
                backfill,
                tick: 0,
                waited: true,
                busy: false,
                now: 5 * HOUR + MINUTE,
            }
            .plan()
        };
        let once = Plan { start: Some(0), next: Some(6 * HOUR), waits: false, missed: false };
        assert_eq!(due(false), once);
        // Made up one after the other.
        assert_eq!(due(true), Plan { next: Some(HOUR), ..once });
    }

    #[test]
    fn a_year_that_was_missed_takes_no_time() {
        let schedule = Schedule::parse("* * * * * *").unwrap();
        let now = 365 * 24 * HOUR;
        let plan = Due {
            schedule: &schedule,
            overlap: Overlap::Skip,
            backfill: false,
            tick: 0,
            waited: false,
            busy: false,
            now,
        }
        .plan();
        assert_eq!(plan, Plan { start: Some(now), next: Some(now + 1_000_000), waits: false, missed: true });
    }
}
