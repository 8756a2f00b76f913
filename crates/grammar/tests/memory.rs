//! Parsing keeps nothing, whether it succeeds or fails. It is alone in its process, whose memory is what is looked at.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use postern_grammar::{As, parse};

/// The memory of this process in pages.
fn pages() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap();
    sizes.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn nothing_is_kept_of_two_thousand_calls() {
    let good = format!("SELECT f({})", "a.b + 'x', ".repeat(100) + "1");
    let bad = format!("SELECT f({})", "a.b + 'x', ".repeat(100));
    let calls = |count: usize| {
        for _ in 0..count {
            assert!(parse(&good, As::Statements).is_ok());
            assert!(parse(&bad, As::Statements).is_err());
        }
    };
    calls(100);
    let before = pages();
    calls(1_000);
    // The strings of the trees alone would be a thousand pages.
    let after = pages();
    assert!(after < before + 200, "{before} pages before, {after} after");
}
