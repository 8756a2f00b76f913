//! What came back, as the result of a step.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};

/// Media types, beside `text/*` and their families, whose bodies are text.
const TEXTS: [&str; 10] = [
    "application/json",
    "application/xml",
    "application/javascript",
    "application/ecmascript",
    "application/x-www-form-urlencoded",
    "application/graphql",
    "application/yaml",
    "application/x-yaml",
    "application/x-ndjson",
    "application/xhtml+xml",
];

/// The result of a step: `{"status","body","encoding","headers","ok","duration_ms"}`.
pub fn result(status: u16, headers: &HeaderMap, body: &[u8], took: Duration) -> Value {
    let (body, encoding) = match text(headers, body) {
        Some(text) => (text, "text"),
        None => (STANDARD.encode(body), "base64"),
    };
    let mut shown = Map::new();
    for name in headers.keys() {
        // What is not text cannot be in JSON.
        let values: Vec<&str> =
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            shown.insert(name.as_str().to_owned(), values.join(", ").into());
        }
    }
    json!({
        "status": status,
        "body": body,
        "encoding": encoding,
        "headers": shown,
        "ok": (200..300).contains(&status),
        "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The body as text, if it is that by its media type or by what it is. A text with NUL is none: PostgreSQL holds no such.
fn text(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let said = essence.starts_with("text/")
        || ["+json", "+xml", "+yaml"].iter().any(|family| essence.ends_with(family))
        || TEXTS.contains(&essence.as_str());
    let text = if said {
        let charset = parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .and_then(|(_, label)| Encoding::for_label(label.trim().trim_matches('"').as_bytes()));
        charset.unwrap_or(encoding_rs::UTF_8).decode(body).0.into_owned()
    } else {
        std::str::from_utf8(body).ok()?.to_owned()
    };
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(media_type: &str, bytes: &[u8]) -> (String, String) {
        let mut headers = HeaderMap::new();
        if !media_type.is_empty() {
            headers.insert(CONTENT_TYPE, media_type.parse().unwrap());
        }
        let result = result(200, &headers, bytes, Duration::ZERO);
        let text = |key: &str| result[key].as_str().unwrap().to_owned();
        (text("encoding"), text("body"))
    }

    #[test]
    fn a_body_is_text_when_its_type_or_its_bytes_say_so() {
        let own = |encoding: &str, body: &str| (encoding.to_owned(), body.to_owned());
        assert_eq!(body("text/plain; charset=iso-8859-1", b"\xe9"), own("text", "é"));
        assert_eq!(body("application/problem+json", b"{}"), own("text", "{}"));
        assert_eq!(body("image/png", b"plain"), own("text", "plain"));
        assert_eq!(body("", b"\xff\x00"), own("base64", "/wA="));
        assert_eq!(body("text/plain", b"a\x00b"), own("base64", "YQBi"));
    }

    #[test]
    fn a_header_that_came_twice_is_one_value() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", "1".parse().unwrap());
        headers.append("x-a", "2".parse().unwrap());
        headers.append("x-b", reqwest::header::HeaderValue::from_bytes(b"\xff").unwrap());
        let result = result(302, &headers, b"", Duration::from_millis(7));
        assert_eq!(result["headers"], json!({"x-a": "1, 2"}));
        assert_eq!((&result["ok"], &result["duration_ms"]), (&json!(false), &json!(7)));
    }
}
