//! What the gate hands in, and what it gets back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use postern_core::RoleName;
use uuid::Uuid;

/// What a request presents to prove who it is.
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The token of `Authorization: Bearer …`: a JWT or an opaque OAuth 2.0 token.
    pub bearer: Option<&'a str>,
    /// The key of `X-API-Key`, or a bearer token with the prefix of an API key.
    pub api_key: Option<&'a str>,
    /// The role that the request asks for; must be one that the credential allows.
    pub requested_role: Option<&'a str>,
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented")
            .field("bearer", &self.bearer.map(|_| "…"))
            .field("api_key", &self.api_key.map(|_| "…"))
            .field("requested_role", &self.requested_role)
            .finish()
    }
}

/// What the gate knows of the client, for the facts.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client's address, after forwarded headers of configured proxies.
    pub addr: Option<IpAddr>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// The id of the request.
    pub request_id: String,
    /// When the request arrived.
    pub time: SystemTime,
}

/// Who a request is: the role to enter and the facts to enter with.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The role to enter: on the configured list, and allowed by the credential.
    pub role: RoleName,
    /// The facts, as the text of a JSON object:
    /// `{"claims":…, "client":{"addr","user_agent"}, "auth":{"method","issuer","subject"}, "request":{"id","time"}}`.
    pub facts: Arc<str>,
    /// `jwt`, `introspection`, `api_key` or `anonymous`.
    pub method: &'static str,
    /// Who vouches for the subject: the issuer's URL, or a name from the configuration.
    pub issuer: Option<Arc<str>>,
    /// Whom the credential is about. Limits count per issuer and subject, but API keys each by itself.
    pub subject: Option<Arc<str>>,
    /// The API key, if it was one.
    pub key_id: Option<Uuid>,
    /// When the credential ends; a request does not run past it.
    pub expires_at: Option<SystemTime>,
}
