//! What is being sent, and how much of it has left.
//!
//! **Invariant.** Bytes count as sent when the stream has taken them, and everything as sent when the stream has passed them on:
//! only then the server may have read the end of a request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncWrite;

/// Buffers that grew over this are given back after the request.
const KEEP: usize = 256 << 10;

/// The messages of one exchange.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: BytesMut,
    sent: usize,
    unflushed: bool,
    failed: bool,
}

impl Outbox {
    /// Begins a new exchange.
    pub fn begin(&mut self) -> &mut BytesMut {
        if self.bytes.capacity() > KEEP {
            self.bytes = BytesMut::new();
        }
        self.bytes.clear();
        self.sent = 0;
        &mut self.bytes
    }

    /// Adds to the exchange.
    pub fn append(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Everything has left.
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && !self.unflushed
    }

    /// Nothing has left, and nothing will.
    pub fn is_stuck(&self) -> bool {
        self.failed && self.sent == 0
    }

    /// Sends what can be sent without waiting; the task is woken when more can be.
    pub fn poll_send(&mut self, stream: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) {
        while self.sent < self.bytes.len() && !self.failed {
            self.unflushed = true;
            match Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.sent..]) {
                Poll::Pending => return,
                Poll::Ready(Ok(taken)) if taken > 0 => self.sent += taken,
                // What the server said before it hung up is still to be read.
                Poll::Ready(_) => self.failed = true,
            }
        }
        if self.unflushed && !self.failed {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => self.failed = true,
            }
        }
    }
}
