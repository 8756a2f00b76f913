//! What should not come, and comes: an error in the shape of the protocol, and the next request works.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Answer, Site};

async fn send(request: reqwest::RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let site = Site::new().await;
    let bodies: [(&[u8], &str, &str); 12] = [
        (b"", "PST100", "PST100"),
        (b"{", "PST100", "PST100"),
        (b"null", "PST100", "PST100"),
        (b"[\"select 1\"]", "PST100", "PST100"),
        (b"{\"query\":1}", "PST100", "PST100"),
        (b"{\"query\":\"select 1\",\"query\":\"select 2\"}", "PST100", "PST100"),
        (b"{\"query\":\"select 1\"} x", "PST100", "PST100"),
        (b"{\"query\":\"select '\xff'\"}", "PST101", "PST101"),
        (b"{\"query\":\"select '\\u0000'\"}", "PST114", "PST114"),
        (b"{\"query\":\"select $1\",\"params\":[\"a\\u0000\"]}", "PST114", "PST114"),
        (b"{\"query\":\"select '\\ud800'\"}", "PST100", "PST100"),
        (b"{\"query\":\"select $1\",\"params\":{}}", "PST100", "PST100"),
    ];
    for (body, neon, v1) in bodies {
        let shown = String::from_utf8_lossy(body);
        let answer = send(site.neon("ann").body(body)).await;
        assert_eq!((answer.status, answer.json()["postern"].as_str()), (400, Some(neon)), "{shown}");
        let answer = send(site.v1("ann", &Value::Null).body(body)).await;
        assert_eq!((answer.status, answer.json()["error"]["postern"].as_str()), (400, Some(v1)), "{shown}");
    }
    let typo = site.query("ann", json!({"query": "select 1", "parms": []}), "*/*").await;
    assert_eq!(typo.refusal(), "400 08P01 PST100", "an unknown member is a mistake");
    site.still_works().await;
}

#[tokio::test]
async fn parameters_that_cannot_be_bound() {
    let site = Site::new().await;
    let many = |count: usize| json!({"query": "select 1", "params": vec!["x"; count]}).to_string();
    assert_eq!(send(site.neon("ann").body(many(65_536))).await.refusal(), "400 54000 PST113");
    assert_eq!(site.sql("ann", "select $1::int", &[Some("x")]).await.refusal(), "400 22P02 -");
    assert_eq!(site.sql("ann", "select $1::int", &[]).await.refusal(), "400 08P01 -", "one too few");
    assert_eq!(site.sql("ann", "select 1", &[Some("x")]).await.refusal(), "400 08P01 -", "one too many");
    let deep =
        format!(r#"{{"query":"select $1","params":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(send(site.neon("ann").body(deep)).await.refusal(), "400 54001 PST115");
    site.still_works().await;
}

#[tokio::test]
async fn statements_that_are_no_single_statement_of_a_request() {
    let site = Site::new().await;
    for (sql, refusal) in [
        ("select 1; select 2", "400 42601 -"),
        ("commit; set role app_admin", "400 42601 -"),
        ("copy public.notes from stdin", "400 0A000 -"),
        ("copy public.notes to stdout", "400 0A000 -"),
        ("begin", "400 2D000 -"),
        ("prepare p as select 1", "400 0A000 -"),
        ("listen x", "400 0A000 -"),
        ("declare c cursor with hold for select 1", "400 0A000 -"),
        ("selec 1", "400 42601 -"),
    ] {
        let answer = site.sql("ann", sql, &[]).await;
        assert_eq!(answer.refusal(), refusal, "{sql}: {}", answer.text);
    }
    site.still_works().await;
}

#[tokio::test]
async fn text_that_is_not_utf8_does_not_reach_the_client() {
    let site = Site::new().await;
    let answer = site.sql("ann", "select set_config('client_encoding', 'LATIN1', false), 'é'", &[]).await;
    assert_eq!(answer.refusal(), "400 22021 PST403");
    let answer = site
        .query(
            "ann",
            json!({"query": "select set_config('client_encoding', 'LATIN1', false), 'é'"}),
            "text/csv",
        )
        .await;
    assert_eq!(answer.refusal(), "400 22021 PST403");
    site.still_works().await;
}

#[tokio::test]
async fn headers_that_decide_count_once() {
    let site = Site::new().await;
    let body = r#"{"query":"select 1"}"#;
    let twice =
        site.neon("ann").header("Neon-Connection-String", site.connection_string("app_admin")).body(body);
    assert_eq!(send(twice).await.refusal(), "400 08P01 PST107");
    let twice = site.neon("ann").header("Authorization", format!("Bearer {}", site.token("ben"))).body(body);
    assert_eq!(send(twice).await.refusal(), "400 08P01 PST107");
    let both = site.neon("ann").header("X-API-Key", "pk_x").body(body);
    assert_eq!(send(both).await.refusal(), "400 08P01 PST107");
    let missing = site.request(reqwest::Method::POST, "/sql").bearer_auth(site.token("ann")).body(body);
    assert_eq!(send(missing).await.refusal(), "400 08P01 PST109");
    let packed = site.neon("ann").header("Content-Encoding", "gzip").body(body);
    assert_eq!(send(packed).await.refusal(), "415 08P01 PST103");
    site.still_works().await;
}

#[tokio::test]
async fn a_request_that_any_website_could_send_is_refused() {
    let site = Site::with("[auth.anonymous]\nrole = \"app_user\"\n[cors]\norigins = []\n").await;
    let body = r#"{"query":"select 1"}"#;
    let simple = |path: &str| {
        site.request(reqwest::Method::POST, path).header("Content-Type", "text/plain").body(body)
    };
    assert_eq!(send(simple("/sql")).await.refusal(), "400 28000 PST200");
    assert_eq!(send(simple("/v1/query")).await.refusal(), "415 08P01 PST102");
    let json = site
        .request(reqwest::Method::POST, "/v1/query")
        .header("Content-Type", "application/json")
        .body(body);
    assert_eq!(send(json).await.refusal(), "401 28000 PST200");
    let meant = simple("/sql").header("Neon-Connection-String", site.connection_string("app_user"));
    send(meant).await.ok();
}

#[tokio::test]
async fn tokens_that_are_not_good() {
    let site = Site::new().await;
    let body = r#"{"query":"select 1"}"#;
    let good = site.token("ann");
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    for token in [
        "x".to_owned(),
        rest.to_owned(),
        format!("{rest}."),
        format!("{rest}.{flipped}{}", &signature[1..]),
        format!("{good}."),
    ] {
        let neon = site
            .request(reqwest::Method::POST, "/sql")
            .header("Neon-Connection-String", site.connection_string("app_user"))
            .bearer_auth(&token)
            .body(body);
        assert_eq!(send(neon).await.refusal(), "400 28000 PST201", "{token}");
        let v1 = site
            .request(reqwest::Method::POST, "/v1/query")
            .header("Content-Type", "application/json")
            .bearer_auth(&token)
            .body(body);
        assert_eq!(send(v1).await.refusal(), "401 28000 PST201", "{token}");
    }
    site.still_works().await;
}

/// Sends bytes as they are and gives what comes back, until the gate closes the connection.
async fn raw(site: &Site, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.gate.local_addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_host_has_to_be_one_that_is_served() {
    let site = Site::new().await;
    let get = |host: &str| format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert!(raw(&site, get("localhost:1").as_bytes()).await.starts_with("HTTP/1.1 200 "));
    for host in ["rebound.example", "127.0.0.1.example:80", ""] {
        let answer = raw(&site, get(host).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{host}: {answer}");
    }
    assert!(
        raw(&site, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 421 "),
        "no host at all"
    );
}

#[tokio::test]
async fn ambiguous_framing_is_not_guessed_at() {
    let site = Site::with("[limits]\nbody_timeout = \"500ms\"\n").await;
    let head = format!(
        "POST /sql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nNeon-Connection-String: {}\r\nAuthorization: Bearer {}\r\n",
        site.connection_string("app_user"),
        site.token("ann"),
    );
    let insert = r#"{"query":"insert into public.notes(id) values (77)"}"#;
    let length = insert.len();
    for framing in [
        format!("Content-Length: {length}\r\nContent-Length: {}\r\n\r\n{insert}", length + 1),
        format!("Content-Length: {length}x\r\n\r\n{insert}"),
        format!("Content-Length: -1\r\n\r\n{insert}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n{insert}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n{insert}"),
        format!(" folded: x\r\nContent-Length: {length}\r\n\r\n{insert}"),
        // Said to be longer than it is.
        format!("Content-Length: {}\r\n\r\n{insert}", length + 10),
        // A last chunk that does not come.
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{insert}\r\n"),
    ] {
        let answer = raw(&site, format!("{head}{framing}").as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{framing}: {answer}");
    }
    // With both, either all of it is refused or the length counts for nothing: no part of it becomes a second request.
    let both = format!(
        "{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{insert}\r\n0\r\n\r\n"
    );
    let answer = raw(&site, both.as_bytes()).await;
    assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
    let inserted = site.psql("select count(*) from public.notes where id = 77");
    assert!(inserted.trim() == "0" || answer.contains(" 200 "), "what was done was said");
    site.still_works().await;
}

#[tokio::test]
async fn nothing_of_the_inside_is_shown() {
    let site = Site::new().await;
    let answers = [
        site.sql("ann", "select * from boom", &[]).await,
        site.batch("ann", &["select 1/0"], &[]).await,
        send(site.neon("ann").header("X-API-Key", "pk_secret").body("{}")).await,
        send(site.neon("ann").body("{")).await,
    ];
    let secrets =
        [site.database.as_str(), "postern_gate", "/var/tmp", "pk_secret", "eyJ", "panicked", "ignored"];
    for answer in answers {
        for secret in secrets {
            assert!(!answer.text.contains(secret), "{secret} in {}", answer.text);
            assert!(answer.headers.values().all(|value| !value.to_str().unwrap().contains(secret)));
        }
    }
}
