//! API keys: `pk_` and 43 characters of base64url, kept in the database as a hash.
//!
//! A key is 256 random bits, so its plain SHA-256 is as good as a slow hash of a password. The database is asked for the hash;
//! what it answers, also "unknown", is kept for a short while.
//!
//! **Invariants**: the text of a key is hashed before it is compared with anything, so the time of a comparison says nothing
//! about keys; what is kept holds hashes only. A text that cannot be a key never reaches the database.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use postern_core::RoleName;
use uuid::Uuid;

use crate::Error;
use crate::cache::{Answers, Until, sha256};
use crate::clock::Clock;
use crate::config;
use crate::credential::{Credential, Origin, check_expiry};
use crate::json::{self, Limits};

/// What every API key begins with.
pub const PREFIX: &str = "pk_";

/// Length of the base64url text of 32 bytes.
const ENCODED: usize = 43;

/// A live key, as the database has it.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Names the key in facts and logs.
    pub id: Uuid,
    /// The one role it is for.
    pub role: RoleName,
    /// Whom it is about.
    pub subject: Option<String>,
    /// The text of a JSON object.
    pub claims: String,
    /// When it ends.
    pub expires_at: Option<SystemTime>,
}

/// The answer of a [`KeyStore`], still to come.
pub type KeyFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<ApiKey>, KeyStoreError>> + Send + 'a>>;

/// Where keys are found.
pub trait KeyStore: Debug + Send + Sync {
    /// The live key with this SHA-256 of its whole text, `pk_` included.
    fn find(&self, sha256: [u8; 32]) -> KeyFuture<'_>;
}

/// Keys cannot be looked up. The text is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct KeyStoreError(pub String);

/// A [`KeyStore`] without keys, for gates that do not use them.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeys;

impl KeyStore for NoKeys {
    fn find(&self, _: [u8; 32]) -> KeyFuture<'_> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Whether a text has the form of a key.
pub fn looks_like_key(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == ENCODED && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

#[derive(Debug)]
pub(crate) struct ApiKeys {
    roles: Vec<RoleName>,
    ttl: std::time::Duration,
    store: Arc<dyn KeyStore>,
    found: Answers<Arc<Credential>>,
}

impl ApiKeys {
    pub(crate) fn new(config: &config::ApiKeys, store: Arc<dyn KeyStore>, cache_bytes: u64) -> Self {
        Self { roles: config.roles.clone(), ttl: config.cache_ttl, store, found: Answers::new(cache_bytes) }
    }

    /// Whether the key was found a moment ago.
    pub(crate) fn remembers(&self, key: &str, clock: &dyn Clock) -> bool {
        self.found.knows(&sha256(key.as_bytes()), clock.elapsed())
    }

    pub(crate) async fn credential(&self, key: &str, clock: &dyn Clock) -> Result<Arc<Credential>, Error> {
        if !looks_like_key(key) {
            return Err(Error::rejected("text is not of the form of an API key"));
        }
        let hash = sha256(key.as_bytes());
        let found = self
            .found
            .get_or_load(hash, clock.elapsed(), async || {
                let found =
                    self.store.find(hash).await.map_err(|error| Error::Unavailable(error.to_string()))?;
                let found = found.map(|key| self.check(key)).transpose()?.map(Arc::new);
                Ok(Until { value: found, until: clock.elapsed() + self.ttl })
            })
            .await?;
        let found = found.ok_or_else(|| Error::rejected("API key is unknown, revoked or expired"))?;
        check_expiry(found.expires_at, clock.now())?;
        Ok(found)
    }

    fn check(&self, key: ApiKey) -> Result<Credential, Error> {
        let ApiKey { id, role, subject, claims, expires_at } = key;
        let claims = json::object(&claims, Limits::CLAIMS)
            .map_err(|problem| Error::Rejected(format!("claims of API key {id}: {problem}")))?;
        if !self.roles.contains(&role) {
            return Err(Error::RoleNotAllowed(format!("role of API key {id} is not in auth.api_keys.roles")));
        }
        let origin =
            Origin { method: "api_key", issuer: None, subject: subject.map(Arc::from), key_id: Some(id) };
        Ok(Credential::fixed(origin, role, claims.text(), expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_a_key() {
        let body = "A".repeat(43);
        assert!(looks_like_key(&format!("pk_{body}")));
        for text in [
            format!("pk_{body}A"),
            format!("pk_{}", &body[1..]),
            format!("PK_{body}"),
            format!("pk_{}=", &body[1..]),
            format!(" pk_{}", &body[1..]),
            format!("pk_{}é", &body[2..]),
            body,
        ] {
            assert!(!looks_like_key(&text), "{text}");
        }
    }
}
