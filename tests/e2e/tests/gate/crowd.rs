//! Many people at once, each of whom knows what she must see.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use postern_e2e::{Example, Front};
use postern_gate::Config;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Connections of the gate to the server.
pub const CONNECTIONS: usize = 4;
/// Requests of one wave: all of them in flight at once.
pub const WAVE: usize = 1_000;
const PEOPLE: usize = 50;
const ROLES: [&str; 5] = ["crowd_0", "crowd_1", "crowd_2", "crowd_3", "crowd_4"];
/// HTTP/2 connections; a server takes about 250 requests at once on each.
const CLIENTS: usize = 5;
/// No test needs nearly as long.
const PATIENCE: Duration = Duration::from_mins(2);

const WHO: &str =
    "select current_user, postern.fact('claims.sub'), (select string_agg(secret, ',') from crowd.secrets)";

/// A gate, and the people who ask it.
pub struct Crowd {
    pub front: Front,
    pub database: String,
    clients: Vec<Client<HttpConnector, Full<Bytes>>>,
    people: Vec<Person>,
    next_id: AtomicU64,
    tally: Mutex<Tally>,
    right: AtomicU64,
}

struct Person {
    role: &'static str,
    subject: String,
    token: String,
}

/// What became of the requests that write, by their ids.
#[derive(Debug, Default)]
pub struct Tally {
    /// Status 200.
    pub committed: BTreeSet<u64>,
    /// An error that says that nothing was done, or that it was undone.
    pub undone: BTreeSet<u64>,
    /// An error that says that nobody knows.
    pub unknown: BTreeSet<u64>,
    /// Errors of all requests, by SQLSTATE.
    pub errors: std::collections::BTreeMap<String, u64>,
}

impl Crowd {
    pub async fn gather(example: &Example) -> Arc<Self> {
        let database = example.database(include_str!("crowd.sql"));
        let front = Front::with(example.cluster(), &database, &ROLES, |config: &mut Config| {
            config.database.connections = CONNECTIONS;
            config.database.queue = WAVE;
            config.database.queue_timeout = PATIENCE;
            config.limits.wall_clock = PATIENCE;
            config.limits.rate = 0;
            config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
        })
        .await;
        let people = (0..PEOPLE).map(|n| {
            let (role, subject) = (ROLES[n % ROLES.len()], format!("person{n}"));
            Person { role, token: front.issuer.token(role, &subject), subject }
        });
        let client = || Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let people = people.collect();
        let clients = (0..CLIENTS).map(|_| client()).collect();
        Arc::new(Self {
            front,
            database,
            clients,
            people,
            next_id: AtomicU64::new(1),
            tally: Mutex::default(),
            right: AtomicU64::new(0),
        })
    }

    /// One request of everyone, twenty times over, all at once. Returns when each has its answer.
    pub async fn wave(self: &Arc<Self>) {
        let mut requests = JoinSet::new();
        for n in 0..WAVE {
            let this = Arc::clone(self);
            requests.spawn(async move { this.request(n).await });
        }
        while let Some(done) = requests.join_next().await {
            done.expect("a right answer, or an error that says so");
        }
    }

    /// Right answers so far.
    pub fn right(&self) -> u64 {
        self.right.load(Ordering::Relaxed)
    }

    /// What became of the writing ones so far.
    pub fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }

    /// Waits until something is so; if that takes for ever, fails.
    pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn request(&self, n: usize) {
        let person = &self.people[n % PEOPLE];
        // Every person sends every kind.
        let kind = (n / PEOPLE) % 4;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (path, body) = match kind {
            0 => ("/sql", json!({ "query": WHO })),
            1 => (
                "/v1/query",
                json!({ "query": format!("{WHO} where $1 = 'x'"), "params": ["x"], "array_mode": true }),
            ),
            // Leaves settings behind, if anything can.
            2 => {
                let set = format!("set application_name = '{}'", person.subject);
                ("/sql", json!({ "queries": [{ "query": set }, { "query": WHO }] }))
            }
            _ => {
                let insert = "insert into crowd.log (id) values ($1) \
                              returning role, sub, (select string_agg(secret, ',') from crowd.secrets)";
                ("/sql", json!({ "query": insert, "params": [id] }))
            }
        };
        let (status, answer) = self.send(n, person, path, &body).await;
        let writes = kind == 3;
        if status == 200 {
            let rows = answer.pointer("/results/1/rows").unwrap_or(&answer["rows"]);
            let secret = format!("secret of {}", person.subject);
            assert_eq!(
                *rows,
                json!([[person.role, person.subject, secret]]),
                "an answer that is another's: {body}"
            );
            if writes {
                self.tally().committed.insert(id);
            }
            self.right.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let error = answer.get("error").unwrap_or(&answer);
        let code = error["code"].as_str().unwrap_or_default().to_owned();
        // The connection, or the server, is not there or goes away. Nothing else may go wrong.
        assert!(
            matches!(code.as_str(), "08001" | "08006" | "08007" | "57P01" | "57P02" | "57P03"),
            "{status} {answer}"
        );
        assert!(error["message"].is_string(), "{answer}");
        let mut tally = self.tally();
        if writes {
            if code == "08007" { &mut tally.unknown } else { &mut tally.undone }.insert(id);
        }
        *tally.errors.entry(code).or_default() += 1;
    }

    async fn send(&self, n: usize, person: &Person, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::post(self.front.url(path))
            .header("authorization", format!("Bearer {}", person.token))
            .header("neon-connection-string", self.front.connection_string(person.role))
            .header("neon-raw-text-output", "true")
            .header("neon-array-mode", "true")
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap();
        let response = self.clients[n % CLIENTS].request(request).await.expect("the gate answers");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("the whole answer").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }
}
