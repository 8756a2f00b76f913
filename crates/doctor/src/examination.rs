//! One examination: what is known before the checks start, and what they have found so far.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::Settings;
use crate::codes::Code;
use crate::report::{Finding, Report, Server, Skipped};

/// The result of one check; [`crate::Error`] adds which one it was.
pub type Checked = Result<(), tokio_postgres::Error>;

/// What the checks share.
pub struct Examination<'a> {
    client: &'a Client,
    pub settings: &'a Settings,
    pub server: Server,
    /// Whether the extension is there; most of what concerns its objects is only then looked at.
    pub installed: bool,
    /// The gate's role, if it exists.
    pub gate: Option<u32>,
    /// The roles that may be entered, and those that are configured.
    pub served: Vec<u32>,
    served_names: Vec<String>,
    findings: Vec<Finding>,
    skipped: Vec<Skipped>,
}

impl<'a> Examination<'a> {
    pub async fn new(client: &'a Client, settings: &'a Settings) -> Result<Self, tokio_postgres::Error> {
        let row = client
            .query_one(
                "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
                        pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1),
                        pg_catalog.current_database()::pg_catalog.text, current_user::pg_catalog.text,
                        pg_catalog.pg_is_in_recovery(),
                        exists (select from pg_catalog.pg_extension where extname = 'postern'),
                        (select oid from pg_catalog.pg_roles where rolname = $1::pg_catalog.text)",
                &[&settings.gate_role],
            )
            .await?;
        let server = Server {
            version_num: row.try_get(0)?,
            version: row.try_get(1)?,
            database: row.try_get(2)?,
            role: row.try_get(3)?,
            standby: row.try_get(4)?,
        };
        Ok(Self {
            client,
            settings,
            server,
            installed: row.try_get(5)?,
            gate: row.try_get(6)?,
            served: Vec::new(),
            served_names: Vec::new(),
            findings: Vec::new(),
            skipped: Vec::new(),
        })
    }

    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query(sql, params).await
    }

    pub async fn query_one(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, tokio_postgres::Error> {
        self.client.query_one(sql, params).await
    }

    /// Adds a role to those that are examined; twice is once.
    pub fn serve(&mut self, oid: u32, name: String) {
        if !self.served.contains(&oid) {
            self.served.push(oid);
            self.served_names.push(name);
        }
    }

    pub fn found(
        &mut self,
        code: &'static Code,
        subject: impl Into<String>,
        message: impl Into<String>,
        detail: impl Into<String>,
        hint: Option<String>,
    ) {
        self.findings.push(Finding::new(code, subject, message, detail, hint));
    }

    pub fn skip(&mut self, check: &'static str, reason: impl Into<String>) {
        self.skipped.push(Skipped { check, reason: reason.into() });
    }

    pub fn into_report(mut self) -> Report {
        self.findings.sort_by(|a, b| (a.severity, a.code, &a.subject).cmp(&(b.severity, b.code, &b.subject)));
        self.findings.dedup();
        self.served_names.sort_unstable();
        Report {
            server: self.server,
            served_roles: self.served_names,
            findings: self.findings,
            skipped: self.skipped,
        }
    }
}

/// `"alice", "bob" and 3 more`, so that a message stays one line however many roles there are.
pub fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// `role "a"` or `roles "a", "b"`.
pub fn roles(names: &[String]) -> String {
    format!("role{} {}", if names.len() == 1 { "" } else { "s" }, list(names))
}
