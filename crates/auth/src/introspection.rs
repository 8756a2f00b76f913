//! Opaque tokens: the authorization server is asked what they are (RFC 7662).
//!
//! What it answers, also "not active", is kept for a short while, so that a token costs one question now and then and not one
//! per request.
//!
//! **Invariants**: only a text that can be a token (RFC 6750) is sent. At most [`AT_ONCE`] questions are under way, and none
//! waits longer than [`WAIT`] for its turn. After a failure of the server, none is asked for [`PAUSE`]; what it says of one token
//! is no such failure and concerns that token alone.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use cel::Value;
use reqwest::Url;
use tokio::sync::Semaphore;

use crate::cache::{Answers, Until, sha256};
use crate::claims::{Expected, subject};
use crate::clock::Clock;
use crate::config::{self, check_url};
use crate::credential::{Credential, Origin, check_expiry};
use crate::fetch::{Failure, Fetcher};
use crate::json::{self, Limits};
use crate::jwt::{MAX_TOKEN, read};
use crate::mapping::Mapping;
use crate::{ConfigError, Error};

const AT_ONCE: usize = 32;
const WAIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(1);

/// One server that is asked.
#[derive(Debug)]
pub(crate) struct Server {
    url: Url,
    client_id: String,
    client_secret: Secret,
    /// What `iss` must be.
    issuer: Option<String>,
    /// What stands for the issuer in the facts.
    name: Arc<str>,
    audience: Vec<String>,
    ttl: Duration,
    leeway: Duration,
    subject: String,
    mapping: Arc<Mapping>,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    questions: Semaphore,
    failed: Mutex<Option<Duration>>,
    answers: Answers<Arc<Credential>>,
}

struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Server {
    pub(crate) fn new(
        section: &str,
        config: &config::Introspection,
        cache_bytes: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let url = check_url(&format!("{section}.url"), &config.url, config.reach.allow_insecure_http)?;
        let key = format!("{section}.client_secret_file");
        let hint = "name a file with the secret of client_id and nothing else";
        let secret = read(&key, &config.client_secret_file, hint)?;
        let secret = match str::from_utf8(&secret).map(str::trim_ascii_end) {
            Ok(secret) if !secret.is_empty() => Secret(secret.to_owned()),
            _ => return Err(ConfigError::new(key, "the file is empty or not UTF-8", hint)),
        };
        Ok(Self {
            client_id: config.client_id.clone(),
            client_secret: secret,
            issuer: config.issuer.clone(),
            name: config.issuer.as_deref().unwrap_or(&config.url).into(),
            audience: config.belief.audience.as_slice().to_vec(),
            ttl: config.cache_ttl,
            leeway: config.belief.leeway,
            subject: config.belief.subject.clone(),
            mapping: Arc::new(Mapping::compile(section, &config.rules)?),
            fetcher: Fetcher::new(section, &url, &config.reach)?,
            url,
            clock,
            questions: Semaphore::new(AT_ONCE),
            failed: Mutex::default(),
            answers: Answers::new(cache_bytes),
        })
    }

    /// Whether the server vouched for the token a moment ago.
    pub(crate) fn remembers(&self, token: &str) -> bool {
        self.answers.knows(&sha256(token.as_bytes()), self.clock.elapsed())
    }

    /// The credential of a token. `Ok(None)`: this server does not know it.
    pub(crate) async fn credential(&self, token: &str) -> Result<Option<Arc<Credential>>, Error> {
        if !can_be_token(token) {
            return Err(Error::rejected("text cannot be a token"));
        }
        let load = async || {
            let value = self.ask(token).await?.map(Arc::new);
            Ok(Until { value, until: self.clock.elapsed() + self.ttl })
        };
        let found = self.answers.get_or_load(sha256(token.as_bytes()), self.clock.elapsed(), load).await?;
        if let Some(credential) = &found {
            check_expiry(credential.expires_at, self.clock.now())?;
        }
        Ok(found)
    }

    async fn ask(&self, token: &str) -> Result<Option<Credential>, Error> {
        self.check_pause()?;
        let form = [("token", token), ("token_type_hint", "access_token")];
        let answer = {
            let Ok(_turn) = tokio::time::timeout(WAIT, self.questions.acquire()).await else {
                return Err(Error::Unavailable("the introspection endpoint is slow to answer others".into()));
            };
            // The server may have failed meanwhile.
            self.check_pause()?;
            self.fetcher.post(&self.url, &form, (&self.client_id, &self.client_secret.0)).await
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why @ (Failure::NoAnswer(_) | Failure::Status(401 | 500..))) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.elapsed());
                tracing::warn!(url = %self.url, "the introspection endpoint cannot be asked: {why}");
                return Err(Error::Unavailable(format!("the introspection endpoint cannot be asked: {why}")));
            }
            Err(why @ Failure::Status(400..=499))
                if why != Failure::Status(408) && why != Failure::Status(429) =>
            {
                tracing::debug!(url = %self.url, "the introspection endpoint refuses a token: {why}");
                return Ok(None);
            }
            // Says nothing of the token, nor of what is answered to others.
            Err(why) => {
                tracing::debug!(url = %self.url, "the introspection endpoint gives no answer: {why}");
                return Err(Error::Unavailable(format!("the introspection endpoint gives no answer: {why}")));
            }
        };
        self.read(&answer)
    }

    fn check_pause(&self) -> Result<(), Error> {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|failed| self.clock.elapsed().saturating_sub(failed) < PAUSE) {
            return Err(Error::Unavailable("the introspection endpoint has just failed".into()));
        }
        Ok(())
    }

    fn read(&self, answer: &str) -> Result<Option<Credential>, Error> {
        let refused = |why: String| Error::Rejected(format!("answer of the introspection endpoint: {why}"));
        let claims = json::object(answer, Limits::CLAIMS).map_err(refused)?;
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(None),
            _ => return Err(refused("active is neither true nor false".into())),
        }
        let expected = Expected {
            issuer: self.issuer.as_deref(),
            audience: &self.audience,
            leeway: self.leeway,
            requires_end: false,
        };
        let end = expected.check(&claims, self.clock.now()).map_err(refused)?;
        let subject = subject(&claims, &self.subject).map_err(refused)?.map(Arc::from);
        let origin =
            Origin { method: "introspection", issuer: Some(Arc::clone(&self.name)), subject, key_id: None };
        let (roles, facts) = self.mapping.apply(&origin, &claims)?;
        Ok(Some(Credential::new(origin, roles, &facts, end)))
    }
}

/// RFC 6750, 2.1: `b64token`.
fn can_be_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len() <= MAX_TOKEN
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}
