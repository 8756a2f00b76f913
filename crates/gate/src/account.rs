//! The account of one request: what the log and the metrics say of it.
//!
//! **Invariants**: every request is accounted for exactly once, also one whose client went away: dropping an account that was
//! not closed says so. Values go into the log as fields, which are escaped there; the text of statements only if configured.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::HeaderMap;
use opentelemetry::{Context, KeyValue};
use postern_auth::Authenticated;
use postern_core::RoleName;
use postern_pool::Statement;
use tracing::{info, warn};

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::metrics::Outcome;
use crate::telemetry::Record;

/// The account of one request.
pub(crate) struct Account {
    gateway: Arc<Gateway>,
    id: String,
    path: &'static str,
    started: Instant,
    arrived: SystemTime,
    role: Option<RoleName>,
    subject: Option<Arc<str>>,
    method: &'static str,
    backend_pid: Option<i32>,
    sql: Option<String>,
    /// Of the span; there if traces are made.
    parent: Option<Context>,
    closed: bool,
    /// Rows sent so far.
    pub rows: u64,
}

impl Account {
    /// Opens an account for a request to a path of ours.
    pub(crate) fn open(gateway: &Arc<Gateway>, path: &'static str, headers: &HeaderMap) -> Self {
        let arrived = SystemTime::now();
        Self {
            parent: gateway.telemetry.as_ref().map(|telemetry| telemetry.parent(headers)),
            gateway: Arc::clone(gateway),
            id: new_id(arrived),
            path,
            started: Instant::now(),
            arrived,
            role: None,
            subject: None,
            method: "",
            backend_pid: None,
            sql: None,
            closed: false,
            rows: 0,
        }
    }

    /// The id of the request.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn arrived(&self) -> SystemTime {
        self.arrived
    }

    pub(crate) fn is(&mut self, identity: &Authenticated) {
        self.role = Some(identity.role.clone());
        self.subject.clone_from(&identity.subject);
        self.method = identity.method;
    }

    pub(crate) fn will_run(&mut self, statements: &[Statement]) {
        let texts: Vec<&str> = statements.iter().map(|statement| &*statement.sql).collect();
        self.sql = Some(texts.join(";\n"));
    }

    pub(crate) fn runs_on(&mut self, backend_pid: Option<i32>) {
        self.backend_pid = backend_pid;
    }

    /// Closes the account.
    pub(crate) fn close(mut self, result: Result<(), &Failure>) {
        self.settle(match result {
            Ok(()) => (Outcome::Ok, None),
            Err(failure) => (Outcome::from(failure), Some(failure)),
        });
    }

    fn settle(&mut self, (outcome, failure): (Outcome, Option<&Failure>)) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let duration = self.started.elapsed();
        self.gateway.metrics.count(self.role.as_ref(), outcome, duration, self.rows);
        self.trace(outcome, failure);
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    request = %self.id,
                    path = self.path,
                    role = self.role.as_ref().map(RoleName::as_str),
                    subject = self.subject.as_deref(),
                    auth = self.method,
                    micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
                    rows = self.rows,
                    backend = self.backend_pid,
                    outcome = outcome.name(),
                    sqlstate = failure.map(Failure::sqlstate),
                    code = failure.and_then(Failure::code).map(postern_core::Code::name),
                    reason = failure.and_then(Failure::reason),
                    sql = self.sql.as_deref(),
                    "request"
                )
            };
        }
        if matches!(outcome, Outcome::DatabaseError | Outcome::InternalError) {
            line!(warn);
        } else {
            line!(info);
        }
    }

    fn trace(&self, outcome: Outcome, failure: Option<&Failure>) {
        let (Some(telemetry), Some(parent)) = (&self.gateway.telemetry, &self.parent) else { return };
        let mut attributes = vec![
            KeyValue::new("http.route", self.path),
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.namespace", self.gateway.database.clone()),
            KeyValue::new("postern.request.id", self.id.clone()),
            KeyValue::new("postern.outcome", outcome.name()),
            KeyValue::new("postern.rows", i64::try_from(self.rows).unwrap_or(i64::MAX)),
        ];
        let optional = [
            ("postern.role", self.role.as_ref().map(|role| role.as_str().to_owned())),
            ("enduser.id", self.subject.as_deref().map(str::to_owned)),
            ("db.query.text", self.sql.clone()),
            ("db.response.status_code", failure.map(|failure| failure.sqlstate().to_owned())),
        ];
        attributes.extend(optional.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?))));
        telemetry.record(Record {
            path: self.path,
            parent,
            start: self.arrived,
            end: self.arrived + self.started.elapsed(),
            sqlstate: failure.map(Failure::sqlstate),
            attributes,
        });
    }
}

/// A UUID of version 7. Its random part is of this thread's generator: the kernel is not asked for each request.
fn new_id(arrived: SystemTime) -> String {
    let since_epoch = arrived.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().to_string()
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle((Outcome::Disconnected, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_never_twice() {
        let now = SystemTime::now();
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| new_id(now)).collect();
        assert_eq!(ids.len(), 10_000);
        let id: uuid::Uuid = new_id(now).parse().unwrap();
        assert_eq!(id.get_version(), Some(uuid::Version::SortRand));
    }
}
