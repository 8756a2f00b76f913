//! Which kind of credential a request presents, and who checks it.
//!
//! **Invariants**: a request with two different credentials is refused, whichever of them is good. Which kind a text is
//! depends on its form alone.

use std::sync::Arc;

use crate::api_key::{ApiKeys, KeyStore, looks_like_key};
use crate::clock::{Clock, SystemClock};
use crate::credential::{Credential, Origin};
use crate::error::quoted;
use crate::introspection::Server;
use crate::jwt::{Issuers, NotVerified, Token};
use crate::{Authenticated, Client, Config, ConfigError, Error, Presented};

/// Says who a request is. Made once, used by all requests.
#[derive(Debug)]
pub struct Authenticator {
    clock: Arc<dyn Clock>,
    issuers: Issuers,
    servers: Vec<Server>,
    api_keys: Option<ApiKeys>,
    anonymous: Option<Credential>,
}

impl Authenticator {
    /// Checks the configuration and reads its files. Fetches nothing: see [`Authenticator::warm_up`].
    pub fn new(config: &Config, keys: Arc<dyn KeyStore>) -> Result<Self, ConfigError> {
        Self::with_clock(config, keys, Arc::new(SystemClock::default()))
    }

    /// The same, with another clock.
    pub fn with_clock(
        config: &Config,
        keys: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let api_keys = config.api_keys.as_ref().filter(|config| config.enabled);
        let anonymous = config.anonymous.as_ref().map(|anonymous| {
            let origin = Origin { method: "anonymous", issuer: None, subject: None, key_id: None };
            Credential::fixed(origin, anonymous.role.clone(), "{}", None)
        });
        let servers = config.introspection.iter().enumerate().map(|(n, server)| {
            Server::new(&format!("introspection[{n}]"), server, config.cache_bytes, Arc::clone(&clock))
        });
        Ok(Self {
            issuers: Issuers::new(config, Arc::clone(&clock))?,
            servers: servers.collect::<Result<_, _>>()?,
            api_keys: api_keys.map(|api_keys| ApiKeys::new(api_keys, keys, config.cache_bytes)),
            anonymous,
            clock,
        })
    }

    /// Fetches the keys of all issuers, so that the first requests need not wait. An issuer that cannot be reached is logged;
    /// its keys are tried again when its tokens come.
    pub async fn warm_up(&self) {
        self.issuers.warm_up().await;
    }

    /// Who the request is.
    pub async fn authenticate(
        &self,
        presented: &Presented<'_>,
        client: &Client,
    ) -> Result<Authenticated, Error> {
        let credential = match (presented.bearer, presented.api_key) {
            (Some(bearer), Some(key)) if bearer != key => {
                return Err(Error::rejected("request carries both a bearer token and an API key"));
            }
            (_, Some(key)) => self.api_key(key).await?,
            (Some(bearer), None) if looks_like_key(bearer) => self.api_key(bearer).await?,
            (Some(bearer), None) => self.bearer(bearer).await?,
            (None, None) => {
                let anonymous = self.anonymous.as_ref().ok_or(Error::Missing)?;
                return anonymous.enter(client, presented.requested_role);
            }
        };
        credential.enter(client, presented.requested_role)
    }

    /// Whether the credential was found good a moment ago, so that nothing has to be asked or checked for it; also if there is
    /// none.
    pub fn remembers(&self, presented: &Presented<'_>) -> bool {
        let key = presented.api_key.or(presented.bearer.filter(|bearer| looks_like_key(bearer)));
        match (key, presented.bearer) {
            (Some(key), _) => self.api_keys.as_ref().is_some_and(|keys| keys.remembers(key, &*self.clock)),
            (None, Some(token)) => {
                self.issuers.remembers(token) || self.servers.iter().any(|server| server.remembers(token))
            }
            (None, None) => true,
        }
    }

    async fn api_key(&self, key: &str) -> Result<Arc<Credential>, Error> {
        match &self.api_keys {
            Some(keys) => keys.credential(key, &*self.clock).await,
            None => Err(Error::rejected("API keys are not configured")),
        }
    }

    async fn bearer(&self, token: &str) -> Result<Arc<Credential>, Error> {
        if !self.issuers.is_empty() && (self.servers.is_empty() || Token::looks_like_one(token)) {
            match self.issuers.credential(token).await {
                Ok(credential) => return Ok(credential),
                // An access token may be a JWT without being meant to be read by others than its issuer.
                Err(NotVerified::UnknownIssuer(_)) if !self.servers.is_empty() => {}
                Err(NotVerified::UnknownIssuer(issuer)) => {
                    return Err(Error::Rejected(format!("issuer {} is not configured", quoted(&issuer))));
                }
                Err(NotVerified::Failed(error)) => return Err(error),
            }
        }
        let mut unavailable = None;
        for server in &self.servers {
            match server.credential(token).await {
                Ok(Some(credential)) => return Ok(credential),
                Ok(None) => {}
                Err(error @ Error::Unavailable(_)) => unavailable = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(unavailable
            .unwrap_or_else(|| Error::rejected("token is not one that can be checked, or not active")))
    }
}
