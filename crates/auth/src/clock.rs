//! The time, as the caller has it: expiry, ages of caches and throttles ask here, so that tests can move it.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

/// Where the time comes from.
pub trait Clock: Debug + Send + Sync {
    /// The time of day, which `exp`, `nbf` and `iat` are compared with.
    fn now(&self) -> SystemTime;

    /// Time since some start; never goes back. Ages of what is cached are differences of it.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
