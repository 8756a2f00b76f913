//! What a durable function does: the reference for tests of the engine.
//!
//! [`run`] walks a graph by plain recursion, in a time of its own, in a [`World`] that says how each leaf ends and how
//! long it takes. It knows no rows, no crash and no parallelism but this: branches begin at the same moment, and who is
//! first is decided by the clock. An engine agrees when it gives the same outcome, statuses and order for the same world.
//!
//! | node | what happens |
//! |---|---|
//! | JOIN, MAP | all are waited for; in branch order the first that failed or broke decides. After a failure a MAP begins no further row |
//! | RACE, FIRST | what the losers have not begun when it is decided, they never begin; what they have not ended stays running |
//! | LOOP | body, then condition; an iteration that waited for nothing takes at least [`Limits::loop_millis`] |
//! | TIMEOUT | what was bound before the time was up is gone with the step |
//! | RETRY | the undos of a failed attempt run; then the pause, then the next, which sees what the failed one had bound |
//! | CATCH | the undos of the failed step run, then the handler, which sees `$error` and what the step had bound |
//! | COMPENSATE | a step that succeeded registers its undo, with the results of that moment. A failure that reaches a RETRY, a CATCH, the root of a CALL or of the instance runs what was registered below it, latest first; an undo that fails stops nothing, its words are added to the failure |
//! | CALL | results go in as into a branch; only its own result comes out; a break does not leave it |
//!
//! **Scope**: branches work on a copy of the results; JOIN takes over, in branch order, what those that succeeded bound, RACE and
//! FIRST what the one that decided bound, MAP nothing. A loop at the root starts each iteration with none.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::explain::Status;
use crate::graph::{Graph, node_id};
use crate::kind::Kind;
use crate::substitute::{self, Named, Prepared, Scope};
use crate::value::{self, FAILURE, Failure};

/// How a leaf ends, and after how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its duration.
    pub millis: u64,
    /// Its result, or what went wrong.
    pub outcome: Result<Named, Failure>,
}

/// Everything outside the graph.
pub trait World {
    /// A statement; `visit` counts the runs of this node from 0.
    fn sql(&mut self, node: u32, visit: u32, statement: &Prepared) -> Step;
    /// A request.
    fn http(&mut self, node: u32, visit: u32) -> Step;
    /// How long until a signal is there and what it says, JSON; None: never.
    fn signal(&mut self, node: u32, visit: u32) -> Option<(u64, String)>;
    /// How long until the next tick.
    fn schedule(&mut self, node: u32, visit: u32) -> u64;
}

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The least duration of an iteration that waited for nothing.
    pub loop_millis: u64,
    /// The most iterations of one loop.
    pub iterations: u32,
    /// What has not ended by then never ends.
    pub horizon: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { loop_millis: 1_000, iterations: 100_000, horizon: 86_400_000 }
    }
}

/// What has become of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Result or failure; None when it never ends.
    pub outcome: Option<Result<String, Failure>>,
    /// Of every node, derived.
    pub statuses: Vec<Status>,
    /// The leaves in the order in which they began: time and node.
    pub order: Vec<(u64, u32)>,
    /// When it ended.
    pub at: u64,
    /// The moments at which something decided a fork whose other branches had not ended. Whether one of those began something at that very
    /// moment is nobody's promise.
    pub decided: BTreeSet<u64>,
}

/// Runs a graph.
pub fn run(graph: &Graph, vars: &BTreeMap<String, String>, limits: Limits, world: &mut dyn World) -> Report {
    let mut run = Run {
        graph,
        vars,
        limits,
        world,
        log: Vec::new(),
        visits: BTreeMap::new(),
        undos: Vec::new(),
        waits: 0,
        decided: BTreeSet::new(),
    };
    let end = run.instance(0, 0, &mut Results::default());
    run.log.sort_by_key(|event| event.at);
    let statuses = run.statuses();
    let leaf = |node: u32| graph.node(node).is_some_and(|node| node.kind.children().is_empty());
    let order = run
        .log
        .iter()
        .filter(|event| event.what == What::Begin && leaf(event.node))
        .map(|event| (event.at, event.node));
    Report {
        outcome: match end.how {
            How::Done(result) => Some(Ok(result.json)),
            How::Failed(failure) => Some(Err(failure)),
            How::Broke(_) | How::Never => None,
        },
        statuses,
        order: order.collect(),
        at: end.at,
        decided: run.decided,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Begin,
    Complete,
    Fail,
    /// A new iteration or attempt: what was, counts no more.
    Reset,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    at: u64,
    node: u32,
    what: What,
}

struct Undo {
    at: u64,
    node: u32,
    results: Results,
}

#[derive(Debug, Clone)]
enum How {
    Done(Named),
    Failed(Failure),
    Broke(String),
    Never,
}

struct End {
    at: u64,
    how: How,
}

/// The results with names, and which of them were bound here.
#[derive(Debug, Clone, Default)]
struct Results {
    named: BTreeMap<String, Named>,
    bound: BTreeSet<String>,
}

impl Results {
    fn bind(&mut self, name: &str, result: Named) {
        self.named.insert(name.to_owned(), result);
        self.bound.insert(name.to_owned());
    }

    fn copy(&self) -> Self {
        Self { named: self.named.clone(), bound: BTreeSet::new() }
    }

    fn merge(&mut self, branch: &Self) {
        for name in &branch.bound {
            if let Some(result) = branch.named.get(name) {
                self.bind(name, result.clone());
            }
        }
    }
}

fn plain(json: String) -> Named {
    Named { json, columns: None }
}

fn failed(message: String, sqlstate: &str) -> How {
    How::Failed(Failure { message, sqlstate: Some(sqlstate.into()), ..Failure::default() })
}

fn prefixed(prefix: &str, mut failure: Failure) -> How {
    failure.message.insert_str(0, prefix);
    How::Failed(failure)
}

struct Run<'a> {
    graph: &'a Graph,
    vars: &'a BTreeMap<String, String>,
    limits: Limits,
    world: &'a mut dyn World,
    log: Vec<Event>,
    visits: BTreeMap<u32, u32>,
    undos: Vec<Undo>,
    /// How many waits there were: an iteration with one needs no pace.
    waits: u64,
    /// See [`Report::decided`].
    decided: BTreeSet<u64>,
}

impl Run<'_> {
    /// A root: of the instance or of a CALL.
    fn instance(&mut self, root: u32, at: u64, results: &mut Results) -> End {
        let undos = self.undos.len();
        let mut end = self.node(root, at, results);
        if let How::Broke(_) = end.how {
            end.how = failed(
                "df.break() was called outside of a loop. df.break() may only be used inside df.loop()."
                    .into(),
                "22023",
            );
        }
        if let How::Failed(failure) = &mut end.how {
            end.at = self.undo(undos, end.at, failure);
        }
        if end.at >= self.limits.horizon {
            end.how = How::Never;
        }
        self.undos.truncate(undos);
        end
    }

    /// Runs the undos from `keep` on, latest first.
    fn undo(&mut self, keep: usize, mut at: u64, why: &mut Failure) -> u64 {
        let mut due = self.undos.split_off(keep);
        due.sort_by_key(|undo| undo.at);
        while let Some(mut undo) = due.pop() {
            let nested = self.undos.len();
            let end = self.node(undo.node, at, &mut undo.results);
            at = if matches!(end.how, How::Never) { u64::MAX } else { end.at };
            if let How::Failed(failure) = end.how {
                why.message.push_str("; undoing failed: ");
                why.message.push_str(&failure.message);
            }
            self.undos.truncate(nested);
        }
        at
    }

    fn event(&mut self, at: u64, node: u32, what: What) {
        self.log.push(Event { at, node, what });
    }

    /// Everything below a node counts no more.
    fn reset(&mut self, at: u64, nodes: &[u32]) {
        let mut todo = nodes.to_vec();
        while let Some(node) = todo.pop() {
            self.event(at, node, What::Reset);
            todo.extend(self.graph.node(node).map(|node| node.kind.children()).unwrap_or_default());
        }
    }

    /// Of what was logged and registered in these places only what came before `at` has happened.
    fn cut(&mut self, log: std::ops::Range<usize>, undos: std::ops::Range<usize>, at: u64) {
        self.decided.extend([at.saturating_sub(1), at]);
        let mut place = 0;
        // Only leaves are counted, each once for each time that it began.
        let visits = &mut self.visits;
        self.log.retain(|event| {
            place += 1;
            let gone = log.contains(&(place - 1)) && event.at >= at;
            if let (true, What::Begin, Some(count)) = (gone, event.what, visits.get_mut(&event.node)) {
                *count -= 1;
            }
            !gone
        });
        place = 0;
        self.undos.retain(|undo| {
            place += 1;
            !(undos.contains(&(place - 1)) && undo.at >= at)
        });
    }

    fn node(&mut self, number: u32, at: u64, results: &mut Results) -> End {
        if at >= self.limits.horizon {
            return End { at, how: How::Never };
        }
        let graph = self.graph;
        let Some(node) = graph.node(number) else { return End { at, how: How::Never } };
        self.event(at, number, What::Begin);
        let mut end = self.kind(number, &node.kind, at, results);
        if end.at >= self.limits.horizon {
            end.how = How::Never;
        }
        match &end.how {
            How::Done(result) => {
                let binds =
                    !matches!(node.kind, Kind::Sleep { .. } | Kind::WaitSchedule { .. } | Kind::Break { .. });
                if let (Some(name), true) = (&node.result_name, binds) {
                    results.bind(name, result.clone());
                }
                if let Kind::Compensate { undo, .. } = &node.kind {
                    self.undos.push(Undo { at: end.at, node: *undo, results: results.clone() });
                }
                self.event(end.at, number, What::Complete);
            }
            How::Broke(_) => self.event(end.at, number, What::Complete),
            How::Failed(_) => self.event(end.at, number, What::Fail),
            How::Never => {}
        }
        if let How::Failed(failure) = &mut end.how {
            failure.node_id.get_or_insert_with(|| node_id(number));
        }
        end
    }

    fn visit(&mut self, node: u32) -> u32 {
        let count = self.visits.entry(node).or_default();
        *count += 1;
        *count - 1
    }

    fn kind(&mut self, number: u32, kind: &Kind, at: u64, results: &mut Results) -> End {
        match kind {
            Kind::Then { left, right } => {
                let first = self.node(*left, at, results);
                match first.how {
                    How::Done(_) => self.node(*right, first.at, results),
                    _ => first,
                }
            }
            Kind::If { condition, then, otherwise } => {
                let judged = self.node(*condition, at, results);
                match judged.how {
                    How::Done(result) => {
                        let branch = if value::is_true(&result.json) { *then } else { *otherwise };
                        self.node(branch, judged.at, results)
                    }
                    _ => judged,
                }
            }
            Kind::IfRows { name, then, otherwise } => match results.named.get(name) {
                None => End { at, how: failed(format!("df.if_rows: result '{name}' not found"), "22023") },
                Some(result) => match value::row_count(&result.json) {
                    Some(count) => self.node(if count > 0 { *then } else { *otherwise }, at, results),
                    None => End {
                        at,
                        how: failed(
                            format!("df.if_rows: result '{name}' is not a SQL result (missing row_count)"),
                            "22023",
                        ),
                    },
                },
            },
            Kind::Join { branches } => self.join(branches, at, results),
            Kind::Race { branches } => self.race(branches, at, results, false),
            Kind::First { branches } => self.race(branches, at, results, true),
            Kind::Loop { body, condition } => self.repeat(number, *body, *condition, at, results),
            Kind::Retry { step, policy } => self.retry(*step, policy, at, results),
            Kind::Catch { step, handler } => self.catch(*step, *handler, at, results),
            Kind::Timeout { step, millis } => {
                let (log, undos) = (self.log.len(), self.undos.len());
                let mut inside = results.copy();
                let end = self.node(*step, at, &mut inside);
                let deadline = at.saturating_add(*millis);
                if end.at <= deadline && !matches!(end.how, How::Never) {
                    results.merge(&inside);
                    return end;
                }
                self.cut(log..self.log.len(), undos..self.undos.len(), deadline + 1);
                let message = format!("Timeout after {}s", crate::kind::seconds(*millis));
                End { at: deadline, how: failed(message, "57014") }
            }
            Kind::Map { source, item, body, concurrency } => {
                self.map((*source, item, *body), *concurrency as usize, at, results)
            }
            Kind::Call { child, .. } => {
                let mut inside = results.copy();
                self.instance(*child, at, &mut inside)
            }
            Kind::Compensate { step, .. } => self.node(*step, at, results),
            leaf => self.leaf(number, leaf, at, results),
        }
    }

    fn leaf(&mut self, number: u32, kind: &Kind, at: u64, results: &Results) -> End {
        let visit = self.visit(number);
        let done =
            |millis: u64, json: String| End { at: at.saturating_add(millis), how: How::Done(plain(json)) };
        let step = match kind {
            Kind::Sql { query } => {
                let scope = Scope {
                    instance_id: "00000000",
                    label: None,
                    vars: self.vars,
                    results: &results.named,
                    conforming_strings: true,
                };
                match substitute::prepare(query, &scope) {
                    Ok(statement) => self.world.sql(number, visit, &statement),
                    Err(error) => return End { at, how: failed(error.to_string(), error.sqlstate()) },
                }
            }
            Kind::Http(_) | Kind::HttpMultipart { .. } => self.world.http(number, visit),
            Kind::Break { value } => {
                return End { at, how: How::Broke(value::break_result(value.as_deref())) };
            }
            Kind::Sleep { millis } => {
                self.waits += 1;
                return done(*millis, value::sleep_result(*millis));
            }
            Kind::WaitSchedule { .. } => {
                self.waits += 1;
                return done(self.world.schedule(number, visit), value::schedule_result());
            }
            Kind::Signal { name, timeout_millis } => {
                self.waits += 1;
                return match (self.world.signal(number, visit), timeout_millis) {
                    (Some((after, data)), limit) if limit.is_none_or(|limit| after <= limit) => {
                        done(after, value::signal_result(name, Some(&data)))
                    }
                    (_, Some(limit)) => done(*limit, value::signal_result(name, None)),
                    _ => End { at, how: How::Never },
                };
            }
            // The rest has children.
            _ => return End { at, how: How::Never },
        };
        let how = match step.outcome {
            Ok(result) => How::Done(result),
            Err(failure) => How::Failed(failure),
        };
        End { at: at.saturating_add(step.millis), how }
    }

    fn join(&mut self, branches: &[u32], at: u64, results: &mut Results) -> End {
        let mut ends = Vec::new();
        for branch in branches {
            let mut inside = results.copy();
            let end = self.node(*branch, at, &mut inside);
            ends.push((end, inside));
        }
        let last = ends.iter().map(|(end, _)| end.at).max().unwrap_or(at);
        for (end, inside) in &ends {
            if matches!(end.how, How::Done(_)) {
                results.merge(inside);
            }
        }
        let how = gather(ends.into_iter().map(|(end, _)| end.how), "JOIN branch");
        End { at: last, how }
    }

    fn race(&mut self, branches: &[u32], at: u64, results: &mut Results, success: bool) -> End {
        let mut ends = Vec::new();
        for (place, branch) in branches.iter().enumerate() {
            let (log, undos) = (self.log.len(), self.undos.len());
            let mut inside = results.copy();
            let end = self.node(*branch, at, &mut inside);
            ends.push((place, end, inside, log..self.log.len(), undos..self.undos.len()));
        }
        let ended = || ends.iter().filter(|(_, end, ..)| !matches!(end.how, How::Never));
        // The first by the clock, then by its place. When none succeeds, the last failure is the outcome.
        let won = |end: &End| !success || !matches!(end.how, How::Failed(_));
        let winner = ended().filter(|(_, end, ..)| won(end)).min_by_key(|(place, end, ..)| (end.at, *place));
        let all_ended = ends.iter().all(|(_, end, ..)| !matches!(end.how, How::Never));
        let decided = match winner {
            Some((place, ..)) => Some(*place),
            None if all_ended => {
                ended().max_by_key(|(place, end, ..)| (end.at, *place)).map(|(place, ..)| *place)
            }
            None => None,
        };
        let Some(decided) = decided else { return End { at, how: How::Never } };
        let moment = ends[decided].1.at;
        // From the back, so that the ranges in front stay right.
        for (place, _, _, log, undos) in ends.iter().rev() {
            // At one moment the branches in front come first.
            match place.cmp(&decided) {
                Ordering::Less => self.cut(log.clone(), undos.clone(), moment + 1),
                Ordering::Equal => {}
                Ordering::Greater => self.cut(log.clone(), undos.clone(), moment),
            }
        }
        let (place, end, inside, ..) = ends.swap_remove(decided);
        results.merge(&inside);
        let how = match end.how {
            How::Failed(failure) if success => prefixed("every branch failed; the last: ", failure),
            How::Failed(failure) => {
                let which = match (branches.len(), place) {
                    (2, 0) => "left branch".to_owned(),
                    (2, _) => "right branch".to_owned(),
                    _ => format!("branch {}", place + 1),
                };
                prefixed(&format!("RACE {which} failed: "), failure)
            }
            how => how,
        };
        End { at: moment, how }
    }

    fn repeat(
        &mut self,
        number: u32,
        body: u32,
        condition: Option<u32>,
        mut at: u64,
        results: &mut Results,
    ) -> End {
        let root = number == 0;
        let below: Vec<u32> = condition.into_iter().chain([body]).collect();
        let fail = |failure| {
            if root { How::Failed(failure) } else { prefixed("Loop sub-orchestration failed: ", failure) }
        };
        for iteration in 0..self.limits.iterations {
            if iteration > 0 {
                self.reset(at, &below);
            }
            if root {
                *results = Results::default();
            }
            let (begun, waits) = (at, self.waits);
            let mut last = self.node(body, at, results);
            let mut ended = condition.is_some();
            let mut result = None;
            if let (How::Done(done), Some(condition)) = (&last.how, condition) {
                result = Some(done.clone());
                last = self.node(condition, last.at, results);
                if let How::Done(judged) = &last.how {
                    ended = !value::is_true(&judged.json);
                }
            }
            at = last.at;
            match last.how {
                How::Done(done) if ended => {
                    return End { at, how: How::Done(result.unwrap_or(done)) };
                }
                How::Done(_) => {}
                How::Broke(value) => return End { at, how: How::Done(plain(value)) },
                How::Failed(failure) => return End { at, how: fail(failure) },
                How::Never => return End { at, how: How::Never },
            }
            if self.waits == waits {
                at = at.max(begun.saturating_add(self.limits.loop_millis));
            }
        }
        let message = format!(
            "Loop exceeded maximum iteration count of {}. Use df.break() to exit the loop or restructure the workflow.",
            self.limits.iterations
        );
        End { at, how: failed(message, "54000") }
    }

    fn retry(&mut self, step: u32, policy: &crate::Retry, mut at: u64, results: &mut Results) -> End {
        let mut attempt = 1;
        loop {
            let undos = self.undos.len();
            let mut end = self.node(step, at, results);
            if let How::Done(result) = &end.how
                && let Some(status) = policy.refused(&result.json)
            {
                let failure = Failure {
                    message: format!("HTTP status {status}"),
                    status: Some(status),
                    ..Failure::default()
                };
                end.how = How::Failed(failure);
            }
            let again = match &end.how {
                How::Failed(failure) if policy.covers(failure.sqlstate.as_deref(), failure.status) => {
                    policy.pause(attempt, 0.0)
                }
                _ => None,
            };
            let (Some(pause), How::Failed(failure)) = (again, &mut end.how) else { return end };
            at = self.undo(undos, end.at, failure).saturating_add(pause);
            attempt += 1;
            if at >= self.limits.horizon {
                return End { at, how: How::Never };
            }
            self.reset(at, &[step]);
        }
    }

    fn catch(&mut self, step: u32, handler: u32, at: u64, results: &mut Results) -> End {
        let undos = self.undos.len();
        let end = self.node(step, at, results);
        let How::Failed(mut failure) = end.how else { return end };
        let at = self.undo(undos, end.at, &mut failure);
        // It is the handler's: before and after it the name is what it was.
        let (named, bound) = (results.named.get(FAILURE).cloned(), results.bound.contains(FAILURE));
        results.bind(FAILURE, plain(failure.to_result()));
        let end = self.node(handler, at, results);
        results.named.remove(FAILURE);
        results.named.extend(named.map(|before| (FAILURE.to_owned(), before)));
        if !bound {
            results.bound.remove(FAILURE);
        }
        end
    }

    fn map(
        &mut self,
        (source, item, body): (u32, &str, u32),
        concurrency: usize,
        at: u64,
        results: &mut Results,
    ) -> End {
        let from = self.node(source, at, results);
        let How::Done(result) = &from.how else { return from };
        let Some(rows) = value::rows(&result.json) else {
            let message = "df.map: the result of its query is no row set".to_owned();
            return End { at: from.at, how: failed(message, "22023") };
        };
        // When each lane is free again; a row takes the first that is.
        let mut lanes = vec![from.at; concurrency.min(rows.len()).max(1)];
        let mut failed_at = u64::MAX;
        let mut ends = Vec::new();
        for row in rows {
            let (lane, begin) = lanes
                .iter()
                .copied()
                .enumerate()
                .min_by_key(|(lane, free)| (*free, *lane))
                .unwrap_or((0, from.at));
            if begin >= failed_at {
                break;
            }
            let mut inside = results.copy();
            inside.named.insert(item.to_owned(), Named { json: row, columns: result.columns.clone() });
            let end = self.node(body, begin, &mut inside);
            if matches!(end.how, How::Failed(_) | How::Broke(_)) {
                failed_at = failed_at.min(end.at);
            }
            lanes[lane] = if matches!(end.how, How::Never) { u64::MAX } else { end.at };
            ends.push(end);
        }
        let last = ends.iter().map(|end| end.at).max().unwrap_or(from.at);
        End { at: last, how: gather(ends.into_iter().map(|end| end.how), "MAP item") }
    }

    /// The derived status of every node.
    fn statuses(&self) -> Vec<Status> {
        let nodes = self.graph.nodes();
        let mut own = vec![Status::Pending; nodes.len()];
        // By time: of a MAP's rows the latest counts.
        for event in &self.log {
            own[event.node as usize] = match event.what {
                What::Begin => Status::Running,
                What::Complete => Status::Completed,
                What::Fail => Status::Failed,
                What::Reset => Status::Pending,
            };
        }
        let finished = |status: Status| matches!(status, Status::Completed | Status::Failed);
        let mut under = vec![false; nodes.len()];
        for (number, node) in nodes.iter().enumerate() {
            // A parent's number is smaller.
            if let Some(parent) = node.parent {
                under[number] = under[parent as usize] || finished(own[parent as usize]);
            }
        }
        own.into_iter()
            .zip(under)
            .map(|(status, under)| if under && !finished(status) { Status::Skipped } else { status })
            .collect()
    }
}

/// All ends of a JOIN or MAP as one.
fn gather(ends: impl Iterator<Item = How>, what: &str) -> How {
    let mut results = Vec::new();
    let mut decided = None;
    for (place, how) in ends.enumerate() {
        match how {
            How::Never => return How::Never,
            How::Done(result) => results.push(result.json),
            how => {
                decided.get_or_insert((place, how));
            }
        }
    }
    match decided {
        None => How::Done(plain(value::array(&results))),
        Some((place, How::Failed(failure))) => prefixed(&format!("{what} {} failed: ", place + 1), failure),
        Some((_, how)) => how,
    }
}

/// A world that is written down: for each node its steps in order, the last for ever.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// By node.
    pub steps: BTreeMap<u32, Vec<Step>>,
    /// For nodes without steps.
    pub otherwise: Option<Step>,
    /// When signals come, for all waits.
    pub signal: Option<(u64, String)>,
    /// Until the next tick, for all schedules.
    pub tick: u64,
}

impl Script {
    fn step(&self, node: u32, visit: u32) -> Step {
        let listed = self.steps.get(&node).and_then(|steps| steps.get(visit as usize).or(steps.last()));
        listed.or(self.otherwise.as_ref()).cloned().unwrap_or_else(|| Step {
            millis: 1,
            outcome: Ok(plain(format!("{{\"rows\":[{{\"node\":{node}}}],\"row_count\":1}}"))),
        })
    }
}

impl World for Script {
    fn sql(&mut self, node: u32, visit: u32, _: &Prepared) -> Step {
        self.step(node, visit)
    }

    fn http(&mut self, node: u32, visit: u32) -> Step {
        self.step(node, visit)
    }

    fn signal(&mut self, _: u32, _: u32) -> Option<(u64, String)> {
        self.signal.clone()
    }

    fn schedule(&mut self, _: u32, _: u32) -> u64 {
        self.tick
    }
}

#[cfg(test)]
mod tests;
