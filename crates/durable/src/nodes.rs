//! What the nodes of a function have come to, worked out from what it wrote.
//!
//! Nothing is stored for a sequence or a branch: what they came to follows from their parts. Leaves, forks and nodes with a state
//! of their own have records.

use std::collections::HashMap;

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
    /// The node that an executor is at right now.
    #[serde(default)]
    at: Option<u32>,
}

impl Strand {
    /// The iterations of the loops around its node.
    fn turn(&self) -> Vec<u32> {
        let around = self.frame["around"].as_str().map(iterations).unwrap_or_default();
        let levels = self.frame["levels"].as_array().into_iter().flatten();
        let own = levels.filter_map(|level| u32::try_from(level["l"]["turn"].as_u64()?).ok());
        around.into_iter().chain(own).collect()
    }
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
    /// Which record it is of, from 1; 0: of none.
    order: usize,
    /// The iterations of the loops around it, outermost first.
    turn: Vec<u32>,
    /// It is of an iteration that is over, and has not come to anything in the one that counts.
    stale: bool,
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

impl State<'_> {
    /// What it is in the iteration that counts.
    fn now(&self) -> Status {
        if self.stale { Status::Pending } else { self.status }
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
    for (step, order) in steps.iter().zip(1..) {
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
            order,
            turn: step.turn.as_deref().map(iterations).unwrap_or_default(),
            stale: false,
        };
    }
    let current = current(graph, steps, strands);
    for (number, state) in (0_u32..).zip(&mut states) {
        let loops = loops_around(graph, number);
        // Those of an older version do not say all of them.
        state.stale = state.order > 0
            && loops.len() == state.turn.len()
            && loops
                .iter()
                .enumerate()
                .any(|(n, at)| current.get(at).is_some_and(|now| state.turn[..=n] < now[..]));
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
        if !states[number].now().has_ended() {
            continue;
        }
        let at = states[number].at;
        for branch in branches.iter().map(|branch| *branch as usize) {
            if matches!(graph.nodes()[branch].kind, Kind::Loop { .. }) && !states[branch].now().has_ended() {
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

/// `3.1`: the third iteration of one loop, the first of one in it.
fn iterations(turn: &str) -> Vec<u32> {
    turn.split('.').filter_map(|number| number.parse().ok()).collect()
}

/// The loops around a node, outermost first.
fn loops_around(graph: &Graph, node: u32) -> Vec<u32> {
    let mut loops = Vec::new();
    let mut above = graph.node(node).and_then(|node| node.parent);
    while let Some(at) = above {
        let Some(node) = graph.node(at) else { break };
        if matches!(node.kind, Kind::Loop { .. }) {
            loops.push(at);
        }
        above = node.parent;
    }
    loops.reverse();
    loops
}

/// The iteration that each loop is at, or was at last, with those of the loops around it.
fn current(graph: &Graph, steps: &[Step], strands: &[Strand]) -> HashMap<u32, Vec<u32>> {
    let recorded = steps.iter().filter_map(|step| Some((step.node, iterations(step.turn.as_deref()?))));
    let under_way = strands.iter().map(|strand| (strand.node, strand.turn()));
    let mut current: HashMap<u32, Vec<u32>> = HashMap::new();
    for (node, turn) in recorded.chain(under_way) {
        let loops = loops_around(graph, node);
        if loops.len() == turn.len() {
            for (n, at) in loops.into_iter().enumerate() {
                let latest = current.entry(at).or_default();
                if latest[..] < turn[..=n] {
                    latest.clone_from(&turn[..=n].to_vec());
                }
            }
        }
    }
    current
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
    open.extend(strand.at);
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
    let ended = |branches: &[u32]| {
        let decided =
            branches.iter().map(|branch| &states[*branch as usize]).filter(|state| state.now().has_ended());
        decided.max_by_key(|state| state.order)
    };
    let (decisive, last): (Vec<&State>, &State) = match kind {
        Kind::Then { left, right } => (vec![at(left)], at(right)),
        Kind::If { condition, then, otherwise } => (vec![at(condition)], taken(at(then), at(otherwise))),
        Kind::IfRows { then, otherwise, .. } => {
            if own.now() == Status::Failed {
                return None;
            }
            (vec![], taken(at(then), at(otherwise)))
        }
        Kind::Compensate { step, .. } => (vec![], at(step)),
        // What its one branch, or the one that decided, came to is written with that.
        Kind::Race { branches } if own.now() == Status::Pending && ended(branches).is_some() => {
            (vec![], ended(branches)?)
        }
        Kind::First { branches } if own.now() == Status::Pending => {
            let done = |branch: &&u32| at(branch).now() == Status::Completed;
            match branches.iter().find(done) {
                Some(branch) => (vec![], at(branch)),
                None => return begun(states, kind, live),
            }
        }
        Kind::Timeout { step, .. } if own.now() == Status::Pending && at(step).now().has_ended() => {
            (vec![], at(step))
        }
        kind if own.now() == Status::Pending => return begun(states, kind, live),
        _ => return None,
    };
    if let Some(failed) = decisive.iter().find(|state| state.now() == Status::Failed) {
        return Some((*failed).clone());
    }
    if last.now().has_ended() {
        return Some(State { details: None, ..last.clone() });
    }
    let begun = last.now() != Status::Pending || decisive.iter().any(|state| state.now() != Status::Pending);
    Some(State { status: if begun && live { Status::Running } else { Status::Pending }, ..State::default() })
}

/// The branch that was taken: the later one, should both have been, in different attempts.
fn taken<'s, 'a>(then: &'s State<'a>, otherwise: &'s State<'a>) -> &'s State<'a> {
    match (then.now(), otherwise.now()) {
        (Status::Pending, _) => otherwise,
        (_, Status::Pending) => then,
        _ if then.order < otherwise.order => otherwise,
        _ => then,
    }
}

/// A node without a record runs if something below it has begun.
fn begun<'a>(states: &[State<'a>], kind: &Kind, live: bool) -> Option<State<'a>> {
    let begun = kind.children().iter().any(|child| states[*child as usize].now() != Status::Pending);
    (live && begun).then(|| State { status: Status::Running, ..State::default() })
}

/// The status of a node in the light of what is around it: what lies unfinished under a finished node, or in an instance that has
/// ended, was skipped.
fn inferred(graph: &Graph, states: &[State], number: u32, live: bool) -> (&'static str, Option<u32>) {
    let own = states[number as usize].now();
    if own.has_ended() {
        return (own.name(), None);
    }
    let mut above = graph.nodes()[number as usize].parent;
    while let Some(node) = above {
        if states[node as usize].now().has_ended() {
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

    fn inferred(found: &[(String, String)]) -> Vec<&str> {
        found.iter().map(|(_, inferred)| inferred.as_str()).collect()
    }

    #[test]
    fn a_fork_that_one_branch_decides_came_to_what_that_did() {
        let rows = "{\"rows\":[]}";
        let graph = compose::race("select 1", "select 2").unwrap();
        let found = statuses(&graph, &[step(2, "completed", rows)], "completed");
        assert_eq!(inferred(&found), ["completed", "skipped", "completed"]);
        let graph = compose::first(&["select 1", "select 2"]).unwrap();
        let found = statuses(&graph, &[step(1, "failed", "no"), step(2, "completed", rows)], "completed");
        assert_eq!(inferred(&found), ["completed", "failed", "completed"]);
        let found = statuses(&graph, &[step(1, "failed", "no")], "running");
        assert_eq!(inferred(&found), ["running", "failed", "pending"]);
        let graph = compose::timeout("select 1", 1_000).unwrap();
        let found = statuses(&graph, &[step(1, "completed", rows)], "completed");
        assert_eq!(inferred(&found), ["completed", "completed"]);
    }

    #[test]
    fn of_a_loop_the_last_iteration_counts() {
        let rows = "{\"rows\":[]}";
        let body =
            compose::seq("select 1", &compose::branch("select c", "select 2", "select 3").unwrap()).unwrap();
        let graph = compose::repeat(&body, Some("select d")).unwrap();
        let at = |node, turn: &str| {
            let mut step = step(node, "completed", rows);
            step["turn"] = turn.into();
            step
        };
        // Loop 0, body 1: select 1 is 3, the branch 4 with 5, 6 and 7; the condition is 2 or 8.
        let parsed = Graph::parse(&graph).unwrap();
        let number = |query: &str| {
            let is = |node: &crate::graph::GraphNode| matches!(&node.kind, Kind::Sql { query: its } if its == query);
            u32::try_from(parsed.nodes().iter().position(is).unwrap()).unwrap()
        };
        let all = |turn: &str, taken: &str| {
            ["select 1", "select c", taken, "select d"].map(|query| at(number(query), turn))
        };
        let steps =
            [all("1", "select 2").as_slice(), all("2", "select 3").as_slice(), &[step(0, "completed", rows)]]
                .concat();
        let found = statuses(&graph, &steps, "completed");
        let of = |query: &str| found[number(query) as usize].1.clone();
        assert_eq!([of("select 1"), of("select 2"), of("select 3")], ["completed", "skipped", "completed"]);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(n, (_, inferred))| n == number("select 2") as usize || inferred == "completed")
        );
        // The third has begun.
        let steps = [
            all("1", "select 3").as_slice(),
            all("2", "select 2").as_slice(),
            &[at(number("select 1"), "3")],
        ]
        .concat();
        let found = statuses(&graph, &steps, "running");
        let of = |query: &str| found[number(query) as usize].1.clone();
        assert_eq!(
            ["select 1", "select c", "select 2", "select 3"].map(of),
            ["completed", "pending", "pending", "pending"]
        );
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
