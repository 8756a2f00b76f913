//! Bodies: those that come in, read whole and bounded, and those that go out.
//!
//! **Invariants**: no more than the limit of a request body is ever in memory. A streamed response ends cleanly only when
//! its producer has said so, or all that was announced is there: a producer that vanishes breaks it, and what it has made goes
//! with it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use postern_core::Code;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// Reads the body of a request.
pub(crate) async fn read<B>(
    body: B,
    headers: &HeaderMap,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    match tokio::time::timeout(timeout, std::pin::pin!(Limited::new(body, limit)).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        // The connection broke, or its framing is wrong: whom this is told to will hardly read it.
        Ok(Err(_)) => Err(Failure::with_message(Code::MalformedBody, "request body ended early")),
        Err(_) => Err(Code::BodyTimeout.into()),
    }
}

fn too_large(limit: usize) -> Failure {
    Failure::with_message(Code::BodyTooLarge, format!("request body is too large (max is {limit} bytes)"))
}

/// The body of a response.
pub(crate) enum Body {
    /// All of it.
    Whole(Full<Bytes>),
    /// Piece by piece.
    Stream(Streamed),
}

/// A body that a [`Producer`] makes.
pub(crate) struct Streamed(Arc<Mutex<Pieces>>);

/// The other end of a [`Streamed`] body.
pub(crate) struct Producer {
    sender: mpsc::Sender<Piece>,
    /// To take back what nobody asks for any more.
    pieces: Arc<Mutex<Pieces>>,
}

/// What waits for the client.
struct Pieces {
    waiting: mpsc::Receiver<Piece>,
    /// Bytes to come, if that was announced.
    left: Option<u64>,
    ended: bool,
}

impl Pieces {
    fn clear(&mut self) {
        self.waiting.close();
        while self.waiting.try_recv().is_ok() {}
    }
}

fn lock(pieces: &Mutex<Pieces>) -> MutexGuard<'_, Pieces> {
    pieces.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A response that cannot be finished.
#[derive(Debug, thiserror::Error)]
#[error("response was broken off")]
pub(crate) struct Broken;

enum Piece {
    Data(Bytes),
    End,
}

/// Pieces that wait for the client, besides the one that is being made.
pub(crate) const PIECES: usize = 2;

/// A body, and who makes it.
pub(crate) fn stream() -> (Producer, Body) {
    pair(None)
}

/// A body of so many bytes (more than none), and who makes it.
pub(crate) fn sized(length: u64) -> (Producer, Body) {
    pair(Some(length))
}

fn pair(left: Option<u64>) -> (Producer, Body) {
    let (sender, waiting) = mpsc::channel(PIECES);
    let pieces = Arc::new(Mutex::new(Pieces { waiting, left, ended: false }));
    (Producer { sender, pieces: Arc::clone(&pieces) }, Body::Stream(Streamed(pieces)))
}

impl Producer {
    /// Hands over a piece; waits while the client does not read. An error if the client is gone.
    pub(crate) async fn send(&self, data: Vec<u8>) -> Result<(), Broken> {
        self.sender.send(Piece::Data(data.into())).await.map_err(|_| Broken)
    }

    /// Waits until all pieces are on their way, or the client is gone.
    pub(crate) async fn taken(&self) {
        // All places are free when nothing waits in any of them.
        drop(self.sender.reserve_many(PIECES).await);
    }

    /// Ends the body cleanly; waits until all of it is on its way. A body whose length was announced ends by itself.
    pub(crate) async fn end(&self) -> Result<(), Broken> {
        if lock(&self.pieces).left.is_none() {
            self.sender.send(Piece::End).await.map_err(|_| Broken)?;
        }
        self.taken().await;
        if lock(&self.pieces).ended { Ok(()) } else { Err(Broken) }
    }

    /// Resolves when the client is gone.
    pub(crate) async fn gone(&self) {
        self.sender.closed().await;
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        lock(&self.pieces).clear();
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        lock(&self.0).clear();
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Whole(Full::new(Bytes::from_static(text.as_bytes())))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(stream) => {
                let mut pieces = lock(&stream.0);
                if pieces.ended {
                    return Poll::Ready(None);
                }
                pieces.waiting.poll_recv(cx).map(|piece| match piece {
                    Some(Piece::Data(data)) => {
                        if let Some(left) = &mut pieces.left {
                            *left = left.saturating_sub(data.len() as u64);
                            pieces.ended = *left == 0;
                        }
                        Some(Ok(Frame::data(data)))
                    }
                    Some(Piece::End) => {
                        pieces.ended = true;
                        None
                    }
                    None => {
                        pieces.ended = true;
                        Some(Err(Broken))
                    }
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(full) => full.is_end_stream(),
            Self::Stream(stream) => lock(&stream.0).ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(full) => full.size_hint(),
            Self::Stream(stream) => lock(&stream.0).left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_text(text: &'static str, limit: usize) -> Result<Bytes, Option<Code>> {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        read(body, &HeaderMap::new(), limit, Duration::from_secs(5)).await.map_err(|failure| failure.code())
    }

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
        assert_eq!(read_text("12345", 5).await.unwrap(), "12345");
        assert_eq!(read_text("123456", 5).await, Err(Some(Code::BodyTooLarge)));
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_is_not_read_at_all() {
        let headers = [(CONTENT_LENGTH, http::HeaderValue::from_static("6"))].into_iter().collect();
        let (_producer, never) = stream();
        let failure = read(never, &headers, 5, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(failure.code(), Some(Code::BodyTooLarge));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let (_producer, never) = stream();
        let failure = read(never, &HeaderMap::new(), 5, Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(failure.code(), Some(Code::BodyTimeout));
    }

    #[tokio::test]
    async fn a_stream_ends_cleanly_only_if_its_producer_says_so() {
        let (producer, body) = stream();
        producer.send(b"ab".to_vec()).await.unwrap();
        let (ended, body) = tokio::join!(producer.end(), body.collect());
        ended.unwrap();
        assert_eq!(body.unwrap().to_bytes(), "ab");

        let (producer, body) = stream();
        producer.send(b"ab".to_vec()).await.unwrap();
        drop(producer);
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_with_its_last_byte() {
        let (producer, body) = sized(2);
        producer.send(b"ab".to_vec()).await.unwrap();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(2));
        let (ended, body) = tokio::join!(producer.end(), body.collect());
        ended.unwrap();
        assert_eq!(body.unwrap().to_bytes(), "ab");
    }

    #[tokio::test]
    async fn what_nobody_asks_for_goes_with_its_producer() {
        let (producer, body) = sized(9);
        producer.send(b"ab".to_vec()).await.unwrap();
        let Body::Stream(streamed) = &body else { panic!("a stream") };
        assert_eq!(lock(&streamed.0).waiting.len(), 1);
        drop(producer);
        assert_eq!(lock(&streamed.0).waiting.len(), 0);
        assert!(body.collect().await.is_err());

        let (producer, body) = stream();
        drop(body);
        producer.gone().await;
        assert!(producer.send(b"ab".to_vec()).await.is_err() && producer.end().await.is_err());
    }
}
