//! What a function must come to: a small interpreter of its own, which knows nothing of strands, rows and executors.
//!
//! It walks the function once, branch after branch, and writes down every effect with its order: what is in a sequence is in that
//! order, what is in branches in any. Of branches that never end and lose, only what they may have done is known (*maybe*): any beginning
//! of it, and an undo exactly as often as what it undoes. Where more is left to chance than that, it says so ([`Unclear`]), and the function
//! is not used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::shape::{Expr, Shape as S, Use};

/// Stands for any text in a message.
pub const ANY: char = '\u{1}';

/// What `{weight}` is.
pub const WEIGHT: i64 = 4;

/// The most effects of a function, and the most iterations of its loops.
const MOST: usize = 80;
const ITERATIONS: u32 = 12;

/// It is left to chance.
#[derive(Debug, Clone, Copy)]
pub struct Unclear(#[expect(dead_code, reason = "for whoever looks")] &'static str);

#[derive(Debug, Clone)]
pub struct Failure {
    pub message: String,
    /// None: it is not known here.
    pub state: Option<String>,
}

impl Failure {
    fn new(message: impl Into<String>, state: &str) -> Self {
        Self { message: message.into(), state: Some(state.into()) }
    }

    /// Of a statement.
    fn of_sql(words: &str, state: &str) -> Self {
        Self::new(format!("SQL execution failed: error returned from database: {words}"), state)
    }

    fn unknown(state: Option<&str>) -> Self {
        Self { message: ANY.into(), state: state.map(Into::into) }
    }

    fn within(self, words: &str) -> Self {
        Self { message: format!("{words}{}", self.message), ..self }
    }
}

#[derive(Debug, Clone)]
pub enum How {
    Done(Value),
    Failed(Failure),
    Broke(Value),
    Never,
}

/// Effects in their order.
#[derive(Debug, Clone, Default)]
pub enum Trace {
    #[default]
    Nothing,
    Event(usize),
    Seq(Vec<Trace>),
    Beside(Vec<Trace>),
}

/// A row of the log.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: u32,
    pub key: String,
    pub value: i64,
    pub note: Option<String>,
    pub maybe: bool,
}

/// What it comes to.
#[derive(Debug, Clone)]
pub struct Expected {
    pub how: How,
    pub trace: Trace,
    pub events: Vec<Event>,
    /// An effect that may be there, and what undoes it: as often.
    pub linked: Vec<(usize, usize)>,
    /// How many signals of each name it takes.
    pub signals: BTreeMap<String, usize>,
}

/// What the n-th signal of a name says.
pub fn payload(signal: &str, n: usize) -> i64 {
    let name: u64 = signal.bytes().map(u64::from).sum();
    i64::try_from((name * 31 + n as u64 * 17) % 97).unwrap_or(0) + 1
}

pub fn expect(shape: &S) -> Result<Expected, Unclear> {
    let mut oracle = Oracle::default();
    let mut frame = Frame::default();
    let (how, trace) = oracle.instance(shape, &mut frame)?;
    Ok(Expected { how, trace, events: oracle.events, linked: oracle.linked, signals: oracle.signals })
}

#[derive(Debug, Clone)]
struct Undo<'a> {
    shape: &'a S,
    names: BTreeMap<String, Value>,
    key: Vec<String>,
    maybe: bool,
    of: Option<usize>,
}

/// What can be undone: of branches in an order that is not known.
#[derive(Debug, Clone)]
enum Undoing<'a> {
    One(Undo<'a>),
    Beside(Vec<Vec<Undoing<'a>>>),
}

#[derive(Debug, Clone, Default)]
struct Frame<'a> {
    names: BTreeMap<String, Value>,
    bound: BTreeSet<String>,
    undos: Vec<Undoing<'a>>,
    key: Vec<String>,
    /// The node is the root of an instance.
    root: bool,
}

impl<'a> Frame<'a> {
    fn branch(&self) -> Self {
        Self { names: self.names.clone(), key: self.key.clone(), ..Self::default() }
    }

    fn bind(&mut self, name: &str, value: Value) {
        self.names.insert(name.into(), value);
        self.bound.insert(name.into());
    }

    fn merge(&mut self, branch: &Frame<'a>) {
        for name in &branch.bound {
            if let Some(value) = branch.names.get(name) {
                self.bind(name, value.clone());
            }
        }
    }
}

#[derive(Default)]
struct Oracle {
    events: Vec<Event>,
    linked: Vec<(usize, usize)>,
    signals: BTreeMap<String, usize>,
}

type Ran = Result<(How, Trace), Unclear>;

fn rows(all: Vec<Value>) -> Value {
    let count = all.len();
    json!({"rows": all, "row_count": count})
}

fn one(column: &str, value: impl Into<Value>) -> Value {
    rows(vec![json!({column: value.into()})])
}

fn first<'v>(value: &'v Value, column: &str) -> Option<&'v Value> {
    match value.get("rows") {
        Some(rows) => rows.get(0)?.get(column),
        None => value.get(column),
    }
}

/// The first column of the first row decides; what has no rows is judged itself.
fn truth(value: &Value) -> bool {
    let judged = match value.get("rows").and_then(Value::as_array) {
        Some(rows) => match rows.first().and_then(Value::as_object).and_then(|row| row.values().next()) {
            Some(first) => first,
            None => return false,
        },
        None => value,
    };
    match judged {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}

impl Oracle {
    fn instance<'a>(&mut self, shape: &'a S, frame: &mut Frame<'a>) -> Ran {
        frame.root = true;
        let (mut how, mut trace) = self.run(shape, frame)?;
        if let How::Broke(_) = how {
            let words =
                "df.break() was called outside of a loop. df.break() may only be used inside df.loop().";
            how = How::Failed(Failure::new(words, "22023"));
        }
        if let How::Failed(failure) = &mut how {
            let (undone, never) = self.undo(frame, 0, failure)?;
            trace = Trace::Seq(vec![trace, undone]);
            if never {
                how = How::Never;
            }
        }
        Ok((how, trace))
    }

    /// Runs what was registered from there on, latest first; true: one of it never ends.
    fn undo<'a>(
        &mut self,
        frame: &mut Frame<'a>,
        mark: usize,
        why: &mut Failure,
    ) -> Result<(Trace, bool), Unclear> {
        let due = frame.undos.split_off(mark);
        self.undo_all(due, why)
    }

    fn undo_all(&mut self, due: Vec<Undoing>, why: &mut Failure) -> Result<(Trace, bool), Unclear> {
        let mut all = Vec::new();
        for undoing in due.into_iter().rev() {
            match undoing {
                Undoing::One(undo) => {
                    let mut frame = Frame { names: undo.names, key: undo.key, ..Frame::default() };
                    let from = self.events.len();
                    let (how, trace) = self.run(undo.shape, &mut frame)?;
                    all.push(trace);
                    if undo.maybe {
                        self.doubt(from);
                        if let Some(of) = undo.of {
                            self.linked.extend((from..self.events.len()).map(|event| (of, event)));
                        }
                    }
                    match how {
                        How::Failed(_) if undo.maybe => why.message.push(ANY),
                        How::Failed(failure) => {
                            why.message.push_str("; undoing failed: ");
                            why.message.push_str(&failure.message);
                        }
                        How::Never if undo.maybe => return Err(Unclear("an undo that may never end")),
                        How::Never => return Ok((Trace::Seq(all), true)),
                        How::Done(_) | How::Broke(_) => {}
                    }
                }
                Undoing::Beside(branches) => {
                    let mut beside = Vec::new();
                    for branch in branches {
                        let mut words = Failure::new("", "");
                        let (trace, never) = self.undo_all(branch, &mut words)?;
                        if never {
                            return Err(Unclear("an undo of branches never ends"));
                        }
                        if !words.message.is_empty() && !why.message.ends_with(ANY) {
                            why.message.push(ANY);
                        }
                        beside.push(trace);
                    }
                    all.push(Trace::Beside(beside));
                }
            }
        }
        Ok((Trace::Seq(all), false))
    }

    fn doubt(&mut self, from: usize) {
        for event in &mut self.events[from..] {
            event.maybe = true;
        }
    }

    /// A branch that is cut off somewhere.
    fn cut<'a>(
        &mut self,
        from: usize,
        signals: &BTreeMap<String, usize>,
        undos: Vec<Undoing<'a>>,
    ) -> Result<Vec<Undoing<'a>>, Unclear> {
        if *signals != self.signals {
            return Err(Unclear("a branch that is cut off takes signals"));
        }
        self.doubt(from);
        Ok(undos.into_iter().map(doubtful).collect())
    }

    fn count(&self, id: u32, key: &str) -> Result<i64, Unclear> {
        let mut count = 0;
        for event in self.events.iter().filter(|event| event.id == id && event.key == key) {
            // Within one branch that is cut off they are not marked yet.
            if event.maybe {
                return Err(Unclear("it depends on what may have been done"));
            }
            count += 1;
        }
        Ok(count)
    }

    fn value(frame: &Frame, expr: &Expr) -> Result<i64, Failure> {
        let mut sum = expr.constant;
        let mut unbound = false;
        for used in &expr.uses {
            let name = match used {
                Use::Column(name)
                | Use::Optional(name)
                | Use::Sum(name)
                | Use::Data(name)
                | Use::Late(name)
                | Use::Length(name) => name.clone(),
                Use::Item(item) => format!("i{item}"),
                Use::Variable => {
                    sum += WEIGHT;
                    continue;
                }
            };
            let Some(bound) = frame.names.get(&name) else {
                unbound = true;
                continue;
            };
            let column = |column: &str| first(bound, column).cloned();
            let found = match used {
                Use::Column(_) | Use::Item(_) => column("v").and_then(|value| value.as_i64()),
                Use::Optional(_) => Some(column("v").and_then(|value| value.as_i64()).unwrap_or(3)),
                Use::Sum(_) => {
                    let rows = bound.get("rows").and_then(Value::as_array);
                    rows.map(|rows| rows.iter().filter_map(|row| row.get("v")?.as_i64()).sum())
                }
                Use::Data(_) => column("data").and_then(|value| value.as_i64()),
                Use::Late(_) => {
                    column("timed_out").and_then(|late| late.as_bool()).map(|late| if late { 5 } else { 2 })
                }
                Use::Length(_) => bound.as_array().map(|all| i64::try_from(all.len()).unwrap_or(0)),
                Use::Variable => None,
            };
            // Nothing is run.
            sum += found.ok_or(Failure::unknown(None))?;
        }
        if unbound { Err(Failure::unknown(Some("42601"))) } else { Ok(sum % 10_007) }
    }

    fn leaf(&mut self, shape: &S, frame: &Frame) -> Ran {
        let key = frame.key.join(".");
        let mut trace = Trace::Nothing;
        let how = match shape {
            S::Mark { id, expr, error } => {
                let note = match (error, frame.names.get("error")) {
                    (false, _) => Ok(None),
                    (true, Some(failure)) => Ok(failure["message"].as_str().map(str::to_owned)),
                    (true, None) => Err(Failure::unknown(Some("42601"))),
                };
                // What is missing is found before anything is run.
                let value = Self::value(frame, expr);
                match (value, note) {
                    (Ok(value), Ok(note)) => {
                        if self.events.len() >= MOST {
                            return Err(Unclear("too large"));
                        }
                        trace = Trace::Event(self.events.len());
                        self.events.push(Event { id: *id, key, value, note, maybe: false });
                        How::Done(one("v", value))
                    }
                    (Err(failure), _) | (_, Err(failure)) => How::Failed(failure),
                }
            }
            S::Spoil { id } | S::Boom { id } => {
                let state = ["P0001", "22023", "40001"][*id as usize % 3];
                How::Failed(Failure::of_sql(&format!("boom {id}"), state))
            }
            S::Pick { expr } => match Self::value(frame, expr) {
                Ok(value) => How::Done(one("v", value)),
                Err(failure) => How::Failed(failure),
            },
            S::Odd { expr } => match Self::value(frame, expr) {
                Ok(value) => How::Done(one("b", value % 2 == 1)),
                Err(failure) => How::Failed(failure),
            },
            S::Below { of, count } => How::Done(one("b", self.count(*of, &key)? < *count)),
            S::Until { of, count } => {
                if self.count(*of, &key)? <= *count {
                    How::Failed(Failure::of_sql(&format!("not yet {of}"), "P0001"))
                } else {
                    How::Done(one("v", *count))
                }
            }
            S::Rows { count, add } => How::Done(rows(table(*count, *add))),
            S::Sleep { millis } if *millis > 10_000 => How::Never,
            S::Sleep { millis: 0 } => How::Done(json!({"slept": true, "seconds": 0})),
            S::Sleep { millis } => How::Done(json!({"slept": true, "seconds": f64::from(*millis) / 1000.0})),
            S::Wait { signal } => {
                let taken = self.signals.entry(signal.clone()).or_default();
                *taken += 1;
                let data = payload(signal, *taken - 1);
                How::Done(json!({"signal_name": signal, "timed_out": false, "data": data}))
            }
            S::Brief => How::Done(json!({"signal_name": "brief", "timed_out": true, "data": null})),
            S::Break { value } => How::Broke(value.map_or(Value::Null, Into::into)),
            _ => How::Never,
        };
        Ok((how, trace))
    }

    fn run<'a>(&mut self, shape: &'a S, frame: &mut Frame<'a>) -> Ran {
        let root = frame.root;
        if !matches!(shape, S::As(..)) {
            frame.root = false;
        }
        match shape {
            S::As(step, name) => {
                let (how, trace) = self.run(step, frame)?;
                if let How::Done(value) = &how {
                    frame.bind(name, value.clone());
                }
                Ok((how, trace))
            }
            S::Seq(a, b) => {
                let (how, before) = self.run(a, frame)?;
                let How::Done(_) = how else { return Ok((how, before)) };
                let (how, after) = self.run(b, frame)?;
                Ok((how, Trace::Seq(vec![before, after])))
            }
            S::If(condition, a, b) => {
                let (how, before) = self.run(condition, frame)?;
                let How::Done(value) = how else { return Ok((how, before)) };
                let (how, after) = self.run(if truth(&value) { a } else { b }, frame)?;
                Ok((how, Trace::Seq(vec![before, after])))
            }
            S::IfRows(name, a, b) => match frame.names.get(name).map(|value| value["row_count"].as_u64()) {
                None => Ok((
                    How::Failed(Failure::new(format!("df.if_rows: result '{name}' not found"), "42704")),
                    Trace::Nothing,
                )),
                Some(None) => Ok((How::Failed(Failure::unknown(Some("22023"))), Trace::Nothing)),
                Some(Some(count)) => self.run(if count > 0 { a } else { b }, frame),
            },
            S::Join(all) => self.join(all, frame),
            S::Race(all) => self.race(all, frame),
            S::First(all) => self.first(all, frame),
            S::Loop(body, condition) => self.repeat(body, condition.as_deref(), root, frame),
            S::Map { rows, add, concurrency, item, body } => {
                self.map(&table(*rows, *add), *concurrency, *item, body, frame)
            }
            S::Retry { step, attempts, only } => self.retry(step, *attempts, only.as_deref(), frame),
            S::Catch(step, handler) => self.catch(step, handler, frame),
            S::Timeout { step, millis } => self.timeout(step, *millis, frame),
            S::Compensate(step, undo) => {
                let (how, trace) = self.run(step, frame)?;
                if let How::Done(_) = how {
                    let of = match &trace {
                        Trace::Event(event) => Some(*event),
                        _ => None,
                    };
                    let (names, key) = (frame.names.clone(), frame.key.clone());
                    frame.undos.push(Undoing::One(Undo { shape: undo, names, key, maybe: false, of }));
                }
                Ok((how, trace))
            }
            S::Call(step) => {
                let mut inside = frame.branch();
                self.instance(step, &mut inside)
            }
            leaf => self.leaf(leaf, frame),
        }
    }

    fn join<'a>(&mut self, all: &'a [S], frame: &mut Frame<'a>) -> Ran {
        let (mut hows, mut traces, mut undos) = (Vec::new(), Vec::new(), Vec::new());
        let mut inside = Vec::new();
        for shape in all {
            let mut branch = frame.branch();
            let (how, trace) = self.run(shape, &mut branch)?;
            undos.push(std::mem::take(&mut branch.undos));
            traces.push(trace);
            inside.push(branch);
            hows.push(how);
        }
        for (branch, how) in inside.iter().zip(&hows) {
            if let How::Done(_) = how {
                frame.merge(branch);
            }
        }
        frame.undos.push(Undoing::Beside(undos));
        Ok((gather(hows, "JOIN branch"), Trace::Beside(traces)))
    }

    fn race<'a>(&mut self, all: &'a [S], frame: &mut Frame<'a>) -> Ran {
        let (mut traces, mut undos) = (Vec::new(), Vec::new());
        let mut won = None;
        for (place, shape) in all.iter().enumerate() {
            let (from, signals) = (self.events.len(), self.signals.clone());
            let mut branch = frame.branch();
            let (how, trace) = self.run(shape, &mut branch)?;
            let left = std::mem::take(&mut branch.undos);
            match how {
                How::Never => undos.push(self.cut(from, &signals, left)?),
                _ if won.is_some() => return Err(Unclear("two may win")),
                how => {
                    undos.push(left);
                    traces.push(trace);
                    won = Some((place, how, branch));
                }
            }
        }
        frame.undos.push(Undoing::Beside(undos));
        let Some((place, how, branch)) = won else { return Ok((How::Never, Trace::Nothing)) };
        frame.merge(&branch);
        let words = match (all.len(), place) {
            (2, 0) => "RACE left branch failed: ".to_owned(),
            (2, _) => "RACE right branch failed: ".to_owned(),
            _ => format!("RACE branch {} failed: ", place + 1),
        };
        let how = match how {
            How::Failed(failure) => How::Failed(failure.within(&words)),
            how => how,
        };
        Ok((how, Trace::Beside(traces)))
    }

    fn first<'a>(&mut self, all: &'a [S], frame: &mut Frame<'a>) -> Ran {
        let (mut traces, mut undos) = (Vec::new(), Vec::new());
        let (mut won, mut failures, mut never, mut bound) = (None, Vec::new(), false, false);
        let mut lost = Vec::new();
        for shape in all {
            let (from, signals) = (self.events.len(), self.signals.clone());
            let mut branch = frame.branch();
            let (how, trace) = self.run(shape, &mut branch)?;
            let left = std::mem::take(&mut branch.undos);
            match how {
                How::Never | How::Failed(_) => {
                    lost.push((from..self.events.len(), undos.len(), signals != self.signals));
                    bound |= !branch.bound.is_empty();
                    match how {
                        How::Failed(failure) => failures.push(failure),
                        _ => never = true,
                    }
                }
                _ if won.is_some() => return Err(Unclear("two may win")),
                how => won = Some((how, branch)),
            }
            traces.push(trace);
            undos.push(left);
        }
        let Some((how, branch)) = won else {
            if never {
                // Nobody waits for what it does until then but who cuts it off.
                frame.undos.push(Undoing::Beside(undos));
                return Ok((How::Never, Trace::Beside(traces)));
            }
            if all.len() > 1 && bound {
                return Err(Unclear("which of them bound its names"));
            }
            frame.undos.push(Undoing::Beside(undos));
            let words = "every branch failed; the last: ";
            let failure = if failures.len() == 1 {
                failures.remove(0).within(words)
            } else {
                Failure::unknown(None).within(words)
            };
            return Ok((How::Failed(failure), Trace::Beside(traces)));
        };
        for (events, place, signals) in lost {
            if signals {
                return Err(Unclear("a branch that is cut off takes signals"));
            }
            for event in &mut self.events[events] {
                event.maybe = true;
            }
            undos[place] = std::mem::take(&mut undos[place]).into_iter().map(doubtful).collect();
        }
        frame.undos.push(Undoing::Beside(undos));
        frame.merge(&branch);
        Ok((how, Trace::Beside(traces)))
    }

    fn repeat<'a>(
        &mut self,
        body: &'a S,
        condition: Option<&'a S>,
        root: bool,
        frame: &mut Frame<'a>,
    ) -> Ran {
        let given = frame.names.clone();
        let mut all = Vec::new();
        for _ in 0..ITERATIONS {
            if root {
                frame.names.clone_from(&given);
            }
            let (how, trace) = self.run(body, frame)?;
            all.push(trace);
            let (how, result) = match (how, condition) {
                (How::Done(result), Some(condition)) => {
                    let (how, trace) = self.run(condition, frame)?;
                    all.push(trace);
                    (how, Some(result))
                }
                (how, _) => (how, None),
            };
            let how = match (how, result) {
                (How::Done(judged), Some(result)) if !truth(&judged) => How::Done(result),
                (How::Done(_), _) => continue,
                (How::Broke(value), _) => How::Done(value),
                (How::Failed(failure), _) if root => How::Failed(failure),
                (How::Failed(failure), _) => How::Failed(failure.within("Loop sub-orchestration failed: ")),
                (How::Never, _) => How::Never,
            };
            return Ok((how, Trace::Seq(all)));
        }
        Err(Unclear("too many iterations"))
    }

    fn map<'a>(
        &mut self,
        rows: &[Value],
        concurrency: u32,
        item: u32,
        body: &'a S,
        frame: &mut Frame<'a>,
    ) -> Ran {
        let (mut hows, mut traces, mut undos) = (Vec::new(), Vec::new(), Vec::new());
        let room = concurrency as usize;
        for (place, row) in rows.iter().enumerate() {
            let mut branch = frame.branch();
            branch.names.insert(format!("i{item}"), self::rows(vec![row.clone()]));
            branch.key.push(row["k"].to_string());
            let (how, trace) = self.run(body, &mut branch)?;
            undos.push(branch.undos);
            traces.push(trace);
            let ended = matches!(how, How::Done(_));
            hows.push(how);
            if !ended {
                if room == 1 {
                    break;
                }
                if room < rows.len() && place + 1 < rows.len() || place >= room {
                    return Err(Unclear("which rows have begun"));
                }
            }
        }
        frame.undos.push(Undoing::Beside(undos));
        let trace = if room == 1 { Trace::Seq(traces) } else { Trace::Beside(traces) };
        Ok((gather(hows, "MAP item"), trace))
    }

    fn retry<'a>(&mut self, step: &'a S, attempts: u32, only: Option<&str>, frame: &mut Frame<'a>) -> Ran {
        let mut all = Vec::new();
        for attempt in 1.. {
            let mark = frame.undos.len();
            let (mut how, trace) = self.run(step, frame)?;
            all.push(trace);
            let How::Failed(failure) = &mut how else { return Ok((how, Trace::Seq(all))) };
            let covered = match (only, &failure.state) {
                (None, _) => true,
                (Some(only), Some(state)) => only == state,
                (Some(_), None) => return Err(Unclear("which SQLSTATE")),
            };
            if !covered || attempt >= attempts {
                return Ok((how, Trace::Seq(all)));
            }
            let (undone, never) = self.undo(frame, mark, failure)?;
            all.push(undone);
            if never {
                return Ok((How::Never, Trace::Seq(all)));
            }
        }
        Err(Unclear("no attempt"))
    }

    fn catch<'a>(&mut self, step: &'a S, handler: &'a S, frame: &mut Frame<'a>) -> Ran {
        let mark = frame.undos.len();
        let (how, before) = self.run(step, frame)?;
        let How::Failed(mut failure) = how else { return Ok((how, before)) };
        let (undone, never) = self.undo(frame, mark, &mut failure)?;
        let mut all = vec![before, undone];
        if never {
            return Ok((How::Never, Trace::Seq(all)));
        }
        let said = json!({"message": failure.message, "sqlstate": failure.state});
        let outer = frame.names.insert("error".into(), said);
        let (how, after) = self.run(handler, frame)?;
        frame.names.remove("error");
        frame.names.extend(outer.map(|outer| ("error".to_owned(), outer)));
        all.push(after);
        Ok((how, Trace::Seq(all)))
    }

    fn timeout<'a>(&mut self, step: &'a S, millis: u32, frame: &mut Frame<'a>) -> Ran {
        let (from, signals) = (self.events.len(), self.signals.clone());
        let mut branch = frame.branch();
        let (how, trace) = self.run(step, &mut branch)?;
        let long = millis > 100_000;
        match how {
            How::Never if long => {
                frame.undos.push(Undoing::Beside(vec![branch.undos]));
                Ok((How::Never, trace))
            }
            How::Never => {
                let undos = self.cut(from, &signals, branch.undos)?;
                frame.undos.push(Undoing::Beside(vec![undos]));
                let message = format!("Timeout after {}s", f64::from(millis) / 1000.0);
                Ok((How::Failed(Failure::new(message, "57014")), Trace::Nothing))
            }
            _ if !long => Err(Unclear("whether it is in time")),
            how => {
                frame.merge(&branch);
                frame.undos.extend(branch.undos);
                Ok((how, trace))
            }
        }
    }
}

fn doubtful(undoing: Undoing) -> Undoing {
    match undoing {
        Undoing::One(undo) => Undoing::One(Undo { maybe: true, ..undo }),
        Undoing::Beside(branches) => Undoing::Beside(
            branches.into_iter().map(|branch| branch.into_iter().map(doubtful).collect()).collect(),
        ),
    }
}

fn table(count: u32, add: i64) -> Vec<Value> {
    (1..=i64::from(count)).map(|g| json!({"k": g, "v": g * 10 + add})).collect()
}

/// All ends as one.
fn gather(hows: Vec<How>, what: &str) -> How {
    let mut results = Vec::new();
    let mut decided = None;
    for (place, how) in hows.into_iter().enumerate() {
        match how {
            How::Never => return How::Never,
            How::Done(value) => results.push(value),
            How::Failed(failure) if decided.is_none() => {
                decided = Some(How::Failed(failure.within(&format!("{what} {} failed: ", place + 1))));
            }
            how => {
                decided.get_or_insert(how);
            }
        }
    }
    decided.unwrap_or(How::Done(Value::Array(results)))
}
