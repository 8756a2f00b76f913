//! Configurations that cannot be used: each error names the key and says how to mend it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use postern_auth::{Authenticator, Config, NoKeys};

/// A good issuer with some lines replaced or added.
fn jwt(lines: &str) -> String {
    let mut config = String::from("[[jwt]]\n");
    let default = [
        ("issuer", "\"https://i/\""),
        ("audience", "\"gate\""),
        ("jwks_url", "\"https://i/keys\""),
        ("roles", "[\"app_user\"]"),
    ];
    for (key, value) in default {
        let is_given = lines.lines().any(|line| line.trim_start_matches('-').split(' ').next() == Some(key));
        if !is_given {
            config.extend([key, " = ", value, "\n"]);
        }
    }
    // "-key" leaves a key out.
    for line in lines.lines().filter(|line| !line.starts_with('-')) {
        config.push_str(line);
        config.push('\n');
    }
    config
}

/// A good authorization server.
const INTROSPECTION: &str = "[[introspection]]\nurl = \"https://i/introspect\"\nclient_id = \"gate\"\n\
    client_secret_file = \"secret\"\naudience = \"gate\"\nroles = [\"a\"]";

#[test]
fn what_is_right_is_accepted() {
    for config in [
        INTROSPECTION.into(),
        String::new(),
        jwt(""),
        jwt("-jwks_url\ndiscovery = true"),
        jwt("audience = [\"a\", \"b\"]\nalgorithms = [\"RS256\", \"EdDSA\"]\nleeway = \"1m\""),
        jwt("role = \"claims['https://hasura.io/jwt/claims']['x-hasura-role']\""),
        "[anonymous]\nrole = \"web_anon\"".into(),
        "cache_ttl = \"0s\"\n[api_keys]\nroles = [\"a\"]\ncache_ttl = \"0s\"".into(),
    ] {
        let config: Config = toml::from_str(&config).unwrap();
        assert_eq!(config.validate(), Ok(()), "{config:?}");
    }
}

#[test]
fn an_error_names_the_key_and_says_what_to_do() {
    for (config, key, problem, hint) in [
        (jwt("issuer = \"\""), "jwt[0].issuer", "is empty", "iss"),
        (jwt("audience = []"), "jwt[0].audience", "is empty", "aud"),
        (jwt("audience = \"\""), "jwt[0].audience", "is empty", "aud"),
        (jwt("roles = []"), "jwt[0].roles", "is empty", "roles"),
        (jwt("roles = [\"pg_read_all_data\"]"), "jwt[0].roles", "can never be entered", "postern.admit"),
        (jwt("roles = [\"none\"]"), "jwt[0].roles", "can never be entered", "postern.admit"),
        (jwt("roles = [\"postern_gate\"]"), "jwt[0].roles", "can never be entered", "postern.admit"),
        (jwt("-jwks_url"), "jwt[0]", "exactly one way", "jwks_url"),
        (jwt("discovery = true"), "jwt[0]", "exactly one way", "jwks_url"),
        (jwt("jwks_url = \"http://i/keys\""), "jwt[0].jwks_url", "is not HTTPS", "allow_insecure_http"),
        (jwt("jwks_url = \"file:///etc/passwd\""), "jwt[0].jwks_url", "is not HTTPS", "https://"),
        (jwt("jwks_url = \"keys\""), "jwt[0].jwks_url", "is not a URL", "https://"),
        (jwt("jwks_url = \"https://u:p@i/keys\""), "jwt[0].jwks_url", "has a user", "leave"),
        (jwt("jwks_url = \"https://i/#keys\""), "jwt[0].jwks_url", "fragment", "leave"),
        (jwt("-jwks_url\nissuer = \"i\"\ndiscovery = true"), "jwt[0].issuer", "is not a URL", "https://"),
        (jwt("algorithms = []"), "jwt[0].algorithms", "does not fit", "leave it out"),
        (jwt("algorithms = [\"HS256\"]"), "jwt[0].algorithms", "does not fit", "secret_file"),
        (jwt("algorithms = [\"RS256\", \"HS256\"]"), "jwt[0].algorithms", "does not fit", "secret_file"),
        (jwt("leeway = \"1h\""), "jwt[0].leeway", "too long", "5m"),
        (jwt("role = \"claims.\""), "jwt[0].role", "cannot be compiled", "CEL"),
        (jwt("role = \"role\""), "jwt[0].role", "unknown variable role", "claims"),
        (jwt("facts = { t = \"claims.a.\" }"), "jwt[0].facts.t", "cannot be compiled", "CEL"),
        (jwt("facts = { t = \"requested_role\" }"), "jwt[0].facts.t", "what the client asks for", "claims"),
        (format!("{}{}", jwt(""), jwt("")), "jwt[1].issuer", "same issuer", "one entry"),
        (format!("{INTROSPECTION}\nleeway = \"1h\""), "introspection[0].leeway", "too long", "5m"),
        (
            format!("{INTROSPECTION}\nrole = \"claims.\""),
            "introspection[0].role",
            "cannot be compiled",
            "CEL",
        ),
        ("cache_ttl = \"2h\"".into(), "cache_ttl", "too long", "1h"),
        ("[api_keys]\nroles = []".into(), "api_keys.roles", "is empty", "roles"),
        ("[anonymous]\nrole = \"public\"".into(), "anonymous.role", "can never be entered", "postern.admit"),
    ] {
        let parsed: Config = toml::from_str(&config).unwrap_or_else(|error| panic!("{config}: {error}"));
        let error = parsed.validate().unwrap_err();
        let text = error.to_string();
        assert_eq!(error.key(), key, "{text}");
        assert!(text.contains(problem) && error.hint().contains(hint), "{text}");
        assert!(Authenticator::new(&parsed, Arc::new(NoKeys)).is_err());
    }
}

#[test]
fn a_misspelt_key_or_an_impossible_value_is_refused() {
    for config in [
        jwt("audiance = \"x\""),
        // The keys that both kinds of issuers share are no way around that.
        jwt("allow_insecure_htpp = true"),
        format!("{INTROSPECTION}\nrule = \"claims.role\""),
        format!("{INTROSPECTION}\ndiscovery = true"),
        format!("{INTROSPECTION}\nroles = [\"b\"]"),
        jwt("algorithms = [\"none\"]"),
        jwt("algorithms = [\"rs256\"]"),
        jwt(&format!("roles = [\"{}\"]", "a".repeat(64))),
        jwt("roles = [\"\"]"),
        jwt("roles = [\"a\\u0000\"]"),
        jwt("leeway = 30"),
        "[anonymous]".into(),
        "[jwks]".into(),
    ] {
        assert!(toml::from_str::<Config>(&config).is_err(), "{config}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let private = include_str!("keys/ec.pem");
    let public = include_str!("keys/ec.public.pem");
    for (name, content, key, problem) in [
        ("missing", None, "key_file", "cannot read"),
        ("private.pem", Some(private), "key_file", "is a private key"),
        ("empty", Some(""), "key_file", "is not a JWK"),
        ("text", Some("hello"), "key_file", "is not a JWK"),
        (
            "certificate.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "key_file",
            "not a public key",
        ),
        (
            "broken.pem",
            Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
            "key_file",
            "is not an RSA",
        ),
        ("short", Some("too short"), "secret_file", "shorter than 32 bytes"),
        ("good.pem", Some(public), "", ""),
    ] {
        if let Some(content) = content {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let line = if key == "secret_file" { "secret_file" } else { "key_file" };
        let mut config: Config = toml::from_str(&jwt(&format!("-jwks_url\n{line} = \"{name}\""))).unwrap();
        config.resolve_paths(folder.path());
        match Authenticator::new(&config, Arc::new(NoKeys)) {
            Ok(_) => assert_eq!(key, "", "{name}"),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    error.key().ends_with(key) && text.contains(problem) && text.contains(name),
                    "{text}"
                );
            }
        }
    }
    let wrong = jwt("-jwks_url\nkey_file = \"good.pem\"\nalgorithms = [\"RS256\"]");
    let mut config: Config = toml::from_str(&wrong).unwrap();
    config.resolve_paths(folder.path());
    let error = Authenticator::new(&config, Arc::new(NoKeys)).unwrap_err().to_string();
    assert!(error.contains("is for another algorithm"), "{error}");
}

#[test]
fn absolute_paths_stay() {
    let mut config: Config = toml::from_str(&jwt("-jwks_url\nkey_file = \"/etc/key\"")).unwrap();
    config.resolve_paths(Path::new("/var"));
    assert_eq!(config.jwt[0].key_file.as_deref(), Some(Path::new("/etc/key")));
}

#[test]
fn all_roles_are_listed_once() {
    let config =
        format!("{}[api_keys]\nroles = [\"svc\", \"app_user\"]\n[anonymous]\nrole = \"anon\"", jwt(""));
    let config: Config = toml::from_str(&config).unwrap();
    let roles: Vec<&str> = config.roles().into_iter().map(postern_core::RoleName::as_str).collect();
    assert_eq!(roles, ["anon", "app_user", "svc"]);
}
