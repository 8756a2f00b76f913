//! `POST /v1/query`: one statement, JSON in, and JSON, NDJSON or CSV out.
//!
//! **Invariants**: a status of 200 without a body that was broken off means committed. Of a request with bad credentials no
//! body is read. The body has to be announced as
//! JSON, which no website can do without asking first.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use postern_core::{Code, Protocol};
use postern_pool::{Isolation, Running, Statement, TransactionOptions};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::account::Account;
use crate::body::{self, Body};
use crate::client::{self, single};
use crate::deliver::deliver;
use crate::encode::RowForm;
use crate::failure::Failure;
use crate::gateway::{Admitted, Gateway};
use crate::openapi::{ErrorResponse, QueryResponse};
use crate::params::{self, Params};
use crate::response;
use crate::sql::object;
use crate::stream::{Encoder, Format, Pump};

/// A statement to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryRequest<'a> {
    /// The SQL: exactly one statement.
    #[serde(borrow)]
    #[schema(value_type = String, example = "select $1::int + 1 as n")]
    query: &'a RawValue,
    /// Values for `$1`, `$2`, …: any JSON.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    params: Option<Params<'a>>,
    /// Whether the transaction may not write.
    read_only: Option<bool>,
    /// The isolation level of the transaction.
    isolation: Option<IsolationName>,
    /// Whether a serializable read-only transaction waits until it cannot fail.
    deferrable: Option<bool>,
    /// The role to run as: one that the credential allows. Without it, the first of those.
    #[schema(value_type = Option<String>, max_length = 63)]
    role: Option<String>,
    /// Rows as arrays instead of objects; for `application/json` only.
    array_mode: Option<bool>,
}

/// The isolation levels of PostgreSQL.
#[derive(Deserialize, ToSchema, Clone, Copy)]
pub(crate) enum IsolationName {
    /// As read committed.
    #[serde(rename = "read uncommitted")]
    ReadUncommitted,
    /// Each statement sees what was committed before it.
    #[serde(rename = "read committed")]
    ReadCommitted,
    /// The transaction sees what was committed before its first statement.
    #[serde(rename = "repeatable read")]
    RepeatableRead,
    /// As if transactions ran one after the other.
    #[serde(rename = "serializable")]
    Serializable,
}

impl From<IsolationName> for Isolation {
    fn from(name: IsolationName) -> Self {
        match name {
            IsolationName::ReadUncommitted => Self::ReadUncommitted,
            IsolationName::ReadCommitted => Self::ReadCommitted,
            IsolationName::RepeatableRead => Self::RepeatableRead,
            IsolationName::Serializable => Self::Serializable,
        }
    }
}

/// Runs one statement as whoever asks, in a transaction of its own.
///
/// The answer has the format that is accepted. Small ones are sent when the transaction is committed. Larger ones are
/// streamed: an error then ends the answer with an error record and breaks it off.
#[utoipa::path(
    post,
    path = "/v1/query",
    operation_id = "query",
    tag = "sql",
    request_body = QueryRequest,
    responses(
        (status = 200, description = "The result", content(
            (QueryResponse = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        (status = 400, description = "The request or the statement is wrong", body = ErrorResponse),
        (status = 401, description = "The credentials are missing or not good for this", body = ErrorResponse),
        (status = 403, description = "PostgreSQL does not allow it", body = ErrorResponse),
        (status = 406, description = "No accepted media type can be produced", body = ErrorResponse),
        (status = 408, description = "The body did not arrive in time", body = ErrorResponse),
        (status = 409, description = "In conflict with what is there", body = ErrorResponse),
        (status = 413, description = "Too large", body = ErrorResponse),
        (status = 415, description = "The body is not plain JSON", body = ErrorResponse),
        (status = 421, description = "The host is not served here", body = ErrorResponse),
        (status = 429, description = "Too many requests of one identity", body = ErrorResponse),
        (status = 500, description = "A fault of the server", body = ErrorResponse),
        (status = 502, description = "It is unknown whether the transaction took effect", body = ErrorResponse),
        (status = 503, description = "Not now", body = ErrorResponse),
        (status = 504, description = "The request took too long", body = ErrorResponse),
        (status = 507, description = "The result is too large", body = ErrorResponse),
    ),
    security(("token" = []), ("key" = []), ("anonymous" = []))
)]
pub(crate) async fn handle<B>(gateway: &Arc<Gateway>, peer: SocketAddr, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let hide_internals = gateway.config.errors.hide_internals;
    if request.method() != Method::POST {
        return response::failure(&Code::Method.into(), Protocol::V1, hide_internals);
    }
    let (parts, body) = request.into_parts();
    let mut account = Account::open(gateway, "/v1/query", &parts.headers);
    match begin(gateway, &mut account, peer, &parts, body).await {
        Ok(Begun { format, mut encoder, admitted, running: None }) => {
            let mut response = response::with(StatusCode::OK, format.content_type(), "");
            response::name(&mut response, &account);
            let patience = gateway.config.limits.slow_reader;
            *response.body_mut() = deliver(encoder.take(), account, admitted, patience);
            response
        }
        Ok(Begun { format, encoder, admitted, running: Some(running) }) => {
            let (producer, body) = body::stream();
            let mut response = response::with(StatusCode::OK, format.content_type(), body);
            response::name(&mut response, &account);
            let patience = gateway.config.limits.slow_reader;
            let pump = Pump { running, encoder, producer, account, admitted, patience, hide_internals };
            tokio::spawn(pump.run());
            response
        }
        Err(failure) => {
            let mut response = response::failure(&failure, Protocol::V1, hide_internals);
            response::name(&mut response, &account);
            account.close(Err(&failure));
            response
        }
    }
}

/// An answer whose beginning is there.
struct Begun {
    format: Format,
    encoder: Encoder,
    /// What is still running, if this is not all of it.
    running: Option<Running>,
    admitted: Admitted,
}

async fn begin<B>(
    gateway: &Arc<Gateway>,
    account: &mut Account,
    peer: SocketAddr,
    parts: &Parts,
    body: B,
) -> Result<Begun, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let headers = &parts.headers;
    client::check_encoding(headers)?;
    check_content_type(headers)?;
    let format = negotiate(headers)?;
    // The role is in the body: here it is only seen that there are credentials at all.
    let presented = client::presented(headers, None)?;
    let known = gateway.check_credentials(account, peer, headers, &presented).await?;
    let limits = &gateway.config.limits;
    let body = body::read(body, headers, limits.body_bytes, limits.body_timeout).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Code::NotUtf8)?;
    let QueryRequest { query, params, read_only, isolation, deferrable, role, array_mode } = object(text)?;
    let format = match (format, array_mode) {
        (Format::Json(_), Some(true)) => Format::Json(RowForm::Array),
        (_, Some(true)) => {
            let message = "request body is malformed: `array_mode` goes with application/json only";
            return Err(Failure::with_message(Code::MalformedBody, message));
        }
        _ => format,
    };
    let mut admitted = match (known, role.as_deref()) {
        (Some(identity), None) => {
            gateway.count(account, gateway.surroundings.client_addr(peer, headers), identity)?
        }
        (_, requested_role) => {
            let presented = postern_auth::Presented { requested_role, ..presented };
            gateway.admit(account, peer, headers, presented).await?
        }
    };
    let statement = Statement { sql: params::text(query)?.into(), params: params::convert(params.as_ref())? };
    let transaction = TransactionOptions { isolation: isolation.map(Into::into), read_only, deferrable };
    drop(body);

    let (encoder, running) = first(gateway, account, &mut admitted, statement, transaction, format).await?;
    Ok(Begun { format, encoder, running, admitted })
}

/// Makes the beginning of the answer. What is still running, if there is more.
async fn first(
    gateway: &Arc<Gateway>,
    account: &mut Account,
    admitted: &mut Admitted,
    statement: Statement,
    transaction: TransactionOptions,
    format: Format,
) -> Result<(Encoder, Option<Running>), Failure> {
    let mut running = gateway.run(account, admitted, vec![statement], transaction).await?;
    let limits = admitted.admission.limits();
    let mut encoder = Encoder::new(format, limits.response_rows, limits.stream_bytes);
    loop {
        let event = running.next().await?;
        if encoder.add(event)? {
            account.rows = encoder.rows;
            return Ok((encoder, None));
        }
        if encoder.is_full() {
            admitted.waiting.cover(encoder.held())?;
            return Ok((encoder, Some(running)));
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Code> {
    let value = single(headers, &CONTENT_TYPE)?.ok_or(Code::ContentType)?;
    let mut parts = value.split(';');
    let is_json = parts.next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
    // JSON has one encoding; another one that is announced is an error, not a hint.
    let is_utf8 = parts.all(|parameter| match parameter.trim().split_once('=') {
        Some((name, charset)) if name.eq_ignore_ascii_case("charset") => {
            charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if is_json && is_utf8 { Ok(()) } else { Err(Code::ContentType) }
}

/// The format that the client likes best; JSON if it does not say.
fn negotiate(headers: &HeaderMap) -> Result<Format, Code> {
    let mut best: Option<(f32, Format)> = None;
    let mut said_something = false;
    for value in headers.get_all(ACCEPT) {
        let value = value.to_str().map_err(|_| Code::BadHeader)?;
        for range in value.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            said_something = true;
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Format::Json(RowForm::Object),
                "application/x-ndjson" => Format::NdJson,
                "text/csv" | "text/*" => Format::Csv,
                _ => continue,
            };
            let quality =
                parts.find_map(|parameter| parameter.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
            let quality = quality.map_err(|_| Code::BadHeader)?;
            // The first one wins among equals.
            if quality > 0.0 && best.is_none_or(|(before, _)| quality > before) {
                best = Some((quality, format));
            }
        }
    }
    match best {
        Some((_, format)) => Ok(format),
        None if said_something => Err(Code::NotAcceptable),
        None => Ok(Format::Json(RowForm::Object)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accept(value: &'static str) -> Result<Format, Code> {
        negotiate(&[(ACCEPT, HeaderValue::from_static(value))].into_iter().collect())
    }

    #[test]
    fn the_client_chooses_the_format() {
        let json = Format::Json(RowForm::Object);
        assert_eq!(negotiate(&HeaderMap::new()), Ok(json));
        assert_eq!(accept("*/*"), Ok(json));
        assert_eq!(accept(""), Ok(json));
        assert_eq!(accept("Application/X-NDJSON"), Ok(Format::NdJson));
        assert_eq!(accept("text/html, text/csv;q=0.9, application/json;q=0.5"), Ok(Format::Csv));
        assert_eq!(accept("application/json;q=0, text/csv;q=0.1"), Ok(Format::Csv));
        assert_eq!(accept("application/x-ndjson, application/json"), Ok(Format::NdJson));
        assert_eq!(accept("text/html"), Err(Code::NotAcceptable));
        assert_eq!(accept("text/csv;q=0"), Err(Code::NotAcceptable));
        assert_eq!(accept("text/csv;q=x"), Err(Code::BadHeader));
    }

    fn content_type(value: &'static str) -> Result<(), Code> {
        check_content_type(&[(CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect())
    }

    #[test]
    fn only_json_is_taken() {
        assert_eq!(content_type("application/json"), Ok(()));
        assert_eq!(content_type("Application/JSON; charset=\"UTF-8\""), Ok(()));
        for value in [
            "text/plain",
            "application/jsonp",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert_eq!(content_type(value), Err(Code::ContentType), "{value}");
        }
        assert_eq!(check_content_type(&HeaderMap::new()), Err(Code::ContentType));
    }
}
