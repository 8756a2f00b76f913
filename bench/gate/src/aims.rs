//! What is aimed at, and what came out.

use std::collections::BTreeMap;

use postern_bench::aim::{Aim, at_least, below, median};

use crate::contestant::Contestant;
use crate::large::Stream;
use crate::memory::Idle;
use crate::sample::Sample;

/// The samples of all rounds, by number of clients and contestant.
pub type Rounds = BTreeMap<(usize, Contestant), Vec<Sample>>;

/// The middle of the ratios that two contestants had in the same round: what disturbs a round disturbs both.
pub fn ratio(rounds: &Rounds, clients: usize, one: Contestant, other: Contestant) -> Option<f64> {
    let (one, other) = (rounds.get(&(clients, one))?, rounds.get(&(clients, other))?);
    let ratios = one.iter().zip(other).map(|(one, other)| one.per_second / other.per_second);
    Some(median(ratios)).filter(|ratio| ratio.is_finite())
}

/// Judges everything that was measured.
pub fn judge(rounds: &Rounds, idle: Option<&Idle>, stream: Option<&Stream>) -> Vec<Aim> {
    use Contestant::{Direct, Entered, GateSql, GateV1, Postgraphile};
    let mut aims = Vec::new();
    let mut numbers: Vec<usize> = rounds.keys().map(|(clients, _)| *clients).collect();
    numbers.dedup();
    for &clients in &numbers {
        at_least(
            &mut aims,
            format!("entered statement / bare statement, pgbench, {clients} clients"),
            ratio(rounds, clients, Entered, Direct),
            0.85,
        );
    }
    for gate in [GateV1, GateSql] {
        at_least(
            &mut aims,
            format!("{} / pgbench, 16 clients", gate.title()),
            ratio(rounds, 16, gate, Direct),
            0.5,
        );
    }
    for &clients in &numbers {
        for gate in [GateV1, GateSql] {
            let name = gate.title();
            at_least(
                &mut aims,
                format!("{name} / PostGraphile, {clients} clients"),
                ratio(rounds, clients, gate, Postgraphile),
                5.0,
            );
            let samples = rounds.get(&(clients, gate)).map(|samples| Sample::median(samples));
            let spread = samples.map(|sample| sample.p99 / sample.p50);
            below(&mut aims, format!("{name}, p99 / p50, {clients} clients"), spread, 4.0);
        }
    }
    if let Some(idle) = idle {
        below(&mut aims, format!("gate with {} idle clients, MB", idle.clients), Some(idle.rss), 50.0);
    }
    if let Some(stream) = stream {
        below(
            &mut aims,
            format!("gate streaming {} rows, MB at most", stream.rows),
            Some(stream.peak_rss),
            64.0,
        );
        at_least(&mut aims, "NDJSON / psql COPY, rows per second".to_owned(), Some(stream.ratio), 0.5);
    }
    aims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(per_second: f64) -> Sample {
        Sample {
            per_second,
            p50: 100.0,
            p99: 500.0,
            server_cpu: 0.0,
            middle_cpu: 0.0,
            client_cpu: 0.0,
            middle_rss: 0.0,
        }
    }

    #[test]
    fn a_ratio_is_made_of_rounds_and_not_of_medians() {
        let rounds = Rounds::from([
            ((1, Contestant::Direct), vec![sample(100.0), sample(10.0), sample(50.0)]),
            ((1, Contestant::Entered), vec![sample(90.0), sample(9.0), sample(45.0)]),
        ]);
        let found = ratio(&rounds, 1, Contestant::Entered, Contestant::Direct).unwrap();
        assert!((found - 0.9).abs() < 1e-9);
        assert!(ratio(&rounds, 16, Contestant::Entered, Contestant::Direct).is_none());
    }

    #[test]
    fn an_aim_is_met_or_missed_by_what_was_measured() {
        let rounds = Rounds::from([
            ((16, Contestant::Direct), vec![sample(100.0)]),
            ((16, Contestant::GateV1), vec![sample(50.0)]),
            ((16, Contestant::Postgraphile), vec![sample(11.0)]),
        ]);
        let idle = Idle { clients: 1000, rss_at_start: 10.0, rss: 50.0 };
        let aims = judge(&rounds, Some(&idle), None);
        let met: Vec<_> = aims.iter().map(|aim| (aim.what.as_str(), aim.met)).collect();
        assert_eq!(
            met,
            [
                ("gate, /v1/query / pgbench, 16 clients", true),
                ("gate, /v1/query / PostGraphile, 16 clients", false),
                ("gate, /v1/query, p99 / p50, 16 clients", false),
                ("gate with 1000 idle clients, MB", false),
            ]
        );
    }
}
