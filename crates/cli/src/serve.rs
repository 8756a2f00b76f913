//! `postern serve`: a gate by its configuration.

use std::path::Path;

use postern_gate::{Config, Gate};
use postern_outbound::Outbound;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Serve;
use crate::error::Error;
use crate::up::Stop;

pub fn run(args: &Serve) -> Result<(), Error> {
    let config = load(&args.config)?;
    runtime()?.block_on(async {
        let caught = |source| Error::Io { action: "catch signals".into(), source };
        let stop = Stop::on_signals_but_hangup().map_err(caught)?;
        let hangup = signal(SignalKind::hangup()).map_err(caught)?;
        gate(config, stop, Some(hangup), |url| format!("postern is listening on {url}\n")).await
    })
}

/// Runs a gate, and the outbound worker if there is to be one, until it is asked to stop. Says where it listens, in these
/// words, once it does. Each hangup renews the gate's certificate.
pub async fn gate(
    config: Config,
    stop: Stop,
    hangup: Option<Signal>,
    greeting: impl FnOnce(&str) -> String,
) -> Result<(), Error> {
    postern_gate::init_log(&config)?;
    let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
    let outbound = config.outbound.clone();
    let gate = Gate::start(config).await?;
    let outbound = outbound.map(Outbound::start).transpose()?;
    if let Some(outbound) = &outbound {
        gate.count_outbound(outbound.shared_stats());
    }
    crate::print(&greeting(&format!("{scheme}://{}", gate.local_addr())))?;
    tokio::select! {
        () = stop.asked() => {}
        () = renewing(&gate, hangup) => {}
    }
    eprintln!("stopping");
    match outbound {
        Some(outbound) => {
            tokio::join!(gate.shutdown(), outbound.shutdown());
        }
        None => gate.shutdown().await,
    }
    Ok(())
}

/// Renews the certificate with each signal; for ever.
async fn renewing(gate: &Gate, hangup: Option<Signal>) {
    if let Some(mut hangup) = hangup {
        while hangup.recv().await.is_some() {
            gate.renew_certificate();
        }
    }
    std::future::pending::<()>().await;
}

/// Reads a configuration; whatever is wrong with it names the file.
pub fn load(file: &Path) -> Result<Config, Error> {
    let wrong = |reason: String| Error::Config { file: file.to_owned(), reason };
    let config = Config::load(file).map_err(|error| wrong(error.to_string()))?;
    // A slip of the pen must not look as if something were allowed.
    match postern_doctor::codes::first_unknown(&config.doctor.allow) {
        Some(entry) => Err(wrong(format!("doctor.allow: there is no finding \"{entry}\""))),
        None => Ok(config),
    }
}

pub fn runtime() -> Result<Runtime, Error> {
    Runtime::new().map_err(|source| Error::Io { action: "start".into(), source })
}
