//! The examination at start: does the database keep what the gate promises?
//!
//! The connection is made the way the pool makes its own (address, login role, TLS), but apart from it: the examination
//! wants a connection that no stranger has used.

use std::str::FromStr;
use std::sync::Arc;

use postern_doctor::{Report, Settings, connect};
use postern_pool::Tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::{Host, SslMode};

use crate::{Config, Error};

/// Examines the database of a configuration, and there the roles that it names and these.
pub async fn examine(config: &Config, roles: &[String]) -> Result<Report, Error> {
    let database = &config.database;
    let mut target = tokio_postgres::Config::new();
    if let Some(url) = &database.url {
        // The reader's own message could quote the password.
        target = tokio_postgres::Config::from_str(url.expose())
            .map_err(|_| Error::Config("[database]: url is not a PostgreSQL connection URL".to_owned()))?;
    }
    if let Some(host) = &database.host {
        target = without_host(&target);
        target.host(host);
    } else if target.get_hosts().is_empty() {
        target.host("localhost");
    }
    if let Some(port) = database.port {
        target = without_port(&target);
        target.port(port);
    }
    let user = database.user.clone().or_else(|| target.get_user().map(str::to_owned));
    let user = user.unwrap_or_else(|| "postern_gate".to_owned());
    target.user(&user);
    match &database.dbname {
        Some(dbname) => drop(target.dbname(dbname)),
        None if target.get_dbname().is_none() => drop(target.dbname(&user)),
        None => {}
    }
    if let Some(file) = &database.password_file {
        let password = std::fs::read_to_string(file)
            .map_err(|error| Error::Config(format!("could not read \"{}\": {error}", file.display())))?;
        target.password(password.trim_end_matches(['\r', '\n']));
    } else if let Some(password) = &database.password {
        target.password(password.expose());
    }
    target.connect_timeout(database.connect_timeout).application_name("postern doctor");

    let mode = tls_mode(database, &target);
    let tls = match mode {
        Tls::Disable => {
            target.ssl_mode(SslMode::Disable);
            None
        }
        Tls::Require | Tls::VerifyFull => {
            target.ssl_mode(SslMode::Require);
            Some(client_config(mode, database.ca_file.as_deref())?)
        }
    };
    let mut all: Vec<String> = config.auth.roles().into_iter().map(|role| role.as_str().to_owned()).collect();
    all.extend_from_slice(roles);
    let settings = Settings {
        gate_role: user,
        roles: all,
        certificate_verified: (mode != Tls::Disable).then_some(mode == Tls::VerifyFull),
        ..Settings::default()
    };
    let client = connect::connect(&target, tls).await?;
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

/// The pool's own rule: no TLS over a Unix socket, none by default towards this machine, the full check elsewhere.
fn tls_mode(database: &postern_pool::Config, target: &tokio_postgres::Config) -> Tls {
    let [Host::Tcp(host)] = target.get_hosts() else { return Tls::Disable };
    let from_url = match target.get_ssl_mode() {
        SslMode::Disable => Some(Tls::Disable),
        SslMode::Require => Some(Tls::Require),
        _ => None,
    };
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    database.tls.or(from_url).unwrap_or(if loopback { Tls::Disable } else { Tls::VerifyFull })
}

/// A copy that names no host yet: setting one adds it.
fn without_host(from: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut config = without_address(from);
    for port in from.get_ports() {
        config.port(*port);
    }
    config
}

fn without_port(from: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut config = without_address(from);
    for host in from.get_hosts() {
        match host {
            Host::Tcp(name) => config.host(name),
            Host::Unix(folder) => config.host_path(folder),
        };
    }
    config
}

fn without_address(from: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    if let Some(user) = from.get_user() {
        config.user(user);
    }
    if let Some(dbname) = from.get_dbname() {
        config.dbname(dbname);
    }
    if let Some(password) = from.get_password() {
        config.password(password);
    }
    config.ssl_mode(from.get_ssl_mode());
    config
}

fn client_config(mode: Tls, ca_file: Option<&std::path::Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let wrong = |error: &dyn std::fmt::Display| {
                Error::Config(format!("[database]: could not read ca_file \"{}\": {error}", file.display()))
            };
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
                roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let mut config = connect::verified(roots)?;
    if mode == Tls::Require {
        config.dangerous().set_certificate_verifier(Arc::new(Anyone(ring::default_provider())));
    }
    Ok(config)
}

/// `tls = "require"`: encryption towards whoever answers, as configured (and as the examination itself complains about).
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Tls {
        let database: postern_pool::Config = toml::from_str(text).unwrap();
        let url = database.url.as_ref().map_or("", |url| url.expose());
        tls_mode(&database, &tokio_postgres::Config::from_str(url).unwrap())
    }

    #[test]
    fn the_examination_is_encrypted_as_the_pool_is() {
        assert_eq!(mode("url = \"postgresql://localhost/app\""), Tls::Disable);
        assert_eq!(mode("url = \"postgresql://db.example/app\""), Tls::VerifyFull);
        assert_eq!(mode("url = \"postgresql://db.example/app?sslmode=require\""), Tls::Require);
        assert_eq!(
            mode("url = \"postgresql://db.example/app?sslmode=require\"\ntls = \"verify-full\""),
            Tls::VerifyFull
        );
        assert_eq!(mode("url = \"postgresql:///app?host=/run/postgresql\"\ntls = \"require\""), Tls::Disable);
    }

    #[test]
    fn a_setting_of_its_own_replaces_that_of_the_url() {
        let url = tokio_postgres::Config::from_str("postgresql://u:p@h:1/d").unwrap();
        let mut other = without_host(&url);
        other.host("other");
        assert_eq!((other.get_hosts(), other.get_ports()), (&[Host::Tcp("other".into())][..], &[1][..]));
        let mut other = without_port(&url);
        other.port(2);
        assert_eq!((other.get_hosts(), other.get_ports()), (&[Host::Tcp("h".into())][..], &[2][..]));
        assert_eq!((other.get_user(), other.get_dbname()), (Some("u"), Some("d")));
    }
}
