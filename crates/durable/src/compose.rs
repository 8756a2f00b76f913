//! The constructors and operators: each takes steps as text and gives a step as text.
//!
//! An argument that is a step is node JSON or SQL ([`Tree::from_step`]). What comes out is always node JSON in one
//! spelling, so that equal functions are equal texts.

use serde_json::{Map, Value, json};

use crate::check;
use crate::cron::Schedule;
use crate::graph::is_name;
use crate::kind::{Kind, MAX_SLEEP_MILLIS};
use crate::tree::{self, Tree};
use crate::{Error, Http, Retry, check_name};

/// Node JSON from children that are node JSON already.
#[derive(Default)]
struct Parts<'a> {
    left: Option<&'a str>,
    right: Option<&'a str>,
    condition: Option<&'a str>,
    extra: &'a [String],
    query: Option<String>,
}

fn node(node_type: &str, parts: &Parts<'_>) -> String {
    let mut out = format!("{{\"node_type\":\"{node_type}\"");
    for (key, child) in
        [("left_node", parts.left), ("right_node", parts.right), ("condition_node", parts.condition)]
    {
        if let Some(child) = child {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            out.push_str(child);
        }
    }
    if !parts.extra.is_empty() {
        out.push_str(",\"extra_nodes\":[");
        out.push_str(&parts.extra.join(","));
        out.push(']');
    }
    if let Some(query) = &parts.query {
        out.push_str(",\"query\":");
        tree::quote(&mut out, query);
    }
    out.push('}');
    out
}

fn leaf(kind: &Kind) -> String {
    node(kind.node_type(), &Parts { query: kind.config(), ..Parts::default() })
}

/// A step in its one spelling: node JSON is taken, any other text becomes an SQL node.
pub fn step(text: &str) -> Result<String, Error> {
    Ok(Tree::from_step(text)?.to_text())
}

fn two(node_type: &str, a: &str, b: &str, query: Option<String>) -> Result<String, Error> {
    let (a, b) = (step(a)?, step(b)?);
    Ok(node(node_type, &Parts { left: Some(&a), right: Some(&b), query, ..Parts::default() }))
}

fn one(node_type: &str, a: &str, query: Option<String>) -> Result<String, Error> {
    let a = step(a)?;
    Ok(node(node_type, &Parts { left: Some(&a), query, ..Parts::default() }))
}

fn many(function: &str, node_type: &str, steps: &[&str]) -> Result<String, Error> {
    let steps = steps.iter().map(|text| step(text)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = steps.first() else {
        return Err(Error::argument(format!("df.{function}: steps must contain at least one step")));
    };
    let parts = Parts {
        left: Some(first),
        right: steps.get(1).map(String::as_str),
        extra: steps.get(2..).unwrap_or_default(),
        ..Parts::default()
    };
    Ok(node(node_type, &parts))
}

/// `df.sql`: the text as SQL, whatever it looks like.
pub fn sql(query: &str) -> String {
    Tree::sql(query).to_text()
}

/// `df.seq`, `a ~> b`.
pub fn seq(a: &str, b: &str) -> Result<String, Error> {
    two("THEN", a, b, None)
}

/// `df.as`, `a |=> 'name'`.
pub fn name(fut: &str, name: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::argument("df.as: result name cannot be empty"));
    }
    if !is_name(name) {
        return Err(Error::argument(format!(
            "df.as: result name '{name}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"
        )));
    }
    let mut tree = Tree::from_step(fut)?;
    tree.root_mut().result_name = Some(name.into());
    Ok(tree.to_text())
}

/// `df.sleep(seconds)`.
pub fn sleep(seconds: i64) -> Result<String, Error> {
    let seconds =
        u64::try_from(seconds).map_err(|_| Error::argument("Sleep duration must be non-negative"))?;
    sleep_millis(seconds.saturating_mul(1000))
}

/// `df.sleep(interval)`.
pub fn sleep_millis(millis: u64) -> Result<String, Error> {
    if millis > MAX_SLEEP_MILLIS {
        return Err(Error::argument("Sleep duration is too long"));
    }
    Ok(leaf(&Kind::Sleep { millis }))
}

/// `df.wait_for_schedule`.
pub fn wait_for_schedule(cron: &str) -> Result<String, Error> {
    Schedule::parse(cron)?;
    Ok(leaf(&Kind::WaitSchedule { cron: cron.into() }))
}

/// `df.wait_for_signal`.
pub fn wait_for_signal(name: &str, timeout_seconds: Option<i32>) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::argument("Signal name cannot be empty"));
    }
    check_name("Signal name", name)?;
    let timeout_millis = timeout_seconds.map(timeout_millis).transpose()?;
    Ok(leaf(&Kind::Signal { name: name.into(), timeout_millis }))
}

fn timeout_millis(seconds: i32) -> Result<u64, Error> {
    match u64::try_from(seconds) {
        Ok(seconds @ 1..) => Ok(seconds * 1000),
        _ => Err(Error::argument("Timeout must be positive")),
    }
}

/// `df.loop`, `@> body`.
pub fn repeat(body: &str, condition: Option<&str>) -> Result<String, Error> {
    let body = step(body)?;
    let condition = condition.map(step).transpose()?;
    Ok(node("LOOP", &Parts { left: Some(&body), condition: condition.as_deref(), ..Parts::default() }))
}

/// `df.break`.
pub fn break_loop(value: Option<&str>) -> String {
    leaf(&Kind::Break { value: value.map(Into::into) })
}

/// `df.if`.
pub fn branch(condition: &str, then: &str, otherwise: &str) -> Result<String, Error> {
    let (condition, then, otherwise) = (step(condition)?, step(then)?, step(otherwise)?);
    let parts =
        Parts { left: Some(&then), right: Some(&otherwise), condition: Some(&condition), ..Parts::default() };
    Ok(node("IF", &parts))
}

/// `df.if_rows`.
pub fn if_rows(result_name: &str, then: &str, otherwise: &str) -> Result<String, Error> {
    if !is_name(result_name) {
        return Err(Error::argument(format!(
            "df.if_rows: result name '{result_name}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"
        )));
    }
    let config = Kind::IfRows { name: result_name.into(), then: 0, otherwise: 0 }.config();
    two("IF", then, otherwise, config)
}

/// `c ?> a`: half an IF, spelled as jsonb spells it.
pub fn half_if(condition: &str, then: &str) -> Result<String, Error> {
    // Read now, so that what is wrong is said here.
    step(condition)?;
    step(then)?;
    let mut out = String::from("{\"condition\": ");
    tree::quote(&mut out, condition);
    out.push_str(", \"_partial_if\": true, \"then_branch\": ");
    tree::quote(&mut out, then);
    out.push('}');
    Ok(out)
}

/// `half !> b`.
pub fn whole_if(half: &str, otherwise: &str) -> Result<String, Error> {
    // A half is two texts in one object. Node JSON, which may be deeper than serde_json reads, is none.
    match tree::classify(half) {
        tree::Input::Sql => {}
        _ => return Err(Error::NotHalfIf),
    }
    let Ok(value) = serde_json::from_str::<Map<String, Value>>(half) else {
        return Err(if serde_json::from_str::<serde::de::IgnoredAny>(half).is_ok() {
            Error::NotHalfIf
        } else {
            Error::NotJson
        });
    };
    let part = |key: &str| match value.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(object @ Value::Object(_)) => Some(object.to_string()),
        _ => None,
    };
    match (value.get("_partial_if"), part("condition"), part("then_branch")) {
        (Some(Value::Bool(true)), Some(condition), Some(then)) => branch(&condition, &then, otherwise),
        _ => Err(Error::NotHalfIf),
    }
}

/// `df.join`, `a & b`.
pub fn join(a: &str, b: &str) -> Result<String, Error> {
    two("JOIN", a, b, None)
}

/// `df.join3`.
pub fn join3(a: &str, b: &str, c: &str) -> Result<String, Error> {
    all(&[a, b, c])
}

/// `df.all`: a join of any number.
pub fn all(steps: &[&str]) -> Result<String, Error> {
    many("all", "JOIN", steps)
}

/// `df.race`, `a | b`.
pub fn race(a: &str, b: &str) -> Result<String, Error> {
    two("RACE", a, b, None)
}

/// `df.race_all`: the first to finish.
pub fn race_all(steps: &[&str]) -> Result<String, Error> {
    many("race_all", "RACE", steps)
}

/// `df.first`: the first to succeed.
pub fn first(steps: &[&str]) -> Result<String, Error> {
    many("first", "FIRST", steps)
}

/// `df.http`.
pub fn http(
    url: &str,
    method: &str,
    body: Option<&str>,
    headers: Option<&Value>,
    timeout_seconds: i32,
) -> Result<String, Error> {
    let mut http = request(url, method, headers, timeout_seconds, false)?;
    http.body = body.map(Into::into);
    Ok(leaf(&Kind::Http(http)))
}

/// `df.http_multipart`.
pub fn http_multipart(
    url: &str,
    method: &str,
    parts: Option<&Value>,
    headers: Option<&Value>,
    timeout_seconds: i32,
) -> Result<String, Error> {
    let request = request(url, method, headers, timeout_seconds, true)?;
    let parts = check::parts(parts).map_err(Error::Argument)?;
    Ok(leaf(&Kind::HttpMultipart { request, parts }))
}

fn request(
    url: &str,
    method: &str,
    headers: Option<&Value>,
    timeout_seconds: i32,
    multipart: bool,
) -> Result<Http, Error> {
    check::check_url(url).map_err(Error::Argument)?;
    let method = check::check_method(method, multipart).map_err(Error::Argument)?;
    let headers = check::headers(headers).map_err(Error::Argument)?;
    let timeout_millis = timeout_millis(timeout_seconds)?;
    Ok(Http { url: url.into(), method, body: None, headers, timeout_millis })
}

/// `df.retry`.
pub fn retry(fut: &str, policy: Retry) -> Result<String, Error> {
    if let Some(fault) = policy.fault() {
        return Err(Error::argument(format!("df.retry: {fault}")));
    }
    one("RETRY", fut, Kind::Retry { step: 0, policy }.config())
}

/// `df.catch`.
pub fn catch(fut: &str, handler: &str) -> Result<String, Error> {
    two("CATCH", fut, handler, None)
}

/// `df.timeout`.
pub fn timeout(fut: &str, millis: u64) -> Result<String, Error> {
    if !(1..=MAX_SLEEP_MILLIS).contains(&millis) {
        return Err(Error::argument("Timeout must be positive"));
    }
    one("TIMEOUT", fut, Some(json!({"timeout_ms": millis}).to_string()))
}

/// `df.map`.
pub fn map(query: &str, body: &str, concurrency: i32, item: &str) -> Result<String, Error> {
    let concurrency = u32::try_from(concurrency)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Error::argument("df.map: concurrency must be at least 1"))?;
    if !is_name(item) {
        return Err(Error::argument(format!(
            "df.map: item name '{item}' is not a valid identifier — must match [a-zA-Z_][a-zA-Z0-9_]*"
        )));
    }
    let config = Kind::Map { source: 0, item: item.into(), body: 0, concurrency }.config();
    two("MAP", query, body, config)
}

/// `df.call`.
pub fn call(fut: &str, label: Option<&str>) -> Result<String, Error> {
    check_name("label", label.unwrap_or_default())?;
    one("CALL", fut, Kind::Call { child: 0, label: label.map(Into::into) }.config())
}

/// `df.compensate`.
pub fn compensate(fut: &str, undo: &str) -> Result<String, Error> {
    two("COMPENSATE", fut, undo, None)
}

/// Whether a step is what a function of the control plane has answered: `df.setvar(…) ~> …`.
///
/// The text alone decides whether it can be one (`OK` is no SQL), and `called`, the function that gave such an answer in
/// this statement, whether it is one. So a start in the same statement as a `df.setvar` is no mistake.
pub fn misused(text: &str, called: Option<&str>) -> Result<(), Error> {
    match called {
        Some(function) if matches!(text, "OK" | "completed" | "failed" | "cancelled") => {
            Err(Error::Misused(function.into()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Graph;

    #[test]
    fn half_an_if_is_no_step() {
        let half = half_if("a", "b").unwrap();
        for text in [half.clone(), seq(&half, "c").unwrap(), seq("c", &half).unwrap()] {
            assert_eq!(Graph::parse(&text).unwrap().check_new(), Err(Error::HalfIf));
        }
        let whole = whole_if(&half, "").unwrap();
        assert_eq!(Graph::parse(&whole).unwrap().check_new(), Ok(()));
        // SQL that speaks of one is SQL.
        let sql = Graph::parse("select '{\"condition\": 1, \"_partial_if\": true}'").unwrap();
        assert_eq!(sql.check_new(), Ok(()));
    }

    #[test]
    fn names_fit_an_index() {
        let long = "é".repeat(1_001);
        let refused = Error::TooLong { what: "Signal name", bytes: 2_002 };
        assert_eq!(wait_for_signal(&long, None), Err(refused.clone()));
        assert_eq!(call("a", Some(&long)), Err(Error::TooLong { what: "label", bytes: 2_002 }));
        assert_eq!(
            (refused.sqlstate(), refused.detail().unwrap().as_str()),
            ("54000", "It has 2002 bytes; 2000 are the most.")
        );
        assert!(wait_for_signal(&long[2..], None).is_ok() && call("a", Some(&long[2..])).is_ok());
    }

    #[test]
    fn a_sequence_is_spelled_as_everyone_expects() {
        assert_eq!(
            seq("SELECT 1", "SELECT 2").unwrap(),
            r#"{"node_type":"THEN","left_node":{"node_type":"SQL","query":"SELECT 1"},"right_node":{"node_type":"SQL","query":"SELECT 2"}}"#
        );
    }

    #[test]
    fn half_an_if_becomes_whole() {
        let half = half_if("SELECT true", "SELECT 1").unwrap();
        assert_eq!(half, r#"{"condition": "SELECT true", "_partial_if": true, "then_branch": "SELECT 1"}"#);
        assert_eq!(whole_if(&half, "SELECT 2"), branch("SELECT true", "SELECT 1", "SELECT 2"));
        assert_eq!(whole_if("{}", "x"), Err(Error::NotHalfIf));
        assert_eq!(whole_if("SELECT 1", "x"), Err(Error::NotJson));
        assert_eq!(whole_if(&seq(&half, "b").unwrap(), "x"), Err(Error::NotHalfIf));
    }

    #[test]
    fn deep_chains_work_up_to_the_limit() {
        let mut chain = step("SELECT 0").unwrap();
        for _ in 0..256 {
            chain = seq(&chain, "SELECT 1").unwrap();
        }
        assert_eq!(Graph::parse(&chain).unwrap().nodes().len(), 513);
        let deeper = seq(&chain, "SELECT 1").unwrap();
        assert!(Graph::parse(&deeper).unwrap_err().to_string().contains(
            "Graph exceeds maximum nesting depth of 256. Simplify the workflow or break it into multiple instances."
        ));
    }
}
