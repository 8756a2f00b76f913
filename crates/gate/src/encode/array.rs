//! PostgreSQL's array literals as JSON arrays.
//!
//! `{1,NULL,"a \"b\""}`, nested, with bounds in front if they are not 1 (`[0:1]={…}`), which are dropped.
//! <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>

use super::types::{Element, push_element};

/// PostgreSQL's own limit of dimensions is 6.
const MAX_DEPTH: usize = 6;

/// Appends `literal` as a JSON array. If it is none, nothing is appended, and the answer is `false`.
pub(crate) fn push(out: &mut Vec<u8>, literal: &str, element: Element, delimiter: u8) -> bool {
    let start = out.len();
    let done = write(out, literal, element, delimiter).is_some();
    if !done {
        out.truncate(start);
    }
    done
}

fn write(out: &mut Vec<u8>, literal: &str, element: Element, delimiter: u8) -> Option<()> {
    let body = match literal.strip_prefix('[') {
        Some(bounds) => bounds.split_once('=')?.1,
        None => literal,
    };
    let bytes = body.as_bytes();
    let mut depth = 0;
    let mut at = 0;
    // What may come next: a value, or (after `{`) nothing; else a delimiter or the end.
    let mut value_may_follow = true;
    let mut scratch = String::new();
    while at < bytes.len() {
        match bytes[at] {
            b'{' if value_may_follow && depth < MAX_DEPTH && (at == 0 || depth > 0) => {
                out.push(b'[');
                depth += 1;
                at += 1;
            }
            b'}' if depth > 0 && (!value_may_follow || bytes[at - 1] == b'{') => {
                out.push(b']');
                depth -= 1;
                at += 1;
                value_may_follow = false;
                if depth == 0 {
                    return (at == bytes.len()).then_some(());
                }
            }
            byte if byte == delimiter && depth > 0 && !value_may_follow => {
                out.push(b',');
                at += 1;
                value_may_follow = true;
            }
            b'"' if depth > 0 && value_may_follow => {
                scratch.clear();
                at = unquote(body, at + 1, &mut scratch)?;
                push_element(out, element, &scratch);
                value_may_follow = false;
            }
            _ if depth > 0 && value_may_follow => {
                let rest = &bytes[at..];
                let end = at + rest.iter().position(|&byte| byte == delimiter || byte == b'}')?;
                match body.get(at..end)? {
                    "" => return None,
                    "NULL" => out.extend_from_slice(b"null"),
                    value => push_element(out, element, value),
                }
                at = end;
                value_may_follow = false;
            }
            _ => return None,
        }
    }
    None
}

/// Reads a quoted element that begins at `at`, and gives the place after its closing quote.
fn unquote(body: &str, mut at: usize, value: &mut String) -> Option<usize> {
    loop {
        let rest = body.get(at..)?;
        let special = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
        value.push_str(&rest[..special]);
        if rest.as_bytes()[special] == b'"' {
            return Some(at + special + 1);
        }
        let escaped = rest[special + 1..].chars().next()?;
        value.push(escaped);
        at += special + 1 + escaped.len_utf8();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn array(literal: &str, element: Element) -> Option<String> {
        let mut out = b"before".to_vec();
        let done = push(&mut out, literal, element, b',');
        let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
        assert!(done || text.is_empty(), "a literal that is refused leaves nothing behind");
        done.then_some(text)
    }

    #[test]
    fn arrays_become_json() {
        let texts = [
            r"{}",
            r"{1,2,NULL}",
            r#"{"a,b","c\"d\\e","NULL","",null}"#,
            r"{{1,2},{3,4}}",
            r"[0:1]={1,2}",
            r"{é,😀}",
        ]
        .map(|literal| array(literal, Element::Text).unwrap());
        insta::assert_snapshot!(texts.join("\n"), @r#"
        []
        ["1","2",null]
        ["a,b","c\"d\\e","NULL","","null"]
        [["1","2"],["3","4"]]
        ["1","2"]
        ["é","😀"]
        "#);
        assert_eq!(array("{1,NaN,NULL}", Element::Number).unwrap(), r#"[1,"NaN",null]"#);
        assert_eq!(array("{t,f}", Element::Bool).unwrap(), "[true,false]");
        assert_eq!(array(r#"{"{\"a\": [1, 2]}",1}"#, Element::Json).unwrap(), r#"[{"a": [1, 2]},1]"#);
    }

    #[test]
    fn a_delimiter_other_than_the_comma() {
        let mut out = Vec::new();
        assert!(push(&mut out, "{(1,1),(0,0);(2,2),(1,1)}", Element::Text, b';'));
        assert_eq!(out, br#"["(1,1),(0,0)","(2,2),(1,1)"]"#);
    }

    #[test]
    fn what_is_no_array_is_refused_whole() {
        for text in [
            "", "1", "{", "}", "{1", "{1,", "{1,}", "{,1}", "{1}}", "{1}2", "{\"a", "{\"a\"b}", "{1 {2}}",
            "[1:2]", "{1}{2}",
        ] {
            assert_eq!(array(text, Element::Text), None, "{text}");
        }
        assert_eq!(array(&"{".repeat(100_000), Element::Text), None);
    }

    fn literal(value: &Value) -> String {
        match value {
            Value::Array(items) => format!("{{{}}}", items.iter().map(literal).collect::<Vec<_>>().join(",")),
            Value::Null => "NULL".to_owned(),
            Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            _ => unreachable!("the strategy makes no other"),
        }
    }

    proptest! {
        #[test]
        fn any_array_of_texts_comes_back_equal(items in prop::collection::vec(prop::option::of(any::<String>()), 0..8)) {
            let value = Value::from(items.into_iter().map(Value::from).collect::<Vec<_>>());
            let nested = Value::from(vec![value.clone(), value]);
            let json = array(&literal(&nested), Element::Text).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), nested);
        }

        #[test]
        fn no_text_makes_broken_json(text in "[{}\\[\\]=,;\"\\\\a1N ]{0,20}") {
            if let Some(json) = array(&text, Element::Text) {
                prop_assert!(serde_json::from_str::<Value>(&json).is_ok(), "{} from {}", json, text);
            }
        }
    }
}
