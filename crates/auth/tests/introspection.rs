//! Opaque tokens and API keys: what is asked, what is believed, and for how long.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use postern_auth::{
    ApiKey, Authenticator, Client, Config, Error, KeyFuture, KeyStore, KeyStoreError, Presented,
};
use postern_core::RoleName;
use serde_json::{Value, json};
use support::{NOW, Server, TestClock, assert_rejected, bearer, client};
use tempfile::NamedTempFile;

/// A store that answers what it is told.
#[derive(Debug, Default)]
struct Store {
    key: Mutex<Option<ApiKey>>,
    fails: Mutex<bool>,
    asked: AtomicUsize,
    hash: Mutex<[u8; 32]>,
}

impl KeyStore for Store {
    fn find(&self, sha256: [u8; 32]) -> KeyFuture<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        *self.hash.lock().unwrap() = sha256;
        let answer = if *self.fails.lock().unwrap() {
            Err(KeyStoreError("no connection".into()))
        } else {
            Ok(self.key.lock().unwrap().clone())
        };
        Box::pin(std::future::ready(answer))
    }
}

fn gate(config: &str, store: Arc<Store>) -> (Authenticator, Arc<TestClock>) {
    let config: Config = toml::from_str(config).unwrap();
    let clock = Arc::new(TestClock::default());
    (Authenticator::with_clock(&config, store, clock.clone()).unwrap(), clock)
}

async fn server(more: &str) -> (Server, Authenticator, Arc<TestClock>) {
    let server = Server::start().await;
    let mut secret = NamedTempFile::new().unwrap();
    secret.write_all(b"s&cret\n").unwrap();
    let config = format!(
        r#"
        [[introspection]]
        url = "{}/introspect"
        client_id = "the gate"
        client_secret_file = "{}"
        audience = "gate"
        roles = ["app_user"]
        allow_insecure_http = true
        allow_private_addresses = true
        {more}
        "#,
        server.url,
        secret.path().display()
    );
    let (gate, clock) = gate(&config, Arc::default());
    (server, gate, clock)
}

fn active(changes: &Value) -> Value {
    let mut answer =
        json!({"active": true, "sub": "alice", "aud": "gate", "role": "app_user", "exp": NOW + 600});
    answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    answer
}

#[tokio::test]
async fn an_active_token_gives_role_and_facts() {
    let (server, gate, _) = server("").await;
    server.json(&active(&json!({})));
    let entered = bearer(&gate, "opaque+/token==").await.unwrap();
    assert_eq!((entered.role.as_str(), entered.method), ("app_user", "introspection"));
    assert_eq!(entered.subject.as_deref(), Some("alice"));
    assert_eq!(entered.issuer.as_deref(), Some(format!("{}/introspect", server.url).as_str()));
    let facts: Value = serde_json::from_str(&entered.facts).unwrap();
    assert_eq!(facts["claims"]["sub"], "alice");
    // "the+gate:s%26cret", as RFC 6749 wants it.
    assert_eq!(
        server.last(),
        "POST /introspect Basic dGhlK2dhdGU6cyUyNmNyZXQ= token=opaque%2B%2Ftoken%3D%3D&token_type_hint=access_token"
    );
}

#[tokio::test]
async fn what_is_not_active_for_us_is_refused() {
    for (answer, reason) in [
        (json!({"active": false}), "not active"),
        (json!({"active": "true", "aud": "gate"}), "neither true nor false"),
        (json!({"aud": "gate"}), "neither true nor false"),
        (active(&json!({"aud": "other"})), "aud does not name this gate"),
        (json!({"active": true}), "aud is missing"),
        (active(&json!({"exp": NOW - 31})), "expired"),
        (active(&json!({"exp": "1"})), "exp is not a whole number"),
        (active(&json!({"nbf": NOW + 3600})), "not valid yet"),
        (active(&json!({"iss": "https://b/"})), "iss is another issuer"),
        (active(&json!({"x": "\0"})), "NUL"),
    ] {
        let (server, gate, _) = server(r#"issuer = "https://a/""#).await;
        let mut answer = answer;
        if answer.get("iss").is_none() {
            answer["iss"] = json!("https://a/");
        }
        server.json(&answer);
        assert_rejected(&gate, "opaque", reason, &answer).await;
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_a_while_whatever_it_is() {
    let (server, gate, clock) = server("cache_ttl = \"30s\"").await;
    server.json(&active(&json!({})));
    let many = futures_util::future::join_all((0..50).map(|_| bearer(&gate, "t1"))).await;
    assert!(many.iter().all(Result::is_ok));
    assert_eq!(server.asked(), 1, "requests at once are one question");
    server.json(&json!({"active": false}));
    clock.advance(29);
    assert!(bearer(&gate, "t1").await.is_ok());
    assert_rejected(&gate, "t2", "not active", "another token").await;
    assert_rejected(&gate, "t2", "not active", "the same again").await;
    assert_eq!(server.asked(), 2);
    clock.advance(1);
    assert_rejected(&gate, "t1", "not active", "revoked").await;
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn an_answer_is_not_kept_past_the_end_of_the_token() {
    let (server, gate, clock) = server("leeway = \"0s\"").await;
    server.json(&active(&json!({"exp": NOW + 5})));
    assert!(bearer(&gate, "t").await.is_ok());
    clock.advance(5);
    assert_rejected(&gate, "t", "expired", "kept").await;
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_a_second() {
    let (server, gate, clock) = server("").await;
    server.answer(500, "text/plain", "");
    for n in 0..10 {
        let result = bearer(&gate, &format!("t{n}")).await;
        assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    }
    assert_eq!(server.asked(), 1);
    server.json(&active(&json!({})));
    clock.advance(1);
    assert!(bearer(&gate, "t1").await.is_ok());
}

#[tokio::test]
async fn what_a_server_says_of_one_token_does_not_stop_the_others() {
    for (status, media_type, body) in [
        (400, "application/json", r#"{"error":"invalid_request"}"#.to_owned()),
        (403, "text/html", String::new()),
        (404, "text/plain", String::new()),
        (413, "text/plain", String::new()),
        (200, "application/json", "{".to_owned()),
    ] {
        let (server, gate, _) = server("").await;
        server.answer(status, media_type, body);
        assert_rejected(&gate, "bad", "", status).await;
        server.json(&active(&json!({})));
        assert!(bearer(&gate, "good").await.is_ok(), "{status}");
    }
    for (status, media_type, body) in [
        (429, "text/plain", String::new()),
        (302, "text/plain", String::new()),
        (200, "text/html", "<p>blocked</p>".to_owned()),
        (200, "application/json", " ".repeat(70_000)),
    ] {
        let (server, gate, _) = server("").await;
        server.answer(status, media_type, body);
        let result = bearer(&gate, "t").await;
        assert!(matches!(result, Err(Error::Unavailable(_))), "{status}: {result:?}");
        server.json(&active(&json!({})));
        assert!(bearer(&gate, "t").await.is_ok(), "not kept, and no pause");
    }
}

#[tokio::test]
async fn a_server_that_refuses_the_gate_itself_is_left_alone() {
    for status in [401, 500, 503] {
        let (server, gate, _) = server("").await;
        server.answer(status, "text/plain", "");
        assert!(matches!(bearer(&gate, "t1").await, Err(Error::Unavailable(_))), "{status}");
        server.json(&active(&json!({})));
        assert!(matches!(bearer(&gate, "t2").await, Err(Error::Unavailable(_))), "{status}");
        assert_eq!(server.asked(), 1);
    }
}

#[tokio::test]
async fn nobody_waits_long_behind_questions_that_stay_open() {
    let (server, gate, _) = server("").await;
    server.json(&active(&json!({})));
    let silence = server.silence().await;
    let open = (0..32).map(|n| {
        let gate = &gate;
        async move { bearer(gate, &format!("open{n}")).await }
    });
    let late = async {
        while server.asked() < 32 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let late = bearer(&gate, "late").await;
        drop(silence);
        late
    };
    let (open, late) = tokio::join!(futures_util::future::join_all(open), late);
    assert!(matches!(&late, Err(Error::Unavailable(why)) if why.contains("slow")), "{late:?}");
    assert!(open.iter().all(Result::is_ok), "what stayed open was answered in the end");
    assert!(bearer(&gate, "late").await.is_ok(), "and no pause follows");
}

#[tokio::test]
async fn a_jwt_of_an_unknown_issuer_is_asked_about_and_one_of_a_known_issuer_is_not() {
    let key = NamedTempFile::new().unwrap();
    std::fs::write(key.path(), support::rsa("rsa-a.pem").jwk("1").to_string()).unwrap();
    let (server, gate, _) = server(&format!(
        "[[jwt]]\nissuer = \"{}\"\naudience = \"gate\"\nkey_file = \"{}\"\nroles = [\"app_user\"]",
        support::ISSUER,
        key.path().display()
    ))
    .await;
    server.json(&active(&json!({})));
    let token = |issuer: &str, key: &str| {
        let claims = support::claims_with(&json!({"iss": issuer}));
        support::rsa(key).token(&json!({"alg": "RS256", "kid": "1"}), &claims)
    };
    assert_eq!(bearer(&gate, &token(support::ISSUER, "rsa-a.pem")).await.unwrap().method, "jwt");
    assert_rejected(&gate, &token(support::ISSUER, "rsa-b.pem"), "signature is wrong", "forged").await;
    assert_eq!(server.asked(), 0);
    assert_eq!(bearer(&gate, &token("https://other/", "rsa-b.pem")).await.unwrap().method, "introspection");
    for opaque in ["v4.public.x", "eyJhbGciOiJkaXIifQ..a.b.c", "opaque"] {
        assert_eq!(bearer(&gate, opaque).await.unwrap().method, "introspection", "{opaque}");
    }
    assert_eq!(server.asked(), 4);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_sent() {
    let (server, gate, _) = server("").await;
    for token in ["", "=", "a b", "a\r\nb", "é", "a&b", &"x".repeat(20_000)] {
        assert_rejected(&gate, token, "", token.len()).await;
    }
    assert_eq!(server.asked(), 0);
}

const KEY: &str = "pk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn api_key(role: &str) -> ApiKey {
    ApiKey {
        id: uuid::Uuid::nil(),
        role: RoleName::try_from(role).unwrap(),
        subject: Some("batch".into()),
        claims: r#"{"tenant":"acme","n":9007199254740993}"#.into(),
        expires_at: None,
    }
}

async fn present(
    gate: &Authenticator,
    presented: Presented<'_>,
) -> Result<postern_auth::Authenticated, Error> {
    let client: Client = client();
    gate.authenticate(&presented, &client).await
}

#[tokio::test]
async fn an_api_key_is_found_by_its_hash_and_kept_for_a_while() {
    let store = Arc::new(Store { key: Mutex::new(Some(api_key("svc"))), ..Store::default() });
    let (gate, clock) = gate("[api_keys]\nroles = [\"svc\"]", store.clone());
    for presented in [
        Presented { api_key: Some(KEY), ..Presented::default() },
        Presented { bearer: Some(KEY), ..Presented::default() },
        Presented { bearer: Some(KEY), api_key: Some(KEY), requested_role: Some("svc") },
    ] {
        let entered = present(&gate, presented).await.unwrap();
        assert_eq!((entered.role.as_str(), entered.method), ("svc", "api_key"));
        assert_eq!(entered.subject.as_deref(), Some("batch"));
        assert_eq!(entered.key_id, Some(uuid::Uuid::nil()));
        assert!(entered.facts.starts_with(r#"{"claims":{"tenant":"acme","n":9007199254740993},"#));
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    let hash = ring::digest::digest(&ring::digest::SHA256, KEY.as_bytes());
    assert_eq!(&*store.hash.lock().unwrap(), hash.as_ref());

    *store.key.lock().unwrap() = None;
    clock.advance(9);
    assert!(bearer(&gate, KEY).await.is_ok());
    clock.advance(1);
    assert_rejected(&gate, KEY, "unknown, revoked or expired", "revoked").await;
    assert_rejected(&gate, KEY, "unknown, revoked or expired", "again").await;
    assert_eq!(store.asked.load(Ordering::SeqCst), 2, "that it is unknown is kept too");
}

#[tokio::test]
async fn api_keys_need_not_be_kept() {
    for config in [
        "[api_keys]\nroles = [\"svc\"]\ncache_ttl = \"0s\"",
        "cache_bytes = 0\n[api_keys]\nroles = [\"svc\"]",
    ] {
        let store = Arc::new(Store { key: Mutex::new(Some(api_key("svc"))), ..Store::default() });
        let (gate, _) = gate(config, store.clone());
        for _ in 0..3 {
            assert!(bearer(&gate, KEY).await.is_ok());
        }
        assert_eq!(store.asked.load(Ordering::SeqCst), 3, "{config}");
    }
}

#[tokio::test]
async fn an_api_key_ends_and_gives_only_roles_of_the_list() {
    let end = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW + 5);
    let store = Arc::new(Store {
        key: Mutex::new(Some(ApiKey { expires_at: Some(end), ..api_key("svc") })),
        ..Store::default()
    });
    let (gate, clock) = gate("[api_keys]\nroles = [\"svc\"]", store.clone());
    assert_eq!(bearer(&gate, KEY).await.unwrap().expires_at, Some(end));
    clock.advance(5);
    assert_rejected(&gate, KEY, "expired", "kept, but over").await;

    clock.advance(60);
    *store.key.lock().unwrap() = Some(api_key("owner"));
    assert!(matches!(bearer(&gate, KEY).await, Err(Error::RoleNotAllowed(_))));
    *store.key.lock().unwrap() = Some(api_key("svc"));
    let presented = Presented { api_key: Some(KEY), requested_role: Some("owner"), ..Presented::default() };
    assert!(matches!(present(&gate, presented).await, Err(Error::RoleNotAllowed(_))));
    *store.key.lock().unwrap() = Some(ApiKey { claims: r#"{"a":1,"a":2}"#.into(), ..api_key("svc") });
    clock.advance(60);
    assert_rejected(&gate, KEY, "a member appears twice", "claims of the key").await;
    *store.fails.lock().unwrap() = true;
    assert!(matches!(bearer(&gate, KEY).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn what_is_not_a_key_does_not_reach_the_database() {
    let store = Arc::new(Store::default());
    let (gate, _) = gate("[api_keys]\nroles = [\"svc\"]", store.clone());
    for key in ["", "pk_", "pk_short", &format!("{KEY}A"), &KEY.replace('A', "é"), "' or 1=1 --"] {
        let presented = Presented { api_key: Some(key), ..Presented::default() };
        assert!(matches!(present(&gate, presented).await, Err(Error::Rejected(_))), "{key}");
        assert!(bearer(&gate, key).await.is_err(), "{key}");
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_is_open_unless_configured() {
    let store = Arc::new(Store { key: Mutex::new(Some(api_key("svc"))), ..Store::default() });
    for config in ["", "[api_keys]\nroles = [\"svc\"]\nenabled = false"] {
        let (gate, _) = gate(config, store.clone());
        assert_eq!(present(&gate, Presented::default()).await.unwrap_err(), Error::Missing);
        let asked = Presented { requested_role: Some("svc"), ..Presented::default() };
        assert_eq!(present(&gate, asked).await.unwrap_err(), Error::Missing);
        assert_rejected(&gate, KEY, "API keys are not configured", "a key").await;
        assert_rejected(&gate, "a.b.c", "", "a token").await;
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn anonymous_requests_have_one_role_and_no_claims() {
    let (gate, _) = gate("[anonymous]\nrole = \"web_anon\"", Arc::default());
    let entered = present(&gate, Presented::default()).await.unwrap();
    assert_eq!((entered.role.as_str(), entered.method, entered.subject), ("web_anon", "anonymous", None));
    assert!(
        entered
            .facts
            .starts_with(r#"{"claims":{},"auth":{"method":"anonymous","issuer":null,"subject":null},"#)
    );
    let asked = |role| Presented { requested_role: Some(role), ..Presented::default() };
    assert!(present(&gate, asked("web_anon")).await.is_ok());
    assert!(matches!(present(&gate, asked("postgres")).await, Err(Error::RoleNotAllowed(_))));
    // A bad credential is not the same as none.
    assert_rejected(&gate, "bad", "", "a bad token").await;
    assert_rejected(&gate, "", "", "an empty token").await;
}

#[tokio::test]
async fn two_different_credentials_are_refused() {
    let store = Arc::new(Store { key: Mutex::new(Some(api_key("svc"))), ..Store::default() });
    let (gate, _) = gate("[api_keys]\nroles = [\"svc\"]", store);
    let presented = Presented { bearer: Some("a.b.c"), api_key: Some(KEY), requested_role: None };
    assert!(matches!(present(&gate, presented).await, Err(Error::Rejected(_))));
}
