//! `fuzz`: the fuzz target of `fuzz/`, built with the compiler that is there.
//!
//! **How it works.** cargo-fuzz needs a nightly compiler for its sanitizer. What libFuzzer needs to find its way, counters and compared
//! values, a stable compiler gives as well: these are options of LLVM. Inputs that reach something new stay in `target/fuzz-corpus`, and
//! what breaks the target is kept in `target/fuzz-artifacts`.
//!
//! The analysis is safe Rust; the grammar is C. With `--sanitizer` all of it is built with AddressSanitizer: the stable toolchain has
//! its library, and the compiler is told to take the option as if it were a nightly one. That is several times slower.

use std::fs;
use std::process::Command;

use crate::process::{Context, Error, Result, output, run};
use crate::workspace;

/// What has LLVM count branches and report comparisons, and Rust check what it checks in tests.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// The SQL of this repository is where it starts from.
const SEEDS: [&str; 3] = ["tests/regress/sql", "crates/extension/sql", "examples"];

/// Builds the target and runs it for some seconds, or on the inputs that are named.
pub fn run_target(seconds: u32, sanitizer: bool, arguments: &[String]) -> Result<()> {
    let root = workspace::root();
    let target = workspace::target();
    let (corpus, artifacts) = (target.join("fuzz-corpus"), target.join("fuzz-artifacts"));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).context("create", folder)?;
    }
    // With a target named, programs that only help to build are not counted in.
    let machine = machine()?;
    let folder = target.join(if sanitizer { "fuzz-sanitized" } else { "fuzz" });
    let mut build = workspace::cargo();
    build
        .args(["build", "--release", "--bin", "names", "--target", &machine, "--manifest-path"])
        .arg(root.join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder);
    if sanitizer {
        build.env("RUSTFLAGS", format!("{FLAGS} -Zsanitizer=address")).env("RUSTC_BOOTSTRAP", "1");
        // The grammar; not what only helps to build, which is for the machine without a name.
        build.env(format!("CFLAGS_{machine}"), "-fsanitize=address -fno-omit-frame-pointer -g1");
    } else {
        build.env("RUSTFLAGS", FLAGS);
    }
    run(&mut build)?;
    let mut command = Command::new(folder.join(&machine).join("release/names"));
    command.current_dir(&root).arg(format!("-artifact_prefix={}/", artifacts.display()));
    if arguments.is_empty() {
        command.arg(format!("-dict={}", root.join("fuzz/names.dict").display()));
        command.arg(format!("-max_total_time={seconds}"));
        let memory = if sanitizer { "-rss_limit_mb=4096" } else { "-rss_limit_mb=2048" };
        command.args(["-max_len=2000", "-timeout=30", memory, "-print_final_stats=1"]);
        command.arg(&corpus).args(SEEDS);
    }
    run(command.args(arguments))
}

/// What the compiler builds for.
fn machine() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = output(Command::new(rustc).arg("-vV"))?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Error::Wrong("rustc does not say what it builds for".to_owned()))
}
