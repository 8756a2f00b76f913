//! Work that is spread over the processors.
//!
//! **Invariant**: the results are in the order of what they are of, and the same however many threads there are.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::parse::STACK;

/// So many items are taken at once.
const BLOCK: usize = 32;
/// More threads than this wait for each other's memory rather than work.
const MOST: usize = 8;

/// The result of each item. It is to be called with the stack that the work needs; other threads get it.
pub fn spread<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let useful = items.len() / (2 * BLOCK);
    let threads = match useful {
        0 | 1 => 1,
        _ => std::thread::available_parallelism().map_or(1, NonZero::get).min(useful).min(MOST),
    };
    over(threads, items, work)
}

fn over<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done: Vec<(usize, Vec<R>)> = Vec::new();
        loop {
            let from = next.fetch_add(BLOCK, Ordering::Relaxed);
            let Some(block) =
                items.get(from..items.len().min(from + BLOCK)).filter(|block| !block.is_empty())
            else {
                return done;
            };
            done.push((from, block.iter().map(&work).collect()));
        }
    };
    let mut blocks = std::thread::scope(|scope| {
        // What a thread that cannot be started does not do, the others do.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| {
                let builder = std::thread::Builder::new().name("analyze".into()).stack_size(STACK);
                builder.spawn_scoped(scope, share).ok()
            })
            .collect();
        let mut blocks = share();
        for other in others {
            blocks.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        blocks
    });
    blocks.sort_by_key(|(from, _)| *from);
    blocks.into_iter().flat_map(|(_, results)| results).collect()
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, over};

    #[test]
    fn results_are_in_order_whoever_makes_them() {
        for count in [0, 1, BLOCK - 1, BLOCK, BLOCK * 7 + 3] {
            let items: Vec<usize> = (0..count).collect();
            let wanted: Vec<usize> = items.iter().map(|item| item * 2).collect();
            for threads in [1, 2, 5] {
                assert_eq!(
                    over(threads, &items, |item| item * 2),
                    wanted,
                    "{count} items, {threads} threads"
                );
            }
        }
    }
}
