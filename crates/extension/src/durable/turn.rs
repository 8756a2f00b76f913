//! One turn of an executor: a strand is claimed, goes on to its next rest, and what became of it is written, in one
//! transaction with the effect of its step.
//!
//! **Invariants**
//! * The row of the strand is locked from the claim to the commit. Whoever dies in between has done nothing.
//! * At most one step with an effect in a transaction; what costs nothing (sequence, branch, loop) goes along.
//! * Strand 0 is the lock of the instance: whoever changes another strand than its own holds it, and nobody who holds it waits
//!   for any other row. A branch that has come to something takes it; a claim that needs it and cannot have it at once lets go.
//! * A step counts only if its branch is still wanted: the strands above are looked at under that lock, after the statement.

mod company;
mod http;
mod outside;

pub use company::{Company, Family};

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

use postern_durable::cron::Schedule;
use postern_durable::machine::{self, Branch, Frame, Machine, Next, Outcome, Pace, Record, Value, World};
use postern_durable::rows::RowSets;
use postern_durable::{Failure, Graph, Kind, node_id, value};

use super::outside::Beginning;
use super::rerun::{self, Before};
use super::store::{self, End, Instance, NEVER, State, Step, Strand};
use super::{board, call, debris, deferred, step, substitution};
use crate::guc;
use crate::pg::query::as_owner_in_executor as as_owner;
use crate::pg::shmem::Slot;
use crate::pg::worker;
use company::Left;

/// Leaves and branches that cost nothing, in one turn, before others have theirs.
const FREE: usize = 1_000;

/// How long a strand that goes on at once keeps its place in the queue, in microseconds.
const PLACE_KEPT: i64 = 50_000;

/// What a turn came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// The strand goes on at once.
    Goes,
    /// It rests, has ended, or another executor may go on.
    Rests,
    /// It waits now for a signal of this name: look into the box once more.
    Awaits(String),
    /// Someone asked for it to be cancelled: the transaction must be rolled back.
    Cancelled,
    /// Another branch has decided already, or the lock of the instance is not to be had: roll back.
    NotNow,
    /// It takes longer than others with the same commit can wait: roll back, and run it alone.
    Slow,
    /// Its statement is to be run at top level, once this is committed.
    Outside(Beginning),
}

impl Turn {
    /// Whether what it did stays; else the transaction must be rolled back.
    pub fn counts(&self) -> bool {
        matches!(self, Self::Goes | Self::Rests | Self::Awaits(_))
    }
}

/// One strand, for the length of a turn.
#[expect(clippy::struct_excessive_bools, reason = "each may be so whatever the others are")]
pub struct Course<'a> {
    pub graph: &'a Graph,
    pub strand: Strand,
    pub instance: &'a Instance,
    pub slot: &'a Slot,
    /// How much had been sent when the box was looked into last.
    seen: u64,
    /// When the turn began.
    pub now: i64,
    results: Results,
    /// The root is locked.
    root: bool,
    /// The root as it is, if this is a branch of it and nobody else can change it.
    above: Option<Strand>,
    /// A step with an effect has run.
    ran: bool,
    /// The instance has ended, or something leaves the server: the commit has to be on the disk before anybody hears of it.
    pub flush: bool,
    /// Others wait for the same commit: a step has this many milliseconds.
    patience: Option<i32>,
    /// The step that came to something last has failed: where everything was before.
    failing: Option<Vec<Before>>,
    /// What is to be written of it is left to the end of the transaction, if it can be.
    sharing: bool,
    /// What was left so.
    left: Option<Left>,
    /// Branches of the same fork, which are written already, have succeeded with it.
    succeeded: bool,
    /// The strand above is known to wait for it.
    known: bool,
    /// Branches that were deleted, though whoever shares the transaction may hold them.
    dropped: Vec<i32>,
}

/// Results, as they were read or made in this turn, and what nodes with a state came to.
struct Results {
    instance: String,
    /// When it was started.
    created: i64,
    gave: Vec<Gave>,
    kept: HashMap<(i32, i32), (String, Option<String>)>,
}

thread_local! {
    /// Rows of maps, by instance, when that was started, and record.
    static ROWS: RefCell<RowSets<(String, i64, i32, i32)>> = RefCell::default();
}

/// Whether there are any.
pub fn remembers_rows() -> bool {
    ROWS.with_borrow(|rows| !rows.is_empty())
}

/// Nothing was to be done for a while: rows are forgotten.
pub fn forget_rows() {
    ROWS.with_borrow_mut(RowSets::clear);
}

/// A node with a state came to something, in this iteration and attempt.
struct Gave {
    node: u32,
    outcome: Outcome,
    turn: Option<String>,
    attempt: u32,
}

impl Results {
    fn get(&mut self, record: Record) -> (String, Option<String>) {
        self.kept
            .entry((record.0, record.1))
            .or_insert_with(|| {
                as_owner(|| store::kept(&self.instance, record)).unwrap_or_else(|| ("null".into(), None))
            })
            .clone()
    }
}

impl World for Results {
    fn json(&mut self, value: &Value) -> String {
        match value {
            Value::Json(text) => text.clone(),
            Value::Kept(record) => self.get(*record).0,
        }
    }

    fn rows(&mut self, value: &Value, from: usize, most: usize) -> Vec<String> {
        match value {
            // Those of a map that goes on: they were committed with its beginning.
            Value::Kept(record) if from > 0 => ROWS.with_borrow_mut(|rows| {
                let key = (self.instance.clone(), self.created, record.0, record.1);
                rows.some(key, from, most, |_| self.get(*record).0)
            }),
            _ => {
                value::rows(&self.json(value)).unwrap_or_default().into_iter().skip(from).take(most).collect()
            }
        }
    }

    fn array(&mut self, values: &[Value]) -> Result<String, Failure> {
        // Looked at before it is read: branches may have kept more than fits into memory.
        let (mut bytes, mut strands, mut numbers) = (0, Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::Json(text) => bytes += text.len(),
                Value::Kept(Record(strand, n)) => {
                    if let Some((text, _)) = self.kept.get(&(*strand, *n)) {
                        bytes += text.len();
                    } else {
                        strands.push(*strand);
                        numbers.push(*n);
                    }
                }
            }
        }
        let limit = usize::try_from(guc::MAX_RESULT_BYTES.get()).unwrap_or(0);
        if !strands.is_empty() {
            bytes = bytes.saturating_add(as_owner(|| store::bytes_of(&self.instance, &strands, &numbers)));
        }
        if bytes > limit {
            let message = format!("the results of {} branches are larger than {limit} bytes", values.len());
            return Err(Failure {
                detail: Some("That is postern.max_result_bytes.".into()),
                hint: Some("Let branches return less, or write into a table of yours.".into()),
                ..Failure::new("54000", message)
            });
        }
        if strands.len() > 1 {
            for (Record(strand, n), result, columns) in
                as_owner(|| store::kept_of(&self.instance, &strands, &numbers))
            {
                self.kept.insert((strand, n), (result, columns));
            }
        }
        let texts: Vec<String> = values.iter().map(|value| self.json(value)).collect();
        Ok(value::array(&texts))
    }

    fn random(&mut self) -> f64 {
        crate::pg::session::random()
    }

    fn gave(&mut self, frame: &mut Frame, node: u32, outcome: &Outcome) {
        let (turn, attempt) = (frame.turn(), frame.attempt());
        self.gave.push(Gave { node, outcome: outcome.clone(), turn, attempt });
    }
}

fn branch(strand: Strand) -> Branch {
    Branch { number: usize::try_from(strand.branch).unwrap_or(0), frame: strand.frame }
}

impl<'a> Course<'a> {
    pub fn new(
        graph: &'a Graph,
        strand: Strand,
        instance: &'a Instance,
        slot: &'a Slot,
        seen: u64,
        patience: Option<i32>,
    ) -> Self {
        let results = Results {
            instance: strand.instance.clone(),
            created: instance.created,
            gave: Vec::new(),
            kept: HashMap::new(),
        };
        let root = strand.strand == 0;
        Self {
            graph,
            strand,
            instance,
            slot,
            seen,
            now: worker::now(),
            results,
            root,
            above: None,
            ran: false,
            flush: false,
            patience,
            failing: None,
            sharing: false,
            left: None,
            succeeded: false,
            known: false,
            dropped: Vec::new(),
        }
    }

    /// Goes on from where the strand is.
    pub fn run(&mut self) -> Turn {
        if self.strand.parent.is_some() && !self.known && !self.wanted() {
            return Turn::NotNow;
        }
        let node = self.strand.node;
        let next = match self.strand.state {
            State::Ready => self.machine().enter(node),
            State::Waiting => {
                let outcome = match self.strand.frame.outcome.take() {
                    Some(arrived) => self.keep(node, *arrived),
                    None if self.kind(node).calls_out() => match self.answered(node) {
                        Some(outcome) => outcome,
                        None => return self.rest(node, State::Waiting, NEVER),
                    },
                    None => self.timed_out(node),
                };
                self.failing = rerun::note(&self.strand, node, &outcome);
                self.machine().finished(node, outcome)
            }
            // A fork is due only when its time is up.
            State::Forked => {
                if !self.lock_root_at_once() {
                    return Turn::NotNow;
                }
                let mut frame = std::mem::take(&mut self.strand.frame);
                self.drop_branches(self.strand.strand, None, &mut frame);
                frame.pending = 0;
                self.strand.frame = frame;
                self.strand.frame.waited();
                let seconds = match self.kind(node) {
                    Kind::Timeout { millis, .. } => value::seconds(*millis),
                    _ => String::new(),
                };
                let failure = Failure::new("57014", format!("Timeout after {seconds}s"));
                let outcome = self.keep(node, Outcome::Failed(failure));
                self.failing = rerun::note(&self.strand, node, &outcome);
                self.machine().finished(node, outcome)
            }
            State::Outside => match self.came_back(node) {
                Ok(next) => next,
                Err(turn) => return turn,
            },
            State::Done => return Turn::NotNow,
        };
        self.strand.state = State::Ready;
        self.strand.signal = None;
        self.follow(next)
    }

    /// Numbers of nodes come from the graph itself.
    fn kind(&self, node: u32) -> &'a Kind {
        &self.graph.nodes()[node as usize].kind
    }

    fn in_millis(&self, millis: u64) -> i64 {
        self.now.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1_000))
    }

    /// Records what loops, retries and the like came to on the way.
    fn record_gave(&mut self) {
        for Gave { node, outcome, turn, attempt } in std::mem::take(&mut self.results.gave) {
            let (result, failure) = match &outcome {
                Outcome::Done(value) | Outcome::Break(value) => (Some(self.results.json(value)), None),
                Outcome::Failed(failure) => (None, Some(failure)),
            };
            let record = Record(self.strand.strand, self.strand.frame.n);
            self.strand.frame.n += 1;
            let step = Step {
                node,
                attempt,
                turn,
                started: self.now,
                query: None,
                result: result.as_deref(),
                columns: None,
                failure,
            };
            as_owner(|| {
                store::record(&self.strand.instance, record, self.strand.owner, worker::now(), &step);
            });
        }
    }

    fn machine(&mut self) -> Machine<'_, Results> {
        Machine {
            graph: self.graph,
            base: self.strand.base,
            frame: &mut self.strand.frame,
            world: &mut self.results,
            now: self.now,
            pace: Pace {
                interval: i64::from(guc::LOOP_MIN_INTERVAL.get()) * 1_000,
                turns: guc::LOOP_MAX_ITERATIONS.get().cast_unsigned(),
            },
        }
    }

    fn follow(&mut self, mut next: Next) -> Turn {
        for _ in 0..FREE {
            self.record_gave();
            next = match next {
                Next::Leaf(node) => match self.leaf(node) {
                    Ok(next) => next,
                    Err(turn) => return turn,
                },
                Next::Later(node, due) if due <= self.now && !self.ran => self.machine().enter(node),
                Next::Later(node, due) => return self.rest(node, State::Ready, self.place(due)),
                Next::Fork(node) => match self.fork(node) {
                    Ok(next) => next,
                    Err(turn) => return turn,
                },
                Next::End(outcome) => match self.end(outcome) {
                    Ok(next) => next,
                    Err(turn) => return turn,
                },
            };
        }
        match next {
            Next::Leaf(node) | Next::Fork(node) | Next::Later(node, _) => {
                self.rest(node, State::Ready, self.now)
            }
            // What the strand came to is not lost: it comes to it again from its last node.
            Next::End(_) => Turn::NotNow,
        }
    }

    /// When a strand is due that could be had at this time. One that goes on at once keeps its place in the queue for a moment: an
    /// update that changes no column of an index leaves nothing in the indexes, which a long loop would otherwise fill. Not for longer, or
    /// it would always be before those of its role that came later.
    fn place(&self, due: i64) -> i64 {
        let since = due.saturating_sub(self.strand.due);
        if due <= self.now && (0..PLACE_KEPT).contains(&since) { self.strand.due } else { due }
    }

    /// Does what is to be done at a leaf. `Err`: the turn is over.
    fn leaf(&mut self, node: u32) -> Result<Next, Turn> {
        let outcome = match self.kind(node) {
            Kind::Sql { query } => {
                if self.ran {
                    return Err(self.rest(node, State::Ready, self.place(self.now)));
                }
                self.sql(node, query)?
            }
            Kind::Sleep { millis } => {
                if *millis > 0 {
                    self.strand.frame.waited();
                    return Err(self.rest(node, State::Waiting, self.in_millis(*millis)));
                }
                self.keep(node, Outcome::Done(Value::Json(value::sleep_result(*millis))))
            }
            Kind::WaitSchedule { cron } => {
                if let Some(due) = next_tick(cron, self.now) {
                    self.strand.frame.waited();
                    return Err(self.rest(node, State::Waiting, due));
                }
                let failure = Failure::new("22023", format!("No upcoming schedule found for '{cron}'"));
                self.keep(node, Outcome::Failed(failure))
            }
            Kind::Signal { name, timeout_millis } => {
                let id = self.strand.instance.clone();
                self.strand.frame.waited();
                let Some(payload) = as_owner(|| store::take_signal_at_once(&id, name)) else {
                    let due = timeout_millis.map_or(NEVER, |millis| self.in_millis(millis));
                    self.strand.signal = Some(name.clone());
                    return Err(match self.rest(node, State::Waiting, due) {
                        Turn::NotNow => Turn::NotNow,
                        _ => Turn::Awaits(name.clone()),
                    });
                };
                let result = value::signal_result(name, Some(&value::payload(&payload)));
                self.keep(node, Outcome::Done(Value::Json(result)))
            }
            kind if kind.calls_out() => {
                // Nothing but its answer would ever look at it again: it must not wait where nobody waits for it.
                if !self.lock_root() {
                    return Err(Turn::NotNow);
                }
                self.flush = true;
                match self.call_out(node) {
                    Ok(()) => return Err(self.rest(node, State::Waiting, NEVER)),
                    Err(failure) => self.keep(node, Outcome::Failed(failure)),
                }
            }
            Kind::Call { child, label } => {
                // Nothing but its end would ever look at this strand again.
                if !self.lock_root() {
                    return Err(Turn::NotNow);
                }
                match as_owner(|| call::begin(self.graph, node, *child, label.as_deref(), &self.strand)) {
                    Ok(id) => {
                        self.strand.frame.waited();
                        self.strand.frame.child = Some(id);
                        return Err(self.rest(node, State::Waiting, NEVER));
                    }
                    Err(failure) => self.keep(node, Outcome::Failed(failure)),
                }
            }
            kind => {
                let failure = Failure::new(
                    "0A000",
                    format!("a step of type {} cannot be executed here", kind.node_type()),
                );
                self.keep(node, Outcome::Failed(failure))
            }
        };
        self.failing = rerun::note(&self.strand, node, &outcome);
        Ok(self.machine().finished(node, outcome))
    }

    /// How long a statement may take, in milliseconds; 0: as long as it likes.
    fn time_limit(&self) -> i32 {
        let configured = guc::STEP_TIMEOUT.get();
        match self.patience {
            Some(patience) if configured == 0 || patience < configured => patience,
            _ => configured,
        }
    }

    /// Whether what a statement came to may be the doing of those with whom it shares the commit: it had no longer than they can wait,
    /// which its own code may have heard of; or constraints that are deferred by default were not, since one before it has had
    /// all of them checked.
    fn was_pressed(&self, started: i64, ran: &Result<step::Done, step::Stopped>) -> bool {
        let Some(patience) = self.patience else { return false };
        match ran {
            Err(step::Stopped::Cancelled(_) | step::Stopped::TopLevel) => false,
            Ok(_) => self.time_limit() == patience && worker::now() - started >= i64::from(patience) * 1_000,
            Err(step::Stopped::Failed(_)) => {
                self.time_limit() == patience && worker::now() - started >= i64::from(patience) * 1_000
                    || as_owner(deferred::any)
            }
        }
    }

    /// Runs a statement and records it.
    fn sql(&mut self, node: u32, query: &str) -> Result<Outcome, Turn> {
        let started = worker::now();
        board::forget_asked(self.slot);
        board::executing(self.slot, Some(&self.strand.instance), self.strand.strand, node.cast_signed());
        // Who delivered a request to cancel may have found the strand locked, and nobody shown who executes it.
        if board::sent_so_far() != self.seen && as_owner(|| store::cancelled(&self.strand.instance)).is_some()
        {
            return Err(Turn::Cancelled);
        }
        let limit = self.time_limit();
        let results = &mut self.results;
        let names = &self.strand.frame.names;
        let prepared =
            substitution::prepare(query, &self.strand.instance, self.instance, names, |value| match value {
                Value::Kept(record) => results.get(*record),
                Value::Json(text) => (text.clone(), None),
            });
        worker::report(Some(&activity(&self.strand.instance, node, query)));
        let who = step::As { role: self.strand.owner, facts: self.instance.facts.as_deref() };
        let ran = match &prepared {
            Ok(prepared) => step::run(who, &prepared.sql, &prepared.params, limit),
            Err(failure) => Err(step::Stopped::Failed(failure.clone())),
        };
        board::executing(self.slot, None, 0, 0);
        self.ran = true;
        if self.was_pressed(started, &ran) {
            return Err(Turn::Slow);
        }
        let text = prepared.as_ref().ok().map(|prepared| prepared.sql.as_str()).filter(|sql| *sql != query);
        match ran {
            Ok(done) => {
                let record =
                    self.write(node, started, text, Some(&done.result), done.columns.as_deref(), None);
                self.results.kept.insert((record.0, record.1), (done.result, done.columns));
                Ok(Outcome::Done(Value::Kept(record)))
            }
            Err(step::Stopped::Cancelled(_))
                if as_owner(|| store::cancelled(&self.strand.instance)).is_some() =>
            {
                Err(Turn::Cancelled)
            }
            Err(step::Stopped::TopLevel) => Err(self.rest(node, State::Outside, self.now)),
            // A branch that is not wanted any more was cancelled, or the request was meant for what ran here before. A time-out is no
            // request, whatever was asked.
            Err(step::Stopped::Cancelled(failure))
                if !failure.message.contains("timeout") && board::was_ours(self.slot) =>
            {
                Err(Turn::NotNow)
            }
            // Its time was up, and that was no time-out of its own; an operator's request says other words.
            Err(step::Stopped::Cancelled(failure))
                if self.patience.is_some_and(|patience| self.time_limit() == patience)
                    && failure.message.contains("timeout") =>
            {
                Err(Turn::Slow)
            }
            Err(step::Stopped::Cancelled(failure) | step::Stopped::Failed(failure)) => {
                self.write(node, started, text, None, None, Some(&failure));
                Ok(Outcome::Failed(failure))
            }
        }
    }

    /// Writes a record of a node, and counts it.
    fn write(
        &mut self,
        node: u32,
        started: i64,
        query: Option<&str>,
        result: Option<&str>,
        columns: Option<&str>,
        failure: Option<&Failure>,
    ) -> Record {
        let frame = &mut self.strand.frame;
        let record = Record(self.strand.strand, frame.n);
        frame.n += 1;
        let step = Step {
            node,
            attempt: frame.attempt(),
            turn: frame.turn(),
            started,
            query,
            result,
            columns,
            failure,
        };
        as_owner(|| store::record(&self.strand.instance, record, self.strand.owner, worker::now(), &step));
        record
    }

    /// Records what a node came to that ran no statement; its result is kept there.
    fn keep(&mut self, node: u32, outcome: Outcome) -> Outcome {
        let now = self.now;
        match outcome {
            Outcome::Done(Value::Json(text)) => {
                let record = self.write(node, now, None, Some(&text), None, None);
                self.results.kept.insert((record.0, record.1), (text, None));
                Outcome::Done(Value::Kept(record))
            }
            Outcome::Failed(failure) => {
                self.write(node, now, None, None, None, Some(&failure));
                Outcome::Failed(failure)
            }
            // It goes on up through the node, which has come to this.
            Outcome::Break(Value::Json(text)) => {
                self.write(node, now, None, Some(&text), None, None);
                Outcome::Break(Value::Json(text))
            }
            kept @ (Outcome::Done(Value::Kept(_)) | Outcome::Break(Value::Kept(_))) => kept,
        }
    }

    /// The time of a node that waits is up: what it came to.
    fn timed_out(&mut self, node: u32) -> Outcome {
        let result = match self.kind(node) {
            Kind::Sleep { millis } => value::sleep_result(*millis),
            Kind::WaitSchedule { .. } => value::schedule_result(),
            Kind::Signal { name, .. } => value::signal_result(name, None),
            kind => {
                let failure =
                    Failure::new("XX000", format!("a node of type {} cannot wait", kind.node_type()));
                return self.keep(node, Outcome::Failed(failure));
            }
        };
        self.keep(node, Outcome::Done(Value::Json(result)))
    }

    /// Where the strand stays for now. Of a branch, nothing that it has done counts, and it waits for nothing, unless it is still
    /// wanted: whoever decided its fork meanwhile could not remove it, since it is held here.
    fn rest(&mut self, node: u32, state: State, due: i64) -> Turn {
        if state == State::Ready && self.may_leave() {
            self.left = Some(Left::Rest(node, due));
            return if due <= self.now { Turn::Goes } else { Turn::Rests };
        }
        if self.strand.parent.is_some() && !self.lock_root() {
            return Turn::NotNow;
        }
        self.strand.node = node;
        self.strand.state = state;
        self.strand.due = due;
        self.strand.held = None;
        as_owner(|| {
            store::save(&self.strand);
            if self.instance.status == "pending" {
                store::begin(&self.strand.instance, worker::now());
            }
        });
        if state == State::Ready && due <= self.now { Turn::Goes } else { Turn::Rests }
    }

    /// Begins the branches of a fork.
    fn fork(&mut self, node: u32) -> Result<Next, Turn> {
        if !self.lock_root() {
            return Err(Turn::NotNow);
        }
        if !self.begin_branches(node) {
            // A map without rows.
            let outcome =
                machine::resolve(self.graph, node, &mut self.strand.frame, Vec::new(), 0, &mut self.results)
                    .unwrap_or_else(|| Outcome::Done(Value::Json("[]".into())));
            let outcome = self.keep(node, outcome);
            return Ok(self.machine().finished(node, outcome));
        }
        let due = match self.kind(node) {
            Kind::Timeout { millis, .. } => self.in_millis(*millis),
            _ => NEVER,
        };
        Err(self.rest(node, State::Forked, due))
    }

    /// Begins those branches of the strand's fork that are to run now; false if there are none.
    fn begin_branches(&mut self, node: u32) -> bool {
        let branches = machine::branches(self.graph, node, &mut self.strand.frame, &mut self.results);
        if branches.is_empty() {
            return false;
        }
        let first = as_owner(|| store::last_strand(&self.strand.instance)) + 1;
        if self.strand.state != State::Forked {
            self.strand.frame.first = first;
        }
        let branches: Vec<_> = branches
            .into_iter()
            .zip(first..)
            .map(|((branch, base, frame), number)| (number, branch, base, frame))
            .collect();
        as_owner(|| store::add_branches(&self.strand, self.now, &branches));
        true
    }

    /// The strand has come to something: the instance has, or its parent is looked at. `Ok`: the parent goes on.
    fn end(&mut self, outcome: Outcome) -> Result<Next, Turn> {
        let Some(parent) = self.strand.parent else {
            // It shows as cancelled already.
            if board::sent_so_far() != self.seen
                && as_owner(|| store::cancelled(&self.strand.instance)).is_some()
            {
                return Err(Turn::Cancelled);
            }
            self.end_instance(outcome);
            return Err(Turn::Rests);
        };
        if self.may_leave() && self.is_counted() {
            self.left = Some(Left::End(outcome));
            return Err(Turn::Rests);
        }
        if !self.lock_root() {
            return Err(Turn::NotNow);
        }
        let id = self.strand.instance.clone();
        let parent = self.above.take().or_else(|| as_owner(|| store::lock(&id, parent)));
        let Some(mut parent) = parent.filter(|parent| parent.waits_for(self.strand.strand)) else {
            return Err(Turn::NotNow);
        };
        let node = parent.node;
        let done = matches!(outcome, Outcome::Done(_));
        let succeeded = done || matches!(outcome, Outcome::Break(_));
        self.strand.frame.outcome = Some(Box::new(outcome));
        self.strand.frame.before = rerun::carried(self.failing.take());
        parent.frame.pending = parent.frame.pending.saturating_sub(1);
        let latest = usize::try_from(self.strand.branch).unwrap_or(0);
        let all = match self.kind(node) {
            Kind::Join { .. } | Kind::Map { .. } => true,
            Kind::First { .. } if !succeeded && parent.frame.pending > 0 => {
                return Err(self.one_less(&parent));
            }
            _ => false,
        };
        if all {
            // Said of this fork only: the strand may come to the end of an outer one in the same turn.
            let succeeded = std::mem::take(&mut self.succeeded);
            let next = self.more_of_a_map(&mut parent, done || succeeded);
            if next || parent.frame.pending > 0 {
                return Err(self.one_less(&parent));
            }
        }
        let mut branches = vec![self.strand.clone()];
        if all || (!succeeded && matches!(self.kind(node), Kind::First { .. })) {
            let mine = self.strand.strand;
            let others = as_owner(|| store::branches(&id, parent.strand, parent.frame.first));
            branches.extend(others.into_iter().filter(|strand| strand.strand != mine));
        }
        let before = rerun::fork(&parent, &branches);
        let branches: Vec<Branch> = branches.into_iter().map(branch).collect();
        let waited = branches.iter().any(|branch| branch.frame.slept);
        let mut frame: Frame = parent.frame.clone();
        let decided = machine::resolve(self.graph, node, &mut frame, branches, latest, &mut self.results);
        let Some(outcome) = decided else { return Err(self.one_less(&parent)) };
        frame.pending = 0;
        // What the others of a race have done can be undone as well.
        let counted = if all { None } else { Some(self.strand.strand) };
        if all {
            frame.slept |= waited;
        }
        self.drop_branches(parent.strand, counted, &mut frame);
        self.strand = Strand { frame, state: State::Ready, due: self.now, held: None, ..parent };
        let outcome = match outcome {
            Outcome::Done(Value::Json(_)) | Outcome::Break(_) | Outcome::Failed(_) => {
                self.keep(node, outcome)
            }
            done @ Outcome::Done(Value::Kept(_)) => done,
        };
        self.failing = before.filter(|_| matches!(outcome, Outcome::Failed(_)));
        if waited {
            self.strand.frame.waited();
        }
        Ok(self.machine().finished(node, outcome))
    }

    /// A branch of a map that succeeded makes room for the next; true if there was one.
    fn more_of_a_map(&mut self, parent: &mut Strand, succeeded: bool) -> bool {
        if !succeeded || !matches!(self.kind(parent.node), Kind::Map { .. }) {
            return false;
        }
        let mine = std::mem::replace(&mut self.strand, parent.clone());
        let begun = self.begin_branches(parent.node);
        *parent = std::mem::replace(&mut self.strand, mine);
        begun
    }

    /// The fork is not decided: this branch is done, and its parent knows.
    fn one_less(&mut self, parent: &Strand) -> Turn {
        self.rest(self.strand.node, State::Done, NEVER);
        as_owner(|| store::save(parent));
        Turn::Rests
    }

    fn end_instance(&mut self, outcome: Outcome) {
        self.flush = true;
        let mut columns = None;
        let left_off = match outcome {
            Outcome::Failed(_) => rerun::written(self.failing.as_ref()),
            _ => None,
        };
        let (status, output, failure) = match outcome {
            Outcome::Done(value) => {
                if let Value::Kept(record) = &value {
                    columns = self.results.get(*record).1;
                }
                ("completed", Some(self.results.json(&value)), None)
            }
            Outcome::Failed(failure) => ("failed", None, Some(failure)),
            Outcome::Break(_) => {
                let message =
                    "df.break() was called outside of a loop. df.break() may only be used inside df.loop().";
                ("failed", None, Some(Failure::new("22023", message)))
            }
        };
        as_owner(|| {
            let end = End { status, output: output.as_deref(), failure: failure.as_ref(), left_off };
            if let Some(caller) = store::end(&self.strand.instance, &end, worker::now()) {
                call::tell(&self.strand.instance, &caller, output, columns, failure);
            }
            store::delete(&self.strand.instance, self.strand.strand);
        });
    }

    /// Deletes everything below a strand; what runs there is cancelled, and finds that nobody wants it. What can be undone of it
    /// is taken over into `frame`; that of `counted` is there already.
    fn drop_branches(&mut self, above: i32, counted: Option<i32>, frame: &mut Frame) {
        let id = &self.strand.instance;
        let all = as_owner(|| store::strands(id));
        let mine = self.strand.strand;
        let (mut below, mut live) = (vec![above], vec![above]);
        // A branch has a higher number than the strand that it was made by.
        for strand in &all {
            let Some(parent) = strand.parent.filter(|parent| below.contains(parent)) else { continue };
            below.push(strand.strand);
            // What is left of an earlier fork was undone when that was decided, or is kept elsewhere; and so below the branch that has ended.
            let wanted = if parent == above {
                strand.strand >= frame.first
            } else {
                let waits = |other: &Strand| other.strand == parent && other.waits_for(strand.strand);
                parent != mine && live.contains(&parent) && all.iter().any(waits)
            };
            if !wanted {
                continue;
            }
            live.push(strand.strand);
            if counted.is_some_and(|counted| counted != strand.strand) || above == mine {
                frame.undos.extend(strand.frame.undos.iter().cloned());
            }
        }
        let others: Vec<i32> =
            below.into_iter().filter(|number| *number != above && *number != mine).collect();
        as_owner(|| debris::clear(id, &others));
        if mine != above {
            as_owner(|| store::delete(id, mine));
        }
        self.dropped.extend(&others);
        if self
            .graph
            .nodes()
            .iter()
            .any(|node| node.kind.calls_out() || matches!(node.kind, Kind::Call { .. }))
        {
            as_owner(|| call::drop_unwanted(id));
        }
    }

    /// Locks the instance, and looks whether this branch is still wanted; false: it is not.
    fn lock_root(&mut self) -> bool {
        if self.root {
            return true;
        }
        let id = &self.strand.instance;
        let Some(root) = as_owner(|| store::lock(id, 0)) else { return false };
        if self.strand.parent == Some(0) {
            self.root = root.waits_for(self.strand.strand);
            self.above = Some(root);
        } else {
            self.root = self.wanted();
        }
        self.root
    }

    fn lock_root_at_once(&mut self) -> bool {
        if !self.root {
            let id = &self.strand.instance;
            self.root = as_owner(|| store::try_lock(id, 0)).is_some() && self.wanted();
        }
        self.root
    }

    /// Whether every strand above this one waits for the branch that leads to it.
    fn wanted(&self) -> bool {
        as_owner(|| store::is_wanted(&self.strand))
    }
}

/// What `pg_stat_activity` shows while a step runs.
pub fn activity(id: &str, node: u32, query: &str) -> CString {
    let text = format!("/* durable {id}, node {} */ {query}", node_id(node));
    // A text with NUL is no statement.
    CString::new(text).unwrap_or_default()
}

/// When a schedule says next. It was checked when the function was started.
fn next_tick(cron: &str, now: i64) -> Option<i64> {
    Schedule::parse(cron).ok()?.next_after(worker::to_unix(now)).map(worker::from_unix)
}
