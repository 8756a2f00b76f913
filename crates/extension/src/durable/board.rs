//! Who executes what, in shared memory: for waking, for cancelling, and for showing.
//!
//! **How it works.** Each executor takes a slot for its life. Whoever commits something to do wakes one that waits; an executor
//! that leaves something to do, or knows of something due later for which nobody waits, wakes the next. Lost wake-ups are excluded by
//! order: an executor says that it waits, looks once more, and only then waits; while it waits others rely on it for what is due
//! from then on, and once it is busy it hands that over. So of those that wait for the same time one keeps it, and the others none. How many executors are at a role, and how fast its turns follow each other, is kept here as
//! well: it decides when something is done, not whether, and begins anew with the server.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use crate::guc;
use crate::pg::Oid;
use crate::pg::shmem::{self, Slot};
use crate::pg::worker;

/// An instance's id as a number; `None` for what is not eight hexadecimal digits.
pub fn number(instance: &str) -> Option<u32> {
    (instance.len() == 8).then(|| u32::from_str_radix(instance, 16).ok()).flatten()
}

fn slots() -> impl Iterator<Item = &'static Slot> {
    shmem::board().into_iter().flat_map(|board| board.slots.iter())
}

/// What a process of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes what is due.
    Executor,
    /// It runs one statement at top level, for an executor that waits for it.
    Statement,
}

/// All that execute something in a database.
fn at_work(database: Oid) -> impl Iterator<Item = &'static Slot> {
    slots()
        .filter(move |slot| slot.pid.load(Acquire) != 0 && slot.database.load(Relaxed) == database.to_u32())
}

/// The executors of a database.
fn of(database: Oid) -> impl Iterator<Item = &'static Slot> {
    at_work(database).filter(|slot| slot.kind.load(Relaxed) == Role::Executor as u32)
}

/// Takes a free slot for this process; `None` if there is none.
pub fn take(role: Role) -> Option<&'static Slot> {
    let mine = slots().find(|slot| slot.pid.compare_exchange(0, worker::pid(), AcqRel, Relaxed).is_ok())?;
    mine.kind.store(role as u32, Relaxed);
    mine.database.store(worker::database().to_u32(), Relaxed);
    mine.instance.store(0, Relaxed);
    mine.idle.store(0, Relaxed);
    mine.leave.store(0, Relaxed);
    mine.woken.store(0, Relaxed);
    mine.until.store(i64::MAX, Relaxed);
    mine.later.store(i64::MAX, Relaxed);
    mine.asked.store(0, Relaxed);
    mine.role.store(0, Relaxed);
    mine.latch.store(worker::latch(), Release);
    Some(mine)
}

/// Gives the slot of this process back. When the process ends.
pub fn give_back() {
    for slot in slots().filter(|slot| slot.pid.load(Relaxed) == worker::pid()) {
        slot.latch.store(0, Relaxed);
        slot.instance.store(0, Relaxed);
        slot.role.store(0, Relaxed);
        slot.database.store(0, Relaxed);
        slot.pid.store(0, Release);
    }
}

/// The end of a process that runs a statement at top level: if the executor that waited for it is gone, the others have to look
/// what became of the statement. Never raises.
pub fn statement_ends() {
    let Some(mine) = slots().find(|slot| slot.pid.load(Relaxed) == worker::pid()) else { return };
    let at = |slot: &Slot| (slot.instance.load(Acquire), slot.strand.load(Relaxed));
    let (what, here) = (at(mine), worker::database());
    give_back();
    if !of(here).any(|slot| at(slot) == what) {
        if let Some(board) = shmem::board() {
            board.orphans.fetch_add(1, AcqRel);
        }
        wake_all(here);
    }
}

/// The end of an executor: what it alone has waited for is another's. Never raises.
pub fn executor_ends() {
    let here = worker::database();
    give_back();
    wake_for(here, 0);
}

/// How many statements have ended so.
pub fn orphans() -> u64 {
    shmem::board().map_or(0, |board| board.orphans.load(Acquire))
}

/// How many executors there are in a database.
pub fn executors(database: Oid) -> usize {
    of(database).count()
}

/// The place of this process among the executors of its database, from 0.
pub fn rank(slot: &Slot) -> usize {
    of(worker::database()).position(|other| std::ptr::eq(other, slot)).unwrap_or(0)
}

/// Wakes all of them.
pub fn wake_all(database: Oid) {
    for slot in of(database) {
        worker::wake(slot.latch.load(Acquire));
    }
}

/// Asks the executors of a database to leave it; they do when they run no statement. Gives how many there are still.
pub fn ask_to_leave(database: Oid) -> usize {
    for slot in of(database) {
        slot.leave.store(1, Release);
        worker::wake(slot.latch.load(Acquire));
    }
    executors(database)
}

/// No background worker is free: asks an executor that waits to end, of a database that has others; false: there is none.
pub fn make_room() -> bool {
    let waits = |slot: &&Slot| {
        slot.pid.load(Acquire) != 0
            && slot.kind.load(Relaxed) == Role::Executor as u32
            && slot.idle.load(Acquire) == 1
            && executors(Oid::from_u32(slot.database.load(Relaxed))) > 1
    };
    let found = slots().find(waits);
    if let Some(slot) = found {
        slot.leave.store(1, Release);
        worker::wake(slot.latch.load(Acquire));
    }
    found.is_some()
}

/// Whether this process was asked to leave.
pub fn is_to_leave(slot: &Slot) -> bool {
    slot.leave.load(Acquire) == 1
}

/// Wakes an executor of the database that waits; if none does, another one is wanted. Never raises.
pub fn wake(database: Oid) {
    if !wake_for(database, i64::MAX) {
        want_another(database);
    }
}

/// Wakes another executor of the database, if one waits, and tells it when something is due; false: none does. Never raises.
pub fn wake_for(database: Oid, later: i64) -> bool {
    // One that keeps a time for others is the last: they would have to find out who keeps it instead.
    let keeps_time = |slot: &&Slot| slot.until.load(Acquire) != i64::MAX;
    let others = waiting(database).filter(|slot| !keeps_time(slot));
    for slot in others.chain(waiting(database)) {
        // Told first: whoever wakes by itself meanwhile knows it, too.
        slot.later.fetch_min(later, AcqRel);
        if slot.idle.compare_exchange(1, 0, AcqRel, Relaxed).is_ok() {
            slot.woken.fetch_add(1, Relaxed);
            worker::wake(slot.latch.load(Acquire));
            return true;
        }
    }
    false
}

/// The other executors of a database that wait.
fn waiting(database: Oid) -> impl Iterator<Item = &'static Slot> {
    // What this process says of itself comes first: of two that look at each other, one sees the other.
    fence(SeqCst);
    of(database).filter(|slot| slot.pid.load(Relaxed) != worker::pid() && slot.idle.load(Acquire) == 1)
}

/// Whether another executor of this database waits.
pub fn somebody_waits() -> bool {
    waiting(worker::database()).next().is_some()
}

/// Whether another one that waits looks again by that time.
pub fn is_covered(time: i64) -> bool {
    time == i64::MAX || waiting(worker::database()).any(|slot| slot.until.load(Acquire) <= time)
}

/// This executor waits until then, or is about to find out until when.
pub fn waits_until(slot: &Slot, time: i64) {
    slot.until.store(time, SeqCst);
}

/// What this executor was told by whoever woke it.
pub fn told(slot: &Slot) -> i64 {
    slot.later.swap(i64::MAX, AcqRel)
}

/// Whether a strand is executed in this database right now, as far as its process shows it.
pub fn is_at(instance: &str, strand: i32) -> bool {
    running(instance).iter().any(|(number, _)| *number == strand)
}

/// While this process is busy, another should wait for what comes.
pub fn want_spare(database: Oid) {
    if !of(database).any(|slot| slot.idle.load(Acquire) == 1) {
        want_another(database);
    }
}

/// Asks the launcher for another executor, if the database may have more.
fn want_another(database: Oid) {
    if executors(database) >= guc::executors_at_most() {
        return;
    }
    let Some(board) = shmem::board() else { return };
    let asked = board.wanting.iter().any(|wanting| wanting.load(Acquire) == database.to_u32())
        || board
            .wanting
            .iter()
            .any(|wanting| wanting.compare_exchange(0, database.to_u32(), AcqRel, Relaxed).is_ok());
    if asked {
        shmem::ask_for_executors();
    }
}

/// How many other executors of this database are at a role.
pub fn others_at(slot: &Slot, role: Oid) -> usize {
    of(worker::database())
        .filter(|other| !std::ptr::eq(*other, slot) && other.role.load(SeqCst) == role.to_u32())
        .count()
}

/// Takes a turn of a role, unless as many others have one; false: they have. It is given back by [`leave_role`].
pub fn take_role(slot: &Slot, role: Oid, limit: usize) -> bool {
    let Some(board) = shmem::board() else { return true };
    // Who holds it is at a few instructions. Should it be gone all the same, nobody waits for it for ever.
    for _ in 0..100_000 {
        if board.choosing.compare_exchange_weak(0, 1, AcqRel, Relaxed).is_ok() {
            break;
        }
        std::hint::spin_loop();
    }
    let free = others_at(slot, role) < limit;
    if free {
        slot.role.store(role.to_u32(), SeqCst);
    }
    board.choosing.store(0, Release);
    free
}

/// The turn is over.
pub fn leave_role(slot: &Slot) {
    slot.role.store(0, SeqCst);
}

/// The place where the rate of a role is kept; `None` if all are taken.
fn rate(role: Oid) -> Option<&'static shmem::Rate> {
    let board = shmem::board()?;
    let key = u64::from(worker::database().to_u32()) << 32 | u64::from(role.to_u32());
    board.rates.iter().find(|rate| {
        let found = rate.key.load(Acquire);
        found == key
            || found == 0
                && match rate.key.compare_exchange(0, key, AcqRel, Acquire) {
                    Ok(_) => true,
                    Err(now) => now == key,
                }
    })
}

/// When a role may have its next turn.
pub fn next_turn(role: Oid) -> i64 {
    rate(role).map_or(0, |rate| rate.due.load(Acquire))
}

/// A role has a turn: the next one comes `gap` microseconds after it. What was not used is lost.
pub fn count_turn(role: Oid, gap: i64) {
    if let Some(rate) = rate(role) {
        let now = worker::now();
        let _ = rate.due.fetch_update(AcqRel, Acquire, |due| Some(due.max(now).saturating_add(gap)));
    }
}

/// The databases that want another executor; each is told once.
pub fn take_wanting() -> Vec<Oid> {
    let Some(board) = shmem::board() else { return Vec::new() };
    board
        .wanting
        .iter()
        .map(|wanting| wanting.swap(0, AcqRel))
        .filter(|&oid| oid != 0)
        .map(Oid::from_u32)
        .collect()
}

/// Something was put into a box.
pub fn sent() {
    if let Some(board) = shmem::board() {
        board.messages.fetch_add(1, AcqRel);
    }
}

/// How often something was.
pub fn sent_so_far() -> u64 {
    shmem::board().map_or(0, |board| board.messages.load(Acquire))
}

/// This process writes what comes with a copy, until it ends; false: it does already, or there is no place.
pub fn arrives() -> bool {
    let Some(board) = shmem::board() else { return false };
    if board.arriving.iter().any(|place| place.pid.load(Relaxed) == worker::pid()) {
        return false;
    }
    let free =
        |place: &&shmem::Arriving| place.pid.compare_exchange(0, worker::pid(), AcqRel, Relaxed).is_ok();
    let mine = board.arriving.iter().find(free);
    if let Some(place) = mine {
        place.database.store(worker::database().to_u32(), Release);
    }
    mine.is_some()
}

/// It has ended. Never raises.
pub fn has_arrived() {
    let Some(board) = shmem::board() else { return };
    for place in board.arriving.iter().filter(|place| place.pid.load(Relaxed) == worker::pid()) {
        place.database.store(0, Relaxed);
        place.pid.store(0, Release);
    }
    board.arrived.fetch_add(1, SeqCst);
    wake(worker::database());
}

/// How many have.
pub fn arrived_so_far() -> u64 {
    shmem::board().map_or(0, |board| board.arrived.load(SeqCst))
}

/// Whether one has not yet, in a database.
pub fn is_arriving(database: Oid) -> bool {
    shmem::board().is_some_and(|board| {
        board.arriving.iter().any(|place| place.database.load(Acquire) == database.to_u32())
    })
}

/// Schedules, or what they wait for, have changed.
pub fn rescheduled() {
    if let Some(board) = shmem::board() {
        board.schedules.fetch_add(1, AcqRel);
    }
}

/// How often they have.
pub fn rescheduled_so_far() -> u64 {
    shmem::board().map_or(0, |board| board.schedules.load(Acquire))
}

/// Shows what this process executes.
pub fn executing(slot: &Slot, instance: Option<&str>, strand: i32, node: i32) {
    slot.strand.store(strand, Relaxed);
    slot.node.store(node, Relaxed);
    slot.since.store(worker::now(), Relaxed);
    slot.instance.store(instance.and_then(number).map_or(0, |number| u64::from(number) + 1), Release);
    // Shown before it looks whether something was sent: see `cancel`.
    fence(SeqCst);
}

/// The strands of the instance that are executed in this database right now, and their nodes.
pub fn running(instance: &str) -> Vec<(i32, i32)> {
    let Some(number) = number(instance) else { return Vec::new() };
    let here = worker::database();
    at_work(here)
        .filter(|slot| slot.instance.load(Acquire) == u64::from(number) + 1)
        .map(|slot| (slot.strand.load(Relaxed), slot.node.load(Relaxed)))
        .collect()
}

/// An executor, as it shows itself.
#[derive(Debug)]
pub struct Shown {
    pub pid: i32,
    pub database: u32,
    pub idle: bool,
    /// How often it was woken.
    pub woken: u64,
    /// The instance that it is at, its strand and node, and since when.
    pub at: Option<(String, i32, i32, i64)>,
}

/// The executors of all databases. What one is at may change while it is read.
pub fn shown() -> Vec<Shown> {
    let show = |slot: &Slot| {
        let number = slot.instance.load(Acquire).checked_sub(1);
        let at = |number| {
            let (strand, node) = (slot.strand.load(Relaxed), slot.node.load(Relaxed));
            (format!("{number:08x}"), strand, node, slot.since.load(Relaxed))
        };
        Shown {
            pid: slot.pid.load(Acquire),
            database: slot.database.load(Relaxed),
            idle: slot.idle.load(Relaxed) == 1,
            woken: slot.woken.load(Relaxed),
            at: number.map(at),
        }
    };
    slots().filter(|slot| slot.pid.load(Acquire) != 0).map(show).collect()
}

/// Cancels what executors of this database run of an instance: one strand, or all. Gives whether there
/// was one, this process included. Never raises.
pub fn cancel(database: Oid, instance: &str, strand: Option<i32>) -> bool {
    let Some(number) = number(instance) else { return true };
    let mut found = false;
    // Whoever is not shown yet will see that something was sent: that was before this.
    fence(SeqCst);
    for slot in at_work(database).filter(|slot| slot.instance.load(Acquire) == u64::from(number) + 1) {
        if strand.is_some_and(|strand| slot.strand.load(Relaxed) != strand) {
            continue;
        }
        let pid = slot.pid.load(Relaxed);
        found = true;
        if pid != worker::pid() {
            slot.asked.store(1, Release);
            worker::cancel(pid);
        }
    }
    found
}

thread_local! {
    /// The place for errands that this process has.
    static ERRAND: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// Takes one of so many places for errands; false if all are taken. It is given back by [`errand_done`], at the end of the
/// transaction at the latest.
pub fn take_errand(places: usize) -> bool {
    if ERRAND.get().is_some() {
        return true;
    }
    let Some(board) = shmem::board() else { return false };
    let free = |place: &std::sync::atomic::AtomicI32| {
        place.compare_exchange(0, worker::pid(), AcqRel, Relaxed).is_ok()
    };
    ERRAND.set(board.errands.iter().take(places).position(free));
    ERRAND.get().is_some()
}

/// Gives the place for errands back. Never raises.
pub fn errand_done() {
    if let Some(place) = ERRAND.take()
        && let Some(board) = shmem::board()
    {
        board.errands[place].store(0, Release);
    }
}

thread_local! {
    /// The place at which this process waits for the end of an instance.
    static WAITING: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

fn key(database: Oid, instance: u32) -> u64 {
    u64::from(database.to_u32()) << 32 | u64::from(instance)
}

/// Has this process woken when an instance of a database has ended; false if all places are taken. Whoever then looks at the instance, and waits,
/// misses nothing. It is taken back by [`wait_no_more`], at the end of the transaction at the latest, but for [`waiting_over`].
pub fn wait_for_end(database: Oid, instance: &str) -> bool {
    wait_no_more();
    let (Some(number), Some(board)) = (number(instance), shmem::board()) else { return false };
    let key = key(database, number);
    let free = |waiter: &shmem::Waiter| waiter.key.compare_exchange(0, key, AcqRel, Relaxed).is_ok();
    WAITING.set(board.waiters.iter().position(free));
    let Some(place) = WAITING.get() else { return false };
    board.waiters[place].latch.store(worker::latch(), Release);
    fence(SeqCst);
    true
}

thread_local! {
    /// It goes on waiting after the commit.
    static GOES_ON: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Commits by `f`, and goes on waiting.
pub fn waiting_over(f: impl FnOnce()) {
    GOES_ON.set(true);
    f();
    GOES_ON.set(false);
}

/// The end of a transaction, committed or not: whoever waited does no more, unless it said so. Never raises.
pub fn transaction_ends(committed: bool) {
    if !(committed && GOES_ON.get()) {
        GOES_ON.set(false);
        wait_no_more();
    }
}

/// Never raises.
pub fn wait_no_more() {
    if let Some(place) = WAITING.take()
        && let Some(board) = shmem::board()
    {
        board.waiters[place].latch.store(0, Release);
        board.waiters[place].key.store(0, Release);
    }
}

/// An instance of this database has ended, and that is committed: whoever waits for it is woken. Never raises.
pub fn has_ended(instance: u32) {
    let Some(board) = shmem::board() else { return };
    let key = key(worker::database(), instance);
    fence(SeqCst);
    for waiter in board.waiters.iter().filter(|waiter| waiter.key.load(Acquire) == key) {
        worker::wake(waiter.latch.load(Acquire));
    }
}

/// Whether another of our processes has asked for the statement of this one to be cancelled. Never raises.
pub fn is_asked() -> bool {
    slots().any(|slot| slot.pid.load(Relaxed) == worker::pid() && slot.asked.load(Acquire) == 1)
}

/// Forgets what was asked of this process: it was meant for what it did before.
pub fn forget_asked(slot: &Slot) {
    slot.asked.store(0, Release);
}

/// Whether a request to cancel that this process got came from [`cancel`], and not from an operator. Asked once for each.
pub fn was_ours(slot: &Slot) -> bool {
    slot.asked.swap(0, AcqRel) == 1
}
