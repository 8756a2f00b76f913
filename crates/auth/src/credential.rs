//! A verified credential: what it allows, and the part of the facts that is the same for all its requests.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use postern_core::RoleName;
use uuid::Uuid;

use crate::error::quoted;
use crate::mapping::PerRequest;
use crate::{Authenticated, Client, Error};

/// Longest `User-Agent` in the facts, in bytes; the rest is cut off.
const MAX_USER_AGENT: usize = 512;

/// How someone proved who they are.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub method: &'static str,
    pub issuer: Option<Arc<str>>,
    pub subject: Option<Arc<str>>,
    /// The API key, if it was one.
    pub key_id: Option<Uuid>,
}

/// Which roles a credential allows.
#[derive(Debug)]
pub(crate) enum Roles {
    /// These, the first one unless another is requested. Never empty.
    Known(Vec<RoleName>),
    /// What an expression that uses `requested_role` says each time.
    PerRequest(PerRequest),
}

/// Made once per credential, used for each of its requests.
#[derive(Debug)]
pub(crate) struct Credential {
    origin: Origin,
    roles: Roles,
    /// `{"claims":…,"auth":{…}`, without the end.
    facts: String,
    pub expires_at: Option<SystemTime>,
}

impl Credential {
    /// `claims`: the text of a JSON object that a `jsonb` can hold.
    pub(crate) fn new(origin: Origin, roles: Roles, claims: &str, expires_at: Option<SystemTime>) -> Self {
        let mut facts = String::with_capacity(claims.len() + 128);
        facts.push_str("{\"claims\":");
        facts.push_str(claims);
        facts.push_str(",\"auth\":{\"method\":");
        push_string(&mut facts, Some(origin.method));
        facts.push_str(",\"issuer\":");
        push_string(&mut facts, origin.issuer.as_deref());
        facts.push_str(",\"subject\":");
        push_string(&mut facts, origin.subject.as_deref());
        facts.push('}');
        Self { origin, roles, facts, expires_at }
    }

    /// A credential for exactly one role.
    pub(crate) fn fixed(
        origin: Origin,
        role: RoleName,
        claims: &str,
        expires_at: Option<SystemTime>,
    ) -> Self {
        Self::new(origin, Roles::Known(vec![role]), claims, expires_at)
    }

    /// What a cached one takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let roles = match &self.roles {
            Roles::Known(roles) => roles.len() * 64,
            // Values of an expression are several times as large as their text.
            Roles::PerRequest(_) => self.facts.len() * 8,
        };
        size_of::<Self>() + self.facts.len() + roles
    }

    /// The role and the facts of one request.
    pub(crate) fn enter(&self, client: &Client, requested: Option<&str>) -> Result<Authenticated, Error> {
        let role = match &self.roles {
            Roles::Known(roles) => choose(roles, requested)?.clone(),
            Roles::PerRequest(roles) => choose(&roles.evaluate(requested)?, requested)?.clone(),
        };
        let Origin { method, issuer, subject, key_id } = self.origin.clone();
        Ok(Authenticated {
            role,
            facts: self.facts(client).into(),
            method,
            issuer,
            subject,
            key_id,
            expires_at: self.expires_at,
        })
    }

    fn facts(&self, client: &Client) -> String {
        let mut facts = String::with_capacity(self.facts.len() + 256);
        facts.push_str(&self.facts);
        facts.push_str(",\"client\":{\"addr\":");
        match client.addr {
            // An address has no character that JSON escapes. Writing to a String cannot fail.
            Some(addr) => drop(write!(facts, "\"{}\"", addr.to_canonical())),
            None => facts.push_str("null"),
        }
        facts.push_str(",\"user_agent\":");
        push_string(&mut facts, client.user_agent.as_deref().map(|text| cut(text, MAX_USER_AGENT)));
        facts.push_str("},\"request\":{\"id\":");
        push_string(&mut facts, Some(&client.request_id));
        // The formatter knows no time before 1970.
        let time = client.time.max(SystemTime::UNIX_EPOCH);
        let _ = write!(facts, ",\"time\":\"{}\"}}}}", humantime::format_rfc3339_micros(time));
        facts
    }
}

/// The requested role if it is allowed, else the first one.
fn choose<'a>(roles: &'a [RoleName], requested: Option<&str>) -> Result<&'a RoleName, Error> {
    match requested {
        None => roles.first().ok_or_else(|| Error::RoleNotAllowed("credential allows no role".into())),
        Some(requested) => roles.iter().find(|role| role.as_str() == requested).ok_or_else(|| {
            Error::RoleNotAllowed(format!("credential does not allow role {}", quoted(requested)))
        }),
    }
}

/// Whether a credential is still good.
pub(crate) fn check_expiry(expires_at: Option<SystemTime>, now: SystemTime) -> Result<(), Error> {
    match expires_at {
        Some(end) if end <= now => Err(Error::rejected("credential has expired")),
        _ => Ok(()),
    }
}

/// The beginning of a text, whole characters, at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Appends a JSON string, or `null`. NUL, which `jsonb` cannot hold, becomes U+FFFD.
fn push_string(json: &mut String, text: Option<&str>) {
    let Some(text) = text else { return json.push_str("null") };
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\0' => json.push('\u{fffd}'),
            c if c < ' ' => drop(write!(json, "\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn role(name: &str) -> RoleName {
        RoleName::try_from(name).unwrap()
    }

    fn client() -> Client {
        Client {
            addr: Some(IpAddr::from([192, 0, 2, 7])),
            user_agent: Some("a\"b\\c\n\0é".into()),
            request_id: "r1".into(),
            time: SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_250),
        }
    }

    fn origin() -> Origin {
        Origin {
            method: "jwt",
            issuer: Some("https://i/".into()),
            subject: Some("alice".into()),
            key_id: None,
        }
    }

    #[test]
    fn facts_have_their_four_members_and_numbers_keep_their_digits() {
        let claims = r#"{"n":9007199254740993,"x":1.10}"#;
        let credential = Credential::fixed(origin(), role("r"), claims, None);
        let facts = credential.enter(&client(), None).unwrap().facts;
        assert!(facts.starts_with(&format!(r#"{{"claims":{claims},"#)), "{facts}");
        let facts: Value = serde_json::from_str(&facts).unwrap();
        assert_eq!(facts["auth"], json!({"method": "jwt", "issuer": "https://i/", "subject": "alice"}));
        assert_eq!(facts["client"], json!({"addr": "192.0.2.7", "user_agent": "a\"b\\c\n\u{fffd}é"}));
        assert_eq!(facts["request"], json!({"id": "r1", "time": "2023-11-14T22:13:20.250000Z"}));
        assert_eq!(facts.as_object().unwrap().len(), 4);
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let client = Client { addr: Some("::ffff:192.0.2.7".parse().unwrap()), ..client() };
        let facts = Credential::fixed(origin(), role("r"), "{}", None).enter(&client, None).unwrap().facts;
        assert!(facts.contains(r#""addr":"192.0.2.7""#), "{facts}");
    }

    #[test]
    fn h4_a_requested_role_is_taken_exactly_or_refused() {
        let credential = Credential::new(origin(), Roles::Known(vec![role("alice"), role("é")]), "{}", None);
        let enter = |requested| credential.enter(&client(), requested).map(|entered| entered.role);
        assert_eq!(enter(None), Ok(role("alice")));
        assert_eq!(enter(Some("é")), Ok(role("é")));
        for requested in [
            "ALICE",
            "\"alice\"",
            "alice ",
            "",
            "alice\0",
            "none",
            "public",
            "e\u{301}",
            "alice;reset role",
            "bob",
        ] {
            assert!(matches!(enter(Some(requested)), Err(Error::RoleNotAllowed(_))), "{requested:?}");
        }
        let long = "a".repeat(10_000);
        let Err(Error::RoleNotAllowed(reason)) = enter(Some(&long)) else {
            panic!("a long name was allowed")
        };
        assert!(reason.len() < 200, "reasons are short");
    }

    proptest! {
        #[test]
        fn facts_are_json_whatever_a_client_sends(agent in any::<String>(), id in any::<String>(), sub in any::<String>()) {
            let origin = Origin { subject: Some(sub.as_str().into()), ..origin() };
            let client = Client { user_agent: Some(agent.clone()), request_id: id.clone(), ..client() };
            let entered = Credential::fixed(origin, role("r"), "{}", None).enter(&client, None).unwrap();
            let facts: Value = serde_json::from_str(&entered.facts).unwrap();
            let kept = |text: &str| text.replace('\0', "\u{fffd}");
            prop_assert_eq!(facts["request"]["id"].as_str().unwrap(), kept(&id));
            prop_assert_eq!(facts["auth"]["subject"].as_str().unwrap(), kept(&sub));
            let agent = kept(&agent);
            prop_assert!(agent.starts_with(facts["client"]["user_agent"].as_str().unwrap()));
            prop_assert!(!entered.facts.contains('\0') && !entered.facts.contains("\\u0000"));
        }

        #[test]
        fn only_a_role_on_the_list_is_ever_entered(requested in any::<String>()) {
            let credential = Credential::new(origin(), Roles::Known(vec![role("a"), role("bc")]), "{}", None);
            match credential.enter(&client(), Some(&requested)) {
                Ok(entered) => prop_assert_eq!(entered.role.as_str(), requested),
                Err(error) => prop_assert!(matches!(error, Error::RoleNotAllowed(_))),
            }
        }
    }
}
