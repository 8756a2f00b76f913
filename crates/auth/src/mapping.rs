//! From claims to roles and facts, as the configuration says.
//!
//! **Invariants**: a role comes out only if it is on the list of the configuration, byte for byte; nothing is cut, folded or
//! trimmed on the way. Claims that become facts keep their text.

use std::sync::Arc;

use cel::Value;
use postern_core::RoleName;

use crate::config::Rules;
use crate::credential::{Origin, Roles};
use crate::error::quoted;
use crate::expression::{Expression, Input};
use crate::json::{self, Limits, Object};
use crate::{ConfigError, Error};

/// What an issuer's claims mean here.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// The only roles there are for this issuer.
    allowed: Vec<RoleName>,
    role: Expression,
    /// Members added to the claims in the facts.
    facts: Vec<(String, Expression)>,
    /// The only claims that become facts.
    keep: Option<Vec<String>>,
}

impl Mapping {
    /// `section`: the section of the configuration, for errors.
    pub(crate) fn compile(section: &str, rules: &Rules) -> Result<Self, ConfigError> {
        let role = Expression::compile(&format!("{section}.role"), &rules.role)?;
        let mut facts = Vec::with_capacity(rules.facts.len());
        for (name, text) in &rules.facts {
            let key = format!("{section}.facts.{name}");
            let expression = Expression::compile(&key, text)?;
            if expression.uses("requested_role") {
                return Err(ConfigError::new(
                    key,
                    "a fact depends on what the client asks for",
                    "use claims and auth only",
                ));
            }
            facts.push((name.clone(), expression));
        }
        Ok(Self { allowed: rules.roles.clone(), role, facts, keep: rules.claims.clone() })
    }

    /// The roles of a verified credential, and the text of the claims for its facts.
    pub(crate) fn apply(
        self: &Arc<Self>,
        origin: &Origin,
        claims: Object<'_>,
    ) -> Result<(Roles, String), Error> {
        let text = |text: Option<&Arc<str>>| {
            text.map_or(Value::Null, |text| Value::String(Arc::new(text.to_string())))
        };
        let auth = std::collections::HashMap::from([
            ("method".to_owned(), Value::String(Arc::new(origin.method.to_owned()))),
            ("issuer".to_owned(), text(origin.issuer.as_ref())),
            ("subject".to_owned(), text(origin.subject.as_ref())),
        ]);
        let input = Input { claims: claims.clone().into_value(), auth: auth.into(), requested_role: None };
        let facts = self.claims(&claims, &input)?;
        let roles = if self.role.uses("requested_role") {
            Roles::PerRequest(PerRequest {
                mapping: Arc::clone(self),
                claims: input.claims,
                auth: input.auth,
            })
        } else {
            Roles::Known(self.roles(&input)?)
        };
        Ok((roles, facts))
    }

    /// Never empty.
    fn roles(&self, input: &Input<'_>) -> Result<Vec<RoleName>, Error> {
        let refused = |why: String| {
            Error::RoleNotAllowed(format!("role expression {}: {why}", quoted(self.role.text())))
        };
        let value = self.role.evaluate(input).map_err(refused)?;
        let allowed = |value: &Value| match value {
            Value::String(name) => Ok(self.allowed.iter().find(|role| role.as_str() == name.as_str())),
            _ => Err(refused("the result is neither a text nor a list of texts".into())),
        };
        match &value {
            Value::List(values) => {
                let mut roles = Vec::new();
                for value in values.iter() {
                    // A token may well name roles that are not for here; but it must not be something else altogether.
                    roles.extend(allowed(value)?.filter(|role| !roles.contains(*role)).cloned());
                }
                if roles.is_empty() {
                    return Err(refused("none of the roles of the credential is in roles".into()));
                }
                Ok(roles)
            }
            Value::String(name) => match allowed(&value)? {
                Some(role) => Ok(vec![role.clone()]),
                None => Err(refused(format!("role {} is not in roles", quoted(name)))),
            },
            _ => allowed(&value).map(|_| Vec::new()),
        }
    }

    /// The text of the claims in the facts.
    fn claims(&self, claims: &Object<'_>, input: &Input<'_>) -> Result<String, Error> {
        if self.facts.is_empty() && self.keep.is_none() {
            return Ok(claims.text().to_owned());
        }
        let mut members: Vec<(String, String)> = claims
            .raw_members()
            .into_iter()
            .filter(|(name, _)| self.keep.as_ref().is_none_or(|keep| keep.contains(name)))
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        for (name, expression) in &self.facts {
            let refused = |why: String| {
                Error::Rejected(format!("fact expression {}: {why}", quoted(expression.text())))
            };
            let value = expression.evaluate(input).map_err(refused)?;
            let value = to_json(&value).ok_or_else(|| refused("the result is not a JSON value".into()))?;
            match members.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) => *old = value.to_string(),
                None => members.push((name.clone(), value.to_string())),
            }
        }
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| format!("{}:{value}", serde_json::Value::String(name)))
            .collect();
        let text = format!("{{{}}}", members.join(","));
        // What expressions made has to be within the limits too.
        json::object(&text, Limits::CLAIMS).map_err(|why| Error::Rejected(format!("facts: {why}")))?;
        Ok(text)
    }
}

/// A role expression that is evaluated for each request, with what it needs.
#[derive(Debug)]
pub(crate) struct PerRequest {
    mapping: Arc<Mapping>,
    claims: Value,
    auth: Value,
}

impl PerRequest {
    pub(crate) fn evaluate(&self, requested_role: Option<&str>) -> Result<Vec<RoleName>, Error> {
        self.mapping.roles(&Input { claims: self.claims.clone(), auth: self.auth.clone(), requested_role })
    }
}

/// `None` for what JSON does not have: bytes, functions, numbers that are not finite.
fn to_json(value: &Value) -> Option<serde_json::Value> {
    use serde_json::Value as Json;

    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => (*value).into(),
        Value::UInt(value) => (*value).into(),
        Value::Float(value) => Json::Number(serde_json::Number::from_f64(*value)?),
        Value::String(value) => Json::String(value.to_string()),
        Value::List(values) => Json::Array(values.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(map) => {
            let mut members: Vec<(String, Json)> = map
                .map
                .iter()
                .map(|(name, value)| Some((name.to_string(), to_json(value)?)))
                .collect::<Option<_>>()?;
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(members.into_iter().collect())
        }
        _ => return None,
    })
}
