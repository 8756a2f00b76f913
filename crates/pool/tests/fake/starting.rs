//! Connecting to someone who is not what they should be.

use std::time::{Duration, Instant};

use postern_pool::{Config, Error, Pool, Tls};

use crate::server::{READY, Script, Server, Wire, request, run, script};

/// Plays a startup that has to fail; gives the reason.
async fn refusal(play: Script) -> String {
    let server = Server::start(vec![play]).await;
    let error = run(&server.pool(), request()).await.unwrap_err();
    server.finished().await;
    match error {
        Error::Unavailable { reason, .. } => reason,
        error => panic!("{error:?}"),
    }
}

/// Plays SCRAM up to the client's proof.
async fn scram(wire: &mut Wire) {
    wire.packet().await.unwrap();
    wire.send(&[b"R\0\0\0\x0aSCRAM-SHA-256\0\0"]).await;
    let (tag, first) = wire.message().await.unwrap();
    assert_eq!(tag, 'p');
    let first = String::from_utf8_lossy(&first).into_owned();
    let nonce = first.rsplit_once("r=").unwrap().1;
    wire.send(&[format!("R\0\0\0\x0br={nonce}abc,s=c2FsdHNhbHQ=,i=4096").as_bytes()]).await;
    let (tag, proof) = wire.message().await.unwrap();
    assert_eq!(tag, 'p');
    assert!(String::from_utf8_lossy(&proof).contains(",p="));
}

#[tokio::test]
async fn a_password_is_never_sent_as_it_is() {
    for method in
        [&b"R\0\0\0\x03"[..], b"R\0\0\0\x05salt", b"R\0\0\0\x07", b"R\0\0\0\x0aSCRAM-SHA-256-PLUS\0\0"]
    {
        let reason = refusal(script(move |mut wire| async move {
            wire.packet().await.unwrap();
            wire.send(&[method]).await;
            assert_eq!(wire.message().await, None, "not a byte after the request for a password");
        }));
        assert!(reason.await.contains("SCRAM-SHA-256"));
    }
}

#[tokio::test]
async fn a_server_has_to_prove_that_it_knows_the_password() {
    let early = refusal(script(|mut wire| async move {
        scram(&mut wire).await;
        wire.send(&[b"R\0\0\0\0"]).await;
        wire.settings().await;
        assert_eq!(wire.message().await, None);
    }));
    assert_eq!(early.await, "unexpected answer of the server: authentication out of order");
    let wrong = refusal(script(|mut wire| async move {
        scram(&mut wire).await;
        wire.send(&[b"R\0\0\0\x0cv=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]).await;
        wire.send(&[b"R\0\0\0\0"]).await;
        assert_eq!(wire.message().await, None);
    }));
    assert!(!wrong.await.is_empty());
}

#[tokio::test]
async fn the_startup_packet_pins_what_answers_look_like() {
    let server = Server::start(vec![script(|mut wire| async move {
        let packet = wire.packet().await.unwrap();
        assert_eq!(packet[..4], 196_608_u32.to_be_bytes());
        let texts: Vec<_> = packet[4..].split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let pairs: Vec<_> = texts.chunks_exact(2).map(|pair| format!("{}={}", pair[0], pair[1])).collect();
        assert_eq!(
            pairs,
            [
                "user=postern_gate",
                "database=postern_gate",
                "application_name=postern",
                "client_encoding=UTF8",
                "DateStyle=ISO",
                "IntervalStyle=postgres",
                "bytea_output=hex",
                "extra_float_digits=1",
                "standard_conforming_strings=on",
                "statement_timeout=0",
                "lock_timeout=0",
                "idle_session_timeout=0",
                "row_security=on",
                "="
            ]
        );
    })])
    .await;
    assert!(run(&server.pool(), request()).await.is_err());
}

#[tokio::test]
async fn each_connection_has_a_key_of_its_own() {
    let (sender, mut keys) = tokio::sync::mpsc::unbounded_channel();
    let play = |sender: tokio::sync::mpsc::UnboundedSender<Vec<u8>>| {
        script(move |mut wire| async move {
            wire.packet().await.unwrap();
            wire.send(&[b"R\0\0\0\0"]).await;
            wire.settings().await;
            wire.message().await.unwrap();
            // Bind: two empty names, no formats, one parameter of 64 bytes.
            let (tag, bind) = wire.message().await.unwrap();
            assert_eq!((tag, &bind[..10]), ('B', &b"\0\0\0\0\0\x01\0\0\0\x40"[..]));
            sender.send(bind[10..74].to_vec()).unwrap();
        })
    };
    let server = Server::start(vec![play(sender.clone()), play(sender.clone())]).await;
    for _ in 0..2 {
        let pool = server.pool();
        assert!(run(&pool, request()).await.is_err());
        if keys.len() == 2 {
            break;
        }
    }
    let (first, second) = (keys.recv().await.unwrap(), keys.recv().await.unwrap());
    assert_ne!(first, second);
    assert!(first.iter().all(u8::is_ascii_hexdigit));
}

#[tokio::test]
async fn odd_startups_are_refused() {
    let encoding = refusal(script(|mut wire| async move {
        wire.packet().await.unwrap();
        wire.send(&[b"R\0\0\0\0", b"Sclient_encoding\0SQL_ASCII\0", b"K\0\0\0\x01\0\0\0\x02", READY]).await;
        wire.gone().await;
    }));
    assert!(encoding.await.contains("not UTF8"));
    let keyless = refusal(script(|mut wire| async move {
        wire.packet().await.unwrap();
        wire.send(&[b"R\0\0\0\0", b"Sclient_encoding\0UTF8\0", READY]).await;
        wire.gone().await;
    }));
    assert!(keyless.await.contains("no process id"));
    let odd = refusal(script(|mut wire| async move {
        wire.packet().await.unwrap();
        wire.send(&[b"R\0\0\0\0", b"D\0\0"]).await;
        wire.gone().await;
    }));
    assert!(odd.await.contains("not a message of the startup"));
    let unsealed = refusal(script(|mut wire| async move {
        wire.packet().await.unwrap();
        wire.send(&[b"R\0\0\0\0"]).await;
        wire.settings().await;
        wire.request().await.unwrap();
        wire.send(&[b"EVERROR\0C42883\0Mno seal\0\0", READY]).await;
        wire.gone().await;
    }));
    assert_eq!(unsealed.await, "no seal");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start(vec![script(|mut wire| async move {
        wire.packet().await.unwrap();
        assert_eq!(wire.message().await, None);
    })])
    .await;
    let pool = Pool::new(Config { connect_timeout: Duration::from_millis(100), ..server.config() }).unwrap();
    let start = Instant::now();
    let error = run(&pool, request()).await.unwrap_err();
    assert_eq!(error.sqlstate(), "08001");
    assert!(start.elapsed() < Duration::from_secs(5));
    server.finished().await;
}

#[tokio::test]
async fn without_tls_nothing_is_said_to_a_server_that_must_have_it() {
    for answer in [&b"N"[..], b"E", b"SVERROR\0Mpushed in\0\0", b""] {
        let server = Server::start(vec![script(move |mut wire| async move {
            assert_eq!(wire.packet().await.unwrap(), 80_877_103_u32.to_be_bytes());
            wire.raw(answer).await;
            if answer.len() == 1 {
                assert_eq!(wire.message().await, None, "no startup packet");
            }
        })])
        .await;
        for tls in [Tls::Require] {
            let pool = Pool::new(Config { tls: Some(tls), ..server.config() }).unwrap();
            let error = run(&pool, request()).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        }
        server.finished().await;
    }
}
