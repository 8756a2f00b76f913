//! That the state machine and the reference say the same of any function.
//!
//! The machine is driven here as an engine drives it, but in the reference's time and world: the line of execution whose
//! time has come goes on, at one moment the branch in front first.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::arbitrary::{Kinds, function};
use crate::machine::{self, Branch, Frame, Machine, Next, NodeId, Outcome, Pace, Record, Value};
use crate::semantics::{self, Limits, Script, Step};
use crate::substitute::{self, Named, Scope};
use crate::value::{self, Failure};
use crate::{Graph, Kind};

const LIMITS: Limits = Limits { loop_millis: 0, iterations: 20, horizon: 4_000_000 };

enum State {
    Ready,
    Waiting(Outcome),
    Forked,
    Done,
}

/// A line of execution.
struct Line {
    parent: Option<usize>,
    branch: usize,
    base: NodeId,
    node: NodeId,
    frame: Frame,
    state: State,
    /// In milliseconds; None: never.
    due: Option<u64>,
    /// The branches on the way from the root: what comes first at one moment.
    path: Vec<usize>,
}

#[derive(Default)]
struct Kept(Vec<Named>);

impl Kept {
    fn keep(&mut self, result: Named) -> Value {
        self.0.push(result);
        Value::Kept(Record(0, i32::try_from(self.0.len() - 1).unwrap()))
    }

    fn named(&self, value: &Value) -> Named {
        match value {
            Value::Kept(Record(_, n)) => self.0[usize::try_from(*n).unwrap()].clone(),
            Value::Json(json) => Named { json: json.clone(), columns: None },
        }
    }

    fn outcome(&mut self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done(Value::Json(json)) => Outcome::Done(self.keep(Named { json, columns: None })),
            other => other,
        }
    }
}

impl machine::World for Kept {
    fn json(&mut self, value: &Value) -> String {
        self.named(value).json
    }

    fn random(&mut self) -> f64 {
        0.0
    }

    fn gave(&mut self, _: &mut Frame, _: NodeId, _: &Outcome) {}
}

/// What a run came to: the result or the message of the failure, the leaves that began, the end.
type Came = (Option<Result<String, String>>, Vec<(u64, NodeId)>, u64);

struct Engine<'a> {
    graph: &'a Graph,
    script: Script,
    kept: Kept,
    lines: Vec<Option<Line>>,
    visits: BTreeMap<NodeId, u32>,
    order: Vec<(u64, NodeId)>,
    now: u64,
    ended: Option<Outcome>,
}

impl Engine<'_> {
    fn run(mut self) -> Came {
        while self.ended.is_none() {
            let due = self.lines.iter().enumerate().filter_map(|(place, line)| {
                let line = line.as_ref()?;
                let mut path = line.path.clone();
                if let State::Forked = line.state {
                    // A time-out comes after what its step still does at that moment.
                    path.push(usize::MAX);
                }
                Some((line.due?, path, place))
            });
            let Some((due, _, place)) = due.min() else { break };
            if due >= LIMITS.horizon {
                break;
            }
            self.now = due;
            self.go_on(place);
        }
        let outcome = self.ended.map(|outcome| match outcome {
            Outcome::Done(value) => Ok(self.kept.named(&value).json),
            Outcome::Failed(failure) => Err(failure.message),
            Outcome::Break(_) => {
                Err("df.break() was called outside of a loop. df.break() may only be used inside df.loop()."
                    .into())
            }
        });
        (outcome, self.order, self.now)
    }

    fn machine<T>(&mut self, place: usize, call: impl FnOnce(&mut Machine<'_, Kept>) -> T) -> T {
        let line = self.lines[place].as_mut().unwrap();
        let now = i64::try_from(self.now).unwrap() * 1_000;
        let loops = Pace { interval: 0, turns: LIMITS.iterations };
        let (graph, base) = (self.graph, line.base);
        call(&mut Machine { graph, base, frame: &mut line.frame, world: &mut self.kept, now, pace: loops })
    }

    fn line(&mut self, place: usize) -> &mut Line {
        self.lines[place].as_mut().unwrap()
    }

    fn go_on(&mut self, place: usize) {
        let line = self.line(place);
        let node = line.node;
        let next = match std::mem::replace(&mut line.state, State::Ready) {
            State::Ready => self.machine(place, |machine| machine.enter(node)),
            State::Waiting(outcome) => self.machine(place, |machine| machine.finished(node, outcome)),
            State::Forked => {
                self.drop_below(place);
                let Kind::Timeout { millis, .. } = &self.graph.node(node).unwrap().kind else {
                    unreachable!()
                };
                let message = format!("Timeout after {}s", crate::kind::seconds(*millis));
                let failure = Outcome::Failed(Failure::new("57014", message));
                self.machine(place, |machine| machine.finished(node, failure))
            }
            State::Done => unreachable!(),
        };
        self.follow(place, next);
    }

    fn follow(&mut self, place: usize, next: Next) {
        let now = self.now;
        match next {
            Next::Later(node, due) => {
                let line = self.line(place);
                (line.node, line.state) = (node, State::Ready);
                line.due = Some(u64::try_from(due).unwrap() / 1_000);
            }
            Next::Leaf(node) => {
                self.order.push((now, node));
                let (outcome, due) = self.leaf(place, node);
                let line = self.line(place);
                (line.node, line.state, line.due) = (node, State::Waiting(outcome), due);
            }
            Next::Fork(node) => {
                if !self.begin(place, node) {
                    let frame = &mut self.lines[place].as_mut().unwrap().frame;
                    let outcome =
                        machine::resolve(self.graph, node, frame, Vec::new(), 0, &mut self.kept).unwrap();
                    let outcome = self.kept.outcome(outcome);
                    let next = self.machine(place, |machine| machine.finished(node, outcome));
                    return self.follow(place, next);
                }
                let due = match &self.graph.node(node).unwrap().kind {
                    Kind::Timeout { millis, .. } => Some(now + millis),
                    _ => None,
                };
                let line = self.line(place);
                (line.node, line.state, line.due) = (node, State::Forked, due);
            }
            Next::End(outcome) => self.end(place, outcome),
        }
    }

    fn leaf(&mut self, place: usize, node: NodeId) -> (Outcome, Option<u64>) {
        let count = self.visits.entry(node).or_default();
        *count += 1;
        let visit = *count - 1;
        let now = self.now;
        let done = |kept: &mut Kept, after: u64, json: String| {
            (Outcome::Done(kept.keep(Named { json, columns: None })), Some(now + after))
        };
        match &self.graph.node(node).unwrap().kind {
            Kind::Sql { query } => {
                let names = &self.lines[place].as_ref().unwrap().frame.names;
                let results =
                    names.iter().map(|(name, value)| (name.clone(), self.kept.named(value))).collect();
                let vars = BTreeMap::new();
                let scope = Scope {
                    instance_id: "00000000",
                    label: None,
                    vars: &vars,
                    results: &results,
                    conforming_strings: true,
                };
                match substitute::prepare(query, &scope) {
                    Err(error) => {
                        (Outcome::Failed(Failure::new(error.sqlstate(), error.to_string())), Some(now))
                    }
                    Ok(statement) => {
                        let Step { millis, outcome } =
                            semantics::World::sql(&mut self.script, node, visit, &statement);
                        let outcome = match outcome {
                            Ok(result) => Outcome::Done(self.kept.keep(result)),
                            Err(failure) => Outcome::Failed(failure),
                        };
                        (outcome, Some(now + millis))
                    }
                }
            }
            Kind::Sleep { millis } => done(&mut self.kept, *millis, value::sleep_result(*millis)),
            Kind::WaitSchedule { .. } => {
                let tick = self.script.tick;
                done(&mut self.kept, tick, value::schedule_result())
            }
            Kind::Signal { name, timeout_millis } => match (self.script.signal.clone(), timeout_millis) {
                (Some((after, data)), limit) if limit.is_none_or(|limit| after <= limit) => {
                    done(&mut self.kept, after, value::signal_result(name, Some(&data)))
                }
                (_, Some(limit)) => done(&mut self.kept, *limit, value::signal_result(name, None)),
                _ => (Outcome::Done(Value::Json("null".into())), None),
            },
            other => unreachable!("{other:?} is no leaf of the machine"),
        }
    }

    fn begin(&mut self, place: usize, node: NodeId) -> bool {
        let line = self.lines[place].as_mut().unwrap();
        let branches = machine::branches(self.graph, node, &mut line.frame, &mut self.kept);
        let path = line.path.clone();
        for (branch, base, frame) in &branches {
            let path = [path.clone(), vec![*branch]].concat();
            self.lines.push(Some(Line {
                parent: Some(place),
                branch: *branch,
                base: *base,
                node: *base,
                frame: frame.clone(),
                state: State::Ready,
                due: Some(self.now),
                path,
            }));
        }
        !branches.is_empty()
    }

    fn drop_below(&mut self, place: usize) {
        for child in 0..self.lines.len() {
            if self.lines[child].as_ref().is_some_and(|line| line.parent == Some(place)) {
                self.drop_below(child);
                self.lines[child] = None;
            }
        }
    }

    fn end(&mut self, place: usize, outcome: Outcome) {
        let line = self.line(place);
        let (parent, latest) = (line.parent, line.branch);
        let succeeded = matches!(outcome, Outcome::Done(_));
        line.frame.outcome = Some(Box::new(outcome.clone()));
        (line.state, line.due) = (State::Done, None);
        let Some(parent) = parent else {
            self.ended = Some(outcome);
            return;
        };
        let above = self.line(parent);
        above.frame.pending -= 1;
        let node = above.node;
        let kind = &self.graph.node(node).unwrap().kind;
        if matches!(kind, Kind::Map { .. }) && succeeded && !self.broken(parent) {
            self.begin(parent, node);
        }
        if matches!(kind, Kind::Map { .. } | Kind::Join { .. }) && self.line(parent).frame.pending > 0 {
            return;
        }
        let branches: Vec<_> = self
            .lines
            .iter()
            .flatten()
            .filter(|line| line.parent == Some(parent))
            .map(|line| Branch { number: line.branch, frame: line.frame.clone() })
            .collect();
        let mut frame = self.line(parent).frame.clone();
        let Some(outcome) = machine::resolve(self.graph, node, &mut frame, branches, latest, &mut self.kept)
        else {
            return;
        };
        frame.pending = 0;
        self.drop_below(parent);
        self.line(parent).frame = frame;
        let outcome = self.kept.outcome(outcome);
        let next = self.machine(parent, |machine| machine.finished(node, outcome));
        self.follow(parent, next);
    }

    /// One of the branches has failed or broken.
    fn broken(&self, parent: usize) -> bool {
        self.lines.iter().flatten().any(|line| {
            let bad =
                line.frame.outcome.as_deref().is_some_and(|outcome| !matches!(outcome, Outcome::Done(_)));
            line.parent == Some(parent) && bad
        })
    }
}

fn drive(graph: &Graph, script: Script) -> Came {
    let root = Line {
        parent: None,
        branch: 0,
        base: 0,
        node: 0,
        frame: Frame::default(),
        state: State::Ready,
        due: Some(0),
        path: Vec::new(),
    };
    let (kept, visits) = (Kept::default(), BTreeMap::new());
    let engine = Engine {
        graph,
        script,
        kept,
        lines: vec![Some(root)],
        visits,
        order: Vec::new(),
        now: 0,
        ended: None,
    };
    engine.run()
}

/// Durations that hardly ever meet, so that no two branches are first at one moment.
fn script() -> impl Strategy<Value = Script> {
    let step = (1..90_000_u64, 0..7_u8).prop_map(|(millis, what)| {
        let rows = |json: &str| Named { json: json.into(), columns: None };
        let outcome = match what {
            0 => Err(Failure::new("22012", "division by zero")),
            1 => Ok(rows("{\"rows\":[{\"v\":false}],\"row_count\":1}")),
            2 => Ok(rows("{\"rows\":[],\"row_count\":0}")),
            3 => Ok(rows("{\"rows\":[{\"v\":1},{\"v\":2},{\"v\":3},{\"v\":4}],\"row_count\":4}")),
            _ => Ok(rows("{\"rows\":[{\"v\":1}],\"row_count\":1}")),
        };
        Step { millis, outcome }
    });
    let steps = prop::collection::vec(prop::collection::vec(step, 1..5), 60);
    (steps, prop::option::of(0..5_000_u64)).prop_map(|(steps, signal)| Script {
        steps: (0..).zip(steps).collect(),
        otherwise: None,
        signal: signal.map(|after| (after, "1".into())),
        tick: 60_000,
    })
}

fn compare(text: &str, mut script: Script) -> Result<(), TestCaseError> {
    let graph = Graph::parse(text).unwrap();
    if graph.nodes().iter().any(|node| matches!(node.kind, Kind::Map { .. })) {
        // The rows of a map share their nodes: which row is the second to run one, the reference does not know.
        for steps in script.steps.values_mut() {
            steps.truncate(1);
        }
    }
    let expected = semantics::run(&graph, &BTreeMap::new(), LIMITS, &mut script.clone());
    let (outcome, order, at) = drive(&graph, script);
    let words = expected.outcome.map(|outcome| outcome.map_err(|failure| failure.message));
    prop_assert_eq!(&outcome, &words, "\n{}", crate::explain::tree(&graph, None));
    if outcome.is_some() {
        prop_assert_eq!(at, expected.at);
    }
    let leaf = |node: &NodeId| !matches!(graph.node(*node).unwrap().kind, Kind::Break { .. });
    let sorted = |order: Vec<(u64, NodeId)>| {
        let mut order: Vec<_> =
            order.into_iter().filter(|(at, node)| leaf(node) && !expected.decided.contains(at)).collect();
        order.sort_unstable();
        order
    };
    prop_assert_eq!(
        sorted(order),
        sorted(expected.order.clone()),
        "\n{}",
        crate::explain::tree(&graph, None)
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn on_branches(text in function(40, Kinds::Branches), script in script()) {
        compare(&text, script)?;
    }

    #[test]
    fn on_undos(text in function(40, Kinds::Line), script in script()) {
        compare(&text, script)?;
    }
}
