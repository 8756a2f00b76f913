//! Schedules: functions that start again and again, as the identity that asked for it.
//!
//! **How it works.** A schedule is a row: whose it is, with which facts, and when its next tick comes. Executors know the next tick
//! of all; whoever wakes first takes the row, starts an instance and writes the tick after it, in one transaction. A change wakes
//! every executor, since each has a timer of its own. What a tick does is decided in `postern_durable::ticks`.
//!
//! **Invariants**
//! * One tick starts at most one instance: the row is locked from the look at it to the commit.
//! * A tick that waits for the function of the one before is looked at again when that one has ended: its end counts as a change.
//! * Identity and facts are captured by the same code as those of `df.start()`, and judged anew before each step.

use postern_durable::cron::Schedule;
use postern_durable::ticks::{Due, Overlap};
use postern_durable::{Graph, check_name};

use super::error::Refusal;
use super::start::{self, FORMAT};
use super::store::NEVER;
use super::{board, home, misuse, outbox, rights};
use crate::error::Error;
use crate::identity;
use crate::pg::query::{self, Arg, as_owner};
use crate::pg::{Oid, log, role, user, worker};

/// What `df.schedule()` was given.
#[derive(Debug)]
pub struct Request<'a> {
    pub name: &'a str,
    pub cron: &'a str,
    pub function: &'a str,
    pub overlap: &'a str,
    pub backfill: bool,
    pub label: Option<&'a str>,
    pub priority: i32,
}

/// Makes a schedule, or replaces the one of this name; gives when its first tick comes.
pub fn schedule(request: &Request) -> Result<i64, Error> {
    if request.name.is_empty() {
        return Err(Refusal::Empty("Schedule name").into());
    }
    // Its name is the label of what it starts, where none is given.
    check_name("Schedule name", request.name).map_err(Refusal::Language)?;
    check_name("label", request.label.unwrap_or_default()).map_err(Refusal::Language)?;
    misuse::check_start(request.function)?;
    let cron = Schedule::parse(request.cron).map_err(Refusal::Language)?;
    let overlap = Overlap::parse(request.overlap).map_err(Refusal::Language)?;
    let priority = start::priority(request.priority)?;
    let graph = Graph::parse(request.function).map_err(Refusal::Language)?;
    graph.check_new().map_err(Refusal::Language)?;
    let captured = start::capture("df.schedule()")?;
    rights::check_start(captured.role)?;
    let now = worker::now();
    let next = cron
        .next_after(worker::to_unix(now))
        .map(worker::from_unix)
        .ok_or_else(|| Refusal::Never(request.cron.into()))?;
    let facts = identity::facts::text();
    as_owner(|| {
        let vars = start::variables_for(request.function, captured.role);
        query::run(
            c"INSERT INTO postern.schedule (owner, name, cron, overlap, backfill, label, priority, session_role, definers, created_at, \
                     next_at, graph, vars, facts, format, home) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::jsonb, $14::jsonb, $15, $16) \
              ON CONFLICT ON CONSTRAINT schedule_pkey DO UPDATE SET \
                     cron = excluded.cron, overlap = excluded.overlap, backfill = excluded.backfill, label = excluded.label, \
                     priority = excluded.priority, session_role = excluded.session_role, definers = excluded.definers, \
                     created_at = excluded.created_at, next_at = excluded.next_at, waiting = false, paused_at = NULL, \
                     graph = excluded.graph, vars = excluded.vars, facts = excluded.facts, format = excluded.format, \
                     home = excluded.home, away = false",
            &[
                Arg::Oid(captured.role),
                Arg::Text(request.name),
                Arg::Text(request.cron),
                Arg::Text(overlap.name()),
                Arg::Bool(request.backfill),
                Arg::Maybe(request.label),
                Arg::Int2(priority),
                Arg::Oid(captured.session),
                Arg::Texts(&captured.definers),
                Arg::Time(now),
                Arg::Time(next),
                Arg::Text(graph.text()),
                Arg::Maybe(vars.as_deref()),
                Arg::Maybe(facts.as_deref()),
                Arg::Int2(FORMAT),
                Arg::Text(&home::mark(captured.role)),
            ],
        );
    });
    outbox::rescheduled();
    Ok(next)
}

/// Takes a schedule of the current user away. What it has started goes on.
pub fn unschedule(name: &str) -> Result<(), Error> {
    let owner = user::current().oid;
    let gone = as_owner(|| {
        query::run(
            c"DELETE FROM postern.schedule s WHERE s.owner = $1 AND s.name = $2 RETURNING s.name",
            &[Arg::Oid(owner), Arg::Text(name)],
        )
    });
    if gone.is_empty() { Err(Refusal::NoSchedule(name.into()).into()) } else { Ok(()) }
}

/// Pauses a schedule of the current user. Ticks of a pause are not made up. What it has started goes on.
pub fn pause(name: &str) -> Result<(), Error> {
    let owner = user::current().oid;
    let found = as_owner(|| {
        query::run(
            c"UPDATE postern.schedule s SET paused_at = coalesce(s.paused_at, now()), waiting = false \
              WHERE s.owner = $1 AND s.name = $2 RETURNING s.name",
            &[Arg::Oid(owner), Arg::Text(name)],
        )
    });
    if found.is_empty() {
        return Err(Refusal::NoSchedule(name.into()).into());
    }
    outbox::rescheduled();
    Ok(())
}

/// Has a schedule of the current user go on; gives when its next tick comes.
pub fn resume(name: &str) -> Result<i64, Error> {
    let owner = user::current().oid;
    let found = as_owner(|| {
        query::run(
            c"SELECT s.cron, s.next_at, s.paused_at, s.home FROM postern.schedule s WHERE s.owner = $1 AND s.name = $2 FOR UPDATE",
            &[Arg::Oid(owner), Arg::Text(name)],
        )
    });
    let row = found.first().ok_or_else(|| Refusal::NoSchedule(name.into()))?;
    if row.text(3).is_some_and(|mark| home::is_away(mark) && !home::is_of(mark, owner)) {
        return Err(Refusal::OtherHome.into());
    }
    let next = row.time(1).unwrap_or(NEVER);
    if row.time(2).is_none() {
        return Ok(next);
    }
    let next = Schedule::parse(row.text(0).unwrap_or_default())
        .map_err(Refusal::Language)?
        .next_after(worker::to_unix(worker::now()))
        .map_or(NEVER, worker::from_unix);
    as_owner(|| {
        query::run(
            c"UPDATE postern.schedule s SET paused_at = NULL, next_at = $3, home = $4, away = false \
              WHERE s.owner = $1 AND s.name = $2",
            &[Arg::Oid(owner), Arg::Text(name), Arg::Time(next), Arg::Text(&home::mark(owner))],
        )
    });
    outbox::rescheduled();
    Ok(next)
}

/// When an executor has to look at schedules; one whose tick waits for nothing any more counts as due. As the owner.
pub fn next() -> i64 {
    let rows = query::run(
        c"SELECT min(CASE WHEN s.waiting THEN s.created_at ELSE s.next_at END) FROM postern.schedule s \
          WHERE s.paused_at IS NULL AND NOT (s.waiting AND EXISTS (SELECT FROM postern.instance i \
                 WHERE i.id = s.last_instance AND i.submitted_by = s.owner AND i.schedule = s.name AND i.ended_at IS NULL))",
        &[],
    );
    rows.first().and_then(|row| row.time(0)).unwrap_or(NEVER)
}

/// Does what is to be done at one tick that has come; false: there is none, or others are at it. As the owner.
pub fn tick() -> bool {
    let now = worker::now();
    let rows = query::run(
        c"SELECT d.owner, d.name, d.cron, d.overlap, d.backfill::int4, d.next_at, d.waiting::int4, d.busy::int4, d.priority FROM ( \
              SELECT s.owner, s.name, s.cron, s.overlap, s.backfill, s.next_at, s.waiting, s.priority, \
                     EXISTS (SELECT FROM postern.instance i WHERE i.id = s.last_instance AND i.submitted_by = s.owner \
                                AND i.schedule = s.name AND i.ended_at IS NULL) AS busy \
                FROM postern.schedule s WHERE s.paused_at IS NULL AND s.next_at <= $1) d \
           WHERE NOT (d.waiting AND d.busy) ORDER BY d.next_at LIMIT 1",
        &[Arg::Time(now)],
    );
    let Some(found) = rows.first() else { return false };
    let (owner, name) = (found.oid(0), found.string(1));
    // What was seen may have changed before it is locked: then it is looked at again.
    let locked = query::run(
        c"SELECT s.home FROM postern.schedule s WHERE s.owner = $1 AND s.name = $2 AND s.paused_at IS NULL AND s.next_at = $3 \
             AND s.waiting = $4 AND s.cron = $5 AND s.overlap = $6 AND s.backfill = $7 FOR UPDATE SKIP LOCKED",
        &[
            Arg::Oid(owner),
            Arg::Text(&name),
            Arg::Time(found.time(5).unwrap_or(NEVER)),
            Arg::Bool(found.int4(6) == 1),
            Arg::Text(found.text(2).unwrap_or_default()),
            Arg::Text(found.text(3).unwrap_or_default()),
            Arg::Bool(found.int4(4) == 1),
        ],
    );
    if locked.is_empty() {
        return false;
    }
    if locked.iter().any(|row| row.text(0).is_none_or(home::is_away)) {
        query::run(
            c"UPDATE postern.schedule s SET paused_at = now(), away = true, waiting = false WHERE s.owner = $1 AND s.name = $2",
            &[Arg::Oid(owner), Arg::Text(&name)],
        );
        return true;
    }
    if role::by_oid(owner).is_none() {
        log::warning(
            &format!("schedule \"{name}\" was removed"),
            "The role that its functions run as does not exist any more.",
            "",
        );
        remove(owner, &name);
        return true;
    }
    let read = (
        Schedule::parse(found.text(2).unwrap_or_default()),
        Overlap::parse(found.text(3).unwrap_or_default()),
    );
    let (Ok(schedule), Ok(overlap)) = read else {
        // It was read when it was written.
        remove(owner, &name);
        return true;
    };
    let plan = Due {
        schedule: &schedule,
        overlap,
        backfill: found.int4(4) == 1,
        tick: worker::to_unix(found.time(5).unwrap_or(NEVER)),
        waited: found.int4(6) == 1,
        busy: found.int4(7) == 1,
        now: worker::to_unix(now),
    }
    .plan();
    let started = plan.start.and_then(|tick| {
        start_one(owner, &name, worker::from_unix(tick), i16::try_from(found.int4(8)).unwrap_or(0), now)
    });
    query::run(
        c"UPDATE postern.schedule s SET next_at = $3, waiting = $4, missed = s.missed + $5, \
                 started = s.started + (CASE WHEN $6 IS NULL THEN 0 ELSE 1 END), \
                 last_instance = coalesce($6, s.last_instance), last_tick = CASE WHEN $6 IS NULL THEN s.last_tick ELSE $7 END \
           WHERE s.owner = $1 AND s.name = $2",
        &[
            Arg::Oid(owner),
            Arg::Text(&name),
            Arg::Time(plan.next.map_or(NEVER, worker::from_unix)),
            Arg::Bool(plan.waits),
            Arg::Int8(plan.missed.into()),
            Arg::Maybe(started.as_deref()),
            Arg::MaybeTime(plan.start.map(worker::from_unix)),
        ],
    );
    outbox::rescheduled();
    true
}

fn remove(owner: Oid, name: &str) {
    query::run(
        c"DELETE FROM postern.schedule s WHERE s.owner = $1 AND s.name = $2",
        &[Arg::Oid(owner), Arg::Text(name)],
    );
}

/// Starts what a schedule is for.
fn start_one(owner: Oid, name: &str, tick: i64, priority: i16, now: i64) -> Option<String> {
    let id = start::fresh_id().ok()?;
    query::run(
        c"INSERT INTO postern.instance (id, label, status, submitted_by, session_role, priority, created_at, updated_at, \
                 graph, vars, facts, definers, format, schedule, tick, home) \
          SELECT $3, coalesce(s.label, s.name), 'pending', s.owner, s.session_role, s.priority, $5, $5, \
                 s.graph, s.vars, s.facts, s.definers, s.format, s.name, $4, s.home \
            FROM postern.schedule s WHERE s.owner = $1 AND s.name = $2",
        &[Arg::Oid(owner), Arg::Text(name), Arg::Text(&id), Arg::Time(tick), Arg::Time(now)],
    );
    start::first_strand(&id, owner, priority, now);
    outbox::started();
    Some(id)
}

/// What an executor remembers of schedules.
#[derive(Debug)]
pub struct Clock {
    /// When the next tick comes.
    pub next: i64,
    /// How much had changed when that was read.
    seen: u64,
}

impl Clock {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self { next: NEVER, seen: board::rescheduled_so_far().wrapping_sub(1) }
    }

    /// Whether something has changed, or is due.
    pub fn is_due(&self) -> bool {
        self.has_changed() || self.next <= worker::now()
    }

    /// Whether something has changed since it was read.
    pub fn has_changed(&self) -> bool {
        self.seen != board::rescheduled_so_far()
    }

    /// What is read from now on is at least as new as this.
    pub fn reading(&mut self) {
        self.seen = board::rescheduled_so_far();
    }
}
