//! How values, names and types are spelled in SQL.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::Error;
use crate::value::{self, Column, Columns};

/// A JSON value as text: a string without its quotes.
pub(super) fn plain(json: &str) -> String {
    value::as_string(json).unwrap_or_else(|| json.to_owned())
}

/// What an untyped JSON value is in an expression.
pub(super) fn bare(json: &str) -> Result<String, Error> {
    Ok(match json.as_bytes().first() {
        // A sign must not meet another one: two are a comment.
        Some(b'-') => format!("({json})"),
        Some(b'0'..=b'9' | b't' | b'f' | b'n') => json.to_owned(),
        _ => {
            let text = plain(json);
            if text.contains('\0') {
                return Err(Error::Nul);
            }
            quoted(&text)
        }
    })
}

/// A string literal that means the same whatever `standard_conforming_strings` is.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn in_catalog(kind: &str) -> &str {
    kind.strip_prefix("pg_catalog.").unwrap_or(kind)
}

pub(super) fn is_json(kind: &str) -> bool {
    matches!(in_catalog(kind), "json" | "jsonb")
}

pub(super) fn is_character(kind: &str) -> bool {
    let kind = in_catalog(kind);
    let base = kind.split_once('(').map_or(kind, |(base, _)| base);
    !kind.ends_with(']')
        && matches!(
            base.trim(),
            "text" | "varchar" | "character varying" | "character" | "bpchar" | "name" | "unknown"
        )
}

/// Columns for rows of which only the JSON is known: the types that literals of these values would have.
pub(super) fn guess(rows: &[&RawValue]) -> Columns {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Guess {
        Nothing,
        Boolean,
        Int4,
        Int8,
        Numeric,
        Text,
        Json,
    }
    let mut order: Vec<String> = Vec::new();
    let mut guesses: BTreeMap<String, Guess> = BTreeMap::new();
    for fields in rows.iter().filter_map(|row| value::fields(row.get())) {
        for (name, json) in fields.iter() {
            let this = match json.as_bytes().first() {
                Some(b'"') => Guess::Text,
                Some(b'[' | b'{') => Guess::Json,
                Some(b't' | b'f') => Guess::Boolean,
                Some(b'n') | None => Guess::Nothing,
                Some(_) if json.parse::<i32>().is_ok() => Guess::Int4,
                Some(_) if json.parse::<i64>().is_ok() => Guess::Int8,
                Some(_) => Guess::Numeric,
            };
            match guesses.get_mut(name) {
                None => {
                    order.push(name.to_owned());
                    guesses.insert(name.to_owned(), this);
                }
                Some(guess) => {
                    *guess = match (*guess, this) {
                        (a, b) if a == b => a,
                        (Guess::Nothing, other) | (other, Guess::Nothing) => other,
                        (Guess::Int4, Guess::Int8) | (Guess::Int8, Guess::Int4) => Guess::Int8,
                        (Guess::Numeric, Guess::Int4 | Guess::Int8)
                        | (Guess::Int4 | Guess::Int8, Guess::Numeric) => Guess::Numeric,
                        _ => Guess::Text,
                    };
                }
            }
        }
    }
    let column = |name: String| {
        let type_name = match guesses.get(&name) {
            Some(Guess::Boolean) => "pg_catalog.bool",
            Some(Guess::Int4) => "pg_catalog.int4",
            Some(Guess::Int8) => "pg_catalog.int8",
            Some(Guess::Numeric) => "pg_catalog.numeric",
            Some(Guess::Json) => "pg_catalog.jsonb",
            Some(Guess::Text | Guess::Nothing) | None => "pg_catalog.text",
        };
        Column { name, type_name: type_name.into() }
    };
    Columns(order.into_iter().map(column).collect())
}
