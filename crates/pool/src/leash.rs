//! Bounds on time: every statement in flight is on a leash, and one watchdog holds all of them.
//!
//! SQL can change every timeout setting and catch a cancel, so time is bounded from here: at the deadline the backend gets a
//! cancel request; after the grace it is terminated through another connection; if even that does not end the connection
//! (the machine is gone), it is closed on this side.
//!
//! One task serves all requests: a request only writes its deadline down, and wakes the watchdog if it would sleep over it.
//! This works even while nobody polls the request, for example because its reader is slow.
//!
//! **Invariant.** A connection that was sent a cancel is never used again: [`Leash::rest`] says so under the same lock under
//! which the cancel was decided. So no cancel can hit a later request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The watchdog looks at least this often while something is in flight, so that only shorter deadlines have to wake it.
const TICK: Duration = Duration::from_secs(1);
/// How long a terminated backend may take to be gone.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// The leash of one connection.
pub(crate) struct Leash {
    pub pid: i32,
    pub secret: i32,
    state: Mutex<State>,
    severed: AtomicBool,
    reader: AtomicWaker,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing is in flight.
    Idle,
    /// A statement runs.
    Running { deadline: Instant, grace: Duration },
    /// A cancel was sent.
    Cancelled { terminate_at: Instant },
    /// The backend was told to end.
    Terminated { sever_at: Instant },
    /// The connection is closed on this side.
    Severed,
}

/// What is to be done to a backend now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Cancel,
    Terminate,
}

impl Leash {
    pub fn new(pid: i32, secret: i32) -> Self {
        Self {
            pid,
            secret,
            state: Mutex::new(State::Idle),
            severed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }

    /// A request begins.
    fn run(&self, deadline: Instant, grace: Duration) {
        let mut state = self.state();
        // A retry of the same request on the same connection may find a cancel already decided; that stands.
        if matches!(*state, State::Idle | State::Running { .. }) {
            *state = State::Running { deadline, grace };
        }
    }

    /// The request has ended; true if the connection may be used again.
    pub fn rest(&self) -> bool {
        let mut state = self.state();
        let unharmed = matches!(*state, State::Idle | State::Running { .. });
        if unharmed {
            *state = State::Idle;
        }
        unharmed
    }

    /// A cancel or more was sent.
    pub fn is_pulled(&self) -> bool {
        !matches!(*self.state(), State::Idle | State::Running { .. })
    }

    /// The connection was closed on this side. Registers for that.
    pub fn is_severed(&self, reader: &Waker) -> bool {
        if self.severed.load(Ordering::Acquire) {
            return true;
        }
        self.reader.register(reader);
        self.severed.load(Ordering::Acquire)
    }

    /// Takes the step that is due, and says when to look again.
    fn advance(&self, now: Instant) -> (Option<Measure>, Option<Instant>) {
        let mut state = self.state();
        match *state {
            State::Running { deadline, grace } if deadline <= now => {
                let terminate_at = now + grace;
                *state = State::Cancelled { terminate_at };
                (Some(Measure::Cancel), Some(terminate_at))
            }
            State::Cancelled { terminate_at } if terminate_at <= now => {
                let sever_at = now + KILL_AFTER;
                *state = State::Terminated { sever_at };
                (Some(Measure::Terminate), Some(sever_at))
            }
            State::Terminated { sever_at } if sever_at <= now => {
                *state = State::Severed;
                drop(state);
                self.severed.store(true, Ordering::Release);
                self.reader.wake();
                (None, None)
            }
            State::Running { deadline: next, .. }
            | State::Cancelled { terminate_at: next }
            | State::Terminated { sever_at: next } => (None, Some(next)),
            State::Idle | State::Severed => (None, None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after all leashes of a pool.
pub(crate) struct Watchdog {
    epoch: Instant,
    /// When the watchdog wakes by itself, in microseconds since `epoch`.
    wakes_at: AtomicU64,
    bell: Notify,
    leashes: Mutex<Vec<Weak<Leash>>>,
}

impl Watchdog {
    pub fn new() -> Self {
        Self {
            epoch: Instant::now(),
            wakes_at: AtomicU64::new(u64::MAX),
            bell: Notify::new(),
            leashes: Mutex::new(Vec::new()),
        }
    }

    /// A new connection.
    pub fn add(&self, leash: &Arc<Leash>) {
        let mut leashes = self.leashes.lock().unwrap_or_else(PoisonError::into_inner);
        leashes.retain(|leash| leash.strong_count() > 0);
        leashes.push(Arc::downgrade(leash));
    }

    /// A request begins on this connection.
    pub fn run(&self, leash: &Leash, deadline: Instant, grace: Duration) {
        leash.run(deadline, grace);
        // Ordered against `rounds`: either it sees the deadline, or this sees that it has to be woken.
        if self.micros(deadline) < self.wakes_at.load(Ordering::SeqCst) {
            self.bell.notify_one();
        }
    }

    /// Nobody waits for the request on this connection any more.
    pub fn hurry(&self, leash: &Leash, grace: Duration) {
        self.run(leash, Instant::now(), grace);
    }

    /// Runs for ever. `measure` is called for each backend that has to be stopped, and must not block.
    pub async fn rounds(&self, mut measure: impl FnMut(Measure, Arc<Leash>)) {
        loop {
            self.wakes_at.store(u64::MAX, Ordering::SeqCst);
            let now = Instant::now();
            let mut next = None::<Instant>;
            // Weak ones are upgraded outside the lock, one by one, so that dropping a connection never waits for a round.
            let leashes = self.leashes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for leash in leashes.iter().filter_map(Weak::upgrade) {
                let (due, again) = leash.advance(now);
                if let Some(again) = again {
                    next = Some(next.map_or(again, |next| next.min(again)));
                }
                if let Some(due) = due {
                    measure(due, leash);
                }
            }
            if let Some(next) = next {
                let next = next.min(now + TICK);
                self.wakes_at.store(self.micros(next), Ordering::SeqCst);
                // Out of time or woken: both mean another round.
                let _ = tokio::time::timeout_at(next.into(), self.bell.notified()).await;
            } else {
                self.bell.notified().await;
            }
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_cancelled_then_terminated_then_cut_off() {
        let leash = Leash::new(1, 2);
        let start = Instant::now();
        let (deadline, grace) = (start + Duration::from_secs(10), Duration::from_secs(3));
        assert_eq!(leash.advance(start), (None, None));
        leash.run(deadline, grace);
        assert_eq!(leash.advance(start), (None, Some(deadline)));
        assert_eq!(leash.advance(deadline), (Some(Measure::Cancel), Some(deadline + grace)));
        assert_eq!(leash.advance(deadline), (None, Some(deadline + grace)), "only once");
        let later = deadline + grace;
        assert_eq!(leash.advance(later), (Some(Measure::Terminate), Some(later + KILL_AFTER)));
        assert!(!leash.is_severed(Waker::noop()));
        assert_eq!(leash.advance(later + KILL_AFTER), (None, None));
        assert!(leash.is_severed(Waker::noop()));
    }

    #[test]
    fn a_connection_that_was_sent_a_cancel_does_not_come_back() {
        let leash = Leash::new(1, 2);
        let now = Instant::now();
        leash.run(now, Duration::ZERO);
        assert!(leash.rest() && !leash.is_pulled(), "ended before the watchdog came");
        leash.run(now, Duration::ZERO);
        assert_eq!(leash.advance(now).0, Some(Measure::Cancel));
        assert!(leash.is_pulled());
        assert!(!leash.rest());
        leash.run(now + Duration::from_secs(9), Duration::ZERO);
        assert!(!leash.rest(), "and no new request clears that");
    }

    #[tokio::test]
    async fn the_watchdog_finds_a_deadline_that_is_set_while_it_sleeps() {
        let watchdog = Arc::new(Watchdog::new());
        let leash = Arc::new(Leash::new(1, 2));
        watchdog.add(&leash);
        let (sender, mut measures) = tokio::sync::mpsc::unbounded_channel();
        let rounds = tokio::spawn({
            let watchdog = Arc::clone(&watchdog);
            async move { watchdog.rounds(|measure, _| sender.send((measure, Instant::now())).unwrap()).await }
        });
        watchdog.run(&leash, Instant::now() + Duration::from_mins(1), Duration::ZERO);
        tokio::task::yield_now().await;
        let deadline = Instant::now() + Duration::from_millis(20);
        leash.rest();
        watchdog.run(&leash, deadline, Duration::from_millis(20));
        let (first, at) = measures.recv().await.unwrap();
        assert_eq!(first, Measure::Cancel);
        assert!(at >= deadline);
        let (second, later) = measures.recv().await.unwrap();
        assert_eq!(second, Measure::Terminate);
        assert!(later >= deadline + Duration::from_millis(20));
        rounds.abort();
    }
}
