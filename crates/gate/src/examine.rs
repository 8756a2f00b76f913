//! The examination at start: does the database keep what the gate promises?
//!
//! The connection is made the way the pool makes its own (address, login role, TLS), but apart from it: the examination
//! wants a connection that no stranger has used.

use postern_doctor::{Report, Settings, connect};
use postern_pool::{Address, Tls};
use tokio_postgres::config::SslMode;

use crate::{Config, Error};

/// Examines the database of a configuration, and there the roles that it names and these.
pub async fn examine(config: &Config, roles: &[String]) -> Result<Report, Error> {
    let unusable = |error: postern_pool::Error| match error {
        postern_pool::Error::Config(what) => Error::Config(format!("[database]: {what}")),
        error => Error::Database(error.to_string()),
    };
    let target = config.database.target().map_err(unusable)?;
    let mut to = tokio_postgres::Config::new();
    match &target.address {
        Address::Tcp { host, port } => to.host(host).port(*port),
        Address::Unix { folder, port } => to.host_path(folder).port(*port),
    };
    to.user(&target.user).dbname(&target.dbname);
    if let Some(password) = target.password().map_err(unusable)? {
        to.password(password.expose());
    }
    to.connect_timeout(config.database.connect_timeout).application_name("postern doctor");
    let tls = target.client_config().map_err(unusable)?;
    to.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });

    let mut all: Vec<String> = config.auth.roles().into_iter().map(|role| role.as_str().to_owned()).collect();
    all.extend_from_slice(roles);
    let settings = Settings {
        certificate_verified: tls.as_ref().map(|_| target.tls == Tls::VerifyFull),
        gate_role: target.user,
        roles: all,
        ..Settings::default()
    };
    let client = connect::connect(&to, tls).await?;
    Ok(postern_doctor::examine(&client, &settings).await?)
}

/// Examines, and refuses what is dangerous and not allowed.
pub(crate) async fn check(config: &Config) -> Result<(), Error> {
    let report = examine(config, &[]).await?;
    for finding in &report.findings {
        tracing::debug!(code = finding.code, subject = finding.subject, message = finding.message, "finding");
    }
    let refusals = report.refusals(&config.doctor.allow);
    if refusals.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = refusals
        .iter()
        .map(|finding| format!("{}: {}: {}", finding.code, finding.subject, finding.message))
        .collect();
    Err(Error::Dangerous(lines.join("\n")))
}
