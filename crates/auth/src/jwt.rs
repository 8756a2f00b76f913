//! JSON Web Tokens (RFC 7519), signed, checked along RFC 8725.
//!
//! In order: form and size; the header; the issuer, from the claims not yet trusted, which only chooses whose keys are tried;
//! the algorithm; the key; the signature; then the claims. What has passed is kept, by the hash of the token, so that the same
//! token need not be checked again for each request.
//!
//! **Invariants**: the algorithm is one that the configuration allows for this issuer and that the key is made for. Keys are
//! looked for in the issuer's own set alone. Headers that name keys or places (`jku`, `jwk`, `x5u`, `x5c`) are not read.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cel::Value;
use jsonwebtoken::Algorithm;
use reqwest::Url;

use crate::cache::{Cache, Until, sha256};
use crate::claims::{Expected, subject};
use crate::clock::Clock;
use crate::config::{self, check_url};
use crate::credential::{Credential, Origin, check_expiry};
use crate::error::quoted;
use crate::fetch::Fetcher;
use crate::json::{self, Limits};
use crate::jwks::{Location, Remote};
use crate::keys::{Key, KeySet};
use crate::mapping::Mapping;
use crate::{Config, ConfigError, Error};

/// Longest token, in bytes.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// A token in pieces. Nothing of it is to be believed.
pub(crate) struct Token<'a> {
    /// What the signature is of.
    message: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    claims: String,
    issuer: String,
}

impl<'a> Token<'a> {
    /// Whether a text is meant to be a signed JWT, rather than a token that only its issuer can read (such as a JWE).
    pub(crate) fn looks_like_one(text: &str) -> bool {
        // `{"`, encoded.
        text.starts_with("eyJ") && text.bytes().filter(|&byte| byte == b'.').count() == 2
    }

    /// Takes a token apart; says why it cannot be one that is accepted here.
    pub(crate) fn parse(token: &'a str) -> Result<Self, String> {
        if token.len() > MAX_TOKEN {
            return Err(format!("token is longer than {MAX_TOKEN} bytes"));
        }
        let segments: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = segments[..] else {
            return Err(match segments.len() {
                5 => "token is encrypted (JWE)".into(),
                n => format!("token has {n} segments"),
            });
        };
        if header.is_empty() || claims.is_empty() || signature.is_empty() {
            return Err("a segment of the token is empty".into());
        }
        let decode = |segment: &str, name: &str| {
            URL_SAFE_NO_PAD.decode(segment).map_err(|_| format!("{name} of the token is not base64url"))
        };
        let text = |segment: &str, name: &str| {
            String::from_utf8(decode(segment, name)?).map_err(|_| format!("{name} of the token is not UTF-8"))
        };

        let header = text(header, "header")?;
        let header = json::object(&header, Limits::HEADER).map_err(|why| format!("header: {why}"))?;
        let optional = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= 256 => Ok(Some(text.to_string())),
            Some(_) => Err(format!("header {name} is not a short text")),
        };
        let algorithm = optional("alg")?.ok_or("header alg is missing")?;
        let algorithm = Algorithm::from_str(&algorithm)
            .map_err(|_| format!("alg {} is not supported", quoted(&algorithm)))?;
        // No extension is understood, so by RFC 7515, 4.1.11 any that is critical makes the token invalid.
        if header.get("crit").is_some() {
            return Err("header crit is not supported".into());
        }
        if header.get("enc").is_some() || header.get("zip").is_some() {
            return Err("token is encrypted or compressed".into());
        }
        if optional("cty")?.is_some_and(|cty| cty.eq_ignore_ascii_case("jwt")) {
            return Err("token is nested".into());
        }
        let (kid, typ) = (optional("kid")?, optional("typ")?);

        let claims = text(claims, "payload")?;
        let issuer = json::object(&claims, Limits::CLAIMS)
            .map_err(|why| format!("claims: {why}"))?
            .string("iss")
            .ok_or("iss is missing or not a text")?
            .to_owned();
        let signature = decode(signature, "signature")?;
        let message = token.rsplit_once('.').map_or("", |(message, _)| message);
        Ok(Self { message, signature, algorithm, kid, typ, claims, issuer })
    }
}

#[derive(Debug)]
enum Keys {
    Fixed(KeySet),
    Remote(Arc<Remote>),
}

#[derive(Debug)]
struct Issuer {
    name: Arc<str>,
    audience: Vec<String>,
    types: Vec<String>,
    leeway: Duration,
    subject: String,
    mapping: Arc<Mapping>,
    keys: Keys,
}

/// All issuers of JWTs.
#[derive(Debug)]
pub(crate) struct Issuers {
    by_name: HashMap<String, Issuer>,
    ttl: Duration,
    clock: Arc<dyn Clock>,
    verified: Cache<Arc<Credential>>,
}

impl Issuers {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let by_name = config
            .jwt
            .iter()
            .enumerate()
            .map(|(n, jwt)| Ok((jwt.issuer.clone(), Issuer::new(&format!("jwt[{n}]"), jwt, &clock)?)))
            .collect::<Result<_, ConfigError>>()?;
        Ok(Self { by_name, ttl: config.cache_ttl, clock, verified: Cache::new(config.cache_bytes) })
    }

    /// Whether the token was verified a moment ago.
    pub(crate) fn remembers(&self, token: &str) -> bool {
        self.verified.holds(&sha256(token.as_bytes()), self.clock.elapsed())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Fetches the keys of all issuers that publish them.
    pub(crate) async fn warm_up(&self) {
        futures_util::future::join_all(self.by_name.values().map(async |issuer| {
            if let Keys::Remote(remote) = &issuer.keys
                && let Ok(keys) = remote.warm_up().await
            {
                tracing::info!(issuer = %issuer.name, keys, "keys of the issuer are fetched");
            }
        }))
        .await;
    }

    /// The credential of a token.
    pub(crate) async fn credential(&self, token: &str) -> Result<Arc<Credential>, NotVerified> {
        if token.len() > MAX_TOKEN {
            return Err(Error::Rejected(format!("token is longer than {MAX_TOKEN} bytes")).into());
        }
        let load = async || {
            let parsed = Token::parse(token).map_err(Error::Rejected)?;
            let Some(issuer) = self.by_name.get(&parsed.issuer) else {
                return Err(NotVerified::UnknownIssuer(parsed.issuer));
            };
            let credential = issuer.verify(&parsed, &*self.clock).await?;
            Ok(Until { value: Arc::new(credential), until: self.clock.elapsed() + self.ttl })
        };
        let hash = sha256(token.as_bytes());
        let credential = self.verified.get_or_load(hash, self.clock.elapsed(), load).await?;
        check_expiry(credential.expires_at, self.clock.now())?;
        Ok(credential)
    }
}

/// Why a token has no credential.
#[derive(Debug)]
pub(crate) enum NotVerified {
    /// It is not for us to say whether it is good.
    UnknownIssuer(String),
    Failed(Error),
}

impl From<Error> for NotVerified {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Issuer {
    fn new(section: &str, config: &config::Jwt, clock: &Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let algorithms = config.algorithms.as_deref();
        let remote = |url: &Url, location: Location| {
            let fetcher = Fetcher::new(section, url, &config.reach)?;
            let algorithms = config.algorithms.clone();
            Ok(Keys::Remote(Remote::new(location, fetcher, algorithms, Arc::clone(clock))))
        };
        let keys = if let Some(url) = &config.jwks_url {
            let url = check_url(&format!("{section}.jwks_url"), url, config.reach.allow_insecure_http)?;
            remote(&url.clone(), Location::Jwks(url))?
        } else if config.discovery {
            let document =
                format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
            let url = check_url(&format!("{section}.issuer"), &document, config.reach.allow_insecure_http)?;
            let issuer = config.issuer.clone();
            let allow_http = config.reach.allow_insecure_http;
            remote(&url.clone(), Location::Discovery { url, issuer, allow_http })?
        } else if let Some(path) = &config.key_file {
            let key = format!("{section}.key_file");
            let hint = "name a file with a public key in PEM, a JWK, or a JWKS";
            let set = read(&key, path, hint).and_then(|text| {
                KeySet::from_file(&String::from_utf8_lossy(&text), algorithms).map_err(|why| {
                    ConfigError::new(&key, format!("the key in {} {why}", path.display()), hint)
                })
            })?;
            Keys::Fixed(set)
        } else if let Some(path) = &config.secret_file {
            let key = format!("{section}.secret_file");
            let hint =
                "name a file with a secret of at least 32 bytes, such as from: openssl rand -base64 48";
            let secret = read(&key, path, hint).and_then(|text| {
                Key::from_secret(&text, algorithms).map_err(|why| {
                    ConfigError::new(&key, format!("the secret in {} {why}", path.display()), hint)
                })
            })?;
            Keys::Fixed(KeySet::one(secret))
        } else {
            return Err(ConfigError::new(
                section,
                "names no keys",
                "give one of jwks_url, discovery, key_file",
            ));
        };
        Ok(Self {
            name: config.issuer.as_str().into(),
            audience: config.belief.audience.as_slice().to_vec(),
            types: config.types.clone(),
            leeway: config.belief.leeway,
            subject: config.belief.subject.clone(),
            mapping: Arc::new(Mapping::compile(section, &config.rules)?),
            keys,
        })
    }

    async fn verify(&self, token: &Token<'_>, clock: &dyn Clock) -> Result<Credential, Error> {
        if let Some(typ) = &token.typ {
            let short = |typ: &str| {
                let typ = typ.to_ascii_lowercase();
                typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned)
            };
            if !self.types.iter().any(|accepted| short(accepted) == short(typ)) {
                return Err(Error::Rejected(format!("typ {} is not accepted", quoted(typ))));
            }
        }
        let fetched;
        let keys = match &self.keys {
            Keys::Fixed(keys) => keys,
            Keys::Remote(remote) => {
                let kid = token.kid.as_deref().ok_or_else(|| Error::rejected("kid is missing"))?;
                fetched = remote.keys(kid).await?;
                &fetched
            }
        };
        let mut candidates = keys.candidates(token.kid.as_deref()).peekable();
        if candidates.peek().is_none() {
            let kid = token.kid.as_deref().map_or("missing".into(), quoted);
            return Err(Error::Rejected(format!("no key of the issuer fits kid {kid}")));
        }
        let mut candidates = candidates.filter(|key| key.fits(token.algorithm)).peekable();
        if candidates.peek().is_none() {
            return Err(Error::Rejected(format!("alg {:?} is not for this key or issuer", token.algorithm)));
        }
        if !candidates.any(|key| key.verifies(token.algorithm, token.message.as_bytes(), &token.signature)) {
            return Err(Error::rejected("signature is wrong"));
        }

        let claims = json::object(&token.claims, Limits::CLAIMS).map_err(Error::Rejected)?;
        let expected = Expected {
            issuer: Some(&self.name),
            audience: &self.audience,
            leeway: self.leeway,
            requires_end: true,
        };
        let end = expected.check(&claims, clock.now()).map_err(Error::Rejected)?;
        let subject = subject(&claims, &self.subject).map_err(Error::Rejected)?.map(Arc::from);
        let origin = Origin { method: "jwt", issuer: Some(Arc::clone(&self.name)), subject, key_id: None };
        let (roles, facts) = self.mapping.apply(&origin, &claims)?;
        Ok(Credential::new(origin, roles, &facts, end))
    }
}

/// The content of a file of the configuration.
pub(crate) fn read(key: &str, path: &Path, hint: &str) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path)
        .map_err(|error| ConfigError::new(key, format!("cannot read {}: {error}", path.display()), hint))
}
