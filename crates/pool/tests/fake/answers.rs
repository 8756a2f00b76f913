//! Answers that are wrong, late, too early or not there.

use std::time::{Duration, Instant};

use bytes::Bytes;
use postern_pool::{Error, Event, Outcome, Request, Statement};

use crate::server::{ENTERED, PID, READY, SECRET, SELECTED, Script, Server, Wire, request, run, script};

/// A connection that does as it should.
fn good() -> Script {
    script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.behave().await;
    })
}

/// The connection on which a cancel comes.
fn cancel() -> Script {
    script(|mut wire: Wire| async move {
        let expected =
            [&80_877_102_u32.to_be_bytes()[..], &PID.to_be_bytes(), &SECRET.to_be_bytes()].concat();
        assert_eq!(wire.packet().await.unwrap(), expected);
    })
}

#[tokio::test]
async fn a_good_answer_is_read_in_any_portions() {
    let server = Server::start(vec![script(|mut wire| async move {
        wire.welcome().await;
        assert_eq!(wire.request().await.unwrap(), "BEPBDES");
        let notification = b"A\0\0\0\x01channel\0secret\0";
        for message in [ENTERED, &[notification], SELECTED, &[notification, READY]].concat() {
            let length = u32::try_from(message.len() + 3).unwrap().to_be_bytes();
            for byte in [&message[..1], &length, &message[1..]].concat() {
                wire.raw(&[byte]).await;
                tokio::task::yield_now().await;
            }
        }
        wire.gone().await;
    })])
    .await;
    let pool = server.pool();
    assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
    pool.close().await;
    server.finished().await;
}

#[tokio::test]
async fn any_other_status_than_idle_is_not_success_and_the_connection_is_closed() {
    for status in [&b"ZT"[..], b"ZE", b"Z?", b"Z", b"ZII"] {
        let bad = script(move |mut wire: Wire| async move {
            wire.welcome().await;
            wire.request().await.unwrap();
            wire.answer(&[SELECTED, &[status]].concat()).await;
            assert_eq!(wire.message().await, None, "not a byte more for this connection");
        });
        let server = Server::start(vec![bad, good()]).await;
        let pool = server.pool();
        let error = run(&pool, request()).await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
        drop(pool);
        server.finished().await;
    }
}

#[tokio::test]
async fn a_message_out_of_turn_stops_the_backend() {
    let bad = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.request().await.unwrap();
        wire.answer(&[b"1", b"2", b"s"]).await;
        assert_eq!(wire.message().await, None);
    });
    let stopped = script(|mut wire: Wire| async move {
        wire.packet().await.unwrap();
        wire.send(&[b"R\0\0\0\0"]).await;
        wire.settings().await;
        let (tag, parse) = wire.message().await.unwrap();
        assert_eq!(
            (tag, &parse[..]),
            ('P', &b"\0select pg_catalog.pg_terminate_backend($1)\0\0\x01\0\0\0\x17"[..])
        );
        let (tag, bind) = wire.message().await.unwrap();
        assert_eq!((tag, &bind[..]), ('B', &b"\0\0\0\0\0\x01\0\0\0\x044711\0\0"[..]));
    });
    // The login that ends the backend gets no answer; in the end the connection is cut off on this side.
    let server = Server::start(vec![bad, cancel(), stopped]).await;
    let pool = server.pool();
    assert!(matches!(run(&pool, request()).await, Err(Error::Protocol(_))));
    assert_eq!(pool.stats().busy, 1, "the permit is held until the backend is gone");
    server.finished().await;
    while pool.stats().busy > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((pool.stats().cancelled, pool.stats().terminated), (1, 1));
}

#[tokio::test]
async fn a_server_that_goes_down_before_enter_is_asked_again_elsewhere() {
    let bad = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.request().await.unwrap();
        wire.send(&[b"EVFATAL\0C57P01\0Mbye\0\0"]).await;
    });
    let server = Server::start(vec![bad, good()]).await;
    let pool = server.pool();
    assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
    assert_eq!(pool.stats().retries, 1);
    drop(pool);
    server.finished().await;
}

#[tokio::test]
async fn a_connection_that_ends_without_a_word_leaves_the_outcome_unknown() {
    for before in [&[][..], ENTERED, &[ENTERED, SELECTED].concat()] {
        let before: Vec<Vec<u8>> = before.iter().map(|message| message.to_vec()).collect();
        let bad = script(move |mut wire: Wire| async move {
            wire.welcome().await;
            wire.request().await.unwrap();
            wire.send(&before.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
        });
        let server = Server::start(vec![bad]).await;
        let pool = server.pool();
        assert_eq!(run(&pool, request()).await, Err(Error::Lost { unsent: false }));
        assert_eq!(pool.stats().retries, 0, "it may have been done: it is not done again");
        server.finished().await;
    }
}

#[tokio::test]
async fn a_request_of_which_the_end_was_not_sent_cannot_be_committed() {
    let bad = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.message().await.unwrap();
        // Gone, with the rest unread: the client cannot send its end.
    });
    let server = Server::start(vec![bad]).await;
    let large = Statement { sql: "select $1".into(), params: vec![Some(Bytes::from(vec![b'x'; 50 << 20]))] };
    let error = run(&server.pool(), Request { statements: vec![large], ..request() }).await.unwrap_err();
    assert_eq!(error, Error::Lost { unsent: true });
    assert_eq!((error.sqlstate(), error.outcome()), ("08006", Outcome::RolledBack));
    server.finished().await;
}

#[tokio::test]
async fn an_enter_that_fails_oddly_is_tried_once_on_a_new_connection() {
    let odd = || {
        script(|mut wire: Wire| async move {
            wire.welcome().await;
            wire.request().await.unwrap();
            wire.send(&[b"EVERROR\0C55000\0Modd\0\0", READY]).await;
            wire.gone().await;
        })
    };
    let server = Server::start(vec![odd(), odd()]).await;
    let pool = server.pool();
    let error = run(&pool, request()).await.unwrap_err();
    assert_eq!((error.sqlstate(), pool.stats().retries), ("55000", 1));
    server.finished().await;

    let server = Server::start(vec![odd(), good()]).await;
    let pool = server.pool();
    assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
    drop(pool);
    server.finished().await;
}

#[tokio::test]
async fn a_copy_that_waits_for_data_is_refused_and_ended() {
    let bad = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.request().await.unwrap();
        wire.answer(&[b"1", b"2", b"n", b"G\0\0\0"]).await;
        assert_eq!(wire.message().await.unwrap().0, 'f');
        assert_eq!(wire.message().await.unwrap().0, 'S');
        wire.send(&[b"EVERROR\0C57014\0MCOPY failed\0\0", READY]).await;
        wire.gone().await;
    });
    let server = Server::start(vec![bad, cancel()]).await;
    let pool = server.pool();
    assert_eq!(run(&pool, request()).await, Err(Error::Copy));
    server.finished().await;
}

#[tokio::test]
async fn a_setting_that_outlives_its_request_costs_the_connection() {
    let bad = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.request().await.unwrap();
        wire.answer(&[SELECTED, &[b"Sin_hot_standby\0on\0", READY]].concat()).await;
        wire.request().await.unwrap();
        wire.answer(&[SELECTED, &[b"Ssearch_path\0work\0", READY]].concat()).await;
        wire.gone().await;
    });
    let server = Server::start(vec![bad, good()]).await;
    let pool = server.pool();
    for connects in [1, 1, 2, 2] {
        assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
        assert_eq!(pool.stats().connects, connects);
    }
    drop(pool);
    server.finished().await;
}

#[tokio::test]
async fn what_comes_when_nothing_was_asked_costs_the_connection() {
    for extra in [&b"D\0\0"[..], READY, b"EVFATAL\0C57P01\0Mbye\0\0", b"CSELECT 1\0", b"\0"] {
        let bad = script(move |mut wire: Wire| async move {
            wire.welcome().await;
            wire.request().await.unwrap();
            wire.answer(&[SELECTED, &[READY, extra]].concat()).await;
            wire.gone().await;
        });
        let server = Server::start(vec![bad, good()]).await;
        let pool = server.pool();
        assert_eq!(run(&pool, request()).await.unwrap(), ["x"], "it was committed");
        assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
        assert_eq!(pool.stats().connects, 2, "{extra:?}");
        drop(pool);
        server.finished().await;
    }
    let harmless = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.request().await.unwrap();
        let extras: [&[u8]; 3] = [READY, b"NVNOTICE\0Mlate\0\0", b"A\0\0\0\x01channel\0secret\0"];
        wire.answer(&[SELECTED, &extras].concat()).await;
        wire.behave().await;
    });
    let server = Server::start(vec![harmless]).await;
    let pool = server.pool();
    for _ in 0..2 {
        let mut running = pool.run(request()).await.unwrap();
        loop {
            match running.next().await.unwrap() {
                Event::Notice(notice) => panic!("{notice:?} belongs to nobody"),
                Event::Committed => break,
                _ => {}
            }
        }
    }
    assert_eq!(pool.stats().connects, 1);
    drop(pool);
    server.finished().await;
}

#[tokio::test]
async fn a_machine_that_is_gone_is_given_up_after_the_deadline() {
    let silent = || {
        script(|mut wire: Wire| async move {
            wire.welcome().await;
            wire.request().await.unwrap();
            wire.answer(&[SELECTED, &[READY]].concat()).await;
            while wire.message().await.is_some() {}
        })
    };
    // Neither the cancel nor the login that would end the backend gets an answer.
    let mute = || script(|mut wire: Wire| async move { while wire.packet().await.is_some() {} });
    let server = Server::start(vec![silent(), mute(), mute()]).await;
    let pool = server.pool();
    assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
    let start = Instant::now();
    let late = Request { deadline: start + Duration::from_millis(500), ..request() };
    assert_eq!(run(&pool, late).await, Err(Error::Lost { unsent: false }));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    server.finished().await;
}

#[tokio::test]
async fn an_answer_that_comes_in_spite_of_the_cancel_counts_but_the_connection_does_not() {
    let (sender, mut cancelled) = tokio::sync::mpsc::unbounded_channel();
    let slow = script(|mut wire: Wire| async move {
        wire.welcome().await;
        wire.request().await.unwrap();
        cancelled.recv().await.unwrap();
        wire.answer(&[SELECTED, &[READY]].concat()).await;
        wire.gone().await;
    });
    let late = script(move |mut wire: Wire| async move {
        wire.packet().await.unwrap();
        sender.send(()).unwrap();
    });
    let server = Server::start(vec![slow, late, good()]).await;
    let pool = server.pool();
    let in_time = Request {
        deadline: Instant::now() + Duration::from_secs(1),
        grace: Duration::from_secs(10),
        ..request()
    };
    assert_eq!(run(&pool, in_time).await.unwrap(), ["x"]);
    assert_eq!(run(&pool, request()).await.unwrap(), ["x"]);
    assert_eq!(pool.stats().connects, 2);
    drop(pool);
    server.finished().await;
}
