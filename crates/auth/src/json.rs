//! JSON of credentials, read strictly: what two readers could understand differently, or what a `jsonb` cannot hold, is refused.
//!
//! The text is kept as it is, so that numbers reach the database with all their digits, and read once into values for the
//! expressions of the configuration.
//!
//! **Invariants**: what is accepted has no duplicate member, no NUL, no lone surrogate, no number outside `double precision`
//! or with an exponent that `numeric` refuses, and is within its limits of depth and number of values.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, KeyRef, Map};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub depth: usize,
    pub values: usize,
}

impl Limits {
    /// Claims of a token: far more than any real one, far less than what makes an expression over them slow.
    pub(crate) const CLAIMS: Self = Self { depth: 32, values: 4096 };
    /// The header of a token.
    pub(crate) const HEADER: Self = Self { depth: 8, values: 64 };
}

/// A JSON object: its text, and its members.
#[derive(Debug, Clone)]
pub(crate) struct Object<'a> {
    text: &'a str,
    members: Map,
}

impl<'a> Object<'a> {
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(&KeyRef::String(name))
    }

    /// The text of a member, or `None` where there is none or another type.
    pub(crate) fn string(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Map(self.members)
    }

    /// The members in their order, each with its own text.
    pub(crate) fn raw_members(&self) -> Result<Vec<(String, &'a str)>, String> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(members)
            }
        }

        serde_json::Deserializer::from_str(self.text).deserialize_map(Members).map_err(|error| plain(&error))
    }
}

/// Reads a text that must be one object, with nothing after it.
pub(crate) fn object(text: &str, limits: Limits) -> Result<Object<'_>, String> {
    let mut left = limits.values;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: limits.depth, left: &mut left }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| plain(&error))?;
    check_exponents(text)?;
    match value {
        Value::Map(members) => Ok(Object { text: text.trim_ascii(), members }),
        _ => Err("not a JSON object".into()),
    }
}

/// The kind of an error of the reader, without the input that it may quote.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix(OWN) {
        // An error of ours, with a position that the reader has appended.
        Some(own) => own.split(" at line").next().unwrap_or(own).to_owned(),
        None => format!("not well-formed JSON at byte {}", error.column()),
    }
}

const OWN: &str = "refused: ";

fn refused<E: serde::de::Error>(why: &str) -> E {
    E::custom(format_args!("{OWN}{why}"))
}

/// PostgreSQL's `numeric` refuses exponents far outside `double precision`; those inside are checked by the reader, except
/// very small ones, which it rounds to zero.
fn check_exponents(text: &str) -> Result<(), String> {
    const MOST: u32 = 308;

    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            // Outside of strings, after a digit: an exponent. (`true` and `false` end in an `e` without one.)
            b'e' | b'E' => {
                let digits = bytes
                    .clone()
                    .skip_while(|b| matches!(b, b'+' | b'-'))
                    .take_while(u8::is_ascii_digit)
                    .fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
                if digits > MOST {
                    return Err("a number has too large an exponent".into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads one value.
struct Strict<'a> {
    /// How many levels there may still be below.
    depth: usize,
    /// How many values there may still be, everywhere.
    left: &'a mut usize,
}

impl Strict<'_> {
    fn below<E: serde::de::Error>(&mut self) -> Result<Strict<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| refused("nested too deeply"))?;
        Ok(Strict { depth, left: self.left })
    }
}

fn text<E: serde::de::Error>(text: &str) -> Result<Arc<String>, E> {
    if text.contains('\0') { Err(refused("a text contains a NUL")) } else { Ok(Arc::new(text.to_owned())) }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| refused("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    /// Small ones are `int`, as in a literal of an expression: `claims.level == 3` must hold.
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.below()?)? {
            values.push(value);
        }
        Ok(Value::List(Arc::new(values)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut members = HashMap::new();
        while let Some(name) = map.next_key::<String>()? {
            match members.entry(Key::String(text(&name)?)) {
                Entry::Occupied(_) => return Err(refused("a member appears twice")),
                Entry::Vacant(entry) => entry.insert(map.next_value_seed(self.below()?)?),
            };
        }
        Ok(Value::Map(Map { map: Arc::new(members) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        object(text, Limits::CLAIMS).map(Object::into_value)
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (text, why) in [
            (r#"{"a":1,"a":1}"#, "a member appears twice"),
            (r#"{"a":1,"\u0061":2}"#, "a member appears twice"),
            (r#"{"a":{"b":1,"b":2}}"#, "a member appears twice"),
            (r#"{"a":"x\u0000y"}"#, "a text contains a NUL"),
            (r#"{"a\u0000":1}"#, "a text contains a NUL"),
            (r#"{"a":1e-20000}"#, "a number has too large an exponent"),
            (r#"{"a":"\"e999","b":0E-309}"#, "a number has too large an exponent"),
            ("[1]", "not a JSON object"),
            ("null", "not a JSON object"),
        ] {
            assert_eq!(read(text).unwrap_err(), why, "{text}");
        }
        for text in [
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00\ud800"}"#,
            r#"{"a":1e400}"#,
            r#"{"a":-1e400}"#,
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":1} {}"#,
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            "{'a':1}",
            "\u{feff}{}",
            "",
        ] {
            let why = read(text).unwrap_err();
            assert!(why.starts_with("not well-formed JSON"), "{text}: {why}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_limited() {
        let nested = |n: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert!(read(&nested(31)).is_ok());
        assert_eq!(read(&nested(32)).unwrap_err(), "nested too deeply");
        assert!(read(&nested(100_000)).is_err());
        let many = |n: usize| format!(r#"{{"a":[{}]}}"#, vec!["1"; n].join(","));
        assert!(read(&many(4094)).is_ok());
        assert_eq!(read(&many(4095)).unwrap_err(), "too many values");
    }

    #[test]
    fn a_long_number_keeps_its_text() {
        let text = r#" {"id":9007199254740993,"big":123456789012345678901234567890.5,"e":true} "#;
        let object = object(text, Limits::CLAIMS).unwrap();
        assert_eq!(object.text(), text.trim());
        assert_eq!(object.get("id"), Some(&Value::Int(9_007_199_254_740_993)));
        let members = object.raw_members().unwrap();
        assert_eq!(members[1], ("big".to_owned(), "123456789012345678901234567890.5"));
    }
}
