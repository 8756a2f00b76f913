//! Keys fetched from an issuer: rotation, outages, throttling, and answers that are not to be believed (H2.2, H3).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use postern_auth::{Authenticator, Error};
use serde_json::{Value, json};
use support::{
    AUDIENCE, ISSUER, Server, Signer, TestClock, assert_rejected, authenticator, bearer, claims, claims_with,
    rsa,
};

const MINUTE: u64 = 60;

async fn issuer() -> (Server, Authenticator, Arc<TestClock>) {
    let server = Server::start().await;
    let (gate, clock) = gate(&format!("jwks_url = \"{}/keys\"", server.url), ISSUER);
    (server, gate, clock)
}

fn gate(keys: &str, issuer: &str) -> (Authenticator, Arc<TestClock>) {
    authenticator(&format!(
        r#"
        [[jwt]]
        issuer = "{issuer}"
        audience = "{AUDIENCE}"
        {keys}
        roles = ["app_user"]
        allow_insecure_http = true
        allow_private_addresses = true
        "#
    ))
}

fn a() -> Signer {
    rsa("rsa-a.pem")
}

fn b() -> Signer {
    rsa("rsa-b.pem")
}

/// A token that no cache has seen, good for a day.
fn fresh(signer: &Signer, kid: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let claims = claims_with(&json!({"jti": n, "exp": support::NOW + 86_400}));
    signer.token(&json!({"alg": "RS256", "kid": kid}), &claims)
}

/// Waits for a background fetch that must come, without a fixed time.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("it has not happened within ten seconds");
}

fn assert_unavailable(result: &Result<postern_auth::Authenticated, Error>, reason: &str) {
    match result {
        Err(error @ Error::Unavailable(_)) => {
            assert!(error.reason().contains(reason), "{}", error.reason());
            assert!(!error.to_string().contains("127.0.0.1"), "the client does not learn where keys are");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_tokens() {
    let (server, gate, _) = issuer().await;
    server.keys(&[a().jwk("1")]);
    let tokens: Vec<String> = (0..50).map(|_| fresh(&a(), "1")).collect();
    for result in futures_util::future::join_all(tokens.iter().map(|token| bearer(&gate, token))).await {
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it_and_an_old_one_goes() {
    let (server, gate, clock) = issuer().await;
    server.keys(&[a().jwk("1")]);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    server.keys(&[b().jwk("2")]);
    // At once, by several requests: all of them wait for the one fetch.
    let tokens: Vec<String> = (0..20).map(|_| fresh(&b(), "2")).collect();
    for result in futures_util::future::join_all(tokens.iter().map(|token| bearer(&gate, token))).await {
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!(server.asked(), 2);
    clock.advance(1);
    assert_rejected(&gate, &fresh(&a(), "1"), "no key of the issuer fits kid", "the key that is gone").await;
    assert_rejected(&gate, &fresh(&a(), "2"), "signature is wrong", "the old key under the new name").await;
}

#[tokio::test]
async fn a_token_of_a_key_that_is_gone_is_believed_no_longer_than_it_is_kept() {
    let (server, gate, clock) = issuer().await;
    server.keys(&[a().jwk("1")]);
    let token = fresh(&a(), "1");
    assert!(bearer(&gate, &token).await.is_ok());
    server.keys(&[b().jwk("2")]);
    assert!(bearer(&gate, &fresh(&b(), "2")).await.is_ok());
    clock.advance(59);
    assert!(bearer(&gate, &token).await.is_ok());
    clock.advance(1);
    assert_rejected(&gate, &token, "no key of the issuer fits kid", "kept too long").await;
}

#[tokio::test]
async fn h2_2_unknown_keys_cause_at_most_one_fetch_per_half_minute() {
    let (server, gate, clock) = issuer().await;
    server.keys(&[a().jwk("1")]);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    assert_eq!(server.asked(), 1);
    for n in 0..1000 {
        let token = fresh(&b(), &format!("x{n}"));
        assert_rejected(&gate, &token, "no key of the issuer fits kid", n).await;
    }
    assert_eq!(server.asked(), 2);
    clock.advance(29);
    assert_rejected(&gate, &fresh(&b(), "y"), "no key", "too early").await;
    assert_eq!(server.asked(), 2);
    clock.advance(1);
    assert_rejected(&gate, &fresh(&b(), "y"), "no key", "late enough").await;
    assert_eq!(server.asked(), 3);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok(), "others are not held up");
}

#[tokio::test]
async fn keys_are_refreshed_in_the_background() {
    let (server, gate, clock) = issuer().await;
    server.keys(&[a().jwk("1")]);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    clock.advance(5 * MINUTE - 1);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    assert_eq!(server.asked(), 1);
    server.keys(&[b().jwk("2")]);
    clock.advance(1);
    assert!(
        bearer(&gate, &fresh(&a(), "1")).await.is_ok(),
        "this one is not held up and uses the keys there are"
    );
    until(async || server.asked() == 2).await;
    until(async || bearer(&gate, &fresh(&a(), "1")).await.is_err()).await;
    assert!(bearer(&gate, &fresh(&b(), "2")).await.is_ok());
    assert_eq!(server.asked(), 3, "the old key is unknown now, and was looked for once");
}

#[tokio::test]
async fn h3_an_outage_is_bridged_up_to_a_hard_age() {
    let (server, gate, clock) = issuer().await;
    server.keys(&[a().jwk("1")]);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    server.answer(503, "text/plain", "down");
    clock.advance(59 * MINUTE);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    until(async || server.asked() == 2).await;
    clock.advance(MINUTE);
    assert_unavailable(&bearer(&gate, &fresh(&a(), "1")).await, "status 503");
    let asked = server.asked();
    for _ in 0..20 {
        assert_unavailable(&bearer(&gate, &fresh(&a(), "1")).await, "status 503");
    }
    assert_eq!(server.asked(), asked, "an issuer that is down is not asked for each request");
    server.keys(&[a().jwk("1")]);
    clock.advance(2);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
}

#[tokio::test]
async fn h3_an_outage_at_start_ends_when_the_issuer_comes() {
    let (server, gate, clock) = issuer().await;
    server.answer(500, "text/plain", "");
    gate.warm_up().await;
    assert_unavailable(&bearer(&gate, &fresh(&a(), "1")).await, "status 500");
    server.keys(&[a().jwk("1")]);
    clock.advance(2);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
}

#[tokio::test]
async fn an_unreachable_issuer_is_unavailable() {
    let server = Server::start().await;
    let (gate, _) = gate(&format!("jwks_url = \"{}\"", server.url), ISSUER);
    drop(server);
    let result = bearer(&gate, &fresh(&a(), "1")).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn h3_what_is_not_a_key_set_changes_nothing() {
    let (server, gate, clock) = issuer().await;
    server.keys(&[a().jwk("1")]);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    let many: Vec<Value> = (0..65).map(|n| support::ec().jwk(&format!("k{n}"))).collect();
    let oct =
        json!({"kty": "oct", "kid": "2", "k": support::b64("a secret of many bytes for everyone to see")});
    let mut encryption = a().jwk("2");
    encryption["use"] = json!("enc");
    let mut wrap = a().jwk("2");
    wrap["alg"] = json!("RSA-OAEP");
    let mut nameless = a().jwk("2");
    nameless.as_object_mut().unwrap().remove("kid");
    for (status, media_type, body, why) in [
        (200, "text/html", "<html>".to_owned(), "not JSON by its content type"),
        (200, "text/plain", json!({"keys": [a().jwk("2")]}).to_string(), "not JSON by its content type"),
        (200, "application/json", "<html>".to_owned(), "not a JSON Web Key Set"),
        (200, "application/json", "{}".to_owned(), "not a JSON Web Key Set"),
        (200, "application/json", json!({"keys": []}).to_string(), "the key set is empty"),
        (200, "application/json", json!({"keys": [oct]}).to_string(), "a shared secret among public keys"),
        (200, "application/json", json!({"keys": [encryption]}).to_string(), "not for signatures"),
        (200, "application/json", json!({"keys": [wrap]}).to_string(), "an algorithm that is not supported"),
        (200, "application/json", json!({"keys": [nameless]}).to_string(), "has no kid"),
        (200, "application/json", json!({ "keys": many }).to_string(), "more than 64 keys"),
        (
            200,
            "application/json",
            format!("{{\"keys\":[{}]}}", " ".repeat(70_000)),
            "larger than 65536 bytes",
        ),
        (404, "application/json", json!({"keys": [a().jwk("2")]}).to_string(), "status 404"),
    ] {
        server.answer(status, media_type, body);
        clock.advance(30);
        assert_unavailable(&bearer(&gate, &fresh(&a(), "2")).await, why);
        assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok(), "{why}: the keys there are go on");
    }
}

#[tokio::test]
async fn h3_a_shared_secret_in_a_set_is_left_out_and_the_rest_used() {
    let (server, gate, _) = issuer().await;
    let secret = "a secret of many bytes for everyone to see";
    server.keys(&[json!({"kty": "oct", "kid": "2", "k": support::b64(secret)}), a().jwk("1")]);
    assert!(bearer(&gate, &fresh(&a(), "1")).await.is_ok());
    let header = json!({"alg": "HS256", "kid": "2"}).to_string();
    let message = format!("{}.{}", support::b64(header), support::b64(claims().to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let token = format!("{message}.{}", support::b64(ring::hmac::sign(&key, message.as_bytes())));
    assert_rejected(&gate, &token, "no key of the issuer fits kid", "HMAC with a published secret").await;
}

#[tokio::test]
async fn h3_a_redirect_is_not_followed() {
    let target = Server::start().await;
    target.keys(&[a().jwk("1")]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let location = target.url.clone();
    let redirect = axum::Router::new().fallback(async move || axum::response::Redirect::temporary(&location));
    let task = tokio::spawn(async move { axum::serve(listener, redirect).await.unwrap() });
    let (gate, _) = gate(&format!("jwks_url = \"{url}\""), ISSUER);
    assert_unavailable(&bearer(&gate, &fresh(&a(), "1")).await, "status 307");
    assert_eq!(target.asked(), 0);
    task.abort();
}

#[tokio::test]
async fn h3_an_address_of_this_machine_is_not_asked_unless_allowed() {
    let server = Server::start().await;
    server.keys(&[a().jwk("1")]);
    let port = server.url.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let (gate, _) = authenticator(&format!(
            "[[jwt]]\nissuer = \"{ISSUER}\"\naudience = \"gate\"\njwks_url = \"http://{host}:{port}/\"\n\
             roles = [\"app_user\"]\nallow_insecure_http = true"
        ));
        assert_unavailable(&bearer(&gate, &fresh(&a(), "1")).await, "be connected to");
    }
    assert_eq!(server.asked(), 0);
}

/// Takes the five seconds that the gate waits.
#[tokio::test]
async fn h3_an_answer_that_trickles_is_given_up() {
    use axum::body::{Body, Bytes};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(async || {
        // A byte now and then, so that no wait for the next one is long.
        let trickle = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b" ")), ()))
        });
        ([("content-type", "application/json")], Body::from_stream(trickle))
    });
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let (gate, _) = gate(&format!("jwks_url = \"{url}\""), ISSUER);
    let token = fresh(&a(), "1");
    let result = tokio::time::timeout(std::time::Duration::from_mins(1), bearer(&gate, &token)).await;
    assert!(matches!(result, Ok(Err(Error::Unavailable(_)))), "{result:?}");
    task.abort();
}

#[tokio::test]
async fn discovery_finds_the_keys_of_the_issuer_that_it_names() {
    let keys = Server::start().await;
    keys.keys(&[a().jwk("1")]);
    let server = Server::start().await;
    let issuer = server.url.clone();
    let claims = claims_with(&json!({"iss": issuer}));
    let token = a().token(&json!({"alg": "RS256", "kid": "1"}), &claims);

    for (document, why) in [
        (json!({"issuer": "https://another/", "jwks_uri": keys.url}), "is of the issuer"),
        (json!({"issuer": format!("{issuer}/"), "jwks_uri": keys.url}), "is of the issuer"),
        (json!({"issuer": issuer}), "cannot be read"),
        (json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}), "jwks_uri cannot be used"),
        (json!({"issuer": issuer, "jwks_uri": "http://169.254.169.254/"}), "may not be connected to"),
    ] {
        let (gate, _) = gate("discovery = true", &issuer);
        server.json(&document);
        assert_unavailable(&bearer(&gate, &token).await, why);
    }
    assert_eq!(keys.asked(), 0);

    let (gate, _) = gate("discovery = true", &issuer);
    server.json(&json!({"issuer": issuer, "jwks_uri": keys.url, "other": 1}));
    assert!(bearer(&gate, &token).await.is_ok());
    assert!(server.last().starts_with("GET /.well-known/openid-configuration "), "{}", server.last());
    assert_eq!(keys.asked(), 1);
}

/// One connection over TLS, answered with keys.
async fn tls_server() -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificate = CertificateDer::from_pem_file(support::key_path("tls-a.cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(support::key_path("tls-a.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (connection, _) = listener.accept().await.unwrap();
        // A client that does not believe the certificate ends here.
        let Ok(mut connection) = acceptor.accept(connection).await else { return };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await.unwrap());
        }
        let body = json!({"keys": [a().jwk("1")]}).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/jwk-set+json\r\ncontent-length: {}",
            body.len()
        );
        connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
    });
    port
}

#[tokio::test]
async fn keys_come_over_tls_from_whom_the_certificates_name() {
    for (host, certificate, good) in [
        ("localhost", "tls-a.cert.pem", true),
        ("localhost", "tls-b.cert.pem", false),
        // The certificate is for a name, not for the address.
        ("127.0.0.1", "tls-a.cert.pem", false),
    ] {
        let port = tls_server().await;
        let (gate, _) = authenticator(&format!(
            "[[jwt]]\nissuer = \"{ISSUER}\"\naudience = \"gate\"\njwks_url = \"https://{host}:{port}/\"\n\
             roles = [\"app_user\"]\nallow_private_addresses = true\nca_file = \"{}\"",
            support::key_path(certificate).display()
        ));
        let result = bearer(&gate, &fresh(&a(), "1")).await;
        if good {
            assert!(result.is_ok(), "{result:?}");
        } else {
            assert_unavailable(&result, "certificate");
        }
    }
}
