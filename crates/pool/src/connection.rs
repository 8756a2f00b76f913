//! One connection to the server: its buffers, what is known of its state, and exchanges of our own over it.
//!
//! **Invariants.**
//! - `ready` is true only between a ReadyForQuery with status `I` and the next byte sent. Only a ready connection is used for a
//!   request; every way out of a request that is not through ReadyForQuery leaves it false, and the connection is closed.
//! - Sending never waits without reading: a server that is blocked on a full socket cannot block us.
//! - Bytes are read only when asked for, into a buffer that grows with one message at most.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncReadExt;

use crate::flight::Flight;
use crate::leash::Leash;
use crate::outbox::Outbox;
use crate::pipeline::{self, Naming, Place};
use crate::plans::{Plan, Plans};
use crate::stream::Stream;
use crate::wire::{self, Frame, Reader};
use crate::{Error, Request, Row, ServerError, TransactionOptions};

/// Room made for each read.
const READ: usize = 32 << 10;
/// Buffers that grew over this are given back after the request.
const KEEP: usize = 256 << 10;
/// Reported settings that change without anything being wrong: by ourselves, and by a promotion.
const MAY_CHANGE: [&str; 2] = ["default_transaction_read_only", "in_hot_standby"];

/// A connection after startup.
pub(crate) struct Connection {
    stream: Stream,
    input: BytesMut,
    output: Outbox,
    limit: usize,
    ready: bool,
    tainted: bool,
    given_up: bool,
    parameters: HashMap<String, String>,
    options: TransactionOptions,
    requests: u64,
    pub expires: Instant,
    pub leash: Arc<Leash>,
    pub plans: Plans,
    /// The name of the prepared `enter`.
    pub enter: Box<str>,
    /// The key that `enter` demands on this connection.
    pub seal: Box<str>,
}

impl Connection {
    /// A stream on which startup begins.
    pub fn new(stream: Stream, limit: usize, expires: Instant) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(READ),
            output: Outbox::default(),
            limit,
            ready: false,
            tainted: false,
            given_up: false,
            parameters: HashMap::new(),
            options: TransactionOptions::default(),
            requests: 0,
            expires,
            leash: Arc::new(Leash::new(0, 0)),
            plans: Plans::new(0, String::new()),
            enter: Box::default(),
            seal: Box::default(),
        }
    }

    /// Begins to write messages; the connection is not ready until the server says so.
    pub fn begin(&mut self) -> &mut BytesMut {
        self.ready = false;
        self.output.begin()
    }

    /// Writes a whole request, and says how its answer is to be read. If this fails, the connection is of no use any more.
    pub fn compose(&mut self, request: &Request, kept: bool) -> Result<Flight, Error> {
        let plan = match request.statements.first() {
            Some(statement) if kept => self.plans.choose(&request.role, statement),
            _ => Plan::Unnamed,
        };
        let closes = self.plans.take_closes();
        let first = match &plan {
            Plan::Unnamed => Naming::Unnamed,
            Plan::Keep { name, .. } => Naming::Keep(name),
            Plan::Kept { name, .. } => Naming::Kept(name),
        };
        self.ready = false;
        let place = Place { enter: &self.enter, seal: &self.seal, closes: &closes, first };
        pipeline::request(self.output.begin(), &place, request)?;
        Ok(Flight::new(plan, closes.len(), request.statements.len()))
    }

    /// More to send in the same exchange.
    pub fn output(&mut self) -> &mut BytesMut {
        self.output.append()
    }

    /// Sends what can be sent now. The rest is sent while reading.
    pub async fn push(&mut self) {
        poll_fn(|cx| {
            self.output.poll_send(&mut self.stream, cx);
            Poll::Ready(())
        })
        .await;
    }

    /// The next message, if it was read already. Messages that concern the connection are dealt with here.
    pub fn frame(&mut self) -> Result<Option<Frame>, Error> {
        while let Some(frame) = wire::frame(&mut self.input, self.limit)? {
            match frame.tag {
                b'A' => {}
                b'S' => self.parameter(&frame.body)?,
                _ => return Ok(Some(frame)),
            }
        }
        Ok(None)
    }

    /// Reads more bytes, sending what is left to send meanwhile.
    pub async fn fill(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// The next message.
    pub async fn read(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.frame()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Takes a ReadyForQuery.
    pub fn settle(&mut self, frame: &Frame) -> Result<(), Error> {
        if wire::transaction_status(&frame.body)? != b'I' {
            return Err(Error::Protocol("the transaction did not end"));
        }
        // An answer that comes before the question was sent answers another one.
        if !self.output.is_empty() {
            return Err(Error::Protocol("the server is ahead of the request"));
        }
        self.ready = true;
        self.requests += 1;
        if self.input.capacity() > KEEP {
            self.input = BytesMut::with_capacity(READ);
        }
        Ok(())
    }

    /// Reads the whole answer to SQL of our own.
    pub async fn answer(&mut self) -> Result<Vec<Row>, Error> {
        self.push().await;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.read().await?;
            match frame.tag {
                b'D' => rows.push(Row::parse(frame.body)?),
                b'E' => {
                    let error = ServerError::parse(&frame.body)?;
                    let fatal = error.is_fatal();
                    failure.get_or_insert(Error::Server(Box::new(error)));
                    if fatal {
                        break;
                    }
                }
                b'Z' => {
                    self.settle(&frame)?;
                    if !self.input.is_empty() {
                        self.tainted = true;
                    }
                    break;
                }
                b'1' | b'2' | b'3' | b'C' | b'I' | b'N' | b'T' | b'n' => {}
                _ => return Err(Error::Protocol("not a message of this exchange")),
            }
        }
        failure.map_or(Ok(rows), Err)
    }

    /// Gives new transactions these defaults.
    pub async fn set_options(&mut self, options: TransactionOptions) -> Result<(), Error> {
        if options == self.options {
            return Ok(());
        }
        let from = self.options;
        pipeline::options(self.begin(), from, options)?;
        self.answer().await?;
        self.options = options;
        Ok(())
    }

    /// Whether an idle connection can serve a request; reads what came meanwhile.
    pub fn is_fresh(&mut self, now: Instant) -> bool {
        if !self.ready || self.expires <= now {
            return false;
        }
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(read) = self.poll_fill(&mut cx) {
            if read.is_err() {
                return false;
            }
        }
        loop {
            match self.frame() {
                Ok(None) => break,
                Ok(Some(Frame { tag: b'N', .. })) => {}
                // An error, most likely: the server is going down.
                _ => return false,
            }
        }
        self.input.is_empty() && !self.tainted
    }

    /// Whether the connection may serve another request.
    pub fn is_reusable(&self, max_requests: u64, now: Instant) -> bool {
        // `rest` is asked last, as it lets the leash go.
        self.ready && !self.tainted && self.requests < max_requests && now < self.expires && self.leash.rest()
    }

    /// Whether it cannot be used any more by what its request did, rather than by age or by its end.
    pub fn is_spoilt(&self) -> bool {
        self.tainted || self.leash.is_pulled()
    }

    /// Never use this connection again.
    pub fn taint(&mut self) {
        self.tainted = true;
    }

    /// The server says that it is done, but not as it should.
    pub fn give_up(&mut self) {
        self.tainted = true;
        self.given_up = true;
    }

    pub fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Nothing of what was written has left this process.
    pub fn is_untouched(&self) -> bool {
        self.output.is_stuck() && !matches!(self.stream, Stream::Tls(_))
    }

    /// A setting that the server reports.
    pub fn reported(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Says goodbye, if that is possible without waiting.
    pub fn close(mut self) {
        if self.ready {
            frontend::terminate(self.begin());
            self.output.poll_send(&mut self.stream, &mut Context::from_waker(Waker::noop()));
        }
    }

    /// Bytes of the server that were read but not yet looked at.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.output.is_empty() {
            self.output.poll_send(&mut self.stream, cx);
        }
        if self.input.capacity() - self.input.len() < READ / 8 {
            self.input.reserve(READ);
        }
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Ok(())),
            Poll::Pending if !self.leash.is_severed(cx.waker()) => Poll::Pending,
            _ => Poll::Ready(Err(Error::Lost { unsent: !self.output.is_empty() })),
        }
    }

    fn parameter(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(body);
        let (name, value) = (reader.text()?, reader.text()?);
        reader.end()?;
        if self.leash.pid == 0 {
            self.parameters.insert(name.to_owned(), value.to_owned());
        } else if !MAY_CHANGE.contains(&name) && self.parameters.get(name).is_none_or(|known| known != value)
        {
            // A setting has outlived its request, or the server was configured anew.
            self.tainted = true;
        }
        Ok(())
    }
}
