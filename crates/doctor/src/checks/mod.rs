//! The checks: one file for each thing that is looked at.
//!
//! Every query names tables, functions and types with `pg_catalog`. Operators are found by the path, which [`run`] pins for
//! its transaction: only a superuser can put one into `pg_catalog`, and `pg_temp` is never searched for operators.

mod definer_views;
mod enter;
mod event_triggers;
mod extension;
mod functions;
mod gate_role;
mod grants;
mod hba;
mod languages;
mod policies;
mod public;
mod roles;
mod routines;
mod schemas;
mod served;
mod server;
mod tables;
mod transport;

use tokio_postgres::Client;

use crate::examination::Examination;
use crate::report::Report;
use crate::{Error, Settings};

/// Runs all checks in one read-only transaction.
pub async fn run(client: &Client, settings: &Settings) -> Result<Report, Error> {
    let setup = |source| Error::Check { check: "the connection", source };
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL search_path = pg_catalog, pg_temp;
             SET LOCAL statement_timeout = '60s'",
        )
        .await
        .map_err(setup)?;
    let report = all(client, settings).await;
    // After an error this still ends the transaction; the error is the better one to report.
    let ended = client.batch_execute("ROLLBACK").await.map_err(setup);
    report.and_then(|report| ended.map(|()| report))
}

async fn all(client: &Client, settings: &Settings) -> Result<Report, Error> {
    let mut examination = Examination::new(client, settings)
        .await
        .map_err(|source| Error::Check { check: "the server", source })?;
    let ex = &mut examination;
    macro_rules! check {
        ($($module:ident: $name:literal),* $(,)?) => {
            $($module::check(ex).await.map_err(|source| Error::Check { check: $name, source })?;)*
        };
    }
    check! {
        // First: calling a function of the extension would load it, preloaded or not.
        extension: "the extension",
        server: "the server version",
        served: "the served roles",
        enter: "postern.enter",
        grants: "privileges on the extension's objects",
        gate_role: "the gate's role",
        roles: "the served roles' rights",
        tables: "tables",
        definer_views: "views",
        schemas: "schemas",
        policies: "policies",
        routines: "functions that ask for the session or the facts",
        languages: "languages",
        functions: "dangerous functions",
        public: "everybody's rights",
        event_triggers: "event triggers",
        transport: "the connection's encryption",
        hba: "pg_hba.conf",
    }
    Ok(examination.into_report())
}
