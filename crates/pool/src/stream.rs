//! The byte stream to the server: TCP, a Unix socket, or TLS over TCP.
//!
//! **Invariant.** With [`crate::Tls::VerifyFull`] not a byte of startup is sent to a server that has not proved its name.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Error;
use crate::config::{Address, Target};

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How to reach the server; made once, for all connections.
pub(crate) struct Route {
    address: Address,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Route {
    pub fn new(target: &Target) -> Result<Self, Error> {
        let tls = match (&target.address, target.client_config()?) {
            (Address::Tcp { host, .. }, Some(config)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    Error::Config(format!("host \"{host}\" cannot be the name in a certificate"))
                })?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            _ => None,
        };
        Ok(Self { address: target.address.clone(), tls })
    }

    pub async fn open(&self) -> io::Result<Stream> {
        let (host, port) = match &self.address {
            Address::Unix { folder, port } => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                return Ok(Stream::Unix(UnixStream::connect(path).await?));
            }
            Address::Tcp { host, port } => (host.as_str(), *port),
        };
        let mut tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Stream::Tcp(tcp));
        };
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await?;
        // Exactly one byte is read: what someone pushes in behind it goes into the handshake, and breaks it.
        if tcp.read_u8().await? != b'S' {
            return Err(io::Error::other("the server does not offer TLS"));
        }
        Ok(Stream::Tls(Box::new(connector.connect(name.clone(), tcp).await?)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            // A socket has no buffer of its own.
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
