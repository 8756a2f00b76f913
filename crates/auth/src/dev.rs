//! Keys and tokens for development: what `postern token` prints, and what `postern up` configures as an issuer.
//!
//! The private key stays in a file that only its owner can read; the gate gets the public one (`key_file`). In production,
//! tokens come from an issuer, and nothing here is used.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use crate::ConfigError;
use crate::cache::sha256;

/// A key that signs tokens.
pub struct SigningKey(Kind);

enum Kind {
    Ed25519(Ed25519KeyPair),
    Hs256(hmac::Key),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Ed25519(_) => "SigningKey(Ed25519)",
            Kind::Hs256(_) => "SigningKey(HS256)",
        })
    }
}

impl SigningKey {
    /// The Ed25519 key in a PEM text, as [`generate_key`] writes it (PKCS#8).
    pub fn from_pem(pem: &str) -> Result<Self, ConfigError> {
        let error = || {
            ConfigError::new(
                "private key",
                "is not an Ed25519 key in PEM (PKCS#8)",
                "make one with generate_key",
            )
        };
        let pem = pem::parse(pem).map_err(|_| error())?;
        // Other programs write the first version of PKCS#8, which does not repeat the public key.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.contents()).map_err(|_| error())?;
        Ok(Self(Kind::Ed25519(pair)))
    }

    /// A shared secret, as in a `secret_file`.
    pub fn from_secret(secret: &[u8]) -> Self {
        Self(Kind::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret.trim_ascii_end())))
    }

    /// The public key as a JWK, for `key_file`. A shared secret has none.
    pub fn public_jwk(&self) -> Option<String> {
        let Kind::Ed25519(pair) = &self.0 else { return None };
        let jwk = json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(pair.public_key()),
            "alg": "EdDSA",
            "use": "sig",
            "kid": key_id(pair),
        });
        Some(jwk.to_string())
    }

    /// A token with these claims, as they are.
    pub fn sign_claims(&self, claims: &Map<String, Value>) -> String {
        let header = match &self.0 {
            Kind::Ed25519(pair) => json!({"alg": "EdDSA", "typ": "JWT", "kid": key_id(pair)}),
            Kind::Hs256(_) => json!({"alg": "HS256", "typ": "JWT"}),
        };
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let claims = Value::Object(claims.clone()).to_string();
        let message = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = match &self.0 {
            Kind::Ed25519(pair) => URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())),
            Kind::Hs256(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, message.as_bytes())),
        };
        format!("{message}.{signature}")
    }
}

/// The thumbprint of the key (RFC 7638).
fn key_id(pair: &Ed25519KeyPair) -> String {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    URL_SAFE_NO_PAD.encode(sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()))
}

/// What a token for development says.
#[derive(Debug, Clone)]
pub struct Token<'a> {
    /// `iss`, as in the configuration.
    pub issuer: &'a str,
    /// `aud`, as in the configuration.
    pub audience: &'a str,
    /// `sub`
    pub subject: Option<&'a str>,
    /// `role`, which the default role expression reads.
    pub role: Option<&'a str>,
    /// Other claims. They do not replace those above.
    pub claims: Map<String, Value>,
    /// How long it is good for.
    pub lifetime: Duration,
}

/// Signs a token that is good from now on.
pub fn sign(key: &SigningKey, token: &Token<'_>) -> String {
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = SystemTime::now();
    let mut claims = token.claims.clone();
    claims.insert("iss".into(), token.issuer.into());
    claims.insert("aud".into(), token.audience.into());
    for (name, value) in [("sub", token.subject), ("role", token.role)] {
        if let Some(value) = value {
            claims.insert(name.into(), value.into());
        }
    }
    claims.insert("iat".into(), seconds(now).into());
    claims.insert("exp".into(), seconds(now + token.lifetime).into());
    key.sign_claims(&claims)
}

/// Makes an Ed25519 key: the private one in PEM, readable for its owner alone; the public one as a JWK, for `key_file`.
/// Existing files are not replaced.
pub fn generate_key(private: &Path, public: &Path) -> std::io::Result<SigningKey> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
    let key = SigningKey::from_pem(&pem).map_err(std::io::Error::other)?;
    let write = |path: &Path, mode: u32, text: &str| {
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
    };
    write(private, 0o600, &pem)?;
    write(public, 0o644, &key.public_jwk().unwrap_or_default())?;
    Ok(key)
}
