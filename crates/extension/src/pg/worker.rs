//! Background workers of ours (`src/backend/postmaster/bgworker.c`): starting them, their signals, waiting, transactions.

use core::ffi::{CStr, c_int};

use pgrx::pg_sys;

use super::caught::{self, Caught};
use super::compat;

/// What wakes a worker, or ends it.
const WAIT: u32 = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH;

/// The name that our library is registered under.
const LIBRARY: &CStr = c"postern";

/// Whether the postmaster started this process to run a function of our library. SQL registers no workers: a parallel
/// worker runs a function of the server's.
pub fn is_ours() -> bool {
    // SAFETY: null in any other process; in a worker it points to what the worker was registered with, whose name of the
    // library ends with NUL, and lives as long as the process.
    unsafe {
        let entry = pg_sys::MyBgworkerEntry;
        !entry.is_null() && CStr::from_ptr((*entry).bgw_library_name.as_ptr()) == LIBRARY
    }
}

/// A worker to start: which entry point, with which argument.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The exported function.
    pub function: &'static str,
    /// What `ps` and `pg_stat_activity` show; at most 95 bytes.
    pub name: &'static str,
    /// Passed to the function.
    pub argument: u64,
    /// Passed as well; see [`extra`].
    pub extra: u64,
    /// Seconds after which the postmaster starts it again when it ended with an error; -1: never.
    pub restart: c_int,
}

fn describe(job: Job) -> pg_sys::BackgroundWorker {
    let mut worker = pg_sys::BackgroundWorker {
        bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION)
            .cast_signed(),
        bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished,
        bgw_restart_time: job.restart,
        bgw_main_arg: pg_sys::Datum::from(job.argument),
        ..Default::default()
    };
    copy(&mut worker.bgw_name, job.name);
    copy(&mut worker.bgw_type, job.name);
    copy(&mut worker.bgw_library_name, LIBRARY.to_str().unwrap_or_default());
    copy(&mut worker.bgw_function_name, job.function);
    for (to, from) in worker.bgw_extra.iter_mut().zip(job.extra.to_ne_bytes()) {
        *to = from.cast_signed();
    }
    worker
}

/// [`Job::extra`] of this process; 0 if it is no worker.
pub fn extra() -> u64 {
    // SAFETY: null in any other process; in a worker it lives as long as the process.
    unsafe {
        let entry = pg_sys::MyBgworkerEntry;
        if entry.is_null() {
            return 0;
        }
        let mut bytes = [0_u8; 8];
        for (to, from) in bytes.iter_mut().zip((*entry).bgw_extra) {
            *to = from.cast_unsigned();
        }
        u64::from_ne_bytes(bytes)
    }
}

/// Copies a constant into a field of the server's, which ends with NUL.
fn copy(field: &mut [core::ffi::c_char], text: &str) {
    let room = field.len() - 1;
    for (to, from) in field[..room].iter_mut().zip(text.bytes()) {
        *to = from.cast_signed();
    }
}

/// Has the postmaster start a worker when the server is up. While preloading.
pub fn register(job: Job) {
    let mut worker = describe(job);
    // SAFETY: the description is copied.
    unsafe { pg_sys::RegisterBackgroundWorker(&raw mut worker) };
}

/// Starts a worker now; false if there is no free slot (`max_worker_processes`).
pub fn start(job: Job) -> bool {
    let mut worker = describe(job);
    // SAFETY: the description is copied; nobody asks for the handle.
    unsafe { pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, core::ptr::null_mut()) }
}

/// A worker that was started, for whoever waits for its end.
#[derive(Debug)]
pub struct Started(*mut pg_sys::BackgroundWorkerHandle);

/// Starts a worker now, and has the latch of this process set when it has started and when it has ended; `None` if there is no
/// free slot.
pub fn start_watched(job: Job) -> Option<Started> {
    let mut worker = describe(job);
    worker.bgw_notify_pid = pid();
    let mut handle = core::ptr::null_mut();
    // SAFETY: the description is copied. The handle is a small piece of memory, which has to outlive the transaction.
    let started = unsafe {
        let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let started = pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle);
        pg_sys::MemoryContextSwitchTo(context);
        started
    };
    started.then_some(Started(handle))
}

impl Started {
    /// Whether the worker has ended, or never will start.
    pub fn has_ended(&self) -> bool {
        use pg_sys::BgwHandleStatus as S;
        let mut pid = 0;
        // SAFETY: the handle is valid until it is released.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.0, &raw mut pid) };
        matches!(status, S::BGWH_STOPPED | S::BGWH_POSTMASTER_DIED)
    }

    /// Nobody asks for it any more.
    pub fn release(self) {
        // SAFETY: allocated by the server; nothing points to it after this.
        unsafe { pg_sys::pfree(self.0.cast()) };
    }
}

/// Sets up this process: signals, and the connection to a database as the bootstrap superuser; without one, only what all
/// databases share can be read. Ends the process if the database is gone.
pub fn set_up(database: Option<pg_sys::Oid>) {
    // SAFETY: first thing in the entry point of a worker; the handlers are the server's own.
    unsafe {
        compat::pqsignal(pg_sys::SIGHUP.cast_signed(), Some(compat::SignalHandlerForConfigReload));
        compat::pqsignal(pg_sys::SIGTERM.cast_signed(), Some(compat::die));
        compat::pqsignal(pg_sys::SIGINT.cast_signed(), Some(compat::StatementCancelHandler));
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            database.unwrap_or(pg_sys::InvalidOid),
            pg_sys::InvalidOid,
            0,
        );
    }
}

/// Waits until the latch of this process is set, or `milliseconds` have passed. Ends the process if the postmaster is gone, or
/// has asked for it; reads the configuration again if it has changed. Gives whether it has.
pub fn wait(milliseconds: Option<i64>) -> bool {
    // SAFETY: MyLatch is the latch of this process.
    unsafe {
        let flags = if milliseconds.is_some() { WAIT | pg_sys::WL_TIMEOUT } else { WAIT };
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            flags.cast_signed(),
            core::ffi::c_long::from(milliseconds.unwrap_or(-1)),
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    attend()
}

/// Does what signals have asked for meanwhile. Gives whether the configuration was read again.
pub fn attend() -> bool {
    // SAFETY: plain reads and writes of flags that signal handlers set; outside a transaction.
    unsafe {
        // A request to cancel that came too late: there is no statement.
        pg_sys::QueryCancelPending = 0;
        pgrx::check_for_interrupts!();
        if pg_sys::ConfigReloadPending == 0 {
            return false;
        }
        pg_sys::ConfigReloadPending = 0;
        pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        true
    }
}

/// The address of this process's latch: it is in shared memory, at the same address everywhere.
pub fn latch() -> usize {
    // SAFETY: a plain read.
    unsafe { pg_sys::MyLatch as usize }
}

/// Wakes the process whose latch this is. Never raises.
pub fn wake(latch: usize) {
    if latch != 0 {
        // SAFETY: the address of a latch in shared memory, which stays a latch, whoever owns it.
        unsafe { pg_sys::SetLatch(latch as *mut pg_sys::Latch) };
    }
}

/// Cancels the statement of another process, as `pg_cancel_backend()` does.
pub fn cancel(pid: i32) {
    // SAFETY: a signal to a process of this server; a worker of ours that runs no statement ignores it.
    unsafe { libc_kill(pid, pg_sys::SIGINT.cast_signed()) };
}

unsafe extern "C" {
    #[link_name = "kill"]
    fn libc_kill(pid: i32, signal: c_int) -> c_int;
}

/// The process id of this process.
pub fn pid() -> i32 {
    // SAFETY: a plain read.
    unsafe { pg_sys::MyProcPid }
}

/// The database of this process.
pub fn database() -> pg_sys::Oid {
    // SAFETY: a plain read.
    unsafe { pg_sys::MyDatabaseId }
}

/// Runs `f` in a transaction, READ COMMITTED whatever the defaults are, and commits; an ERROR, also one of the commit, rolls it
/// back and is returned.
pub fn transaction<R>(f: impl FnOnce() -> R) -> Result<R, Caught> {
    transaction_if(|| (f(), Finish::Commit))
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// As `synchronous_commit` says.
    Commit,
    /// It is committed, and reaches the disk with whatever is committed after it, or soon. A crash takes it back whole, with all
    /// that came after.
    CommitLater,
    /// It is rolled back.
    Rollback,
}

/// As [`transaction`]; `f` also says how it ends.
pub fn transaction_if<R>(f: impl FnOnce() -> (R, Finish)) -> Result<R, Caught> {
    // SAFETY: outside a transaction, in a worker. After an ERROR the transaction is aborted as in the server's own main loops;
    // so is one that is not wanted.
    unsafe {
        let synchronous = pg_sys::synchronous_commit;
        let result = caught::catch(|| {
            begin();
            let (result, finish) = f();
            match finish {
                Finish::Commit => commit(),
                Finish::CommitLater => {
                    // What `SET LOCAL` would do, for the commit alone: nobody's SQL is run with it.
                    pg_sys::synchronous_commit =
                        pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF.cast_signed();
                    commit();
                }
                Finish::Rollback => pg_sys::AbortCurrentTransaction(),
            }
            result
        });
        pg_sys::synchronous_commit = synchronous;
        if result.is_err() {
            pg_sys::AbortCurrentTransaction();
        }
        result
    }
}

/// # Safety
/// Outside a transaction, in a worker.
unsafe fn begin() {
    // SAFETY: the caller's word.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED.cast_signed();
        pg_sys::XactReadOnly = false;
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}

/// # Safety
/// In a transaction that [`begin`] began.
unsafe fn commit() {
    // SAFETY: the caller's word.
    unsafe {
        // Whoever rolled back a subtransaction took its snapshots with it; ours is of the outermost level.
        if pg_sys::ActiveSnapshotSet() {
            pg_sys::PopActiveSnapshot();
        }
        pg_sys::CommitTransactionCommand();
    }
}

/// Has `f` called when this process ends, however it does short of a crash. It must not raise.
pub fn at_exit(f: fn()) {
    AT_EXIT.set(Some(f));
    // SAFETY: registered once, by the entry point of a worker.
    unsafe { pg_sys::before_shmem_exit(Some(exiting), pg_sys::Datum::from(0)) };
}

thread_local! {
    static AT_EXIT: std::cell::Cell<Option<fn()>> = const { std::cell::Cell::new(None) };
}

#[pgrx::pg_guard]
extern "C-unwind" fn exiting(_code: c_int, _arg: pg_sys::Datum) {
    if let Some(f) = AT_EXIT.get() {
        f();
    }
}

/// Shows in `pg_stat_activity` what this process does; `None`: it waits.
pub fn report(activity: Option<&core::ffi::CStr>) {
    use pg_sys::BackendState as S;
    // SAFETY: the text is copied.
    unsafe {
        match activity {
            Some(text) => pg_sys::pgstat_report_activity(S::STATE_RUNNING, text.as_ptr()),
            None => pg_sys::pgstat_report_activity(S::STATE_IDLE, core::ptr::null()),
        }
    }
}

/// Tells the server's statistics what this process has done: autovacuum goes by them. Only once a second, unless it is forced.
/// Outside a transaction.
pub fn statistics(force: bool) {
    // SAFETY: outside a transaction, in a process that is connected to a database.
    unsafe { pg_sys::pgstat_report_stat(force) };
}

/// Microseconds since 2000-01-01 00:00 UTC, now.
pub fn now() -> i64 {
    // SAFETY: asks the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Microseconds from the beginning of Unix time to that of PostgreSQL's.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A time of [`now`] in microseconds since 1970.
pub fn to_unix(time: i64) -> i64 {
    time.saturating_add(POSTGRES_EPOCH)
}

/// The other way round.
pub fn from_unix(micros: i64) -> i64 {
    micros.saturating_sub(POSTGRES_EPOCH)
}

/// Cancels the statement of this process after so many milliseconds, unless [`disarm`] comes first.
pub fn arm(milliseconds: i32) {
    // SAFETY: STATEMENT_TIMEOUT is registered in every process that is connected to a database.
    unsafe { compat::enable_timeout_after(compat::STATEMENT_TIMEOUT, milliseconds) };
}

/// Takes [`arm`] back.
pub fn disarm() {
    // SAFETY: as in `arm`.
    unsafe { compat::disable_timeout(compat::STATEMENT_TIMEOUT, false) };
}

/// Waits a moment in any process; what signals have asked for meanwhile is done, which may raise.
pub fn nap(milliseconds: i64) {
    // SAFETY: MyLatch is the latch of this process.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            (WAIT | pg_sys::WL_TIMEOUT).cast_signed(),
            core::ffi::c_long::from(milliseconds),
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
        pgrx::check_for_interrupts!();
    }
}
