//! What the gate counts, for Prometheus.
//!
//! Totals are anybody's; what is counted by role is in a registry of its own, for those who may see it ([`Audience`]).
//!
//! **Invariants**: labels are outcomes and names of roles that someone was authenticated for (which are configured): their
//! number is bounded, and nothing a client makes up becomes one.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use postern_core::{RoleName, Stage};
use postern_outbound::Stats;
use postern_pool::Pool;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::failure::Failure;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    SqlError,
    BadRequest,
    Unauthenticated,
    Limited,
    DatabaseError,
    InternalError,
    Disconnected,
}

/// Who reads the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Anyone.
    Public,
    /// Those who may see which role does how much.
    Operator,
}

/// Upper bounds of the classes of duration, in seconds.
const SECONDS: [f64; 14] =
    [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleOutcomeLabel {
    role: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: String,
}

pub(crate) struct Metrics {
    public: Registry,
    operator: Registry,
    totals: PerOutcome,
    seconds: Histogram,
    role_requests: Family<RoleOutcomeLabel, Counter>,
    role_seconds: Family<RoleLabel, Histogram, fn() -> Histogram>,
    role_rows: Family<RoleLabel, Counter>,
    /// The same by role, found without making a label.
    roles: RwLock<HashMap<RoleName, Arc<RoleMetrics>>>,
    /// What the outbound worker counts, if one runs in this process.
    pub(crate) outbound: OnceLock<Arc<Stats>>,
}

struct RoleMetrics {
    requests: PerOutcome,
    seconds: Histogram,
    rows: Counter,
}

type PerOutcome = [Counter; Outcome::ALL.len()];

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::SqlError,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Limited,
        Self::DatabaseError,
        Self::InternalError,
        Self::Disconnected,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SqlError => "sql_error",
            Self::BadRequest => "bad_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Limited => "limited",
            Self::DatabaseError => "database_error",
            Self::InternalError => "internal_error",
            Self::Disconnected => "disconnected",
        }
    }
}

impl From<&Failure> for Outcome {
    fn from(failure: &Failure) -> Self {
        match failure.code().map(postern_core::Code::stage) {
            None => Self::SqlError,
            Some(Stage::Request) => Self::BadRequest,
            Some(Stage::Authentication) => Self::Unauthenticated,
            Some(Stage::Limit) => Self::Limited,
            Some(Stage::Database) => Self::DatabaseError,
            Some(Stage::Internal) => Self::InternalError,
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut public = Registry::with_prefix("postern");
        let mut operator = Registry::with_prefix("postern");
        let requests = Family::<OutcomeLabel, Counter>::default();
        public.register("requests", "Requests, by how they ended", requests.clone());
        let seconds = histogram();
        public.register_with_unit(
            "request_duration",
            "Time from arrival to answer",
            Unit::Seconds,
            seconds.clone(),
        );
        let role_requests = Family::<RoleOutcomeLabel, Counter>::default();
        operator.register("role_requests", "Requests of a role, by how they ended", role_requests.clone());
        let role_seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        operator.register_with_unit(
            "role_request_duration",
            "Time from arrival to answer for a role",
            Unit::Seconds,
            role_seconds.clone(),
        );
        let role_rows = Family::<RoleLabel, Counter>::default();
        operator.register("role_rows", "Rows sent to a role", role_rows.clone());
        Self {
            public,
            operator,
            totals: Outcome::ALL
                .map(|outcome| requests.get_or_create(&OutcomeLabel { outcome: outcome.name() }).clone()),
            seconds,
            role_requests,
            role_seconds,
            role_rows,
            roles: RwLock::default(),
            outbound: OnceLock::new(),
        }
    }

    /// Counts a request that has ended. The role is one that was authenticated.
    pub(crate) fn count(&self, role: Option<&RoleName>, outcome: Outcome, duration: Duration, rows: u64) {
        let seconds = duration.as_secs_f64();
        self.totals[outcome as usize].inc();
        self.seconds.observe(seconds);
        if let Some(role) = role {
            let role = self.role(role);
            role.requests[outcome as usize].inc();
            role.seconds.observe(seconds);
            role.rows.inc_by(rows);
        }
    }

    fn role(&self, role: &RoleName) -> Arc<RoleMetrics> {
        if let Some(known) = self.roles.read().unwrap_or_else(PoisonError::into_inner).get(role) {
            return Arc::clone(known);
        }
        let label = RoleLabel { role: role.as_str().to_owned() };
        let metrics = Arc::new(RoleMetrics {
            requests: Outcome::ALL.map(|outcome| {
                let label = RoleOutcomeLabel { role: label.role.clone(), outcome: outcome.name() };
                self.role_requests.get_or_create(&label).clone()
            }),
            seconds: self.role_seconds.get_or_create(&label).clone(),
            rows: self.role_rows.get_or_create(&label).clone(),
        });
        let mut roles = self.roles.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(roles.entry(role.clone()).or_insert(metrics))
    }

    /// The text that Prometheus reads.
    pub(crate) fn encode(&self, pool: &Pool, audience: Audience) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.public)?;
        let parts = match audience {
            Audience::Public => vec![],
            Audience::Operator => {
                let mut other = String::new();
                encode(&mut other, &self.operator)?;
                let mut gauges = String::new();
                encode(&mut gauges, &pool_registry(pool))?;
                let mut parts = vec![other, gauges];
                if let Some(stats) = self.outbound.get() {
                    let mut outbound = String::new();
                    encode(&mut outbound, &outbound_registry(stats))?;
                    parts.push(outbound);
                }
                parts
            }
        };
        // Each part ends with the mark of the end.
        for part in parts {
            text.truncate(text.trim_end().trim_end_matches("# EOF").len());
            text.push_str(&part);
        }
        Ok(text)
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

/// What the pool counts, as of now.
fn pool_registry(pool: &Pool) -> Registry {
    let stats = pool.stats();
    let mut registry = Registry::with_prefix("postern_pool");
    let gauges = [
        ("connections_limit", "Connections, at most", stats.connections),
        ("connections_idle", "Connections that are open and unused", stats.idle),
        ("connections_busy", "Connections that are in use", stats.busy),
        ("waiting", "Requests that wait for a connection", stats.waiting),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)));
    }
    let counters = [
        ("requests", "Requests that got a connection", stats.requests),
        ("refused", "Requests refused because everything was busy", stats.refused),
        ("retries", "Requests run again, because nothing of the first time was left", stats.retries),
        ("abandoned", "Requests given up before their end", stats.abandoned),
        ("connects", "Connections made", stats.connects),
        ("failed_connects", "Attempts to connect that failed", stats.failed_connects),
        ("closed", "Connections closed", stats.closed),
        ("cancelled", "Cancel requests sent", stats.cancelled),
        ("terminated", "Backends terminated", stats.terminated),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value));
    }
    registry
}

/// What the outbound worker beside the gate counts, as of now.
fn outbound_registry(stats: &Stats) -> Registry {
    let mut registry = Registry::with_prefix("postern_outbound");
    let in_flight = i64::try_from(stats.in_flight.load(Relaxed)).unwrap_or(i64::MAX);
    registry.register("in_flight", "HTTP requests of steps that are under way", ConstGauge::new(in_flight));
    let counters = [
        ("taken", "HTTP requests of steps taken", &stats.taken),
        ("repeated", "Those of them that had been taken before", &stats.repeated),
        ("completed", "HTTP requests that gave a result", &stats.completed),
        ("failed", "HTTP requests that failed", &stats.failed),
        ("unwanted", "HTTP requests stopped, or whose answer nobody wanted any more", &stats.unwanted),
        ("redirected", "Redirects followed", &stats.redirected),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value.load(Relaxed)));
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        let config = toml::from_str("url = \"postgresql://postern_gate@127.0.0.1:1/app\"").unwrap();
        Pool::new(config).unwrap()
    }

    #[tokio::test]
    async fn an_outbound_worker_is_counted_where_there_is_one() {
        let metrics = Metrics::new();
        let before = metrics.encode(&pool(), Audience::Operator).unwrap();
        assert!(!before.contains("outbound"), "{before}");
        let stats = Arc::new(Stats::default());
        metrics.outbound.set(Arc::clone(&stats)).unwrap();
        stats.taken.store(3, Relaxed);
        stats.in_flight.store(2, Relaxed);
        let text = metrics.encode(&pool(), Audience::Operator).unwrap();
        assert!(text.contains("postern_outbound_taken_total 3\n"), "{text}");
        assert!(text.contains("postern_outbound_in_flight 2\n"), "{text}");
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
        assert!(!metrics.encode(&pool(), Audience::Public).unwrap().contains("outbound"));
    }

    #[tokio::test]
    async fn roles_are_for_operators_only() {
        let metrics = Metrics::new();
        let role = RoleName::try_from("app_user").unwrap();
        metrics.count(Some(&role), Outcome::Ok, Duration::from_millis(3), 2);
        metrics.count(None, Outcome::Unauthenticated, Duration::from_millis(1), 0);

        let public = metrics.encode(&pool(), Audience::Public).unwrap();
        assert!(public.contains("postern_requests_total{outcome=\"ok\"} 1\n"), "{public}");
        assert!(public.contains("postern_request_duration_seconds_bucket{le=\"0.005\"} 2\n"), "{public}");
        assert!(!public.contains("app_user"));

        let operator = metrics.encode(&pool(), Audience::Operator).unwrap();
        assert!(
            operator.contains("postern_role_requests_total{role=\"app_user\",outcome=\"ok\"} 1\n"),
            "{operator}"
        );
        assert!(operator.contains("postern_role_rows_total{role=\"app_user\"} 2\n"), "{operator}");
        assert!(operator.contains("postern_pool_connections_idle 0\n"), "{operator}");
        assert_eq!(operator.matches("# EOF").count(), 1);
        assert!(operator.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn the_page_names_every_metric_and_no_other() {
        let metrics = Metrics::new();
        metrics.outbound.set(Arc::new(Stats::default())).unwrap();
        metrics.count(Some(&RoleName::try_from("app_user").unwrap()), Outcome::Ok, Duration::ZERO, 0);
        let names = |audience| {
            let text = metrics.encode(&pool(), audience).unwrap();
            let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
            let mut names: Vec<String> = types
                .filter_map(|line| line.split_once(' '))
                .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
                .collect();
            names.sort();
            names
        };
        let page = include_str!("../../../docs/reference/http.md");
        let told = |text: &str| {
            let mut told: Vec<String> = text
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|text| text.starts_with("postern_"))
                .map(str::to_owned)
                .collect();
            told.sort();
            told
        };
        let (_, section) = page.split_once("\n## Metrics\n").unwrap();
        let (sentence, tables) = section.split_once("\n|").unwrap();
        assert_eq!(told(tables), names(Audience::Operator));
        assert_eq!(told(sentence), names(Audience::Public), "what anyone sees");
        for outcome in Outcome::ALL {
            assert!(section.contains(&format!("`{}`", outcome.name())), "{}", outcome.name());
        }
    }
}
