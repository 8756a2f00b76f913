//! A piece of shared memory (`src/backend/storage/ipc/ipci.c`).

use pgrx::{pg_guard, pg_sys};

/// How many executors a server can have, in all its databases.
pub const SLOTS: usize = 256;

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

use super::worker;

/// What a process of ours shows of itself to the others. Hints: nothing is decided by them.
#[derive(Debug, Default)]
pub struct Slot {
    /// The process; 0: the slot is free.
    pub pid: AtomicI32,
    /// Its database.
    pub database: AtomicU32,
    /// 0: an executor; 1: a process that runs one statement at top level.
    pub kind: AtomicU32,
    /// Its latch.
    pub latch: AtomicUsize,
    /// 1 while it waits for work.
    pub idle: AtomicU32,
    /// Until when it waits, while it does (microseconds since 2000).
    pub until: AtomicI64,
    /// When something is due that whoever woke it knows of.
    pub later: AtomicI64,
    /// How often another process has woken it to look for work.
    pub woken: AtomicU64,
    /// The instance that it executes, as a number, plus one; 0: none.
    pub instance: AtomicU64,
    /// The strand of that instance.
    pub strand: AtomicI32,
    /// The node, and since when (microseconds since 2000).
    pub node: AtomicI32,
    /// 1: another of our processes has asked for the statement to be cancelled.
    pub asked: AtomicU32,
    /// 1: the process is to leave its database, as soon as it runs no statement.
    pub leave: AtomicU32,
    /// When the statement began.
    pub since: AtomicI64,
    /// The role whose turn it has taken; 0: none.
    pub role: AtomicU32,
}

/// A process that writes what comes with a copy of a database, until it ends.
#[derive(Debug, Default)]
pub struct Arriving {
    /// The process; 0: the place is free.
    pub pid: AtomicI32,
    /// Its database.
    pub database: AtomicU32,
}

/// How fast the steps of a role may follow each other.
#[derive(Debug, Default)]
pub struct Rate {
    /// Database and role; 0: the place is free.
    pub key: AtomicU64,
    /// When the next turn is due at the pace of the rate (microseconds since 2000).
    pub due: AtomicI64,
}

/// A process that waits for the end of an instance.
#[derive(Debug, Default)]
pub struct Waiter {
    /// Database and instance; 0: the place is free.
    pub key: AtomicU64,
    /// Its latch.
    pub latch: AtomicUsize,
}

/// How many processes can be woken by the end of an instance. Further ones look now and then.
pub const WAITERS: usize = 256;

/// Roles with a rate, in all databases. Of further ones the rate is not kept.
pub const RATES: usize = 1024;

/// How many processes can write what comes with a copy at the same time.
pub const ARRIVING: usize = 64;

/// How many processes can have something done in a transaction of its own at the same time.
pub const ERRANDS: usize = 64;

/// How many databases can want another executor at the same time; one that finds no room asks again.
pub const WANTING: usize = 64;

/// Bytes of a text in a note, with the zero at its end.
pub const TEXT: usize = 1024;

/// How many errors of subscriptions can wait for a recorder; of further ones only the server's counters tell.
pub const NOTES: usize = 64;

/// An error of a subscription that is to be written down.
#[derive(Debug)]
pub struct NoteSlot {
    /// 0: the place is free; 1: it is being written; 2: it is for the recorder of the database.
    pub state: AtomicU32,
    /// The database.
    pub database: AtomicU32,
    /// 0: apply; 1: the first copy; 2: a conflict that apply went on from.
    pub kind: AtomicU32,
    /// The subscription.
    pub subscription: AtomicU32,
    /// The table that is copied, or 0.
    pub relation: AtomicU32,
    /// As the server packs it.
    pub sqlstate: AtomicI32,
    /// 1: raised inside code.
    pub in_code: AtomicU32,
    /// When (microseconds since 2000).
    pub at: AtomicI64,
    /// What the server said.
    pub message: [AtomicU8; TEXT],
    /// What was being applied.
    pub origin: [AtomicU8; TEXT],
}

/// A process that writes them down.
#[derive(Debug)]
pub struct RecorderSlot {
    /// Its database; 0: the place is free.
    pub database: AtomicU32,
    /// The process.
    pub pid: AtomicI32,
    /// Its latch.
    pub latch: AtomicUsize,
    /// 1: it is to leave its database.
    pub leave: AtomicU32,
}

/// In how many databases errors of subscriptions can be written down at the same time.
pub const RECORDERS: usize = 16;

/// All of it.
#[derive(Debug)]
pub struct Board {
    /// The latch of the launcher.
    pub launcher: AtomicUsize,
    /// 1: somebody wants executors, here or in another database.
    pub executors_asked: AtomicU32,
    /// 1 while a process becomes a recorder: some instructions, none of which can fail.
    pub recording: AtomicU32,
    /// Recorders.
    pub recorders: [RecorderSlot; RECORDERS],
    /// What they are to write down.
    pub notes: [NoteSlot; NOTES],
    /// Databases that want another executor.
    pub wanting: [AtomicU32; WANTING],
    /// Counts messages sent, in all databases: who sees it changed looks into its box.
    pub messages: AtomicU64,
    /// Counts statements at top level that have ended while no executor waited for them.
    pub orphans: AtomicU64,
    /// Counts processes that have written what comes with a copy, and have ended, in all databases.
    pub arrived: AtomicU64,
    /// Those that have not ended.
    pub arriving: [Arriving; ARRIVING],
    /// Counts changes of schedules, in all databases.
    pub schedules: AtomicU64,
    /// 1 while an executor looks how many others are at a role, and takes its turn: some instructions, none of which can fail.
    pub choosing: AtomicU32,
    /// Processes that have something done in a transaction of its own, right now.
    pub errands: [AtomicI32; ERRANDS],
    /// Who waits for the end of an instance.
    pub waiters: [Waiter; WAITERS],
    /// The executors.
    pub slots: [Slot; SLOTS],
    /// Rates of roles.
    pub rates: [Rate; RATES],
}

static mut BOARD: *mut Board = core::ptr::null_mut();
static mut REQUEST: pg_sys::shmem_request_hook_type = None;
static mut STARTUP: pg_sys::shmem_startup_hook_type = None;

const NAME: &core::ffi::CStr = c"postern";

/// Asks for it. Once, while preloading.
pub fn init() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
}

#[pg_guard]
extern "C-unwind" fn request() {
    // SAFETY: written once while preloading; the hook of someone else is called as the server would.
    unsafe {
        if let Some(next) = REQUEST {
            pass_on(next);
        }
        pg_sys::RequestAddinShmemSpace(core::mem::size_of::<Board>());
    }
}

#[pg_guard]
extern "C-unwind" fn startup() {
    // SAFETY: as above. The server gives memory that is aligned for any type and, when it is new, zero: zero is a free slot. It
    // is called again after a crash, when the memory is new again.
    unsafe {
        if let Some(next) = STARTUP {
            pass_on(next);
        }
        let mut found = false;
        let place = pg_sys::ShmemInitStruct(NAME.as_ptr(), core::mem::size_of::<Board>(), &raw mut found);
        if !found {
            core::ptr::write_bytes(place.cast::<u8>(), 0, core::mem::size_of::<Board>());
        }
        BOARD = place.cast();
    }
}

/// # Safety
/// In the hook that `next` was installed for.
#[allow(
    ffi_unwind_calls,
    reason = "the boundary turns an ERROR into a panic; nothing is to be dropped inside it"
)]
unsafe fn pass_on(next: unsafe extern "C-unwind" fn()) {
    // SAFETY: the caller's word.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| next()) };
}

/// Says where the launcher can be woken.
pub fn i_am_the_launcher() {
    if let Some(board) = board() {
        board.launcher.store(worker::latch(), Release);
    }
}

/// Wakes the launcher. Never raises.
pub fn wake_launcher() {
    if let Some(board) = board() {
        worker::wake(board.launcher.load(Acquire));
    }
}

/// Has the launcher look for databases that want executors. Never raises.
pub fn ask_for_executors() {
    if let Some(board) = board() {
        board.executors_asked.store(1, Release);
        worker::wake(board.launcher.load(Acquire));
    }
}

/// Whether somebody has, since this was asked last.
pub fn executors_were_asked_for() -> bool {
    board().is_some_and(|board| board.executors_asked.swap(0, AcqRel) == 1)
}

/// The board; `None` only while preloading.
pub fn board() -> Option<&'static Board> {
    // SAFETY: written by the postmaster before any process that calls this exists; all fields are atomics.
    unsafe { BOARD.as_ref() }
}
