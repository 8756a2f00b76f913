//! What a node does, and how its configuration is spelled.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::node_id;
use crate::retry::Retry;

/// The longest sleep, a quarter of a million years: any timestamp plus this is still one for PostgreSQL.
pub const MAX_SLEEP_MILLIS: u64 = 7_000_000_000_000_000;

/// What a node does. A `u32` is the number of a child.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Runs one statement.
    Sql {
        /// The statement, before substitution.
        query: String,
    },
    /// One after the other.
    Then {
        /// The first.
        left: u32,
        /// The second; its result counts.
        right: u32,
    },
    /// Runs a condition, then one branch.
    If {
        /// Judged by the truth of its result.
        condition: u32,
        /// When true.
        then: u32,
        /// When false.
        otherwise: u32,
    },
    /// Looks at the row count of a result, then runs one branch.
    IfRows {
        /// Of the result.
        name: String,
        /// When it has rows.
        then: u32,
        /// When it has none.
        otherwise: u32,
    },
    /// All branches, all awaited; the result is an array.
    Join {
        /// In order.
        branches: Vec<u32>,
    },
    /// All branches; the first that finishes decides, also by failing.
    Race {
        /// In order.
        branches: Vec<u32>,
    },
    /// All branches; the first that succeeds decides; fails when all have failed.
    First {
        /// In order.
        branches: Vec<u32>,
    },
    /// The body, again while the condition is true, or until a break.
    Loop {
        /// What is repeated.
        body: u32,
        /// None: for ever.
        condition: Option<u32>,
    },
    /// Ends the nearest loop.
    Break {
        /// Literal text.
        value: Option<String>,
    },
    /// Waits.
    Sleep {
        /// How long.
        millis: u64,
    },
    /// Waits for the next tick.
    WaitSchedule {
        /// The expression, checked.
        cron: String,
    },
    /// Waits for a signal.
    Signal {
        /// Of the signal.
        name: String,
        /// None: for ever.
        timeout_millis: Option<u64>,
    },
    /// Calls out.
    Http(Http),
    /// Calls out with a body of parts.
    HttpMultipart {
        /// All but the body, which is empty.
        request: Http,
        /// The body.
        parts: Vec<Part>,
    },
    /// Runs a step again when it fails.
    Retry {
        /// The step.
        step: u32,
        /// How often, how soon, on what.
        policy: Retry,
    },
    /// Runs a handler when a step fails.
    Catch {
        /// The step.
        step: u32,
        /// Sees the failure as `$error`.
        handler: u32,
    },
    /// Fails a step that takes too long.
    Timeout {
        /// The step.
        step: u32,
        /// How long it may take.
        millis: u64,
    },
    /// A body for every row of a result; the result is an array.
    Map {
        /// Gives the rows.
        source: u32,
        /// Sees its row as a result of this name.
        item: String,
        /// Runs once for each row.
        body: u32,
        /// How many at once.
        concurrency: u32,
    },
    /// Runs a function as an instance of its own and waits for it.
    Call {
        /// The root of the function.
        child: u32,
        /// The label of the instance.
        label: Option<String>,
    },
    /// A step and what undoes it when the instance fails or is cancelled later.
    Compensate {
        /// The step.
        step: u32,
        /// Its undo; sees the results that stood when the step was done.
        undo: u32,
    },
}

/// An HTTP request before substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// With references.
    pub url: String,
    /// Upper case.
    pub method: String,
    /// With references.
    pub body: Option<String>,
    /// Name and value, the value with references.
    pub headers: Vec<(String, String)>,
    /// For the whole of it.
    pub timeout_millis: u64,
}

/// One part of a multipart body before substitution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of the form field.
    pub name: String,
    /// Of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Base64, or one reference and nothing else.
    pub data_b64: String,
}

impl Kind {
    /// The name in `node_type`.
    pub fn node_type(&self) -> &'static str {
        match self {
            Self::Sql { .. } => "SQL",
            Self::Then { .. } => "THEN",
            Self::If { .. } | Self::IfRows { .. } => "IF",
            Self::Join { .. } => "JOIN",
            Self::Race { .. } => "RACE",
            Self::First { .. } => "FIRST",
            Self::Loop { .. } => "LOOP",
            Self::Break { .. } => "BREAK",
            Self::Sleep { .. } => "SLEEP",
            Self::WaitSchedule { .. } => "WAIT_SCHEDULE",
            Self::Signal { .. } => "SIGNAL",
            Self::Http(_) => "HTTP",
            Self::HttpMultipart { .. } => "HTTP_MULTIPART",
            Self::Retry { .. } => "RETRY",
            Self::Catch { .. } => "CATCH",
            Self::Timeout { .. } => "TIMEOUT",
            Self::Map { .. } => "MAP",
            Self::Call { .. } => "CALL",
            Self::Compensate { .. } => "COMPENSATE",
        }
    }

    /// Whether it leads out of the server.
    pub fn calls_out(&self) -> bool {
        matches!(self, Self::Http(_) | Self::HttpMultipart { .. })
    }

    /// The numbers of the children, in preorder.
    pub fn children(&self) -> Vec<u32> {
        match self {
            Self::Then { left: a, right: b }
            | Self::IfRows { then: a, otherwise: b, .. }
            | Self::Catch { step: a, handler: b }
            | Self::Map { source: a, body: b, .. }
            | Self::Compensate { step: a, undo: b } => vec![*a, *b],
            Self::If { condition, then, otherwise } => vec![*condition, *then, *otherwise],
            Self::Join { branches } | Self::Race { branches } | Self::First { branches } => branches.clone(),
            Self::Loop { body, condition } => condition.iter().copied().chain([*body]).collect(),
            Self::Retry { step: child, .. }
            | Self::Timeout { step: child, .. }
            | Self::Call { child, .. } => {
                vec![*child]
            }
            Self::Sql { .. }
            | Self::Break { .. }
            | Self::Sleep { .. }
            | Self::WaitSchedule { .. }
            | Self::Signal { .. }
            | Self::Http(_)
            | Self::HttpMultipart { .. } => Vec::new(),
        }
    }

    /// `left_node` and `right_node` of the row.
    pub fn row_children(&self) -> (Option<u32>, Option<u32>) {
        match self {
            Self::If { then, otherwise, .. } => (Some(*then), Some(*otherwise)),
            Self::Loop { body, .. } => (Some(*body), None),
            _ => {
                let children = self.children();
                (children.first().copied(), children.get(1).copied())
            }
        }
    }

    /// The configuration as it stands in `query`; children are named by their ids. None when there is nothing to say.
    pub fn row_query(&self) -> Option<String> {
        match self {
            Self::If { condition, .. } | Self::Loop { condition: Some(condition), .. } => {
                Some(format!("{{\"condition_node\":\"{}\"}}", node_id(*condition)))
            }
            Self::Join { branches } | Self::Race { branches } | Self::First { branches }
                if branches.len() > 2 =>
            {
                let ids: Vec<_> =
                    branches[2..].iter().map(|branch| format!("\"{}\"", node_id(*branch))).collect();
                Some(format!("{{\"extra_nodes\":[{}]}}", ids.join(",")))
            }
            other => other.config(),
        }
    }

    /// The `query` of the node in a tree.
    pub fn config(&self) -> Option<String> {
        let value = match self {
            Self::Sql { query } => return Some(query.clone()),
            Self::Sleep { millis } => return Some(seconds(*millis)),
            Self::IfRows { name, .. } => {
                serde_json::json!({"condition_type": "result_has_rows", "result_name": name})
            }
            Self::Break { value } => serde_json::json!({"break_value": value}),
            Self::WaitSchedule { cron } => serde_json::json!({"cron_expr": cron}),
            Self::Signal { name, timeout_millis } => {
                let timeout = timeout_millis.map_or(Value::Null, seconds_value);
                serde_json::json!({"signal_name": name, "timeout_seconds": timeout})
            }
            Self::Http(http) => serde_json::json!({
                "url": http.url, "method": http.method, "body": http.body,
                "headers": headers_value(&http.headers), "timeout_seconds": seconds_value(http.timeout_millis),
            }),
            Self::HttpMultipart { request, parts } => serde_json::json!({
                "url": request.url, "method": request.method, "parts": parts,
                "headers": headers_value(&request.headers), "timeout_seconds": seconds_value(request.timeout_millis),
            }),
            Self::Retry { policy, .. } => serde_json::to_value(policy).unwrap_or_default(),
            Self::Timeout { millis, .. } => serde_json::json!({"timeout_ms": millis}),
            Self::Map { item, concurrency, .. } => {
                serde_json::json!({"item": item, "concurrency": concurrency})
            }
            Self::Call { label, .. } => serde_json::json!({"label": label}),
            Self::Then { .. }
            | Self::If { .. }
            | Self::Join { .. }
            | Self::Race { .. }
            | Self::First { .. }
            | Self::Loop { .. }
            | Self::Catch { .. }
            | Self::Compensate { .. } => return None,
        };
        Some(value.to_string())
    }
}

fn headers_value(headers: &[(String, String)]) -> Value {
    if headers.is_empty() {
        return Value::Null;
    }
    headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect::<Map<_, _>>()
        .into()
}

/// Milliseconds as seconds, with no more digits than needed.
pub(crate) fn seconds(millis: u64) -> String {
    let (whole, rest) = (millis / 1000, millis % 1000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_string() }
}

fn seconds_value(millis: u64) -> Value {
    serde_json::from_str(&seconds(millis)).unwrap_or_default()
}
