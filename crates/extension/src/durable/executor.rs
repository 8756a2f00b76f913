//! An executor: a background worker that takes what is due in its database, one strand in one transaction.
//!
//! **How it works.** Queues are (owner, priority), each in the order in which its strands are due. An executor goes round the
//! owners, so that nobody waits for another's backlog, and within one owner takes the lowest priority first. A strand that can go
//! on at once is taken again, up to [`STREAK`] times. When nothing is due it waits, with its latch and one timer: until someone
//! commits something to do, or the next strand is due.
//!
//! **Unwinding.** An ERROR outside a step's own subtransaction ends the turn's transaction, never the process. A strand whose
//! turn fails twice in a row for such a reason fails its instance: nothing is tried for ever.

use std::collections::HashMap;
use std::ffi::CString;
use std::rc::Rc;

use postern_durable::Failure;
use postern_durable::Graph;

use super::store::{self, Instance, NEVER, State, Strand};
use super::turn::{Course, Turn};
use super::{board, messages, outbound, rights};
use crate::identity::worker::{Superusers, Worker};
use crate::pg::caught::Caught;
use crate::pg::jsonb::Jsonb;
use crate::pg::query::as_owner_in_executor as as_owner;
use crate::pg::shmem::Slot;
use crate::pg::worker::{self, Job};
use crate::pg::{NO_OID, Oid, catalog, guc as settings, log};
use crate::{guc, identity};

/// Turns of one strand before others have theirs.
const STREAK: usize = 64;

/// Functions whose graphs an executor remembers.
const GRAPHS: usize = 256;

/// Starts an executor in a database; false if no background worker is free.
pub fn start(database: Oid) -> bool {
    worker::start(Job {
        function: "postern_executor",
        name: "postern executor",
        argument: u64::from(database.to_u32()),
        restart: 1,
    })
}

/// The strand that was due last, and who else.
enum Claim {
    /// This one.
    Strand(Box<Strand>, Box<Instance>),
    /// Nothing is due; the next thing is at this time.
    Nothing(i64),
}

/// What one transaction came to.
enum Done {
    /// A turn of a strand.
    Turn(String, i32, Turn),
    /// Nothing is due until this time.
    Nothing(i64),
    /// The extension is gone.
    Gone,
}

struct Executor {
    slot: &'static Slot,
    /// Its right to enter identities.
    right: Worker,
    /// The configuration was read again while it waited.
    configured: bool,
    /// Where the round of owners is.
    after: (Oid, i16),
    graphs: HashMap<String, Rc<Graph>>,
    /// How much had been sent when the box was looked into last.
    seen: u64,
    /// The strand whose turn failed last, and how often.
    broken: Option<(String, i32, u32)>,
}

/// Runs until the server, or the extension in this database, is gone.
pub fn run(database: Oid) {
    worker::set_up(Some(database));
    worker::at_exit(board::give_back);
    let Some(slot) = board::take() else { return };
    match worker::transaction(catalog::is_installed) {
        Ok(true) => {}
        _ => return,
    }
    let Ok(right) = Worker::new() else { return };
    prepare_session();
    let mut executor = Executor {
        slot,
        right,
        after: (NO_OID, i16::MIN),
        configured: false,
        graphs: HashMap::new(),
        // Whatever was sent before we were here may have been seen by nobody.
        seen: board::sent_so_far().wrapping_sub(1),
        broken: None,
    };
    let _ = worker::transaction(|| as_owner(messages::look_again));
    executor.serve();
}

/// An executor's own settings: those of the configuration, whatever the database says; steps have the role's.
fn prepare_session() {
    let _ = worker::transaction(|| {
        settings::set_for_session(c"search_path", c"pg_catalog, pg_temp");
        settings::set_for_session(c"row_security", c"off");
    });
}

/// Starts as many as there should be. Those that are too many end by themselves.
fn siblings() {
    for _ in board::executors(worker::database())..guc::executors() {
        if !start(worker::database()) {
            log::warning(
                "could not start as many executors of durable functions as postern.executors says",
                "No background worker is free.",
                "Raise max_worker_processes.",
            );
            return;
        }
    }
}

impl Executor {
    fn serve(&mut self) {
        let mut first = true;
        loop {
            let changed = worker::attend();
            let rank = board::rank(self.slot);
            if rank >= guc::executors() {
                return;
            }
            // One of them sees to the others: when it begins, and when the setting may have changed.
            if rank == 0 && (changed || first || self.configured) {
                siblings();
            }
            (first, self.configured) = (false, false);
            self.deliver();
            match self.turn(None) {
                Done::Gone => return,
                Done::Nothing(due) => self.pause(due),
                Done::Turn(id, strand, turn) => {
                    // Others may have something to do as well.
                    board::wake(worker::database());
                    self.streak(id, strand, turn);
                }
            }
        }
    }

    /// Goes on with a strand as long as it can.
    fn streak(&mut self, mut id: String, mut strand: i32, mut turn: Turn) {
        for _ in 0..STREAK {
            match turn {
                Turn::Goes => {}
                Turn::Rests => {
                    // It may rest until a time that nobody's timer knows of.
                    board::wake(worker::database());
                    return;
                }
                Turn::Awaits(name) => {
                    // Sent after our look into the box, and before it could be seen that somebody waits.
                    let _ = worker::transaction(|| as_owner(|| messages::deliver_kept(&id, &name)));
                    return;
                }
                Turn::Cancelled => {
                    self.seen = self.seen.wrapping_sub(1);
                    return;
                }
                Turn::NotNow => {
                    self.let_go(&id, strand);
                    return;
                }
            }
            worker::attend();
            if board::sent_so_far() != self.seen {
                return;
            }
            match self.turn(Some((&id, strand))) {
                Done::Turn(next_id, next_strand, next_turn) => {
                    (id, strand, turn) = (next_id, next_strand, next_turn)
                }
                Done::Nothing(_) | Done::Gone => return,
            }
        }
    }

    /// One transaction. `only`: this strand, else whatever is due.
    fn turn(&mut self, only: Option<(&str, i32)>) -> Done {
        let mut held: Option<(String, i32)> = None;
        let result = worker::transaction_if(|| {
            if !catalog::is_installed() {
                return (Done::Gone, true);
            }
            let now = worker::now();
            let claim = as_owner(|| match only {
                Some((id, strand)) => store::claim_one(id, strand, now)
                    .map_or(Claim::Nothing(NEVER), |(strand, instance)| {
                        Claim::Strand(Box::new(strand), Box::new(instance))
                    }),
                None => self.claim(now),
            });
            let (strand, instance) = match claim {
                Claim::Nothing(due) => return (Done::Nothing(due), true),
                Claim::Strand(strand, instance) => (*strand, *instance),
            };
            let (id, number) = (strand.instance.clone(), strand.strand);
            held = Some((id.clone(), number));
            let turn = self.one(strand, &instance);
            let good = !matches!(turn, Turn::NotNow | Turn::Cancelled);
            (Done::Turn(id, number, turn), good)
        });
        board::executing(self.slot, None, 0, 0);
        match (result, held) {
            (Ok(done), _) => {
                if let Done::Turn(..) = done {
                    self.broken = None;
                }
                done
            }
            (Err(caught), Some((id, strand))) => {
                self.failed(&id, strand, caught);
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

    /// The strand that has been due longest in the next queue of the round.
    fn claim(&mut self, now: i64) -> Claim {
        let start = self.after;
        let mut at = start;
        let mut next = NEVER;
        let mut wrapped = false;
        loop {
            match store::queue_after(at.0, at.1) {
                Some((owner, priority, due)) => {
                    at = (owner, priority);
                    if due <= now {
                        if let Some((strand, instance)) = store::claim(owner, priority, now) {
                            // The next round begins with the next owner: its own later priorities come after it.
                            self.after = (owner, i16::MAX);
                            return Claim::Strand(Box::new(strand), Box::new(instance));
                        }
                        next = next.min(store::next_due(owner, priority, now));
                    } else {
                        next = next.min(due);
                    }
                    if wrapped && (at.0.to_u32(), at.1) >= (start.0.to_u32(), start.1) {
                        break;
                    }
                }
                None if wrapped => break,
                None => {
                    wrapped = true;
                    at = (NO_OID, i16::MIN);
                }
            }
        }
        self.after = (NO_OID, i16::MIN);
        Claim::Nothing(next)
    }

    fn one(&mut self, strand: Strand, instance: &Instance) -> Turn {
        let id = strand.instance.clone();
        if !matches!(instance.status.as_str(), "pending" | "running") {
            as_owner(|| store::delete(&id, strand.strand));
            return Turn::Rests;
        }
        let graph = match self.graph(&id) {
            Ok(graph) => graph,
            Err(failure) => {
                fail(&id, &failure);
                return Turn::Rests;
            }
        };
        if let Err(failure) = self.enter(&strand, instance) {
            fail(&id, &failure);
            return Turn::Rests;
        }
        Course::new(&graph, strand, instance, self.slot).run()
    }

    /// Enters the identity that the instance was started with.
    fn enter(&self, strand: &Strand, instance: &Instance) -> Result<(), Failure> {
        rights::check(strand.owner)?;
        let superusers = if guc::superuser_instances() { Superusers::Allowed } else { Superusers::Refused };
        // What is not JSON cannot be in a column of the type.
        let facts = instance
            .facts
            .as_deref()
            .and_then(|text| CString::new(text).ok())
            .map(|text| Jsonb::parse(&text));
        identity::worker::enter(&self.right, strand.owner, facts, superusers).map_err(rights::failure)
    }

    fn graph(&mut self, id: &str) -> Result<Rc<Graph>, Failure> {
        if let Some(graph) = self.graphs.get(id) {
            return Ok(Rc::clone(graph));
        }
        let text = as_owner(|| store::graph(id)).unwrap_or_default();
        let graph = Graph::parse(&text).map_err(|error| Failure::new("22023", error.to_string()))?;
        let graph = Rc::new(graph);
        if self.graphs.len() >= GRAPHS {
            self.graphs.clear();
        }
        self.graphs.insert(id.to_owned(), Rc::clone(&graph));
        Ok(graph)
    }

    /// Looks into the box if something was put in.
    fn deliver(&mut self) {
        let sent = board::sent_so_far();
        if sent == self.seen {
            return;
        }
        self.seen = sent;
        if let Err(caught) = worker::transaction(|| as_owner(messages::deliver)) {
            log::warning(&caught.message, "Messages to durable functions could not be delivered.", "");
        }
    }

    /// A turn was rolled back because the strand is not wanted any more, or could not have a lock.
    fn let_go(&mut self, id: &str, strand: i32) {
        let result = worker::transaction(|| {
            as_owner(|| {
                if store::lock(id, 0).is_none() {
                    return;
                }
                let Some(mut held) = store::try_lock(id, strand) else { return };
                if wanted(id, &held) {
                    // Not at once again: whoever had the lock needs it for a moment.
                    if held.state == State::Ready || held.state == State::Forked {
                        held.due = worker::now() + 1_000;
                    }
                    store::save(&held);
                } else {
                    store::delete(id, strand);
                }
            });
        });
        if let Err(caught) = result {
            log::warning(&caught.message, "A branch that is not wanted any more could not be removed.", "");
        }
    }

    /// A turn failed for a reason that is not the step's: tried once more, then the instance fails.
    fn failed(&mut self, id: &str, strand: i32, caught: Caught) {
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
        let result = worker::transaction(|| fail(id, &failure));
        if let Err(caught) = result {
            log::warning(&caught.message, &format!("Durable function {id} could not be ended."), "");
            worker::wait(Some(1_000));
        }
    }

    /// Waits for something to do.
    fn pause(&mut self, due: i64) {
        use std::sync::atomic::Ordering::SeqCst;
        self.slot.idle.store(1, SeqCst);
        // Whoever committed before we said that we wait has woken nobody: look once more.
        let due = match self.turn(None) {
            Done::Nothing(next) if board::sent_so_far() == self.seen => next.min(due),
            Done::Nothing(_) => 0,
            Done::Gone => return,
            Done::Turn(id, strand, turn) => {
                self.slot.idle.store(0, SeqCst);
                board::wake(worker::database());
                return self.streak(id, strand, turn);
            }
        };
        let wait = if due == NEVER {
            None
        } else {
            // Rounded up: woken too early, it would turn in a circle.
            Some((due - worker::now()).max(0).div_euclid(1_000) + 1)
        };
        if due > worker::now() {
            worker::report(None);
            self.configured |= worker::wait(wait.map(|milliseconds| milliseconds.min(3_600_000)));
        }
        self.slot.idle.store(0, SeqCst);
    }
}
/// Whether every strand above waits for its branches.
fn wanted(id: &str, strand: &Strand) -> bool {
    let all = store::strands(id);
    let mut above = strand.parent;
    while let Some(number) = above {
        match all.iter().find(|strand| strand.strand == number) {
            Some(strand) if strand.state == State::Forked => above = strand.parent,
            _ => return false,
        }
    }
    true
}

/// Ends an instance for a reason that lies outside its steps.
fn fail(id: &str, failure: &Failure) {
    as_owner(|| {
        store::end(id, "failed", None, Some(failure), worker::now());
        let all: Vec<i32> = store::strands(id).iter().map(|strand| strand.strand).collect();
        for number in store::delete_free(id, &all) {
            board::cancel(worker::database(), id, Some(number));
        }
        outbound::drop_unwanted(id);
    });
}
