//! The tree checked and flattened: what the engine walks.
//!
//! [`Graph::parse`] is the whole check of `df.start`. Afterwards every child is there, every configuration is read, and
//! nothing has to be looked at twice.
//!
//! **Invariants**: node 0 is the root; a node's children have greater numbers (preorder: condition, left, right, extra);
//! a node is the child of exactly one other.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;
use crate::tree::{self, Input, MAX_DEPTH, NODE_TYPES, Node, ParseError, Tree};

/// The longest sleep, a quarter of a million years: any timestamp plus this is still one for PostgreSQL.
pub const MAX_SLEEP_MILLIS: u64 = 7_000_000_000_000_000;

/// One node of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNode {
    /// What it does.
    pub kind: Kind,
    /// The node whose child it is; None for the root.
    pub parent: Option<u32>,
    /// The name that its result gets.
    pub result_name: Option<String>,
}

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

/// When and how often a step is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// The first attempt counts.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub initial_backoff_ms: u64,
    /// Never longer.
    pub max_backoff_ms: u64,
    /// From one pause to the next.
    pub backoff_multiplier: f64,
    /// How much of a pause is left to chance: 0 none, 1 all.
    pub jitter: f64,
    /// SQLSTATEs of five characters, or their classes of two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sqlstates: Vec<String>,
    /// HTTP statuses; a response with one of them counts as a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_backoff_ms: 1_000,
            max_backoff_ms: 60_000,
            backoff_multiplier: 2.0,
            jitter: 0.1,
            sqlstates: Vec::new(),
            statuses: Vec::new(),
        }
    }
}

impl Retry {
    /// What is wrong with the policy.
    pub fn fault(&self) -> Option<&'static str> {
        let class = |code: &String| {
            matches!(code.len(), 2 | 5) && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        };
        if self.max_attempts == 0 {
            Some("max_attempts must be at least 1")
        } else if self.initial_backoff_ms > MAX_SLEEP_MILLIS || self.max_backoff_ms > MAX_SLEEP_MILLIS {
            Some("backoff is too long")
        } else if !(1.0..=1_000.0).contains(&self.backoff_multiplier) {
            Some("backoff_multiplier must be between 1 and 1000")
        } else if !(0.0..=1.0).contains(&self.jitter) {
            Some("jitter must be between 0 and 1")
        } else if !self.sqlstates.iter().all(class) {
            Some("sqlstates must be SQLSTATEs of five characters or their classes of two")
        } else if !self.statuses.iter().all(|status| (100..=599).contains(status)) {
            Some("statuses must be between 100 and 599")
        } else {
            None
        }
    }

    /// Whether a failure is one to try again after. Without a list every failure is.
    pub fn covers(&self, sqlstate: Option<&str>, status: Option<u16>) -> bool {
        if self.sqlstates.is_empty() && self.statuses.is_empty() {
            return true;
        }
        sqlstate.is_some_and(|state| self.sqlstates.iter().any(|code| state.starts_with(code.as_str())))
            || status.is_some_and(|status| self.statuses.contains(&status))
    }

    /// The pause in milliseconds after attempt `attempt` (from 1) has failed; None when it was the last.
    /// `chance` is a random number from 0 to 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn pause(&self, attempt: u32, chance: f64) -> Option<u64> {
        if attempt >= self.max_attempts {
            return None;
        }
        let steps = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = (self.initial_backoff_ms as f64 * self.backoff_multiplier.powi(steps))
            .min(self.max_backoff_ms as f64);
        let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 };
        Some((full * (1.0 - self.jitter * chance)).max(0.0) as u64)
    }
}

/// A checked durable function; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<GraphNode>,
    text: String,
}

impl Graph {
    /// Everything that `df.start` checks of its first argument.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let tree = match tree::classify(text) {
            Input::Sql => Tree::sql(text),
            Input::Unknown(name) => return Err(Error::Function(unknown(&name))),
            Input::Tree(name) => Tree::parse(text).map_err(|error| match error {
                ParseError::Root(message) => {
                    Error::Function(format!("Malformed Durofut JSON with node_type '{name}': {message}"))
                }
                ParseError::Child(path, message) => {
                    Error::graph(path, format!("failed to deserialize Durofut child: {message}"))
                }
                ParseError::TooMany => tree::too_many(),
            })?,
        };
        Self::from_tree(&tree)
    }

    /// Checks and flattens a tree.
    pub fn from_tree(tree: &Tree) -> Result<Self, Error> {
        if tree.nodes().len() > tree::MAX_NODES {
            return Err(tree::too_many());
        }
        let order = preorder(tree)?;
        let mut number = vec![0_u32; tree.nodes().len()];
        for (new, (old, _)) in order.iter().enumerate() {
            number[*old as usize] = u32::try_from(new).unwrap_or(u32::MAX);
        }
        let mut nodes = Vec::with_capacity(order.len());
        for (old, parent) in &order {
            let node = &tree.nodes()[*old as usize];
            let kind = kind(node, &number).map_err(|message| Error::graph(tree.path(*old), message))?;
            if let Some(name) = node.result_name.as_deref()
                && !is_name(name)
            {
                return Err(Error::graph(
                    tree.path(*old),
                    format!(
                        "result_name '{name}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"
                    ),
                ));
            }
            nodes.push(GraphNode {
                kind,
                parent: parent.map(|old| number[old as usize]),
                result_name: node.result_name.clone(),
            });
        }
        Ok(Self { nodes, text: tree.to_text() })
    }

    /// All nodes, by number.
    pub fn nodes(&self) -> &[GraphNode] {
        &self.nodes
    }

    /// A node by its number.
    pub fn node(&self, number: u32) -> Option<&GraphNode> {
        self.nodes.get(number as usize)
    }

    /// The tree as text: what to store, and what [`Graph::parse`] makes the same graph of.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The `query` of a node's row: that of the tree, with children in the configuration by their ids.
    pub fn row_query(&self, number: u32) -> Option<String> {
        self.node(number).and_then(|node| node.kind.row_query())
    }
}

/// The id of a node in rows: its number in eight hex digits.
pub fn node_id(number: u32) -> String {
    format!("{number:08x}")
}

/// Whether `name` may name a result: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub(crate) fn unknown(name: &str) -> String {
    format!("Unknown node_type '{name}'. Valid types: {}", NODE_TYPES.join(", "))
}

/// The nodes in preorder, each with its parent; refuses what is too deep.
fn preorder(tree: &Tree) -> Result<Vec<(u32, Option<u32>)>, Error> {
    let mut order = Vec::with_capacity(tree.nodes().len());
    let mut todo = vec![(0_u32, None, 1_usize)];
    while let Some((index, parent, depth)) = todo.pop() {
        if depth > MAX_DEPTH {
            return Err(Error::Graph {
                path: tree.path(index),
                message: format!(
                    "Graph exceeds maximum nesting depth of {MAX_DEPTH}. \
                     Simplify the workflow or break it into multiple instances."
                ),
                limit: true,
            });
        }
        order.push((index, parent));
        let node = &tree.nodes()[index as usize];
        let children = node.condition.iter().chain(&node.left).chain(&node.right).chain(&node.extra);
        let from = todo.len();
        todo.extend(children.map(|child| (*child, Some(index), depth + 1)));
        todo[from..].reverse();
    }
    Ok(order)
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

/// Seconds with up to three decimals as milliseconds.
fn millis(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3
        || !rest.bytes().all(|b| b.is_ascii_digit())
        || !whole.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let fraction: u64 = format!("{rest:0<3}").parse().ok()?;
    let total = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction)?;
    (total <= MAX_SLEEP_MILLIS).then_some(total)
}

fn positive_millis(config: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match millis(&number.to_string()) {
            Some(0) | None => Err("Timeout must be positive".into()),
            Some(found) => Ok(Some(found)),
        },
        Some(_) => Err(format!("{key} must be a number")),
    }
}

fn text(config: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key} must be a string")),
    }
}

fn required_text(config: &Map<String, Value>, key: &str) -> Result<String, String> {
    text(config, key)?.ok_or_else(|| format!("{key} is required"))
}

/// Which children a node type takes.
struct Shape {
    left: bool,
    right: Option<bool>,
    condition: bool,
    extra: bool,
}

fn shape(node_type: &str) -> Option<Shape> {
    // `right`: Some(true) needed, Some(false) possible, None refused.
    let (left, right, condition, extra) = match node_type {
        "THEN" | "CATCH" | "MAP" | "COMPENSATE" => (true, Some(true), false, false),
        "IF" => (true, Some(true), true, false),
        "JOIN" | "RACE" | "FIRST" => (true, Some(false), false, true),
        "LOOP" => (true, None, true, false),
        "RETRY" | "TIMEOUT" | "CALL" => (true, None, false, false),
        "SQL" | "BREAK" | "SLEEP" | "WAIT_SCHEDULE" | "SIGNAL" | "HTTP" | "HTTP_MULTIPART" => {
            (false, None, false, false)
        }
        _ => return None,
    };
    Some(Shape { left, right, condition, extra })
}

/// The checks of one node; the message only, since the caller knows the path.
fn kind(node: &Node, number: &[u32]) -> Result<Kind, String> {
    let name = node.node_type.as_str();
    let Some(shape) = shape(name) else { return Err(unknown(name)) };
    if node.condition.is_some() && !shape.condition {
        return Err(format!("condition_node is not valid for {name} nodes"));
    }
    if !node.extra.is_empty() && !shape.extra {
        return Err(format!("extra_nodes is not valid for {name} nodes"));
    }
    if node.left.is_some() && !shape.left {
        return Err(format!("left_node is not valid for {name} nodes"));
    }
    if node.right.is_some() && shape.right.is_none() {
        return Err(format!("right_node is not valid for {name} nodes"));
    }
    if node.left.is_none() && shape.left {
        return Err(format!("left_node is required for {name} nodes"));
    }
    if node.right.is_none() && (shape.right == Some(true) || !node.extra.is_empty()) {
        return Err(format!("right_node is required for {name} nodes"));
    }
    let at = |child: Option<u32>| child.map(|old| number[old as usize]);
    let (left, right, condition) = (at(node.left), at(node.right), at(node.condition));
    let query = node.query.as_deref();
    let branches = || -> Vec<u32> {
        left.iter().chain(&right).copied().chain(node.extra.iter().filter_map(|old| at(Some(*old)))).collect()
    };
    // The two that shape() has made sure of.
    let (first, second) = (left.unwrap_or_default(), right.unwrap_or_default());

    if name == "SQL" {
        return query.map(|query| Kind::Sql { query: query.into() }).ok_or_else(|| missing_query(name));
    }
    if name == "SLEEP" {
        let text = query.ok_or_else(|| missing_query(name))?;
        return millis(text)
            .map(|millis| Kind::Sleep { millis })
            .ok_or_else(|| format!("Sleep duration must be non-negative: '{text}'"));
    }
    let config = query.map(|query| config(name, query)).transpose()?;
    let need = || config.clone().ok_or_else(|| missing_query(name));
    let absent = |key: &str| match &config {
        Some(config) if config.contains_key(key) => {
            Err(format!("{key} in {name} must be a first-class Durofut field, not embedded in query"))
        }
        _ => Ok(()),
    };
    Ok(match name {
        "THEN" => Kind::Then { left: first, right: second },
        "CATCH" => Kind::Catch { step: first, handler: second },
        "COMPENSATE" => Kind::Compensate { step: first, undo: second },
        "IF" => {
            absent("condition_node")?;
            match condition {
                Some(condition) => Kind::If { condition, then: first, otherwise: second },
                None => if_rows(&need()?, first, second)?,
            }
        }
        "JOIN" => {
            absent("extra_nodes")?;
            Kind::Join { branches: branches() }
        }
        "RACE" => {
            absent("extra_nodes")?;
            Kind::Race { branches: branches() }
        }
        "FIRST" => {
            absent("extra_nodes")?;
            Kind::First { branches: branches() }
        }
        "LOOP" => {
            absent("condition_node")?;
            Kind::Loop { body: first, condition }
        }
        "BREAK" => Kind::Break { value: text(&need()?, "break_value")? },
        "WAIT_SCHEDULE" => Kind::WaitSchedule { cron: required_text(&need()?, "cron_expr")? },
        "SIGNAL" => {
            let config = need()?;
            let name = required_text(&config, "signal_name")?;
            if name.is_empty() {
                return Err("Signal name cannot be empty".into());
            }
            Kind::Signal { name, timeout_millis: positive_millis(&config, "timeout_seconds")? }
        }
        "HTTP" => Kind::Http(http(&need()?, false)?),
        "HTTP_MULTIPART" => {
            let config = need()?;
            Kind::HttpMultipart { request: http(&config, true)?, parts: parts(config.get("parts"))? }
        }
        "RETRY" => {
            let policy: Retry = serde_json::from_value(Value::Object(config.unwrap_or_default()))
                .map_err(|error| format!("query in RETRY must be valid JSON config: {error}"))?;
            if let Some(fault) = policy.fault() {
                return Err(fault.into());
            }
            Kind::Retry { step: first, policy }
        }
        "TIMEOUT" => match need()?.get("timeout_ms").and_then(Value::as_u64) {
            Some(millis @ 1..=MAX_SLEEP_MILLIS) => Kind::Timeout { step: first, millis },
            _ => return Err("Timeout must be positive".into()),
        },
        "MAP" => map(&config.unwrap_or_default(), first, second)?,
        _ => Kind::Call { child: first, label: text(&config.unwrap_or_default(), "label")? },
    })
}

fn missing_query(name: &str) -> String {
    format!("query is required for {name} nodes")
}

fn config(name: &str, query: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(query) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(format!("query in {name} must be a JSON config object")),
        Err(error) => Err(format!("query in {name} must be valid JSON config: {error}")),
    }
}

fn if_rows(config: &Map<String, Value>, then: u32, otherwise: u32) -> Result<Kind, String> {
    if config.get("condition_type").and_then(Value::as_str) != Some("result_has_rows") {
        return Err("condition_node is required for IF nodes".into());
    }
    let name = required_text(config, "result_name")?;
    if is_name(&name) {
        Ok(Kind::IfRows { name, then, otherwise })
    } else {
        Err(format!("result_name '{name}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"))
    }
}

fn map(config: &Map<String, Value>, source: u32, body: u32) -> Result<Kind, String> {
    let item = text(config, "item")?.unwrap_or_else(|| "item".into());
    if !is_name(&item) {
        return Err(format!("item '{item}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"));
    }
    let concurrency = match config.get("concurrency") {
        None | Some(Value::Null) => 10,
        Some(value) => value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| *number > 0)
            .ok_or("concurrency must be at least 1")?,
    };
    Ok(Kind::Map { source, item, body, concurrency })
}

fn http(config: &Map<String, Value>, multipart: bool) -> Result<Http, String> {
    let url = required_text(config, "url")?;
    let method = text(config, "method")?.unwrap_or_else(|| "POST".into());
    check_url(&url)?;
    let method = check_method(&method, multipart)?;
    Ok(Http {
        url,
        method,
        body: if multipart { None } else { text(config, "body")? },
        headers: headers(config.get("headers"))?,
        timeout_millis: positive_millis(config, "timeout_seconds")?.unwrap_or(30_000),
    })
}

/// Refuses a URL whose scheme is known and is not HTTP.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    if url.contains('{') || url.starts_with('$') {
        // A reference may give the scheme; what it gave is checked when the request is made.
        return Ok(());
    }
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if scheme == "http" || scheme == "https" {
        Ok(())
    } else {
        Err(format!("Blocked: unsupported URL scheme '{scheme}'. Only http and https are allowed."))
    }
}

/// The method in upper case.
pub(crate) fn check_method(method: &str, multipart: bool) -> Result<String, String> {
    let upper = method.to_ascii_uppercase();
    match upper.as_str() {
        "POST" | "PUT" | "PATCH" => Ok(upper),
        "GET" | "DELETE" if !multipart => Ok(upper),
        _ if multipart => {
            Err(format!("Invalid HTTP method for multipart: {method}. Must be POST, PUT, or PATCH"))
        }
        _ => Err(format!("Invalid HTTP method: {method}. Must be GET, POST, PUT, DELETE, or PATCH")),
    }
}

/// Header values are texts; numbers and booleans are written as such.
pub(crate) fn headers(value: Option<&Value>) -> Result<Vec<(String, String)>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
                _ => Err(format!("header '{name}' must be a string")),
            })
            .collect(),
        Some(_) => Err("headers must be a JSON object".into()),
    }
}

/// The parts of a multipart body.
pub(crate) fn parts(value: Option<&Value>) -> Result<Vec<Part>, String> {
    let list = match value {
        None | Some(Value::Null) => return Err("parts is required and cannot be NULL".into()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("parts must be a JSON array of part objects".into()),
    };
    if list.is_empty() {
        return Err("parts must contain at least one part".into());
    }
    list.iter()
        .map(|part| {
            if !part.is_object() {
                return Err("parts must be a JSON array of part objects".into());
            }
            serde_json::from_value(part.clone()).map_err(|error| format!("invalid part: {error}"))
        })
        .collect()
}
