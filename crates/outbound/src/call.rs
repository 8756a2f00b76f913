//! One request: put together, sent once, its answer read to the end.

#![allow(clippy::result_large_err, reason = "a failure is made once, and then it is all there is")]

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_durable::request::{Request, Target};
use postern_durable::{Failure, Part};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;

use crate::answer;
use crate::error::{Error, chain};
use crate::resolver::{Resolver, Restricted};

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
}

/// The clients, and how much they take.
#[derive(Debug, Clone)]
pub struct Caller {
    public: Client,
    private: Client,
    response_bytes: usize,
}

impl Caller {
    pub fn new(connect_timeout: Duration, response_bytes: usize) -> Result<Self, Error> {
        // Both reqwest and rustls ask for the process's provider. Whoever installed one before us chose it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |any| {
            Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(connect_timeout)
                .pool_max_idle_per_host(8)
                .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Resolver { any })
                .build()
                .map_err(|error| Error::Client(chain(&error)))
        };
        Ok(Self { public: client(false)?, private: client(true)?, response_bytes })
    }

    /// Sends a request; gives the result of its step.
    pub async fn call(&self, job: &Job) -> Result<Value, Failure> {
        if let Some(message) = &job.refusal {
            return Err(Failure::new("42501", message));
        }
        let request: Request = serde_json::from_str(&job.request)
            .map_err(|error| Failure::new("XX000", format!("HTTP request cannot be read: {error}")))?;
        let limit = Duration::from_millis(request.timeout_ms).min(LONGEST);
        match tokio::time::timeout(limit, self.send(job, &request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::new(
                "57014",
                format!("HTTP timeout after {}s: {}", limit.as_secs_f64(), request.url.shown()),
            )),
        }
    }

    async fn send(&self, job: &Job, request: &Request) -> Result<Value, Failure> {
        let url = request.url.fill(no_secret)?;
        Self::check(job, &url)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let wrong =
                |_| Failure::new("22023", format!("HTTP header '{name}' is not one that can be sent"));
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
            let text = value.fill(no_secret)?;
            let value = HeaderValue::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            headers.append(header, value);
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
            (None, Some(body)) => Some(body.fill(no_secret)?.into_bytes()),
            (None, None) => None,
        };
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Failure::new("22023", format!("Invalid HTTP method: {}", request.method)))?;
        let client = if job.private { &self.private } else { &self.public };
        let mut builder = client.request(method, url).headers(headers);
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let began = Instant::now();
        let response = builder.send().await.map_err(|error| failed(job, request, error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.read(job, request, response).await?;
        if status >= 500 {
            let told = String::from_utf8_lossy(&body[..body.len().min(TOLD)]).replace('\0', " ");
            return Err(Failure {
                status: Some(status),
                ..Failure::new("38000", format!("HTTP {} returned {status}: {told}", request.shown()))
            });
        }
        Ok(answer::result(status, &headers, &body, began.elapsed()))
    }

    /// The last look before it is sent: the whole URL leads where the server allowed it to. The client's resolver never sees an
    /// address that is written in a URL.
    fn check(job: &Job, url: &str) -> Result<(), Failure> {
        let target = Target::of(url).map_err(|message| Failure::new("42501", message))?;
        if target != job.target {
            return Err(Failure::new("42501", "Blocked: a secret changes where the request goes."));
        }
        let address = target.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = address
            && !(Resolver { any: job.private }).allows(SocketAddr::new(address, 0))
        {
            return Err(restricted(&target.host));
        }
        Ok(())
    }

    async fn read(&self, job: &Job, request: &Request, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(job, request, error))? {
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

fn no_secret(name: &str) -> Result<String, Failure> {
    Err(Failure::new("0A000", format!("secret '{name}': secrets of HTTP steps are not available")))
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
fn failed(job: &Job, request: &Request, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(this) = cause {
        if this.is::<Restricted>() {
            return restricted(&job.target.host);
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
