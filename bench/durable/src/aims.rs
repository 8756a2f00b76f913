//! What is aimed at, and what came out.

use postern_bench::aim::{Aim, at_least, below, median};

use crate::contestant::Contestant;
use crate::history::History;
use crate::measure::{Key, Rounds, Sample, What};

fn of(rounds: &Rounds, contestant: Contestant, what: What, field: fn(&Sample) -> Option<f64>) -> Option<f64> {
    let samples = rounds.get(&Key { fsync: std::cmp::Reverse(true), what, contestant })?;
    Some(median(samples.iter().filter_map(field))).filter(|value| value.is_finite())
}

/// Judges everything that was measured with fsync on.
pub fn judge(rounds: &Rounds, history: Option<&History>) -> Vec<Aim> {
    let ours = |what, field| of(rounds, Contestant::Postern, what, field);
    let per_second = |sample: &Sample| Some(sample.per_second);
    let mut aims = Vec::new();
    at_least(&mut aims, "instances of one step per second".into(), ours(What::One, per_second), 2_000.0);
    at_least(&mut aims, "steps per second, many chains".into(), ours(What::Chains, per_second), 5_000.0);
    let latency = ours(What::Alone, |sample| sample.p50);
    below(&mut aims, "start to end, one client, p50 in ms".into(), latency, 5.0);
    let commits = ours(What::Chains, |sample| Some(sample.commits));
    below(&mut aims, "transactions per step, many chains".into(), commits, 1.01);
    for what in [What::Chain, What::Chains] {
        let wal = ours(what, |sample| Some(sample.wal));
        below(&mut aims, format!("bytes of WAL per step, {}", what.title()), wal, 1_500.0);
    }
    let idle = ours(What::Idle, |sample| Some(sample.commits));
    below(&mut aims, "queries per second, idle".into(), idle, 0.1);
    for other in [Contestant::GraphileWorker, Contestant::PgBoss, Contestant::Dbos, Contestant::Absurd] {
        for what in [What::One, What::Chain, What::Chains, What::Fan] {
            let ratio = match (ours(what, per_second), of(rounds, other, what, per_second)) {
                (Some(ours), Some(theirs)) => Some(ours / theirs),
                _ => None,
            };
            at_least(&mut aims, format!("Postern / {}, {}", other.title(), what.title()), ratio, 1.0);
        }
    }
    let constant = history.map(|history| history.last / history.first);
    at_least(&mut aims, "last / first tenth of a long loop, steps per second".into(), constant, 0.8);
    aims
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    fn sample(per_second: f64) -> Sample {
        Sample {
            per_second,
            server_cpu: 0.0,
            client_cpu: 0.0,
            wal: 600.0,
            commits: 0.2,
            p50: None,
            p99: None,
        }
    }

    #[test]
    fn what_was_measured_with_fsync_on_is_judged() {
        let key = |fsync, contestant| Key { fsync: Reverse(fsync), what: What::Chains, contestant };
        let rounds = Rounds::from([
            (key(true, Contestant::Postern), vec![sample(6_000.0), sample(4_000.0), sample(4_500.0)]),
            (key(false, Contestant::Postern), vec![sample(9_000.0)]),
            (key(true, Contestant::Dbos), vec![sample(450.0)]),
        ]);
        let aims = judge(&rounds, None);
        let met: Vec<_> = aims.iter().map(|aim| (aim.what.as_str(), aim.met)).collect();
        assert_eq!(
            met,
            [
                ("steps per second, many chains", false),
                ("transactions per step, many chains", true),
                ("bytes of WAL per step, many chains at once", true),
                ("Postern / DBOS, many chains at once", true),
            ]
        );
        assert!((aims[3].measured - 10.0).abs() < 1e-9);
    }
}
