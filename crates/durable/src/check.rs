//! The checks of `df.start`, node by node.
//!
//! A message says which rule is broken; where, the caller says.

use serde_json::{Map, Value};

use crate::Error;
use crate::cron::Schedule;
use crate::graph::is_name;
use crate::kind::{Http, Kind, MAX_SLEEP_MILLIS, Part};
use crate::retry::Retry;
use crate::tree::{MAX_DEPTH, NODE_TYPES, Node, Tree};

pub(crate) fn unknown(name: &str) -> String {
    format!("Unknown node_type '{name}'. Valid types: {}", NODE_TYPES.join(", "))
}

/// The nodes in preorder, each with its parent; refuses what is too deep.
pub(crate) fn preorder(tree: &Tree) -> Result<Vec<(u32, Option<u32>)>, Error> {
    let mut order = Vec::with_capacity(tree.nodes().len());
    let mut todo = vec![(0_u32, None, 0_usize)];
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

/// That a node has the children that its type takes.
fn check_children(node: &Node) -> Result<(), String> {
    let name = node.node_type.as_str();
    let Some(shape) = shape(name) else { return Err(unknown(name)) };
    let rules = [
        (node.condition.is_some() && !shape.condition, "condition_node is not valid"),
        (!node.extra.is_empty() && !shape.extra, "extra_nodes is not valid"),
        (node.left.is_some() && !shape.left, "left_node is not valid"),
        (node.right.is_some() && shape.right.is_none(), "right_node is not valid"),
        (node.left.is_none() && shape.left, "left_node is required"),
        (
            node.right.is_none() && (shape.right == Some(true) || !node.extra.is_empty()),
            "right_node is required",
        ),
    ];
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(format!("{rule} for {name} nodes")),
        None => Ok(()),
    }
}

/// The checks of one node; the message only, since the caller knows the path. `number` gives each node its new number.
pub(crate) fn kind(node: &Node, number: &[u32]) -> Result<Kind, String> {
    check_children(node)?;
    let name = node.node_type.as_str();
    let at = |child: Option<u32>| child.map(|old| number[old as usize]);
    let (left, right, condition) = (at(node.left), at(node.right), at(node.condition));
    let query = node.query.as_deref();
    let branches = || -> Vec<u32> {
        left.iter().chain(&right).copied().chain(node.extra.iter().filter_map(|old| at(Some(*old)))).collect()
    };
    // The two that are there when the type needs them.
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
    let child_key = match name {
        "IF" | "LOOP" => "condition_node",
        "JOIN" | "RACE" | "FIRST" => "extra_nodes",
        _ => "",
    };
    if config.as_ref().is_some_and(|config| config.contains_key(child_key)) && !child_key.is_empty() {
        return Err(format!(
            "{child_key} in {name} must be a first-class Durofut field, not embedded in query"
        ));
    }
    Ok(match name {
        "THEN" => Kind::Then { left: first, right: second },
        "CATCH" => Kind::Catch { step: first, handler: second },
        "COMPENSATE" => Kind::Compensate { step: first, undo: second },
        "IF" => match condition {
            Some(condition) => Kind::If { condition, then: first, otherwise: second },
            None => if_rows(&need()?, first, second)?,
        },
        "JOIN" => Kind::Join { branches: branches() },
        "RACE" => Kind::Race { branches: branches() },
        "FIRST" => Kind::First { branches: branches() },
        "LOOP" => Kind::Loop { body: first, condition },
        "BREAK" => Kind::Break { value: text(&need()?, "break_value")? },
        "WAIT_SCHEDULE" => {
            let cron = required_text(&need()?, "cron_expr")?;
            Schedule::parse(&cron).map_err(|error| error.to_string())?;
            Kind::WaitSchedule { cron }
        }
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
