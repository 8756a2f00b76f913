//! How much memory all answers together may take while their clients take them.
//!
//! What one identity may have waiting is bounded by its own limits; many identities together by this budget. An answer that is
//! made in memory is counted as it grows, one that is streamed by what its chunks can come to. What is asked for beyond the
//! budget is refused with a code of its own.
//!
//! **Invariants**: what is counted is given back however the request ends. **Not counted**: one row on its way from the
//! server (`database.max_message_bytes`), and the first chunk of each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postern_core::Code;

/// The budget, and how much of it is used.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// What one answer takes of the budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// So many bytes; 0: any number.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit: if limit == 0 { u64::MAX } else { limit }, used: AtomicU64::new(0) })
    }

    /// A share of nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Share {
    /// Sees to it that the share is at least so many bytes.
    pub(crate) fn cover(&mut self, bytes: usize) -> Result<(), Code> {
        let more = (bytes as u64).saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let grown = |used: u64| used.checked_add(more).filter(|used| *used <= self.budget.limit);
        let taken = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        taken.map_err(|_| Code::AnswersWaiting)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_within_the_budget_and_are_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert_eq!((one.cover(60), one.cover(50), two.cover(40)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(two.cover(41), Err(Code::AnswersWaiting));
        assert_eq!(budget.used.load(Ordering::Relaxed), 100, "a refusal takes nothing");
        drop(one);
        assert_eq!(two.cover(100), Ok(()));
        drop(two);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        let mut any = Budget::new(0).share();
        assert_eq!(any.cover(usize::MAX), Ok(()));
    }
}
