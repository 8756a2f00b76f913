//! Health, readiness, metrics, the description; starting and stopping.

use std::sync::Arc;
use std::time::Duration;

use postern_cluster::Mode;
use postern_gate::{Config, Error, Gate};
use serde_json::json;

use crate::common::{Answer, Site, server, shared};

async fn get(site: &Site, path: &str) -> Answer {
    Answer::of(site.request(reqwest::Method::GET, path).send().await.unwrap()).await
}

#[tokio::test]
async fn the_service_says_how_it_is() {
    let site = Site::new().await;
    assert_eq!(get(&site, "/healthz").await.ok(), json!({"status": "ok"}));
    assert_eq!(get(&site, "/readyz").await.ok(), json!({"status": "ready"}));
    let document = get(&site, "/openapi.json").await.ok();
    assert!(document["paths"]["/v1/query"]["post"].is_object());
    let post = Answer::of(site.request(reqwest::Method::POST, "/healthz").send().await.unwrap()).await;
    assert_eq!(post.refusal(), "405 08P01 PST118");
}

#[tokio::test]
async fn roles_in_metrics_are_for_those_with_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "a-token-of-some-length\n").unwrap();
    let site =
        Site::with(&format!("[metrics]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"\n", file.display()))
            .await;
    site.sql("ann", "select 1", &[]).await.ok();
    assert_eq!(site.sql("ann", "select 1/0", &[]).await.status, 400);

    let public = get(&site, "/metrics").await;
    assert!(public.text.contains("postern_requests_total{outcome=\"sql_error\"} 1\n"), "{}", public.text);
    assert!(!public.text.contains("app_user"), "{}", public.text);

    let with = async |token: &str| {
        Answer::of(site.request(reqwest::Method::GET, "/metrics").bearer_auth(token).send().await.unwrap())
            .await
    };
    let by_role = "postern_role_requests_total{role=\"app_user\",outcome=\"ok\"} 1\n";
    assert!(with("a-token-of-some-length").await.text.contains(by_role));
    assert_eq!(with("another-token-of-that").await.refusal(), "401 28000 PST201");

    let address = site.gate.metrics_addr().unwrap();
    let operator = Answer::of(reqwest::get(format!("http://{address}/metrics")).await.unwrap()).await;
    assert!(operator.text.contains(by_role) && operator.text.contains("postern_pool_connections_limit 2\n"));
    assert_eq!(Answer::of(reqwest::get(format!("http://{address}/sql")).await.unwrap()).await.status, 404);
    let other =
        reqwest::Client::new().get(format!("http://{address}/metrics")).header("Host", "rebound.example");
    assert_eq!(Answer::of(other.send().await.unwrap()).await.status, 421);
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_and_comes_back() {
    let site = Site::on(Arc::new(server()), "").await;
    site.still_works().await;
    site.cluster.stop(Mode::Fast).unwrap();
    let down = site.sql("ann", "select 1", &[]).await;
    assert_eq!(down.status, 503, "{down:?}");
    assert_eq!(down.header("retry-after"), Some("1"));
    assert_eq!(get(&site, "/readyz").await.status, 503);
    assert_eq!(get(&site, "/healthz").await.status, 200);
    site.cluster.start_again().unwrap();
    let back = async {
        while get(&site, "/readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
    site.still_works().await;
}

#[tokio::test]
async fn stopping_lets_requests_end_and_takes_no_more() {
    let site = Site::new().await;
    let url = site.url("/sql");
    let running = site.neon("ann").body(json!({"query": "select pg_sleep(1)"}).to_string()).send();
    let running = tokio::spawn(running);
    let active = "select count(*) from pg_stat_activity where query like '%pg_sleep(1)%' and state = 'active' and datname = current_database()";
    site.until(active, "2").await;
    let Site { gate, .. } = site;
    gate.shutdown().await;
    Answer::of(running.await.unwrap().unwrap()).await.ok();
    assert!(reqwest::get(url).await.is_err());
}

#[tokio::test]
async fn a_gate_does_not_start_before_what_is_not_safe() {
    let cluster = shared();
    cluster.create_database("unsafe", true).unwrap();
    let roles = "create role mighty nologin bypassrls; revoke temp on database unsafe from public;";
    cluster.psql("unsafe", roles).unwrap();
    let start = async |allow: &str| {
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[auth.anonymous]\nrole = \"mighty\"\n[cors]\norigins = []\n\
             [database]\nurl = \"{}\"\n[doctor]\nallow = [{allow}]\n",
            cluster.url("postern_gate", "unsafe")
        );
        Gate::start(Config::parse(&config).unwrap()).await
    };
    match start("").await.err() {
        Some(Error::Dangerous(findings)) => assert!(findings.contains("mighty"), "{findings}"),
        other => panic!("{other:?}"),
    }
    let findings = match start("").await.err() {
        Some(Error::Dangerous(findings)) => findings,
        other => panic!("{other:?}"),
    };
    let codes: Vec<_> =
        findings.lines().map(|line| format!("\"{}\"", line.split(':').next().unwrap())).collect();
    let gate = start(&codes.join(",")).await;
    assert!(gate.is_ok(), "{:?}", gate.err());
}

#[tokio::test]
async fn what_is_wrong_with_a_start_is_said() {
    let config = |database: &str| {
        Config::parse(&format!("[listen]\naddress = \"127.0.0.1:0\"\n[database]\nurl = \"{database}\"\n"))
            .unwrap()
    };
    let down = Gate::start(config("postgresql://postern_gate:x@127.0.0.1:1/app")).await.err().unwrap();
    assert!(matches!(down, Error::Doctor(_)) && down.to_string().contains("connect"), "{down}");
    assert!(!down.to_string().contains(":x@"));
}

/// A collector, and the bodies that it gets.
async fn collector() -> (String, tokio::sync::mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let take = async move |body: bytes::Bytes| drop(sender.send(body.to_vec()).await);
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, receiver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_spans_of_their_callers_traces() {
    let (endpoint, mut batches) = collector().await;
    let site = Site::with(&format!("[telemetry]\nendpoint = \"{endpoint}\"\n")).await;
    let body = json!({"query": "select 'secret of ann'"}).to_string();
    let request =
        site.neon("ann").header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    Answer::of(request.body(body).send().await.unwrap()).await.ok();
    // Not sampled, says the client: it does not decide that.
    let hidden =
        site.neon("ann").header("traceparent", "00-11111111111111111111111111111111-2222222222222222-00");
    let body = json!({"query": "select 1"}).to_string();
    Answer::of(hidden.body(body).send().await.unwrap()).await.ok();
    let Site { gate, .. } = site;
    gate.shutdown().await;

    // One, if nothing was sent before the end; on a slow machine the first span goes by itself.
    let mut batch = batches.recv().await.unwrap();
    while let Ok(more) = batches.try_recv() {
        batch.extend(more);
    }
    let holds = |part: &[u8]| batch.windows(part.len()).any(|window| window == part);
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128;
    assert!(holds(&trace.to_be_bytes()), "the trace of the caller goes on");
    assert!(holds(&[0x11; 16]), "and so does one that is said not to be sampled");
    assert!(holds(b"/sql") && holds(b"app_user") && holds(b"ann") && holds(b"postern.outcome"));
    assert!(!holds(b"secret of ann"), "the text of statements only if the log has it");
}
