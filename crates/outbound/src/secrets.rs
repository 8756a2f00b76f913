//! The secrets of one request: opened when it is sent, and nowhere in what is told of it.

#![allow(clippy::result_large_err, reason = "a failure is made once, and then it is all there is")]

use std::collections::BTreeMap;
use std::path::Path;

use postern_durable::Failure;
use postern_durable::request::Request;
use postern_durable::secret::{Key, from_hex};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Bytes of the shortest secret that is looked for in answers: a shorter one is in too much by chance.
const LOOKED_FOR: usize = 6;

/// Names and values.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Opens those that a request refers to.
    pub fn open(
        request: &Request,
        sealed: &BTreeMap<String, String>,
        key_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut opened = BTreeMap::new();
        let mut key = None;
        for name in request.secrets() {
            let refused = |code: &str, why: &str, hint: &str| Failure {
                hint: Some(hint.to_owned()),
                ..Failure::new(code, format!("secret '{name}' {why}"))
            };
            let digits = sealed.get(name).ok_or_else(|| {
                refused(
                    "42704",
                    "does not exist",
                    "df.set_secret() sets it, as the role that the function runs as.",
                )
            })?;
            let key = if let Some(key) = &key {
                key
            } else {
                let read = key_file.and_then(|file| std::fs::read_to_string(file).ok());
                let read = read.and_then(|text| Key::parse(&text).ok()).ok_or_else(|| {
                    refused(
                        "55000",
                        "cannot be opened: the outbound worker has no key",
                        "secrets_key_file in [outbound] names a file with the key that the server has.",
                    )
                })?;
                key.insert(read)
            };
            let value =
                from_hex(digits).and_then(|sealed| key.open(name, &sealed).ok()).ok_or_else(|| {
                    refused(
                        "55000",
                        "cannot be opened with the key of the outbound worker",
                        "The server sealed it with another key: set it again, once both have the same.",
                    )
                })?;
            opened.insert(name.to_owned(), value);
        }
        Ok(Self(opened))
    }

    /// The value of one that the request refers to.
    pub fn value(&self, name: &str) -> Result<String, Failure> {
        // All that it refers to have been opened.
        self.0
            .get(name)
            .cloned()
            .ok_or_else(|| Failure::new("XX000", format!("secret '{name}' is not there")))
    }

    /// A text without the values.
    pub fn hide(&self, text: &str) -> String {
        let looked_for = self.0.iter().filter(|(_, value)| value.len() >= LOOKED_FOR);
        looked_for
            .fold(text.to_owned(), |text, (name, value)| text.replace(value, &format!("{{secret:{name}}}")))
    }

    /// A result without the values: what was sent may come back.
    pub fn hidden_in(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.hide(&text)),
            Value::Object(map) => {
                map.into_iter().map(|(key, value)| (self.hide(&key), self.hidden_in(value))).collect()
            }
            Value::Array(values) => values.into_iter().map(|value| self.hidden_in(value)).collect(),
            other => other,
        }
    }

    /// Takes the headers away that have a secret in them.
    pub fn strip(headers: &mut HeaderMap) {
        let marked: Vec<_> =
            headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone()).collect();
        for name in marked {
            headers.remove(name);
        }
    }
}
