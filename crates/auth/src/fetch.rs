//! JSON over HTTP from issuers: small, quick, from allowed addresses, without detours.
//!
//! **Invariants**: no redirect is followed and no proxy of the environment is used, so the address that is looked at is the
//! one that answers. An answer is given up at [`MAX_BODY`] bytes and after [`TOTAL`].

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use postern_core::address::Policy;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Url, redirect};

use crate::ConfigError;
use crate::address::Resolver;
use crate::config::Reach;

/// Longest answer.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Longest wait for all of an answer.
pub(crate) const TOTAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    client: Client,
    policy: Policy,
    allow_http: bool,
}

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody answered, or not in time, or may be asked.
    #[error("{0}")]
    NoAnswer(String),
    /// An answer other than 200.
    #[error("answer has status {0}")]
    Status(u16),
    /// An answer that cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl Fetcher {
    /// `section`: the section of the configuration, for errors.
    pub(crate) fn new(section: &str, url: &Url, reach: &Reach) -> Result<Self, ConfigError> {
        // Both reqwest and rustls ask for the process's provider. Whoever installed one before us chose it.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let policy = Policy { private: reach.allow_private_addresses };
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!reach.allow_insecure_http)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Resolver(policy));
        let builder = match reach.ca_file.as_deref() {
            Some(path) => builder.tls_certs_only(certificates(&format!("{section}.ca_file"), path)?),
            // Plain HTTP must work on a machine without any certificates.
            None if url.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let client = builder.build().map_err(|error| {
            ConfigError::new(
                section,
                format!("no HTTPS client can be made: {}", chain(&error)),
                "install the certificates of public authorities (Debian: ca-certificates), or give a ca_file",
            )
        })?;
        Ok(Self { client, policy, allow_http: reach.allow_insecure_http })
    }

    /// The text of the JSON document at a URL.
    pub(crate) async fn get(&self, url: &Url) -> Result<String, String> {
        self.check(url)?;
        read(self.client.get(url.clone())).await.map_err(|failure| failure.to_string())
    }

    /// The text of the JSON document that answers a form.
    pub(crate) async fn post(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        (user, password): (&str, &str),
    ) -> Result<String, Failure> {
        self.check(url).map_err(Failure::NoAnswer)?;
        let mut body = String::new();
        for (name, value) in form {
            let separator = if body.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(body, "{separator}{name}={}", form_encode(value));
        }
        let request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            // RFC 6749, 2.3.1: both parts are form-encoded first.
            .basic_auth(form_encode(user), Some(form_encode(password)))
            .body(body);
        read(request).await
    }

    /// The resolver sees names only; addresses in a URL are looked at here. (The URL's parser has already understood
    /// decimal, octal and hexadecimal forms.)
    fn check(&self, url: &Url) -> Result<(), String> {
        if url.scheme() != "https" && !(self.allow_http && url.scheme() == "http") {
            return Err("the URL is not HTTPS".into());
        }
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(addr) if !self.policy.allows(addr) => Err(format!("address {addr} may not be connected to")),
            _ => Ok(()),
        }
    }
}

async fn read(request: RequestBuilder) -> Result<String, Failure> {
    let error = |error: reqwest::Error| Failure::NoAnswer(chain(&error.without_url()));
    let unusable = |why: &str| Failure::Unusable(why.to_owned());
    let mut response = request.header(ACCEPT, "application/json").send().await.map_err(error)?;
    let status = response.status();
    if status.as_u16() != 200 {
        return Err(Failure::Status(status.as_u16()));
    }
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if media_type != "application/json" && !media_type.ends_with("+json") {
        return Err(unusable("answer is not JSON by its content type"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(error)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Failure::Unusable(format!("answer is larger than {MAX_BODY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| unusable("answer is not UTF-8"))
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text.replace(['\r', '\n'], " ")
}

fn certificates(key: &str, path: &Path) -> Result<Vec<reqwest::Certificate>, ConfigError> {
    let hint = "name a file with one or more certificates in PEM";
    let bytes = std::fs::read(path)
        .map_err(|error| ConfigError::new(key, format!("cannot read {}: {error}", path.display()), hint))?;
    match reqwest::Certificate::from_pem_bundle(&bytes) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ConfigError::new(key, format!("{} holds no certificate", path.display()), hint)),
    }
}

fn form_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(allow_http: bool, allow_private: bool) -> Fetcher {
        let url = Url::parse("http://localhost/").unwrap();
        let reach =
            Reach { ca_file: None, allow_insecure_http: allow_http, allow_private_addresses: allow_private };
        Fetcher::new("jwt[0]", &url, &reach).unwrap()
    }

    #[tokio::test]
    async fn h3_an_address_in_any_spelling_is_refused() {
        let fetcher = fetcher(true, false);
        for host in [
            "127.0.0.1",
            "2130706433",
            "0177.0.0.1",
            "0x7f.1",
            "127.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "[::ffff:a9fe:a9fe]",
            "0",
            "10.0.0.1",
        ] {
            let url = Url::parse(&format!("http://{host}:1/")).unwrap();
            let error = fetcher.get(&url).await.unwrap_err();
            assert!(error.contains("may not be connected to"), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn h3_a_local_name_is_refused_and_metadata_even_when_private_addresses_are_allowed() {
        let url = Url::parse("http://localhost:1/").unwrap();
        let error = fetcher(true, false).get(&url).await.unwrap_err();
        assert!(error.contains("no address that may be connected to"), "{error}");
        let url = Url::parse("http://169.254.169.254/").unwrap();
        let error = fetcher(true, true).get(&url).await.unwrap_err();
        assert!(error.contains("may not be connected to"), "{error}");
    }

    #[tokio::test]
    async fn h3_plain_http_and_other_schemes_are_refused() {
        for url in ["http://example.com/", "file:///etc/passwd", "ftp://example.com/"] {
            let error = fetcher(false, true).get(&Url::parse(url).unwrap()).await.unwrap_err();
            assert_eq!(error, "the URL is not HTTPS", "{url}");
        }
    }

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(form_encode("a b&c=é~"), "a+b%26c%3D%C3%A9%7E");
    }
}
