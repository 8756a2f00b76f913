//! Connections whose clients do not do their part.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::Site;

#[tokio::test]
async fn a_connection_without_a_request_does_not_stay() {
    let site = Site::listening("header_timeout = \"300ms\"\n").await;
    // Nothing; what HTTP/2 begins with, in part and whole; the beginning of HTTP/1.
    for sent in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /healthz HTTP/1.1\r\n"] {
        let mut stream = TcpStream::connect(site.gate.local_addr()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{sent:?}");
    }
}

#[tokio::test]
async fn a_connection_with_a_request_may_stay_longer() {
    let site = Site::listening("header_timeout = \"300ms\"\n").await;
    site.sql("ann", "select pg_sleep(1)", &[]).await.ok();
}

#[tokio::test]
async fn nobody_unknown_is_listened_to() {
    let site = Site::new().await;
    // The whole body never comes: who is refused is refused without it.
    let request = "POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                   Authorization: Bearer e30.e30.forged\r\nContent-Length: 5000000\r\n\r\n{\"query\":";
    let mut stream = TcpStream::connect(site.gate.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    let answered = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut status)).await;
    answered.expect("an answer before the body").unwrap();
    assert_eq!(&status, b"HTTP/1.1 401");
}

#[tokio::test]
async fn an_answer_without_room_for_it_counts_until_its_time_is_over() {
    let site = Site::with("[limits]\nconcurrency = 1\nslow_reader = \"2s\"\n").await;
    let narrow = reqwest::Client::builder().http2_prior_knowledge().http2_initial_stream_window_size(0);
    let body = json!({"query": "select repeat('x', 3000000)"}).to_string();
    let request = narrow.build().unwrap().post(site.url("/sql")).body(body).bearer_auth(site.token("ann"));
    let request = request.header("Neon-Connection-String", site.connection_string("app_user"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(site.sql("ann", "select 1", &[]).await.refusal(), "429 53400 PST301");
    let let_go = async {
        while site.sql("ann", "select 1", &[]).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), let_go).await.unwrap();
    drop(answer);
}
