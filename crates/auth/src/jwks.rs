//! The public keys of an issuer, fetched from it and kept for a while.
//!
//! Keys are used for [`REFRESH`] without asking again, then refreshed in the background while the old ones go on being used, up
//! to [`HARD_AGE`]: an outage of the issuer shorter than that goes unnoticed. A token that names an unknown key (`kid`) may mean
//! that the issuer has rotated its keys, so it causes a fetch, but not more often than every [`LOOK_AGAIN`].
//!
//! **Invariants**: one fetch at a time per issuer. A request waits for at most one fetch. Tokens, however many, do not make the
//! gate fetch more often than the constants say. A fetch that fails, or finds no usable key, changes no key.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::Error;
use crate::clock::Clock;
use crate::config::check_url;
use crate::error::quoted;
use crate::fetch::{Fetcher, TOTAL};
use crate::keys::KeySet;

/// Age at which keys are refreshed.
const REFRESH: Duration = Duration::from_mins(5);
/// Age at which keys are not used any more.
const HARD_AGE: Duration = Duration::from_hours(1);
/// Least time between two fetches because of unknown keys, and between two attempts to refresh.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Least time between two attempts while there are no keys at all.
const RETRY: Duration = Duration::from_secs(2);

/// Where keys come from.
#[derive(Debug)]
pub(crate) enum Location {
    /// A JWKS.
    Jwks(Url),
    /// A discovery document that names it, and the issuer that the document must name.
    Discovery { url: Url, issuer: String, allow_http: bool },
}

#[derive(Debug)]
pub(crate) struct Remote {
    location: Location,
    fetcher: Fetcher,
    /// The algorithms of the configuration.
    algorithms: Option<Vec<Algorithm>>,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    /// Held while a fetch is under way.
    fetching: Arc<Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// When `keys` were fetched.
    fetched: Duration,
    /// How many fetches have ended, and when the last one did.
    attempts: u64,
    tried: Option<Duration>,
    /// When the last fetch because of an unknown key began.
    looked_again: Option<Duration>,
    /// Why the last fetch failed.
    failure: Option<String>,
}

impl State {
    /// The keys that may still be used, and their age.
    fn usable(&self, now: Duration) -> Option<(&Arc<KeySet>, Duration)> {
        let age = now.saturating_sub(self.fetched);
        self.keys.as_ref().filter(|_| age < HARD_AGE).map(|keys| (keys, age))
    }

    fn unavailable(&self) -> Error {
        let why = self.failure.as_deref().unwrap_or("they have not been fetched");
        Error::Unavailable(format!("keys of the issuer cannot be had: {why}"))
    }
}

/// Whether something that happened then is long enough ago.
fn is_past(then: Option<Duration>, least: Duration, now: Duration) -> bool {
    then.is_none_or(|then| now.saturating_sub(then) >= least)
}

impl Remote {
    pub(crate) fn new(
        location: Location,
        fetcher: Fetcher,
        algorithms: Option<Vec<Algorithm>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            location,
            fetcher,
            algorithms,
            clock,
            state: RwLock::default(),
            fetching: Arc::default(),
        })
    }

    /// The keys, with the one of this id if there is one.
    pub(crate) async fn keys(self: &Arc<Self>, kid: &str) -> Result<Arc<KeySet>, Error> {
        let now = self.clock.elapsed();
        let seen = {
            let state = self.read();
            if let Some((keys, age)) = state.usable(now)
                && keys.has(kid)
            {
                let keys = Arc::clone(keys);
                let is_due = age >= REFRESH && is_past(state.tried, LOOK_AGAIN, now);
                drop(state);
                if is_due && let Ok(guard) = Arc::clone(&self.fetching).try_lock_owned() {
                    drop(self.spawn(guard));
                }
                return Ok(keys);
            }
            state.attempts
        };
        // Whoever holds the lock is fetching; what comes of that counts for all who wait.
        let guard = Arc::clone(&self.fetching).lock_owned().await;
        if self.read().attempts == seen && self.may_fetch(now) {
            // A task of its own: the fetch goes on when the request that caused it goes away.
            let _ = self.spawn(guard).await;
        } else {
            drop(guard);
        }
        let state = self.read();
        match state.usable(self.clock.elapsed()) {
            Some((keys, _)) if keys.has(kid) || state.failure.is_none() => Ok(Arc::clone(keys)),
            // Not there, and whether the issuer has it now is unknown only if it has just been asked in vain.
            Some((keys, _)) if state.attempts == seen => Ok(Arc::clone(keys)),
            _ => Err(state.unavailable()),
        }
    }

    /// Whether a fetch is due because a key is missing; if so, it counts.
    fn may_fetch(&self, now: Duration) -> bool {
        let mut state = self.write();
        if state.usable(now).is_none() {
            return is_past(state.tried, RETRY, now);
        }
        let due = is_past(state.looked_again, LOOK_AGAIN, now);
        if due {
            state.looked_again = Some(now);
        }
        due
    }

    /// Fetches, unless a fetch is under way.
    pub(crate) async fn warm_up(self: &Arc<Self>) -> Result<usize, String> {
        let guard = Arc::clone(&self.fetching).lock_owned().await;
        let _ = self.spawn(guard).await;
        let state = self.read();
        match (&state.keys, &state.failure) {
            (Some(keys), None) => Ok(keys.len()),
            (_, failure) => Err(failure.clone().unwrap_or_default()),
        }
    }

    fn spawn(self: &Arc<Self>, guard: OwnedMutexGuard<()>) -> tokio::task::JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let began = this.clock.elapsed();
            let fetched = match tokio::time::timeout(TOTAL, this.fetch()).await {
                Ok(fetched) => fetched,
                Err(_) => Err("no complete answer in time".into()),
            };
            let mut state = this.write();
            state.attempts += 1;
            // Throttles count from the end: behind an issuer that does not answer, a queue must not wait again and again.
            state.tried = Some(this.clock.elapsed());
            match fetched {
                Ok(keys) => {
                    for skipped in &keys.skipped {
                        tracing::warn!(source = %this.location, "a key of the issuer is left out: {skipped}");
                    }
                    state.keys = Some(Arc::new(keys));
                    state.fetched = began;
                    state.failure = None;
                }
                Err(failure) => {
                    tracing::warn!(source = %this.location, "keys of the issuer cannot be fetched: {failure}");
                    state.failure = Some(failure);
                }
            }
            drop(state);
            drop(guard);
        })
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }

        let text = match &self.location {
            Location::Jwks(url) => self.fetcher.get(url).await?,
            Location::Discovery { url, issuer, allow_http } => {
                let text = self.fetcher.get(url).await?;
                let document: Document =
                    serde_json::from_str(&text).map_err(|_| "the discovery document cannot be read")?;
                if document.issuer != *issuer {
                    return Err(format!(
                        "the discovery document is of the issuer {}",
                        quoted(&document.issuer)
                    ));
                }
                let jwks = check_url("jwks_uri", &document.jwks_uri, *allow_http)
                    .map_err(|_| format!("jwks_uri cannot be used: {}", quoted(&document.jwks_uri)))?;
                self.fetcher.get(&jwks).await?
            }
        };
        KeySet::published(&text, self.algorithms.as_deref())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        // Nothing in a critical section can leave a state that is half changed.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Jwks(url) | Self::Discovery { url, .. } => url.fmt(f),
        }
    }
}
