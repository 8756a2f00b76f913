//! The worker's one connection, and every statement over it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postern_durable::Failure;
use postern_durable::request::Target;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use crate::call::Job;
use crate::{Config, Error};

/// What became of a request.
pub type Came = Result<Value, Failure>;

/// A connection that listens.
pub struct Database {
    client: Client,
    /// Rung when the server has something to say.
    pub rung: Arc<Notify>,
    connection: JoinHandle<()>,
    worker: String,
    lease: f64,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Database {
    pub async fn connect(config: &Config, worker: Uuid) -> Result<Self, Error> {
        let database = config.database()?;
        let rung = Arc::new(Notify::new());
        let (client, connection) = if database.get_ssl_mode() == SslMode::Disable {
            run(&database, NoTls, &rung).await?
        } else {
            run(&database, MakeRustlsConnect::new(tls(config)?), &rung).await?
        };
        client.batch_execute("LISTEN postern_outbound").await?;
        Ok(Self { client, rung, connection, worker: worker.to_string(), lease: config.lease.as_secs_f64() })
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Takes requests that are due, none to the hosts that are busy.
    pub async fn claim(&self, most: usize, busy: &[String]) -> Result<Vec<Job>, Error> {
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let rows = self
            .client
            .query(
                "SELECT id, key, scheme, host, port, request, refusal, private, sends, secrets \
                 FROM postern.outbound_claim($1::text::uuid, $2, $3, $4)",
                &[&self.worker, &self.lease, &most, &busy],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Job {
                    id: row.try_get(0)?,
                    key: row.try_get(1)?,
                    target: Target {
                        scheme: row.try_get(2)?,
                        host: row.try_get(3)?,
                        port: u16::try_from(row.try_get::<_, i32>(4)?).unwrap_or(0),
                    },
                    request: row.try_get(5)?,
                    refusal: row.try_get(6)?,
                    private: row.try_get(7)?,
                    sends: row.try_get(8)?,
                    secrets: sealed(row.try_get(9)?),
                })
            })
            .collect()
    }

    /// Whether a request that was taken may go elsewhere: whether that host may have any address, or why not.
    pub async fn redirect(&self, id: i64, to: &Target, method: &str) -> Result<Result<bool, String>, Error> {
        let port = i32::from(to.port);
        let row = self
            .client
            .query_one(
                "SELECT refusal, private FROM postern.outbound_redirect($1::text::uuid, $2, $3, $4, $5, $6)",
                &[&self.worker, &id, &to.scheme, &to.host, &port, &method],
            )
            .await?;
        let (refusal, private): (Option<String>, bool) = (row.try_get(0)?, row.try_get(1)?);
        Ok(refusal.map_or(Ok(private), Err))
    }

    /// In how long the next request is due, if there is one.
    pub async fn next(&self) -> Result<Option<Duration>, Error> {
        let row = self.client.query_one("SELECT postern.outbound_next()", &[]).await?;
        let seconds: Option<f64> = row.try_get(0)?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
    }

    /// Keeps requests; gives those that are still wanted.
    pub async fn renew(&self, ids: &[i64]) -> Result<Vec<i64>, Error> {
        let rows = self
            .client
            .query(
                "SELECT postern.outbound_renew($1::text::uuid, $2, $3)",
                &[&self.worker, &self.lease, &ids],
            )
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Gives requests back.
    pub async fn release(&self, ids: &[i64]) -> Result<(), Error> {
        self.client
            .execute("SELECT postern.outbound_release($1::text::uuid, $2)", &[&self.worker, &ids])
            .await?;
        Ok(())
    }

    /// Writes what came of requests, all in one transaction; gives how many are not wanted any more.
    pub async fn done(&self, answers: &[(i64, Came)]) -> Result<usize, Error> {
        let ids: Vec<i64> = answers.iter().map(|(id, _)| *id).collect();
        let results: Vec<Option<String>> =
            answers.iter().map(|(_, came)| came.as_ref().ok().map(Value::to_string)).collect();
        let errors: Vec<Option<String>> =
            answers.iter().map(|(_, came)| came.as_ref().err().map(Failure::to_result)).collect();
        let rows = self
            .client
            .query(
                "SELECT postern.outbound_done($1::text::uuid, a.id, a.result::json, a.error::json) \
                 FROM unnest($2::int8[], $3::text[], $4::text[]) WITH ORDINALITY a(id, result, error, n) ORDER BY a.id",
                &[&self.worker, &ids, &results, &errors],
            )
            .await?;
        let mut late = 0;
        for row in &rows {
            if !row.try_get::<_, bool>(0)? {
                late += 1;
            }
        }
        Ok(late)
    }
}

/// Secrets as the server gives them.
fn sealed(text: Option<String>) -> BTreeMap<String, String> {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

async fn run<T>(
    database: &tokio_postgres::Config,
    tls: T,
    rung: &Arc<Notify>,
) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) = database.connect(tls).await?;
    let bell = Arc::clone(rung);
    let task = tokio::spawn(async move {
        loop {
            match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(_))) => bell.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        // Whoever waits finds that the connection is closed.
        drop(connection);
        bell.notify_one();
    });
    Ok((client, task))
}

fn tls(config: &Config) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    match &config.ca_file {
        Some(file) => {
            let wrong = |error: String| Error::Config(format!("ca_file \"{}\": {error}", file.display()));
            let found: Result<Vec<_>, _> =
                CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?.collect();
            roots.add_parsable_certificates(found.map_err(|error| wrong(error.to_string()))?);
        }
        // One that cannot be read vouches for nobody.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(error.to_string()))
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
}
