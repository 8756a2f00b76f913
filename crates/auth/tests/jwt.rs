//! Tokens that must not pass, by the entries of the attack catalogue (H2, C15), next to those that must.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;

use postern_auth::{Authenticator, Error, Presented};
use serde_json::{Value, json};
use support::{
    ISSUER, NOW, Server, assert_rejected, authenticator, b64, bearer, claims, claims_with, client, ec, ec384,
    rsa,
};
use tempfile::NamedTempFile;

fn file(content: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file
}

/// An issuer whose keys are in a file: RSA as `r`, EC as `e`.
fn with_key_file(more: &str) -> (Authenticator, std::sync::Arc<support::TestClock>) {
    let keys = file(json!({"keys": [rsa("rsa-a.pem").jwk("r"), ec().jwk("e")]}).to_string());
    authenticator(&format!(
        r#"
        [[jwt]]
        issuer = "{ISSUER}"
        audience = "gate"
        key_file = "{}"
        roles = ["app_user", "app_admin"]
        {more}
        "#,
        keys.path().display()
    ))
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "r", "typ": "JWT"})
}

fn signed(changes: &Value) -> String {
    rsa("rsa-a.pem").token(&header(), &claims_with(changes))
}

#[tokio::test]
async fn a_good_token_gives_role_and_facts() {
    let (gate, _) = with_key_file("");
    for token in [
        signed(&json!({})),
        signed(&json!({"aud": ["other", "gate"]})),
        ec().token(&json!({"alg": "ES256", "kid": "e"}), &claims()),
        ec().token(&json!({"alg": "ES256", "kid": "e", "typ": "application/at+jwt"}), &claims()),
    ] {
        let entered = bearer(&gate, &token).await.unwrap();
        assert_eq!(entered.role.as_str(), "app_user");
        assert_eq!(entered.method, "jwt");
        assert_eq!((entered.issuer.as_deref(), entered.subject.as_deref()), (Some(ISSUER), Some("alice")));
        let facts: Value = serde_json::from_str(&entered.facts).unwrap();
        assert_eq!(facts["claims"]["tenant"], "acme");
        assert_eq!(facts["auth"], json!({"method": "jwt", "issuer": ISSUER, "subject": "alice"}));
        assert_eq!(facts["client"]["addr"], "192.0.2.1");
    }
}

#[tokio::test]
async fn every_kind_of_key_and_algorithm_works_and_only_with_its_own() {
    let keys =
        file(json!({"keys": [rsa("rsa-a.pem").jwk("r"), ec().jwk("e"), ec384().jwk("e384")]}).to_string());
    let (gate, _) = authenticator(&format!(
        "[[jwt]]\nissuer = \"{ISSUER}\"\naudience = \"gate\"\nkey_file = \"{}\"\nroles = [\"app_user\"]",
        keys.path().display()
    ));
    let pss = {
        let header = json!({"alg": "PS256", "kid": "r"}).to_string();
        let message = format!("{}.{}", b64(header), b64(claims().to_string()));
        format!("{message}.{}", b64(rsa("rsa-a.pem").sign_pss(&message)))
    };
    for token in [
        pss,
        rsa("rsa-a.pem").token(&json!({"alg": "RS256", "kid": "r"}), &claims()),
        ec().token(&json!({"alg": "ES256", "kid": "e"}), &claims()),
        ec384().token(&json!({"alg": "ES384", "kid": "e384"}), &claims()),
    ] {
        assert!(bearer(&gate, &token).await.is_ok(), "{token}");
    }
    for (signer, alg, kid, reason) in [
        (rsa("rsa-a.pem"), "PS256", "r", "signature is wrong"),
        (rsa("rsa-a.pem"), "ES256", "r", "not for this key"),
        (rsa("rsa-a.pem"), "RS256", "e", "not for this key"),
        (ec(), "ES384", "e", "not for this key"),
        (ec(), "ES256", "e384", "not for this key"),
        (ec(), "EdDSA", "e", "not for this key"),
        (ec384(), "ES256", "e", "signature is wrong"),
    ] {
        let token = signer.token(&json!({"alg": alg, "kid": kid}), &claims());
        assert_rejected(&gate, &token, reason, format!("{alg} with {kid}")).await;
    }
}

#[tokio::test]
async fn a_pem_key_works_for_tokens_with_any_kid() {
    for (signer, alg, pem) in [
        (rsa("rsa-a.pem"), "RS256", include_str!("keys/rsa-a.public.pem")),
        (ec(), "ES256", include_str!("keys/ec.public.pem")),
        (ec384(), "ES384", include_str!("keys/ec384.public.pem")),
    ] {
        let key = file(pem);
        let (gate, _) = authenticator(&format!(
            "[[jwt]]\nissuer = \"{ISSUER}\"\naudience = \"gate\"\nkey_file = \"{}\"\nroles = [\"app_user\"]",
            key.path().display()
        ));
        assert!(bearer(&gate, &signer.token(&json!({"alg": alg}), &claims())).await.is_ok());
        assert!(bearer(&gate, &signer.token(&json!({"alg": alg, "kid": "x"}), &claims())).await.is_ok());
        assert_rejected(&gate, &rsa("rsa-b.pem").token(&header(), &claims()), "", "another key").await;
    }
}

#[tokio::test]
async fn h2_1_the_algorithm_is_not_for_the_token_to_choose() {
    let (gate, _) = with_key_file("");
    let unsigned = |alg: &str, signature: &str| {
        let header = format!(r#"{{"alg":"{alg}","kid":"r"}}"#);
        format!("{}.{}.{signature}", b64(header), b64(claims().to_string()))
    };
    for alg in ["none", "None", "NONE", "nOnE"] {
        assert_rejected(&gate, &unsigned(alg, ""), "a segment of the token is empty", alg).await;
        assert_rejected(&gate, &unsigned(alg, "AAAA"), "is not supported", alg).await;
    }
    let no_alg = rsa("rsa-a.pem").token(&json!({"kid": "r"}), &claims());
    assert_rejected(&gate, &no_alg, "alg is missing", "no alg").await;
    for alg in [json!(null), json!(5), json!(["RS256"]), json!({})] {
        let token = rsa("rsa-a.pem").token(&json!({"alg": alg, "kid": "r"}), &claims());
        assert_rejected(&gate, &token, "alg is not a short text", alg).await;
    }
    // The public key, in each form it has, as the secret of an HMAC.
    let jwk = rsa("rsa-a.pem").jwk("r");
    let secrets = [
        include_str!("keys/rsa-a.public.pem").to_owned(),
        jwk.to_string(),
        jwk["n"].as_str().unwrap().into(),
    ];
    for (secret, kid) in secrets.iter().flat_map(|secret| [(secret, "r"), (secret, "e")]) {
        let message =
            format!("{}.{}", b64(json!({"alg": "HS256", "kid": kid}).to_string()), b64(claims().to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let token = format!("{message}.{}", b64(ring::hmac::sign(&key, message.as_bytes())));
        assert_rejected(&gate, &token, "alg HS256 is not for this key or issuer", "public key as secret")
            .await;
    }
}

#[tokio::test]
async fn h2_1_an_algorithm_that_is_not_configured_is_refused() {
    let key = file(rsa("rsa-a.pem").jwk("r").to_string());
    let (gate, _) = authenticator(&format!(
        "[[jwt]]\nissuer = \"{ISSUER}\"\naudience = \"gate\"\nkey_file = \"{}\"\nroles = [\"app_user\"]\nalgorithms = [\"PS256\"]",
        key.path().display()
    ));
    assert_rejected(&gate, &signed(&json!({})), "not for this key or issuer", "RS256").await;
}

#[tokio::test]
async fn h2_2_the_key_must_be_one_of_the_issuer() {
    let (gate, _) = with_key_file("");
    let good = rsa("rsa-a.pem");
    let token = good.token(&json!({"alg": "RS256"}), &claims());
    assert_rejected(&gate, &token, "no key of the issuer fits kid missing", "no kid").await;
    let token = good.token(&json!({"alg": "RS256", "kid": "zz\r\nforged"}), &claims());
    assert_rejected(&gate, &token, r#"no key of the issuer fits kid "zz\r\nforged""#, "unknown kid").await;
    let token = rsa("rsa-b.pem").token(&header(), &claims());
    assert_rejected(&gate, &token, "signature is wrong", "another key under a known kid").await;
    for kid in [json!(1), json!(null), json!("k".repeat(300))] {
        let token = good.token(&json!({"alg": "RS256", "kid": kid}), &claims());
        assert_rejected(&gate, &token, "kid is not a short text", "odd kid").await;
    }
}

#[tokio::test]
async fn h2_2_two_issuers_with_the_same_kid_are_two_keys() {
    let (a, b) = (file(rsa("rsa-a.pem").jwk("1").to_string()), file(rsa("rsa-b.pem").jwk("1").to_string()));
    let (gate, _) = authenticator(&format!(
        r#"
        [[jwt]]
        issuer = "https://a/"
        audience = "gate"
        key_file = "{}"
        roles = ["app_user"]
        [[jwt]]
        issuer = "https://b/"
        audience = "gate"
        key_file = "{}"
        roles = ["app_guest"]
        role = "'app_guest'"
        "#,
        a.path().display(),
        b.path().display()
    ));
    let token = |key: &str, issuer: &str| {
        rsa(key).token(&json!({"alg": "RS256", "kid": "1"}), &claims_with(&json!({"iss": issuer})))
    };
    let entered = bearer(&gate, &token("rsa-a.pem", "https://a/")).await.unwrap();
    assert_eq!(entered.role.as_str(), "app_user");
    let entered = bearer(&gate, &token("rsa-b.pem", "https://b/")).await.unwrap();
    assert_eq!(entered.role.as_str(), "app_guest", "the weaker issuer gives its own roles only");
    assert_rejected(&gate, &token("rsa-b.pem", "https://a/"), "signature is wrong", "b signs as a").await;
    assert_rejected(&gate, &token("rsa-a.pem", "https://b/"), "signature is wrong", "a signs as b").await;
}

#[tokio::test]
async fn h2_3_headers_that_bring_a_key_are_ignored() {
    let server = Server::start().await;
    server.keys(&[rsa("rsa-b.pem").jwk("r")]);
    let (gate, _) = with_key_file("");
    let jwk = rsa("rsa-b.pem").jwk("r");
    for extra in [
        json!({"jku": server.url}),
        json!({"x5u": server.url}),
        json!({"jwk": jwk}),
        json!({"x5c": ["MIIB"], "jku": server.url, "jwk": jwk}),
    ] {
        let mut header = header();
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let forged = rsa("rsa-b.pem").token(&header, &claims());
        assert_rejected(&gate, &forged, "signature is wrong", &extra).await;
        let good = rsa("rsa-a.pem").token(&header, &claims());
        assert!(bearer(&gate, &good).await.is_ok(), "{extra}");
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn h2_3_critical_extensions_encryption_and_nesting_are_refused() {
    let (gate, _) = with_key_file("");
    for (extra, reason) in [
        (json!({"crit": ["exp"]}), "crit is not supported"),
        (json!({"crit": []}), "crit is not supported"),
        (json!({"crit": ["b64"], "b64": false}), "crit is not supported"),
        (json!({"enc": "A128GCM"}), "encrypted"),
        (json!({"zip": "DEF"}), "compressed"),
        (json!({"cty": "JWT"}), "nested"),
        (json!({"typ": "logout+jwt"}), "typ \"logout+jwt\" is not accepted"),
        (json!({"typ": "JWE"}), "is not accepted"),
    ] {
        let mut header = header();
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_rejected(&gate, &rsa("rsa-a.pem").token(&header, &claims()), reason, &extra).await;
    }
    let jwe = format!("{}.a.b.c.d", b64(r#"{"alg":"dir","enc":"A128GCM"}"#));
    assert_rejected(&gate, &jwe, "JWE", "five segments").await;
    let alg = rsa("rsa-a.pem").token(&json!({"alg": "RSA-OAEP", "kid": "r"}), &claims());
    assert_rejected(&gate, &alg, "is not supported", "an encryption algorithm").await;
}

#[tokio::test]
async fn h2_4_issuer_audience_and_times_must_be_there_and_right() {
    let (gate, _) = with_key_file("");
    for (changes, reason) in [
        (json!({"iss": null}), "iss is missing"),
        (json!({"iss": "https://issuer.example"}), "is not configured"),
        (json!({"iss": 1}), "iss is missing or not a text"),
        (json!({"iss": [ISSUER]}), "iss is missing or not a text"),
        (json!({"aud": null}), "aud is missing"),
        (json!({"aud": "other"}), "aud does not name this gate"),
        (json!({"aud": "GATE"}), "aud does not name this gate"),
        (json!({"aud": []}), "aud does not name this gate"),
        (json!({"aud": ["a", "b"]}), "aud does not name this gate"),
        (json!({"aud": ["gate", 1]}), "aud is neither"),
        (json!({"aud": {"gate": true}}), "aud is neither"),
        (json!({"exp": null}), "exp is missing"),
        (json!({"exp": (NOW + 600).to_string()}), "exp is not a whole number"),
        (json!({"exp": 1_900_000_000.5}), "exp is not a whole number"),
        (json!({"exp": -1}), "exp is not a whole number"),
        (json!({"exp": u64::MAX}), "exp is not a whole number"),
        (json!({"exp": i64::MAX}), "exp is not a whole number"),
        (json!({"exp": true}), "exp is not a whole number"),
        (json!({"exp": 0}), "expired"),
        (json!({"nbf": "0"}), "nbf is not a whole number"),
        (json!({"nbf": -5}), "nbf is not a whole number"),
        (json!({"nbf": NOW + 3600}), "not valid yet"),
        (json!({"iat": 1.5}), "iat is not a whole number"),
        (json!({"iat": NOW + 3600}), "from the future"),
        (json!({"sub": 5}), "subject is not a text"),
    ] {
        assert_rejected(&gate, &signed(&changes), reason, &changes).await;
    }
    for exp in ["1e400", "1.8e9", "18e8", "1e10", "null"] {
        let claims = claims().to_string().replace(&(NOW + 600).to_string(), exp);
        let token = rsa("rsa-a.pem").token_of(&header().to_string(), claims.as_bytes());
        assert_rejected(&gate, &token, "", exp).await;
    }
}

#[tokio::test]
async fn h2_4_the_leeway_has_an_exact_edge() {
    let (gate, _) = with_key_file(r#"leeway = "30s""#);
    for (changes, good) in [
        (json!({"exp": NOW - 29}), true),
        (json!({"exp": NOW - 30}), false),
        (json!({"nbf": NOW + 30}), true),
        (json!({"nbf": NOW + 31}), false),
        (json!({"iat": NOW + 30}), true),
        (json!({"iat": NOW + 31}), false),
    ] {
        assert_eq!(bearer(&gate, &signed(&changes)).await.is_ok(), good, "{changes}");
    }
    let end = bearer(&gate, &signed(&json!({}))).await.unwrap().expires_at;
    assert_eq!(end, Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW + 630)));
}

#[tokio::test]
async fn h2_5_what_two_readers_could_read_differently_is_refused() {
    let (gate, _) = with_key_file("");
    let key = rsa("rsa-a.pem");
    let good = claims().to_string();
    let inside = |extra: &str| format!("{},{extra}}}", &good[..good.len() - 1]);
    for (header, claims, reason) in [
        (r#"{"alg":"RS256","kid":"r","alg":"none"}"#.into(), good.clone(), "a member appears twice"),
        (header().to_string(), inside(r#""sub":"bob""#), "a member appears twice"),
        (header().to_string(), inside(r#""s\u0075b":"bob""#), "a member appears twice"),
        (header().to_string(), inside(r#""x":{"a":1,"a":2}"#), "a member appears twice"),
        (header().to_string(), inside(r#""x":"\u0000""#), "NUL"),
        (header().to_string(), inside(r#""\u0000":1"#), "NUL"),
        (header().to_string(), inside(r#""x":"\ud800""#), "not well-formed"),
        (header().to_string(), inside(r#""x":1e400"#), "not well-formed"),
        (header().to_string(), inside(r#""x":1e-99999"#), "exponent"),
        (header().to_string(), inside(&format!(r#""x":{}{}"#, "[".repeat(40), "]".repeat(40))), "deep"),
        (header().to_string(), format!("{good} {{}}"), "not well-formed"),
        (header().to_string(), "[]".into(), "not a JSON object"),
        (header().to_string(), "\"x\"".into(), "not a JSON object"),
        ("[]".into(), good.clone(), "not a JSON object"),
    ] {
        assert_rejected(&gate, &key.token_of(&header, claims.as_bytes()), reason, &claims).await;
    }
    let token = key.token_of(&header().to_string(), b"{\"iss\":\"\xff\"}");
    assert_rejected(&gate, &token, "not UTF-8", "bytes").await;
}

#[tokio::test]
async fn h2_5_the_form_of_a_token_is_exact() {
    let (gate, _) = with_key_file("");
    let good = signed(&json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    for (token, reason) in [
        (String::new(), "segments"),
        (".".into(), "segments"),
        ("..".into(), "empty"),
        (message.to_owned(), "2 segments"),
        (format!("{good}.x"), "4 segments"),
        (format!("{good}.x.y"), "JWE"),
        (format!("{good}="), "not base64url"),
        (format!("{good}=="), "not base64url"),
        (format!(" {good}"), "not base64url"),
        (format!("{good} "), "not base64url"),
        (format!("{good}\n"), "not base64url"),
        (good.replace('.', " ."), "not base64url"),
        (format!("{message}."), "empty"),
        (format!("{message}.{}", &signature[..signature.len() - 2]), "signature is wrong"),
        (format!("{message}.+/{}", &signature[2..]), "not base64url"),
        ("é.é.é".into(), "not base64url"),
        ("x".repeat(1 << 20), "longer than 16384 bytes"),
    ] {
        assert_rejected(&gate, &token, reason, token.chars().take(40).collect::<String>()).await;
    }
    let large = signed(&json!({"x": "y".repeat(20_000)}));
    assert_rejected(&gate, &large, "longer than 16384 bytes", "a large one that is good").await;
}

#[tokio::test]
async fn a_signature_counts_for_its_own_text_only() {
    let (gate, _) = with_key_file("");
    let good = signed(&json!({}));
    let admin = b64(claims_with(&json!({"role": "app_admin"})).to_string());
    let mut parts: Vec<&str> = good.split('.').collect();
    parts[1] = &admin;
    assert_rejected(&gate, &parts.join("."), "signature is wrong", "other claims").await;
    // The last character of a signature has spare bits: another spelling is not the same token.
    let other = format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'B' } else { 'A' });
    assert_rejected(&gate, &other, "", "another last character").await;
}

#[tokio::test]
async fn h2_6_a_verified_token_ends_when_it_ends() {
    let (gate, clock) = with_key_file("leeway = \"0s\"");
    let token = signed(&json!({"exp": NOW + 20}));
    assert!(bearer(&gate, &token).await.is_ok());
    clock.advance(19);
    assert!(bearer(&gate, &token).await.is_ok());
    clock.advance(1);
    assert_rejected(&gate, &token, "expired", "from what is kept").await;
    clock.advance(100);
    assert_rejected(&gate, &token, "expired", "checked again").await;
}

#[tokio::test]
async fn c15_numbers_reach_the_facts_as_they_are() {
    let (gate, _) = with_key_file("");
    let claims = claims().to_string().replacen(
        '{',
        r#"{"id":9007199254740993,"big":123456789012345678901234567890,"price":1.10,"#,
        1,
    );
    let token = rsa("rsa-a.pem").token_of(&header().to_string(), claims.as_bytes());
    let facts = bearer(&gate, &token).await.unwrap().facts;
    assert!(
        facts.contains(r#""id":9007199254740993,"big":123456789012345678901234567890,"price":1.10,"#),
        "{facts}"
    );
}

#[tokio::test]
async fn h4_roles_come_from_the_list() {
    let (gate, _) = with_key_file("");
    for role in [
        json!("postgres"),
        json!("APP_USER"),
        json!("app_user "),
        json!("\"app_user\""),
        json!("none"),
        json!("public"),
        json!(""),
        json!("a".repeat(64)),
        json!("app_user;reset role"),
        json!("app\u{301}_user"),
    ] {
        let token = signed(&json!({"role": role}));
        let Err(error @ Error::RoleNotAllowed(_)) = bearer(&gate, &token).await else { panic!("{role}") };
        assert_eq!(error.to_string(), "authentication failed", "{role}");
        assert!(error.reason().contains("is not in roles"), "{}", error.reason());
    }
    for role in
        [json!(5), json!(true), json!({"a": 1}), json!([5]), json!([["app_user"]]), json!(["app_user", 7])]
    {
        let error = bearer(&gate, &signed(&json!({"role": role}))).await.unwrap_err();
        assert!(error.reason().contains("neither a text nor a list of texts"), "{role}: {}", error.reason());
    }
    let error = bearer(&gate, &signed(&json!({"role": null}))).await.unwrap_err();
    assert!(matches!(&error, Error::RoleNotAllowed(why) if why.contains("no such key")), "{error:?}");
    let error = bearer(&gate, &signed(&json!({"role": []}))).await.unwrap_err();
    assert!(matches!(&error, Error::RoleNotAllowed(_)), "{error:?}");
}

#[tokio::test]
async fn h4_a_requested_role_must_be_allowed_by_the_token() {
    let (gate, _) = with_key_file("");
    let ask = async |roles: Value, requested: Option<&str>| {
        let token = signed(&json!({"role": roles}));
        let presented = Presented { bearer: Some(&token), requested_role: requested, ..Presented::default() };
        gate.authenticate(&presented, &client()).await.map(|entered| entered.role.as_str().to_owned())
    };
    let both = json!(["db_other", "app_user", "app_admin"]);
    assert_eq!(ask(both.clone(), None).await, Ok("app_user".into()), "the first that is on the list");
    assert_eq!(ask(both.clone(), Some("app_admin")).await, Ok("app_admin".into()));
    assert!(
        matches!(ask(both.clone(), Some("db_other")).await, Err(Error::RoleNotAllowed(_))),
        "not on the list"
    );
    assert!(matches!(ask(both, Some("APP_ADMIN")).await, Err(Error::RoleNotAllowed(_))));
    assert!(matches!(ask(json!("app_user"), Some("app_admin")).await, Err(Error::RoleNotAllowed(_))));
    assert!(matches!(ask(json!("app_user"), Some("")).await, Err(Error::RoleNotAllowed(_))));
}

#[tokio::test]
async fn a_role_expression_may_look_at_the_requested_role() {
    let (gate, _) = with_key_file(
        r#"role = "requested_role == 'app_admin' && claims.level >= 3 ? 'app_admin' : 'app_user'""#,
    );
    let ask = async |level: u8, requested: Option<&str>| {
        let token = signed(&json!({"level": level}));
        let presented = Presented { bearer: Some(&token), requested_role: requested, ..Presented::default() };
        gate.authenticate(&presented, &client()).await.map(|entered| entered.role.as_str().to_owned())
    };
    assert_eq!(ask(3, Some("app_admin")).await, Ok("app_admin".into()));
    assert_eq!(ask(3, None).await, Ok("app_user".into()), "the same token, without asking");
    assert!(matches!(ask(2, Some("app_admin")).await, Err(Error::RoleNotAllowed(_))));
}

#[tokio::test]
async fn facts_can_be_limited_and_added_to() {
    let (gate, _) = with_key_file(
        r#"
        claims = ["sub", "tenant", "big"]
        facts = { level = "claims.tier == 'gold' ? 3 : 1", who = "auth.subject + '@' + auth.method", tenant = "'t-' + claims.tenant" }
        "#,
    );
    let claims = claims_with(&json!({"tier": "gold"})).to_string().replacen(
        '{',
        r#"{"big":12345678901234567890123,"#,
        1,
    );
    let token = rsa("rsa-a.pem").token_of(&header().to_string(), claims.as_bytes());
    let facts = bearer(&gate, &token).await.unwrap().facts;
    assert!(facts.contains(r#""big":12345678901234567890123"#), "{facts}");
    let facts: Value = serde_json::from_str(&facts).unwrap();
    let mut claims = facts["claims"].clone();
    claims.as_object_mut().unwrap().remove("big");
    assert_eq!(claims, json!({"sub": "alice", "tenant": "t-acme", "level": 3, "who": "alice@jwt"}));
}

#[tokio::test]
async fn a_token_without_a_subject_is_nobody_in_particular() {
    let (gate, _) = with_key_file("");
    let entered = bearer(&gate, &signed(&json!({"sub": null}))).await.unwrap();
    assert_eq!(entered.subject, None);
    assert!(entered.facts.contains(r#""subject":null"#), "{}", entered.facts);
}

#[tokio::test]
async fn a_shared_secret_works_when_it_is_configured() {
    let secret = file("0123456789abcdef0123456789abcdef\n");
    let (gate, _) = authenticator(&format!(
        "[[jwt]]\nissuer = \"{ISSUER}\"\naudience = \"gate\"\nsecret_file = \"{}\"\nroles = [\"app_user\"]",
        secret.path().display()
    ));
    let key = postern_auth::dev::SigningKey::from_secret(b"0123456789abcdef0123456789abcdef\n");
    let token = key.sign_claims(claims().as_object().unwrap());
    assert!(bearer(&gate, &token).await.is_ok());
    let key = postern_auth::dev::SigningKey::from_secret(b"another secret of 32 bytes ......");
    let token = key.sign_claims(claims().as_object().unwrap());
    assert_rejected(&gate, &token, "signature is wrong", "another secret").await;
    let rs = rsa("rsa-a.pem").token(&header(), &claims());
    assert_rejected(&gate, &rs, "not for this key", "RSA").await;
}

#[tokio::test]
async fn a_generated_key_signs_what_its_public_part_verifies() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let (private, public) = (folder.path().join("dev.pem"), folder.path().join("dev.jwk"));
    postern_auth::dev::generate_key(&private, &public).unwrap();
    assert_eq!(private.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(postern_auth::dev::generate_key(&private, &public).is_err(), "an existing key is not replaced");

    let config = format!(
        "[[jwt]]\nissuer = \"dev\"\naudience = \"gate\"\nkey_file = {public:?}\nroles = [\"app_user\"]"
    );
    let gate =
        Authenticator::new(&toml::from_str(&config).unwrap(), std::sync::Arc::new(postern_auth::NoKeys))
            .unwrap();
    let key = postern_auth::dev::SigningKey::from_pem(&std::fs::read_to_string(&private).unwrap()).unwrap();
    let token = postern_auth::dev::Token {
        issuer: "dev",
        audience: "gate",
        subject: Some("alice"),
        role: Some("app_user"),
        claims: json!({"tenant": "acme", "sub": "mallory"}).as_object().unwrap().clone(),
        lifetime: std::time::Duration::from_mins(5),
    };
    let entered = bearer(&gate, &postern_auth::dev::sign(&key, &token)).await.unwrap();
    assert_eq!(entered.subject.as_deref(), Some("alice"));
    assert!(entered.facts.contains(r#""tenant":"acme""#));

    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let key = postern_auth::dev::generate_key(&other.join("a"), &other.join("b")).unwrap();
    assert!(bearer(&gate, &postern_auth::dev::sign(&key, &token)).await.is_err());
}
