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
        claims: &Object<'_>,
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
        let facts = self.claims(claims, &input)?;
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
            .map_err(Error::Rejected)?
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapping(role: &str) -> Arc<Mapping> {
        let list = vec![RoleName::try_from("app_user").unwrap(), RoleName::try_from("é").unwrap()];
        let rules =
            Rules { roles: list, role: role.into(), facts: std::collections::BTreeMap::new(), claims: None };
        Arc::new(Mapping::compile("jwt[0]", &rules).unwrap())
    }

    fn origin() -> Origin {
        Origin { method: "jwt", issuer: Some("i".into()), subject: None, key_id: None }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value as Json;

        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i64>().prop_map(Json::from),
            // Halves: an expression works with numbers of double precision, read to within the last digit.
            any::<i32>().prop_map(|n| Json::from(f64::from(n) / 2.0)),
            any::<String>().prop_map(Json::String),
            Just(Json::from("app_user")),
            Just(Json::from("APP_USER")),
            Just(Json::from("e\u{301}")),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_claim_is_only_roles_of_the_list_come_out(role in json_value()) {
            let text = serde_json::json!({"role": role, "x": 1}).to_string();
            if let Ok(claims) = json::object(&text, Limits::CLAIMS) {
                match mapping("claims.role").apply(&origin(), &claims) {
                    Ok((Roles::Known(roles), facts)) => {
                        prop_assert!(!roles.is_empty());
                        let named = |name: &str| role == name || role.as_array().is_some_and(|all| all.iter().any(|r| r == name));
                        prop_assert!(roles.iter().all(|r| ["app_user", "é"].contains(&r.as_str()) && named(r.as_str())));
                        prop_assert_eq!(facts, text, "claims become facts as they are");
                    }
                    Ok((Roles::PerRequest(_), _)) => prop_assert!(false, "the expression does not ask for that"),
                    Err(error) => prop_assert!(matches!(error, Error::RoleNotAllowed(_)), "{:?}", error),
                }
            }
        }

        #[test]
        fn added_facts_are_json_within_the_limits(value in json_value(), name in any::<String>()) {
            let text = serde_json::json!({"role": "é", "value": value}).to_string();
            let list = vec![RoleName::try_from("é").unwrap()];
            let facts = [(name.clone(), "claims.value".to_owned())].into();
            let rules = Rules { roles: list, role: "claims.role".into(), facts, claims: Some(vec!["role".into()]) };
            let mapping = Arc::new(Mapping::compile("jwt[0]", &rules).unwrap());
            if let Ok(claims) = json::object(&text, Limits::CLAIMS)
                && let Ok((_, facts)) = mapping.apply(&origin(), &claims)
            {
                let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
                prop_assert_eq!(&facts[&name], &value);
                prop_assert_eq!(facts.as_object().unwrap().len(), if name == "role" { 1 } else { 2 });
            }
        }
    }

    #[test]
    fn a_fact_with_a_name_that_jsonb_cannot_hold_is_refused() {
        let facts = [("a\0".to_owned(), "1".to_owned())].into();
        let list = vec![RoleName::try_from("é").unwrap()];
        let rules = Rules { roles: list, role: "'é'".into(), facts, claims: None };
        let mapping = Arc::new(Mapping::compile("jwt[0]", &rules).unwrap());
        let claims = json::object("{}", Limits::CLAIMS).unwrap();
        assert!(matches!(mapping.apply(&origin(), &claims), Err(Error::Rejected(_))));
    }

    #[test]
    fn what_json_does_not_have_is_no_fact() {
        for expression in ["b'bytes'", "1.0 / 0.0", "claims.missing"] {
            let facts = [("x".to_owned(), expression.to_owned())].into();
            let list = vec![RoleName::try_from("é").unwrap()];
            let rules = Rules { roles: list, role: "'é'".into(), facts, claims: None };
            let mapping = Arc::new(Mapping::compile("jwt[0]", &rules).unwrap());
            let claims = json::object("{}", Limits::CLAIMS).unwrap();
            assert!(matches!(mapping.apply(&origin(), &claims), Err(Error::Rejected(_))), "{expression}");
        }
    }
}
