//! Finding a value in the text of a JSON object without reading the rest of it into memory.
//!
//! Entering is on the way of every request, and most of what a request's facts hold nobody asks for. So facts stay the text
//! that they came as; the server's own `jsonb` of them is made when something asks for more than is found here.
//!
//! **Invariant.** What is found is what the `jsonb` of the same text would give: of members with one name the last counts, and
//! a name is compared after its escapes are undone. Where a value's text could differ from what `jsonb` writes, nothing is
//! said ([`Value::Other`]).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a text is no JSON object.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is JSON, but no object.
    NotObject,
    /// It is not JSON; where it stops being that.
    NotJson(String),
}

/// The text of the member `name` of an object; the whole text is checked on the way.
pub fn member<'a>(object: &'a str, name: &str) -> Result<Option<&'a str>, Wrong> {
    let mut reader = serde_json::Deserializer::from_str(object);
    reader
        .deserialize_map(Member(name))
        .and_then(|found| reader.end().map(|()| found))
        .map(|found| found.map(RawValue::get))
        .map_err(|error| if error.is_data() { Wrong::NotObject } else { Wrong::NotJson(error.to_string()) })
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing, or JSON null.
    Nothing,
    /// A string without escapes, a whole number, true or false: its text, as `jsonb` gives it.
    Text(&'a str),
    /// Something that `jsonb` may write otherwise than it stands here.
    Other,
}

/// The value at `path` in an object that was checked.
pub fn at<'a>(object: &'a str, path: &[&str]) -> Value<'a> {
    let mut text = object;
    for step in path {
        // An array has members too, by number.
        if !text.starts_with('{') {
            return if text.starts_with('[') { Value::Other } else { Value::Nothing };
        }
        match member(text, step) {
            Ok(Some(found)) => text = found,
            Ok(None) => return Value::Nothing,
            Err(_) => return Value::Other,
        }
    }
    plain(text)
}

fn plain(text: &str) -> Value<'_> {
    match text.as_bytes() {
        b"null" => Value::Nothing,
        b"true" | b"false" => Value::Text(text),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Value::Text(&text[1..text.len() - 1]),
        digits if digits.iter().all(u8::is_ascii_digit) => Value::Text(text),
        _ => Value::Other,
    }
}

struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(same) = map.next_key_seed(Same(self.0))? {
            let value = map.next_value()?;
            if same {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

/// Whether a name is this one.
struct Same<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Same<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Same<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_members_with_one_name_the_last_counts_however_it_is_written() {
        assert_eq!(member(r#"{"a":1,"b":2,"\u0061":[3]}"#, "a"), Ok(Some("[3]")));
        assert_eq!(member(r#" { "a" : { "b" : 1 } } "#, "a"), Ok(Some(r#"{ "b" : 1 }"#)));
        assert_eq!(member("{}", "a"), Ok(None));
    }

    #[test]
    fn the_whole_text_is_checked() {
        for text in ["[]", "1", "null", "\"a\""] {
            assert_eq!(member(text, "a"), Err(Wrong::NotObject), "{text}");
        }
        for text in
            ["", "{", "{\"a\":1}}", "{\"a\":1} x", "{\"a\":01}", "{\"a\":[1,}", "{a:1}", "{\"b\":\"\n\"}"]
        {
            assert!(matches!(member(text, "a"), Err(Wrong::NotJson(_))), "{text}");
        }
    }

    #[test]
    fn only_what_jsonb_writes_the_same_is_said() {
        let object =
            r#"{"s":"é","n":42,"t":true,"z":null,"e":"a\nb","x":1.50,"m":-0,"o":{"p":{"q":"r"}},"l":["a"]}"#;
        let at = |path: &str| at(object, &path.split('.').collect::<Vec<_>>());
        assert_eq!(at("s"), Value::Text("é"));
        assert_eq!(at("n"), Value::Text("42"));
        assert_eq!(at("t"), Value::Text("true"));
        assert_eq!(at("o.p.q"), Value::Text("r"));
        for nothing in ["z", "nothing", "s.x", "o.p.q.r", "z.a"] {
            assert_eq!(at(nothing), Value::Nothing, "{nothing}");
        }
        for other in ["e", "x", "m", "o", "l", "l.0"] {
            assert_eq!(at(other), Value::Other, "{other}");
        }
    }
}
