//! Answers that are whole in memory: handed out piece by piece.
//!
//! **Invariants**: an answer counts as running, and is kept, until its last byte is taken, its client is gone, or the time for
//! it is over, whether or not anything still asks for its pieces.

use std::time::Duration;

use crate::account::Account;
use crate::body::{self, Body, Producer};
use crate::gateway::Admitted;
use crate::stream::{CHUNK, Stop, within};

/// An answer of this size is no more than what the HTTP layer keeps of a connection anyway.
const SMALL: usize = 8 * 1024;

/// The body of a response with these bytes. The account is closed when they are on their way.
pub(crate) fn deliver(bytes: Vec<u8>, account: Account, admitted: Admitted, patience: Duration) -> Body {
    if bytes.len() <= SMALL {
        account.close(Ok(()));
        return bytes.into();
    }
    let (producer, body) = body::sized(bytes.len() as u64);
    tokio::spawn(async move {
        match send(&producer, &bytes, &admitted, patience).await {
            Ok(()) => account.close(Ok(())),
            // The account says that the client went away.
            Err(Stop::Gone) => {}
            Err(Stop::Failed(failure)) => account.close(Err(&failure)),
        }
    });
    body
}

async fn send(
    producer: &Producer,
    bytes: &[u8],
    admitted: &Admitted,
    patience: Duration,
) -> Result<(), Stop> {
    // Copies: a piece that is stuck further on must not keep all of the answer.
    for piece in bytes.chunks(CHUNK) {
        within(patience, admitted.deadline, producer.send(piece.to_vec())).await?;
    }
    within(patience, admitted.deadline, producer.end()).await
}
