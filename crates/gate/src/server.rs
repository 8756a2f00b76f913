//! Connections of clients: accepting, TLS, HTTP/1 and HTTP/2, and stopping in order.
//!
//! **Invariants**: the number of connections is bounded. A head that does not come (the first one whatever the protocol), and
//! a handshake that does not end, are not waited for, nor is a client that does not take its answer. Stopping takes no new connections, lets running requests end, and does not wait for ever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use postern_core::{Code, Protocol};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::client::Surroundings;
use crate::config::{Listen, Tls};
use crate::gateway::Gateway;
use crate::response;
use crate::service::{respond, respond_to_operator};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// All headers of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// After accepting failed, mostly for want of file descriptors, which others have to give back first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which service an address has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Clients,
    Operators,
}

/// Accepts connections on one address until told to stop.
pub(crate) struct Server {
    pub gateway: Arc<Gateway>,
    pub listener: TcpListener,
    pub tls: Option<Arc<Certificate>>,
    pub door: Door,
    pub stopping: watch::Receiver<bool>,
}

impl Server {
    /// Runs until stopped and all connections have ended, or the time for that is over.
    pub(crate) async fn run(mut self) {
        let listen = &self.gateway.config.listen;
        let permits = Arc::new(Semaphore::new(listen.connections.get()));
        let graceful = GracefulShutdown::new();
        let builder = Arc::new(builder(listen));
        let own_host = Arc::new(OwnHost::of(&self.listener));
        let (patience, shutdown_timeout) = (ACCEPT_PAUSE, listen.shutdown_timeout);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => break,
                accepted = accept(&self.listener, &permits) => accepted,
            };
            let (stream, peer, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(patience).await;
                    continue;
                }
            };
            // A delayed small packet is a delayed answer; an address that is gone already fails soon enough.
            let _ = stream.set_nodelay(true);
            let connection = Connection {
                gateway: Arc::clone(&self.gateway),
                peer,
                door: self.door,
                own_host: Arc::clone(&own_host),
            };
            let (builder, watcher) = (Arc::clone(&builder), graceful.watcher());
            match self.tls.as_ref().map(|certificate| certificate.acceptor()) {
                None => drop(tokio::spawn(async move {
                    connection.serve(&builder, stream, watcher).await;
                    drop(permit);
                })),
                Some(acceptor) => drop(tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => connection.serve(&builder, stream, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake did not end"),
                    }
                    drop(permit);
                })),
            }
        }
        drop(self.listener);
        if tokio::time::timeout(shutdown_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still running at the end of the time for stopping");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // Closed only if nobody holds it: never here.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

fn builder(listen: &Listen) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(listen.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Some(listen.header_timeout.max(Duration::from_secs(1))));
    builder
}

struct Connection {
    gateway: Arc<Gateway>,
    peer: SocketAddr,
    door: Door,
    own_host: Arc<OwnHost>,
}

/// What the address for operators may be called: by where it is bound, as `listen.hosts` are names of the other one.
struct OwnHost(Option<Surroundings>);

impl OwnHost {
    fn of(listener: &TcpListener) -> Self {
        let bound = listener.local_addr().ok();
        Self(bound.map(|bound| Surroundings::new(&Listen::default(), bound.ip())))
    }

    fn check(&self, request: &Request<Incoming>) -> Result<(), Code> {
        let surroundings = self.0.as_ref().ok_or(Code::Host)?;
        surroundings.check_host(request.uri(), request.headers())
    }
}

impl Connection {
    async fn serve(
        self,
        builder: &Builder<TokioExecutor>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let (peer, patience) = (self.peer, self.gateway.config.limits.slow_reader);
        let head_within = self.gateway.config.listen.header_timeout;
        let begun = Arc::new(AtomicBool::new(false));
        let has_begun = Arc::clone(&begun);
        let service = service_fn(move |request: Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            let (gateway, door, own_host) =
                (Arc::clone(&self.gateway), self.door, Arc::clone(&self.own_host));
            async move {
                Ok::<_, Infallible>(match door {
                    Door::Clients => respond(&gateway, peer, request).await,
                    Door::Operators => match own_host.check(&request) {
                        Ok(()) => respond_to_operator(&gateway, request.uri().path()).await,
                        Err(code) => response::failure(&code.into(), Protocol::V1, true),
                    },
                })
            }
        });
        // A client that takes nothing of what is ready for it is gone.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(patience));
        let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(watcher.watch(connection));
        // Nobody else counts the time until it is known which HTTP this is.
        let result = match tokio::time::timeout(head_within, &mut connection).await {
            Ok(result) => result,
            Err(_) if has_begun.load(Ordering::Relaxed) => connection.await,
            Err(_) => return tracing::debug!(%peer, "no request came"),
        };
        if let Err(error) = result {
            // Nothing that anyone here could mend.
            tracing::debug!(%peer, error, "connection ended");
        }
    }
}

/// What new connections are shown: certificate and key as they were read last.
pub(crate) struct Certificate {
    files: Tls,
    acceptor: RwLock<TlsAcceptor>,
}

impl Certificate {
    /// Reads the files.
    pub(crate) fn read(files: &Tls) -> Result<Self, Error> {
        Ok(Self { acceptor: RwLock::new(acceptor(files)?), files: files.clone() })
    }

    /// Reads them again. If they cannot be used, what there was stays. Connections that are open keep what they have.
    pub(crate) fn renew(&self) -> Result<(), Error> {
        let acceptor = acceptor(&self.files)?;
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads certificate and key.
fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Error> {
    let wrong = |key: &str, path: &std::path::Path, error: &dyn std::fmt::Display| {
        Error::Config(format!("listen.tls.{key}: \"{}\": {error}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&tls.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("cert_file", &tls.cert_file, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|error| wrong("key_file", &tls.key_file, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| wrong("cert_file", &tls.cert_file, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
