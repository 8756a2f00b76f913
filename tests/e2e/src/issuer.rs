//! Who signs the tokens of the tests.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_auth::dev::{self, SigningKey};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The `iss` of its tokens.
pub const ISSUER: &str = "https://issuer.example";
/// Their `aud`.
pub const AUDIENCE: &str = "postern";
/// Long enough for any test.
const LIFETIME: Duration = Duration::from_hours(1);

/// A signing key, with its public half in a file.
#[derive(Debug)]
pub struct Issuer {
    key: SigningKey,
    folder: TempDir,
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}

impl Issuer {
    /// Makes a key.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = dev::generate_key(&folder.path().join("private.pem"), &folder.path().join("public.jwk"));
        Self { key: key.expect("a key"), folder }
    }

    /// The public key, for `key_file`.
    pub fn public_key(&self) -> PathBuf {
        self.folder.path().join("public.jwk")
    }

    /// The section of the configuration that has the gate believe this issuer.
    pub fn section(&self, roles: &[&str]) -> String {
        format!(
            "[[auth.jwt]]\nissuer = {ISSUER:?}\naudience = {AUDIENCE:?}\nkey_file = \"{}\"\nroles = {roles:?}\n",
            self.public_key().display()
        )
    }

    /// The claims of a good token.
    pub fn claims(&self, role: &str, subject: &str) -> Map<String, Value> {
        let now = unix_time();
        let end = now + LIFETIME.as_secs();
        let claims =
            json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role, "iat": now, "exp": end });
        claims.as_object().cloned().expect("an object")
    }

    /// A token with these claims, as they are.
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        self.key.sign_claims(claims)
    }

    /// A good token.
    pub fn token(&self, role: &str, subject: &str) -> String {
        self.sign(&self.claims(role, subject))
    }

    /// A good token with one claim more, or another value of one.
    pub fn token_with(&self, role: &str, subject: &str, claim: &str, value: impl Into<Value>) -> String {
        let mut claims = self.claims(role, subject);
        claims.insert(claim.to_owned(), value.into());
        self.sign(&claims)
    }
}

/// Seconds since 1970.
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
