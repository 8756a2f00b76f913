//! Requests to a gate: one at a time for tests of the gate itself, whole ones for everyone else.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};

/// What a gate answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The head.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether the body ended as it should; a streamed one that failed does not.
    pub complete: bool,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The SQLSTATE in an error of either protocol.
    #[track_caller]
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json
            .get("code")
            .or_else(|| json.pointer("/error/sqlstate"))
            .or_else(|| json.pointer("/error/code"));
        code.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A client of one gate.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Http {
    /// A client of the gate at this address.
    pub fn new(address: std::net::SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), base: format!("http://{address}") }
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("headers that can be sent");
        let response = self.client.request(request).await.expect("the gate answers");
        let (parts, mut incoming) = response.into_parts();
        let (mut body, mut complete) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else {
                complete = false;
                break;
            };
            body.extend(frame.into_data().unwrap_or_default());
        }
        Response { status: parts.status, headers: parts.headers, body: body.into(), complete }
    }

    /// `POST /sql`: a body as a driver sends it. `headers` besides the token and the connection string.
    pub async fn sql(
        &self,
        token: &str,
        connection: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Response {
        let authorization = format!("Bearer {token}");
        let mut all = vec![
            ("authorization", authorization.as_str()),
            ("neon-connection-string", connection),
            ("neon-raw-text-output", "true"),
            ("neon-array-mode", "true"),
            ("content-type", "text/plain;charset=UTF-8"),
        ];
        all.extend_from_slice(headers);
        self.send(Method::POST, "/sql", &all, body.to_string()).await
    }
}

/// The body of a batch.
pub(crate) fn batch(statements: &[(&str, &[Option<&str>])]) -> Value {
    let queries: Vec<_> =
        statements.iter().map(|(sql, params)| json!({ "query": sql, "params": params })).collect();
    json!({ "queries": queries })
}

/// One answer for each statement of a batch, or the error.
#[track_caller]
pub(crate) fn read(response: &Response) -> Result<Vec<Answer>, Refusal> {
    let json = response.json();
    if response.status != StatusCode::OK {
        let field = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        return Err(Refusal {
            code: field("code").unwrap_or_default(),
            message: field("message").unwrap_or_default(),
            detail: field("detail"),
            hint: field("hint"),
            status: response.status.as_u16(),
        });
    }
    let results = json.get("results").and_then(Value::as_array).expect("a batch has results");
    Ok(results.iter().map(answer).collect())
}

fn answer(result: &Value) -> Answer {
    let list = |name: &str| {
        result.get(name).and_then(Value::as_array).expect("fields and rows are always there").clone()
    };
    let cell = |value: &Value| value.as_str().map(str::to_owned);
    let name = |field: &Value| field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Answer {
        columns: list("fields").iter().map(name).collect(),
        rows: list("rows")
            .iter()
            .map(|row| row.as_array().expect("rows as arrays").iter().map(cell).collect())
            .collect(),
        command: result.get("command").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}
