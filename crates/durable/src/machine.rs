//! What comes next: the semantics of durable functions as a pure state machine.
//!
//! **How it works.** A function runs as *strands*, lines of execution. Strand 0 is the function; each branch of a fork (JOIN,
//! RACE, FIRST, TIMEOUT, MAP) is a strand of its own. A strand is at one node; what it has to remember beside that is its
//! [`Frame`]. [`Machine::enter`] goes down from a node to the leaf that is to be executed; [`Machine::finished`] takes what became of a leaf and
//! goes up, and down again, to the next one. [`resolve`] says whether a fork is decided by what its branches have come to.
//!
//! **Invariants**
//! * Nothing here reads a clock, a table or a random number: whoever calls gives the time and keeps the results.
//! * A frame has one [`Level`] for each node around its position, within the strand, that has a state of its own; outermost first.
//! * The work of one call does not depend on what ran before it: no history is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::{self, Failure};
use crate::{Graph, Kind, node_id};

/// A node, by its number in the [`Graph`].
pub type NodeId = u32;

/// Microseconds; the zero does not matter here.
pub type Time = i64;

/// Where a result is kept: the n-th record of a strand of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record(pub i32, pub i32);

/// A result: a reference to where it is kept, or itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// It is kept there.
    Kept(Record),
    /// JSON text.
    Json(String),
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It has a result.
    #[serde(rename = "d")]
    Done(Value),
    /// It failed.
    #[serde(rename = "f")]
    Failed(Failure),
    /// A break is on its way up to the nearest loop.
    #[serde(rename = "b")]
    Break(Value),
}

/// The state of a node around the position of a strand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// A loop.
    #[serde(rename = "l")]
    Loop {
        /// The node.
        node: NodeId,
        /// The iteration, from 1.
        turn: u32,
        /// When it began.
        began: Time,
        /// Whether something in it waited: then it needs no pace.
        #[serde(default)]
        waited: bool,
        /// What its body gave last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// A step that is tried again.
    #[serde(rename = "r")]
    Retry {
        /// The node.
        node: NodeId,
        /// The attempt, from 1.
        attempt: u32,
        /// How many undo steps there were before.
        mark: usize,
    },
    /// A body for every row.
    #[serde(rename = "m")]
    Map {
        /// The node.
        node: NodeId,
        /// The rows.
        rows: Value,
        /// For how many of them a branch has begun.
        started: usize,
        /// How many there are; not known in frames that an older version wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<usize>,
    },
    /// A step whose failure is caught.
    #[serde(rename = "c")]
    Catch {
        /// The node.
        node: NodeId,
        /// The handler is running.
        #[serde(default)]
        handling: bool,
        /// How many undo steps there were before.
        mark: usize,
        /// What the name of the failure was before the handler.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Value>,
    },
}

impl Level {
    fn node(&self) -> NodeId {
        match self {
            Self::Loop { node, .. }
            | Self::Retry { node, .. }
            | Self::Catch { node, .. }
            | Self::Map { node, .. } => *node,
        }
    }
}

/// A step that can be undone, with the names as they were when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    node: NodeId,
    names: BTreeMap<String, Value>,
}

/// Undoing, in reverse order, what was done before a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwinding {
    /// The failure that began it.
    failure: Failure,
    /// The node that failed, from which it goes on up when all is undone.
    at: NodeId,
    /// Down to how many undo steps.
    mark: usize,
    /// The names to go on with.
    names: BTreeMap<String, Value>,
    /// How many undo steps were left when the one that is running began: what it could undo itself goes with it.
    #[serde(default)]
    left: usize,
    /// The undoing in whose step this one began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outer: Option<Box<Unwinding>>,
}

/// What a strand remembers beside its position.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frame {
    /// How many records the strand has written.
    pub n: i32,
    /// Named results.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Value>,
    /// Of a called function that is a loop: the names that it was given, with which each iteration begins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, Value>,
    /// Nodes around the position that have a state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
    /// What can be undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undos: Vec<Undo>,
    /// Of a branch: the iterations of the loops around its fork, as [`Frame::turn`] writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<String>,
    /// Of a branch: the attempt of the step around its fork that is tried again; 0: the first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tried: u32,
    /// Undoing is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwinding: Option<Box<Unwinding>>,
    /// Something in it has waited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slept: bool,
    /// How many of its branches have not ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pending: usize,
    /// The number of the first of its branches. What has a lower one was begun for an earlier fork, and decides nothing in this.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first: i32,
    /// The instance that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
    /// How often the node was begun that is run at top level.
    #[serde(default, skip_serializing_if = "is_default")]
    pub begun: u32,
    /// What the strand came to, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Box<Outcome>>,
    /// Of a branch that failed: where it was before, for whoever keeps strands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
}

impl Frame {
    /// The iterations of the loops around the position, outermost first; `None` outside loops.
    pub fn turn(&self) -> Option<String> {
        let own = self.levels.iter().filter_map(|level| match level {
            Level::Loop { turn, .. } => Some(turn.to_string()),
            Level::Retry { .. } | Level::Catch { .. } | Level::Map { .. } => None,
        });
        let turns: Vec<String> = self.around.iter().cloned().chain(own).collect();
        (!turns.is_empty()).then(|| turns.join("."))
    }

    /// The attempt of the innermost step around the position that is tried again, from 1.
    pub fn attempt(&self) -> u32 {
        self.levels
            .iter()
            .rev()
            .find_map(|level| match level {
                Level::Retry { attempt, .. } => Some(*attempt),
                Level::Loop { .. } | Level::Catch { .. } | Level::Map { .. } => None,
            })
            .unwrap_or(self.tried.max(1))
    }

    /// Something waited: the loops around it need no pace in this iteration.
    pub fn waited(&mut self) {
        self.slept = true;
        for level in &mut self.levels {
            if let Level::Loop { waited, .. } = level {
                *waited = true;
            }
        }
    }

    /// Steps around the position that are tried again have all their attempts again.
    pub fn try_again(&mut self) {
        for level in &mut self.levels {
            if let Level::Retry { attempt, .. } = level {
                *attempt = 1;
            }
        }
    }

    /// The frame of a new branch: it sees the names there are, and has its own from there on.
    #[must_use]
    pub fn branch(&self) -> Self {
        let attempt = self.attempt();
        let tried = if attempt > 1 { attempt } else { 0 };
        Self { names: self.names.clone(), around: self.turn(), tried, ..Self::default() }
    }

    fn pop(&mut self, node: NodeId) -> Option<Level> {
        if self.levels.last().is_some_and(|level| level.node() == node) { self.levels.pop() } else { None }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where a strand goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// To a leaf, to be executed.
    Leaf(NodeId),
    /// To a node that is to be entered at a time.
    Later(NodeId, Time),
    /// To a fork: its branches begin.
    Fork(NodeId),
    /// Nowhere: this is what the strand came to.
    End(Outcome),
}

/// What a call needs from outside.
pub trait World {
    /// The JSON text of a result.
    fn json(&mut self, value: &Value) -> String;
    /// At most so many rows of a row set, from that one on, each as a result of its own. A map asks for all of its rows so, a few at a
    /// time.
    fn rows(&mut self, value: &Value, from: usize, most: usize) -> Vec<String> {
        value::rows(&self.json(value)).unwrap_or_default().into_iter().skip(from).take(most).collect()
    }
    /// The JSON array of what branches came to, or why there is none: it may be too large.
    fn array(&mut self, values: &[Value]) -> Result<String, Failure> {
        let texts: Vec<String> = values.iter().map(|value| self.json(value)).collect();
        Ok(value::array(&texts))
    }
    /// A number in 0 … 1, for jitter.
    fn random(&mut self) -> f64;
    /// A node with a state of its own came to something: a loop, a step that is tried again, one that is caught, a break.
    fn gave(&mut self, frame: &mut Frame, node: NodeId, outcome: &Outcome);
}

/// Settings of loops.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Least time of an iteration that waited for nothing.
    pub interval: Time,
    /// Most iterations.
    pub turns: u32,
}

/// One strand of one instance, for the length of a call.
pub struct Machine<'a, W> {
    /// The function.
    pub graph: &'a Graph,
    /// Where the strand began.
    pub base: NodeId,
    /// What it remembers.
    pub frame: &'a mut Frame,
    /// The outside.
    pub world: &'a mut W,
    /// Now.
    pub now: Time,
    /// Settings of loops.
    pub pace: Pace,
}

impl<'a, W: World> Machine<'a, W> {
    /// What a node does. Numbers of nodes come from the graph and from positions that were in it: none is out of range.
    fn kind(&self, node: NodeId) -> &'a Kind {
        &self.graph.nodes()[node as usize].kind
    }

    fn gave(&mut self, node: NodeId, outcome: Outcome) -> Outcome {
        self.world.gave(self.frame, node, &outcome);
        outcome
    }

    /// Goes down from a node to what is to be done first.
    pub fn enter(&mut self, mut node: NodeId) -> Next {
        loop {
            node = match self.kind(node) {
                Kind::Then { left, .. } => *left,
                Kind::If { condition, .. } => *condition,
                Kind::IfRows { name, then, otherwise } => match self.has_rows(name) {
                    Ok(true) => *then,
                    Ok(false) => *otherwise,
                    Err(failure) => return self.finished(node, Outcome::Failed(failure)),
                },
                Kind::Loop { body, .. } => {
                    let began = self.now;
                    self.frame.levels.push(Level::Loop { node, turn: 1, began, waited: false, body: None });
                    *body
                }
                Kind::Retry { step, .. } => {
                    let mark = self.frame.undos.len();
                    self.frame.levels.push(Level::Retry { node, attempt: 1, mark });
                    *step
                }
                Kind::Catch { step, .. } => {
                    let mark = self.frame.undos.len();
                    self.frame.levels.push(Level::Catch { node, handling: false, mark, before: None });
                    *step
                }
                Kind::Compensate { step, .. } => *step,
                Kind::Map { source, .. } => *source,
                Kind::Break { value } => {
                    let value = value::break_result(value.as_deref());
                    let outcome = self.gave(node, Outcome::Break(Value::Json(value)));
                    return self.finished(node, outcome);
                }
                kind if is_fork(kind) => return Next::Fork(node),
                _ => return Next::Leaf(node),
            }
        }
    }

    /// Goes on from a node that came to an outcome: up to the first node that has something left to do, and down from there.
    pub fn finished(&mut self, mut node: NodeId, mut outcome: Outcome) -> Next {
        loop {
            let Some(here) = self.graph.node(node) else { return Next::End(outcome) };
            if let Outcome::Failed(failure) = &mut outcome {
                // Of all that it goes up through, the node where it began.
                failure.node_id.get_or_insert_with(|| node_id(node));
            }
            if let (Outcome::Done(value), Some(name)) = (&outcome, &here.result_name)
                && binds(&here.kind)
            {
                self.frame.names.insert(name.clone(), value.clone());
            }
            if node == self.base {
                match outcome {
                    // A branch's break goes on up; there is nothing above the root.
                    Outcome::Break(_) if self.base == 0 => {
                        let message = "df.break() was called outside of a loop. \
                                       df.break() may only be used inside df.loop().";
                        return self.finished(node, Outcome::Failed(Failure::new("22023", message)));
                    }
                    // That of a branch reaches what catches it above its fork, with what can be undone.
                    Outcome::Failed(failure) if self.base == 0 && !self.frame.undos.is_empty() => {
                        return self.unwind(node, 0, failure);
                    }
                    outcome => return Next::End(outcome),
                }
            }
            let Some(parent) = here.parent else { return Next::End(outcome) };
            outcome = match (self.kind(parent), outcome) {
                (Kind::Then { left, right }, Outcome::Done(_)) if node == *left => return self.enter(*right),
                (Kind::If { condition, then, otherwise }, Outcome::Done(value)) if node == *condition => {
                    let truth = value::is_true(&self.world.json(&value));
                    return self.enter(if truth { *then } else { *otherwise });
                }
                (Kind::Loop { body, condition }, outcome) => {
                    match self.turn(parent, node, *body, *condition, outcome) {
                        Ok(next) => return next,
                        Err(outcome) => self.gave(parent, outcome),
                    }
                }
                (Kind::Map { source, .. }, Outcome::Done(rows)) if node == *source => {
                    if let Some(count) = value::rows(&self.world.json(&rows)).map(|rows| rows.len()) {
                        self.frame.levels.push(Level::Map {
                            node: parent,
                            rows,
                            started: 0,
                            of: Some(count),
                        });
                        return Next::Fork(parent);
                    }
                    Outcome::Failed(Failure::new("22023", "df.map: the result of its query is no row set"))
                }
                (Kind::Retry { step, policy }, Outcome::Failed(failure)) => {
                    let Some(Level::Retry { attempt, mark, .. }) = self.frame.pop(parent) else {
                        return Next::End(Outcome::Failed(lost_level()));
                    };
                    let covered = policy.covers(failure.sqlstate.as_deref(), failure.status);
                    let pause = if covered { policy.pause(attempt, self.world.random()) } else { None };
                    match pause {
                        None => self.gave(parent, Outcome::Failed(failure)),
                        Some(_) if self.frame.undos.len() > mark => {
                            self.frame.levels.push(Level::Retry { node: parent, attempt, mark });
                            return self.unwind(node, mark, failure);
                        }
                        Some(millis) => {
                            self.frame.levels.push(Level::Retry { node: parent, attempt: attempt + 1, mark });
                            self.frame.waited();
                            return Next::Later(*step, self.now.saturating_add(micros(millis)));
                        }
                    }
                }
                (Kind::Catch { step, handler }, Outcome::Failed(failure)) if node == *step => {
                    let Some(Level::Catch { mark, .. }) = self.frame.pop(parent) else {
                        return Next::End(Outcome::Failed(lost_level()));
                    };
                    let level = |handling, before| Level::Catch { node: parent, handling, mark, before };
                    if self.frame.undos.len() > mark {
                        self.frame.levels.push(level(false, None));
                        return self.unwind(node, mark, failure);
                    }
                    let failure = Value::Json(failure.to_result());
                    let before = self.frame.names.insert(value::FAILURE.into(), failure);
                    self.frame.levels.push(level(true, before));
                    return self.enter(*handler);
                }
                (Kind::Retry { .. } | Kind::Catch { .. }, outcome) => {
                    if let Some(Level::Catch { handling: true, before, .. }) = self.frame.pop(parent) {
                        self.frame.names.remove(value::FAILURE);
                        self.frame.names.extend(before.map(|before| (value::FAILURE.to_owned(), before)));
                    }
                    self.gave(parent, outcome)
                }
                (Kind::Compensate { step, .. }, outcome) if node == *step => {
                    if let Outcome::Done(_) = outcome {
                        // The name of the whole is bound above; that of the step is bound already.
                        let names = self.frame.names.clone();
                        self.frame.undos.push(Undo { node: parent, names });
                    }
                    outcome
                }
                (Kind::Compensate { .. }, outcome) => return self.undone(outcome),
                (_, outcome) => outcome,
            };
            node = parent;
        }
    }

    /// An iteration's body or condition came to something: the next thing of the loop, or what the loop came to.
    fn turn(
        &mut self,
        parent: NodeId,
        node: NodeId,
        body: NodeId,
        condition: Option<NodeId>,
        outcome: Outcome,
    ) -> Result<Next, Outcome> {
        let Some(Level::Loop { turn, began, waited, body: last, .. }) = self.frame.pop(parent) else {
            return Err(Outcome::Failed(lost_level()));
        };
        let value = match outcome {
            Outcome::Break(value) => return Err(Outcome::Done(value)),
            Outcome::Failed(failure) if parent == 0 => return Err(Outcome::Failed(failure)),
            Outcome::Failed(failure) => {
                return Err(Outcome::Failed(failure.within("Loop sub-orchestration failed: ")));
            }
            Outcome::Done(value) => value,
        };
        let result = match condition {
            Some(condition) if node == body => {
                self.frame.levels.push(Level::Loop { node: parent, turn, began, waited, body: Some(value) });
                return Ok(self.enter(condition));
            }
            Some(_) if !value::is_true(&self.world.json(&value)) => {
                return Err(Outcome::Done(last.unwrap_or(value)));
            }
            _ => body,
        };
        if turn >= self.pace.turns {
            return Err(Outcome::Failed(Failure::new(
                "54000",
                format!(
                    "Loop exceeded maximum iteration count of {}. Use df.break() to exit the loop or restructure the workflow.",
                    self.pace.turns
                ),
            )));
        }
        if parent == 0 {
            self.frame.names.clone_from(&self.frame.given);
        }
        let due = if waited { self.now } else { self.now.max(began.saturating_add(self.pace.interval)) };
        self.frame.levels.push(Level::Loop {
            node: parent,
            turn: turn + 1,
            began: due,
            waited: false,
            body: None,
        });
        Ok(Next::Later(result, due))
    }

    /// Begins to undo, down to `mark`, what was done before `failure`, which is passed on at `at` when it is undone.
    fn unwind(&mut self, at: NodeId, mark: usize, failure: Failure) -> Next {
        let names = self.frame.names.clone();
        let outer = self.frame.unwinding.take();
        self.frame.unwinding = Some(Box::new(Unwinding { failure, at, mark, names, left: mark, outer }));
        self.undo()
    }

    fn undo(&mut self) -> Next {
        let Some(mut unwinding) = self.frame.unwinding.take() else {
            return Next::End(Outcome::Failed(lost_level()));
        };
        if self.frame.undos.len() > unwinding.mark
            && let Some(Undo { node, names }) = self.frame.undos.pop()
            && let Kind::Compensate { undo, .. } = self.kind(node)
        {
            let undo = *undo;
            self.frame.names = names;
            unwinding.left = self.frame.undos.len();
            self.frame.unwinding = Some(unwinding);
            return self.enter(undo);
        }
        self.frame.names = unwinding.names;
        self.frame.unwinding = unwinding.outer;
        self.finished(unwinding.at, Outcome::Failed(unwinding.failure))
    }

    /// An undo step came to something. One that failed does not keep the others from being undone; its words are kept.
    fn undone(&mut self, outcome: Outcome) -> Next {
        if let Some(unwinding) = &mut self.frame.unwinding {
            self.frame.undos.truncate(unwinding.left);
            if let Outcome::Failed(failure) = outcome {
                unwinding.failure.message.push_str("; undoing failed: ");
                unwinding.failure.message.push_str(&failure.message);
            }
        }
        self.undo()
    }

    fn has_rows(&mut self, name: &str) -> Result<bool, Failure> {
        let Some(value) = self.frame.names.get(name).cloned() else {
            return Err(Failure::new("42704", format!("df.if_rows: result '{name}' not found")));
        };
        value::row_count(&self.world.json(&value)).map(|count| count > 0).ok_or_else(|| {
            Failure::new(
                "22023",
                format!("df.if_rows: result '{name}' is not a SQL result (missing row_count)"),
            )
        })
    }
}

/// Whether the name of such a node is bound to its result: where pg_durable ignores it, so does this.
fn binds(kind: &Kind) -> bool {
    !matches!(kind, Kind::Sleep { .. } | Kind::WaitSchedule { .. } | Kind::Break { .. })
}

/// Whether its branches are strands of their own, from the start: a map's begin when its rows are there.
fn is_fork(kind: &Kind) -> bool {
    matches!(kind, Kind::Join { .. } | Kind::Race { .. } | Kind::First { .. } | Kind::Timeout { .. })
}

fn micros(millis: u64) -> Time {
    Time::try_from(millis).unwrap_or(Time::MAX).saturating_mul(1_000)
}

/// What a strand that has come to a fork starts next: branches with their numbers, the nodes at which they begin, and their
/// frames. A map's are started a few at a time: call it again when one has ended. None for a map without (more) rows.
pub fn branches<W: World>(
    graph: &Graph,
    node: NodeId,
    frame: &mut Frame,
    world: &mut W,
) -> Vec<(usize, NodeId, Frame)> {
    let Some(here) = graph.node(node) else { return Vec::new() };
    // A fork that begins has no branches yet, whatever became of those of the last one: a time-out drops them.
    if !matches!(frame.levels.last(), Some(Level::Map { node: map, started: 1.., .. }) if *map == node) {
        frame.pending = 0;
    }
    let begun = match &here.kind {
        Kind::Join { branches } | Kind::Race { branches } | Kind::First { branches } => {
            branches.iter().enumerate().map(|(number, base)| (number, *base, frame.branch())).collect()
        }
        Kind::Timeout { step, .. } => vec![(0, *step, frame.branch())],
        Kind::Map { item, body, concurrency, .. } => {
            let room = (*concurrency as usize).saturating_sub(frame.pending);
            let branch = frame.branch();
            let Some(Level::Map { rows, started, of, .. }) = frame.levels.last_mut() else {
                return Vec::new();
            };
            // Who knows that none are left does not ask for them.
            let room = of.map_or(room, |of| room.min(of.saturating_sub(*started)));
            let begun = if room == 0 { Vec::new() } else { world.rows(rows, *started, room) };
            let first = *started;
            *started += begun.len();
            (first..)
                .zip(begun)
                .map(|(number, row)| {
                    let mut frame = branch.clone();
                    frame.names.insert(item.clone(), Value::Json(row));
                    (number, *body, frame)
                })
                .collect()
        }
        _ => Vec::new(),
    };
    frame.pending += begun.len();
    begun
}

fn lost_level() -> Failure {
    Failure::new("XX000", "the state of a node was lost")
}

/// A branch of a fork, and what it came to.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Which one, from 0.
    pub number: usize,
    /// Its frame at the end; its `outcome` is `None` while it runs.
    pub frame: Frame,
}

/// What a fork came to, given all of its branches in order; `latest` is the one that has just ended. `None`: not decided yet.
/// Names and undo steps of the branches that count are taken over into `frame`.
pub fn resolve<W: World>(
    graph: &Graph,
    node: NodeId,
    frame: &mut Frame,
    mut branches: Vec<Branch>,
    latest: usize,
    world: &mut W,
) -> Option<Outcome> {
    let kind = &graph.node(node)?.kind;
    branches.sort_by_key(|branch| branch.number);
    let one = |branches: Vec<Branch>, number: usize, frame: &mut Frame| {
        let branch = branches.into_iter().find(|branch| branch.number == number)?;
        let outcome = *branch.frame.outcome?;
        frame.names = branch.frame.names;
        frame.undos.extend(branch.frame.undos);
        Some(outcome)
    };
    match kind {
        Kind::Race { branches: ids } => {
            let outcome = one(branches, latest, frame)?;
            let side = match (latest, ids.len()) {
                (0, 2) => "RACE left branch failed: ".to_owned(),
                (1, 2) => "RACE right branch failed: ".to_owned(),
                _ => format!("RACE branch {} failed: ", latest + 1),
            };
            Some(failed_within(outcome, &side))
        }
        Kind::First { .. } => {
            let succeeded = branches.iter().position(|branch| branch.number == latest).is_some_and(|n| {
                !matches!(branches[n].frame.outcome.as_deref(), None | Some(Outcome::Failed(_)))
            });
            if succeeded {
                return one(branches, latest, frame);
            }
            if branches.iter().any(|branch| branch.frame.outcome.is_none()) {
                return None;
            }
            let outcome = one(branches, latest, frame)?;
            Some(failed_within(outcome, "every branch failed; the last: "))
        }
        Kind::Timeout { .. } => one(branches, latest, frame),
        Kind::Join { .. } | Kind::Map { .. } => {
            if matches!(kind, Kind::Map { .. }) {
                frame.pop(node);
            }
            if branches.iter().any(|branch| branch.frame.outcome.is_none()) {
                return None;
            }
            let words = |number: usize| match kind {
                Kind::Map { .. } => format!("MAP item {} failed: ", number + 1),
                _ => format!("JOIN branch {} failed: ", number + 1),
            };
            // A branch began with the names of the fork: what it bound itself is what it brings back.
            let before = frame.names.clone();
            let mut results = Vec::with_capacity(branches.len());
            let mut decided = None;
            for branch in branches {
                frame.undos.extend(branch.frame.undos);
                match branch.frame.outcome.map(|outcome| *outcome) {
                    Some(Outcome::Done(value)) => {
                        if !matches!(kind, Kind::Map { .. }) {
                            let bound = branch.frame.names.into_iter();
                            frame.names.extend(bound.filter(|(name, value)| before.get(name) != Some(value)));
                        }
                        results.push(value);
                    }
                    Some(outcome) if decided.is_none() => {
                        decided = Some(failed_within(outcome, &words(branch.number)));
                    }
                    _ => {}
                }
            }
            Some(decided.unwrap_or_else(|| match world.array(&results) {
                Ok(text) => Outcome::Done(Value::Json(text)),
                Err(failure) => Outcome::Failed(failure),
            }))
        }
        _ => Some(Outcome::Failed(lost_level())),
    }
}

fn failed_within(outcome: Outcome, words: &str) -> Outcome {
    match outcome {
        Outcome::Failed(failure) => Outcome::Failed(failure.within(words)),
        other => other,
    }
}
