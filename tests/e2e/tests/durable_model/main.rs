//! Random durable functions against a small interpreter of their own, under signals, pauses, rolled back requests, changing settings
//! and executors that are ended.
//!
//! `POSTERN_MODEL_FUNCTIONS` says how many, `PROPTEST_RNG_SEED` which; `POSTERN_MODEL_ROUNDS` repeats that with other seeds. What goes
//! wrong is made smaller, as long as it goes wrong, and printed.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod judge;
mod oracle;
mod play;
mod shape;
mod sql;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use postern_cluster::Cluster;

use play::{Fault, Run, Stage, Weather};
use postern_e2e::Random;
use shape::Shape;

static NUMBER: AtomicU32 = AtomicU32::new(1);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}

fn seed() -> u64 {
    setting("PROPTEST_RNG_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    })
}

/// A function with nothing left to chance.
fn function(seed: u64) -> Run {
    let mut rng = Random::new(seed);
    loop {
        let size = 2 + rng.below(30);
        let shape = shape::random(&mut rng, size);
        if let Ok(expected) = oracle::expect(&shape) {
            return Run::new(NUMBER.fetch_add(1, Ordering::Relaxed), seed, shape, expected);
        }
    }
}

/// The same function, or one like it, several times.
fn again(shape: &Shape, seed: u64) -> Vec<Run> {
    let Ok(expected) = oracle::expect(shape) else { return Vec::new() };
    (0..8)
        .map(|n| {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            Run::new(
                number,
                if n == 0 { seed } else { seed.wrapping_add(n) },
                shape.clone(),
                expected.clone(),
            )
        })
        .collect()
}

/// Looks for the smallest function that goes wrong in the same way, for a while.
async fn smallest(stage: &Stage, fault: Fault, weather: Weather) -> Fault {
    let begin = Instant::now();
    let mut fault = fault;
    'smaller: loop {
        for less in shape::smaller(&fault.run.shape) {
            if begin.elapsed() > Duration::from_secs(setting("POSTERN_MODEL_SHRINK").unwrap_or(60)) {
                return fault;
            }
            let runs = again(&less, fault.run.seed);
            if runs.is_empty() {
                continue;
            }
            if let Some(found) = play::play(stage, runs, weather, fault.run.seed).await.into_iter().next() {
                fault = found;
                continue 'smaller;
            }
        }
        return fault;
    }
}

fn told(fault: &Fault) -> String {
    let Fault { run, what } = fault;
    let mut text = format!("function {} of seed {}: {what}\n", run.number, run.seed);
    let _ = writeln!(text, "  {:?}", run.shape);
    let _ = writeln!(text, "  {}", sql::Writer::new(run.number).write(&run.shape));
    text
}

#[test]
fn functions_do_what_they_say_whatever_happens_around_them() {
    let count = setting("POSTERN_MODEL_FUNCTIONS").unwrap_or(120);
    let rounds = setting("POSTERN_MODEL_ROUNDS").unwrap_or(1);
    let seed = seed();
    let stage = Stage::start(Cluster::builder());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut total = 0;
    for round in 0..rounds {
        let base = seed.wrapping_add(round * 1_000_000);
        let weather = if (base / 1_000_000 + round) % 4 == 3 { Weather::Calm } else { Weather::Rough };
        let runs: Vec<Run> = (0..count).map(|n| function(base.wrapping_mul(7_919).wrapping_add(n))).collect();
        total += runs.len();
        let begin = Instant::now();
        let mut faults = runtime.block_on(play::play(&stage, runs, weather, base));
        faults.sort_by_key(|fault| shape::size(&fault.run.shape));
        let left = runtime.block_on(play::remains(&stage));
        println!(
            "round {round} of seed {base}: {count} functions in {:?}, {} faults {left}",
            begin.elapsed(),
            faults.len()
        );
        if let Some(more) = faults.len().checked_sub(1) {
            let others: String = faults[1..].iter().take(8).map(told).collect();
            let first = faults.swap_remove(0);
            let before = told(&first);
            let small = runtime.block_on(smallest(&stage, first, weather));
            panic!("seed {base}:\n{before}\n and {more} more\n{others}\nsmallest: {}", told(&small));
        }
        assert_eq!(left, "", "seed {base}");
    }
    println!("{total} functions");
}

#[test]
fn functions_do_what_they_say_when_an_executor_is_killed() {
    // The server starts again by itself: sessions are lost, rows are not.
    let stage = Stage::start(Cluster::builder().setting("restart_after_crash", "on"));
    let seed = seed();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 0..3 {
        let runs: Vec<Run> =
            (0..25).map(|n| function(seed.wrapping_mul(104_729).wrapping_add(round * 25 + n))).collect();
        let runs = runtime.block_on(play::begin(&stage, runs, seed));
        play::kill(&stage);
        let faults = runtime.block_on(play::finish(&stage, runs));
        let left = runtime.block_on(play::remains(&stage));
        let told: String = faults.iter().take(3).map(told).collect();
        assert!(told.is_empty() && left.is_empty(), "seed {seed}, round {round}: {left}\n{told}");
    }
}
