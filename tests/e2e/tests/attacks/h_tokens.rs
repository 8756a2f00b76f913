//! H2 and H3: what tokens could pretend, through the whole gate. The parts in detail, with time and networks that a test can
//! change, are tested in `postern-auth`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use postern_e2e::{ISSUER, World};
use serde_json::{Map, Value, json};

use super::{site, world};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is right").as_secs()
}

fn encode(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// Claims of a good token of alice, with changes; `null` removes one.
fn claims(changes: Value) -> Map<String, Value> {
    let Value::Object(mut claims) = json!({
        "iss": ISSUER, "aud": ISSUER, "sub": "alice", "role": "alice", "iat": now(), "exp": now() + 600
    }) else {
        unreachable!("an object")
    };
    let Value::Object(changes) = changes else { unreachable!("an object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    claims
}

/// A token with these claims and the right signature.
fn signed(world: &World, changes: Value) -> String {
    world.site().signing_key().sign_claims(&claims(changes))
}

/// The status, and what the statement gave.
async fn present(world: &World, token: &str) -> Result<String, (StatusCode, String)> {
    let body = json!({ "query": "insert into work.loot values ('ran', '', '', ' setrole 42501 reset 42501') returning current_user" });
    let response = world.http().sql(token, &world.alice().connection_string(), &[], &body).await;
    if response.status == StatusCode::OK {
        return Ok(response.json()["rows"][0][0].as_str().unwrap_or_default().to_owned());
    }
    Err((response.status, response.code()))
}

async fn refused(world: &World, what: &str, token: &str) {
    let answer = present(world, token).await;
    assert_eq!(answer, Err((StatusCode::BAD_REQUEST, "28000".to_owned())), "{what}");
    assert_eq!(world.loot().await, "", "{what}");
}

#[tokio::test]
async fn h02_1_algorithms() {
    let world = world().await;
    let payload = encode(&Value::Object(claims(json!({}))).to_string());
    let good = signed(&world, json!({}));
    let [header, _, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for alg in ["none", "None", "NONE", "nOnE", "HS256", "RS256", "ES256", ""] {
        for signature in ["", signature] {
            let token =
                format!("{}.{payload}.{signature}", encode(&json!({ "alg": alg, "typ": "JWT" }).to_string()));
            refused(&world, alg, &token).await;
        }
    }
    refused(&world, "no alg", &format!("{}.{payload}.{signature}", encode(r#"{"typ":"JWT"}"#))).await;
    // The public key as a shared secret.
    let public = std::fs::read(world.site().public_key()).unwrap();
    let confused = postern_auth::dev::SigningKey::from_secret(&public).sign_claims(&claims(json!({})));
    refused(&world, "public key as secret", &confused).await;
    // The signature of one token under the claims of another.
    refused(
        &world,
        "another payload",
        &format!(
            "{header}.{}.{signature}",
            encode(&Value::Object(claims(json!({ "role": "bob" }))).to_string())
        ),
    )
    .await;
    assert_eq!(present(&world, &good).await, Ok("alice".to_owned()));
    world.canary().await;
}

#[tokio::test]
async fn h02_2_and_3_keys_and_headers() {
    let world = world().await;
    let payload = encode(&Value::Object(claims(json!({}))).to_string());
    let good = signed(&world, json!({}));
    let signature = good.rsplit('.').next().unwrap();
    for header in [
        json!({ "alg": "EdDSA", "kid": "unknown" }),
        json!({ "alg": "EdDSA", "jku": "http://127.0.0.1:1/jwks" }),
        json!({ "alg": "EdDSA", "jwk": { "kty": "oct", "k": "AA" } }),
        json!({ "alg": "EdDSA", "x5u": "http://127.0.0.1:1/" }),
        json!({ "alg": "EdDSA", "crit": ["exp"] }),
        json!({ "alg": "dir", "enc": "A256GCM" }),
        json!({ "alg": "EdDSA", "cty": "JWT" }),
    ] {
        refused(
            &world,
            &header.to_string(),
            &format!("{}.{payload}.{signature}", encode(&header.to_string())),
        )
        .await;
    }
    // Another key of the same kind.
    let folder = std::env::temp_dir().join(format!("postern-e2e-{}", world.database()));
    std::fs::create_dir_all(&folder).unwrap();
    let stranger = postern_auth::dev::generate_key(&folder.join("a"), &folder.join("b")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    refused(&world, "another key", &stranger.sign_claims(&claims(json!({})))).await;
    world.canary().await;
}

#[tokio::test]
async fn h02_4_claims() {
    let world = world().await;
    for changes in [
        json!({ "iss": null }),
        json!({ "iss": "someone else" }),
        json!({ "iss": [ISSUER] }),
        json!({ "aud": null }),
        json!({ "aud": "someone else" }),
        json!({ "aud": ["someone", "else"] }),
        json!({ "aud": {} }),
        json!({ "exp": null }),
        json!({ "exp": now() - 600 }),
        json!({ "exp": "tomorrow" }),
        json!({ "exp": now().to_string() }),
        json!({ "exp": -1 }),
        json!({ "exp": [] }),
        json!({ "nbf": now() + 600 }),
        json!({ "iat": now() + 600 }),
        json!({ "role": null }),
    ] {
        refused(&world, &changes.to_string(), &signed(&world, changes.clone())).await;
    }
    let several = signed(&world, json!({ "aud": ["other", ISSUER] }));
    assert_eq!(present(&world, &several).await, Ok("alice".to_owned()));
    world.canary().await;
}

#[tokio::test]
async fn h02_5_the_form_of_tokens() {
    let world = world().await;
    let good = signed(&world, json!({}));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let twice =
        format!(r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","role":"alice","role":"bob","exp":{}}}"#, now() + 600);
    for (what, token) in [
        ("empty", String::new()),
        ("a word", "token".to_owned()),
        ("two segments", format!("{header}.{payload}")),
        ("four segments", format!("{good}.{signature}")),
        ("five segments", format!("{good}.{signature}.{signature}")),
        ("padding", format!("{header}=.{payload}=.{signature}=")),
        ("a space within", format!("{header}. {payload}.{signature}")),
        ("twice the same member", format!("{header}.{}.{signature}", encode(&twice))),
        (
            "the signature of another",
            format!("{header}.{payload}.{}", signature.chars().rev().collect::<String>()),
        ),
        ("no signature", format!("{header}.{payload}.")),
        ("long", format!("{header}.{}.{signature}", encode(&"x".repeat(20_000)))),
    ] {
        refused(&world, what, &token).await;
    }
    world.canary().await;
}

// A request does not run past the end of its token.
#[tokio::test]
async fn h02_6_expiry_during_a_request() {
    let world =
        World::builder().gate("[limits]\nwall_clock = \"60s\"\ngrace = \"500ms\"").start(site()).await;
    // Within the leeway a token that has just ended is good, for as long as the leeway.
    let token = signed(&world, json!({ "exp": now() - 28 }));
    let body = json!({ "query": "select pg_sleep(60)" });
    let begun = std::time::Instant::now();
    let response = world.http().sql(&token, &world.alice().connection_string(), &[], &body).await;
    assert!(["57014", "28000"].contains(&response.code().as_str()), "{}", response.text());
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
    world.canary().await;
}

// Where keys come from is in the configuration only, and addresses inside are not asked unless it says so.
#[tokio::test]
async fn h03_addresses_of_keys() {
    let world = world().await;
    let config = |url: &str| {
        format!(
            "[database]\nhost = \"/nowhere\"\n[[auth.jwt]]\nissuer = \"https://issuer.example/\"\naudience = \"a\"\n\
             jwks_url = \"{url}\"\nroles = [\"alice\"]\n"
        )
    };
    for url in [
        "http://issuer.example/keys",
        "file:///etc/passwd",
        "ftp://issuer.example/",
        "https://",
        "gopher://x/",
        "data:,{}",
    ] {
        assert!(postern_gate::Config::parse(&config(url)).is_err(), "{url}");
    }
    // Addresses are judged when they are asked: nothing listens that could be reached, and the gate says "later".
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0177.0.0.1",
        "localhost",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        let cluster = world.site().cluster();
        let toml = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[database]\nhost = \"{}\"\nport = {}\ndbname = \"{}\"\npassword = \"{}\"\n\
             [[auth.jwt]]\nissuer = \"{ISSUER}\"\naudience = \"{ISSUER}\"\njwks_url = \"https://{host}:{port}/keys\"\nroles = [\"alice\"]\n[doctor]\nallow = [\"server-below-floor\"]\n",
            cluster.socket_dir().display(),
            cluster.port(),
            world.database(),
            cluster.password("postern_gate").unwrap()
        );
        let config = postern_gate::Config::parse(&toml).unwrap_or_else(|error| panic!("{host}: {error}"));
        let gate = postern_gate::Gate::start(config).await.unwrap_or_else(|error| panic!("{host}: {error}"));
        let http = postern_e2e::Http::new(gate.local_addr());
        let body = json!({ "query": "select 1" });
        let response =
            http.sql(&signed(&world, json!({})), &world.alice().connection_string(), &[], &body).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "08001"),
            "{host}: {}",
            response.text()
        );
        gate.shutdown().await;
    }
    // Nobody has knocked.
    let knocked = futures_util::poll!(std::pin::pin!(listener.accept()));
    assert!(knocked.is_pending(), "the gate has connected to an address inside");
    world.canary().await;
}
