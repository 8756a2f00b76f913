//! Bodies: those that come in, read whole and bounded, and those that go out.
//!
//! **Invariants**: no more than the limit of a request body is ever in memory. A streamed response ends cleanly only when
//! its producer has said so: a producer that vanishes breaks it.

use std::pin::Pin;
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
pub(crate) struct Streamed {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

/// The other end of a [`Streamed`] body.
pub(crate) struct Producer {
    pieces: mpsc::Sender<Piece>,
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
const PIECES: usize = 2;

/// A body, and who makes it.
pub(crate) fn stream() -> (Producer, Body) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (Producer { pieces: sender }, Body::Stream(Streamed { pieces: receiver, ended: false }))
}

impl Producer {
    /// Hands over a piece; waits while the client does not read. An error if the client is gone.
    pub(crate) async fn send(&self, data: Vec<u8>) -> Result<(), Broken> {
        self.pieces.send(Piece::Data(data.into())).await.map_err(|_| Broken)
    }

    /// Waits until all pieces are on their way, or the client is gone.
    pub(crate) async fn taken(&self) {
        // All places are free when nothing waits in any of them.
        drop(self.pieces.reserve_many(PIECES).await);
    }

    /// Ends the body cleanly.
    pub(crate) async fn end(self) -> Result<(), Broken> {
        self.pieces.send(Piece::End).await.map_err(|_| Broken)
    }

    /// Resolves when the client is gone.
    pub(crate) async fn gone(&self) {
        self.pieces.closed().await;
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
            Self::Stream(stream) if stream.ended => Poll::Ready(None),
            Self::Stream(stream) => stream.pieces.poll_recv(cx).map(|piece| {
                stream.ended = !matches!(piece, Some(Piece::Data(_)));
                match piece {
                    Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
                    Some(Piece::End) => None,
                    None => Some(Err(Broken)),
                }
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(full) => full.is_end_stream(),
            Self::Stream(stream) => stream.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(full) => full.size_hint(),
            Self::Stream(_) => SizeHint::default(),
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
        producer.end().await.unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");

        let (producer, body) = stream();
        producer.send(b"ab".to_vec()).await.unwrap();
        drop(producer);
        assert!(body.collect().await.is_err());
    }
}
