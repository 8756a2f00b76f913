//! The rows of durable functions, and every statement that the engine runs on them.
//!
//! An executor's settings are its own when these run, and it has no other schema on its path than `pg_catalog` and its temporary
//! one, in which neither functions nor operators are looked for.

use std::collections::HashSet;
use std::ffi::CStr;

use postern_durable::Failure;
use postern_durable::machine::{Frame, Record};
use serde::{Deserialize, Serialize};

use super::{home, outbox};
use crate::pg::query::{self, Arg, Row};
use crate::pg::{Oid, worker, xact};

/// `timestamptz 'infinity'`.
pub const NEVER: i64 = i64::MAX;

/// What a strand does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Its node is to be entered when it is due.
    Ready,
    /// Its node waits: until it is due, for a signal, for something outside.
    Waiting,
    /// Its branches run.
    Forked,
    /// It is a branch that has come to something.
    Done,
    /// Its node runs at top level, in a process of its own, or is about to; what it came to is in the frame.
    Outside,
}

impl State {
    fn code(self) -> u8 {
        match self {
            Self::Ready => b'r',
            Self::Waiting => b'w',
            Self::Forked => b'f',
            Self::Done => b'd',
            Self::Outside => b'x',
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            b'w' => Self::Waiting,
            b'f' => Self::Forked,
            b'd' => Self::Done,
            b'x' => Self::Outside,
            _ => Self::Ready,
        }
    }
}

/// A line of execution: a row of `postern.strand`.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "the column's name")]
pub struct Strand {
    pub instance: String,
    pub strand: i32,
    pub parent: Option<i32>,
    pub branch: i32,
    pub base: u32,
    pub node: u32,
    pub state: State,
    pub due: i64,
    pub owner: Oid,
    pub priority: i16,
    pub signal: Option<String>,
    pub frame: Frame,
    /// When it would be due, were the instance not paused.
    pub held: Option<i64>,
}

impl Strand {
    /// Whether it waits for a branch of this number.
    pub fn waits_for(&self, branch: i32) -> bool {
        self.state == State::Forked && branch >= self.frame.first
    }
}

/// What of an instance a step needs: a row of `postern.instance`.
#[derive(Debug, Clone)]
pub struct Instance {
    pub status: String,
    pub facts: Option<String>,
    pub vars: Option<String>,
    pub label: Option<String>,
    /// As it was when the strand was claimed: whoever holds a strand for it asks again.
    pub paused: bool,
    /// It came with a copy of its database.
    pub away: bool,
    /// When it was started: another instance may have got the id since one that ended was removed.
    pub created: i64,
}

/// How an instance ended.
#[derive(Debug, Default)]
pub struct End<'a> {
    pub status: &'a str,
    pub output: Option<&'a str>,
    pub failure: Option<&'a Failure>,
    /// Its strands as they were before the step that failed.
    pub left_off: Option<String>,
}

/// A row for `postern.step`.
#[derive(Debug)]
pub struct Step<'a> {
    pub node: u32,
    pub attempt: u32,
    pub turn: Option<String>,
    pub started: i64,
    pub query: Option<&'a str>,
    pub result: Option<&'a str>,
    pub columns: Option<&'a str>,
    pub failure: Option<&'a Failure>,
}

const STRAND: usize = 13;

macro_rules! strand_columns {
    () => {
        "s.instance, s.strand, s.parent, s.branch, s.base, s.node, s.state, s.due, s.owner, s.priority, s.signal, s.frame, s.held"
    };
}

/// A constant C string of pieces.
macro_rules! sql {
    ($($piece:expr),+ $(,)?) => {
        match CStr::from_bytes_with_nul(concat!($($piece,)+ "\0").as_bytes()) {
            Ok(text) => text,
            Err(_) => panic!("a statement with NUL"),
        }
    };
}

fn strand(row: &Row) -> Strand {
    Strand {
        instance: row.string(0),
        strand: row.int4(1),
        parent: row.int(2).and_then(|n| i32::try_from(n).ok()),
        branch: row.int4(3),
        base: u32::try_from(row.int4(4)).unwrap_or(0),
        node: u32::try_from(row.int4(5)).unwrap_or(0),
        state: State::from_code(row.char(6)),
        due: row.time(7).unwrap_or(NEVER),
        owner: row.oid(8),
        priority: i16::try_from(row.int4(9)).unwrap_or(0),
        signal: row.text(10).map(str::to_owned),
        // A frame is written by `save` only.
        frame: serde_json::from_str(row.text(11).unwrap_or("{}")).unwrap_or_default(),
        held: row.time(12),
    }
}

/// The columns that [`instance`] reads, after those of a strand. All who claim one read all of them.
macro_rules! instance_columns {
    () => {
        ", i.status, i.facts::text, i.vars::text, i.label, i.paused_at, i.home, i.created_at"
    };
}

fn instance(row: &Row, from: usize) -> Instance {
    let text = |n: usize| row.text(from + n).map(str::to_owned);
    Instance {
        status: row.string(from),
        facts: text(1),
        vars: text(2),
        label: text(3),
        paused: row.time(from + 4).is_some(),
        away: row.text(from + 5).is_some_and(home::is_away),
        created: row.time(from + 6).unwrap_or(0),
    }
}

/// The first queue after (`owner`, `priority`), with the time at which its first strand is due. Queues are in order.
pub fn queue_after(owner: Oid, priority: i16) -> Option<(Oid, i16, i64)> {
    let rows = query::run(
        c"SELECT s.owner::oid, s.priority, s.due FROM postern.strand s \
          WHERE ROW(s.owner::oid, s.priority) > ROW($1, $2) \
          ORDER BY s.owner::oid, s.priority, s.due LIMIT 1",
        &[Arg::Oid(owner), Arg::Int2(priority)],
    );
    rows.first()
        .map(|row| (row.oid(0), i16::try_from(row.int4(1)).unwrap_or(0), row.time(2).unwrap_or(NEVER)))
}

/// What was locked had changed since it was looked for, and is not to be run now. `FOR UPDATE` asks again after it has locked a row, and
/// keeps the lock if the answer is no (nodeLockRows.c); the transaction has to end, or others would find the row in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// Locks the strand of one row of `q`, unless others hold it. What is asked of it is its key only, so that it is given if it is locked;
/// one row is locked for each that the query goes on with, since nothing sorts them after that.
macro_rules! locked {
    () => {
        "LATERAL (SELECT k.* FROM postern.strand k WHERE k.instance = q.instance AND k.strand = q.strand FOR UPDATE SKIP LOCKED) l"
    };
}

/// How many strands of a queue are looked at for one that nobody holds.
const CANDIDATES: i64 = 256;

thread_local! {
    /// When the next strand is due that this process has put to rest since [`put_to_rest`] was asked.
    static RESTS: std::cell::Cell<i64> = const { std::cell::Cell::new(NEVER) };
}

/// When the next strand is due that this process has put to rest since this was asked last.
pub fn put_to_rest() -> i64 {
    RESTS.replace(NEVER)
}

/// The strands of a queue that have been due longest, whoever holds them.
pub fn due(owner: Oid, priority: i16, now: i64, limit: i64) -> Vec<(String, i32)> {
    let rows = query::run(
        c"SELECT s.instance, s.strand FROM postern.strand s WHERE s.owner = $1 AND s.priority = $2 AND s.due <= $3 \
          ORDER BY s.due LIMIT $4",
        &[Arg::Oid(owner), Arg::Int2(priority), Arg::Time(now), Arg::Int8(limit)],
    );
    rows.iter().map(|row| (row.string(0), row.int4(1))).collect()
}

/// Locks and gives the strand of a queue that has been due longest, with its instance; those that others hold are passed over.
pub fn claim(owner: Oid, priority: i16, now: i64) -> Result<Option<(Strand, Instance)>, Stale> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                instance_columns!(),
                " FROM (SELECT l.* FROM (SELECT q.instance, q.strand FROM postern.strand q \
                        WHERE q.owner = $1 AND q.priority = $2 AND q.due <= $3 ORDER BY q.due LIMIT $4) q, ",
                locked!(),
                " LIMIT 1) s \
             JOIN postern.instance i ON i.id = s.instance"
            )
        },
        &[Arg::Oid(owner), Arg::Int2(priority), Arg::Time(now), Arg::Int8(CANDIDATES)],
    );
    match rows.first().map(|row| (strand(row), instance(row, STRAND))) {
        Some((strand, _)) if strand.due > now => Err(Stale),
        found => Ok(found),
    }
}

/// Locks and gives those of a queue that may share the commit of one that is claimed already: the first strands of other instances, if
/// it is one, else other branches of its instance, which lock nothing but it. Only what is run may be locked: whoever holds strands
/// of other instances and waits for one could wait in a circle. They are looked for among those that have been due longest.
pub fn companions(first: &Strand, now: i64, limit: i64) -> Result<Vec<(Strand, Instance)>, Stale> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                instance_columns!(),
                " FROM (SELECT l.* FROM (SELECT q.instance, q.strand, q.state FROM postern.strand q \
                        WHERE q.owner = $1 AND q.priority = $2 AND q.due <= $3 ORDER BY q.due LIMIT 4 * $4) q, ",
                locked!(),
                " WHERE CASE WHEN $6 = 0 THEN q.strand = 0 AND q.instance <> $5 \
                       ELSE q.strand NOT IN (0, $6) AND q.instance = $5 AND q.state <> 'f' END LIMIT $4) s \
             JOIN postern.instance i ON i.id = s.instance"
            )
        },
        &[
            Arg::Oid(first.owner),
            Arg::Int2(first.priority),
            Arg::Time(now),
            Arg::Int8(limit),
            Arg::Text(&first.instance),
            Arg::Int4(first.strand),
        ],
    );
    rows.iter()
        .map(|row| (strand(row), instance(row, STRAND)))
        .map(|(strand, instance)| {
            let changed = strand.due > now || first.strand != 0 && strand.state == State::Forked;
            if changed { Err(Stale) } else { Ok((strand, instance)) }
        })
        .collect()
}

/// One strand with its instance, by its key.
macro_rules! one {
    ($lock:literal) => {
        sql!(
            "SELECT ",
            strand_columns!(),
            instance_columns!(),
            " FROM postern.strand s JOIN postern.instance i ON i.id = s.instance \
             WHERE s.instance = $1 AND s.strand = $2 ",
            $lock
        )
    };
}

/// Locks and gives one strand that is due, unless another executor holds it.
pub fn claim_one(id: &str, number: i32, now: i64) -> Result<Option<(Strand, Instance)>, Stale> {
    let rows = query::run(const { one!("FOR UPDATE OF s SKIP LOCKED") }, &[Arg::Text(id), Arg::Int4(number)]);
    match rows.first().map(|row| (strand(row), instance(row, STRAND))) {
        Some((strand, _)) if strand.due > now => Err(Stale),
        found => Ok(found),
    }
}

/// As [`lock`], with the instance.
pub fn lock_with_instance(id: &str, number: i32) -> Option<(Strand, Instance)> {
    let rows = query::run(const { one!("FOR UPDATE OF s") }, &[Arg::Text(id), Arg::Int4(number)]);
    rows.first().map(|row| (strand(row), instance(row, STRAND)))
}

/// Locks and gives a strand whatever it does; waits for whoever holds it.
pub fn lock(id: &str, number: i32) -> Option<Strand> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                " FROM postern.strand s WHERE s.instance = $1 AND s.strand = $2 FOR UPDATE"
            )
        },
        &[Arg::Text(id), Arg::Int4(number)],
    );
    rows.first().map(strand)
}

/// The strands whose node runs at top level, as far as the table knows.
pub fn outside() -> Vec<Strand> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                " FROM postern.strand s WHERE s.state = 'x' AND s.due = 'infinity'"
            )
        },
        &[],
    );
    rows.iter().map(strand).collect()
}

/// Says in a step's record how often at most it was begun: it may have taken effect more than once.
pub fn begun(id: &str, record: Record, times: i32) {
    query::run(
        c"UPDATE postern.step SET sends = $4 WHERE instance = $1 AND strand = $2 AND n = $3",
        &[Arg::Text(id), Arg::Int4(record.0), Arg::Int4(record.1), Arg::Int4(times)],
    );
}

/// As [`lock`], but gives nothing if someone holds it.
pub fn try_lock(id: &str, number: i32) -> Option<Strand> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                " FROM postern.strand s WHERE s.instance = $1 AND s.strand = $2 FOR UPDATE SKIP LOCKED"
            )
        },
        &[Arg::Text(id), Arg::Int4(number)],
    );
    rows.first().map(strand)
}

/// All strands of an instance, as they are now, in order.
pub fn strands(id: &str) -> Vec<Strand> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                " FROM postern.strand s WHERE s.instance = $1 ORDER BY s.strand"
            )
        },
        &[Arg::Text(id)],
    );
    rows.iter().map(strand).collect()
}

/// The branches of a strand from this number on, in order.
pub fn branches(id: &str, parent: i32, first: i32) -> Vec<Strand> {
    let rows = query::run(
        const {
            sql!(
                "SELECT ",
                strand_columns!(),
                " FROM postern.strand s WHERE s.instance = $1 AND s.parent = $2 AND s.strand >= $3 ORDER BY s.branch"
            )
        },
        &[Arg::Text(id), Arg::Int4(parent), Arg::Int4(first)],
    );
    rows.iter().map(strand).collect()
}

/// The highest number of a strand that the instance has, or has had a record of.
pub fn last_strand(id: &str) -> i32 {
    let rows = query::run(
        c"SELECT greatest((SELECT max(s.strand) FROM postern.strand s WHERE s.instance = $1), \
                          (SELECT max(p.strand) FROM postern.step p WHERE p.instance = $1))",
        &[Arg::Text(id)],
    );
    rows.first().map_or(0, |row| row.int4(0))
}

/// The strands that wait for a signal of this name.
pub fn waiters(id: &str, name: &str) -> Vec<i32> {
    let rows = query::run(
        c"SELECT s.strand FROM postern.strand s WHERE s.instance = $1 AND s.state = 'w' AND s.signal = $2",
        &[Arg::Text(id), Arg::Text(name)],
    );
    rows.iter().map(|row| row.int4(0)).collect()
}

/// A new strand.
pub fn add(strand: &Strand) {
    query::run(
        c"INSERT INTO postern.strand (instance, strand, parent, branch, base, node, state, due, owner, priority, signal, frame, held) \
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        &[
            Arg::Text(&strand.instance),
            Arg::Int4(strand.strand),
            Arg::MaybeInt4(strand.parent),
            Arg::Int4(strand.branch),
            Arg::Int4(strand.base.cast_signed()),
            Arg::Int4(strand.node.cast_signed()),
            Arg::Char(strand.state.code()),
            Arg::Time(strand.due),
            Arg::Oid(strand.owner),
            Arg::Int2(strand.priority),
            Arg::Maybe(strand.signal.as_deref()),
            Arg::Text(&frame(&strand.frame)),
            Arg::MaybeTime(strand.held),
        ],
    );
}

/// New branches of a strand, that are due at once.
pub fn add_branches(of: &Strand, due: i64, branches: &[(i32, usize, u32, Frame)]) {
    let numbers: Vec<i32> = branches.iter().map(|branch| branch.0).collect();
    let which: Vec<i32> = branches.iter().map(|branch| i32::try_from(branch.1).unwrap_or(i32::MAX)).collect();
    let bases: Vec<i32> = branches.iter().map(|branch| branch.2.cast_signed()).collect();
    let frames: Vec<String> = branches.iter().map(|branch| frame(&branch.3)).collect();
    query::run(
        c"INSERT INTO postern.strand (instance, strand, parent, branch, base, node, state, due, owner, priority, frame) \
          SELECT $1, b.strand, $2, b.branch, b.base, b.base, 'r', $3, $4, $5, b.frame \
          FROM unnest($6, $7, $8, $9) AS b (strand, branch, base, frame)",
        &[
            Arg::Text(&of.instance),
            Arg::Int4(of.strand),
            Arg::Time(due),
            Arg::Oid(of.owner),
            Arg::Int2(of.priority),
            Arg::Int4s(&numbers),
            Arg::Int4s(&which),
            Arg::Int4s(&bases),
            Arg::Texts(&frames),
        ],
    );
}

/// Branches that are locked and have come to something, with their nodes and frames.
pub fn save_done(id: &str, branches: &[(i32, u32, Frame)]) {
    let numbers: Vec<i32> = branches.iter().map(|branch| branch.0).collect();
    let nodes: Vec<i32> = branches.iter().map(|branch| branch.1.cast_signed()).collect();
    let frames: Vec<String> = branches.iter().map(|branch| frame(&branch.2)).collect();
    query::run(
        c"UPDATE postern.strand s SET node = b.node, state = 'd', due = 'infinity', signal = NULL, frame = b.frame, held = NULL \
          FROM unnest($2, $3, $4) AS b (strand, node, frame) WHERE s.instance = $1 AND s.strand = b.strand",
        &[Arg::Text(id), Arg::Int4s(&numbers), Arg::Int4s(&nodes), Arg::Texts(&frames)],
    );
}

/// Writes what may have changed of a strand that is locked.
pub fn save(strand: &Strand) {
    // What is due already is not at rest, and must not hide what is due later.
    if strand.due > worker::now() {
        RESTS.set(RESTS.get().min(strand.due));
    }
    query::run(
        c"UPDATE postern.strand SET node = $3, state = $4, due = $5, signal = $6, frame = $7, held = $8 WHERE instance = $1 AND strand = $2",
        &[
            Arg::Text(&strand.instance),
            Arg::Int4(strand.strand),
            Arg::Int4(strand.node.cast_signed()),
            Arg::Char(strand.state.code()),
            Arg::Time(strand.due),
            Arg::Maybe(strand.signal.as_deref()),
            Arg::Text(&frame(&strand.frame)),
            Arg::MaybeTime(strand.held),
        ],
    );
}

fn frame(frame: &Frame) -> String {
    // Maps with string keys only: it cannot fail.
    serde_json::to_string(frame).unwrap_or_default()
}

/// Deletes a strand that is locked, or that only the holder of the root can reach.
pub fn delete(id: &str, number: i32) {
    query::run(
        c"DELETE FROM postern.strand WHERE instance = $1 AND strand = $2",
        &[Arg::Text(id), Arg::Int4(number)],
    );
}

/// What became of strands that were to be deleted.
#[derive(Debug, Default)]
pub struct Cleared {
    /// Gone, but their statement runs at top level, in a process that holds nothing.
    pub outside: Vec<i32>,
    /// Somebody holds them, or they were gone before.
    pub left: Vec<i32>,
}

/// Deletes those of the strands that nobody holds.
pub fn delete_free(id: &str, numbers: &[i32]) -> Cleared {
    if numbers.is_empty() {
        return Cleared::default();
    }
    let rows = query::run(
        c"WITH free AS (SELECT s.strand FROM postern.strand s WHERE s.instance = $1 AND s.strand = ANY ($2) FOR UPDATE SKIP LOCKED), \
               gone AS (DELETE FROM postern.strand s USING free f WHERE s.instance = $1 AND s.strand = f.strand RETURNING s.strand, s.state) \
          SELECT g.strand, g.state FROM gone g",
        &[Arg::Text(id), Arg::Int4s(numbers)],
    );
    let gone: HashSet<i32> = rows.iter().map(|row| row.int4(0)).collect();
    Cleared {
        outside: rows.iter().filter(|row| is_outside(row)).map(|row| row.int4(0)).collect(),
        left: numbers.iter().copied().filter(|number| !gone.contains(number)).collect(),
    }
}

fn is_outside(row: &Row) -> bool {
    State::from_code(row.char(1)) == State::Outside
}

/// Strands whose instance has ended, or that the strand above does not wait for: once so, they stay so.
macro_rules! unwanted {
    () => {
        "postern.strand s WHERE s.instance = $1 AND ( \
             EXISTS (SELECT FROM postern.instance i WHERE i.id = s.instance AND i.ended_at IS NOT NULL) \
             OR s.parent IS NOT NULL AND NOT EXISTS ( \
                 SELECT FROM postern.strand p WHERE p.instance = s.instance AND p.strand = s.parent AND p.state = 'f' \
                    AND s.strand >= coalesce((p.frame::json ->> 'first')::int, 0)))"
    };
}

/// The strands of an instance that nobody wants, whoever holds them.
pub fn unwanted(id: &str) -> Vec<i32> {
    let rows = query::run(const { sql!("SELECT s.strand FROM ", unwanted!()) }, &[Arg::Text(id)]);
    rows.iter().map(|row| row.int4(0)).collect()
}

/// Deletes strands of an instance that nobody wants and nobody holds: their numbers, and whether they ran at top level.
pub fn delete_unwanted(id: &str) -> Vec<(i32, bool)> {
    let rows = query::run(
        const {
            sql!(
                "WITH free AS (SELECT s.strand FROM ",
                unwanted!(),
                " FOR UPDATE OF s SKIP LOCKED) \
             DELETE FROM postern.strand s USING free f WHERE s.instance = $1 AND s.strand = f.strand RETURNING s.strand, s.state"
            )
        },
        &[Arg::Text(id)],
    );
    rows.iter().map(|row| (row.int4(0), is_outside(row))).collect()
}

/// Deletes what is left of an instance that has ended; waits for whoever holds it.
pub fn delete_rest(id: &str) {
    query::run(
        c"DELETE FROM postern.strand s USING postern.instance i WHERE s.instance = $1 AND i.id = s.instance AND i.ended_at IS NOT NULL",
        &[Arg::Text(id)],
    );
}

/// Leaves word that an instance has strands that nobody wants.
pub fn leave_debris(id: &str) {
    query::run(
        c"INSERT INTO postern.message (instance, kind, sender, owner, sent_at, fresh) \
          SELECT i.id, 'd', i.submitted_by, i.submitted_by, now(), true FROM postern.instance i WHERE i.id = $1",
        &[Arg::Text(id)],
    );
}

/// The text of a function.
pub fn graph(id: &str) -> Option<String> {
    let rows = query::run(c"SELECT i.graph FROM postern.instance i WHERE i.id = $1", &[Arg::Text(id)]);
    rows.first().and_then(|row| row.text(0).map(str::to_owned))
}

/// An instance that is running now.
pub fn begin(id: &str, now: i64) {
    query::run(
        c"UPDATE postern.instance SET status = 'running', updated_at = $2 WHERE id = $1 AND status = 'pending'",
        &[Arg::Text(id), Arg::Time(now)],
    );
}

/// Who called an instance, and waits for it.
#[derive(Debug)]
pub struct Caller {
    pub instance: String,
    pub owner: Oid,
}

/// The end of an instance; one that has ended stays as it is. Gives who waits for it.
pub fn end(id: &str, end: &End, now: i64) -> Option<Caller> {
    let End { status, output, failure, left_off } = end;
    let failure = failure.and_then(|failure| serde_json::to_string(failure).ok());
    let rows = query::run(
        c"UPDATE postern.instance SET status = $2, output = $3, error = $4::jsonb, updated_at = $5, ended_at = $5, \
                 completed_at = CASE WHEN $2 = 'completed' THEN $5 END, paused_at = NULL, left_off = $6 \
          WHERE id = $1 AND status IN ('pending', 'running') RETURNING parent, submitted_by, schedule",
        &[
            Arg::Text(id),
            Arg::Text(status),
            Arg::Maybe(*output),
            Arg::Maybe(failure.as_deref()),
            Arg::Time(now),
            Arg::Maybe(left_off.as_deref()),
        ],
    );
    if rows.iter().any(|row| row.text(2).is_some()) {
        // Its next tick may wait for it.
        outbox::rescheduled();
    }
    delete_messages(id);
    outbox::ended(id);
    let row = rows.first()?;
    Some(Caller { instance: row.text(0)?.to_owned(), owner: row.oid(1) })
}

/// Writes what ran.
pub fn record(id: &str, record: Record, owner: Oid, now: i64, step: &Step) {
    let failure = step.failure.and_then(|failure| serde_json::to_string(failure).ok());
    query::run(
        c"INSERT INTO postern.step (instance, strand, n, node, attempt, turn, status, started_at, ended_at, owner, query, result, columns, error) \
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::jsonb)",
        &[
            Arg::Text(id),
            Arg::Int4(record.0),
            Arg::Int4(record.1),
            Arg::Int4(step.node.cast_signed()),
            Arg::Int4(step.attempt.cast_signed()),
            Arg::Maybe(step.turn.as_deref()),
            Arg::Text(if step.failure.is_some() { "failed" } else { "completed" }),
            Arg::Time(step.started),
            Arg::Time(now),
            Arg::Oid(owner),
            Arg::Maybe(step.query),
            Arg::Maybe(step.result),
            Arg::Maybe(step.columns),
            Arg::Maybe(failure.as_deref()),
        ],
    );
}

/// A result that was kept, and the names and types of its columns.
pub fn kept(id: &str, record: Record) -> Option<(String, Option<String>)> {
    let rows = query::run(
        c"SELECT p.result, p.columns FROM postern.step p WHERE p.instance = $1 AND p.strand = $2 AND p.n = $3",
        &[Arg::Text(id), Arg::Int4(record.0), Arg::Int4(record.1)],
    );
    rows.first().and_then(|row| Some((row.text(0)?.to_owned(), row.text(1).map(str::to_owned))))
}

/// How many bytes results have together, without reading them.
pub fn bytes_of(id: &str, strands: &[i32], numbers: &[i32]) -> usize {
    let rows = query::run(
        c"SELECT sum(octet_length(p.result))::int8 FROM unnest($2, $3) AS w (strand, n) \
          JOIN postern.step p ON p.instance = $1 AND p.strand = w.strand AND p.n = w.n",
        &[Arg::Text(id), Arg::Int4s(strands), Arg::Int4s(numbers)],
    );
    rows.first().and_then(|row| row.int(0)).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
}

/// As [`kept`], several at once: each with its strand and number.
pub fn kept_of(id: &str, strands: &[i32], numbers: &[i32]) -> Vec<(Record, String, Option<String>)> {
    let rows = query::run(
        c"SELECT p.strand, p.n, p.result, p.columns FROM unnest($2, $3) AS w (strand, n) \
          JOIN postern.step p ON p.instance = $1 AND p.strand = w.strand AND p.n = w.n WHERE p.result IS NOT NULL",
        &[Arg::Text(id), Arg::Int4s(strands), Arg::Int4s(numbers)],
    );
    rows.iter()
        .map(|row| (Record(row.int4(0), row.int4(1)), row.string(2), row.text(3).map(str::to_owned)))
        .collect()
}

/// Whether somebody asked for the instance to be cancelled, and why.
pub fn cancelled(id: &str) -> Option<String> {
    let rows = query::run(
        c"SELECT m.payload FROM postern.message m WHERE m.instance = $1 AND m.kind = 'c' ORDER BY m.id LIMIT 1",
        &[Arg::Text(id)],
    );
    rows.first().map(|row| row.string(0))
}

/// Takes the oldest signal of this name out of the box: its payload. Nothing if someone is delivering that one: to wait, with a
/// strand locked, could be to wait in a circle.
pub fn take_signal_at_once(id: &str, name: &str) -> Option<String> {
    let rows = query::run(
        c"DELETE FROM postern.message m WHERE m.id = (SELECT b.id FROM postern.message b WHERE b.id = (SELECT min(o.id) \
              FROM postern.message o WHERE o.instance = $1 AND o.name = $2 AND o.kind = 's') FOR UPDATE SKIP LOCKED) RETURNING m.payload",
        &[Arg::Text(id), Arg::Text(name)],
    );
    rows.first().map(|row| row.string(0))
}

/// Locks the oldest signal of this name, unless somebody else is delivering it: its number and its payload.
pub fn oldest_signal_at_once(id: &str, name: &str) -> Option<(i64, Option<String>)> {
    let rows = query::run(
        c"SELECT m.id, m.payload FROM postern.message m WHERE m.id = (SELECT min(o.id) \
              FROM postern.message o WHERE o.instance = $1 AND o.name = $2 AND o.kind = 's') FOR UPDATE SKIP LOCKED",
        &[Arg::Text(id), Arg::Text(name)],
    );
    rows.first().map(|row| (row.int(0).unwrap_or(0), row.text(1).map(str::to_owned)))
}

/// Whether there is a signal of this name.
pub fn has_signal(id: &str, name: &str) -> bool {
    let rows = query::run(
        c"SELECT FROM postern.message m WHERE m.instance = $1 AND m.name = $2 AND m.kind = 's' LIMIT 1",
        &[Arg::Text(id), Arg::Text(name)],
    );
    !rows.is_empty()
}

/// Locks the oldest signal of this name: its number and its payload. Waits for whoever is delivering it.
pub fn lock_signal(id: &str, name: &str) -> Option<(i64, Option<String>)> {
    let rows = query::run(
        c"SELECT m.id, m.payload FROM postern.message m WHERE m.instance = $1 AND m.name = $2 AND m.kind = 's' ORDER BY m.id LIMIT 1 FOR UPDATE",
        &[Arg::Text(id), Arg::Text(name)],
    );
    rows.first().map(|row| (row.int(0).unwrap_or(0), row.text(1).map(str::to_owned)))
}

/// Messages that are delivered with one transaction.
pub const MESSAGES: usize = 100;

/// A message that nobody has looked at.
#[derive(Debug)]
pub struct Message {
    pub id: i64,
    pub instance: String,
    pub kind: u8,
    pub name: Option<String>,
    pub payload: Option<String>,
}

/// Locks and gives some messages that nobody has looked at, oldest first.
pub fn fresh_messages(after: i64) -> Vec<Message> {
    let rows = query::run(
        c"SELECT m.id, m.instance, m.kind, m.name, m.payload FROM postern.message m WHERE m.fresh AND m.id > $1 AND m.kind NOT IN ('p', 'u') \
          ORDER BY m.id LIMIT 100 FOR UPDATE SKIP LOCKED",
        &[Arg::Int8(after)],
    );
    let message = |row: &Row| Message {
        id: row.int(0).unwrap_or(0),
        instance: row.string(1),
        kind: row.char(2),
        name: row.text(3).map(str::to_owned),
        payload: row.text(4).map(str::to_owned),
    };
    rows.iter().map(message).collect()
}

/// Keeps a message until someone waits for it.
pub fn keep_message(id: i64) {
    query::run(c"UPDATE postern.message SET fresh = false WHERE id = $1", &[Arg::Int8(id)]);
}

/// Takes a message away.
pub fn delete_message(id: i64) {
    query::run(c"DELETE FROM postern.message WHERE id = $1", &[Arg::Int8(id)]);
}

/// Has a message that could not be delivered looked at again.
pub fn freshen_message(id: i64) {
    query::run(c"UPDATE postern.message SET fresh = true WHERE id = $1", &[Arg::Int8(id)]);
}

/// Every instance and name for which a strand waits and a signal is there.
pub fn waiting_with_signal() -> Vec<(String, String)> {
    let rows = query::run(
        c"SELECT DISTINCT s.instance, s.signal FROM postern.message m \
          JOIN postern.strand s ON s.instance = m.instance AND s.signal = m.name AND s.state = 'w' WHERE m.kind = 's'",
        &[],
    );
    rows.iter().map(|row| (row.string(0), row.string(1))).collect()
}

/// Takes away whatever was sent to an instance, but what someone holds: who delivers a message finds that the instance has ended, and
/// who took one goes with it. Word of debris stays until that is gone.
pub fn delete_messages(id: &str) {
    query::run(
        c"DELETE FROM postern.message m WHERE m.id IN (SELECT b.id FROM postern.message b WHERE b.instance = $1 AND b.kind <> 'd' FOR UPDATE SKIP LOCKED)",
        &[Arg::Text(id)],
    );
}

/// Whether an instance goes on.
pub fn is_alive(id: &str) -> bool {
    let rows = query::run(
        c"SELECT FROM postern.instance i WHERE i.id = $1 AND i.status IN ('pending', 'running')",
        &[Arg::Text(id)],
    );
    !rows.is_empty()
}

/// When the next strand of a queue is due that is not due yet.
pub fn next_due(owner: Oid, priority: i16, now: i64) -> i64 {
    let rows = query::run(
        c"SELECT s.due FROM postern.strand s WHERE s.owner = $1 AND s.priority = $2 AND s.due > $3 ORDER BY s.due LIMIT 1",
        &[Arg::Oid(owner), Arg::Int2(priority), Arg::Time(now)],
    );
    rows.first().and_then(|row| row.time(0)).unwrap_or(NEVER)
}

/// Puts a message into a box.
pub fn send(id: &str, kind: u8, name: Option<&str>, payload: &str, sender: Oid, owner: Oid) {
    query::run(
        c"INSERT INTO postern.message (instance, kind, name, payload, sender, owner, sent_at, fresh) \
          VALUES ($1, $2, $3, $4, $5, $6, now(), true)",
        &[
            Arg::Text(id),
            Arg::Char(kind),
            Arg::Maybe(name),
            Arg::Text(payload),
            Arg::Oid(sender),
            Arg::Oid(owner),
        ],
    );
}

/// Whom an instance runs as, and its status: cancelled as soon as that is asked for.
pub fn owner_and_status(id: &str) -> Option<(Oid, String)> {
    let rows = query::run(
        c"SELECT i.submitted_by, CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m \
                 WHERE m.instance = i.id AND m.kind = 'c') THEN 'cancelled' \
              WHEN i.paused_at IS NOT NULL THEN 'paused' ELSE i.status END FROM postern.instance i WHERE i.id = $1",
        &[Arg::Text(id)],
    );
    rows.first().map(|row| (row.oid(0), row.string(1)))
}

/// Whether an instance is to be cancelled by what this transaction has sent, which nobody else sees yet.
pub fn cancelled_by_us(id: &str) -> bool {
    let rows = query::run(
        c"SELECT m.xmin FROM postern.message m WHERE m.instance = $1 AND m.kind = 'c'",
        &[Arg::Text(id)],
    );
    rows.iter().filter_map(|row| row.text(0)?.parse().ok()).any(xact::is_ours)
}

/// The result of an instance that has one.
pub fn output(id: &str) -> Option<String> {
    let rows = query::run(c"SELECT i.output FROM postern.instance i WHERE i.id = $1", &[Arg::Text(id)]);
    rows.first().and_then(|row| row.text(0).map(str::to_owned))
}

/// Writes a variable of a role, or takes it away, or all of them.
pub fn set_variable(owner: Oid, name: Option<&str>, value: Option<&str>) {
    match (name, value) {
        (None, _) => query::run(c"DELETE FROM df.vars v WHERE v.owner = $1", &[Arg::Oid(owner)]),
        (Some(name), None) => query::run(
            c"DELETE FROM df.vars v WHERE v.owner = $1 AND v.name = $2",
            &[Arg::Oid(owner), Arg::Text(name)],
        ),
        (Some(name), Some(value)) => query::run(
            c"INSERT INTO df.vars (name, value, owner) VALUES ($2, $3, $1) \
              ON CONFLICT ON CONSTRAINT vars_pkey DO UPDATE SET value = excluded.value",
            &[Arg::Oid(owner), Arg::Text(name), Arg::Text(value)],
        ),
    };
}

/// Removes some of the instances that ended more than `days` ago, or before the newest `keep` of all were started; gives how many.
/// They are looked for by when they were created, which never changes: an index on their end would be written at every end. Notes of
/// instances in other databases go as well, but not within a day: whether those have ended is not known here.
pub fn retire(days: i32, keep: i64, limit: i64) -> usize {
    let rows = query::run(
        c"WITH bound AS (SELECT greatest(now() - make_interval(days => $1), \
                             CASE WHEN $2 > 0 THEN (SELECT c.created_at FROM postern.instance c ORDER BY c.created_at DESC, c.id OFFSET $2 LIMIT 1) \
                                  ELSE now() END) AS at), \
               far AS (SELECT greatest(now() - make_interval(days => greatest($1, 1)), \
                           (SELECT c.created_at FROM postern.elsewhere c ORDER BY c.created_at DESC, c.id OFFSET greatest($2, 10000) LIMIT 1)) AS at), \
               old AS (SELECT i.id FROM postern.instance i WHERE i.created_at <= (SELECT b.at FROM bound b) AND i.ended_at <= (SELECT b.at FROM bound b) \
                       ORDER BY i.created_at, i.id DESC LIMIT $3 FOR UPDATE SKIP LOCKED), \
               steps AS (DELETE FROM postern.step p USING old o WHERE p.instance = o.id), \
               messages AS (DELETE FROM postern.message m USING old o WHERE m.instance = o.id), \
               notes AS (DELETE FROM postern.elsewhere e WHERE e.created_at <= (SELECT b.at FROM far b)) \
          DELETE FROM postern.instance i USING old o WHERE i.id = o.id RETURNING i.id",
        &[Arg::Int4(days), Arg::Int8(keep), Arg::Int8(limit)],
    );
    rows.len()
}

/// Whether every strand above this one waits for the branch that leads to it: else a fork was decided without it.
pub fn is_wanted(strand: &Strand) -> bool {
    let (mut above, mut branch) = (strand.parent, strand.strand);
    while let Some(number) = above {
        let rows = query::run(
            c"SELECT s.parent, s.state, coalesce((s.frame::json ->> 'first')::int, 0) FROM postern.strand s \
              WHERE s.instance = $1 AND s.strand = $2",
            &[Arg::Text(&strand.instance), Arg::Int4(number)],
        );
        match rows.first() {
            Some(row) if State::from_code(row.char(1)) == State::Forked && branch >= row.int4(2) => {
                above = row.int(0).and_then(|parent| i32::try_from(parent).ok());
                branch = number;
            }
            _ => return false,
        }
    }
    true
}
