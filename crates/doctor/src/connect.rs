//! A connection for an examination, for those who have none of their own.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Error;

/// Reads a connection string in either of libpq's forms.
pub fn parse(url: &str) -> Result<Config, Error> {
    url.parse().map_err(Error::Url)
}

/// Connects. Without a TLS configuration the connection is not encrypted.
///
/// The connection is driven by a task of its own, which ends when the client is dropped.
pub async fn connect(config: &Config, tls: Option<ClientConfig>) -> Result<Client, Error> {
    let mut config = config.clone();
    if config.get_application_name().is_none() {
        config.application_name("postern doctor");
    }
    match tls {
        None => run(&config, NoTls).await,
        Some(tls) => run(&config, MakeRustlsConnect::new(tls)).await,
    }
}

/// TLS as for any site: certificates are verified against the certificate authorities given.
pub fn verified(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn run<T>(config: &Config, tls: T) -> Result<Client, Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    T::TlsConnect: Send,
{
    let (client, connection) = config.connect(tls).await.map_err(Error::Connect)?;
    tokio::spawn(async move {
        // The query that is under way reports the error to whoever waits for it.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection of the examination ended");
        }
    });
    Ok(client)
}
