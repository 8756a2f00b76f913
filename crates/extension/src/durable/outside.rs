//! A process that runs one statement at top level, and ends.
//!
//! **How it works.** An executor has written that the statement is begun, and committed that. It starts this process, which enters the
//! identity for its life, runs the statement with whatever transactions it makes, and writes what it came to into the strand, in a
//! transaction of its own. The executor waits for its end; a statement of which nothing was written is begun again.
//!
//! **Invariants**
//! * What is written counts for the beginning that it belongs to, and only while the strand waits for it: who was begun again, or
//!   cancelled, is not heard.
//! * Nothing of the statement's session is left: the process ends.
//!
//! **Not promised.** Exactly once: a crash between the statement and its record runs it again.

use postern_durable::machine::{Outcome, Value};
use postern_durable::{Failure, Graph, Kind, Prepared};

use super::step::{self, Done, Stopped};
use super::store::{self, Instance, NEVER, State, Step, Strand};
use super::{board, call, outbox, rights, substitution, turn};
use crate::guc;
use crate::identity::worker::{Judged, Superusers, Worker};
use crate::pg::caught::Caught;
use crate::pg::query::as_owner;
use crate::pg::worker::{self, Job};
use crate::pg::{Oid, log};
use crate::version;
use crate::{identity, pg::shmem::Slot};

/// Milliseconds after which a statement is begun again whose process ended; longer each time.
const PAUSE: i64 = 500;

/// Which statement of a strand, and the how-manieth time: another executor may be at the next one while this one hears that the
/// process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// How many records the strand had.
    n: i32,
    /// How often the statement was begun.
    begun: u32,
}

impl Beginning {
    /// Of the statement that a strand runs.
    pub fn of(strand: &Strand) -> Self {
        Self { n: strand.frame.n, begun: strand.frame.begun }
    }
}

/// Runs the statement of a strand, and waits for its end. In an executor, outside a transaction; it shows the strand meanwhile.
pub fn run_in_process(slot: &Slot, id: &str, strand: i32, beginning: Beginning) {
    let started = board::number(id).and_then(|number| {
        worker::start_watched(Job {
            function: "postern_statement",
            name: "postern statement",
            argument: u64::from(worker::database().to_u32()),
            extra: u64::from(number) << 32 | u64::from(strand.cast_unsigned()),
            restart: -1,
        })
    });
    let pause = if let Some(started) = started {
        while !started.has_ended() {
            worker::wait(None);
        }
        started.release();
        PAUSE
    } else {
        log::warning(
            "could not start a process for a statement of a durable function",
            "No background worker is free; it is tried again.",
            "Raise max_worker_processes.",
        );
        board::make_room();
        0
    };
    // What was asked of the strand was not meant for what comes next.
    board::was_ours(slot);
    if let Err(caught) = worker::transaction(|| {
        if version::hold() {
            as_owner(|| begin_again(id, strand, beginning, pause));
        }
    }) {
        log::warning(&caught.message, "A statement of a durable function could not be begun again.", "");
    }
    board::executing(slot, None, 0, 0);
}

/// Has a statement begun again of which nothing was written; `pause` 0: it was not begun at all.
fn begin_again(id: &str, strand: i32, beginning: Beginning, pause: i64) {
    let same = |strand: &Strand| is_running(strand) && Beginning::of(strand) == beginning;
    let Some(mut strand) = store::lock(id, strand).filter(same) else { return };
    let after = if pause == 0 {
        strand.frame.begun = strand.frame.begun.saturating_sub(1);
        1_000
    } else {
        pause * i64::from(strand.frame.begun)
    };
    strand.due = worker::now() + after * 1_000;
    store::save(&strand);
}

fn is_running(strand: &Strand) -> bool {
    strand.state == State::Outside && strand.due == NEVER && strand.frame.outcome.is_none()
}

/// After a crash, or the end of an executor or of a process that none waited for: statements that were begun and that nobody runs. As the owner.
pub fn look_again() {
    begin_those_again(&store::outside());
}

/// As [`look_again`], of the strands of an instance.
pub fn begin_those_again(strands: &[Strand]) {
    for strand in strands.iter().filter(|strand| is_running(strand)) {
        // Whoever has written that it runs it has shown so before; and shows it until it has written something else.
        if !board::running(&strand.instance).iter().any(|(running, _)| *running == strand.strand) {
            begin_again(&strand.instance, strand.strand, Beginning::of(strand), 1);
        }
    }
}

/// What is to be run, and as whom.
struct Task {
    strand: Strand,
    query: String,
    ready: Result<(Prepared, Judged), Failure>,
}

/// The process.
pub fn run(database: Oid) {
    worker::set_up(Some(database));
    worker::at_exit(board::statement_ends);
    let Some(slot) = board::take(board::Role::Statement) else { return };
    let (number, strand) = (worker::extra() >> 32, worker::extra() & 0xffff_ffff);
    let id = format!("{number:08x}");
    let Ok(strand) = i32::try_from(strand) else { return };
    board::executing(slot, Some(&id), strand, 0);
    // Whoever cancels from here on tells this process; whoever has, has taken the strand away. So no request is overlooked.
    let Ok(right) = Worker::new() else { return };
    let task =
        worker::transaction(|| if version::hold() { as_owner(|| task(&right, &id, strand)) } else { None });
    let Ok(Some(task)) = task else { return };
    board::executing(slot, Some(&id), strand, task.strand.node.cast_signed());
    worker::report(Some(&turn::activity(&id, task.strand.node, &task.query)));
    let started = worker::now();
    let (ran, sql) = match task.ready {
        Ok((prepared, judged)) => (perform(&prepared, &judged), Some(prepared.sql)),
        Err(failure) => (Err(Stopped::Failed(failure)), None),
    };
    let ran = match ran {
        Ok(done) => Ok(done),
        Err(Stopped::Cancelled(_)) if board::was_ours(slot) => return,
        Err(Stopped::Cancelled(failure) | Stopped::Failed(failure)) => Err(failure),
        // At top level there is nothing above it.
        Err(Stopped::TopLevel) => return,
    };
    let text = sql.filter(|sql| *sql != task.query);
    // A request to cancel that came too late must not take the record of what has happened away.
    worker::attend();
    let written = worker::transaction(|| {
        if version::hold() {
            as_owner(|| write(&task.strand, started, text.as_deref(), ran));
        }
    });
    if let Err(caught) = written {
        log::warning(&caught.message, "What a statement came to could not be written; it is run again.", "");
    }
}

/// Reads what is to be run. As the owner.
fn task(right: &Worker, id: &str, number: i32) -> Option<Task> {
    // Whoever has it locked looks at it for a moment: the statement is not begun in vain.
    let (strand, instance) = store::lock_with_instance(id, number)?;
    if !is_running(&strand) || !matches!(instance.status.as_str(), "pending" | "running") {
        return None;
    }
    let graph = Graph::parse(&store::graph(id)?).ok()?;
    let Kind::Sql { query } = graph.node(strand.node)?.kind.clone() else { return None };
    let ready = prepare(&query, &strand, &instance).and_then(|prepared| {
        rights::check(strand.owner)?;
        let superusers = if guc::superuser_instances() { Superusers::Allowed } else { Superusers::Refused };
        let judged = identity::worker::judge(right, strand.owner, instance.facts.as_deref(), superusers);
        Ok((prepared, judged.map_err(rights::failure)?))
    });
    Some(Task { strand, query, ready })
}

fn prepare(query: &str, strand: &Strand, instance: &Instance) -> Result<Prepared, Failure> {
    let id = &strand.instance;
    substitution::prepare(query, id, instance, &strand.frame.names, |value| match value {
        Value::Kept(record) => store::kept(id, *record).unwrap_or_else(|| ("null".into(), None)),
        Value::Json(text) => (text.clone(), None),
    })
}

fn perform(prepared: &Prepared, judged: &Judged) -> Result<Done, Stopped> {
    judged.enter_for_life().map_err(|error| Stopped::Failed(rights::failure(error)))?;
    let failed = |caught: Caught| Stopped::Failed(step::failure(caught));
    worker::transaction(identity::worker::settings_for_life).map_err(failed)?;
    step::run_at_top_level(judged, &prepared.sql, &prepared.params, guc::STEP_TIMEOUT.get())
}

/// Writes what the statement came to, if the strand still waits for that. As the owner.
fn write(begun: &Strand, started: i64, text: Option<&str>, ran: Result<Done, Failure>) {
    let (id, number) = (&begun.instance, begun.strand);
    let same = |strand: &Strand| is_running(strand) && Beginning::of(strand) == Beginning::of(begun);
    let Some(mut strand) = store::lock(id, number).filter(same) else { return };
    // As in a turn: of a branch it counts only if it is still wanted, which only who has locked the instance can tell.
    if strand.parent.is_some() && (store::lock(id, 0).is_none() || !store::is_wanted(&strand)) {
        store::delete(id, number);
        call::drop_unwanted(id);
        return;
    }
    let record = postern_durable::machine::Record(number, strand.frame.n);
    strand.frame.n += 1;
    let (done, failure) = match ran {
        Ok(done) => (Some(done), None),
        Err(failure) => (None, Some(failure)),
    };
    let step = Step {
        node: strand.node,
        attempt: strand.frame.attempt(),
        turn: strand.frame.turn(),
        started,
        query: text,
        result: done.as_ref().map(|done| done.result.as_str()),
        columns: done.as_ref().and_then(|done| done.columns.as_deref()),
        failure: failure.as_ref(),
    };
    store::record(id, record, strand.owner, worker::now(), &step);
    store::begun(id, record, strand.frame.begun.cast_signed());
    let outcome = failure.map_or(Outcome::Done(Value::Kept(record)), Outcome::Failed);
    strand.frame.outcome = Some(Box::new(outcome));
    strand.due = worker::now();
    store::save(&strand);
    outbox::started();
}
