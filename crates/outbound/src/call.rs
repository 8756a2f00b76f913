//! One request: put together, sent once, its answer read to the end. Where an answer points elsewhere, and redirects are followed, that
//! place is asked for as the first was: the server's list, the address, one after the other.

#![allow(clippy::result_large_err, reason = "a failure is made once, and then it is all there is")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_durable::request::{Request, Target};
use postern_durable::{Failure, Part};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, Url, redirect};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::Config;
use crate::answer;
use crate::error::{Error, chain};
use crate::resolver::{Resolver, Restricted};
use crate::secrets::Secrets;

/// Longest time for a request, whatever its step says.
const LONGEST: Duration = Duration::from_hours(1);

/// How much of a failing answer is told.
const TOLD: usize = 512;

/// What a worker took to send.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: i64,
    pub key: String,
    pub target: Target,
    pub request: String,
    /// Why it must not be sent, as it is now.
    pub refusal: Option<String>,
    /// The host was named as one that may have any address.
    pub private: bool,
    pub sends: i32,
    /// The secrets that it refers to, as they are kept: sealed, in hexadecimal digits.
    pub secrets: BTreeMap<String, String>,
}

/// Whether a request that was told to go elsewhere may.
#[derive(Debug)]
pub struct Question {
    pub id: i64,
    pub to: Target,
    pub method: String,
    /// Whether that host may have any address; or why it may not be asked.
    pub answer: oneshot::Sender<Result<bool, String>>,
}

/// The clients, and how much they take.
#[derive(Debug, Clone)]
pub struct Caller {
    public: Client,
    private: Client,
    response_bytes: usize,
    redirects: usize,
    key_file: Option<PathBuf>,
    questions: mpsc::UnboundedSender<Question>,
}

/// A request as it goes out, to one place.
struct Hop {
    url: Url,
    target: Target,
    private: bool,
    method: Method,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    /// There is a secret in the body.
    secret_body: bool,
}

impl Caller {
    pub fn new(config: &Config, questions: mpsc::UnboundedSender<Question>) -> Result<Self, Error> {
        // Both reqwest and rustls ask for the process's provider. Whoever installed one before us chose it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |any| {
            Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(config.connect_timeout)
                .pool_max_idle_per_host(8)
                .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Resolver { any })
                .build()
                .map_err(|error| Error::Client(chain(&error)))
        };
        Ok(Self {
            public: client(false)?,
            private: client(true)?,
            response_bytes: config.response_bytes,
            redirects: config.redirects,
            key_file: config.secrets_key_file.clone(),
            questions,
        })
    }

    /// Sends a request; gives the result of its step. A secret is in neither what it gives nor why it fails.
    pub async fn call(&self, job: &Job) -> Result<Value, Failure> {
        if let Some(message) = &job.refusal {
            return Err(Failure::new("42501", message));
        }
        let request: Request = serde_json::from_str(&job.request)
            .map_err(|error| Failure::new("XX000", format!("HTTP request cannot be read: {error}")))?;
        let secrets = Secrets::open(&request, &job.secrets, self.key_file.as_deref())?;
        let limit = Duration::from_millis(request.timeout_ms).min(LONGEST);
        match tokio::time::timeout(limit, self.send(job, &request, &secrets)).await {
            Ok(answer) => answer.map(|value| secrets.hidden_in(value)).map_err(|mut failure| {
                failure.message = secrets.hide(&failure.message);
                failure
            }),
            Err(_) => Err(Failure::new(
                "57014",
                format!("HTTP timeout after {}s: {}", limit.as_secs_f64(), request.url.shown()),
            )),
        }
    }

    async fn send(&self, job: &Job, request: &Request, secrets: &Secrets) -> Result<Value, Failure> {
        let mut hop = first(job, request, secrets)?;
        let began = Instant::now();
        let mut followed = 0;
        loop {
            let client = if hop.private { &self.private } else { &self.public };
            let mut builder =
                client.request(hop.method.clone(), hop.url.clone()).headers(hop.headers.clone());
            if let Some(body) = &hop.body {
                builder = builder.body(body.clone());
            }
            let response = builder.send().await.map_err(|error| failed(&hop.target, request, error))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            if self.redirects > 0
                && matches!(status, 301 | 302 | 303 | 307 | 308)
                && let Some(location) = headers.get(LOCATION)
            {
                if followed >= self.redirects {
                    return Err(Failure::new(
                        "54000",
                        format!("HTTP {} was redirected more than {} times", request.shown(), self.redirects),
                    ));
                }
                followed += 1;
                let location = location.to_str().unwrap_or_default().to_owned();
                hop = self.redirected(job, hop, status, &location).await?;
                continue;
            }
            let body = self.read(&hop.target, request, response).await?;
            if status >= 500 {
                let told = String::from_utf8_lossy(&body[..body.len().min(TOLD)]).replace('\0', " ");
                return Err(Failure {
                    status: Some(status),
                    ..Failure::new("38000", format!("HTTP {} returned {status}: {told}", request.shown()))
                });
            }
            return Ok(answer::result(status, &headers, &body, began.elapsed()));
        }
    }

    /// Where an answer points, if the request may go there: what was asked of the first place is asked of every other. Nothing that
    /// was meant for one place is sent to another.
    async fn redirected(&self, job: &Job, from: Hop, status: u16, location: &str) -> Result<Hop, Failure> {
        let blocked = |message: String| Failure::new("42501", message);
        let mut url = from
            .url
            .join(location)
            .map_err(|_| blocked("Blocked: a redirect leads to what is no URL.".into()))?;
        // Nobody but the step says who it is.
        let _ = (url.set_username(""), url.set_password(None));
        let target = Target::of(url.as_str()).map_err(blocked)?;
        let (mut method, mut headers, mut body) = (from.method, from.headers, from.body);
        if status == 303 || (matches!(status, 301 | 302) && method == Method::POST) {
            (method, body) = (Method::GET, None);
            headers.remove(CONTENT_TYPE);
        }
        if target != from.target {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
            Secrets::strip(&mut headers);
            if from.secret_body && body.is_some() {
                return Err(blocked("Blocked: a redirect would take a secret elsewhere.".into()));
            }
        }
        let (answer, answered) = oneshot::channel();
        let question =
            Question { id: job.id, to: target.clone(), method: method.as_str().to_owned(), answer };
        let lost = || Failure::new("08006", "HTTP redirect could not be checked");
        self.questions.send(question).map_err(|_| lost())?;
        let private = answered.await.map_err(|_| lost())?.map_err(blocked)?;
        check_address(&target, private)?;
        Ok(Hop { url, target, private, method, headers, body, secret_body: from.secret_body })
    }

    async fn read(
        &self,
        target: &Target,
        request: &Request,
        mut response: Response,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(target, request, error))? {
            if body.len() + chunk.len() > self.response_bytes {
                return Err(Failure::new(
                    "54000",
                    format!(
                        "HTTP response is too large: more than {} bytes - {}",
                        self.response_bytes,
                        request.url.shown()
                    ),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A request as its step wrote it.
fn first(job: &Job, request: &Request, secrets: &Secrets) -> Result<Hop, Failure> {
    let text = request.url.fill(|name| secrets.value(name))?;
    // The last look before it is sent: the whole URL leads where the server allowed it to.
    let target = Target::of(&text).map_err(|message| Failure::new("42501", message))?;
    if target != job.target {
        return Err(Failure::new("42501", "Blocked: a secret changes where the request goes."));
    }
    check_address(&target, job.private)?;
    let url = Url::parse(&text)
        .map_err(|_| Failure::new("42501", "Blocked: unable to extract hostname from URL."))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let wrong = |_| Failure::new("22023", format!("HTTP header '{name}' is not one that can be sent"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let text = value.fill(|name| secrets.value(name))?;
        let mut sent = HeaderValue::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        sent.set_sensitive(value.secrets().next().is_some());
        headers.append(header, sent);
    }
    if !headers.contains_key("idempotency-key") {
        // A UUID is a header's value.
        if let Ok(key) = HeaderValue::from_str(&job.key) {
            headers.insert("idempotency-key", key);
        }
    }
    let body = match (&request.parts, &request.body) {
        (Some(parts), _) => {
            let boundary = format!("postern-{}", uuid::Uuid::new_v4().simple());
            let media_type = format!("multipart/form-data; boundary={boundary}");
            if let Ok(value) = HeaderValue::from_str(&media_type) {
                headers.insert(CONTENT_TYPE, value);
            }
            Some(multipart(parts, &boundary)?)
        }
        (None, Some(body)) => Some(body.fill(|name| secrets.value(name))?.into_bytes()),
        (None, None) => None,
    };
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| Failure::new("22023", format!("Invalid HTTP method: {}", request.method)))?;
    let secret_body = request.body.iter().any(|body| body.secrets().next().is_some());
    Ok(Hop { url, target, private: job.private, method, headers, body, secret_body })
}

/// The client's resolver never sees an address that is written in a URL.
fn check_address(target: &Target, private: bool) -> Result<(), Failure> {
    let address = target.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) if !(Resolver { any: private }).allows(SocketAddr::new(address, 0)) => {
            Err(restricted(&target.host))
        }
        _ => Ok(()),
    }
}

fn restricted(host: &str) -> Failure {
    Failure::new(
        "42501",
        format!(
            "Blocked: the resolved IP address for '{host}' is in a restricted range. df.http() cannot access private or internal network addresses."
        ),
    )
}

/// What a transport error means. The client's own words would have the whole URL in them.
fn failed(target: &Target, request: &Request, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(this) = cause {
        if this.is::<Restricted>() {
            return restricted(&target.host);
        }
        cause = this.source();
    }
    let (kind, sqlstate) = if error.is_connect() {
        ("HTTP connection failed", "08001")
    } else {
        ("HTTP request failed", "08006")
    };
    Failure::new(sqlstate, format!("{kind}: {} - {}", request.url.shown(), chain(&error)))
}

/// A body of parts (RFC 7578).
fn multipart(parts: &[Part], boundary: &str) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    for part in parts {
        let data: String = part.data_b64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let data = STANDARD.decode(data).map_err(|error| {
            Failure::new("22023", format!("data_b64 of part '{}' is not base64: {error}", part.name))
        })?;
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name));
        // Writing to a String cannot fail.
        if let Some(filename) = &part.filename {
            let _ = write!(head, "; filename=\"{}\"", quoted(filename));
        }
        if let Some(media_type) = &part.content_type {
            let value = HeaderValue::from_str(media_type).ok();
            let text = value.as_ref().and_then(|value| value.to_str().ok()).ok_or_else(|| {
                Failure::new("22023", format!("content_type of part '{}' cannot be sent", part.name))
            })?;
            let _ = write!(head, "\r\nContent-Type: {text}");
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(out)
}

/// A name between quotes, as browsers write it.
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_cannot_end_its_header() {
        let part = Part {
            name: "a\"\r\nX: y".into(),
            filename: None,
            content_type: Some("text/plain".into()),
            data_b64: "aGk =\n".into(),
        };
        let body = String::from_utf8(multipart(std::slice::from_ref(&part), "B").unwrap()).unwrap();
        assert_eq!(
            body,
            "--B\r\nContent-Disposition: form-data; name=\"a%22%0D%0AX: y\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n--B--\r\n"
        );
        let bad = Part { content_type: Some("a\r\nb: c".into()), ..part };
        assert!(multipart(&[bad], "B").is_err());
    }
}
