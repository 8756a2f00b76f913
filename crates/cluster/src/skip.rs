//! Tests that cannot run on a machine say so, instead of passing in silence.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Notes that a test was not run and why. `cargo xtask test` collects the notes (in the file that `POSTERN_SKIPPED`
/// names) and ends with them; by itself, a test prints them.
pub fn skipped(test: &str, reason: impl Display) {
    println!("{test} was not run: {reason}");
    if let Some(path) = std::env::var_os("POSTERN_SKIPPED") {
        // One write of one line: lines of tests that run at once do not mix.
        let line = format!("{test}: {reason}\n");
        let noted = OpenOptions::new().append(true).create(true).open(path);
        if let Err(error) = noted.and_then(|mut file| file.write_all(line.as_bytes())) {
            println!("could not note it: {error}");
        }
    }
}
