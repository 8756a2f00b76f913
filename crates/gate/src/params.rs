//! Parameters: from JSON to PostgreSQL's text format.
//!
//! | JSON | text |
//! |---|---|
//! | null | NULL |
//! | string | itself |
//! | number, boolean, object | its JSON text, exactly as sent (no number loses a digit) |
//! | array | an array literal: strings quoted, arrays nested, objects as quoted JSON, null as NULL |
//!
//! **Invariants**: no parameter holds a NUL; recursion is bounded before it begins.

use std::borrow::Cow;

use bytes::Bytes;
use postern_core::Code;
use serde_json::value::RawValue;

/// The protocol counts parameters in 16 bits.
pub(crate) const MAX_PARAMS: usize = 65_535;

/// Nesting of one parameter. JSON of that depth is found in no table; PostgreSQL's arrays end at 6.
const MAX_DEPTH: usize = 100;

/// Converts the parameters of one statement.
pub(crate) fn convert(params: &[&RawValue]) -> Result<Vec<Option<Bytes>>, Code> {
    if params.len() > MAX_PARAMS {
        return Err(Code::TooManyParameters);
    }
    params.iter().map(|param| convert_one(param.get())).collect()
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
        Some(b'[') => {
            check_depth(json)?;
            let mut literal = String::with_capacity(json.len());
            push_array(&mut literal, json)?;
            return Ok(Some(literal.into()));
        }
        Some(b'{') => {
            check_depth(json)?;
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

fn push_array(literal: &mut String, json: &str) -> Result<(), Code> {
    let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| Code::MalformedBody)?;
    literal.push('{');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            literal.push(',');
        }
        let item = item.get();
        match item.as_bytes().first() {
            Some(b'n') => literal.push_str("NULL"),
            Some(b'[') => push_array(literal, item)?,
            Some(b'"') => push_quoted(literal, &string(item)?),
            Some(b'{') => push_quoted(literal, item),
            _ => literal.push_str(item),
        }
    }
    literal.push('}');
    Ok(())
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

/// Refuses JSON that is nested too deeply, without recursion. The text is valid JSON already.
fn check_depth(json: &str) -> Result<(), Code> {
    let mut depth = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Code::TooDeep);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(json: &str) -> Result<Vec<Option<String>>, Code> {
        let raw: Vec<&RawValue> = serde_json::from_str(json).unwrap();
        let bytes = convert(&raw)?;
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
        assert!(one(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(one(&nested(MAX_DEPTH + 1)), Err(Code::TooDeep));
        assert_eq!(one(&nested(100_000)), Err(Code::TooDeep));
        assert!(one(&format!("[\"{}\"]", "[\\\"".repeat(1000))).is_ok(), "brackets in strings do not count");
    }

    #[test]
    fn parameters_are_counted() {
        let many = |count| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(params(&many(MAX_PARAMS)).map(|params| params.len()), Ok(MAX_PARAMS));
        assert_eq!(params(&many(MAX_PARAMS + 1)), Err(Code::TooManyParameters));
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
