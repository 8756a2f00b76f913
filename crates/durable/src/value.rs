//! Results: JSON text whose columns keep the order of the query.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Whether a result is true as a condition: the first column of its first row, or itself if it has no rows to speak of.
pub fn truth(result: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(result) else { return false };
    match value.get("rows") {
        Some(Value::Array(rows)) => match rows.first() {
            Some(Value::Object(row)) => row.values().next().is_some_and(is_true),
            Some(other) => is_true(other),
            None => false,
        },
        _ => is_true(&value),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            let text = text.trim().to_lowercase();
            match text.as_str() {
                "" | "false" | "f" | "no" => false,
                text => text.parse::<f64>().map_or(true, |number| number != 0.0),
            }
        }
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    rows: Vec<&'a RawValue>,
}

/// The rows of a result, each as its JSON text; none if it has none.
pub fn rows(result: &str) -> Vec<String> {
    serde_json::from_str::<Rows>(result)
        .map(|rows| rows.rows.into_iter().map(|row| row.get().to_owned()).collect())
        .unwrap_or_default()
}

/// `row_count`; `None` if the result has none.
pub fn row_count(result: &str) -> Option<u64> {
    serde_json::from_str::<Value>(result).ok()?.get("row_count")?.as_u64()
}

/// JSON stays JSON, other text becomes a string, nothing is null.
pub fn break_value(value: Option<&str>) -> String {
    match value {
        None => "null".into(),
        Some(text) if serde_json::from_str::<Value>(text).is_ok() => text.into(),
        Some(text) => Value::from(text).to_string(),
    }
}

/// What a sleep gives.
pub fn slept(millis: u64) -> String {
    let seconds = if millis.is_multiple_of(1_000) {
        Value::from(millis / 1_000)
    } else {
        #[allow(clippy::cast_precision_loss, reason = "as precise as a number of JSON is")]
        Value::from(millis as f64 / 1_000.0)
    };
    format!("{{\"slept\":true,\"seconds\":{seconds}}}")
}

/// What waiting for a schedule gives.
pub fn scheduled() -> String {
    "{\"scheduled\":true}".into()
}

/// What waiting for a signal gives; without a payload, that it did not come.
pub fn signal(name: &str, payload: Option<&str>) -> String {
    let name = Value::from(name);
    match payload {
        None => format!("{{\"signal_name\":{name},\"timed_out\":true,\"data\":null}}"),
        Some(payload) => {
            format!("{{\"signal_name\":{name},\"timed_out\":false,\"data\":{}}}", break_value(Some(payload)))
        }
    }
}

/// Names and types of a result's columns, in order; a type with its schema, as `pg_catalog.int4`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns(Vec<(String, String)>);

impl Columns {
    /// Of names and types.
    pub fn new(columns: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(columns.into_iter().collect())
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// From JSON.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Names and types, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, of)| (name.as_str(), of.as_str()))
    }
}
