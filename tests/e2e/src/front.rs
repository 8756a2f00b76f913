//! A gate in front of a database, asked over real HTTP.
//!
//! [`Front::ask`] speaks the Neon protocol, [`Front::query`] our own; [`Front::post`] sends anything, also what is wrong.
//! With `POSTERN_E2E_LOG` in the environment, the gate's log goes to standard error.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};
use postern_cluster::Cluster;
use postern_gate::{Config, Gate};
use serde_json::{Value, json};

use crate::http::Http;
use crate::issuer::Issuer;

/// A running gate, and someone who asks it.
pub struct Front {
    gate: Gate,
    client: Http,
    database: String,
    /// Whose tokens it believes.
    pub issuer: Issuer,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Returned {
    /// The status of HTTP.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; a text that is not JSON as a JSON string.
    pub body: Value,
}

/// How to reach a database of a cluster as the gate does. A machine that is busy with many tests is slow, not broken.
pub fn database_section(cluster: &Cluster, database: &str) -> String {
    let url = cluster.url("postern_gate", database);
    format!(
        "[doctor]\nallow = [\"server-below-floor\"]\n[database]\nurl = {url:?}\nconnections = 4\n\
         connect_timeout = \"60s\"\nqueue_timeout = \"60s\"\n"
    )
}

impl Front {
    /// Starts a gate for the role of the example.
    pub async fn start(cluster: &Cluster, database: &str) -> Self {
        Self::with(cluster, database, &["app_user"], |_| {}).await
    }

    /// Starts a gate for these roles, with changes of the configuration.
    pub async fn with(
        cluster: &Cluster,
        database: &str,
        roles: &[&str],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let issuer = Issuer::new();
        let text = format!(
            "{}[listen]\naddress = \"127.0.0.1:0\"\n{}",
            database_section(cluster, database),
            issuer.section(roles)
        );
        let mut config = Config::parse(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        change(&mut config);
        Self::of(config, database, issuer).await
    }

    /// Starts a gate with a configuration.
    pub async fn of(config: Config, database: &str, issuer: Issuer) -> Self {
        if std::env::var_os("POSTERN_E2E_LOG").is_some() {
            postern_gate::init_log(&config).expect("a log");
        }
        let gate =
            Gate::start(config).await.unwrap_or_else(|error| panic!("the gate does not start: {error}"));
        let client = Http::new(gate.local_addr());
        Self { gate, client, database: database.to_owned(), issuer }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.gate.local_addr()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// What a driver calls this database.
    pub fn connection_string(&self, role: &str) -> String {
        format!("postgresql://{role}@localhost/{}", self.database)
    }

    /// A token of a user of the example.
    pub fn token(&self, subject: &str, tenant: &str) -> String {
        self.issuer.token_with("app_user", subject, "tenant", tenant)
    }

    /// One statement to `/sql`.
    pub async fn ask(&self, token: &str, sql: &str) -> Returned {
        self.ask_for(token, &json!({ "query": sql })).await
    }

    /// A body to `/sql`, as the role of the example.
    pub async fn ask_for(&self, token: &str, body: &Value) -> Returned {
        self.ask_as("app_user", token, body).await
    }

    /// A body to `/sql`, with a role in the connection string.
    pub async fn ask_as(&self, role: &str, token: &str, body: &Value) -> Returned {
        let connection = self.connection_string(role);
        let headers = [
            ("neon-connection-string", connection.as_str()),
            ("neon-raw-text-output", "true"),
            ("neon-array-mode", "true"),
        ];
        self.post("/sql", Some(token), &headers, body.to_string()).await
    }

    /// One statement to `/v1/query`.
    pub async fn query(&self, token: &str, sql: &str) -> Returned {
        self.query_for(token, &json!({ "query": sql })).await
    }

    /// A body to `/v1/query`.
    pub async fn query_for(&self, token: &str, body: &Value) -> Returned {
        self.post("/v1/query", Some(token), &[("content-type", "application/json")], body.to_string()).await
    }

    /// Anything to a path.
    pub async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Returned {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut all: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        all.extend_from_slice(headers);
        self.client.send(Method::POST, path, &all, body).await.into()
    }

    /// A path, as anyone.
    pub async fn get(&self, path: &str) -> Returned {
        self.client.send(Method::GET, path, &[], Bytes::new()).await.into()
    }

    /// What operators see of it, if `metrics.listen` is set.
    pub async fn metrics(&self) -> String {
        let address = self.gate.metrics_addr().expect("the gate has an address for operators");
        Http::new(address).send(Method::GET, "/metrics", &[], Bytes::new()).await.text()
    }

    /// Ends it.
    pub async fn stop(self) {
        // Idle connections would be waited for.
        drop(self.client);
        self.gate.shutdown().await;
    }
}

impl From<crate::http::Response> for Returned {
    fn from(response: crate::http::Response) -> Self {
        assert!(response.complete, "the answer was broken off: {}", response.text());
        let body = serde_json::from_slice(&response.body).unwrap_or_else(|_| Value::String(response.text()));
        Self { status: response.status.as_u16(), headers: response.headers, body }
    }
}

impl Returned {
    /// The members of an error, on either protocol.
    fn error(&self) -> &Value {
        self.body.get("error").unwrap_or(&self.body)
    }

    /// The SQLSTATE of an error; empty if there is none.
    pub fn code(&self) -> &str {
        self.error()["code"].as_str().unwrap_or_default()
    }

    /// The code of one of Postern's own errors; empty if it is not one.
    pub fn own_code(&self) -> &str {
        self.error()["postern"].as_str().unwrap_or_default()
    }

    /// The message of an error; empty if there is none.
    pub fn message(&self) -> &str {
        self.error()["message"].as_str().unwrap_or_default()
    }

    /// Asserts success; gives the rows.
    #[track_caller]
    pub fn rows(&self) -> &Value {
        assert_eq!(self.status, 200, "should succeed: {}", self.body);
        &self.body["rows"]
    }

    /// Asserts success; gives the rows as psql prints them.
    #[track_caller]
    pub fn text(&self) -> String {
        let cell = |cell: &Value| match cell {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let line = |row: &Value| match row {
            Value::Array(cells) => cells.iter().map(cell).collect::<Vec<_>>().join("|"),
            Value::Object(cells) => cells.values().map(cell).collect::<Vec<_>>().join("|"),
            other => panic!("not a row: {other}"),
        };
        self.rows().as_array().expect("rows").iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Asserts a refusal by its status, its SQLSTATE, and its code if it is Postern's own (else empty).
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, own: &str) {
        assert_eq!((self.status, self.code(), self.own_code()), (status, code, own), "{}", self.body);
        assert!(!self.message().is_empty() && self.error()["severity"] == "ERROR", "{}", self.body);
    }
}
