//! What the nodes of a function have come to, worked out from what it wrote.
//!
//! Nothing is stored for a sequence or a branch: what they came to follows from their parts. Leaves, forks and nodes with a state
//! of their own have records.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Error, Graph, Kind, node_id};

/// What was written of a node: a row of the engine's.
#[derive(Debug, Deserialize)]
struct Step {
    node: u32,
    attempt: u32,
    turn: Option<String>,
    status: String,
    result: Option<String>,
    error: Option<Value>,
    #[serde(default)]
    sends: Option<u32>,
    at: String,
}

/// A line of execution that is under way.
#[derive(Debug, Deserialize)]
struct Strand {
    node: u32,
    state: String,
    #[serde(default)]
    frame: Value,
    #[serde(default)]
    outbound: Option<Outbound>,
}

/// The HTTP request that a strand waits for.
#[derive(Debug, Deserialize)]
struct Outbound {
    host: String,
    sends: u32,
    sent_at: Option<String>,
    worker: bool,
}

impl Outbound {
    /// What it waits for, in words and numbers.
    fn details(&self) -> Value {
        let waiting = match (self.sends, self.worker) {
            (_, false) => format!("no outbound worker is running to send the request to {}", self.host),
            (0, true) => format!("for the outbound worker to send the request to {}", self.host),
            (_, true) => format!("for the answer of {}", self.host),
        };
        serde_json::json!({
            "waiting": waiting, "delivery": "at-least-once", "sends": self.sends, "sent_at": self.sent_at,
        })
    }
}

/// One node, in the columns of `df.nodes`.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    node_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    right_node: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<Value>,
    inferred_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    inferred_status_from_ancestor_id: Option<String>,
}

/// What a node has come to.
#[derive(Debug, Clone, Default)]
struct State<'a> {
    status: Status,
    result: Option<&'a str>,
    error: Option<String>,
    at: Option<&'a str>,
    details: Option<Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Pending,
    Running,
    Completed,
    Failed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A JSON array with an object for each node. `steps` and `strands` are JSON arrays of rows, in the order in which they were
/// written; `status` is that of the instance.
pub fn nodes(graph: &str, status: &str, steps: Option<&str>, strands: Option<&str>) -> Result<String, Error> {
    let graph = Graph::parse(graph)?;
    let read =
        |error: serde_json::Error| Error::Argument(format!("the rows of a function cannot be read: {error}"));
    let steps: Vec<Step> = serde_json::from_str(steps.unwrap_or("[]")).map_err(read)?;
    let strands: Vec<Strand> = serde_json::from_str(strands.unwrap_or("[]")).map_err(read)?;
    let live = matches!(status, "pending" | "running");
    let reached = states(&graph, &steps, &strands, live);
    let mut rows: Vec<Row> = Vec::with_capacity(reached.len());
    for (number, (node, state)) in (0_u32..).zip(graph.nodes().iter().zip(&reached)) {
        let (left, right) = node.kind.row_children();
        let (inferred, from) = inferred(&graph, &reached, number, live);
        let result = state
            .result
            .map(str::to_owned)
            .or_else(|| state.error.as_ref().and_then(|message| serde_json::to_string(message).ok()));
        rows.push(Row {
            id: node_id(number),
            node_type: node.kind.node_type(),
            query: node.kind.row_query(),
            result_name: node.result_name.clone(),
            left_node: left.map(node_id),
            right_node: right.map(node_id),
            status: state.status.name(),
            result: result.and_then(|text| RawValue::from_string(text).ok()),
            error: state.error.clone(),
            updated_at: state.at.map(str::to_owned),
            status_details: state.details.clone(),
            inferred_status: inferred,
            inferred_status_from_ancestor_id: from.map(node_id),
        });
    }
    serde_json::to_string(&rows).map_err(read)
}

fn states<'a>(graph: &Graph, steps: &'a [Step], strands: &[Strand], live: bool) -> Vec<State<'a>> {
    let mut states: Vec<State> = vec![State::default(); graph.nodes().len()];
    for step in steps {
        let Some(state) = states.get_mut(step.node as usize) else { continue };
        let failed = step.status == "failed";
        let message = step.error.as_ref().and_then(|error| error["message"].as_str().map(str::to_owned));
        let mut details = serde_json::json!({"attempt": step.attempt});
        if let Some(turn) = &step.turn {
            details["turn"] = turn.as_str().into();
        }
        if let Some(sends) = step.sends {
            details["delivery"] = "at-least-once".into();
            let times = if graph.nodes()[step.node as usize].kind.calls_out() { "sends" } else { "begun" };
            details[times] = sends.into();
        }
        if let Some(error) = &step.error {
            details["error"] = error.clone();
        }
        *state = State {
            status: if failed { Status::Failed } else { Status::Completed },
            result: step.result.as_deref(),
            error: if failed { message } else { None },
            at: Some(step.at.as_str()),
            details: Some(details),
        };
    }
    if live {
        for strand in strands.iter().filter(|strand| strand.state != "d") {
            under_way(graph, strand, &mut states);
        }
    }
    // Children have greater numbers than their parents: from the end on, whatever is needed is there.
    for number in (0..states.len()).rev() {
        if let Some(state) = follows(graph, &states, number, live) {
            states[number] = state;
        }
    }
    losing_loops(graph, &mut states);
    states
}

/// What pg_durable says of a loop that has lost a race, and scripts look for: it is not skipped, it has failed.
fn losing_loops(graph: &Graph, states: &mut [State]) {
    for (number, node) in graph.nodes().iter().enumerate() {
        let Kind::Race { branches } = &node.kind else { continue };
        if !states[number].status.has_ended() {
            continue;
        }
        let at = states[number].at;
        for branch in branches.iter().map(|branch| *branch as usize) {
            if matches!(graph.nodes()[branch].kind, Kind::Loop { .. }) && !states[branch].status.has_ended() {
                states[branch] = State {
                    status: Status::Failed,
                    error: Some("Loop branch cancelled after losing RACE".into()),
                    at,
                    ..State::default()
                };
            }
        }
    }
}

/// Where a strand is: its node and the nodes with a state around it have not come to anything in this round.
fn under_way(graph: &Graph, strand: &Strand, states: &mut [State]) {
    let mut open: Vec<u32> = strand.frame["levels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|level| level.as_object()?.values().next()?["node"].as_u64())
        .filter_map(|node| u32::try_from(node).ok())
        .collect();
    if strand.state != "r" {
        open.push(strand.node);
    }
    for node in open {
        if graph.node(node).is_some() {
            let state = &mut states[node as usize];
            *state = State { status: Status::Running, at: state.at, ..State::default() };
        }
    }
    if let Some((child, state)) = strand.frame["child"].as_str().zip(states.get_mut(strand.node as usize)) {
        state.details = Some(serde_json::json!({"instance": child}));
    }
    if strand.state == "x"
        && let Some(state) = states.get_mut(strand.node as usize)
    {
        state.details = Some(
            serde_json::json!({"delivery": "at-least-once", "begun": strand.frame["begun"].as_u64().unwrap_or(0)}),
        );
    }
    if let Some((outbound, state)) = strand.outbound.as_ref().zip(states.get_mut(strand.node as usize)) {
        state.details = Some(outbound.details());
    }
}

/// What a node that has no records of its own came to.
fn follows<'a>(graph: &Graph, states: &[State<'a>], number: usize, live: bool) -> Option<State<'a>> {
    let at = |node: &u32| &states[*node as usize];
    let kind = &graph.nodes()[number].kind;
    let own = &states[number];
    let (decisive, last): (Vec<&State>, &State) = match kind {
        Kind::Then { left, right } => (vec![at(left)], at(right)),
        Kind::If { condition, then, otherwise } => {
            let branch = if at(then).status == Status::Pending { otherwise } else { then };
            (vec![at(condition)], at(branch))
        }
        Kind::IfRows { then, otherwise, .. } => {
            let branch = if at(then).status == Status::Pending { otherwise } else { then };
            if own.status == Status::Failed {
                return None;
            }
            (vec![], at(branch))
        }
        Kind::Compensate { step, .. } => (vec![], at(step)),
        kind if own.status == Status::Pending && live => {
            let begun = kind.children().iter().any(|child| at(child).status != Status::Pending);
            return begun.then(|| State { status: Status::Running, ..State::default() });
        }
        _ => return None,
    };
    if let Some(failed) = decisive.iter().find(|state| state.status == Status::Failed) {
        return Some((*failed).clone());
    }
    if last.status.has_ended() {
        return Some(State { details: None, ..last.clone() });
    }
    let begun =
        last.status != Status::Pending || decisive.iter().any(|state| state.status != Status::Pending);
    Some(State { status: if begun && live { Status::Running } else { Status::Pending }, ..State::default() })
}

/// The status of a node in the light of what is around it: what lies unfinished under a finished node, or in an instance that has
/// ended, was skipped.
fn inferred(graph: &Graph, states: &[State], number: u32, live: bool) -> (&'static str, Option<u32>) {
    let own = states[number as usize].status;
    if own.has_ended() {
        return (own.name(), None);
    }
    let mut above = graph.nodes()[number as usize].parent;
    while let Some(node) = above {
        if states[node as usize].status.has_ended() {
            return ("skipped", Some(node));
        }
        above = graph.nodes()[node as usize].parent;
    }
    (if live { own.name() } else { "skipped" }, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;

    fn step(node: u32, status: &str, result: &str) -> Value {
        let error = (status == "failed").then(|| serde_json::json!({"message": result, "sqlstate": "22012"}));
        let result = (status != "failed").then_some(result);
        serde_json::json!({"strand": 0, "n": 0, "node": node, "attempt": 1, "turn": null, "status": status,
                           "result": result, "error": error, "at": "2026-01-01T00:00:00+00:00"})
    }

    fn statuses(graph: &str, steps: &[Value], status: &str) -> Vec<(String, String)> {
        let text = nodes(graph, status, Some(&serde_json::to_string(steps).unwrap()), None).unwrap();
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| (text(row, "status"), text(row, "inferred_status"))).collect()
    }

    #[test]
    fn what_a_failed_sequence_did_not_reach_was_skipped() {
        let graph = compose::seq("select 1/0", "select 42").unwrap();
        let found = statuses(&graph, &[step(1, "failed", "division by zero")], "failed");
        let own = |status: &str, inferred: &str| (status.to_owned(), inferred.to_owned());
        assert_eq!(found, [own("failed", "failed"), own("failed", "failed"), own("pending", "skipped")]);
    }

    #[test]
    fn what_was_cancelled_is_not_pending_for_ever() {
        let graph = compose::seq("select 1", "select 2").unwrap();
        let found = statuses(&graph, &[step(1, "completed", "{}")], "cancelled");
        let inferred: Vec<&str> = found.iter().map(|(_, inferred)| inferred.as_str()).collect();
        assert_eq!(inferred, ["skipped", "completed", "skipped"]);
    }

    #[test]
    fn a_loop_that_lost_a_race_has_failed() {
        let graph = compose::race("select 1", &compose::repeat("select 2", None).unwrap()).unwrap();
        let race = step(0, "completed", "{\"rows\":[]}");
        let found = statuses(&graph, &[step(1, "completed", "{\"rows\":[]}"), race], "completed");
        let inferred: Vec<&str> = found.iter().map(|(_, inferred)| inferred.as_str()).collect();
        assert_eq!(inferred, ["completed", "completed", "failed", "skipped"]);
    }

    #[test]
    fn the_branch_that_was_not_taken_was_skipped() {
        let graph = compose::branch("select true", "select 1", "select 2").unwrap();
        let found = statuses(
            &graph,
            &[step(1, "completed", "{}"), step(2, "completed", "{\"rows\":[]}")],
            "completed",
        );
        let inferred: Vec<&str> = found.iter().map(|(_, inferred)| inferred.as_str()).collect();
        assert_eq!(inferred, ["completed", "completed", "completed", "skipped"]);
    }
}
