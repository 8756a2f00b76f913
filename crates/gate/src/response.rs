//! Responses: their heads, the same for every protocol.
//!
//! **Invariants**: no header ever holds anything from a result, an error message or a statement. Nothing may be cached.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName,
    ORIGIN, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use postern_core::Protocol;

use crate::account::Account;
use crate::body::Body;
use crate::config::Cors;
use crate::failure::Failure;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: HeaderName = HeaderName::from_static("neon-request-id");

/// A response with a body of this type.
pub(crate) fn with(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The response that a failure gets.
pub(crate) fn failure(failure: &Failure, protocol: Protocol, hide_internals: bool) -> Response<Body> {
    let status = StatusCode::from_u16(failure.status(protocol)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with(status, JSON, failure.body(protocol, hide_internals));
    let headers = response.headers_mut();
    if let Some(seconds) = failure.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("OPTIONS, POST"));
        }
        _ => {}
    }
    response
}

/// Names the request in its response.
pub(crate) fn name(response: &mut Response<Body>, account: &Account) {
    if let Ok(id) = HeaderValue::from_str(account.id()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// The answer to a browser that asks whether it may.
pub(crate) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::from(""));
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Authorization, Content-Type, Neon-Connection-String, Neon-Raw-Text-Output, Neon-Array-Mode, \
             Neon-Pool-Opt-In, Neon-Batch-Read-Only, Neon-Batch-Isolation-Level, Neon-Batch-Deferrable, \
             X-API-Key, Postern-Anonymous",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Lets scripts of the configured origins read the response. Never with credentials of the browser's own.
pub(crate) fn share(response: &mut Response<Body>, cors: &Cors, request: &HeaderMap) {
    let headers = response.headers_mut();
    let origin = if cors.origins.iter().any(|origin| origin == "*") {
        Some(HeaderValue::from_static("*"))
    } else {
        headers.append(VARY, HeaderValue::from_name(ORIGIN));
        let origin = request.get(ORIGIN);
        origin
            .filter(|origin| cors.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()))
            .cloned()
    };
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers
            .insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("neon-request-id, retry-after"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(origins: &[&str], origin: Option<&'static str>) -> Option<String> {
        let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let cors = Cors { origins, anonymous_from_anywhere: false };
        let request = origin.map(|origin| (ORIGIN, HeaderValue::from_static(origin))).into_iter().collect();
        let mut response = preflight();
        share(&mut response, &cors, &request);
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
        response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn origins_are_shared_with_as_configured() {
        assert_eq!(shared(&["*"], Some("https://any.example")).as_deref(), Some("*"));
        assert_eq!(shared(&["*"], None).as_deref(), Some("*"));
        assert_eq!(
            shared(&["https://a.example"], Some("https://a.example")).as_deref(),
            Some("https://a.example")
        );
        assert_eq!(shared(&["https://a.example"], Some("https://b.example")), None);
        assert_eq!(shared(&["https://a.example"], None), None);
        assert_eq!(shared(&[], Some("https://a.example")), None);
    }
}
