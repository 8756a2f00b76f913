//! One turn of an executor: a strand is claimed, goes on to its next rest, and what became of it is written, in one
//! transaction with the effect of its step.
//!
//! **Invariants**
//! * The row of the strand is locked from the claim to the commit. Whoever dies in between has done nothing.
//! * At most one step with an effect in a transaction; what costs nothing (sequence, branch, loop) goes along.
//! * Strand 0 is the lock of the instance: whoever changes another strand than its own holds it, and nobody who holds it waits
//!   for any other row. A branch that has come to something takes it; a claim that needs it and cannot have it at once lets go.
//! * A step counts only if its branch is still wanted: the strands above are looked at under that lock, after the statement.

use std::collections::HashMap;

use postern_durable::graph::{Graph, Kind};
use postern_durable::machine::{self, Branch, Failure, Frame, Machine, Next, Outcome, Pace, Record, Value, World};
use postern_durable::{cron, value};

use super::store::{self, Instance, NEVER, State, Step, Strand};
use super::substitution::Scope;
use super::{board, step};
use crate::pg::query::as_owner_in_executor as as_owner;
use crate::pg::shmem::Slot;
use crate::pg::worker;
use crate::{guc, identity};

/// Leaves and branches that cost nothing, in one turn, before others have theirs.
const FREE: usize = 1_000;

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
}

/// One strand, for the length of a turn.
pub struct Course<'a> {
    pub graph: &'a Graph,
    pub strand: Strand,
    pub instance: &'a Instance,
    pub slot: &'a Slot,
    /// When the turn began.
    pub now: i64,
    results: Results,
    /// The root is locked.
    root: bool,
    /// A step with an effect has run.
    ran: bool,
}

/// Results, as they were read or made in this turn.
struct Results {
    instance: String,
    kept: HashMap<(i32, i32), (String, Option<String>)>,
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

    fn random(&mut self) -> f64 {
        crate::pg::session::random()
    }
}

impl<'a> Course<'a> {
    pub fn new(graph: &'a Graph, strand: Strand, instance: &'a Instance, slot: &'a Slot) -> Self {
        let results = Results { instance: strand.instance.clone(), kept: HashMap::new() };
        let root = strand.strand == 0;
        Self { graph, strand, instance, slot, now: worker::now(), results, root, ran: false }
    }

    /// Goes on from where the strand is.
    pub fn run(&mut self) -> Turn {
        let node = self.strand.node;
        let next = match self.strand.state {
            State::Ready => self.machine().enter(node),
            State::Waiting => {
                let outcome = self.timed_out(node);
                self.machine().finished(node, outcome)
            }
            // A fork is due only when its time is up.
            State::Forked => {
                if !self.lock_root_at_once() {
                    return Turn::NotNow;
                }
                self.drop_branches(self.strand.strand);
                let failure = Failure::new("57014", "timed out");
                let outcome = self.keep(node, Outcome::Failed(failure));
                self.machine().finished(node, outcome)
            }
            State::Done | State::Paused => return Turn::NotNow,
        };
        self.strand.state = State::Ready;
        self.strand.signal = None;
        self.follow(next)
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
            next = match next {
                Next::Leaf(node) => match self.leaf(node) {
                    Ok(next) => next,
                    Err(turn) => return turn,
                },
                Next::Later(node, due) if due <= self.now && !self.ran => self.machine().enter(node),
                Next::Later(node, due) => return self.rest(node, State::Ready, due),
                Next::Fork(node) => return self.fork(node),
                Next::End(outcome) => match self.end(outcome) {
                    Ok(next) => next,
                    Err(turn) => return turn,
                },
            };
        }
        match next {
            Next::Leaf(node) | Next::Fork(node) | Next::Later(node, _) => self.rest(node, State::Ready, self.now),
            // What the strand came to is not lost: it comes to it again from its last node.
            Next::End(_) => Turn::NotNow,
        }
    }

    /// Does what is to be done at a leaf. `Err`: the turn is over.
    fn leaf(&mut self, node: u32) -> Result<Next, Turn> {
        let graph = self.graph;
        let outcome = match &graph.nodes[node as usize].kind {
            Kind::Sql { query } => {
                if self.ran {
                    return Err(self.rest(node, State::Ready, self.strand.due));
                }
                self.sql(node, query)?
            }
            Kind::Sleep { millis } => {
                if *millis > 0 {
                    self.strand.frame.waited();
                    let due = self.now.saturating_add(i64::try_from(*millis).unwrap_or(i64::MAX).saturating_mul(1_000));
                    return Err(self.rest(node, State::Waiting, due));
                }
                self.keep(node, Outcome::Done(Value::Json(value::slept(*millis))))
            }
            Kind::WaitSchedule { cron } => match cron::next_after_micros(cron, self.now) {
                Some(due) => {
                    self.strand.frame.waited();
                    return Err(self.rest(node, State::Waiting, due));
                }
                None => {
                    let failure = Failure::new("22023", format!("No upcoming schedule found for '{cron}'"));
                    self.keep(node, Outcome::Failed(failure))
                }
            },
            Kind::Signal { name, timeout_seconds } => {
                let id = self.strand.instance.clone();
                self.strand.frame.waited();
                match as_owner(|| store::take_signal(&id, name)) {
                    Some(payload) => {
                        let result = value::signal(name, Some(&payload));
                        self.keep(node, Outcome::Done(Value::Json(result)))
                    }
                    None => {
                        let due = timeout_seconds
                            .map_or(NEVER, |seconds| self.now.saturating_add(i64::from(seconds) * 1_000_000));
                        self.strand.signal = Some(name.clone());
                        self.rest(node, State::Waiting, due);
                        return Err(Turn::Awaits(name.clone()));
                    }
                }
            }
            kind => {
                let failure = Failure::new("0A000", format!("a step of type {} cannot be executed here", kind.name()));
                self.keep(node, Outcome::Failed(failure))
            }
        };
        Ok(self.machine().finished(node, outcome))
    }

    /// Runs a statement and records it.
    fn sql(&mut self, node: u32, query: &str) -> Result<Outcome, Turn> {
        let started = worker::now();
        board::executing(self.slot, Some(&self.strand.instance), self.strand.strand, node.cast_signed());
        let scope = Scope {
            id: &self.strand.instance,
            instance: self.instance,
            names: &self.strand.frame.names,
        };
        let results = &mut self.results;
        let prepared = scope.prepare(query, |value| match value {
            Value::Kept(record) => results.get(*record),
            Value::Json(text) => (text.clone(), None),
        });
        let ran = match &prepared {
            Ok((sql, arguments)) => step::run(sql, arguments, guc::STEP_TIMEOUT.get()),
            Err(failure) => Err(step::Stopped::Failed(failure.clone())),
        };
        board::executing(self.slot, None, 0, 0);
        self.ran = true;
        let text = prepared.as_ref().ok().map(|(sql, _)| sql.as_str()).filter(|sql| *sql != query);
        match ran {
            Ok(done) => {
                let record = self.write(node, started, text, Some(&done.result), done.columns.as_deref(), None);
                self.results.kept.insert((record.0, record.1), (done.result, done.columns));
                Ok(Outcome::Done(Value::Kept(record)))
            }
            Err(step::Stopped::Cancelled(_)) if as_owner(|| store::cancelled(&self.strand.instance)).is_some() => {
                Err(Turn::Cancelled)
            }
            // A branch that is not wanted any more was cancelled, or the request was meant for what ran here before.
            Err(step::Stopped::Cancelled(_)) if board::was_ours(self.slot) => Err(Turn::NotNow),
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
            other => other,
        }
    }

    /// The time of a node that waits is up: what it came to.
    fn timed_out(&mut self, node: u32) -> Outcome {
        let graph = self.graph;
        let result = match &graph.nodes[node as usize].kind {
            Kind::Sleep { millis } => value::slept(*millis),
            Kind::WaitSchedule { .. } => value::scheduled(),
            Kind::Signal { name, .. } => value::signal(name, None),
            kind => {
                let failure = Failure::new("XX000", format!("a node of type {} cannot wait", kind.name()));
                return self.keep(node, Outcome::Failed(failure));
            }
        };
        self.keep(node, Outcome::Done(Value::Json(result)))
    }

    fn rest(&mut self, node: u32, state: State, due: i64) -> Turn {
        self.strand.node = node;
        self.strand.state = state;
        self.strand.due = due;
        as_owner(|| {
            store::save(&self.strand);
            if self.instance.status == "pending" {
                store::begin(&self.strand.instance, worker::now());
            }
        });
        if state == State::Ready && due <= self.now { Turn::Goes } else { Turn::Rests }
    }

    /// Begins the branches of a fork.
    fn fork(&mut self, node: u32) -> Turn {
        if !self.lock_root() {
            return Turn::NotNow;
        }
        let graph = self.graph;
        let kind = &graph.nodes[node as usize].kind;
        let first = as_owner(|| store::last_strand(&self.strand.instance)) + 1;
        for ((branch, base), number) in (0..).zip(kind.branches()).zip(first..) {
            let strand = Strand {
                instance: self.strand.instance.clone(),
                strand: number,
                parent: Some(self.strand.strand),
                branch,
                base,
                node: base,
                state: State::Ready,
                due: self.now,
                owner: self.strand.owner,
                priority: self.strand.priority,
                signal: None,
                frame: self.strand.frame.branch(),
            };
            as_owner(|| store::add(&strand));
        }
        let due = match kind {
            Kind::Timeout { millis, .. } => {
                self.now.saturating_add(i64::try_from(*millis).unwrap_or(i64::MAX).saturating_mul(1_000))
            }
            _ => NEVER,
        };
        self.rest(node, State::Forked, due);
        Turn::Rests
    }

    /// The strand has come to something: the instance has, or its parent is looked at. `Ok`: the parent goes on.
    fn end(&mut self, outcome: Outcome) -> Result<Next, Turn> {
        let Some(parent) = self.strand.parent else {
            let (status, output, failure) = match outcome {
                Outcome::Done(value) => ("completed", Some(self.results.json(&value)), None),
                Outcome::Failed(failure) => ("failed", None, Some(failure)),
                Outcome::Break(_) => {
                    let message =
                        "df.break() was called outside of a loop. df.break() may only be used inside df.loop().";
                    ("failed", None, Some(Failure::new("22023", message)))
                }
            };
            as_owner(|| {
                store::end(&self.strand.instance, status, output.as_deref(), failure.as_ref(), worker::now());
                store::delete(&self.strand.instance, self.strand.strand);
            });
            return Err(Turn::Rests);
        };
        if !self.lock_root() {
            return Err(Turn::NotNow);
        }
        let id = self.strand.instance.clone();
        let Some(parent) = as_owner(|| store::lock(&id, parent)).filter(|parent| parent.state == State::Forked) else {
            return Err(Turn::NotNow);
        };
        self.strand.frame.outcome = Some(Box::new(outcome));
        self.rest(self.strand.node, State::Done, NEVER);
        let branches = as_owner(|| store::branches(&id, parent.strand));
        let latest = usize::try_from(self.strand.branch).unwrap_or(0);
        let branches = branches
            .into_iter()
            .map(|strand| Branch { number: usize::try_from(strand.branch).unwrap_or(0), frame: strand.frame })
            .collect();
        let mut frame: Frame = parent.frame.clone();
        let decided = machine::resolve(self.graph, parent.node, &mut frame, branches, latest, &mut self.results);
        let Some(outcome) = decided else { return Err(Turn::Rests) };
        self.drop_branches(parent.strand);
        let node = parent.node;
        self.strand = Strand { frame, state: State::Ready, due: self.now, ..parent };
        let outcome = match outcome {
            Outcome::Done(Value::Json(_)) => self.keep(node, outcome),
            other => other,
        };
        self.strand.frame.waited();
        Ok(self.machine().finished(node, outcome))
    }

    /// Deletes everything below a strand; what runs there is cancelled, and finds that nobody wants it.
    fn drop_branches(&mut self, above: i32) {
        let id = &self.strand.instance;
        let all = as_owner(|| store::strands(id));
        let mut below = vec![above];
        // A branch has a higher number than the strand that it was made by.
        for strand in &all {
            if strand.parent.is_some_and(|parent| below.contains(&parent)) {
                below.push(strand.strand);
            }
        }
        let mine = self.strand.strand;
        let others: Vec<i32> = below.into_iter().filter(|number| *number != above && *number != mine).collect();
        for number in as_owner(|| store::delete_free(id, &others)) {
            board::cancel(worker::database(), id, Some(number));
        }
        if mine != above {
            as_owner(|| store::delete(id, mine));
        }
    }

    /// Locks the instance, and looks whether this branch is still wanted; false: it is not.
    fn lock_root(&mut self) -> bool {
        if self.root {
            return true;
        }
        let id = &self.strand.instance;
        self.root = as_owner(|| store::lock(id, 0)).is_some() && self.wanted();
        self.root
    }

    fn lock_root_at_once(&mut self) -> bool {
        if !self.root {
            let id = &self.strand.instance;
            self.root = as_owner(|| store::try_lock(id, 0)).is_some() && self.wanted();
        }
        self.root
    }

    /// Whether every strand above this one waits for its branches.
    pub fn wanted(&self) -> bool {
        let all = as_owner(|| store::strands(&self.strand.instance));
        let mut above = self.strand.parent;
        while let Some(number) = above {
            match all.iter().find(|strand| strand.strand == number) {
                Some(strand) if strand.state == State::Forked => above = strand.parent,
                _ => return false,
            }
        }
        true
    }
}
