//! A word to the user about anything that takes over a second.
//!
//! It goes to standard error, a line at a time and without control characters, so that it reads as well in a log.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// What is faster needs no words.
const PATIENCE: Duration = Duration::from_secs(1);
/// Then again, so that nobody wonders whether it hangs.
const REPEAT: Duration = Duration::from_secs(10);

/// Runs something, and says what it is doing if that takes long.
pub fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        scope.spawn(move || {
            let begun = Instant::now();
            let mut patience = PATIENCE;
            // Disconnected: the work is done.
            while let Err(RecvTimeoutError::Timeout) = waiting.recv_timeout(patience) {
                eprintln!("{what} ... ({} s)", begun.elapsed().as_secs());
                patience = REPEAT;
            }
            if begun.elapsed() >= PATIENCE {
                // Done or failed: that is said by others.
                eprintln!("{what} took {:.1} s", begun.elapsed().as_secs_f32());
            }
        });
        let result = work();
        drop(done);
        result
    })
}
