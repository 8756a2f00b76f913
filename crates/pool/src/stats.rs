//! Numbers for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a pool is doing and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Connections, at most.
    pub connections: usize,
    /// Open and unused.
    pub idle: usize,
    /// In use, or being made or stopped.
    pub busy: usize,
    /// Requests in the queue.
    pub waiting: usize,
    /// Requests that got a connection.
    pub requests: u64,
    /// Requests refused because everything was busy.
    pub refused: u64,
    /// Requests run a second time, because nothing of the first was left.
    pub retries: u64,
    /// Requests given up: dropped, or with an answer that could not be read.
    pub abandoned: u64,
    /// Connections made.
    pub connects: u64,
    /// Attempts to connect that failed.
    pub failed_connects: u64,
    /// Connections closed.
    pub closed: u64,
    /// Cancel requests sent.
    pub cancelled: u64,
    /// Backends terminated.
    pub terminated: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub requests: Counter,
    pub refused: Counter,
    pub retries: Counter,
    pub abandoned: Counter,
    pub connects: Counter,
    pub failed_connects: Counter,
    pub closed: Counter,
    pub cancelled: Counter,
    pub terminated: Counter,
}

impl Counters {
    pub fn stats(&self, connections: usize, idle: usize, busy: usize, waiting: usize) -> Stats {
        Stats {
            connections,
            idle,
            busy,
            waiting,
            requests: self.requests.get(),
            refused: self.refused.get(),
            retries: self.retries.get(),
            abandoned: self.abandoned.get(),
            connects: self.connects.get(),
            failed_connects: self.failed_connects.get(),
            closed: self.closed.get(),
            cancelled: self.cancelled.get(),
            terminated: self.terminated.get(),
        }
    }
}
