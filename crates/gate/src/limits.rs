//! How often, and how many at once: counted for each identity.
//!
//! An identity is counted under a hash (keyed at random at start) of who vouches for whom. Two identities with the same
//! hash would share their limits, which nobody can bring about without knowing the key.
//!
//! **Invariants**: memory is bounded by what is in flight and by what came in lately, not by how many identities there are.
//! A place in the count is given back however the request ends.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use postern_auth::Authenticated;
use postern_core::{Code, RoleName};

use crate::config::{LimitSet, Limits, RoleLimits};

/// Identities whose last requests are long ago are forgotten once in so many requests.
const SWEEP_EVERY: usize = 16_384;

/// The limits of all roles, and what counts against them.
pub(crate) struct Limiter {
    roles: HashMap<RoleName, Arc<Counted>>,
    others: Arc<Counted>,
    hasher: RandomState,
}

/// A set of limits with its counts.
pub(crate) struct Counted {
    pub limits: LimitSet,
    rate: Option<DefaultKeyedRateLimiter<Key>>,
    since_sweep: AtomicUsize,
    running: Mutex<HashMap<Key, u32>>,
}

/// Whom a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// A refusal, and when to try again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: Code,
    pub retry_after: Duration,
}

/// A request that counts as running until this is dropped.
pub(crate) struct Admission {
    counted: Arc<Counted>,
    key: Key,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let counted = |role: &RoleLimits| Arc::new(Counted::new(limits.with(role)));
        Self {
            roles: limits.roles.iter().map(|(role, limits)| (role.clone(), counted(limits))).collect(),
            others: counted(&RoleLimits::default()),
            hasher: RandomState::new(),
        }
    }

    /// Whom a request counts for: an issuer and its subject, an API key, or the address of who is nobody.
    pub(crate) fn key(&self, identity: &Authenticated, addr: Option<IpAddr>) -> Key {
        match (identity.method, identity.key_id) {
            ("anonymous", _) => self.anonymous_key(addr),
            (_, Some(key_id)) => self.hash(key_id),
            (method, None) => {
                self.subject_key(method, identity.issuer.as_deref(), identity.subject.as_deref())
            }
        }
    }

    fn subject_key(&self, method: &str, issuer: Option<&str>, subject: Option<&str>) -> Key {
        self.hash((method, issuer, subject))
    }

    /// The key of an anonymous client.
    fn anonymous_key(&self, addr: Option<IpAddr>) -> Key {
        self.hash(network(addr))
    }

    fn hash(&self, identity: impl Hash) -> Key {
        Key(self.hasher.hash_one(identity))
    }

    /// Counts a request, or refuses it.
    pub(crate) fn admit(&self, role: &RoleName, key: Key) -> Result<Admission, Refusal> {
        let counted = self.roles.get(role).unwrap_or(&self.others);
        counted.check_rate(key)?;
        counted.enter(key)?;
        Ok(Admission { counted: Arc::clone(counted), key })
    }
}

/// What an address counts as: itself, or for IPv6 the network that is one customer's.
pub(crate) fn network(addr: Option<IpAddr>) -> (u8, u64) {
    match addr {
        Some(IpAddr::V4(addr)) => (4, u64::from(addr.to_bits())),
        Some(IpAddr::V6(addr)) => (6, (addr.to_bits() >> 64) as u64),
        None => (0, 0),
    }
}

impl Counted {
    fn new(limits: LimitSet) -> Self {
        let burst = NonZeroU32::new(limits.burst).unwrap_or(NonZeroU32::MIN);
        let quota = NonZeroU32::new(limits.rate).map(|rate| Quota::per_second(rate).allow_burst(burst));
        Self {
            rate: quota.map(RateLimiter::keyed),
            limits,
            since_sweep: AtomicUsize::new(0),
            running: Mutex::default(),
        }
    }

    fn check_rate(&self, key: Key) -> Result<(), Refusal> {
        let Some(rate) = &self.rate else { return Ok(()) };
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) == SWEEP_EVERY {
            self.since_sweep.store(0, Ordering::Relaxed);
            rate.retain_recent();
            rate.shrink_to_fit();
        }
        rate.check_key(&key).map_err(|not_until| Refusal {
            code: Code::Rate,
            retry_after: not_until.wait_time_from(DefaultClock::default().now()),
        })
    }

    fn enter(&self, key: Key) -> Result<(), Refusal> {
        if self.limits.concurrency == 0 {
            return Ok(());
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(key).or_insert(0);
        if *count >= self.limits.concurrency {
            return Err(Refusal { code: Code::Concurrency, retry_after: Duration::from_secs(1) });
        }
        *count += 1;
        Ok(())
    }
}

impl Admission {
    /// The limits of this request.
    pub(crate) fn limits(&self) -> &LimitSet {
        &self.counted.limits
    }

    /// Whom it counts for.
    pub(crate) fn key(&self) -> u64 {
        self.key.0
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.counted.limits.concurrency == 0 {
            return;
        }
        let mut running = self.counted.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn limiter(limits: &Limits) -> (Limiter, RoleName) {
        (Limiter::new(limits), RoleName::try_from("app_user").unwrap())
    }

    fn code(result: Result<Admission, Refusal>) -> Result<(), Code> {
        result.map(drop).map_err(|refusal| refusal.code)
    }

    #[test]
    fn each_identity_has_its_own_rate() {
        let (limiter, role) = limiter(&Limits { rate: 1, burst: 3, ..Limits::default() });
        let alice = limiter.subject_key("jwt", Some("issuer"), Some("alice"));
        let bob = limiter.subject_key("jwt", Some("issuer"), Some("bob"));
        for _ in 0..3 {
            assert_eq!(code(limiter.admit(&role, alice)), Ok(()));
        }
        let refusal = limiter.admit(&role, alice).err().unwrap();
        assert_eq!(refusal.code, Code::Rate);
        assert!(refusal.retry_after > Duration::ZERO && refusal.retry_after <= Duration::from_secs(1));
        assert_eq!(code(limiter.admit(&role, bob)), Ok(()));
    }

    #[test]
    fn api_keys_of_one_subject_count_each_by_itself() {
        let (limiter, role) = limiter(&Limits::default());
        let key = |key_id: Option<u128>, subject: &str| {
            let identity = Authenticated {
                role: role.clone(),
                facts: "{}".into(),
                method: if key_id.is_some() { "api_key" } else { "jwt" },
                issuer: None,
                subject: Some(subject.into()),
                key_id: key_id.map(Uuid::from_u128),
                expires_at: None,
            };
            limiter.key(&identity, None)
        };
        assert_ne!(key(Some(1), "batch"), key(Some(2), "batch"));
        assert_eq!(key(Some(1), "batch"), key(Some(1), "batch"));
        assert_ne!(key(Some(1), "batch"), key(None, "batch"));
        assert_ne!(key(None, "ann"), key(None, "batch"));
    }

    #[test]
    fn what_runs_counts_until_it_is_dropped() {
        let (limiter, role) = limiter(&Limits { concurrency: 2, ..Limits::default() });
        let alice = limiter.subject_key("api_key", None, Some("alice"));
        let first = limiter.admit(&role, alice).unwrap_or_else(|_| panic!("admitted"));
        let second = limiter.admit(&role, alice).unwrap_or_else(|_| panic!("admitted"));
        assert_eq!(code(limiter.admit(&role, alice)), Err(Code::Concurrency));
        drop(first);
        assert_eq!(code(limiter.admit(&role, alice)), Ok(()));
        drop(second);
        assert!(limiter.others.running.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn a_role_with_limits_of_its_own_is_counted_by_them() {
        let special = RoleLimits { concurrency: Some(1), ..RoleLimits::default() };
        let role = RoleName::try_from("reporting").unwrap();
        let limits = Limits { roles: [(role.clone(), special)].into(), ..Limits::default() };
        let (limiter, other) = limiter(&limits);
        let key = limiter.subject_key("jwt", None, None);
        let _first = limiter.admit(&role, key).unwrap_or_else(|_| panic!("admitted"));
        assert_eq!(code(limiter.admit(&role, key)), Err(Code::Concurrency));
        assert_eq!(code(limiter.admit(&other, key)), Ok(()));
    }

    #[test]
    fn zero_is_no_limit() {
        let (limiter, role) = limiter(&Limits { rate: 0, concurrency: 0, ..Limits::default() });
        let key = limiter.anonymous_key(None);
        let all: Vec<_> =
            (0..5_000).map(|_| limiter.admit(&role, key).unwrap_or_else(|_| panic!("admitted"))).collect();
        drop(all);
    }

    #[test]
    fn anonymous_clients_count_by_address_or_network() {
        let (limiter, _) = limiter(&Limits::default());
        let key = |addr: &str| limiter.anonymous_key(Some(addr.parse().unwrap()));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"), "one network");
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }

    #[test]
    fn identities_of_long_ago_are_forgotten() {
        let (limiter, role) = limiter(&Limits { rate: 1_000_000, burst: 1, ..Limits::default() });
        for subject in 0..=SWEEP_EVERY {
            drop(limiter.admit(&role, limiter.subject_key("jwt", None, Some(&subject.to_string()))));
        }
        let known = limiter.others.rate.as_ref().unwrap().len();
        assert!(known < SWEEP_EVERY / 2, "{known} of {SWEEP_EVERY} are remembered");
    }
}
