//! The configuration: `postern.toml`, read once at start.
//!
//! ```toml
//! [listen]
//! address = "127.0.0.1:8484"
//!
//! [database]
//! url = "postgresql://postern_gate@/app?host=/run/postgresql"
//! password_file = "/etc/postern/password"
//!
//! [[auth.jwt]]
//! issuer = "https://login.example.com/"
//! audience = "app"
//! discovery = true
//! roles = ["app_user"]
//! ```
//!
//! **Invariants**: an unknown key is an error, so that a misspelt limit is not a missing one. A value outside its range is an
//! error that names the key.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use postern_core::RoleName;
use serde::Deserialize;

use crate::Error;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where requests come in.
    #[serde(default)]
    pub listen: Listen,
    /// The database and the connections to it.
    pub database: postern_pool::Config,
    /// Who may ask, and as which role.
    #[serde(default)]
    pub auth: postern_auth::Config,
    /// How much one identity may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// Which websites may use the gate from a browser.
    #[serde(default)]
    pub cors: Cors,
    /// What error responses say.
    #[serde(default)]
    pub errors: Errors,
    /// What is written to the log.
    #[serde(default)]
    pub log: Log,
    /// Who may read the metrics.
    #[serde(default)]
    pub metrics: Metrics,
    /// Where traces are sent.
    #[serde(default)]
    pub telemetry: Option<Telemetry>,
    /// The worker that sends the HTTP requests of durable functions; none runs if it is not there.
    #[serde(default)]
    pub outbound: Option<postern_outbound::Config>,
    /// Which findings of the examination at start are accepted.
    #[serde(default)]
    pub doctor: Doctor,
}

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// Certificate and key; without them, plain HTTP.
    pub tls: Option<Tls>,
    /// Networks of proxies whose forwarding header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header that those proxies write. The other one is never read: proxies pass on what a client made up.
    pub forwarded_header: ForwardedHeader,
    /// Values of `Host` that are served, without port. If empty: any, but on a loopback address only `localhost` and
    /// loopback addresses, since a website could make a name of its own point there.
    pub hosts: Vec<String>,
    /// Connections of clients at one time.
    pub connections: NonZeroUsize,
    /// How long the head of a request may take.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long running requests may take to end when the gate stops.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
}

/// `[listen.tls]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// The header in which a proxy names its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// `[limits]`, for each identity: an issuer and a subject, an API key, or the address of an anonymous client.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per second, on average; 0: any number.
    pub rate: u32,
    /// Requests at once after a pause; at least 1.
    pub burst: u32,
    /// Requests that run or wait at the same time; 0: any number.
    pub concurrency: u32,
    /// Bytes of a request body. For all roles alike: it is read before the role counts.
    pub body_bytes: usize,
    /// How long a request body may take to arrive.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Rows of a response; 0: any number.
    pub response_rows: u64,
    /// Bytes of a response that is made in memory (`/sql`).
    pub response_bytes: usize,
    /// Bytes of a response that is streamed (`/v1/query`); 0: any number.
    pub stream_bytes: u64,
    /// How long a request may run, from its arrival to the last byte of its response.
    #[serde(with = "humantime_serde")]
    pub wall_clock: Duration,
    /// How long a statement may go on after it was cancelled; then its backend is terminated.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// How long a client may leave a streamed response unread.
    #[serde(with = "humantime_serde")]
    pub slow_reader: Duration,
    /// Bytes of all answers together that are whole in memory (`/sql`) or being streamed, until their clients have them; 0:
    /// any number. For all identities together.
    pub waiting_bytes: u64,
    /// Failed logins per minute from one address, on average and at once; 0: any number.
    pub failed_logins: u32,
    /// Other values for single roles.
    pub roles: BTreeMap<RoleName, RoleLimits>,
}

/// `[limits.roles.NAME]`: what is not said is as in `[limits]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the same as in Limits")]
pub struct RoleLimits {
    pub rate: Option<u32>,
    pub burst: Option<u32>,
    pub concurrency: Option<u32>,
    pub response_rows: Option<u64>,
    pub response_bytes: Option<usize>,
    pub stream_bytes: Option<u64>,
    #[serde(with = "humantime_serde")]
    pub wall_clock: Option<Duration>,
}

/// `[cors]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins whose scripts may read answers, such as `https://app.example.com`; `*` for all. That is safe as the default
    /// because nothing a browser sends by itself (cookies, certificates) counts as a credential.
    pub origins: Vec<String>,
    /// Allow `*` although `[auth.anonymous]` serves requests without a credential: then any website may use the gate
    /// through the browser of whoever visits it, wherever that browser can reach.
    pub anonymous_from_anywhere: bool,
}

/// `[errors]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Errors {
    /// Leave out of PostgreSQL's errors what tells about the inside of the server and of functions: `file`, `line`,
    /// `routine`, `where`, `internalQuery`, `internalPosition`.
    pub hide_internals: bool,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or a filter by module such as `info,postern_pool=debug`.
    pub level: String,
    /// Lines for people or for programs.
    pub format: LogFormat,
    /// Log the text of statements. Off by default: it may hold what must not be in a log.
    pub sql: bool,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// `[metrics]`. On the main address, `/metrics` shows totals to everyone and roles only with the token.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// A second address, for those who may see the metrics by role. It has no authentication of its own.
    pub listen: Option<SocketAddr>,
    /// A file with the token that shows the metrics by role on the main address.
    pub token_file: Option<PathBuf>,
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Where OpenTelemetry traces are sent, by OTLP over HTTP, such as `http://localhost:4318/v1/traces`.
    pub endpoint: String,
    /// The name of this service in them.
    #[serde(default = "default_service_name")]
    pub service_name: String,
}

/// `[doctor]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Doctor {
    /// Codes of dangerous findings with which the gate starts all the same.
    pub allow: Vec<String>,
}

/// What `limits.waiting_bytes` may not be less than: a few answers that are being streamed.
const LEAST_WAITING_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("could not read \"{}\": {error}", path.display())))?;
        let mut config = Self::parse_unchecked(&text)?;
        config.resolve_paths(path.parent().unwrap_or(Path::new("")));
        config.validate()?;
        Ok(config)
    }

    /// Reads and checks the text of a file. Relative paths in it are relative to the working directory.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let config = Self::parse_unchecked(text)?;
        config.validate()?;
        Ok(config)
    }

    fn parse_unchecked(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| Error::Config(error.to_string()))
    }

    /// Makes relative paths relative to the folder of the file.
    fn resolve_paths(&mut self, folder: &Path) {
        self.auth.resolve_paths(folder);
        let tls = self.listen.tls.iter_mut().flat_map(|tls| [&mut tls.cert_file, &mut tls.key_file]);
        let others =
            [&mut self.database.password_file, &mut self.database.ca_file, &mut self.metrics.token_file];
        let outbound = self.outbound.iter_mut().flat_map(|outbound| {
            [&mut outbound.password_file, &mut outbound.ca_file, &mut outbound.secrets_key_file]
                .into_iter()
                .flatten()
        });
        for path in tls.chain(others.into_iter().flatten()).chain(outbound) {
            *path = folder.join(&*path);
        }
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), Error> {
        self.database.validate().map_err(|error| Error::Config(format!("[database]: {error}")))?;
        self.auth.validate().map_err(|error| Error::Config(format!("[auth]: {error}")))?;
        self.limits.validate().map_err(Error::Config)?;
        if let Some(outbound) = &self.outbound {
            outbound.validate().map_err(|error| Error::Config(error.to_string()))?;
        }
        if let Some(unknown) = postern_doctor::codes::first_unknown(&self.doctor.allow) {
            return Err(Error::Config(format!("doctor.allow: \"{unknown}\" is not a code of a finding")));
        }
        for origin in &self.cors.origins {
            if origin != "*" && http::HeaderValue::from_str(origin).is_err() {
                return Err(Error::Config(format!("cors.origins: \"{origin}\" is not an origin")));
            }
        }
        let anywhere = self.cors.origins.iter().any(|origin| origin == "*");
        if anywhere && self.auth.anonymous.is_some() && !self.cors.anonymous_from_anywhere {
            return Err(Error::Config(
                "cors.origins: \"*\", which is the default, together with [auth.anonymous] lets any website use the gate \
                 through the browsers of its visitors; name the origins (or none: []), or say that this is meant with \
                 cors.anonymous_from_anywhere = true"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

impl Limits {
    fn validate(&self) -> Result<(), String> {
        let roles =
            self.roles.iter().map(|(role, limits)| (format!("limits.roles.{role}."), self.with(limits)));
        for (key, limits) in
            std::iter::once(("limits.".to_owned(), self.with(&RoleLimits::default()))).chain(roles)
        {
            if limits.burst == 0 {
                return Err(format!("{key}burst must be at least 1"));
            }
            if limits.response_bytes < 1024 {
                return Err(format!("{key}response_bytes must be at least 1024"));
            }
            if limits.wall_clock.is_zero() {
                return Err(format!("{key}wall_clock must be more than 0"));
            }
        }
        let least = LEAST_WAITING_BYTES;
        if self.waiting_bytes != 0 && self.waiting_bytes < least {
            return Err(format!("limits.waiting_bytes must be 0 or at least {least}"));
        }
        if self.body_bytes < 1024 {
            return Err("limits.body_bytes must be at least 1024".to_owned());
        }
        Ok(())
    }

    /// The limits of a role.
    pub(crate) fn with(&self, role: &RoleLimits) -> LimitSet {
        LimitSet {
            rate: role.rate.unwrap_or(self.rate),
            burst: role.burst.unwrap_or(self.burst),
            concurrency: role.concurrency.unwrap_or(self.concurrency),
            response_rows: unlimited(role.response_rows.unwrap_or(self.response_rows)),
            response_bytes: role.response_bytes.unwrap_or(self.response_bytes),
            stream_bytes: unlimited(role.stream_bytes.unwrap_or(self.stream_bytes)),
            wall_clock: role.wall_clock.unwrap_or(self.wall_clock),
        }
    }
}

/// The limits that hold for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitSet {
    pub rate: u32,
    pub burst: u32,
    pub concurrency: u32,
    pub response_rows: u64,
    pub response_bytes: usize,
    pub stream_bytes: u64,
    pub wall_clock: Duration,
}

fn unlimited(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

fn default_service_name() -> String {
    "postern".to_owned()
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8484),
            tls: None,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            hosts: Vec::new(),
            connections: NonZeroUsize::new(10_000).unwrap_or(NonZeroUsize::MIN),
            header_timeout: Duration::from_secs(15),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: 1_000,
            burst: 2_000,
            concurrency: 100,
            body_bytes: 10 << 20,
            body_timeout: Duration::from_secs(30),
            response_rows: 0,
            response_bytes: 64 << 20,
            stream_bytes: 0,
            wall_clock: Duration::from_secs(30),
            grace: Duration::from_secs(2),
            slow_reader: Duration::from_secs(30),
            waiting_bytes: 1 << 30,
            failed_logins: 600,
            roles: BTreeMap::new(),
        }
    }
}

impl Default for Cors {
    fn default() -> Self {
        Self { origins: vec!["*".to_owned()], anonymous_from_anywhere: false }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::default(), sql: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "[database]\nurl = \"postgresql://postern_gate:x@localhost/app\"\n";

    fn error(text: &str) -> String {
        Config::parse(&format!("{DATABASE}{text}")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let config = Config::parse(DATABASE).unwrap();
        assert_eq!(config.listen.address.to_string(), "127.0.0.1:8484");
        assert!(!config.log.sql && !config.errors.hide_internals && config.doctor.allow.is_empty());
        assert_eq!(config.limits.with(&RoleLimits::default()).stream_bytes, u64::MAX);
    }

    #[test]
    fn a_role_changes_single_limits() {
        let text = "[limits]\nwall_clock = \"10s\"\nrate = 5\n[limits.roles.reporting]\nwall_clock = \"10m\"\nresponse_rows = 7\n";
        let limits = Config::parse(&format!("{DATABASE}{text}")).unwrap().limits;
        let role = limits.with(limits.roles.first_key_value().unwrap().1);
        assert_eq!((role.wall_clock, role.rate, role.response_rows), (Duration::from_mins(10), 5, 7));
    }

    #[test]
    fn every_website_and_nobody_in_particular_do_not_go_together_by_accident() {
        let anonymous = "[auth.anonymous]\nrole = \"web\"\n";
        for cors in ["", "[cors]\norigins = [\"https://a.example\", \"*\"]\n"] {
            let error = error(&format!("{anonymous}{cors}"));
            assert!(
                error.starts_with("cors.origins: ") && error.contains("anonymous_from_anywhere"),
                "{error}"
            );
        }
        for cors in ["origins = []", "origins = [\"https://a.example\"]", "anonymous_from_anywhere = true"] {
            let text = format!("{DATABASE}{anonymous}[cors]\n{cors}\n");
            assert!(Config::parse(&text).is_ok(), "{text}");
        }
        assert!(Config::parse(DATABASE).is_ok(), "without anonymous access, any website may read answers");
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_it() {
        assert!(error("[limits]\nrates = 5\n").contains("rates"));
        assert!(error("[listen]\ntrusted_proxies = [\"10.0.0.0/33\"]\n").contains("trusted_proxies"));
        assert!(error("[limits.roles.\"\"]\nrate = 1\n").contains("empty"));
        assert_eq!(
            error("[doctor]\nallow = [\"gate-member\", \"gate-members\"]\n"),
            "doctor.allow: \"gate-members\" is not a code of a finding"
        );
        assert_eq!(error("[limits]\nburst = 0\n"), "limits.burst must be at least 1");
        assert_eq!(
            error("[limits]\nwaiting_bytes = 1000\n"),
            "limits.waiting_bytes must be 0 or at least 1048576"
        );
        assert_eq!(
            error("[limits.roles.a]\nwall_clock = \"0s\"\n"),
            "limits.roles.a.wall_clock must be more than 0"
        );
    }
}
