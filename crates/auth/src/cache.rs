//! What was verified a moment ago: bounded by bytes, each entry with its end, one load at a time per key.
//!
//! **Invariants**: keys are SHA-256 hashes, so that neither a credential nor its prefix is kept. A failed load is not kept:
//! nobody fills the cache with what is not valid. A caller that goes away in the middle leaves the load to the next one.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync;

use crate::credential::Credential;

/// The hash under which a credential is kept.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}

/// Something that is kept, and the end of it, in the time of [`crate::Clock::elapsed`].
#[derive(Debug, Clone)]
pub(crate) struct Until<V> {
    pub value: V,
    pub until: Duration,
}

/// How much something takes.
pub(crate) trait Bytes {
    fn bytes(&self) -> usize;
}

impl Bytes for () {
    fn bytes(&self) -> usize {
        0
    }
}

impl Bytes for Arc<Credential> {
    fn bytes(&self) -> usize {
        Credential::bytes(self)
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

impl<V: Bytes> Weighter<[u8; 32], Until<V>> for ByBytes {
    fn weight(&self, _: &[u8; 32], entry: &Until<V>) -> u64 {
        // The key, the entry of the table, the allocations.
        const OVERHEAD: u64 = 160;
        OVERHEAD + entry.value.bytes() as u64
    }
}

#[derive(Debug)]
pub(crate) struct Cache<V>(sync::Cache<[u8; 32], Until<V>, ByBytes>);

impl<V: Bytes + Clone> Cache<V> {
    pub(crate) fn new(bytes: u64) -> Self {
        const TYPICAL: u64 = 1024;
        Self(sync::Cache::with_weighter(usize::try_from(bytes / TYPICAL).unwrap_or(0), bytes, ByBytes))
    }

    /// What is kept under the key and has not ended; else what `load` gives, kept until the end that it says.
    pub(crate) async fn get_or_load<E>(
        &self,
        key: [u8; 32],
        now: Duration,
        load: impl AsyncFnOnce() -> Result<Until<V>, E>,
    ) -> Result<V, E> {
        let guard = loop {
            match self.0.get_value_or_guard_async(&key).await {
                Ok(entry) if now < entry.until => return Ok(entry.value),
                Ok(_) => drop(self.0.remove_if(&key, |entry| entry.until <= now)),
                Err(guard) => break guard,
            }
        };
        let loaded = load().await?;
        let value = loaded.value.clone();
        if loaded.until > now {
            // Refused only when the key was removed meanwhile; then it is not kept.
            let _ = guard.insert(loaded);
        }
        Ok(value)
    }

    /// Whether something is kept under the key and has not ended.
    pub(crate) fn holds(&self, key: &[u8; 32], now: Duration) -> bool {
        self.0.peek(key).is_some_and(|entry| now < entry.until)
    }

    /// What is kept under the key and has not ended.
    fn get(&self, key: &[u8; 32], now: Duration) -> Option<V> {
        self.0.get(key).filter(|entry| now < entry.until).map(|entry| entry.value)
    }

    fn insert(&self, key: [u8; 32], now: Duration, entry: Until<V>) {
        if entry.until > now {
            self.0.insert(key, entry);
        }
    }

    #[cfg(test)]
    pub(crate) fn weight(&self) -> u64 {
        self.0.weight()
    }
}

/// Answers of whoever knows credentials. That one is unknown is kept too, but apart: whoever sends what is not valid can push
/// out only that.
#[derive(Debug)]
pub(crate) struct Answers<V> {
    known: Cache<V>,
    unknown: Cache<()>,
}

impl<V: Bytes + Clone> Answers<V> {
    /// At most this for what is unknown.
    const UNKNOWN: u64 = 256 * 1024;

    pub(crate) fn new(bytes: u64) -> Self {
        Self { known: Cache::new(bytes), unknown: Cache::new(bytes.min(Self::UNKNOWN)) }
    }

    /// Whether a credential is known, without asking.
    pub(crate) fn knows(&self, key: &[u8; 32], now: Duration) -> bool {
        self.known.holds(key, now)
    }

    /// The answer that is kept and has not ended; else what `load` gives, kept until the end that it says.
    pub(crate) async fn get_or_load<E>(
        &self,
        key: [u8; 32],
        now: Duration,
        load: impl AsyncFnOnce() -> Result<Until<Option<V>>, E>,
    ) -> Result<Option<V>, E> {
        let found = self.known.get_or_load(key, now, async || {
            if self.unknown.get(&key, now).is_some() {
                return Err(None);
            }
            let Until { value, until } = load().await.map_err(Some)?;
            let Some(value) = value else {
                self.unknown.insert(key, now, Until { value: (), until });
                return Err(None);
            };
            Ok(Until { value, until })
        });
        match found.await {
            Ok(value) => Ok(Some(value)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Error;

    impl Bytes for usize {
        fn bytes(&self) -> usize {
            1000
        }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[tokio::test]
    async fn an_entry_is_loaded_once_until_its_end() {
        let cache = Cache::<usize>::new(1_000_000);
        let loads = AtomicUsize::new(0);
        let load = async || {
            Ok::<_, Error>(Until { value: loads.fetch_add(1, Ordering::Relaxed), until: second(10) })
        };
        assert_eq!(cache.get_or_load([1; 32], second(0), load).await, Ok(0));
        assert_eq!(cache.get_or_load([1; 32], second(9), load).await, Ok(0));
        assert_eq!(cache.get_or_load([2; 32], second(9), load).await, Ok(1), "another key");
        assert_eq!(cache.get_or_load([1; 32], second(10), load).await, Ok(2), "ended");
    }

    #[tokio::test]
    async fn many_at_once_are_one_load() {
        let cache = Cache::<usize>::new(1_000_000);
        let loads = AtomicUsize::new(0);
        let load = async || {
            tokio::task::yield_now().await;
            Ok::<_, Error>(Until { value: loads.fetch_add(1, Ordering::Relaxed), until: second(10) })
        };
        let all = (0..100).map(|_| cache.get_or_load([1; 32], second(0), load));
        for value in futures_util::future::join_all(all).await {
            assert_eq!(value, Ok(0));
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cache = Cache::<usize>::new(1_000_000);
        let failed = cache.get_or_load([1; 32], second(0), async || Err(Error::rejected("no"))).await;
        assert_eq!(failed, Err(Error::rejected("no")));
        let load = async || Ok::<_, Error>(Until { value: 7, until: second(10) });
        assert_eq!(cache.get_or_load([1; 32], second(0), load).await, Ok(7));
    }

    #[tokio::test]
    async fn it_stays_within_its_bytes() {
        let cache = Cache::<usize>::new(100_000);
        for n in 0..1000_u32 {
            let load = async || Ok::<_, Error>(Until { value: 0, until: second(10) });
            cache.get_or_load(sha256(&n.to_be_bytes()), second(0), load).await.unwrap();
        }
        assert!(cache.weight() <= 100_000, "{}", cache.weight());
    }
    #[tokio::test]
    async fn what_is_unknown_pushes_out_nothing_that_is_known() {
        let answers = Answers::<usize>::new(1_000_000);
        let answer = |value| async move || Ok::<_, Error>(Until { value, until: second(10) });
        assert_eq!(answers.get_or_load([1; 32], second(0), answer(Some(1))).await, Ok(Some(1)));
        for n in 0..20_000_u32 {
            let key = sha256(&n.to_be_bytes());
            assert_eq!(answers.get_or_load(key, second(0), answer(None)).await, Ok(None));
        }
        assert!(answers.unknown.weight() <= Answers::<usize>::UNKNOWN, "{}", answers.unknown.weight());
        assert_eq!(answers.get_or_load([1; 32], second(9), answer(Some(2))).await, Ok(Some(1)));
    }

    #[tokio::test]
    async fn what_is_unknown_is_asked_about_again_at_its_end() {
        let answers = Answers::<usize>::new(1_000_000);
        let answer = |value| async move || Ok::<_, Error>(Until { value, until: second(10) });
        assert_eq!(answers.get_or_load([1; 32], second(0), answer(None)).await, Ok(None));
        assert_eq!(answers.get_or_load([1; 32], second(9), answer(Some(1))).await, Ok(None));
        assert_eq!(answers.get_or_load([1; 32], second(10), answer(Some(1))).await, Ok(Some(1)));
    }
}
