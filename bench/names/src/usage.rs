//! What a process has used: time on a processor, and memory.

/// Time on a processor so far, in seconds, of this process and of those that it started and that have ended. The kernel counts it in
/// hundredths of a second.
#[derive(Debug, Clone, Copy)]
pub struct Processor {
    pub own: f64,
    pub children: f64,
}

/// How many ticks a second has: the same on every Linux.
const TICKS: f64 = 100.0;

impl Processor {
    pub fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the name, which may have blanks in it.
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        let sum = |first: usize| fields.iter().skip(first).take(2).sum::<f64>() / TICKS;
        Self { own: sum(11), children: sum(13) }
    }
}

/// The most memory that this process has had, in megabytes.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
}
