//! What the tests of this crate share: a clock that they move, tokens of any shape, a server of keys.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_auth::{Authenticated, Authenticator, Client, Clock, Config, Error, NoKeys, Presented};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

/// The time at which tests begin.
pub const NOW: u64 = 1_800_000_000;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

pub fn client() -> Client {
    Client {
        addr: Some([192, 0, 2, 1].into()),
        user_agent: Some("test".into()),
        request_id: "r".into(),
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
    }
}

/// An authenticator with its clock. `config` is the content of `[auth]`, without that prefix.
pub fn authenticator(config: &str) -> (Authenticator, Arc<TestClock>) {
    let config: Config = toml::from_str(config).unwrap();
    let clock = Arc::new(TestClock::default());
    let authenticator = Authenticator::with_clock(&config, Arc::new(NoKeys), clock.clone()).unwrap();
    (authenticator, clock)
}

pub async fn bearer(authenticator: &Authenticator, token: &str) -> Result<Authenticated, Error> {
    let presented = Presented { bearer: Some(token), ..Presented::default() };
    authenticator.authenticate(&presented, &client()).await
}

/// Asserts that a token is refused, and for this reason; and that the client does not learn it.
pub async fn assert_rejected(authenticator: &Authenticator, token: &str, reason: &str, what: impl Display) {
    match bearer(authenticator, token).await {
        Err(error @ Error::Rejected(_)) => {
            assert!(error.reason().contains(reason), "{what}: refused, but because: {}", error.reason());
            assert_eq!(error.to_string(), "authentication failed");
            assert!(!error.reason().contains('\n'), "{what}: a reason is one line");
        }
        other => panic!("{what}: expected a refusal because of \"{reason}\", got {other:?}"),
    }
}

pub fn key_path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "keys", name].iter().collect()
}

fn pkcs8(name: &str) -> Vec<u8> {
    pem::parse(std::fs::read(key_path(name)).unwrap()).unwrap().into_contents()
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys that tests sign with, by the name of their file.
pub enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

pub fn rsa(name: &str) -> Signer {
    Signer::Rsa(RsaKeyPair::from_pkcs8(&pkcs8(name)).unwrap())
}

pub fn ec() -> Signer {
    let rng = SystemRandom::new();
    Signer::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8("ec.pem"), &rng).unwrap())
}

pub fn ec384() -> Signer {
    let rng = SystemRandom::new();
    Signer::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8("ec384.pem"), &rng).unwrap())
}

impl Signer {
    /// With RSA: PKCS#1 v1.5 and SHA-256.
    pub fn sign(&self, message: &str) -> Vec<u8> {
        let rng = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&rng, message.as_bytes()).unwrap().as_ref().to_vec(),
        }
    }

    pub fn sign_pss(&self, message: &str) -> Vec<u8> {
        let Self::Rsa(key) = self else { panic!("not an RSA key") };
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    }

    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), claims.to_string().as_bytes())
    }

    /// A token of any text, signed.
    pub fn token_of(&self, header: &str, claims: &[u8]) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        format!("{message}.{}", b64(self.sign(&message)))
    }

    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "n": b64(public.n), "e": b64(public.e), "use": "sig"})
            }
            Self::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": b64(x), "y": b64(y)})
            }
        }
    }
}

pub const ISSUER: &str = "https://issuer.example/";
pub const AUDIENCE: &str = "gate";

/// Claims that are good in every way.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "role": "app_user", "tenant": "acme",
        "iat": NOW - 10, "exp": NOW + 600,
    })
}

/// The good claims with some replaced, or removed where `null`.
pub fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// What a [`Server`] answers.
pub type Answer = (StatusCode, &'static str, String);

/// A server on this machine that says what it is told to, and counts the questions.
pub struct Server {
    pub url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<String>>,
    voice: Arc<tokio::sync::RwLock<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::NOT_FOUND, "text/plain", String::new())));
        let (asked, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let voice = Arc::new(tokio::sync::RwLock::new(()));
        let handler = {
            let (answer, asked, last) = (answer.clone(), asked.clone(), last.clone());
            let voice = voice.clone();
            async move |request: axum::extract::Request| {
                asked.fetch_add(1, Ordering::SeqCst);
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let authorization =
                    parts.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
                *last.lock().unwrap() = format!(
                    "{} {} {} {}",
                    parts.method,
                    parts.uri,
                    authorization.unwrap_or("-"),
                    String::from_utf8_lossy(&body)
                );
                drop(voice.read().await);
                let (status, media_type, body) = answer.lock().unwrap().clone();
                (status, [(header::CONTENT_TYPE, media_type)], body).into_response()
            }
        };
        let router = Router::new().fallback(handler);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, answer, asked, last, voice, task }
    }

    pub fn answer(&self, status: u16, media_type: &'static str, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), media_type, body.into());
    }

    /// Until this is dropped, questions are heard but not answered.
    pub async fn silence(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        self.voice.clone().write_owned().await
    }

    pub fn json(&self, value: &Value) {
        self.answer(200, "application/json", value.to_string());
    }

    pub fn keys(&self, keys: &[Value]) {
        self.json(&json!({ "keys": keys }));
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The last question: method, path, authorization, body.
    pub fn last(&self) -> String {
        self.last.lock().unwrap().clone()
    }
}
