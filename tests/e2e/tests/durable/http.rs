//! HTTP steps: what is sent, what comes back, what is refused, and what happens when somebody dies in between.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_cluster::Cluster;
use postern_outbound::{Config, Outbound};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::stage::Stage;

/// A request as the other side saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    headers: ::http::HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// The other side, on this machine.
pub struct Other {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Other {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let notes = Arc::clone(&notes);
                let service = service_fn(move |request| answer(request, Arc::clone(&notes)));
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client that is killed is none of our concern.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }

    /// The requests for a path, so far.
    pub fn requests(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.line.ends_with(path)).cloned().collect()
    }

    fn wait_for(&self, path: &str, count: usize) {
        for _ in 0..6_000 {
            if self.requests(path).len() >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{path} was asked for {} times, not {count}", self.requests(path).len());
    }
}

/// By its path: `/to?URL` and `/keep?URL` (redirects), `/tell` and `/fail` (what the header Authorization says), `/ok`, `/echo`, `/status/503`, `/flaky` (503 twice), `/big`, `/never`, `/slow-once` (the first request never ends).
async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let told = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let before = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|seen| seen.line.ends_with(&path)).count();
        seen.push(Seen {
            line: format!("{} {path}", head.method),
            headers: head.headers,
            body: body.clone(),
        });
        before
    };
    let response = Response::builder();
    let text = |status: StatusCode, text: &str| {
        Ok(Response::builder().status(status).body(Full::from(text.to_owned())).unwrap())
    };
    match path.as_str() {
        "/to" => Ok(response.status(302).header("location", query).body(Full::default()).unwrap()),
        "/keep" => Ok(response.status(307).header("location", query).body(Full::default()).unwrap()),
        "/tell" => text(StatusCode::OK, &told.unwrap_or_default()),
        "/fail" => text(StatusCode::INTERNAL_SERVER_ERROR, &told.unwrap_or_default()),
        "/echo" => text(StatusCode::OK, &body),
        "/flaky" if before < 2 => text(StatusCode::SERVICE_UNAVAILABLE, "not yet"),
        "/big" => text(StatusCode::OK, &"x".repeat(200_000)),
        "/never" => std::future::pending().await,
        "/slow-once" if before == 0 => std::future::pending().await,
        "/redirect" => {
            Ok(response.status(302).header("location", "http://127.0.0.1:1/").body(Full::default()).unwrap())
        }
        _ => match path.strip_prefix("/status/").and_then(|code| code.parse().ok()) {
            Some(code) => text(StatusCode::from_u16(code).unwrap(), "as you wish"),
            None => text(StatusCode::OK, "fine"),
        },
    }
}

/// A server with alice, who may call the other side, and a worker.
pub struct Scene {
    pub stage: Stage,
    pub other: Other,
    /// The other side's.
    _runtime: Runtime,
    worker: Option<(Runtime, Outbound)>,
    /// The worker's key.
    pub key: Option<PathBuf>,
    pub redirects: usize,
    /// How long the worker may have what it has taken before it says so again.
    pub lease: Duration,
}

impl Scene {
    pub fn start() -> Self {
        let mut scene = Self::without_worker();
        scene.hire();
        scene
    }

    pub fn without_worker() -> Self {
        let runtime = Runtime::new().unwrap();
        let other = runtime.block_on(Other::start());
        let port = other.address.port();
        let stage = Stage::with(
            Cluster::builder().setting("postern.http_private_hosts", &format!("localhost:{port}")),
        );
        stage.cluster.set_password("postern_outbound").unwrap();
        stage.admin(&format!(
            "select df.grant_usage('alice', include_http => true);
             select postern.allow_http('localhost', 'alice', ports => array[{port}, 1], scheme => 'http')"
        ));
        Self {
            stage,
            other,
            _runtime: runtime,
            worker: None,
            key: None,
            redirects: 0,
            lease: Duration::from_secs(1),
        }
    }

    fn config(&self) -> Config {
        Config {
            lease: self.lease,
            response_bytes: 100_000,
            shutdown_timeout: Duration::ZERO,
            secrets_key_file: self.key.clone(),
            redirects: self.redirects,
            ..Config::new(self.stage.cluster.url("postern_outbound", "postgres"))
        }
    }

    pub fn hire(&mut self) {
        let config = self.config();
        let runtime = Runtime::new().unwrap();
        let worker = {
            let _inside = runtime.enter();
            Outbound::start(config).unwrap()
        };
        self.worker = Some((runtime, worker));
    }

    /// Asks the worker to stop, and waits until it has.
    pub fn dismiss(&mut self) {
        if let Some((runtime, worker)) = self.worker.take() {
            runtime.block_on(worker.shutdown());
        }
    }

    /// Ends the worker without a word to anybody.
    fn kill(&mut self) {
        if let Some((runtime, worker)) = self.worker.take() {
            runtime.shutdown_background();
            drop(worker);
        }
    }

    fn get(&self, path: &str) -> String {
        format!("df.http('{}', 'GET')", self.other.url(path))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.dismiss();
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_comes_back_is_a_result() {
    let scene = Scene::start();
    let stage = &scene.stage;
    let echo = scene.other.url("/echo");

    let result = json(&stage.result(&format!(
        "'select 42 as n, ''it''''s'' as t' |=> 'x'
         ~> df.http('{echo}', 'POST', '{{\"n\": $x.n, \"t\": \"$x.t\"}}', '{{\"X-N\": \"$x.n\"}}')"
    )));
    assert_eq!(result["status"], 200);
    assert_eq!(result["ok"], true);
    assert_eq!((&result["encoding"], &result["body"]), (&"text".into(), &r#"{"n": 42, "t": "it's"}"#.into()));
    let seen = scene.other.requests("/echo").pop().unwrap();
    assert_eq!((seen.line.as_str(), seen.header("x-n").as_str()), ("POST /echo", "42"));
    assert_eq!(seen.body, r#"{"n": 42, "t": "it's"}"#);
    assert!(seen.header("user-agent").starts_with("postern/"), "{seen:?}");
    assert_eq!(seen.header("idempotency-key").len(), 36);

    // The next step sees it by name.
    let status = stage.result(&format!("{} |=> 'r' ~> 'select $r.status + 1 as s'", scene.get("/ok")));
    assert_eq!(json(&status)["rows"][0]["s"], 201);

    // 4xx and redirects are results; nobody goes where a redirect leads.
    let missing = json(&stage.result(&scene.get("/status/404")));
    assert_eq!((&missing["status"], &missing["ok"]), (&404.into(), &false.into()));
    let redirect = json(&stage.result(&scene.get("/redirect")));
    assert_eq!(
        (&redirect["status"], &redirect["headers"]["location"]),
        (&302.into(), &"http://127.0.0.1:1/".into())
    );

    // Parts.
    let parts = format!(
        "df.http_multipart('{echo}', parts => '[{{\"name\": \"f\", \"filename\": \"a.txt\", \"data_b64\": \"aGk=\"}}]')"
    );
    let body = json(&stage.result(&parts))["body"].as_str().unwrap().to_owned();
    assert!(body.contains("form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhi\r\n"), "{body}");

    // The record says that it may have been sent more than once, and what was sent.
    assert_eq!(
        stage.admin("select bool_and(sends = 1), bool_and(query ~ '^(GET|POST) http://localhost') from postern.step where sends is not null"),
        "t|t"
    );
    assert_eq!(stage.admin("select count(*) from postern.outbound"), "0");
}

#[test]
fn what_fails_says_why_and_retry_tries_again() {
    let scene = Scene::start();
    let stage = &scene.stage;
    let port = scene.other.address.port();

    assert_eq!(
        stage.failure(&scene.get("/status/503")),
        format!("HTTP GET http://localhost:{port}/status/503 returned 503: as you wish")
    );
    let caught = stage.result(&format!(
        "df.catch({}, 'select $error.status as status, $error.sqlstate as state')",
        scene.get("/status/500")
    ));
    assert_eq!(json(&caught)["rows"][0], serde_json::json!({"status": 500, "state": "38000"}));

    let never = scene.other.url("/never");
    assert_eq!(
        stage.failure(&format!("df.http('{never}', 'GET', timeout_seconds => 1)")),
        format!("HTTP timeout after 1s: {never}")
    );
    let failure = stage.failure(&scene.get("/big"));
    assert!(failure.starts_with("HTTP response is too large: more than 100000 bytes"), "{failure}");

    let result = stage.result(&format!("df.retry({}, 5, interval '1 millisecond')", scene.get("/flaky")));
    assert_eq!(json(&result)["body"], "fine");
    let keys: std::collections::BTreeSet<String> =
        scene.other.requests("/flaky").iter().map(|seen| seen.header("idempotency-key")).collect();
    assert_eq!(
        (scene.other.requests("/flaky").len(), keys.len()),
        (3, 3),
        "each attempt has a key of its own"
    );
}

#[test]
fn what_is_not_allowed_is_not_sent() {
    let scene = Scene::start();
    let stage = &scene.stage;
    let port = scene.other.address.port();
    let refused = |url: &str| stage.failure(&format!("df.http('{url}', 'GET')"));

    // Not in the list: another host, another scheme, another port, another method.
    stage.admin("select postern.allow_http('*.example.com', methods => array['GET'])");
    for url in [
        "https://example.com/",
        "https://badexample.com/",
        "http://a.example.com/",
        "https://a.example.com:8443/",
        "https://elsewhere.invalid/",
        "https://a.example.com@elsewhere.invalid/",
        &format!("https://localhost:{port}/"),
        "http://localhost:2/",
    ] {
        let message = refused(url);
        assert!(message.contains("is not in the allowed endpoint list"), "{url}: {message}");
    }
    let message = stage.failure("df.http('https://a.example.com/', 'POST')");
    assert!(message.contains("'a.example.com' is not in the allowed endpoint list"), "{message}");

    // Addresses, however they are written.
    for url in [
        format!("http://127.0.0.1:{port}/"),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://[::ffff:10.0.0.1]/".into(),
        "http://[::1]/".into(),
        "http://2130706433/".into(),
        "http://0x7f.0.0.1/".into(),
        "https://8.8.8.8/".into(),
    ] {
        assert_eq!(
            refused(&url),
            "Blocked: requests to bare IP addresses are not permitted. Use an allowed host name instead.",
            "{url}"
        );
    }

    // A name that is allowed, and leads to this machine: the setting names it with another port.
    assert_eq!(
        refused("http://localhost:1/"),
        "Blocked: the resolved IP address for 'localhost' is in a restricted range. df.http() cannot access private or internal network addresses."
    );

    // Headers that would lead it elsewhere.
    let message = stage.failure(&format!(
        "df.http('{}', 'GET', headers => '{{\"Host\": \"elsewhere.invalid\"}}')",
        scene.other.url("/ok")
    ));
    assert_eq!(message, "Blocked: header 'Host' cannot be set by a step.");
    let message = stage.failure(&format!(
        "df.http('{}', 'GET', headers => jsonb_build_object('x-a', E'b\\r\\nx-c: d'))",
        scene.other.url("/ok")
    ));
    assert_eq!(message, "HTTP header 'x-a' is not one that can be sent");

    // No right to call at all, or to call this: hand-written JSON gains nothing.
    let node = format!(
        r#"'{{"node_type":"HTTP","query":"{{\"url\":\"{}\",\"method\":\"GET\"}}"}}'"#,
        scene.other.url("/ok")
    );
    let id = stage.run("bob", &format!("select df.start({node})"));
    stage.until("it fails", &format!("select status from postern.instance where id = '{id}'"), "failed");
    assert_eq!(
        stage.admin(&format!("select error->>'message' from postern.instance where id = '{id}'")),
        "Blocked: role 'bob' does not have EXECUTE privilege on df.http(). Grant EXECUTE ON FUNCTION df.http(text,text,text,jsonb,integer) TO bob to allow HTTP requests."
    );
    stage.admin("select df.grant_usage('bob', include_http => true)");
    let id = stage.run("bob", &format!("select df.start({node})"));
    stage.until("it fails", &format!("select status from postern.instance where id = '{id}'"), "failed");
    let message = stage.admin(&format!("select error->>'message' from postern.instance where id = '{id}'"));
    assert!(
        message.contains("'localhost' is not in the allowed endpoint list"),
        "alice's entry is not bob's: {message}"
    );

    assert!(scene.other.seen.lock().unwrap().is_empty(), "nothing was sent");

    // Nobody changes the list, or plays the worker, but those who may.
    for sql in [
        "select postern.allow_http('elsewhere.invalid')",
        "select postern.forbid_http('localhost', 'alice')",
        "insert into postern.http_allow(scheme, host, ports) values ('https', 'x', '{443}')",
        "select postern.outbound_claim(gen_random_uuid(), 1, 1, '{}')",
        "select postern.outbound_done(gen_random_uuid(), 1, '{}', null)",
        "select postern.durable_wake()",
        "set postern.http_private_hosts = 'localhost:1'",
    ] {
        let error = stage.try_run("alice", sql).unwrap_err();
        assert!(error.contains("permission denied"), "{sql}: {error}");
    }
    for sql in [
        "select count(*) from postern.outbound",
        "select count(*) from postern.http_allow",
        "select count(*) from df.instances",
        "select df.start('select 1')",
        "select postern.allow_http('elsewhere.invalid')",
    ] {
        let error = stage.try_run("postern_outbound", sql).unwrap_err();
        assert!(error.contains("permission denied"), "{sql}: {error}");
    }
}

#[test]
fn a_secret_is_not_sent_as_its_reference() {
    let scene = Scene::start();
    let step = format!(
        "df.http('{}', 'GET', headers => '{{\"Authorization\": \"Bearer {{secret:token}}\"}}')",
        scene.other.url("/ok")
    );
    assert_eq!(scene.stage.failure(&step), "secret 'token' does not exist");
    assert!(scene.other.requests("/ok").is_empty());
}

#[test]
fn what_was_forbidden_meanwhile_is_not_sent() {
    let mut scene = Scene::without_worker();
    let id = scene.stage.start_as_alice(&scene.get("/ok"));
    let waits = format!("select status_details->>'waiting' from df.nodes where instance_id = '{id}'");
    scene.stage.until(
        "it says what it waits for",
        &waits,
        "no outbound worker is running to send the request to localhost",
    );
    assert_eq!(scene.stage.admin("select postern.forbid_http('localhost', 'alice')"), "1");
    scene.hire();
    let (status, message) = scene.stage.end_of(&id);
    assert_eq!(status, "failed");
    assert!(message.contains("is not in the allowed endpoint list"), "{message}");
    assert!(scene.other.requests("/ok").is_empty());
}

#[test]
fn a_request_whose_worker_died_is_sent_again_with_the_same_key() {
    let mut scene = Scene::start();
    let id = scene.stage.start_as_alice(&scene.get("/slow-once"));
    scene.other.wait_for("/slow-once", 1);
    scene.kill();
    assert_eq!(scene.stage.admin("select sends, worker is not null from postern.outbound"), "1|t");
    scene.hire();
    let (status, text) = scene.stage.end_of(&id);
    assert_eq!((status.as_str(), &json(&text)["status"]), ("completed", &200.into()));
    let requests = scene.other.requests("/slow-once");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    assert_eq!(scene.stage.admin(&format!("select sends from postern.step where instance = '{id}'")), "2");
    assert_eq!(
        scene.stage.admin(&format!(
            "select status_details->>'delivery', status_details->>'sends' from df.nodes where instance_id = '{id}'"
        )),
        "at-least-once|2"
    );
}

#[test]
fn a_worker_that_stops_gives_back_what_it_has_not_finished() {
    let mut scene = Scene::start();
    let id = scene.stage.start_as_alice(&scene.get("/slow-once"));
    scene.other.wait_for("/slow-once", 1);
    scene.dismiss();
    assert_eq!(
        scene.stage.admin("select count(*) from postern.outbound where worker is null and due <= now()"),
        "1"
    );
    scene.hire();
    assert_eq!(scene.stage.end_of(&id).0, "completed");
    assert_eq!(scene.other.requests("/slow-once").len(), 2);
}

#[test]
fn a_request_that_nobody_waits_for_is_dropped_and_its_worker_stops() {
    let scene = Scene::start();
    let stage = &scene.stage;
    let in_flight =
        || scene.worker.as_ref().unwrap().1.stats().in_flight.load(std::sync::atomic::Ordering::Relaxed);
    let idle = || {
        for _ in 0..6_000 {
            if in_flight() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the worker goes on with what nobody waits for");
    };

    let id = stage.start_as_alice(&scene.get("/never"));
    scene.other.wait_for("/never", 1);
    stage.run("alice", &format!("select df.cancel('{id}')"));
    assert_eq!(stage.end_of(&id).0, "cancelled");
    assert_eq!(stage.admin("select count(*) from postern.outbound"), "0");
    idle();

    // The loser of a race, and a step whose time is up.
    let result = stage.result(&format!("{} | 'select 1 as n'", scene.get("/never")));
    assert_eq!(json(&result)["row_count"], 1);
    let failure = stage.failure(&format!("df.timeout({}, interval '300 milliseconds')", scene.get("/never")));
    assert!(failure.contains("Timeout after 0.3s"), "{failure}");
    assert_eq!(stage.admin("select count(*) from postern.outbound"), "0");
    idle();
}

#[test]
fn many_requests_are_under_way_at_once() {
    let mut scene = Scene::without_worker();
    // A worker that hardly gets a processor must not lose what it has taken.
    scene.lease = Duration::from_mins(1);
    scene.hire();
    let url = scene.other.url("/ok");
    let branches =
        format!("df.all((select array_agg(df.http('{url}', 'GET')) from generate_series(1, 300) n))");
    let id = scene.stage.start_as_alice(&branches);
    let (status, text) = scene.stage.end_of(&id);
    assert_eq!(status, "completed", "{text}");
    assert_eq!(scene.other.requests("/ok").len(), 300);
    assert_eq!(json(&text).as_array().unwrap().len(), 300);
}
