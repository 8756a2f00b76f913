//! What of a session outlasts a transaction, and when it is removed. The rest cannot be made: see [`super::confine`].
//!
//! | left behind | removed |
//! |---|---|
//! | settings | undone with the level of settings |
//! | session advisory locks, cached sequence values | at the end of the transaction, committed or not |
//! | the seed of `random()` | with fresh randomness at the next entering |
//! | temporary objects (with `postern.allow_temp`) | at the next entering: dropping them needs a transaction |

use crate::error::Error;
use crate::pg::session;

/// Before an identity stands.
pub fn before() -> Result<(), Error> {
    if session::has_temp_schema() {
        session::drop_temp();
    }
    let mut bytes = [0; 8];
    if !session::random_bytes(&mut bytes) {
        return Err(Error::NoRandomness);
    }
    // 52 bits of fraction give a number in 1 … 2, whatever they are; two less is in -1 … 0.
    let fraction = f64::from_bits((u64::from_le_bytes(bytes) >> 12) | 1_f64.to_bits());
    session::seed_random(fraction - 2.0);
    Ok(())
}

/// After an identity has ended. Must not raise.
pub fn after() {
    session::release_advisory_locks();
    session::forget_sequences();
}
