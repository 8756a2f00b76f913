//! A connection to the database that a command looks at.

use std::path::Path;

use postern_cluster::SUPERUSER;
use postern_doctor::connect;
use tokio_postgres::Client;

use crate::error::Error;
use crate::{up, url};

/// The URL that was given, or that of the private PostgreSQL in the folder.
pub fn url_or(given: Option<&String>, folder: &Path) -> Result<String, Error> {
    match given {
        Some(url) => Ok(url.clone()),
        None => Ok(url::address(folder)?.url(SUPERUSER, up::DATABASE)),
    }
}

/// Connects. Certificates are always verified; sslmode=disable is for those who want no encryption.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let config = connect::parse(url)?;
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
