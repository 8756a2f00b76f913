//! Parameters: from JSON to PostgreSQL's text format.
//!
//! | JSON | text |
//! |---|---|
//! | null | NULL |
//! | string | itself |
//! | number, boolean, object | its JSON text, exactly as sent (no number loses a digit) |
//! | array | an array literal: strings quoted, arrays nested, objects as quoted JSON, null as NULL |
//!
//! **Invariants**: no parameter holds a NUL. Each is read once, however it is nested, and without recursion; lists are counted
//! while they are read.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use postern_core::Code;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The protocol counts parameters in 16 bits.
pub(crate) const MAX_PARAMS: usize = 65_535;

/// Nesting of one parameter. JSON of that depth is found in no table.
const MAX_DEPTH: usize = 100;

/// Dimensions of an array in PostgreSQL.
const MAX_DIMENSIONS: usize = 6;

/// A JSON list of which no more than `MAX` items are kept.
pub(crate) struct AtMost<'a, const MAX: usize> {
    items: Vec<&'a RawValue>,
    exceeded: bool,
}

/// The parameters of one statement.
pub(crate) type Params<'a> = AtMost<'a, MAX_PARAMS>;

impl<'a, const MAX: usize> AtMost<'a, MAX> {
    /// The items, unless there are too many.
    pub(crate) fn items(&self) -> Option<&[&'a RawValue]> {
        (!self.exceeded).then_some(&*self.items)
    }
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for AtMost<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Items<MAX> {
            type Value = AtMost<'de, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while items.len() < MAX {
                    match seq.next_element()? {
                        Some(item) => items.push(item),
                        None => return Ok(AtMost { items, exceeded: false }),
                    }
                }
                let mut exceeded = false;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    exceeded = true;
                }
                Ok(AtMost { items, exceeded })
            }
        }

        deserializer.deserialize_seq(Items::<MAX>)
    }
}

/// Converts the parameters of one statement, if it has any.
pub(crate) fn convert(params: Option<&Params<'_>>) -> Result<Vec<Option<Bytes>>, Code> {
    let Some(params) = params else { return Ok(Vec::new()) };
    let items = params.items().ok_or(Code::TooManyParameters)?;
    items.iter().map(|param| convert_one(param.get())).collect()
}

/// The text of a JSON string that is to be SQL.
pub(crate) fn text(json: &RawValue) -> Result<Cow<'_, str>, Code> {
    let json = json.get();
    if json.starts_with('"') { string(json) } else { Err(Code::MalformedBody) }
}

fn convert_one(json: &str) -> Result<Option<Bytes>, Code> {
    let text = match json.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'"') => string(json)?,
        Some(b'[') => return array(json).map(|literal| Some(literal.into())),
        Some(b'{') => {
            split_nested(json)?;
            Cow::Borrowed(json)
        }
        _ => Cow::Borrowed(json),
    };
    Ok(Some(Bytes::copy_from_slice(text.as_bytes())))
}

/// The text of a JSON string.
fn string(json: &str) -> Result<Cow<'_, str>, Code> {
    let body = json.get(1..json.len() - 1).ok_or(Code::MalformedBody)?;
    if !body.contains('\\') {
        return Ok(Cow::Borrowed(body));
    }
    // Fails for a lone surrogate, which no UTF-8 text can hold.
    let text: String = serde_json::from_str(json).map_err(|_| Code::MalformedBody)?;
    if text.contains('\0') { Err(Code::Nul) } else { Ok(Cow::Owned(text)) }
}

/// The array literal of a JSON array.
fn array(json: &str) -> Result<String, Code> {
    let mut literal = String::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some(byte) = rest.bytes().next() {
        let item;
        (item, rest) = match byte {
            b'"' => split(rest, string_length(rest.as_bytes()))?,
            b'{' => split_nested(rest)?,
            b'[' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' => split(rest, 1)?,
            // A number or a word: to the comma, bracket or space after it.
            _ => split(rest, rest.find([',', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len()))?,
        };
        match byte {
            b'[' => {
                depth += 1;
                if depth > MAX_DIMENSIONS {
                    return Err(Code::TooDeep);
                }
                literal.push('{');
            }
            b']' => {
                depth = depth.saturating_sub(1);
                literal.push('}');
            }
            b'"' => push_quoted(&mut literal, &string(item)?),
            b'{' => push_quoted(&mut literal, item),
            b'n' => literal.push_str("NULL"),
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => literal.push_str(item),
        }
    }
    Ok(literal)
}

fn split(json: &str, length: usize) -> Result<(&str, &str), Code> {
    json.split_at_checked(length).ok_or(Code::MalformedBody)
}

fn push_quoted(literal: &mut String, text: &str) {
    literal.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            Some(plain) => {
                literal.push_str(plain);
                literal.push('\\');
                literal.push_str(&part[plain.len()..]);
            }
            None => literal.push_str(part),
        }
    }
    literal.push('"');
}

/// Splits off the object or array at the start, unless it is nested too deeply. The text is valid JSON already.
fn split_nested(json: &str) -> Result<(&str, &str), Code> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Code::TooDeep);
                }
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return split(json, at + 1);
                }
            }
            b'"' => {
                at += string_length(&bytes[at..]);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Err(Code::MalformedBody)
}

/// The length of the JSON string at the start, quotes included.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(json: &str) -> Result<Vec<Option<String>>, Code> {
        let raw: Params<'_> = serde_json::from_str(json).unwrap();
        let bytes = convert(Some(&raw))?;
        Ok(bytes
            .into_iter()
            .map(|param| param.map(|bytes| String::from_utf8(bytes.into()).unwrap()))
            .collect())
    }

    fn one(json: &str) -> Result<Option<String>, Code> {
        params(&format!("[{json}]")).map(|mut params| params.remove(0))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what a result is compared with")]
    fn text(text: &str) -> Result<Option<String>, Code> {
        Ok(Some(text.to_owned()))
    }

    #[test]
    fn each_kind_of_json_has_its_text() {
        assert_eq!(one("null"), Ok(None));
        assert_eq!(one("\"it's \\\"\\u00e9\\ud83d\\ude00\""), text("it's \"é😀"));
        assert_eq!(one("\"\""), text(""));
        assert_eq!(one("12345678901234567890.50"), text("12345678901234567890.50"));
        assert_eq!(one("1e400"), text("1e400"));
        assert_eq!(one("true"), text("true"));
        assert_eq!(one(r#"{"a": [1, "x\ny"]}"#), text(r#"{"a": [1, "x\ny"]}"#));
    }

    #[test]
    fn arrays_become_literals() {
        assert_eq!(one("[]"), text("{}"));
        assert_eq!(one(r#"[1, "b\"\\", null, true]"#), text(r#"{1,"b\"\\",NULL,true}"#));
        assert_eq!(one(r#"[["1","2"],["3",null]]"#), text(r#"{{"1","2"},{"3",NULL}}"#));
        assert_eq!(one(r#"[{"a":"b"}]"#), text(r#"{"{\"a\":\"b\"}"}"#));
        assert_eq!(one("[ [1.50 ,\ttrue\n],\r[ null,-1e3 ] ]"), text("{{1.50,true},{NULL,-1e3}}"));
        assert_eq!(one(r#"[{"a]}":["\\\"",{}]}, "\\"]"#), text(r#"{"{\"a]}\":[\"\\\\\\\"\",{}]}","\\"}"#));
        assert_eq!(one(r#"["NULL", "", "{}", "a,b"]"#), text(r#"{"NULL","","{}","a,b"}"#));
    }

    #[test]
    fn what_postgresql_cannot_hold_is_refused_here() {
        assert_eq!(one(r#""a\u0000b""#), Err(Code::Nul));
        assert_eq!(one(r#"["a\u0000b"]"#), Err(Code::Nul));
        assert_eq!(one(r#""\ud800""#), Err(Code::MalformedBody));
        assert_eq!(one(r#"["\ud800"]"#), Err(Code::MalformedBody));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let object = |depth| format!("{{\"a\":{}}}", nested(depth - 1));
        assert!(one(&nested(MAX_DIMENSIONS)).is_ok());
        assert_eq!(one(&nested(MAX_DIMENSIONS + 1)), Err(Code::TooDeep));
        assert!(one(&object(MAX_DEPTH)).is_ok());
        assert_eq!(one(&object(MAX_DEPTH + 1)), Err(Code::TooDeep));
        assert_eq!(one(&format!("[{}]", object(MAX_DEPTH + 1))), Err(Code::TooDeep));
        assert_eq!(one(&nested(100_000)), Err(Code::TooDeep));
        assert!(one(&format!("[\"{}\"]", "[\\\"".repeat(1000))).is_ok(), "brackets in strings do not count");
    }

    #[test]
    fn parameters_are_counted() {
        let many = |count| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(params(&many(MAX_PARAMS)).map(|params| params.len()), Ok(MAX_PARAMS));
        assert_eq!(params(&many(MAX_PARAMS + 1)), Err(Code::TooManyParameters));
        let twice = many(MAX_PARAMS * 2);
        let kept: Params<'_> = serde_json::from_str(&twice).unwrap();
        assert_eq!(kept.items.len(), MAX_PARAMS, "what is too much is not kept");
    }

    proptest! {
        #[test]
        fn any_string_is_passed_on_as_it_is(value in any::<String>()) {
            let json = serde_json::to_string(&value).unwrap();
            let expected = if value.contains('\0') { Err(Code::Nul) } else { Ok(Some(value)) };
            prop_assert_eq!(one(&json), expected);
        }

        #[test]
        fn any_array_of_strings_can_be_read_back(items in prop::collection::vec(prop::option::of("[^\\x00]*"), 0..6)) {
            let literal = one(&serde_json::to_string(&items).unwrap()).unwrap().unwrap();
            let mut json = Vec::new();
            prop_assert!(crate::encode::array::push(&mut json, &literal, crate::encode::types::Element::Text, b','));
            prop_assert_eq!(serde_json::from_slice::<Vec<Option<String>>>(&json).unwrap(), items);
        }
    }
}
