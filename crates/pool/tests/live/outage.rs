//! Backends and servers that go away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_cluster::Mode;
use postern_pool::{Error, Event, Outcome, Request};

use crate::common::{Database, code, finish, run, server};

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_unnoticed() {
    let database = Database::new();
    let pool = database.pool();
    for _ in 0..5 {
        let pid = database.backend(&pool).await;
        database.sql(&format!("select pg_terminate_backend({pid}, 5000)"));
        assert_ne!(database.backend(&pool).await, pid);
    }
}

#[tokio::test]
async fn a_backend_that_is_terminated_says_so_and_nothing_is_committed() {
    let database = Database::new();
    let pool = database.pool();
    let sql = ["create table work.never()", "select pg_sleep(30)"];
    let mut running = pool.run(database.request(&sql)).await.unwrap();
    let pid = running.backend_pid().unwrap();
    let end = async {
        // Once it sleeps.
        let asleep =
            format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'");
        let start = Instant::now();
        while database.sql(&asleep) != "1" {
            assert!(start.elapsed() < Duration::from_mins(1), "it does not sleep");
        }
        database.sql(&format!("select pg_terminate_backend({pid})"));
    };
    end.await;
    let error = loop {
        match running.next().await {
            Ok(Event::Committed) => panic!("committed"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!((error.sqlstate(), error.outcome()), ("57P01", Outcome::RolledBack));
    assert_eq!(database.sql("select to_regclass('work.never') is null"), "t");
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_fails_requests_at_once_and_is_found_again() {
    let cluster = Arc::new(server());
    let database = Database::on(Arc::clone(&cluster));
    let pool = database.pool_of(3);
    let warm = (0..3).map(|key| run(&pool, Request { key, ..database.request(&["select pg_sleep(0.1)"]) }));
    for answer in futures_util::future::join_all(warm).await {
        answer.unwrap();
    }
    assert_eq!(pool.stats().idle, 3);

    cluster.restart().unwrap();
    for _ in 0..6 {
        assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1", "after a restart");
    }

    let request = database.request(&["select pg_sleep(30)"]);
    let mut running = pool.run(request).await.unwrap();
    let reader = tokio::spawn(async move {
        loop {
            if let Err(error) = running.next().await {
                return error;
            }
        }
    });
    cluster.stop(Mode::Immediate).unwrap();
    let error = reader.await.unwrap();
    assert_eq!((error.sqlstate(), error.outcome()), ("08007", Outcome::Unknown), "{error:?}");

    let start = Instant::now();
    for _ in 0..100 {
        let refused = database.alice(&pool, &["select 1"]).await;
        let Err(error @ Error::Unavailable { .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((error.sqlstate(), error.outcome()), ("08001", Outcome::NotStarted));
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(pool.stats().failed_connects < 50, "{:?}", pool.stats());

    cluster.start_again().unwrap();
    let start = Instant::now();
    while database.alice(&pool, &["select 1"]).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "not found again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_for_more_connections_is_served_over_those_that_there_are() {
    let cluster = Arc::new(server());
    let database = Database::on(Arc::clone(&cluster));
    database.sql("alter role postern_gate connection limit 2");
    let pool = database.pool_of(8);
    // There is one; then everyone at once.
    database.alice(&pool, &["select 1"]).await.unwrap();
    let all = (0..200).map(|_| database.alice(&pool, &["select pg_sleep(0.001)"]));
    for answer in futures_util::future::join_all(all).await {
        answer.unwrap();
    }
    assert!(pool.stats().failed_connects > 0, "{:?}", pool.stats());

    // The limit goes, and so does the shortage.
    database.sql("alter role postern_gate connection limit -1");
    let start = Instant::now();
    while pool.stats().idle < 3 {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", pool.stats());
        let some = (0..8).map(|_| database.alice(&pool, &["select pg_sleep(0.01)"]));
        for answer in futures_util::future::join_all(some).await {
            answer.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_refuses_is_not_available() {
    let database = Database::new();
    let with = |change: fn(&mut postern_pool::Config)| {
        let mut config = database.config();
        change(&mut config);
        postern_pool::Pool::new(config).unwrap()
    };
    let nowhere = with(|config| config.host = Some("/nonexistent".into()));
    let stranger = with(|config| config.password = Some("wrong".into()));
    let elsewhere = with(|config| config.dbname = Some("nowhere".into()));
    let keyless = with(|config| config.dbname = Some("template1".into()));
    for (pool, expected) in
        [(nowhere, None), (stranger, Some("28P01")), (elsewhere, Some("3D000")), (keyless, Some("3F000"))]
    {
        let error = database.alice(&pool, &["select 1"]).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!(
            (error.sqlstate(), error.server().map(|server| server.code.as_str())),
            ("08001", expected)
        );
        assert_eq!(
            error.to_string(),
            "the database is not available",
            "nothing of the configuration is told"
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_like_others() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    // What a full disk says, from where a client can make it say so.
    let request = database
        .request(&["do $$begin raise exception using errcode = '53100', message = 'disk full'; end$$"]);
    assert_eq!(code(run(&pool, request).await), "53100");
    assert_eq!(database.backend(&pool).await, pid);
}

#[tokio::test]
async fn a_dead_connection_found_while_setting_options_is_replaced() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    database.sql(&format!("select pg_terminate_backend({pid}, 5000)"));
    let transaction = postern_pool::TransactionOptions { read_only: Some(true), ..Default::default() };
    let request = Request { transaction, ..database.request(&["show transaction_read_only"]) };
    assert_eq!(finish(pool.run(request).await.unwrap()).await.unwrap().row(), "on");
}
