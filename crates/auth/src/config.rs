//! `[auth]`: whom the gate believes, and which roles that gives.
//!
//! ```toml
//! [[auth.jwt]]
//! issuer = "https://login.example.com/"
//! audience = "app"
//! discovery = true
//! roles = ["app_user"]
//! role = "claims.role"
//!
//! [auth.api_keys]
//! roles = ["app_service"]
//! ```
//!
//! **Invariants**: an unknown key is an error. Nothing is open by default: without an entry, nobody gets in. Each issuer has
//! its own list of roles, and there is no way to say "any".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_core::RoleName;
use reqwest::Url;
use serde::Deserialize;

use crate::ConfigError;
use crate::mapping::Mapping;

pub use jsonwebtoken::Algorithm;

/// The section `[auth]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Issuers of JWTs.
    pub jwt: Vec<Jwt>,
    /// Authorization servers that are asked about opaque tokens.
    pub introspection: Vec<Introspection>,
    /// API keys kept in the database.
    pub api_keys: Option<ApiKeys>,
    /// What requests without credentials may do.
    pub anonymous: Option<Anonymous>,
    /// How long a verified JWT is believed without checking its signature again; never past its end.
    #[serde(with = "humantime_serde")]
    pub cache_ttl: Duration,
    /// How many bytes verified credentials may take, for each kind of credential.
    pub cache_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            jwt: Vec::new(),
            introspection: Vec::new(),
            api_keys: None,
            anonymous: None,
            cache_ttl: Duration::from_mins(1),
            cache_bytes: 16 * 1024 * 1024,
        }
    }
}

/// What is believed of an issuer's credentials: the same keys in `[[auth.jwt]]` and `[[auth.introspection]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Belief {
    /// `aud` must name one of these.
    pub audience: OneOrMany,
    /// How far clocks may differ.
    #[serde(default = "default_leeway", with = "humantime_serde")]
    pub leeway: Duration,
    /// The claim, or the member of the answer, that says whom the credential is about.
    #[serde(default = "default_subject")]
    pub subject: String,
}

/// What a credential of an issuer gives: the same keys in `[[auth.jwt]]` and `[[auth.introspection]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Rules {
    /// The only roles this issuer can give.
    pub roles: Vec<RoleName>,
    /// CEL: the role, or a list of roles of which a request may choose.
    #[serde(default = "default_role")]
    pub role: String,
    /// CEL: members added to the claims in the facts, by name.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// The only claims that become facts. All, if missing.
    #[serde(default)]
    pub claims: Option<Vec<String>>,
}

/// How an issuer is reached: the same keys in `[[auth.jwt]]` and `[[auth.introspection]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reach {
    /// Certificates (PEM) to believe instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Plain HTTP, for development.
    #[serde(default)]
    pub allow_insecure_http: bool,
    /// Loopback and private addresses.
    #[serde(default)]
    pub allow_private_addresses: bool,
}

/// `[[auth.jwt]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// `iss`, exactly.
    pub issuer: String,
    /// Where the issuer's public keys are.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Find `jwks_url` in the issuer's OpenID Connect discovery document.
    #[serde(default)]
    pub discovery: bool,
    /// A public key (PEM), or one or more as JWK or JWKS.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// A shared secret of at least 32 bytes, for development: whoever can check such tokens can make them.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Signature algorithms. If missing: what fits the key, without HMAC unless there is a `secret_file`.
    #[serde(default)]
    pub algorithms: Option<Vec<Algorithm>>,
    /// Accepted values of the header `typ`, which may always be missing.
    #[serde(default = "default_types")]
    pub types: Vec<String>,
    /// What is believed.
    #[serde(flatten)]
    pub belief: Belief,
    /// What it gives.
    #[serde(flatten)]
    pub rules: Rules,
    /// How the issuer is reached.
    #[serde(flatten)]
    pub reach: Reach,
}

/// `[[auth.introspection]]`: RFC 7662.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The introspection endpoint.
    pub url: String,
    /// Who asks.
    pub client_id: String,
    /// The file with the secret of `client_id`.
    pub client_secret_file: PathBuf,
    /// `iss` of the answer, if it has to have one; also names the issuer in the facts, instead of `url`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// How long an answer is believed; never past the end of the token.
    #[serde(default = "default_introspection_ttl", with = "humantime_serde")]
    pub cache_ttl: Duration,
    /// What is believed.
    #[serde(flatten)]
    pub belief: Belief,
    /// What it gives.
    #[serde(flatten)]
    pub rules: Rules,
    /// How the issuer is reached.
    #[serde(flatten)]
    pub reach: Reach,
}

/// `[auth.api_keys]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeys {
    /// Off without removing the section.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// The only roles a key can give.
    pub roles: Vec<RoleName>,
    /// How long the database's answer is believed; a revoked key works that much longer.
    #[serde(default = "default_api_key_ttl", with = "humantime_serde")]
    pub cache_ttl: Duration,
}

/// `[auth.anonymous]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anonymous {
    /// The role of requests without credentials.
    pub role: RoleName,
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"a"`
    One(String),
    /// `["a", "b"]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

fn default_types() -> Vec<String> {
    vec!["JWT".into(), "at+jwt".into()]
}

fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

fn default_subject() -> String {
    "sub".into()
}

fn default_role() -> String {
    "claims.role".into()
}

fn default_introspection_ttl() -> Duration {
    Duration::from_secs(30)
}

fn default_api_key_ttl() -> Duration {
    Duration::from_secs(10)
}

fn default_true() -> bool {
    true
}

/// Longest leeway and longest caching: beyond, an end means little.
const MAX_LEEWAY: Duration = Duration::from_mins(5);
const MAX_TTL: Duration = Duration::from_hours(1);

impl Config {
    /// Whether all of it makes sense, expressions included. Files are read by [`crate::Authenticator::new`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        at_most("cache_ttl", self.cache_ttl, MAX_TTL)?;
        for (n, jwt) in self.jwt.iter().enumerate() {
            let section = format!("jwt[{n}]");
            jwt.validate(&section)?;
            if self.jwt[..n].iter().any(|other| other.issuer == jwt.issuer) {
                return Err(ConfigError::new(
                    format!("{section}.issuer"),
                    "two entries have the same issuer",
                    "write one entry with all audiences and roles",
                ));
            }
        }
        for (n, introspection) in self.introspection.iter().enumerate() {
            introspection.validate(&format!("introspection[{n}]"))?;
        }
        if let Some(api_keys) = &self.api_keys {
            check_roles("api_keys", &api_keys.roles)?;
            at_most("api_keys.cache_ttl", api_keys.cache_ttl, MAX_TTL)?;
        }
        if let Some(anonymous) = &self.anonymous {
            check_role("anonymous.role", &anonymous.role)?;
        }
        Ok(())
    }

    /// Makes relative paths of files relative to this folder: the one of the configuration file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        for jwt in &mut self.jwt {
            [&mut jwt.key_file, &mut jwt.secret_file, &mut jwt.reach.ca_file]
                .into_iter()
                .flatten()
                .for_each(resolve);
        }
        for introspection in &mut self.introspection {
            resolve(&mut introspection.client_secret_file);
            introspection.reach.ca_file.iter_mut().for_each(resolve);
        }
    }

    /// The roles that requests can become, each once.
    pub fn roles(&self) -> Vec<&RoleName> {
        let mut roles: Vec<&RoleName> = self
            .jwt
            .iter()
            .flat_map(|jwt| &jwt.rules.roles)
            .chain(self.introspection.iter().flat_map(|introspection| &introspection.rules.roles))
            .chain(self.api_keys.iter().filter(|keys| keys.enabled).flat_map(|keys| &keys.roles))
            .chain(self.anonymous.iter().map(|anonymous| &anonymous.role))
            .collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

impl Jwt {
    fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{section}.{name}");
        if self.issuer.is_empty() {
            return Err(ConfigError::new(key("issuer"), "is empty", "write the value of iss in its tokens"));
        }
        let sources =
            [self.jwks_url.is_some(), self.discovery, self.key_file.is_some(), self.secret_file.is_some()];
        if sources.into_iter().filter(|&given| given).count() != 1 {
            return Err(ConfigError::new(
                section,
                "does not say in exactly one way where the keys come from",
                "give one of jwks_url, discovery = true, key_file or secret_file",
            ));
        }
        if let Some(url) = &self.jwks_url {
            check_url(&key("jwks_url"), url, self.reach.allow_insecure_http)?;
        }
        if self.discovery {
            check_url(&key("issuer"), &self.issuer, self.reach.allow_insecure_http)?;
        }
        if let Some(algorithms) = &self.algorithms {
            let hmac = |algorithm: &Algorithm| {
                matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
            };
            if algorithms.is_empty() || algorithms.iter().any(|a| hmac(a) != self.secret_file.is_some()) {
                return Err(ConfigError::new(
                    key("algorithms"),
                    "does not fit the keys",
                    "HS256, HS384 and HS512 go with secret_file, all others with public keys; or leave it out",
                ));
            }
        }
        check_shared(section, &self.belief, &self.rules)
    }
}

impl Introspection {
    fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{section}.{name}");
        check_url(&key("url"), &self.url, self.reach.allow_insecure_http)?;
        at_most(&key("cache_ttl"), self.cache_ttl, MAX_TTL)?;
        check_shared(section, &self.belief, &self.rules)
    }
}

fn check_shared(section: &str, belief: &Belief, rules: &Rules) -> Result<(), ConfigError> {
    check_audience(&format!("{section}.audience"), &belief.audience)?;
    at_most(&format!("{section}.leeway"), belief.leeway, MAX_LEEWAY)?;
    check_roles(section, &rules.roles)?;
    Mapping::compile(section, rules).map(drop)
}

fn at_most(key: &str, value: Duration, most: Duration) -> Result<(), ConfigError> {
    if value <= most {
        return Ok(());
    }
    Err(ConfigError::new(
        key,
        "is too long",
        format!("at most {} is allowed", humantime::format_duration(most)),
    ))
}

fn check_audience(key: &str, audience: &OneOrMany) -> Result<(), ConfigError> {
    let audience = audience.as_slice();
    if !audience.is_empty() && audience.iter().all(|audience| !audience.is_empty()) {
        return Ok(());
    }
    Err(ConfigError::new(
        key,
        "is empty",
        "write the value of aud in tokens for this gate; without it, tokens for other services would do",
    ))
}

/// A URL that may be fetched: nothing but HTTPS, unless told.
pub(crate) fn check_url(key: &str, url: &str, allow_http: bool) -> Result<Url, ConfigError> {
    let error = |problem: &str, hint: &str| ConfigError::new(key, problem, hint);
    let url = Url::parse(url).map_err(|_| error("is not a URL", "write https://host/path"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => return Err(error("is not HTTPS", "for development only, set allow_insecure_http = true")),
        _ => return Err(error("is not HTTPS", "write https://host/path")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(error("has no host", "write https://host/path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("has a user or password", "leave them out"));
    }
    if url.fragment().is_some() {
        return Err(error("has a fragment", "leave out the part from # on"));
    }
    Ok(url)
}

fn check_roles(section: &str, roles: &[RoleName]) -> Result<(), ConfigError> {
    let key = format!("{section}.roles");
    if roles.is_empty() {
        return Err(ConfigError::new(key, "is empty", "name the roles that its credentials may give"));
    }
    roles.iter().try_for_each(|role| check_role(&key, role))
}

/// Names that are no roles to PostgreSQL, or roles of its own.
fn check_role(key: &str, role: &RoleName) -> Result<(), ConfigError> {
    let name = role.as_str();
    if matches!(name, "none" | "public") || name.starts_with("pg_") || name == "postern_gate" {
        return Err(ConfigError::new(
            key,
            format!("role {name} can never be entered"),
            "name a role of your own, admitted with postern.admit()",
        ));
    }
    Ok(())
}
