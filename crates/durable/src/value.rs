//! Results: what they look like, what a condition makes of them, and how one looks into them.
//!
//! A result is JSON *text*: the order of columns and every digit of a number count, and jsonb keeps neither. Nothing
//! here builds a tree of values; a result is cut into slices of its text, so nesting costs no stack either.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::kind;
use crate::tree::quote;

/// A column of a row set: what JSON does not say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its key in each row; see [`column_names`].
    pub name: String,
    /// Its type as SQL, best with its schema: `pg_catalog.int4`, `pg_catalog."numeric"(10,2)`, `public.mood[]`.
    #[serde(rename = "type", deserialize_with = "of_any_length")]
    pub type_name: String,
}

/// A type's name as it is kept. Before 0.2.0 two types were written by the names under which they have a length of one.
fn of_any_length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(match name.as_str() {
        "character" => "pg_catalog.bpchar".into(),
        "character[]" => "pg_catalog.bpchar[]".into(),
        "bit" => "pg_catalog.\"bit\"".into(),
        "bit[]" => "pg_catalog.\"bit\"[]".into(),
        _ => name,
    })
}

/// The columns of a row set, in order; kept beside the result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(pub Vec<Column>);

impl Columns {
    /// The type of a column.
    pub fn type_of(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|column| column.name == name).map(|column| column.type_name.as_str())
    }
}

/// A JSON object as slices, in order, keys decoded.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        // Of two equal keys the last wins, as in jsonb.
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }

    pub(crate) fn first(&self) -> Option<(&str, &'a str)> {
        self.0.first().map(|(name, value)| (name.as_str(), value.get()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Reader).map(Fields)
    }
}

/// What a result is, for whoever looks into it.
#[derive(Debug, Clone)]
pub(crate) enum Shape<'a> {
    /// A row set.
    Rows(&'a RawValue, Vec<&'a RawValue>),
    /// Another object: a signal, an HTTP response.
    Object(Fields<'a>),
    /// Anything else, unreadable text included.
    Other,
}

pub(crate) fn shape(result: &str) -> Shape<'_> {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(result) else { return Shape::Other };
    let rows = fields.0.iter().rev().find(|(name, _)| name == "rows").map(|(_, value)| *value);
    match rows.and_then(|raw| Some((raw, serde_json::from_str(raw.get()).ok()?))) {
        Some((raw, rows)) => Shape::Rows(raw, rows),
        None => Shape::Object(fields),
    }
}

pub(crate) fn fields(raw: &str) -> Option<Fields<'_>> {
    serde_json::from_str(raw).ok()
}

/// Whether a JSON text is a string, and then which.
pub(crate) fn as_string(raw: &str) -> Option<String> {
    if raw.starts_with('"') { serde_json::from_str(raw).ok() } else { None }
}

/// The number of returned rows; None when the result is no row set.
pub fn row_count(result: &str) -> Option<u64> {
    match serde_json::from_str::<Fields<'_>>(result).ok()?.get("row_count") {
        Some(count) => count.parse().ok(),
        None => None,
    }
}

/// Each row of a row set as a result of its own: what the body of a `df.map` sees. None when it is no row set.
pub fn rows(result: &str) -> Option<Vec<String>> {
    match shape(result) {
        Shape::Rows(_, rows) => Some(rows.iter().map(|row| row_alone(row.get())).collect()),
        _ => None,
    }
}

/// A row as a result of its own.
pub(crate) fn row_alone(row: &str) -> String {
    format!("{{\"rows\":[{row}],\"row_count\":1}}")
}

/// The truth of a condition's result.
///
/// The first column of the first row is judged, no rows are false; a result that is no row set is judged itself. What
/// cannot be read is false.
pub fn is_true(result: &str) -> bool {
    match shape(result) {
        Shape::Rows(_, rows) => rows
            .first()
            .and_then(|row| fields(row.get()))
            .is_some_and(|fields| fields.first().is_some_and(|(_, value)| truth(value))),
        Shape::Object(fields) => fields.first().is_some(),
        Shape::Other => serde_json::from_str::<IgnoredAny>(result).is_ok() && truth(result.trim()),
    }
}

/// The truth of one JSON value.
fn truth(raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b't') => true,
        Some(b'"') => as_string(raw).is_some_and(|text| text_truth(text.trim())),
        Some(b'[' | b'{') => raw[1..].trim_start().len() > 1,
        Some(b'-' | b'0'..=b'9') => !is_zero(raw),
        _ => false,
    }
}

fn text_truth(text: &str) -> bool {
    match text.to_ascii_lowercase().as_str() {
        "" | "false" | "f" | "no" => false,
        _ => !(text.parse::<f64>().is_ok() && text.contains(|c: char| c.is_ascii_digit()) && is_zero(text)),
    }
}

/// Whether a number is zero, by its digits: no float is so small as `1e-400`.
fn is_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    !mantissa.contains(|c| matches!(c, '1'..='9'))
}

/// Names for the columns of a row set so that no key is lost: of several equal ones the first keeps its name, the others
/// get `_1`, `_2` … behind it, whatever is free.
pub fn column_names<S: AsRef<str>>(columns: &[S]) -> Vec<String> {
    use std::collections::{HashMap, HashSet};
    let mut taken: HashSet<String> = columns.iter().map(|name| name.as_ref().to_owned()).collect();
    // Where the search for a free number goes on: a hundred equal names cost a hundred steps.
    let mut used: HashMap<&str, usize> = HashMap::new();
    columns
        .iter()
        .map(|name| {
            let name = name.as_ref();
            let Some(number) = used.get_mut(name) else {
                used.insert(name, 0);
                return name.to_owned();
            };
            loop {
                *number += 1;
                let candidate = format!("{name}_{number}");
                if taken.insert(candidate.clone()) {
                    return candidate;
                }
            }
        })
        .collect()
}

/// A text from outside as JSON: JSON stays what it is, other text becomes a JSON string. Signals and breaks.
pub fn payload(text: &str) -> String {
    if serde_json::from_str::<IgnoredAny>(text).is_ok() { text.trim().to_owned() } else { string(text) }
}

/// A JSON string.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(&mut out, text);
    out
}

/// The result of a BREAK.
pub fn break_result(value: Option<&str>) -> String {
    value.map_or_else(|| "null".into(), payload)
}

/// Milliseconds as seconds, in decimal digits: `3`, `0.25`.
pub fn seconds(millis: u64) -> String {
    kind::seconds(millis)
}

/// The result of a SLEEP.
pub fn sleep_result(millis: u64) -> String {
    format!("{{\"slept\":true,\"seconds\":{}}}", kind::seconds(millis))
}

/// The result of a WAIT_SCHEDULE.
pub fn schedule_result() -> String {
    "{\"scheduled\":true}".into()
}

/// The result of a SIGNAL; `data` is JSON, None when the wait timed out.
pub fn signal_result(name: &str, data: Option<&str>) -> String {
    format!(
        "{{\"signal_name\":{},\"timed_out\":{},\"data\":{}}}",
        string(name),
        data.is_none(),
        data.unwrap_or("null")
    )
}

/// The result of a JOIN or a MAP: the branches' results in order.
pub fn array<S: AsRef<str>>(results: &[S]) -> String {
    let mut out = String::from("[");
    for (place, result) in results.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(result.as_ref());
    }
    out.push(']');
    out
}

/// A failure as the handler of a `df.catch` sees it, under the name [`FAILURE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The message.
    pub message: String,
    /// The five characters; null when it was no error of PostgreSQL.
    pub sqlstate: Option<String>,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
    /// CONTEXT.
    pub context: Option<String>,
    /// The status of an HTTP response.
    pub status: Option<u16>,
    /// The node that failed first.
    pub node_id: Option<String>,
}

/// The name of the result that a `df.catch` binds for its handler: `$error.message`, `$error.sqlstate` ….
pub const FAILURE: &str = "error";

impl Failure {
    /// A failure of the function itself, not of a statement.
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        Self { sqlstate: Some(sqlstate.into()), message: message.into(), ..Self::default() }
    }

    /// The same, with an enclosing node's words before it.
    #[must_use]
    pub fn within(self, words: &str) -> Self {
        Self { message: format!("{words}{}", self.message), ..self }
    }

    /// As a result.
    pub fn to_result(&self) -> String {
        // Texts and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(value: &str) -> String {
        format!("{{\"rows\":[{{\"a\":{value},\"b\":true}}],\"row_count\":1}}")
    }

    #[test]
    fn truth_is_the_table_of_the_reference() {
        for value in [
            "true",
            "1",
            "-0.5",
            "1e-400",
            "\"true\"",
            "\" T \"",
            "\"yes\"",
            "\"off\"",
            "\"1.50\"",
            "[0]",
            "{\"a\":1}",
            "\"inf\"",
        ] {
            assert!(is_true(&row(value)), "{value}");
            assert!(is_true(value), "{value}");
        }
        for value in [
            "false",
            "0",
            "-0.00",
            "0e5",
            "\"\"",
            "\"  \"",
            "\"False\"",
            "\"f\"",
            "\"NO\"",
            "\"0.000\"",
            "\"0e3\"",
            "[ ]",
            "{}",
            "null",
        ] {
            assert!(!is_true(&row(value)), "{value}");
            assert!(!is_true(value), "{value}");
        }
        assert!(!is_true("{\"rows\":[],\"row_count\":0}"));
        assert!(!is_true("no JSON"));
    }

    #[test]
    fn no_column_is_lost() {
        assert_eq!(column_names(&["a", "a", "b", "a_1", "a"]), ["a", "a_2", "b", "a_1", "a_3"]);
        assert_eq!(column_names(&["?column?", "?column?"]), ["?column?", "?column?_1"]);
    }

    #[test]
    fn what_stays_json_and_what_becomes_it() {
        assert_eq!(payload(" {\"a\": 1} "), "{\"a\": 1}");
        assert_eq!(payload("hello"), "\"hello\"");
        assert_eq!(payload(""), "\"\"");
        assert_eq!(break_result(None), "null");
        assert_eq!(sleep_result(1_500), "{\"slept\":true,\"seconds\":1.5}");
        assert_eq!(
            signal_result("go", Some("{}")),
            "{\"signal_name\":\"go\",\"timed_out\":false,\"data\":{}}"
        );
        assert_eq!(array(&["1", "[2]"]), "[1,[2]]");
    }

    #[test]
    fn rows_come_apart_without_losing_digits_or_order() {
        let text = r#"{"rows":[{"z":12345678901234567890123,"a":1},{"z":1.10,"a":2}],"row_count":2}"#;
        assert_eq!(row_count(text), Some(2));
        assert_eq!(
            rows(text).unwrap(),
            [
                r#"{"rows":[{"z":12345678901234567890123,"a":1}],"row_count":1}"#,
                r#"{"rows":[{"z":1.10,"a":2}],"row_count":1}"#
            ]
        );
        assert_eq!(rows("[1]"), None);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(is_true(&row(&deep)));
        assert!(is_true(&deep));
        assert_eq!(payload(&deep), deep);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _ = (is_true(&text), rows(&text), row_count(&text), payload(&text));
        }

        #[test]
        fn column_names_are_unique(names in prop::collection::vec("[ab](_1)?(_2)?", 0..20)) {
            let unique = column_names(&names);
            let set: std::collections::HashSet<_> = unique.iter().collect();
            prop_assert_eq!(set.len(), names.len());
        }
    }
}
