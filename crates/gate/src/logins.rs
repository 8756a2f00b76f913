//! Failed logins, counted by the address that they come from.
//!
//! Whoever tries credentials that are not good makes the gate check signatures, ask the database and ask authorization servers.
//! Each failure counts against the address; past the limit, what comes from there is refused before it is looked at, until its
//! failures are paid off by time. A credential that was verified a moment ago passes all the same: a
//! neighbour who guesses does not shut out who is known.
//!
//! **Invariants**: memory is bounded ([`MOST_ADDRESSES`]); addresses whose failures are paid off are forgotten. While that many
//! addresses are remembered, further ones are not counted: nobody is refused for what others did.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postern_core::Code;

use crate::limits::{Refusal, network};

/// How many addresses are remembered at most.
const MOST_ADDRESSES: usize = 100_000;
/// The limit is so many in this time.
const PERIOD: Duration = Duration::from_mins(1);

/// What is remembered of failed logins.
pub(crate) struct Logins {
    /// What one failure costs; `None`: nothing is counted.
    cost: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the failures of an address are paid off.
    paid_off: HashMap<(u8, u64), Instant>,
    /// The number of addresses at which the next look for forgettable ones is worth it.
    sweep_at: usize,
}

impl Logins {
    /// So many failures per minute from one address, on average and at once; 0: any number.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { cost: PERIOD.checked_div(per_minute), state: Mutex::default() }
    }

    /// Refuses an address with too many failures.
    pub(crate) fn check(&self, addr: Option<IpAddr>, now: Instant) -> Result<(), Refusal> {
        let Some(cost) = self.cost else { return Ok(()) };
        let debt = match self.state().paid_off.get(&network(addr)) {
            Some(paid_off) => paid_off.saturating_duration_since(now),
            None => return Ok(()),
        };
        // Room for one more failure.
        match debt.checked_sub(PERIOD.saturating_sub(cost)) {
            Some(wait) if !wait.is_zero() => Err(Refusal { code: Code::FailedLogins, retry_after: wait }),
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, addr: Option<IpAddr>, now: Instant) {
        let Some(cost) = self.cost else { return };
        let mut state = self.state();
        state.sweep(now);
        let full = state.paid_off.len() >= MOST_ADDRESSES;
        match state.paid_off.get_mut(&network(addr)) {
            Some(paid_off) => *paid_off = (*paid_off).max(now) + cost,
            None if full => {}
            None => drop(state.paid_off.insert(network(addr), now + cost)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets who has paid; now and then, so that each failure has a small part of the work.
    fn sweep(&mut self, now: Instant) {
        const LEAST: usize = 1_024;

        if self.paid_off.len() < self.sweep_at.max(LEAST) {
            return;
        }
        self.paid_off.retain(|_, paid_off| *paid_off > now);
        self.sweep_at = (2 * self.paid_off.len()).min(MOST_ADDRESSES);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)));

    #[test]
    fn an_address_has_so_many_failures_and_gets_them_back() {
        let (logins, now) = (Logins::new(60), Instant::now());
        for _ in 0..60 {
            assert_eq!(logins.check(ONE, now), Ok(()));
            logins.failed(ONE, now);
        }
        let refusal = logins.check(ONE, now).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_after), (Code::FailedLogins, Duration::from_secs(1)));
        assert_eq!(logins.check(OTHER, now), Ok(()), "another address");
        let later = now + Duration::from_secs(1);
        assert_eq!(logins.check(ONE, later), Ok(()));
        logins.failed(ONE, later);
        assert!(logins.check(ONE, later).is_err());
        assert_eq!(logins.check(ONE, later + PERIOD), Ok(()));
    }

    #[test]
    fn one_a_minute_is_one_and_zero_is_no_limit() {
        let (one, none, now) = (Logins::new(1), Logins::new(0), Instant::now());
        one.failed(None, now);
        assert_eq!(one.check(None, now).unwrap_err().retry_after, PERIOD);
        for _ in 0..10_000 {
            none.failed(None, now);
        }
        assert_eq!(none.check(None, now), Ok(()));
        assert!(none.state().paid_off.is_empty());
    }

    #[test]
    fn addresses_of_long_ago_are_forgotten_and_their_number_is_bounded() {
        let (logins, now) = (Logins::new(600), Instant::now());
        let many = u32::try_from(MOST_ADDRESSES).unwrap() + 10;
        for number in 0..many {
            logins.failed(Some(IpAddr::V4(number.into())), now);
        }
        assert_eq!(logins.state().paid_off.len(), MOST_ADDRESSES);
        logins.failed(ONE, now + PERIOD);
        assert_eq!(logins.state().paid_off.len(), 1);
    }
}
