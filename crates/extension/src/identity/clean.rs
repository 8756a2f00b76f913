//! What of a session outlasts a transaction, and when it is removed. The rest cannot be made: see [`super::confine`].
//!
//! | left behind | removed |
//! |---|---|
//! | settings | undone with the level of settings |
//! | session advisory locks, cached sequence values | at the end of the transaction, committed or not |
//! | the seed of `random()` | with fresh randomness at the next entering, and after a look that has given one |
//! | which text search configuration the default one is | at the next entering |
//! | what PL/pgSQL keeps of functions | when it was made otherwise than the next caller's would be: [`super::kept`] |
//! | temporary objects (with `postern.allow_temp`) | at the next entering: dropping them needs a transaction |

use std::cell::{Cell, RefCell};

use crate::error::Error;
use crate::pg::session;

/// Seeds drawn in advance, in bytes of eight: asking the operating system once for many costs a hundredth.
const SEEDS: usize = 256 * 8;

thread_local! {
    static RANDOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// A look has given `random()` a seed.
    static SEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Before an identity stands.
pub fn before() -> Result<(), Error> {
    if session::has_temp_schema() {
        session::drop_temp();
    }
    session::seed_random(seed()?);
    session::forget_text_search();
    Ok(())
}

/// A random number in -1 … 0, never given before.
fn seed() -> Result<f64, Error> {
    RANDOM.with_borrow_mut(|random| {
        if random.len() < 8 {
            random.resize(SEEDS, 0);
            if !session::random_bytes(random) {
                random.clear();
                return Err(Error::NoRandomness);
            }
        }
        let rest = random.len() - 8;
        let bits = random.drain(rest..).fold(0_u64, |bits, byte| (bits << 8) | u64::from(byte));
        // 52 bits of fraction give a number in 1 … 2, whatever they are; two less is in -1 … 0.
        Ok(f64::from_bits((bits >> 12) | 1_f64.to_bits()) - 2.0)
    })
}

/// `random()` is about to be given a seed. Never raises.
pub fn seeds() {
    if super::enter::is_a_look() {
        SEEDED.set(true);
    }
}

/// After a look through another's eyes: what goes on is the operator's own session, with its locks, sequences and seed. But a seed that
/// the look has given nobody is to know. Must not raise.
pub fn after_look() {
    session::forget_text_search();
    if SEEDED.take()
        && let Ok(seed) = seed()
    {
        session::seed_random(seed);
    }
}

/// After an identity has ended. Must not raise.
pub fn after() {
    session::release_advisory_locks();
    session::forget_sequences();
}
