//! One measurement, and the middle of several.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use postern_bench::aim::median;
use postern_bench::error::{Error, Result};
use postern_bench::process::Usage;

/// How long to measure, after how long a time that does not count.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub warm_up: Duration,
    pub measured: Duration,
}

/// What one contestant did with one number of clients in one round.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Requests per second.
    pub per_second: f64,
    /// Latency in microseconds: half of the requests took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// Microseconds of processor for each request, in the server.
    pub server_cpu: f64,
    /// In what stands between; 0 if nothing does.
    pub middle_cpu: f64,
    /// In the client.
    pub client_cpu: f64,
    /// Resident memory of what stands between, in MB.
    pub middle_rss: f64,
}

/// Latencies in nanoseconds, up to a minute, with three digits.
pub fn histogram() -> Histogram<u64> {
    // The bounds are constants that fit.
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are valid"))
}

impl Sample {
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub fn new(latencies: &Histogram<u64>, elapsed: Duration, usage: Usage, rss_kb: u64) -> Result<Self> {
        let count = latencies.len() as f64;
        if count == 0.0 {
            return Err(Error::wrong("a contestant", "answered nothing while it was measured"));
        }
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        Ok(Self {
            per_second: count / elapsed.as_secs_f64(),
            p50: micros(latencies.value_at_quantile(0.50)),
            p99: micros(latencies.value_at_quantile(0.99)),
            server_cpu: micros(usage.server) / count,
            middle_cpu: micros(usage.middle) / count,
            client_cpu: micros(usage.client) / count,
            middle_rss: rss_kb as f64 / 1024.0,
        })
    }

    /// The median of each field by itself.
    pub fn median(samples: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(samples.iter().map(field));
        Self {
            per_second: of(|sample| sample.per_second),
            p50: of(|sample| sample.p50),
            p99: of(|sample| sample.p99),
            server_cpu: of(|sample| sample.server_cpu),
            middle_cpu: of(|sample| sample.middle_cpu),
            client_cpu: of(|sample| sample.client_cpu),
            middle_rss: of(|sample| sample.middle_rss),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_counts_what_was_answered_while_it_was_measured() {
        let mut latencies = histogram();
        for micros in 1..=1000_u64 {
            latencies.record(micros * 1_000).unwrap();
        }
        let usage = Usage { server: 2_000_000, middle: 1_000_000, client: 500_000 };
        let sample = Sample::new(&latencies, Duration::from_millis(500), usage, 2048).unwrap();
        assert!((sample.per_second - 2000.0).abs() < 1e-9);
        assert!((sample.p50 - 500.0).abs() < 1.0 && (sample.p99 - 990.0).abs() < 1.0, "{sample:?}");
        assert!((sample.server_cpu - 2.0).abs() < 1e-9 && (sample.middle_cpu - 1.0).abs() < 1e-9);
        assert!((sample.middle_rss - 2.0).abs() < 1e-9);
        assert!(Sample::new(&histogram(), Duration::from_secs(1), usage, 0).is_err());
    }
}
