//! What is served where: from a request to the module that answers it.
//!
//! | path | |
//! |---|---|
//! | `/sql` | the Neon protocol (`sql`) |
//! | `/v1/query` | our own (`query`) |
//! | `/healthz` | the process runs |
//! | `/readyz` | the database answers, and the gate is not stopping |
//! | `/metrics` | totals for anyone, roles for operators (`metrics`) |
//! | `/openapi.json` | the description of all this (`openapi`) |
//!
//! **Invariants**: nothing is answered, not even an error, before the host was checked. An answer to anyone names no role.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use postern_core::{Code, Protocol};
use postern_pool::Pool;
use subtle::ConstantTimeEq as _;

use crate::account::Account;
use crate::body::Body;
use crate::client::single;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::metrics::Audience;
use crate::{openapi, query, response, sql};

/// How long the database may take to be called ready.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// How long that is believed: anyone may ask, and the database is asked once for all of them.
const READY_FOR: Duration = Duration::from_secs(1);

/// What the database said last, and when.
#[derive(Default)]
pub(crate) struct Readiness(tokio::sync::Mutex<Option<(Instant, Result<(), Unready>)>>);

#[derive(Debug, Clone)]
enum Unready {
    Failed(postern_pool::Error),
    Silent,
}

impl From<Unready> for Failure {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Failed(error) => error.into(),
            Unready::Silent => Code::DatabaseUnavailable.into(),
        }
    }
}

impl Readiness {
    async fn of(&self, pool: &Pool) -> Result<(), Unready> {
        // Held while the database is asked: who comes meanwhile gets the same answer.
        let mut last = self.0.lock().await;
        if let Some((when, result)) = &*last
            && when.elapsed() < READY_FOR
        {
            return result.clone();
        }
        let result = match tokio::time::timeout(READY_WITHIN, pool.ping()).await {
            // Busy with requests is not unable to answer them.
            Ok(Ok(()) | Err(postern_pool::Error::Busy)) => Ok(()),
            Ok(Err(error)) => Err(Unready::Failed(error)),
            Err(_) => Err(Unready::Silent),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers a request.
pub(crate) async fn respond<B>(
    gateway: &Arc<Gateway>,
    peer: SocketAddr,
    request: Request<B>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let cors = &gateway.config.cors;
    // The list of all is the rule; then nothing of the request is needed afterwards.
    let origin: HeaderMap = match request.headers().get(http::header::ORIGIN) {
        Some(origin) if !cors.origins.iter().any(|known| known == "*") => {
            [(http::header::ORIGIN, origin.clone())].into_iter().collect()
        }
        _ => HeaderMap::new(),
    };
    let mut response = route(gateway, peer, request).await;
    response::share(&mut response, cors, &origin);
    response
}

async fn route<B>(gateway: &Arc<Gateway>, peer: SocketAddr, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().path();
    let protocol = if path == "/sql" { Protocol::Neon } else { Protocol::V1 };
    let refuse = |code: Code| response::failure(&code.into(), protocol, gateway.config.errors.hide_internals);
    if let Err(code) = gateway.surroundings.check_host(request.uri(), request.headers()) {
        Account::open(gateway, "", request.headers()).close(Err(&code.into()));
        return refuse(code);
    }
    if is_ambiguous(request.headers()) {
        Account::open(gateway, "", request.headers()).close(Err(&Code::BadHeader.into()));
        let mut response = refuse(Code::BadHeader);
        // Where the next request begins is anybody's guess.
        response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    if request.method() == Method::OPTIONS {
        return response::preflight();
    }
    match path {
        "/sql" => sql::handle(gateway, peer, request).await,
        "/v1/query" => query::handle(gateway, peer, request).await,
        "/healthz" | "/readyz" | "/metrics" | "/openapi.json" if !is_read(request.method()) => {
            let mut response = refuse(Code::Method);
            response
                .headers_mut()
                .insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            response
        }
        "/healthz" => health(),
        "/readyz" => ready(gateway).await,
        "/metrics" => metrics(gateway, request.headers()),
        "/openapi.json" => response::with(StatusCode::OK, response::JSON, openapi::document()),
        path if path.starts_with("/v1/") => refuse(Code::NotFound),
        // What Neon answers to whatever it does not know.
        _ => response::with(StatusCode::BAD_REQUEST, response::JSON, "\"query is not supported\""),
    }
}

/// Answers a request to the address for operators.
pub(crate) async fn respond_to_operator(gateway: &Arc<Gateway>, path: &str) -> Response<Body> {
    match path {
        "/healthz" => health(),
        "/readyz" => ready(gateway).await,
        "/metrics" => show_metrics(gateway, Audience::Operator),
        _ => response::failure(&Code::NotFound.into(), Protocol::V1, true),
    }
}

/// Whether a proxy in front could see the end of the body elsewhere: anything but one plain `chunked`. (What hyper itself
/// cannot read, it refuses before.)
fn is_ambiguous(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(only), None) => !only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the process runs.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "The gate runs")))]
pub(crate) fn health() -> Response<Body> {
    response::with(StatusCode::OK, response::JSON, "{\"status\":\"ok\"}")
}

/// Whether requests can be answered.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    responses(
        (status = 200, description = "The database answers"),
        (status = 503, description = "It does not, or the gate is stopping", body = openapi::ErrorResponse),
    )
)]
pub(crate) async fn ready(gateway: &Arc<Gateway>) -> Response<Body> {
    let result = if gateway.is_stopping() {
        Err(Code::ShuttingDown.into())
    } else {
        gateway.readiness.of(&gateway.pool).await.map_err(Failure::from)
    };
    match result {
        Ok(()) => response::with(StatusCode::OK, response::JSON, "{\"status\":\"ready\"}"),
        Err(failure) => response::failure(&failure, Protocol::V1, true),
    }
}

/// What the gate counts, for Prometheus. By role only with the token of `metrics.token_file`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses(
        (status = 200, description = "Metrics in the format OpenMetrics", body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "The token is not the one of the configuration", body = openapi::ErrorResponse),
    ),
    security((), ("token" = []))
)]
pub(crate) fn metrics(gateway: &Arc<Gateway>, headers: &HeaderMap) -> Response<Body> {
    let shown =
        single(headers, &AUTHORIZATION).map(|value| value.map(|value| value.trim_start_matches("Bearer ")));
    match (shown, &gateway.metrics_token) {
        (Ok(None), _) => show_metrics(gateway, Audience::Public),
        (Ok(Some(shown)), Some(token)) if bool::from(shown.as_bytes().ct_eq(token.as_bytes())) => {
            show_metrics(gateway, Audience::Operator)
        }
        _ => response::failure(&Code::AuthenticationFailed.into(), Protocol::V1, true),
    }
}

fn show_metrics(gateway: &Arc<Gateway>, audience: Audience) -> Response<Body> {
    match gateway.metrics.encode(&gateway.pool, audience) {
        Ok(text) => response::with(StatusCode::OK, OPEN_METRICS, text.into_bytes()),
        Err(std::fmt::Error) => response::failure(&Code::Internal.into(), Protocol::V1, true),
    }
}
