//! A request in flight.
//!
//! **Invariants.**
//! - The socket is read only inside [`Running::next`]: who does not ask gets nothing, and the server waits.
//! - A connection goes back to the pool only ready, and only once; in every other case it is closed, at the latest when its
//!   backend has been stopped. The permit is held until then, so the number of backends stays bounded.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use postgres_protocol::message::frontend;

use crate::connection::Connection;
use crate::flight::{Flight, Step, Verdict};
use crate::pool::{Inner, Reason};
use crate::queue::Permit;
use crate::{Error, Event, Request};

/// A request in flight. Dropped before [`Event::Committed`], it is cancelled.
#[must_use = "a request that is dropped is cancelled"]
pub struct Running {
    pool: Arc<Inner>,
    request: Request,
    permit: Option<Permit>,
    active: Option<(Box<Connection>, Flight)>,
    retry: Option<Retry>,
    tried: Vec<Retry>,
}

/// How a request is run again; each way once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// On a new connection.
    Fresh,
    /// On any connection, without kept statements.
    Unkept,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("role", &self.request.role).finish_non_exhaustive()
    }
}

impl Running {
    /// Sends a request.
    pub(crate) async fn start(pool: Arc<Inner>, permit: Permit, request: Request) -> Result<Self, Error> {
        let mut running =
            Self { pool, request, permit: Some(permit), active: None, retry: None, tried: Vec::new() };
        running.send(None).await?;
        Ok(running)
    }

    /// The next part of the answer. Ends with [`Event::Committed`] or an error.
    ///
    /// Safe to drop: nothing is lost if the future is not polled to its end.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(retry) = self.retry {
                let sent = self.send(Some(retry)).await;
                self.retry = None;
                if let Err(error) = sent {
                    self.permit = None;
                    return Err(error);
                }
            }
            if let Some(result) = self.buffered() {
                return result;
            }
            if self.retry.is_some() {
                continue;
            }
            let (connection, _) = self.active.as_mut().ok_or(Error::Ended)?;
            if let Err(error) = connection.fill().await {
                // If not a byte has left, the connection was dead before.
                let verdict = if connection.is_untouched() { Verdict::Fresh } else { Verdict::Failed };
                if let Some(error) = self.fail(verdict(error)) {
                    return Err(error);
                }
            }
        }
    }

    /// The next part of the answer, if it is here already: for who fills a buffer before sending it on.
    pub fn buffered(&mut self) -> Option<Result<Event, Error>> {
        loop {
            let (connection, flight) = self.active.as_mut()?;
            let mut at_end = false;
            let step = match connection.frame() {
                Ok(None) => return None,
                Ok(Some(frame)) => {
                    at_end = frame.tag == b'Z';
                    let settled = if at_end { connection.settle(&frame) } else { Ok(()) };
                    settled.and_then(|()| flight.take(frame, &mut connection.plans, &self.request))
                }
                Err(error) => Err(error),
            };
            if at_end && step.is_err() {
                // In doubt, but nothing runs any more: closing is enough.
                connection.give_up();
            }
            let verdict = match step {
                Ok(Step::Skip) => continue,
                Ok(Step::Event(event)) => return Some(Ok(event)),
                Ok(Step::Ready(Ok(()))) => {
                    self.finish();
                    return Some(Ok(Event::Committed));
                }
                Ok(Step::Ready(Err(verdict)) | Step::Ended(verdict)) => verdict,
                Err(error) => Verdict::Failed(error),
            };
            return self.fail(verdict).map(Err);
        }
    }

    /// The process that serves the request, for logs.
    pub fn backend_pid(&self) -> Option<i32> {
        self.active.as_ref().map(|(connection, _)| connection.leash.pid)
    }

    /// Takes a connection and sends the request over it.
    async fn send(&mut self, retry: Option<Retry>) -> Result<(), Error> {
        let mut fresh = retry == Some(Retry::Fresh);
        loop {
            let mut connection = if fresh {
                self.pool.connect().await?
            } else {
                self.pool.checkout(self.request.deadline).await?
            };
            if self.request.deadline <= Instant::now() {
                self.pool.put_back(connection);
                return Err(Error::Deadline);
            }
            self.pool.watchdog.run(&connection.leash, self.request.deadline, self.request.grace);
            match connection.set_options(self.request.transaction).await {
                Ok(()) => {}
                Err(error) => {
                    let pulled = connection.leash.is_pulled();
                    let error = at_deadline(error, &connection);
                    self.pool.discard(connection, Reason::Broken);
                    // Nothing of the request was sent yet.
                    if fresh || pulled || !error.is_end_of_connection() {
                        return Err(error);
                    }
                    fresh = true;
                    continue;
                }
            }
            let flight = match connection.compose(&self.request, retry != Some(Retry::Unkept)) {
                Ok(flight) => flight,
                Err(error) => {
                    self.pool.discard(connection, Reason::Broken);
                    return Err(error);
                }
            };
            connection.push().await;
            self.active = Some((connection, flight));
            return Ok(());
        }
    }

    /// The request is over and its connection ready.
    fn finish(&mut self) {
        if let Some((connection, _)) = self.active.take() {
            self.end(connection);
        }
    }

    /// Gives the connection back, and the place.
    fn end(&mut self, connection: Box<Connection>) {
        let cost_a_connection = connection.is_spoilt();
        self.pool.put_back(connection);
        if let Some(permit) = self.permit.take() {
            self.pool.release(permit, cost_a_connection);
        }
    }

    /// Ends the attempt; `None` if another one follows.
    fn fail(&mut self, verdict: Verdict) -> Option<Error> {
        let (mut connection, flight) = self.active.take()?;
        let (error, retry) = match verdict {
            Verdict::Failed(error) => (error, None),
            Verdict::Fresh(error) => {
                connection.taint();
                (error, Some(Retry::Fresh))
            }
            Verdict::Unkept(error) => {
                if let Some(key) = flight.plan().key() {
                    connection.plans.forget(key);
                }
                (error, Some(Retry::Unkept))
            }
        };
        let again = retry.filter(|retry| !self.tried.contains(retry));
        let late = connection.leash.is_pulled() || Instant::now() >= self.request.deadline;
        let error = at_deadline(error, &connection);
        match error {
            // The backend may still be at work, and there is more to read.
            Error::Encoding | Error::Copy | Error::TooLarge { .. } | Error::Protocol(_)
                if !connection.is_given_up() =>
            {
                connection.taint();
                if error == Error::Copy {
                    // Refusing the data ends a COPY FROM STDIN, which has swallowed our Sync.
                    let out = connection.output();
                    if frontend::copy_fail("COPY is not supported here", out).is_ok() {
                        frontend::sync(out);
                    }
                }
                self.abandon(connection);
            }
            _ if again.is_some() && !late => self.pool.put_back(connection),
            _ => self.end(connection),
        }
        match again {
            Some(retry) if !late => {
                self.pool.counters.retries.add();
                self.tried.push(retry);
                self.retry = Some(retry);
                None
            }
            _ => {
                self.permit = None;
                Some(error)
            }
        }
    }

    /// Stops the backend in the background.
    fn abandon(&mut self, connection: Box<Connection>) {
        let (pool, permit) = (Arc::clone(&self.pool), self.permit.take());
        pool.counters.abandoned.add();
        pool.watchdog.hurry(&connection.leash, self.request.grace);
        self.pool.runtime.spawn(async move {
            drain(&pool, connection).await;
            if let Some(permit) = permit {
                pool.release(permit, true);
            }
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All of the answer may be here already: then nothing is left to be stopped.
        while let Some(Ok(_)) = self.buffered() {}
        if let Some((mut connection, _)) = self.active.take() {
            connection.taint();
            self.abandon(connection);
        }
    }
}

/// Reads until the backend is done or gone. The leash sees to it that this ends.
async fn drain(pool: &Inner, mut connection: Box<Connection>) {
    let mut skim = Skim::default();
    loop {
        match skim.read(connection.input()) {
            Skimmed::Ready => break,
            Skimmed::More => {}
            Skimmed::Garbage => {
                pool.terminate(&connection.leash).await;
                break;
            }
        }
        if connection.fill().await.is_err() {
            break;
        }
    }
    pool.discard(connection, Reason::Abandoned);
}

/// Throws messages away, however large.
#[derive(Default)]
struct Skim {
    /// What is left of the message that is being thrown away.
    left: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Skimmed {
    More,
    Ready,
    Garbage,
}

impl Skim {
    fn read(&mut self, input: &mut BytesMut) -> Skimmed {
        loop {
            let part = self.left.min(input.len());
            input.advance(part);
            self.left -= part;
            let [tag, a, b, c, d, ..] = **input else {
                return Skimmed::More;
            };
            match u32::from_be_bytes([a, b, c, d]) {
                0..=3 => return Skimmed::Garbage,
                _ if tag == b'Z' => return Skimmed::Ready,
                length => self.left = length as usize + 1,
            }
        }
    }
}

/// Names what our own stopping of a statement looks like.
fn at_deadline(error: Error, connection: &Connection) -> Error {
    match &error {
        Error::Server(server)
            if connection.leash.is_pulled() && matches!(server.code.as_str(), "57014" | "57P01") =>
        {
            Error::Deadline
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_skimmed_in_any_portions_up_to_ready() {
        let bytes = b"D\0\0\x01\x04".iter().copied().chain([b'Z'; 256]).chain(*b"Z\0\0\0\x05I");
        let mut input = BytesMut::new();
        let mut skim = Skim::default();
        let mut last = Skimmed::More;
        for byte in bytes {
            assert_eq!(last, Skimmed::More, "not before the end");
            input.extend_from_slice(&[byte]);
            last = skim.read(&mut input);
            if last == Skimmed::Ready {
                break;
            }
        }
        assert_eq!(last, Skimmed::Ready);
        assert_eq!(Skim::default().read(&mut BytesMut::from(&b"D\0\0\0\x01"[..])), Skimmed::Garbage);
    }
}
