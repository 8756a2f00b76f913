//! SQL over HTTP, run as exactly who asks.
//!
//! A request passes through these modules, in this order:
//!
//! * `server` accepts the connection, `service` finds what is asked for: [`sql`](mod@sql) or [`query`](mod@query).
//! * `client` and `connection_string` read the headers, `body` and `params` the body.
//! * `gateway` has it authenticated (by `postern-auth`; `keys` looks up API keys), counts it against its `limits`, and runs it
//!   (by `postern-pool`). `logins` counts those who are not let in, `waiting` what waits to be taken.
//! * `encode` and `stream` write what comes back, `failure` what went wrong, `response` the head.
//! * `account` tells the log, the `metrics` and the `telemetry` how it ended.
//!
//! Besides: [`config`] is the configuration, `examine` the examination at start, `openapi` the description.
//!
//! **Invariants**: each module names its own. The ones that the rest rests on:
//! - A statement runs only as an identity that the authenticator gave out for this very request.
//! - A success is said only after the commit.
//! - Nothing of a statement or its result becomes anything but a value in a body.
#![forbid(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links, reason = "the map above is for readers of the code")]

mod account;
mod body;
mod client;
pub mod config;
mod connection_string;
mod deliver;
mod encode;
mod examine;
mod failure;
mod gateway;
mod keys;
mod limits;
mod log;
mod logins;
mod metrics;
mod openapi;
mod params;
mod query;
mod response;
mod server;
mod service;
mod sql;
mod stream;
mod telemetry;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;

use postern_auth::Authenticator;
use postern_pool::Pool;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use config::Config;
pub use examine::examine;
pub use log::init as init_log;

use client::Surroundings;
use gateway::Gateway;
use keys::DatabaseKeys;
use limits::Limiter;
use logins::Logins;
use metrics::Metrics;
use server::{Certificate, Door, Server};
use telemetry::Telemetry;
use waiting::Budget;

/// Why a gate does not start. (Why a request fails is told to its client.)
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// An address cannot be listened on.
    #[error("could not listen on {address}, as {setting} says: {source}")]
    Listen {
        /// The key of the configuration that names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error("database cannot be used: {0}")]
    Database(String),
    /// The database could not be examined.
    #[error(transparent)]
    Doctor(#[from] postern_doctor::Error),
    /// The database would not keep what the gate promises.
    #[error(
        "the database is not safe to serve:\n{0}\nmend it (\"postern doctor\" says how), or allow each by its code in \
         doctor.allow"
    )]
    Dangerous(String),
}

/// A gate that is running.
pub struct Gate {
    gateway: Arc<Gateway>,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    tls: Option<Arc<Certificate>>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
}

impl Gate {
    /// Examines the database and starts to serve it.
    pub async fn start(config: Config) -> Result<Self, Error> {
        config.validate()?;
        examine::check(&config).await?;
        let unusable = |error: postern_pool::Error| match error {
            postern_pool::Error::Config(what) => Error::Config(format!("[database]: {what}")),
            postern_pool::Error::Unavailable { reason, .. } => Error::Database(reason),
            error => Error::Database(error.to_string()),
        };
        let pool = Pool::new(config.database.clone()).map_err(unusable)?;
        let database = pool.own("select pg_catalog.current_database()", &[], &[]).await.map_err(unusable)?;
        let database = database.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned();
        let authenticator = Authenticator::new(&config.auth, Arc::new(DatabaseKeys::new(pool.clone())))
            .map_err(|error| Error::Config(format!("[auth]: {error}")))?;
        authenticator.warm_up().await;

        let tls = config.listen.tls.as_ref().map(Certificate::read).transpose()?.map(Arc::new);
        let (listener, address) = listen("listen.address", config.listen.address).await?;
        let operators = match config.metrics.listen {
            Some(address) => Some(listen("metrics.listen", address).await?),
            None => None,
        };
        let (stop, stopping) = watch::channel(false);
        let metrics_token = config.metrics.token_file.as_deref().map(read_token).transpose()?;
        let gateway = Arc::new(Gateway {
            limiter: Limiter::new(&config.limits),
            logins: Logins::new(config.limits.failed_logins),
            waiting: Budget::new(config.limits.waiting_bytes),
            readiness: service::Readiness::default(),
            metrics: Metrics::new(),
            telemetry: config.telemetry.as_ref().map(Telemetry::start).transpose()?.map(Arc::new),
            surroundings: Surroundings::new(&config.listen, address.ip()),
            stopping: stopping.clone(),
            metrics_token,
            config,
            pool,
            authenticator,
            database,
        });
        let mut servers = JoinSet::new();
        let server = |listener, tls, door| Server {
            gateway: Arc::clone(&gateway),
            listener,
            tls,
            door,
            stopping: stopping.clone(),
        };
        servers.spawn(server(listener, tls.clone(), Door::Clients).run());
        let metrics_address = operators.map(|(listener, address)| {
            servers.spawn(server(listener, None, Door::Operators).run());
            address
        });
        tracing::info!(%address, database = gateway.database, "serving");
        Ok(Self { gateway, address, metrics_address, tls, stop, servers })
    }

    /// Where requests come in.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where operators read the metrics, if that is an address of its own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Shows operators what the outbound worker of this process counts, beside what the gate does. The first one counts.
    pub fn count_outbound(&self, stats: Arc<postern_outbound::Stats>) {
        let _ = self.gateway.metrics.outbound.set(stats);
    }

    /// Reads the certificate and its key again, for connections to come. If they cannot be used, the log says why, and those
    /// that there are stay.
    pub fn renew_certificate(&self) {
        match self.tls.as_ref().map(|certificate| certificate.renew()) {
            Some(Ok(())) => tracing::info!("certificate renewed"),
            Some(Err(error)) => tracing::error!(%error, "certificate not renewed"),
            None => tracing::info!("no certificate to renew: there is no section [listen.tls]"),
        }
    }

    /// Takes no more requests, lets those that run end, and closes the connections to the database.
    pub async fn shutdown(mut self) {
        // Nobody listens if all servers have ended.
        let _ = self.stop.send(true);
        while self.servers.join_next().await.is_some() {}
        let time = self.gateway.config.limits.grace;
        if tokio::time::timeout(time, self.gateway.pool.close()).await.is_err() {
            tracing::warn!("connections to the database were still busy at the end of the time for stopping");
        }
        if let Some(telemetry) = &self.gateway.telemetry {
            Arc::clone(telemetry).stop().await;
        }
    }
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { setting, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn read_token(path: &std::path::Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Config(format!("metrics.token_file: \"{}\": {error}", path.display())))?;
    match text.trim() {
        // Too short to be anything but a mistake.
        token if token.len() < 16 => {
            Err(Error::Config("metrics.token_file: the token has less than 16 characters".to_owned()))
        }
        token => Ok(token.to_owned()),
    }
}
