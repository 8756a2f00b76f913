//! What the benchmarks share: time on a processor and memory, the machine, aims, errors.
#![forbid(unsafe_code)]

pub mod aim;
pub mod error;
pub mod machine;
pub mod process;
