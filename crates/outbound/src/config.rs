//! `[outbound]` of `postern.toml`.
//!
//! ```toml
//! [outbound]
//! url = "postgresql://postern_outbound@/app?host=/run/postgresql"
//! password_file = "/etc/postern/outbound-password"
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::config::{Host, SslMode};

use crate::Error;

/// The settings of a worker.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the requests are: `postgresql://postern_outbound@host/database`, as libpq writes it. Without `sslmode=disable` a
    /// host that is not this machine has to prove its name.
    pub url: String,
    /// A file with the password, read for each new connection. A final line end is not part of it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities to trust for the database. Default: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A file with the key of secrets, the same that the server's `postern.secrets_key_file` names: 64 hexadecimal digits. It is read
    /// when a request needs it.
    #[serde(default)]
    pub secrets_key_file: Option<PathBuf>,
    /// How many redirects a request follows, each checked as the request was. Default: none, a 3xx is a result.
    #[serde(default)]
    pub redirects: usize,
    /// Requests at one time.
    #[serde(default = "in_flight")]
    pub in_flight: usize,
    /// Requests to one host at one time.
    #[serde(default = "per_host")]
    pub per_host: usize,
    /// Bytes of a response's body; a longer one fails its step.
    #[serde(default = "response_bytes")]
    pub response_bytes: usize,
    /// How long making a connection may take.
    #[serde(default = "connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// For how long a request is taken; a worker that lives takes it for longer in time. When one has died, its requests are
    /// sent again by others after this.
    #[serde(default = "lease", with = "humantime_serde")]
    pub lease: Duration,
    /// How long requests under way may take to end when the worker stops; what is left is given back.
    #[serde(default = "shutdown_timeout", with = "humantime_serde")]
    pub shutdown_timeout: Duration,
}

fn in_flight() -> usize {
    2_000
}

fn per_host() -> usize {
    100
}

fn response_bytes() -> usize {
    10 << 20
}

fn connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn lease() -> Duration {
    Duration::from_secs(30)
}

fn shutdown_timeout() -> Duration {
    Duration::from_secs(10)
}

impl fmt::Debug for Config {
    // The URL may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("in_flight", &self.in_flight)
            .field("per_host", &self.per_host)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A worker for this database, with the defaults for the rest.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password_file: None,
            ca_file: None,
            secrets_key_file: None,
            redirects: 0,
            in_flight: in_flight(),
            per_host: per_host(),
            response_bytes: response_bytes(),
            connect_timeout: connect_timeout(),
            lease: lease(),
            shutdown_timeout: shutdown_timeout(),
        }
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), Error> {
        self.database().map(drop)?;
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        if self.in_flight == 0 || self.per_host == 0 {
            return wrong("in_flight and per_host must be at least 1");
        }
        if !(1 << 10..=256 << 20).contains(&self.response_bytes) {
            return wrong("response_bytes must be between 1 kB and 256 MB");
        }
        if self.lease < Duration::from_secs(1) || self.lease > Duration::from_hours(1) {
            return wrong("lease must be between 1s and 1h");
        }
        if self.redirects > 20 {
            return wrong("redirects must be at most 20");
        }
        if self.connect_timeout.is_zero() {
            return wrong("connect_timeout must be more than 0");
        }
        Ok(())
    }

    /// How to connect. Its errors do not quote the URL.
    pub(crate) fn database(&self) -> Result<tokio_postgres::Config, Error> {
        let refused = |why: &str| Error::Config(why.to_owned());
        let mut database = tokio_postgres::Config::from_str(&self.url)
            .map_err(|_| refused("url is not a PostgreSQL connection URL that can be used here"))?;
        if database.get_user().is_none() {
            database.user("postern_outbound");
        }
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Error::Config(format!("could not read \"{}\": {error}", file.display())))?;
            database.password(text.strip_suffix('\n').unwrap_or(&text));
        }
        database.application_name("postern outbound").connect_timeout(self.connect_timeout);
        if database.get_ssl_mode() != SslMode::Disable {
            let here = |host: &Host| match host {
                Host::Unix(_) => true,
                Host::Tcp(name) => {
                    name == "localhost"
                        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
                }
            };
            let mode =
                if database.get_hosts().iter().all(here) { SslMode::Disable } else { SslMode::Require };
            database.ssl_mode(mode);
        }
        Ok(database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_has_to_prove_its_name() {
        let mode = |url: &str| Config::new(url).database().unwrap().get_ssl_mode();
        assert_eq!(mode("postgresql://db.example.com/app"), SslMode::Require);
        assert_eq!(mode("postgresql://db.example.com/app?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgresql:///app?host=/run/postgresql"), SslMode::Disable);
        assert_eq!(mode("postgresql://127.0.0.1/app"), SslMode::Disable);
        assert_eq!(mode("postgresql://localhost,db.example.com/app"), SslMode::Require);
    }

    #[test]
    fn mistakes_are_named_and_passwords_are_not_shown() {
        let error = |text: &str| toml::from_str::<Config>(text).unwrap().validate().unwrap_err().to_string();
        assert!(!error("url = 'postgresql://u:s3cret@h:x/app'").contains("s3cret"));
        assert!(error("url = 'postgresql://h/app'\nper_host = 0").contains("per_host"));
        assert!(toml::from_str::<Config>("url = 'postgresql://h/app'\nleese = '1s'").is_err());
        assert!(!format!("{:?}", Config::new("postgresql://u:s3cret@h/app")).contains("s3cret"));
    }
}
