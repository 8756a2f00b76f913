//! Where the database is and how many connections it gets: section `[database]` of `postern.toml`.
//!
//! **Invariant.** No secret is ever shown: `Debug` prints neither the password nor the URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::Error;

/// The settings of a pool. Single settings win over what `url` says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `postgresql://user:password@host:port/dbname`, as libpq writes it.
    pub url: Option<Secret>,
    /// A host name, an address, or the folder of a Unix socket (starts with `/`). Default: `localhost`.
    pub host: Option<String>,
    /// The port; it names the socket file, too. Default: 5432.
    pub port: Option<u16>,
    /// The database. Default: the name of the user.
    pub dbname: Option<String>,
    /// The login role, which owns nothing and may do nothing but enter. Default: `postern_gate`.
    pub user: Option<String>,
    /// The password of that role.
    pub password: Option<Secret>,
    /// A file with the password, read for each new connection. A final line end is not part of it.
    pub password_file: Option<PathBuf>,
    /// Default: `verify-full`, but `disable` towards a loopback address. A Unix socket has no TLS.
    pub tls: Option<Tls>,
    /// Certificates (PEM) of the authorities to trust. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Connections for requests, at most; one more is for SQL of our own.
    pub connections: usize,
    /// Requests that may wait for a connection; one more is refused at once.
    pub queue: usize,
    /// How long a request may wait for a connection.
    #[serde(with = "humantime_serde")]
    pub queue_timeout: Duration,
    /// How long making a connection, or stopping a statement, may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// A connection is replaced after this many requests.
    pub max_requests: u64,
    /// A connection is replaced at this age.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// How long the place of a request that cost a connection is kept, so that who makes us connect again and again does it
    /// only so often.
    #[serde(with = "humantime_serde")]
    pub reconnect_pause: Duration,
    /// Statements whose plans are kept, per connection; 0 keeps none.
    pub statements: usize,
    /// The largest message taken from the server, which is normally one row.
    pub max_message_bytes: usize,
    /// The largest amount of SQL and parameters that one request may send.
    pub max_request_bytes: usize,
}

/// Whether the connection is encrypted, and whether the server has to prove its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// No encryption.
    Disable,
    /// Encrypted, but to whoever answers: no protection against someone in the middle.
    Require,
    /// Encrypted, and the certificate is valid for the host's name.
    VerifyFull,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            host: None,
            port: None,
            dbname: None,
            user: None,
            password: None,
            password_file: None,
            tls: None,
            ca_file: None,
            connections: 16,
            queue: 1_000,
            queue_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            max_requests: 100_000,
            max_age: Duration::from_hours(1),
            reconnect_pause: Duration::from_millis(250),
            statements: 100,
            max_message_bytes: 64 << 20,
            max_request_bytes: 64 << 20,
        }
    }
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host, by name or address.
    Tcp {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A socket in this folder.
    Unix {
        /// The folder.
        folder: PathBuf,
        /// The port, which names the socket file.
        port: u16,
    },
}

/// What a [`Config`] comes to: where to connect, and as whom. For who connects as the pool does.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// To which database.
    pub dbname: String,
    /// As which role.
    pub user: String,
    /// How the connection is protected; never over a Unix socket.
    pub tls: Tls,
    ca_file: Option<PathBuf>,
    password: Password,
}

impl Target {
    /// What proves the role, as it is now.
    pub fn password(&self) -> Result<Option<Secret>, Error> {
        self.password.read()
    }

    /// How TLS is to be spoken; `None` if it is not.
    pub fn client_config(&self) -> Result<Option<rustls::ClientConfig>, Error> {
        crate::tls::client_config(self.tls, self.ca_file.as_deref())
    }
}

#[derive(Debug, Clone)]
enum Password {
    None,
    Text(Secret),
    File(PathBuf),
}

impl Password {
    fn read(&self) -> Result<Option<Secret>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Text(secret) => Ok(Some(secret.clone())),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Error::Config(format!("could not read password_file \"{}\": {error}", path.display()))
                })?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Some(text.strip_suffix('\r').unwrap_or(text).into()))
            }
        }
    }
}

/// A longer pause would only take places away.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

impl Config {
    /// Checks everything that can be checked without a connection.
    pub fn validate(&self) -> Result<(), Error> {
        self.target().map(drop)
    }

    /// Where the pool connects, and as whom.
    pub fn target(&self) -> Result<Target, Error> {
        self.check_numbers()?;
        let url = self.url.as_ref().map(|url| Url::parse(url.expose())).transpose()?.unwrap_or_default();
        let port = self.port.or(url.port).unwrap_or(5432);
        let host = self.host.clone().or(url.host).unwrap_or_else(|| "localhost".to_owned());
        let (address, default_tls) = if host.starts_with('/') {
            (Address::Unix { folder: PathBuf::from(host), port }, Tls::Disable)
        } else {
            let tls = if is_loopback(&host) { Tls::Disable } else { Tls::VerifyFull };
            (Address::Tcp { host, port }, tls)
        };
        let user = self.user.clone().or(url.user).unwrap_or_else(|| "postern_gate".to_owned());
        let dbname = self.dbname.clone().or(url.dbname).unwrap_or_else(|| user.clone());
        if user.contains('\0') || dbname.contains('\0') {
            return Err(Error::Config("user and dbname cannot contain a NUL byte".to_owned()));
        }
        let password = match (&self.password, &self.password_file, url.password) {
            (Some(_), Some(_), _) => {
                return Err(Error::Config("password and password_file cannot both be set".to_owned()));
            }
            (_, Some(file), _) => Password::File(file.clone()),
            (Some(secret), _, _) => Password::Text(secret.clone()),
            (_, _, Some(secret)) => Password::Text(secret),
            _ => Password::None,
        };
        password.read()?;
        let tls = match (&address, self.tls.or(url.tls)) {
            (Address::Unix { .. }, _) => Tls::Disable,
            (Address::Tcp { .. }, tls) => tls.unwrap_or(default_tls),
        };
        Ok(Target { address, dbname, user, password, tls, ca_file: self.ca_file.clone() })
    }

    fn check_numbers(&self) -> Result<(), Error> {
        let least = |name: &str, value: u64, least: u64| {
            if value < least {
                Err(Error::Config(format!("{name} must be at least {least}")))
            } else {
                Ok(())
            }
        };
        least("connections", self.connections as u64, 1)?;
        least("max_requests", self.max_requests, 1)?;
        least("max_message_bytes", self.max_message_bytes as u64, 64 << 10)?;
        least("max_request_bytes", self.max_request_bytes as u64, 1 << 10)?;
        if self.max_message_bytes.max(self.max_request_bytes) > 1 << 30 {
            return Err(Error::Config(
                "max_message_bytes and max_request_bytes can be 1 GiB at most".to_owned(),
            ));
        }
        if self.connections > 10_000 {
            return Err(Error::Config("connections can be 10000 at most".to_owned()));
        }
        if self.reconnect_pause > LONGEST_PAUSE {
            return Err(Error::Config("reconnect_pause can be 1 minute at most".to_owned()));
        }
        if self.connect_timeout.is_zero() || self.max_age.is_zero() {
            return Err(Error::Config("connect_timeout and max_age must be longer than zero".to_owned()));
        }
        Ok(())
    }
}

/// The parts of a connection URL.
#[derive(Default)]
struct Url {
    host: Option<String>,
    port: Option<u16>,
    dbname: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    tls: Option<Tls>,
}

impl Url {
    fn parse(text: &str) -> Result<Self, Error> {
        use tokio_postgres::config::{Host, SslMode};

        // The reader's own message could quote the password.
        let refused = |why: &str| Error::Config(format!("url {why}"));
        let url = tokio_postgres::Config::from_str(text)
            .map_err(|_| refused("is not a PostgreSQL connection URL that can be used here"))?;
        let host = match url.get_hosts() {
            [] => None,
            [Host::Tcp(name)] => Some(name.clone()),
            #[cfg(unix)]
            [Host::Unix(folder)] => {
                Some(folder.to_str().ok_or_else(|| refused("names a folder that is not UTF-8"))?.to_owned())
            }
            _ => return Err(refused("names more than one host")),
        };
        if url.get_options().is_some() {
            return Err(refused("cannot carry server options"));
        }
        let password = url.get_password().map(|bytes| {
            String::from_utf8(bytes.to_vec())
                .map(Secret)
                .map_err(|_| refused("has a password that is not UTF-8"))
        });
        Ok(Self {
            host,
            port: url.get_ports().first().copied(),
            dbname: url.get_dbname().map(str::to_owned),
            user: url.get_user().map(str::to_owned),
            password: password.transpose()?,
            tls: match url.get_ssl_mode() {
                SslMode::Disable => Some(Tls::Disable),
                SslMode::Require => Some(Tls::Require),
                _ => None,
            },
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_url_names_a_socket_and_single_settings_win() {
        let config = read("url = 'postgresql://gate:p%40ss@/app?host=/var/tmp/x&port=5433'\nuser = 'other'");
        let target = config.target().unwrap();
        assert_eq!(target.address, Address::Unix { folder: "/var/tmp/x".into(), port: 5433 });
        assert_eq!((target.user.as_str(), target.dbname.as_str()), ("other", "app"));
        assert_eq!(target.password().unwrap(), Some("p@ss".into()));
        assert_eq!(target.tls, Tls::Disable);
    }

    #[test]
    fn tls_is_verified_unless_the_server_is_on_this_machine() {
        let tls = |text: &str| read(text).target().unwrap().tls;
        assert_eq!(tls("host = 'db.example.com'"), Tls::VerifyFull);
        assert_eq!(tls("host = '127.0.0.1'"), Tls::Disable);
        assert_eq!(tls("host = '::1'"), Tls::Disable);
        assert_eq!(tls("host = 'db.example.com'\ntls = 'require'"), Tls::Require);
        assert_eq!(tls("url = 'postgresql://db.example.com/app?sslmode=disable'"), Tls::Disable);
        let url = "url = 'postgresql://db.example.com/app?sslmode=require'";
        assert_eq!(tls(url), Tls::Require);
        assert_eq!(tls(&format!("{url}\ntls = 'verify-full'")), Tls::VerifyFull);
        assert_eq!(tls("url = 'postgresql:///app?host=/run/x'\ntls = 'require'"), Tls::Disable);
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not_shown() {
        let refusal = |text: &str| read(text).validate().unwrap_err().to_string();
        assert_eq!(refusal("reconnect_pause = '2m'"), "reconnect_pause can be 1 minute at most");
        assert_eq!(refusal("connections = 0"), "connections must be at least 1");
        assert_eq!(
            refusal("password = 'a'\npassword_file = '/x'"),
            "password and password_file cannot both be set"
        );
        assert!(!refusal("url = 'postgresql://gate:s3cret@a,b/app'").contains("s3cret"));
        assert!(refusal("url = 'postgresql://h/app?options=-c%20role%3Dbob'").contains("server options"));
        assert!(toml::from_str::<Config>("conections = 3").is_err(), "unknown settings are refused");
        let shown = format!("{:?}", read("password = 's3cret'\nurl = 'postgresql://gate:s3cret@h/app'"));
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn durations_are_written_with_their_unit() {
        let config = read("queue_timeout = '250ms'\nmax_age = '30m'");
        assert_eq!(config.queue_timeout, Duration::from_millis(250));
        assert_eq!(config.max_age, Duration::from_mins(30));
    }

    #[test]
    fn a_password_file_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "s3 cret\n").unwrap();
        let config = Config { password_file: Some(path.clone()), ..Config::default() };
        assert_eq!(config.target().unwrap().password().unwrap(), Some("s3 cret".into()));
        std::fs::remove_file(path).unwrap();
        assert!(config.validate().unwrap_err().to_string().starts_with("could not read password_file"));
    }
}
