//! Who is measured, and how each is asked.

use std::path::Path;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::request::Builder;
use http::{HeaderValue, Method, Request};
use serde::Serialize;
use serde_json::{Value, json};

use crate::fixture::{ENTERED_ROLE, Fixture, STATEMENT};
use crate::load::{Ask, Sent, Target};
use crate::pgbench::{self, DIRECT, ENTERED, SET_ROLE};
use crate::sample::{Sample, Span};
use crate::service::Service;
use postern_bench::error::Result;

/// The largest number of clients, each of which has a token of its own.
pub const MOST_CLIENTS: usize = 1_000;

/// In the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// pgbench, logged in as the reader
    Direct,
    /// pgbench, SET LOCAL ROLE in a transaction
    SetRole,
    /// pgbench, postern.enter and the statement
    Entered,
    /// Our gate, POST /v1/query
    GateV1,
    /// Our gate, POST /sql
    GateSql,
    /// A minimal gate in Node
    Node,
    /// PostGraphile
    Postgraphile,
}

impl Contestant {
    pub const ALL: [Self; 7] = [
        Self::Direct,
        Self::SetRole,
        Self::Entered,
        Self::GateV1,
        Self::GateSql,
        Self::Node,
        Self::Postgraphile,
    ];

    /// Whether it is a program in Node.
    pub fn needs_node(self) -> bool {
        matches!(self, Self::Node | Self::Postgraphile)
    }

    /// As the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Direct => "pgbench, direct login",
            Self::SetRole => "pgbench, SET LOCAL ROLE",
            Self::Entered => "pgbench, postern.enter",
            Self::GateV1 => "gate, /v1/query",
            Self::GateSql => "gate, /sql",
            Self::Node => "minimal gate in Node",
            Self::Postgraphile => "PostGraphile",
        }
    }
}

/// Everything that runs while it is measured.
pub struct Stage {
    gate: Service,
    node: Option<Service>,
    postgraphile: Option<Service>,
    tokens: Vec<HeaderValue>,
    // Last: the services end before their server.
    pub fixture: Fixture,
}

impl Stage {
    /// Starts what the contestants need.
    pub fn set(
        fixture: Fixture,
        program: &Path,
        connections: usize,
        contestants: &[Contestant],
    ) -> Result<Self> {
        let node = |contestant, script| {
            contestants
                .contains(&contestant)
                .then(|| Service::node(&fixture, script, connections))
                .transpose()
        };
        Ok(Self {
            node: node(Contestant::Node, "gate.mjs")?,
            postgraphile: node(Contestant::Postgraphile, "postgraphile.mjs")?,
            gate: Service::gate(&fixture, program, connections)?,
            tokens: tokens(&fixture),
            fixture,
        })
    }

    /// One measurement; nothing if the contestant does not run.
    pub fn measure(&self, contestant: Contestant, clients: usize, span: Span) -> Result<Option<Sample>> {
        let script = match contestant {
            Contestant::Direct => DIRECT,
            Contestant::SetRole => SET_ROLE,
            Contestant::Entered => ENTERED,
            _ => return self.measure_service(contestant, clients, span),
        };
        pgbench::run(&self.fixture.cluster, self.fixture.server, script, clients, span).map(Some)
    }

    fn measure_service(&self, contestant: Contestant, clients: usize, span: Span) -> Result<Option<Sample>> {
        let (service, ask): (_, Ask) = match contestant {
            Contestant::GateV1 => (Some(&self.gate), ask_v1(self.tokens.clone())),
            Contestant::GateSql => (Some(&self.gate), ask_neon(self.tokens.clone())),
            Contestant::Postgraphile => (self.postgraphile.as_ref(), Box::new(ask_postgraphile)),
            _ => (self.node.as_ref(), Box::new(ask_node)),
        };
        let Some(service) = service else { return Ok(None) };
        let target = Target { name: contestant.title(), address: service.address, ask };
        crate::load::run(&target, self.fixture.server, service.pid(), clients, span).map(Some)
    }
}

/// What `Authorization` says for each client.
pub fn tokens(fixture: &Fixture) -> Vec<HeaderValue> {
    let header = |number| HeaderValue::from_str(&format!("Bearer {}", fixture.token(number)));
    // A token is made of letters, digits, dots, dashes and underscores.
    (0..MOST_CLIENTS).filter_map(|number| header(number).ok()).collect()
}

/// The gate's own protocol.
pub fn ask_v1(tokens: Vec<HeaderValue>) -> Ask {
    Box::new(move |client, id| {
        let request = post("/v1/query").header(AUTHORIZATION, tokens[client % tokens.len()].clone());
        finish(request.header(ACCEPT, "application/json"), &json!({"query": STATEMENT, "params": [id]}))
    })
}

/// Neon's, as its driver sends it.
fn ask_neon(tokens: Vec<HeaderValue>) -> Ask {
    let connection = format!("postgresql://{ENTERED_ROLE}@localhost/postgres");
    Box::new(move |client, id| {
        let request = post("/sql")
            .header(AUTHORIZATION, tokens[client % tokens.len()].clone())
            .header("neon-connection-string", &connection)
            .header("neon-raw-text-output", "true")
            .header("neon-array-mode", "true");
        finish(request, &json!({"query": STATEMENT, "params": [id.to_string()]}))
    })
}

fn ask_postgraphile(_client: usize, id: u32) -> Request<Sent> {
    let query = "query Account($id: Int!) { accountByRowId(rowId: $id) { rowId name balance openedAt } }";
    finish(post("/graphql"), &json!({"query": query, "variables": {"id": id}}))
}

fn ask_node(_client: usize, id: u32) -> Request<Sent> {
    finish(post("/query"), &json!({"query": STATEMENT, "params": [id]}))
}

/// A request to a path of this machine.
pub fn post(path: &str) -> Builder {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("host", "localhost")
        .header(CONTENT_TYPE, "application/json")
}

/// The request with its body.
pub fn finish(request: Builder, body: &Value) -> Request<Sent> {
    let body = Sent::new(Bytes::from(body.to_string()));
    request.body(body).unwrap_or_else(|_| unreachable!("paths and headers are constants and tokens"))
}
