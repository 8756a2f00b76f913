//! An executor: a background worker that takes what is due in its database, one strand in one transaction.
//!
//! **How it works.** Queues are (owner, priority), each in the order in which its strands are due. An executor goes round the
//! owners, so that nobody waits for another's backlog, and within one owner takes the lowest priority first. A strand that can go
//! on at once is taken again, up to [`STREAK`] times. When nothing is due it waits, with its latch and one timer: until someone
//! commits something to do, or the next strand is due.
//!
//! **Unwinding.** An ERROR outside a step's own subtransaction ends the turn's transaction, never the process. A strand whose
//! turn fails twice in a row for such a reason fails its instance: nothing is tried for ever.

mod awaits;
mod chores;
mod claims;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use postern_durable::Failure;
use postern_durable::Graph;

use chores::LOOK_AGAIN;
use claims::Claim;

use super::quota::Quotas;
use super::schedule::Clock;
use super::store::{self, End, Instance, NEVER, State, Strand};
use super::turn::{Company, Course, Family, Turn};
use super::{arrive, board, call, debris, messages, outbox, outside, pause, rerun, rights, turn};
use crate::identity::worker::{Superusers, Worker};
use crate::pg::caught::Caught;
use crate::pg::query::as_owner_in_executor as as_owner;
use crate::pg::shmem::Slot;
use crate::pg::worker::{self, Finish, Job};
use crate::pg::{NO_OID, Oid, guc as settings, log};
use crate::{guc, identity, version};

/// Turns of one strand before others have theirs.
const STREAK: usize = 64;

/// The same if there may be others that could share a commit with it.
const SHORT_STREAK: usize = 4;

/// Strands that share a commit, at the most. Each takes a subtransaction, and a session shows 64 of them to others cheaply.
const GROUP: i64 = 16;

/// Milliseconds that a step has while others wait for the same commit.
const PATIENCE: i32 = 20;

/// Microseconds after which a turn that others share takes no further strand.
const GROUP_TIME: i64 = 10_000;

/// Microseconds between two looks for instances that are too old, where little happens.
const RETIRE_EVERY: i64 = 3_600_000_000;

/// Milliseconds after which an executor that has nothing to do ends, unless it is the only one.
const IDLE: i64 = 60_000;

/// Milliseconds without work after which rows of maps are forgotten, should a map have some left.
const ROWS_KEPT: i64 = 5_000;

/// Functions whose graphs an executor remembers.
const GRAPHS: usize = 256;

/// Starts an executor in a database; false if no background worker is free.
pub fn start(database: Oid) -> bool {
    worker::start(Job {
        function: "postern_executor",
        name: "postern executor",
        argument: u64::from(database.to_u32()),
        extra: 0,
        restart: 1,
    })
}

/// What one transaction came to.
enum Done {
    /// A turn of a strand.
    Turn(String, i32, Turn),
    /// Nothing is due until this time.
    Nothing(i64),
    /// The extension is gone, or of another version.
    Gone,
}

struct Executor {
    slot: &'static Slot,
    /// Its right to enter identities.
    right: Worker,
    /// It has had nothing to do for a while, and others are there.
    superfluous: bool,
    /// Where the round of owners is.
    after: (Oid, i16),
    /// Functions that were read, by instance and when it was started.
    graphs: HashMap<String, (i64, Rc<Graph>)>,
    /// When the next thing is due that it knows of, and perhaps nobody else; 0: there may be something.
    later: i64,
    /// How much had been sent when the box was looked into last.
    seen: u64,
    /// When to look into it again, if something could not be delivered, and how long after that.
    look_at: Option<i64>,
    again: i64,
    /// How many statements had ended with nobody waiting for them when that was looked into last.
    orphans: u64,
    /// What has come with a copy, and is to go on here.
    copies: arrive::Copies,
    /// When the next tick of a schedule comes.
    clock: Clock,
    quotas: Quotas,
    /// Whose turn it had last.
    role: Oid,
    /// The strand whose turn failed last, and how often.
    broken: Option<(String, i32, u32)>,
    /// How many strands to take with one commit: more while steps are short, one when they are not.
    group: i64,
    /// How many turns the strand has that was claimed last, if it goes on.
    streak: usize,
    /// Strands whose step took too long for others to wait: they wait for a turn of their own.
    slow: HashSet<(String, i32)>,
    /// Turns since old instances were looked for, and when that was.
    turns: u32,
    retired: i64,
    /// The transaction must be on the disk when it is committed.
    flush: bool,
    /// Turns to take one strand each, since a commit of several has failed.
    alone: u32,
}

/// Runs until the server, or the extension in this database, is gone.
pub fn run(database: Oid) {
    worker::set_up(Some(database));
    worker::at_exit(board::executor_ends);
    let Some(slot) = board::take(board::Role::Executor) else { return };
    let Ok(mut right) = Worker::new() else { return };
    prepare_session();
    while awaits::is_ready(slot) {
        let mut executor = Executor::new(slot, right);
        let _ = ours(|| as_owner(messages::look_again));
        if executor.serve() == Left::Superfluous {
            return;
        }
        // Updated, or gone: whatever it remembers is of the time before.
        turn::forget_rows();
        right = executor.right;
    }
}

/// Why an executor has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It is not wanted.
    Superfluous,
    /// The extension is gone, or is of another version now.
    Gone,
}

impl Executor {
    fn new(slot: &'static Slot, right: Worker) -> Self {
        Self {
            slot,
            right,
            after: (NO_OID, i16::MIN),
            superfluous: false,
            graphs: HashMap::new(),
            later: 0,
            // Whatever was sent before we were here may have been seen by nobody.
            seen: board::sent_so_far().wrapping_sub(1),
            look_at: None,
            again: LOOK_AGAIN.0,
            // As above.
            orphans: board::orphans().wrapping_sub(1),
            copies: arrive::Copies::default(),
            clock: Clock::new(),
            quotas: Quotas::default(),
            role: NO_OID,
            broken: None,
            group: 2,
            streak: SHORT_STREAK,
            slow: HashSet::new(),
            turns: 0,
            retired: 0,
            flush: false,
            alone: 0,
        }
    }
}

/// A transaction on our tables; nothing if they are gone, or of another version.
fn ours<R: Default>(f: impl FnOnce() -> R) -> Result<R, Caught> {
    worker::transaction(|| if version::hold() { f() } else { R::default() })
}

/// An executor's own settings: those of the configuration, whatever the database says; steps have the role's.
fn prepare_session() {
    let _ = worker::transaction(|| {
        settings::set_for_session(c"search_path", c"pg_catalog, pg_temp");
        settings::set_for_session(c"row_security", c"off");
    });
}

impl Executor {
    fn serve(&mut self) -> Left {
        loop {
            worker::attend();
            worker::statistics(false);
            let rank = board::rank(self.slot);
            let leaves =
                rank >= guc::executors_at_most() || self.superfluous || board::is_to_leave(self.slot);
            // Everybody looks: this one may have to do something long meanwhile.
            if self.look_at.take_if(|at| leaves || *at <= worker::now()).is_some() {
                board::sent();
            }
            if leaves {
                // What it alone has waited for is another's from here on.
                board::wake_for(worker::database(), 0);
                return Left::Superfluous;
            }
            self.lend();
            self.arrive();
            self.deliver();
            self.adopt();
            self.tick();
            self.retire(rank);
            match self.turn(None) {
                Done::Gone => return Left::Gone,
                Done::Nothing(due) => self.pause(due),
                Done::Turn(id, strand, turn) => self.streak(id, strand, turn),
            }
        }
    }

    /// Goes on with a strand as long as it can.
    fn streak(&mut self, mut id: String, mut strand: i32, mut turn: Turn) {
        let most = if guc::STEP_COMMIT.get() == guc::StepCommit::Each { STREAK } else { self.streak };
        for _ in 0..most {
            match turn {
                Turn::Goes => {}
                Turn::Awaits(name) => {
                    // Sent after our look into the box, and before it could be seen that somebody waits.
                    let _ = ours(|| as_owner(|| messages::deliver_kept(&id, &name)));
                    return;
                }
                Turn::Cancelled => {
                    // Not for this process alone: another may take the strand before the box is looked into.
                    board::sent();
                    return;
                }
                Turn::NotNow => {
                    Self::let_go(&id, strand);
                    return;
                }
                Turn::Rests | Turn::Slow => return,
                Turn::Outside(beginning) => {
                    outside::run_in_process(self.slot, &id, strand, beginning);
                    // Who was to be cancelled while it wrote down what it came to was told, and could not hear.
                    board::sent();
                    board::leave_role(self.slot);
                    // That process may have written when it is to be run again.
                    self.later = 0;
                    return;
                }
            }
            worker::attend();
            if board::sent_so_far() != self.seen || board::is_to_leave(self.slot) {
                return;
            }
            match self.turn(Some((&id, strand))) {
                Done::Turn(next_id, next_strand, next_turn) => {
                    (id, strand, turn) = (next_id, next_strand, next_turn);
                }
                Done::Nothing(_) | Done::Gone => return,
            }
        }
    }

    /// One transaction. `only`: this strand, else whatever is due.
    ///
    /// Strands of one identity share it while their steps are short, each step in a subtransaction of its own: one commit then
    /// serves all, and one that fails takes nothing from the others. They are of different instances, or branches of one, so that
    /// nobody waits for a lock of another instance while it holds one. A turn that must not count takes the others with it; they
    /// have done nothing then, and are taken again.
    fn turn(&mut self, only: Option<(&str, i32)>) -> Done {
        let mut held: Option<(String, i32)> = None;
        let mut awaited = Vec::new();
        let (mut ran, mut worked) = (1, 0);
        self.turns = self.turns.saturating_add(1);
        let began = worker::now();
        self.flush = guc::STEP_COMMIT.get() != guc::StepCommit::Boundary;
        let result = worker::transaction_if(|| {
            if !version::hold() {
                return (Done::Gone, Finish::Commit);
            }
            let claim = as_owner(|| match only {
                Some((id, strand)) => self.claim_again(id, strand, began),
                None => self.claim(began),
            });
            let mut strands = match claim {
                Claim::Nothing(due) => return (Done::Nothing(due), Finish::Commit),
                Claim::Strands(strands) => strands.into_iter(),
            };
            // It may have looked while it said that it waits: now it does not, and another one should.
            self.slot.idle.store(0, std::sync::atomic::Ordering::SeqCst);
            board::want_spare(worker::database());
            let Some((strand, instance)) = strands.next() else {
                return (Done::Nothing(NEVER), Finish::Commit);
            };
            let (id, number) = (strand.instance.clone(), strand.strand);
            held = Some((id.clone(), number));
            // While others are locked with it, it has no longer than they can wait; then it is run alone.
            let patience = (strands.len() > 0).then_some(PATIENCE);
            let mut company = Company::default();
            let Some(turn) = self.one(strand, &instance, patience, &mut company) else {
                // No identity stands in which others could run.
                return (Done::Turn(id, number, Turn::Rests), Finish::Commit);
            };
            if matches!(turn, Turn::Outside(_)) {
                // Shown before anybody can see that it was begun, until it has come to something.
                board::executing(self.slot, Some(&id), number, 0);
                return (Done::Turn(id, number, turn), Finish::Commit);
            }
            if !turn.counts() {
                return (Done::Turn(id, number, turn), Finish::Rollback);
            }
            let shared = match self.share(strands, &instance, began, &mut awaited, &mut company) {
                Ok(shared) => shared,
                Err(done) => return (done, Finish::Rollback),
            };
            ran = shared + 1;
            // Without waiting for the lock of an instance: that is a reason to have more in a commit.
            worked = worker::now() - began;
            if let Err(done) = self.settle(&id, &instance, company, &mut awaited) {
                return (done, Finish::Rollback);
            }
            // Who shares a commit goes on with the others of its queue, not by itself.
            let turn = if shared > 0 && turn == Turn::Goes { Turn::Rests } else { turn };
            let finish = if self.flush { Finish::Commit } else { Finish::CommitLater };
            (Done::Turn(id, number, turn), finish)
        });
        if !matches!(result, Ok(Done::Turn(_, _, Turn::Outside(_)))) {
            board::executing(self.slot, None, 0, 0);
            board::leave_role(self.slot);
        }
        match (result, held) {
            (Ok(done), _) => {
                if let Done::Turn(..) = done {
                    self.broken = None;
                }
                if only.is_none()
                    && let Done::Turn(_, _, turn) = &done
                {
                    self.pace(worked, ran, *turn == Turn::Slow);
                }
                for (id, name) in awaited.drain(..) {
                    let _ = ours(|| as_owner(|| messages::deliver_kept(&id, &name)));
                }
                done
            }
            (Err(caught), Some((id, strand))) => {
                if self.group > 1 && self.alone == 0 {
                    // Whose fault it was shows when each has a commit of its own.
                    self.alone = 2 * GROUP.unsigned_abs().try_into().unwrap_or(16);
                    log::warning(
                        &caught.message,
                        "Several steps that shared a commit were rolled back; each is run alone.",
                        "",
                    );
                } else {
                    self.failed(&id, strand, caught);
                }
                Done::Turn(id, strand, Turn::Rests)
            }
            (Err(caught), None) => {
                log::warning(
                    &caught.message,
                    "An executor of durable functions could not look for work.",
                    "",
                );
                // A second is long enough not to fill the log, and short enough not to be missed.
                worker::wait(Some(1_000));
                Done::Nothing(worker::now())
            }
        }
    }

    /// Turns of others with the same identity, for as long as they may take: how many there were. Of one that must not count, what it
    /// came to.
    fn share(
        &mut self,
        strands: impl Iterator<Item = (Strand, Instance)>,
        instance: &Instance,
        began: i64,
        awaited: &mut Vec<(String, String)>,
        company: &mut Company,
    ) -> Result<i64, Done> {
        let mut shared = 0;
        for (strand, other) in strands {
            if worker::now() - began > GROUP_TIME {
                break;
            }
            if other.facts != instance.facts || company.has_dropped(&strand) {
                continue;
            }
            let me = (strand.instance.clone(), strand.strand);
            match self.shared(strand, &other, company) {
                None => {}
                Some(turn) if turn.counts() => {
                    shared += 1;
                    if let Turn::Awaits(name) = turn {
                        awaited.push((me.0, name));
                    }
                }
                // What the others have done is rolled back with it, and done again.
                Some(turn) => {
                    self.alone = 1;
                    if turn == Turn::Slow {
                        self.is_slow(me.clone());
                    }
                    return Err(Done::Turn(me.0, me.1, turn));
                }
            }
        }
        Ok(shared)
    }

    /// A turn that shares the commit of others, in an identity that stands already; nothing if it is to have one of its own.
    fn shared(&mut self, strand: Strand, instance: &Instance, company: &mut Company) -> Option<Turn> {
        let id = strand.instance.clone();
        if !matches!(instance.status.as_str(), "pending" | "running")
            || self.slow.contains(&(id.clone(), strand.strand))
        {
            return None;
        }
        let mut strand = strand;
        if as_owner(|| pause::held(&mut strand, instance)) {
            return None;
        }
        // A function that cannot be read fails in a turn of its own.
        let graph = self.graph(&id, instance).ok()?;
        let mut course = Course::new(&graph, strand, instance, self.slot, self.seen, Some(PATIENCE));
        company.prepare(&mut course);
        let turn = course.run();
        self.flush |= course.flush;
        company.take(course);
        // A statement at top level is begun in a turn of its own.
        Some(if matches!(turn, Turn::Outside(_)) { Turn::Slow } else { turn })
    }

    /// Writes what branches that shared a transaction have left to its end.
    fn settle(
        &mut self,
        id: &str,
        instance: &Instance,
        company: Company,
        awaited: &mut Vec<(String, String)>,
    ) -> Result<(), Done> {
        if company.has_left_nothing() {
            return Ok(());
        }
        let Ok(graph) = self.graph(id, instance) else { return Err(Done::Nothing(worker::now())) };
        let family = Family { graph: &graph, instance, slot: self.slot, seen: self.seen };
        match company.settle(&family) {
            Ok((turns, flush)) => {
                self.flush |= flush;
                awaited.extend(turns.into_iter().filter_map(|turn| match turn {
                    Turn::Awaits(name) => Some((id.to_owned(), name)),
                    _ => None,
                }));
                Ok(())
            }
            // Whose fault it was shows when each has a commit of its own.
            Err((strand, turn)) => {
                self.alone = 1;
                Err(Done::Turn(id.to_owned(), strand, turn))
            }
        }
    }

    /// Remembers whose step took too long for others to wait. What is forgotten here is only found out again.
    fn is_slow(&mut self, who: (String, i32)) {
        if self.slow.len() >= GRAPHS {
            self.slow.clear();
        }
        self.slow.insert(who);
    }

    /// How many strands the next commit is for: fewer if these took long, without the commit itself; a slow disk is a reason to have
    /// more of them.
    fn pace(&mut self, worked: i64, ran: i64, slow: bool) {
        if slow || guc::STEP_COMMIT.get() == guc::StepCommit::Each {
            self.group = 1;
        } else if self.alone > 0 {
            self.alone -= 1;
        } else if worked > GROUP_TIME {
            self.group = ran;
        } else {
            self.group = (self.group * 2).min(GROUP);
        }
    }

    /// The turn of the strand that was claimed first, in its identity, which stands from here on; nothing if there was no turn, and
    /// nobody was entered. If there are no others, `patience` is `None`, and nothing is left for later.
    fn one(
        &mut self,
        mut strand: Strand,
        instance: &Instance,
        patience: Option<i32>,
        company: &mut Company,
    ) -> Option<Turn> {
        let before = std::mem::replace(&mut self.flush, true);
        let id = strand.instance.clone();
        self.slow.remove(&(id.clone(), strand.strand));
        if !matches!(instance.status.as_str(), "pending" | "running") {
            as_owner(|| {
                store::delete(&id, strand.strand);
                call::drop_unwanted(&id);
            });
            return None;
        }
        if as_owner(|| pause::held(&mut strand, instance)) {
            return None;
        }
        let graph = match self.graph(&id, instance) {
            Ok(graph) => graph,
            Err(failure) => {
                fail(&id, &failure, None);
                return None;
            }
        };
        if let Err(failure) = self.enter(&strand, instance) {
            fail(&id, &failure, Some(&graph));
            return None;
        }
        let mut course = Course::new(&graph, strand, instance, self.slot, self.seen, patience);
        if patience.is_some() {
            company.prepare(&mut course);
        }
        let turn = course.run();
        self.flush = before || course.flush;
        company.take(course);
        Some(turn)
    }

    /// Enters the identity that the instance was started with.
    fn enter(&self, strand: &Strand, instance: &Instance) -> Result<(), Failure> {
        rights::check(strand.owner)?;
        let superusers = if guc::superuser_instances() { Superusers::Allowed } else { Superusers::Refused };
        let facts = instance.facts.as_deref();
        identity::worker::enter(&self.right, strand.owner, facts, superusers).map_err(rights::failure)
    }

    fn graph(&mut self, id: &str, instance: &Instance) -> Result<Rc<Graph>, Failure> {
        if let Some((created, graph)) = self.graphs.get(id)
            && *created == instance.created
        {
            return Ok(Rc::clone(graph));
        }
        let graph = Rc::new(read_graph(id)?);
        if self.graphs.len() >= GRAPHS {
            self.graphs.clear();
        }
        self.graphs.insert(id.to_owned(), (instance.created, Rc::clone(&graph)));
        Ok(graph)
    }

    /// A turn was rolled back because the strand is not wanted any more, or could not have a lock.
    fn let_go(id: &str, strand: i32) {
        let result = ours(|| {
            as_owner(|| {
                if store::lock(id, 0).is_none() {
                    // It has ended: what the turn had taken out of the box is there again.
                    store::delete_messages(id);
                }
                let Some(mut held) = store::try_lock(id, strand) else { return };
                if store::is_wanted(&held) {
                    if held.held.is_some() {
                        return;
                    }
                    // Not at once again: whoever had the lock needs it for a moment.
                    if held.state == State::Ready || held.state == State::Forked {
                        held.due = worker::now() + 1_000;
                    }
                    store::save(&held);
                } else {
                    store::delete(id, strand);
                    call::drop_unwanted(id);
                    // What was left of it can be taken away.
                    outbox::sent();
                }
            });
        });
        if let Err(caught) = result {
            log::warning(&caught.message, "A branch that is not wanted any more could not be removed.", "");
        }
    }

    /// A turn failed for a reason that is not the step's: tried once more, then the instance fails.
    fn failed(&mut self, id: &str, strand: i32, caught: Caught) {
        if caught.sqlstate == "57014" && board::was_ours(self.slot) {
            // It was cancelled outside its statement: whoever asked for it is heard again.
            board::sent();
            return;
        }
        if ["53", "58"].iter().any(|class| caught.sqlstate.starts_with(class)) {
            // The server lacks something: space, memory, a file. That is nobody's failure, and waits until there is some.
            log::warning(
                &caught.message,
                &format!("A turn of durable function {id} was rolled back; it is tried again."),
                "",
            );
            worker::wait(Some(1_000));
            return;
        }
        let times = match &self.broken {
            Some((broken, number, times)) if broken == id && *number == strand => times + 1,
            _ => 1,
        };
        log::warning(&caught.message, &format!("A turn of durable function {id} was rolled back."), "");
        self.broken = Some((id.to_owned(), strand, times));
        if times < 2 {
            return;
        }
        let failure = super::step::failure(caught);
        let graph = ours(|| read_graph(id).ok()).ok().flatten();
        let result = ours(|| fail(id, &failure, graph.as_ref()));
        if let Err(caught) = result {
            log::warning(&caught.message, &format!("Durable function {id} could not be ended."), "");
            worker::wait(Some(1_000));
        }
    }

    /// Before chores, which may take long: others may rely on this process for a time.
    fn lend(&mut self) {
        let busy = board::sent_so_far() != self.seen
            || board::orphans() != self.orphans
            || self.clock.is_due()
            || self.copies.is_due();
        let later = self.later.min(self.clock.next);
        if busy && board::somebody_waits() && !board::is_covered(later) {
            board::wake_for(worker::database(), later);
        }
    }

    /// Waits for something to do.
    fn pause(&mut self, due: i64) {
        use std::sync::atomic::Ordering::SeqCst;
        board::waits_until(self.slot, NEVER);
        // What it was told is in what it is about to see.
        self.later = self.later.min(board::told(self.slot));
        self.slot.idle.store(1, SeqCst);
        // Whoever committed before we said that we wait has woken nobody: look once more.
        let due = match self.turn(None) {
            Done::Nothing(next) => {
                // It has seen everything. Others rely on it for what is due from then on.
                let _ = store::put_to_rest();
                self.later = next.min(due).min(self.clock.next);
                if board::sent_so_far() == self.seen && !self.clock.has_changed() && !self.copies.is_due() {
                    let own = self.look_at.unwrap_or(NEVER).min(self.copies.at.unwrap_or(NEVER));
                    // One keeps the time for all.
                    let until = if board::is_covered(self.later) { own } else { self.later.min(own) };
                    board::waits_until(self.slot, until);
                    until
                } else {
                    0
                }
            }
            Done::Gone => return,
            Done::Turn(id, strand, turn) => {
                self.slot.idle.store(0, SeqCst);
                return self.streak(id, strand, turn);
            }
        };
        let due = if self.retired > 0 && board::rank(self.slot) == 0 {
            due.min(self.retired + RETIRE_EVERY)
        } else {
            due
        };
        let wait = if due == NEVER {
            None
        } else {
            // Rounded up: woken too early, it would turn in a circle.
            Some((due - worker::now()).max(0).div_euclid(1_000) + 1)
        };
        if due > worker::now() {
            worker::report(None);
            worker::statistics(true);
            let began = worker::now();
            // The first of them stays; it is there when something comes.
            let longest = if board::rank(self.slot) == 0 { 3_600_000 } else { IDLE };
            let longest = if turn::remembers_rows() { ROWS_KEPT } else { longest };
            worker::wait(Some(wait.map_or(longest, |milliseconds| milliseconds.min(longest))));
            if worker::now() - began >= ROWS_KEPT * 1_000 {
                turn::forget_rows();
            }
            self.superfluous = worker::now() - began >= IDLE * 1_000 && board::rank(self.slot) > 0;
        }
        self.slot.idle.store(0, SeqCst);
    }
}

/// Reads the function of an instance.
fn read_graph(id: &str) -> Result<Graph, Failure> {
    let text = as_owner(|| store::graph(id)).unwrap_or_default();
    Graph::parse(&text).map_err(|error| Failure::new("22023", error.to_string()))
}

/// Ends an instance for a reason that lies outside its steps.
fn fail(id: &str, failure: &Failure, graph: Option<&Graph>) {
    as_owner(|| {
        let left_off = graph.and_then(|graph| rerun::everything(id, graph));
        let end = End { status: "failed", failure: Some(failure), left_off, ..End::default() };
        if let Some(caller) = store::end(id, &end, worker::now()) {
            call::tell(id, &caller, None, None, Some(failure.clone()));
        }
        let all: Vec<i32> = store::strands(id).iter().map(|strand| strand.strand).collect();
        debris::clear(id, &all);
        call::drop_unwanted(id);
    });
}
