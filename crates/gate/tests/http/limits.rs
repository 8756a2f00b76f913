//! How much, how often, how long.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Answer, Site};

const SURVIVOR: &str = "do $$ declare t0 timestamptz := clock_timestamp(); begin
    loop begin while clock_timestamp() - t0 < interval '60 s' loop perform 1; end loop; exit;
    exception when query_canceled then null; end; end loop; end $$";

#[tokio::test]
async fn each_identity_has_a_rate() {
    let site = Site::with("[limits]\nrate = 1\nburst = 2\n").await;
    // All at once: one after the other, they may take so long that there is no rate.
    let begun = Instant::now();
    let answers = futures_util::future::join_all((0..12).map(|_| site.sql("ann", "select 1", &[]))).await;
    let most = 2 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!((2..=most).contains(&served.len()), "{} of 12 in {:?}", served.len(), begun.elapsed());
    for refused in refused {
        assert_eq!(refused.refusal(), "429 53400 PST300");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    site.still_works().await;
}

#[tokio::test]
async fn each_identity_has_a_number_of_requests_at_once() {
    let site = Site::with("[limits]\nconcurrency = 1\n").await;
    site.psql("create table public.lock(); grant select on public.lock to app_user; alter table public.lock enable row level security");
    // Runs until this is released.
    let (mut blocker, connection) =
        tokio_postgres::connect(&site.cluster.url("postgres", &site.database), tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("lock table public.lock").await.unwrap();
    let (first, second) = tokio::join!(site.sql("ann", "select from public.lock", &[]), async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        site.until(waiting, "1").await;
        let refused = site.sql("ann", "select 1", &[]).await;
        site.still_works().await;
        lock.commit().await.unwrap();
        refused
    });
    assert_eq!(second.refusal(), "429 53400 PST301");
    first.ok();
    site.sql("ann", "select 1", &[]).await.ok();
}

#[tokio::test]
async fn a_role_may_have_limits_of_its_own() {
    let site = Site::with("[limits.roles.app_admin]\nresponse_rows = 1\n").await;
    let rows = "select generate_series(1, 2)";
    site.sql("ann", rows, &[]).await.ok();
    let request = site
        .request(reqwest::Method::POST, "/sql")
        .header("Neon-Connection-String", site.connection_string("app_admin"))
        .bearer_auth(site.token_with("ann", &json!("app_admin"), Duration::from_mins(1)));
    let answer = Answer::of(request.body(json!({"query": rows}).to_string()).send().await.unwrap()).await;
    assert_eq!(answer.refusal(), "507 54000 PST302");
}

#[tokio::test]
async fn answers_in_memory_are_limited() {
    let site = Site::with("[limits]\nresponse_bytes = 10000\n").await;
    let answer = site.sql("ann", "select repeat('x', 1000) from generate_series(1, 1000000)", &[]).await;
    assert_eq!(answer.refusal(), "507 54000 PST303");
    assert_eq!(answer.json()["message"], "response is too large (max is 10000 bytes)");
    site.still_works().await;
    site.sql("ann", "select repeat('x', 9000)", &[]).await.ok();
}

#[tokio::test]
async fn bodies_are_limited() {
    let site = Site::with("[limits]\nbody_bytes = 2000\n").await;
    let body = |length: usize| {
        let empty = json!({"query": "select 1", "x": ""}).to_string();
        json!({"query": "select 1", "x": "x".repeat(length - empty.len())}).to_string()
    };
    let send = async |body: String| Answer::of(site.neon("ann").body(body).send().await.unwrap()).await;
    send(body(2000)).await.ok();
    assert_eq!(send(body(2001)).await.refusal(), "413 54000 PST105");
    let pieces = futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])));
    let streamed = site.neon("ann").body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(Answer::of(streamed).await.refusal(), "413 54000 PST105", "without a length in its head");
}

#[tokio::test]
async fn a_statement_is_stopped_at_the_deadline_whatever_it_catches() {
    let site = Site::with("[limits]\nwall_clock = \"500ms\"\ngrace = \"500ms\"\n").await;
    for sql in ["select pg_sleep(60)", SURVIVOR] {
        let begun = Instant::now();
        let answer = site.sql("ann", sql, &[]).await;
        assert_eq!(answer.refusal(), "400 57014 PST304", "{sql}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let answer = site.query("ann", json!({"query": sql}), "application/json").await;
        assert_eq!(answer.refusal(), "504 57014 PST304", "{sql}");
    }
    site.still_works().await;
}

#[tokio::test]
async fn a_request_does_not_outlive_its_token() {
    let site = Site::new().await;
    let begun = Instant::now();
    let answer = site
        .request(reqwest::Method::POST, "/sql")
        .header("Neon-Connection-String", site.connection_string("app_user"))
        .bearer_auth(site.token_with("ann", &json!("app_user"), Duration::from_secs(2)))
        .body(json!({"query": "select pg_sleep(60)"}).to_string());
    let answer = Answer::of(answer.send().await.unwrap()).await;
    assert_eq!(answer.refusal(), "400 57014 PST304");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_full_pool_says_so_and_recovers() {
    let site = Site::with("queue = 1\nqueue_timeout = \"100ms\"\n").await;
    let sleep = |subject: &'static str| site.sql(subject, "select pg_sleep(1)", &[]);
    let answers = tokio::join!(sleep("a"), sleep("b"), sleep("c"), sleep("d"));
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 2, "{answers:?}");
    for answer in refused {
        assert_eq!(
            (answer.refusal().as_str(), answer.header("retry-after")),
            ("503 53300 PST306", Some("1"))
        );
    }
    site.still_works().await;
}

#[tokio::test]
async fn anonymous_requests_count_by_address() {
    let site = Site::with(
        "[auth.anonymous]\nrole = \"app_user\"\n[cors]\norigins = []\n[limits]\nrate = 1\nburst = 2\n",
    )
    .await;
    let send = async |forwarded: &str| {
        let request = site
            .request(reqwest::Method::POST, "/v1/query")
            .header("Content-Type", "application/json")
            .header("Postern-Anonymous", "true")
            .header("X-Forwarded-For", forwarded);
        Answer::of(
            request
                .body(
                    json!({"query": "select current_user as me, postern.fact('client.addr') as addr"})
                        .to_string(),
                )
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    // All at once: one after the other, they may take so long that there is no rate.
    let begun = Instant::now();
    let from: Vec<_> = (1..=12).map(|n| format!("192.0.2.{n}")).collect();
    let answers = futures_util::future::join_all(from.iter().map(|from| send(from))).await;
    let most = 2 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!((2..=most).contains(&served.len()), "{} of 12 in {:?}", served.len(), begun.elapsed());
    for answer in served {
        assert_eq!(
            answer.ok()["rows"],
            json!([{"me": "app_user", "addr": "127.0.0.1"}]),
            "nobody is believed who is no proxy"
        );
    }
    assert!(refused.iter().all(|answer| answer.refusal() == "429 53400 PST300"), "{refused:?}");
}

#[tokio::test]
async fn an_address_with_too_many_failed_logins_is_not_listened_to() {
    let site =
        Site::listening_with("trusted_proxies = [\"127.0.0.0/8\"]\n", "[limits]\nfailed_logins = 3\n").await;
    let body = json!({"query": "select 1"}).to_string();
    let ask = async |path: &str, from: &str, token: &str| {
        let request = site
            .request(reqwest::Method::POST, path)
            .header("Content-Type", "application/json")
            .header("Neon-Connection-String", site.connection_string("app_user"))
            .header("X-Forwarded-For", from);
        Answer::of(request.bearer_auth(token).body(body.clone()).send().await.unwrap()).await
    };
    let (known, new) = (site.token("ann"), site.token("ben"));
    ask("/sql", "192.0.2.1", &known).await.ok();
    // A role that a good token does not allow is no guess.
    for _ in 0..5 {
        let outsider = site.connection_string("postgres");
        let request = site.neon("ann").header("X-Forwarded-For", "192.0.2.1");
        let request = request.header("Neon-Connection-String", outsider).body(body.clone());
        assert_ne!(Answer::of(request.send().await.unwrap()).await.status, 200);
    }
    for path in ["/sql", "/v1/query", "/v1/query"] {
        assert!(ask(path, "192.0.2.1", "a.guess").await.refusal().ends_with("28000 PST201"));
    }
    for token in ["a.guess", &new] {
        let refused = ask("/v1/query", "192.0.2.1", token).await;
        assert_eq!(refused.refusal(), "429 28000 PST203");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=20).contains(&wait), "{wait}");
        assert_eq!(ask("/sql", "192.0.2.1", token).await.refusal(), "400 28000 PST203");
    }
    ask("/sql", "192.0.2.1", &known).await.ok();
    ask("/v1/query", "192.0.2.1", &known).await.ok();
    ask("/sql", "192.0.2.2", &new).await.ok();
    assert_eq!(ask("/sql", "192.0.2.2", "a.guess").await.refusal(), "400 28000 PST201");
}

#[tokio::test]
async fn all_answers_that_wait_have_one_budget() {
    let site = Site::with("[limits]\nwaiting_bytes = 1048576\n").await;
    let large = |bytes: usize| format!("select repeat('x', {bytes})");
    assert_eq!(site.sql("ann", &large(3_000_000), &[]).await.refusal(), "503 53200 PST307");
    // What was taken is given back.
    for _ in 0..9 {
        site.sql("ann", &large(300_000), &[]).await.ok();
    }
    // A stream takes what its chunks take, however long it is; while it is not read, that much is taken.
    let rows = "select repeat('x', 10000) from generate_series(1, 5000)";
    let streams: Vec<_> = (0..9).map(|_| site.v1("ben", &json!({"query": rows})).send()).collect();
    let streams = futures_util::future::join_all(streams).await;
    let refused = streams.iter().filter(|answer| answer.as_ref().unwrap().status() == 503).count();
    assert!((1..9).contains(&refused), "{refused} of 9 are refused");
    drop(streams);
    let whole = site.query("ben", json!({"query": rows}), "application/x-ndjson");
    let mut answer = whole.await;
    while answer.status == 503 {
        // The streams that were given up end in the background.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        answer = site.query("ben", json!({"query": rows}), "application/x-ndjson").await;
    }
    assert_eq!(answer.text.lines().count(), 5_000);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_not_kept() {
    let site = Site::with("[limits]\nslow_reader = \"300ms\"\n").await;
    let body = json!({"query": "select repeat('x', 30000000)"}).to_string();
    let request = format!(
        "POST /sql HTTP/1.1\r\nHost: localhost\r\nNeon-Connection-String: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        site.connection_string("app_user"),
        site.token("ann"),
        body.len()
    );
    let mut stream = TcpStream::connect(site.gate.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    // Nothing is read. That the gate has closed the connection shows when something is sent into it.
    let closed = async {
        while stream.write_all(b"\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
    let mut answer = Vec::new();
    // An error, or an early end.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.len() < 30_000_000, "{}", answer.len());
    site.still_works().await;
}

#[tokio::test]
async fn who_takes_all_that_can_be_had_leaves_room_for_others() {
    // The settings of the site give two connections: one for the first, one for another.
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-of-some-length\n").unwrap();
    let settings = format!("queue_timeout = \"20s\"\n[metrics]\ntoken_file = \"{}\"\n", token.display());
    let site = Site::with(&settings).await;
    let all_wait = async || {
        let metrics = site.request(reqwest::Method::GET, "/metrics").bearer_auth("a-token-of-some-length");
        metrics.send().await.unwrap().text().await.unwrap().contains("postern_pool_waiting 89\n")
    };
    let sleep = || site.neon("ann").body(json!({"query": "select pg_sleep(30)"}).to_string()).send();
    let sleepers: Vec<_> = (0..90).map(|_| tokio::spawn(sleep())).collect();
    while !all_wait().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let start = Instant::now();
    for _ in 0..5 {
        site.sql("ben", "select 1", &[]).await.ok();
        let ready = site.request(reqwest::Method::GET, "/readyz").send().await.unwrap();
        assert_eq!(ready.status(), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(all_wait().await, "the others wait on");
    for sleeper in sleepers {
        sleeper.abort();
    }
}
