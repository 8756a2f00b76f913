//! One measurement: what was done, how fast, and what it cost the server.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use clap::ValueEnum;
use postern_bench::aim::median;
use postern_bench::error::Result;
use postern_bench::process::Cast;
use serde::Serialize;

use crate::contestant::Contestant;
use crate::driver::{Command, Driver};
use crate::fixture::Fixture;

/// How long the server may keep statistics to itself: a second, and a little.
const STATISTICS: Duration = Duration::from_millis(1_300);

/// The same for a client that has nothing to do.
const IDLE_STATISTICS: Duration = Duration::from_millis(10_500);

/// How much of everything.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// Instances of one step.
    pub one: usize,
    /// Steps of a chain, and of one of those who wait for half a second at each.
    pub chain: usize,
    pub slow_chain: usize,
    /// Chains at once.
    pub chains: usize,
    /// Steps at once.
    pub fan: usize,
    /// Instances of the client that is alone, and of each of the many.
    pub alone: usize,
    pub among_many: usize,
    /// Seconds of idleness.
    pub idle: u64,
    /// Iterations of the long loop.
    pub turns: usize,
    /// Instances that wait.
    pub waiting: usize,
}

impl Plan {
    /// To try it.
    pub fn quick() -> Self {
        Self {
            one: 1_000,
            chain: 100,
            slow_chain: 10,
            chains: 20,
            fan: 200,
            alone: 30,
            among_many: 20,
            idle: 3,
            turns: 1_000,
            waiting: 10_000,
        }
    }

    /// To know.
    pub fn full() -> Self {
        Self {
            one: 3_000,
            chain: 100,
            slow_chain: 20,
            chains: 100,
            fan: 1_000,
            alone: 100,
            among_many: 50,
            idle: 10,
            turns: 20_000,
            waiting: 1_000_000,
        }
    }
}

/// Clients at once when there are many.
pub const CLIENTS: usize = 16;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Instances of one step.
    One,
    /// One chain.
    Chain,
    /// Many chains at once.
    Chains,
    /// Steps at once.
    Fan,
    /// One client, now and then.
    Alone,
    /// Many clients, each without a pause.
    AmongMany,
    /// Nothing to do.
    Idle,
}

impl What {
    pub fn title(self) -> &'static str {
        match self {
            Self::One => "instances of one step",
            Self::Chain => "one chain",
            Self::Chains => "many chains at once",
            Self::Fan => "steps of one instance at once",
            Self::Alone => "start to end, one client with pauses",
            Self::AmongMany => "start to end, 16 clients without a pause",
            Self::Idle => "idle",
        }
    }

    /// What a contestant is to do for it; nothing to be idle.
    fn command(self, plan: &Plan, contestant: Contestant) -> Option<Command> {
        let length = if contestant.polls_slowly() { plan.slow_chain } else { plan.chain };
        Some(match self {
            Self::One => Command::One { count: plan.one },
            Self::Chain => Command::Chains { count: 1, length },
            Self::Chains => Command::Chains { count: plan.chains, length },
            Self::Fan => Command::Fan { width: plan.fan },
            Self::Alone => Command::Latency { clients: 1, count: plan.alone, pause: 50 },
            Self::AmongMany => Command::Latency { clients: CLIENTS, count: plan.among_many, pause: 0 },
            Self::Idle => return None,
        })
    }
}

/// In the order in which it is done.
pub const EVERYTHING: [What; 7] =
    [What::One, What::Chain, What::Chains, What::Fan, What::Alone, What::AmongMany, What::Idle];

/// What came out. For idleness, everything is for each second instead of each step.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Steps per second.
    pub per_second: f64,
    /// Microseconds of processor for each step, in the server.
    pub server_cpu: f64,
    /// In the program that starts the work, and, but for Postern, does it.
    pub client_cpu: f64,
    /// Bytes of the write-ahead log for each step.
    pub wal: f64,
    /// Transactions for each step.
    pub commits: f64,
    /// Milliseconds from the start to the end of an instance.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

/// Which measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    pub fsync: std::cmp::Reverse<bool>,
    pub what: What,
    pub contestant: Contestant,
}

/// The samples of all rounds.
pub type Rounds = BTreeMap<Key, Vec<Sample>>;

/// What the server has counted so far.
struct Counters {
    wal: f64,
    commits: f64,
}

impl Counters {
    fn read(fixture: &Fixture, contestant: Contestant) -> Result<Self> {
        sleep(STATISTICS);
        let database = contestant.database();
        Ok(Self {
            wal: fixture.number("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")?,
            commits: fixture.number(&format!(
                "select xact_commit + xact_rollback from pg_stat_database where datname = '{database}'"
            ))?,
        })
    }
}

/// Measures one contestant.
pub fn all(
    fixture: &Fixture,
    contestant: Contestant,
    plan: &Plan,
    chosen: &[What],
    fsync: bool,
    rounds: &mut Rounds,
) -> Result<()> {
    let mut driver = fixture.drive(contestant)?;
    driver.warm_up()?;
    for what in EVERYTHING.into_iter().filter(|what| chosen.is_empty() || chosen.contains(what)) {
        let sample = match what.command(plan, contestant) {
            Some(command) => one(fixture, contestant, &mut driver, command)?,
            None => idle(fixture, contestant, &driver, plan.idle)?,
        };
        let key = Key { fsync: std::cmp::Reverse(fsync), what, contestant };
        rounds.entry(key).or_default().push(sample);
    }
    Ok(())
}

/// One measurement.
#[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
pub fn one(
    fixture: &Fixture,
    contestant: Contestant,
    driver: &mut Driver,
    command: Command,
) -> Result<Sample> {
    let cast = Cast { server: fixture.server, middle: None, client: driver.pid() };
    let before = Counters::read(fixture, contestant)?;
    let clocks = cast.clocks()?;
    let answer = driver.perform(command)?;
    let used = cast.clocks()?.since(&clocks);
    let after = Counters::read(fixture, contestant)?;
    let steps = answer.steps as f64;
    let mut latencies = answer.latencies;
    latencies.sort_by(f64::total_cmp);
    Ok(Sample {
        per_second: steps / answer.seconds,
        server_cpu: used.server as f64 / 1_000.0 / steps,
        client_cpu: used.client as f64 / 1_000.0 / steps,
        wal: (after.wal - before.wal) / steps,
        commits: (after.commits - before.commits) / steps,
        p50: quantile(&latencies, 50),
        p99: quantile(&latencies, 99),
    })
}

/// With nothing to do: transactions per second, and what they cost. The server's own cleaning is nobody's query.
#[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn idle(fixture: &Fixture, contestant: Contestant, driver: &Driver, seconds: u64) -> Result<Sample> {
    let cast = Cast { server: fixture.server, middle: None, client: driver.pid() };
    fixture.autovacuum(false)?;
    sleep(IDLE_STATISTICS);
    let before = Counters::read(fixture, contestant)?;
    let clocks = cast.clocks()?;
    sleep(Duration::from_secs(seconds));
    let used = cast.clocks()?.since(&clocks);
    let after = Counters::read(fixture, contestant)?;
    fixture.autovacuum(true)?;
    // Both readings waited as long for the statistics.
    let counted = seconds as f64 + STATISTICS.as_secs_f64();
    Ok(Sample {
        per_second: 0.0,
        server_cpu: used.server as f64 / 1_000.0 / seconds as f64,
        client_cpu: used.client as f64 / 1_000.0 / seconds as f64,
        wal: (after.wal - before.wal) / counted,
        commits: (after.commits - before.commits) / counted,
        p50: None,
        p99: None,
    })
}

/// The value that so many of a hundred do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

impl Sample {
    /// The median of each field by itself.
    pub fn median(samples: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(samples.iter().map(field));
        let maybe = |field: fn(&Self) -> Option<f64>| {
            Some(median(samples.iter().filter_map(field))).filter(|value| value.is_finite())
        };
        Self {
            per_second: of(|sample| sample.per_second),
            server_cpu: of(|sample| sample.server_cpu),
            client_cpu: of(|sample| sample.client_cpu),
            wal: of(|sample| sample.wal),
            commits: of(|sample| sample.commits),
            p50: maybe(|sample| sample.p50),
            p99: maybe(|sample| sample.p99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200_u8).map(f64::from).collect();
        assert_eq!(quantile(&values, 50), Some(100.0));
        assert_eq!(quantile(&values, 99), Some(198.0));
        assert_eq!(quantile(&values[..1], 99), Some(1.0));
        assert_eq!(quantile(&[], 50), None);
    }
}
