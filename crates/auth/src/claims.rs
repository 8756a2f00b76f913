//! The claims that decide whether a credential is good now and here: who made it, for whom, from when until when.
//!
//! **Invariants**: a claim of a wrong type is an error, never "missing".

use std::time::{Duration, SystemTime};

use cel::Value;

use crate::json::Object;

/// Latest point in time that is believed: the end of the year 9999.
const MAX_SECONDS: i64 = 253_402_300_799;

/// What is expected of the claims.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub issuer: Option<&'a str>,
    pub audience: &'a [String],
    pub leeway: Duration,
    pub requires_end: bool,
}

impl Expected<'_> {
    /// The end, with leeway; or why the claims are not good.
    pub(crate) fn check(&self, claims: &Object<'_>, now: SystemTime) -> Result<Option<SystemTime>, String> {
        if let Some(expected) = self.issuer {
            match claims.get("iss") {
                Some(Value::String(issuer)) if issuer.as_str() == expected => {}
                Some(Value::String(_)) => return Err("iss is another issuer".into()),
                Some(_) => return Err("iss is not a text".into()),
                None => return Err("iss is missing".into()),
            }
        }
        self.check_audience(claims.get("aud"))?;
        // What is true within the leeway of now is taken to be true.
        let end = time(claims, "exp")?.map(|end| end + self.leeway);
        match end {
            None if self.requires_end => return Err("exp is missing".into()),
            Some(end) if end <= now => return Err("token has expired".into()),
            _ => {}
        }
        if time(claims, "nbf")?.is_some_and(|begin| begin > now + self.leeway) {
            return Err("token is not valid yet (nbf)".into());
        }
        if time(claims, "iat")?.is_some_and(|made| made > now + self.leeway) {
            return Err("token is from the future (iat)".into());
        }
        Ok(end)
    }

    fn check_audience(&self, found: Option<&Value>) -> Result<(), String> {
        let is_ours = |found: &Value| match found {
            Value::String(found) => Ok(self.audience.iter().any(|ours| ours == found.as_str())),
            _ => Err("aud is neither a text nor a list of texts"),
        };
        let ours = match found {
            None => return Err("aud is missing".into()),
            Some(Value::List(all)) => {
                all.iter().try_fold(false, |ours, one| is_ours(one).map(|is| ours || is))?
            }
            Some(one) => is_ours(one)?,
        };
        if ours { Ok(()) } else { Err("aud does not name this gate".into()) }
    }
}

/// Seconds since 1970, as a whole number and no other way.
fn time(claims: &Object<'_>, name: &str) -> Result<Option<SystemTime>, String> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Int(seconds @ 0..=MAX_SECONDS)) => {
            Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())))
        }
        Some(_) => Err(format!("{name} is not a whole number of seconds")),
    }
}

/// Whom the credential is about. `None` where it does not say.
pub(crate) fn subject<'a>(claims: &'a Object<'_>, name: &str) -> Result<Option<&'a str>, String> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(subject)) => Ok(Some(subject)),
        Some(_) => Err("the claim that names the subject is not a text".into()),
    }
}
