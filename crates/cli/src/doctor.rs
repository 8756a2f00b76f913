//! `postern doctor`: examines a database and prints what was found.

use std::io::IsTerminal;
use std::process::ExitCode;

use postern_cluster::SUPERUSER;
use postern_doctor::{Report, Settings, connect, render};
use tokio::runtime::Runtime;

use crate::args::Doctor;
use crate::error::Error;
use crate::{progress, serve, up, url};

/// Dangers or warnings.
const FOUND: u8 = 1;
/// The database could not be examined.
const FAILED: u8 = 2;

pub fn run(args: &Doctor) -> ExitCode {
    let printed = examine(args).and_then(|(report, allow)| {
        let colour = std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let text = if args.json { json(&report)? } else { render::text(&report, colour) };
        crate::print(&text)?;
        Ok(report.complaints(&allow).is_empty())
    });
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// The report, and what is allowed.
fn examine(args: &Doctor) -> Result<(Report, Vec<String>), Error> {
    let runtime = serve::runtime()?;
    let mut allow = args.allow.clone();
    if let Some(file) = &args.config {
        let config = serve::load(file)?;
        allow.extend_from_slice(&config.doctor.allow);
        let report = progress::during("examining the database", || {
            runtime.block_on(postern_gate::examine(&config, &args.roles))
        })?;
        return Ok((report, allow));
    }
    let url = match &args.db {
        Some(url) => url.clone(),
        None => url::address(&args.dir)?.url(SUPERUSER, up::DATABASE),
    };
    let settings = Settings { roles: args.roles.clone(), ..Settings::default() };
    let report = progress::during("examining the database", || by_url(&runtime, &url, &settings))?;
    Ok((report, allow))
}

fn by_url(runtime: &Runtime, url: &str, settings: &Settings) -> Result<Report, Error> {
    runtime.block_on(async {
        let client = client(url, "postern doctor").await?;
        Ok(postern_doctor::examine(&client, settings).await?)
    })
}

/// A connection to look at catalogs with.
pub async fn client(url: &str, application: &str) -> Result<tokio_postgres::Client, Error> {
    let mut config = connect::parse(url)?;
    config.application_name(application);
    // Certificates are always verified here; sslmode=disable is for those who want no encryption.
    let tls = match config.get_ssl_mode() {
        tokio_postgres::config::SslMode::Disable => None,
        _ => Some(connect::verified(roots())?),
    };
    Ok(connect::connect(&config, tls).await?)
}

/// The certificate authorities of this machine; one that cannot be read vouches for nobody.
fn roots() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn json(report: &Report) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| Error::Io { action: "write the report".into(), source: error.into() })?;
    Ok(text + "\n")
}
