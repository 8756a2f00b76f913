//! The workers that apply a subscription (`src/backend/replication/logical/worker.c`), seen from outside: which subscription
//! this process applies, what it failed with, and how often all of them have. What they note is in shared memory, until a
//! recorder takes it.

use std::ffi::CStr;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use pgrx::pg_sys;

use super::shmem::{self, NoteSlot, RecorderSlot, TEXT};
use super::worker;
use super::{caught, compat};

/// States of a place for a note.
const FREE: u32 = 0;
const WRITING: u32 = 1;
const WRITTEN: u32 = 2;

/// The kinds of notes.
const APPLY: u32 = 0;
const SYNC: u32 = 1;
const CONFLICT: u32 = 2;

/// An error of a subscription, or a conflict that it went on from.
#[derive(Debug, Clone)]
pub struct Note {
    /// The subscription.
    pub subscription: pg_sys::Oid,
    /// The table that is being copied; 0: none is.
    pub relation: pg_sys::Oid,
    kind: u32,
    /// Five characters.
    pub sqlstate: String,
    /// The message, as long as there is room.
    pub message: String,
    /// The outermost line of the context: what was being applied.
    pub origin: String,
    /// Whether it was raised inside code that runs on apply.
    pub in_code: bool,
    /// When (microseconds since 2000).
    pub at: i64,
}

impl Note {
    /// What it was.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            SYNC => "sync",
            CONFLICT => "conflict",
            _ => "apply",
        }
    }
}

/// Whether this process applies a subscription. Never raises.
pub fn is_worker() -> bool {
    // SAFETY: a plain read.
    unsafe { !pg_sys::MyBgworkerEntry.is_null() && compat::IsLogicalWorker() }
}

/// The numbers after `for subscription` and `sync` in the name of an apply worker; the server has it nowhere else where it is
/// the same in every version.
fn numbers(name: &[u8]) -> (u32, u32) {
    let mut words = name.split(|byte| *byte == b' ');
    let (mut subscription, mut relation) = (0, 0);
    while let Some(word) = words.next() {
        let place = match word {
            b"subscription" => &mut subscription,
            b"sync" => &mut relation,
            _ => continue,
        };
        let digits = words.next().unwrap_or_default();
        if !digits.is_empty() && digits.len() <= 10 && digits.iter().all(u8::is_ascii_digit) {
            let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
            *place = u32::try_from(number).unwrap_or(0);
        }
    }
    (subscription, relation)
}

/// Notes what this apply worker reports, if it is an error or a conflict, and wakes the launcher. Neither raises nor allocates:
/// an error is being reported.
///
/// # Safety
/// In an apply worker, with what the server is about to write into its log.
pub unsafe fn reported(report: *const pg_sys::ErrorData) {
    // SAFETY: the caller's word; texts end with NUL or are null.
    unsafe {
        let error = (*report).elevel == pg_sys::PGERROR.cast_signed();
        // 18 and later say so what they found otherwise than it should be, and went on.
        let conflict =
            (*report).elevel == pg_sys::LOG.cast_signed() && (*report).sqlerrcode == code(*b"40001");
        // A connection that is lost is no conflict; the counters have it.
        let class = (*report).sqlerrcode & 0xfff;
        if !(error || conflict) || class == code(*b"08000") & 0xfff {
            return;
        }
        let name = CStr::from_ptr((*pg_sys::MyBgworkerEntry).bgw_name.as_ptr()).to_bytes();
        let (subscription, relation) = numbers(name);
        let context = bytes((*report).context);
        let line = context.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let kind = if conflict {
            CONFLICT
        } else if relation != 0 {
            SYNC
        } else {
            APPLY
        };
        // Outside the applying of something it need not be counted by the server, and says nothing of a table.
        if subscription != 0 && (relation != 0 || !line.is_empty()) {
            let in_code = line.len() < context.len();
            // The innermost line of the context comes first. Who raises chooses the message, and the SQLSTATE too.
            let raised = in_code
                && context.split(|byte| *byte == b'\n').next().is_some_and(|at| at.ends_with(b" RAISE"));
            let message = if raised { &[] } else { bytes((*report).message) };
            note(kind, subscription, relation, (*report).sqlerrcode, message, line, in_code);
        }
        if error || conflict {
            shmem::wake_launcher();
        }
    }
}

/// # Safety
/// Null, or a text that ends with NUL and lives as long as the report.
unsafe fn bytes<'a>(text: *const core::ffi::c_char) -> &'a [u8] {
    // SAFETY: the caller's word.
    if text.is_null() { &[] } else { unsafe { CStr::from_ptr(text) }.to_bytes() }
}

/// An SQLSTATE as the server packs it.
const fn code(text: [u8; 5]) -> i32 {
    let mut packed = 0;
    let mut n = 0;
    while n < 5 {
        packed |= (((text[n] - b'0') & 0x3f) as i32) << (6 * n);
        n += 1;
    }
    packed
}

fn note(
    kind: u32,
    subscription: u32,
    relation: u32,
    sqlstate: i32,
    message: &[u8],
    origin: &[u8],
    in_code: bool,
) {
    let slots = shmem::board().into_iter().flat_map(|board| board.notes.iter());
    let Some(slot) =
        { slots }.find(|slot| slot.state.compare_exchange(FREE, WRITING, AcqRel, Relaxed).is_ok())
    else {
        return;
    };
    slot.database.store(worker::database().to_u32(), Relaxed);
    slot.kind.store(kind, Relaxed);
    slot.subscription.store(subscription, Relaxed);
    slot.relation.store(relation, Relaxed);
    slot.sqlstate.store(sqlstate, Relaxed);
    slot.in_code.store(in_code.into(), Relaxed);
    slot.at.store(worker::now(), Relaxed);
    put(&slot.message, message);
    put(&slot.origin, origin);
    slot.state.store(WRITTEN, Release);
}

/// Copies as much as there is room for; a zero ends it.
fn put(place: &[AtomicU8; TEXT], text: &[u8]) {
    let (last, room) = (TEXT - 1, &place[..TEXT - 1]);
    for (to, from) in room.iter().zip(text) {
        to.store(*from, Relaxed);
    }
    place[text.len().min(last)].store(0, Relaxed);
}

/// What was put; a character that was cut is left out.
fn got(place: &[AtomicU8; TEXT]) -> String {
    let bytes: Vec<u8> = place.iter().map(|byte| byte.load(Relaxed)).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
}

fn written() -> impl Iterator<Item = &'static NoteSlot> {
    let slots = shmem::board().into_iter().flat_map(|board| board.notes.iter());
    slots.filter(|slot| slot.state.load(Acquire) == WRITTEN)
}

/// The databases in which something was noted.
pub fn noted() -> Vec<pg_sys::Oid> {
    written().map(|slot| pg_sys::Oid::from_u32(slot.database.load(Relaxed))).collect()
}

/// Takes what was noted in a database, in the order of time. Only its recorder does.
pub fn take(database: pg_sys::Oid) -> Vec<Note> {
    let mut notes: Vec<Note> = written()
        .filter(|slot| slot.database.load(Relaxed) == database.to_u32())
        .map(|slot| {
            let note = Note {
                subscription: pg_sys::Oid::from_u32(slot.subscription.load(Relaxed)),
                relation: pg_sys::Oid::from_u32(slot.relation.load(Relaxed)),
                kind: slot.kind.load(Relaxed),
                sqlstate: caught::sqlstate(slot.sqlstate.load(Relaxed)),
                message: got(&slot.message),
                origin: got(&slot.origin),
                in_code: slot.in_code.load(Relaxed) == 1,
                at: slot.at.load(Relaxed),
            };
            slot.state.store(FREE, Release);
            note
        })
        .collect();
    notes.sort_by_key(|note| note.at);
    notes
}

/// How many errors and conflicts of a subscription the server has counted. In a transaction, also of a process without a
/// database.
pub fn errors(subscription: pg_sys::Oid) -> i64 {
    // SAFETY: null, or a copy that lives until the transaction ends.
    unsafe {
        let counted = pg_sys::pgstat_fetch_stat_subscription(subscription);
        if counted.is_null() { 0 } else { (*counted).apply_error_count + (*counted).sync_error_count }
    }
}

fn recorders() -> impl Iterator<Item = &'static RecorderSlot> {
    shmem::board().into_iter().flat_map(|board| board.recorders.iter())
}

fn of(database: pg_sys::Oid) -> Option<&'static RecorderSlot> {
    recorders().find(|slot| slot.database.load(Acquire) == database.to_u32())
}

/// This process is the recorder of its database; `None` if that has one, or there is no room.
pub fn enter() -> Option<&'static RecorderSlot> {
    let board = shmem::board()?;
    let database = worker::database();
    // Two who look at the same time would both find none: only one of them looks.
    while board.recording.compare_exchange_weak(0, 1, AcqRel, Relaxed).is_err() {
        worker::nap(1);
    }
    let free =
        if of(database).is_none() { recorders().find(|slot| slot.database.load(Acquire) == 0) } else { None };
    if let Some(slot) = free {
        slot.leave.store(0, Relaxed);
        slot.latch.store(worker::latch(), Relaxed);
        slot.pid.store(worker::pid(), Relaxed);
        slot.database.store(database.to_u32(), Release);
    }
    board.recording.store(0, Release);
    free
}

/// The recorder ends. What came at the last moment is for the next one.
pub fn leave() {
    let Some(slot) = recorders().find(|slot| slot.pid.load(Acquire) == worker::pid()) else { return };
    let database = slot.database.load(Relaxed);
    slot.latch.store(0, Relaxed);
    slot.pid.store(0, Relaxed);
    slot.database.store(0, Release);
    if written().any(|note| note.database.load(Relaxed) == database) {
        shmem::wake_launcher();
    }
}

/// Wakes the recorder of a database; false if there is none. Never raises.
pub fn wake_recorder(database: pg_sys::Oid) -> bool {
    let slot = of(database);
    if let Some(slot) = slot {
        worker::wake(slot.latch.load(Acquire));
    }
    slot.is_some()
}

/// Asks the recorder of a database to end; it does when it writes nothing. Gives whether there is one still.
pub fn ask_recorder_to_leave(database: pg_sys::Oid) -> bool {
    if let Some(slot) = of(database) {
        slot.leave.store(1, Release);
    }
    wake_recorder(database)
}

impl RecorderSlot {
    /// Whether this process was asked to leave.
    pub fn is_to_leave(&self) -> bool {
        self.leave.load(Acquire) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::{code, numbers};

    #[test]
    fn the_name_of_a_worker_says_what_it_applies() {
        assert_eq!(numbers(b"logical replication worker for subscription 16395"), (16395, 0));
        assert_eq!(numbers(b"logical replication worker for subscription 16395 sync 16384"), (16395, 16384));
        assert_eq!(
            numbers(b"logical replication tablesync worker for subscription 4294967295 sync 1"),
            (u32::MAX, 1)
        );
        assert_eq!(numbers(b"logical replication apply worker for subscription 7"), (7, 0));
        assert_eq!(numbers(b"logical replication launcher"), (0, 0));
        assert_eq!(numbers(b"subscription 99999999999 sync x"), (0, 0));
        assert_eq!(super::caught::sqlstate(code(*b"40001")), "40001");
    }
}
