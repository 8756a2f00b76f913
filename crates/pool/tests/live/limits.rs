//! Time, memory and connections are bounded.

use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use postern_pool::{Config, Error, Event, Pool, Request};

use crate::common::{Database, finish, run};

/// Catches every cancel, for half a minute.
const STUBBORN: &str = "do $$ declare t0 timestamptz := clock_timestamp(); begin
    while clock_timestamp() - t0 < interval '30 s' loop
        begin perform pg_sleep(30); exception when query_canceled then null; end;
    end loop; end $$";

fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

#[tokio::test]
async fn at_the_deadline_a_statement_is_cancelled() {
    let database = Database::new();
    let pool = database.pool();
    database.backend(&pool).await;
    let start = Instant::now();
    let request = Request { deadline: in_ms(500), ..database.request(&["select pg_sleep(30)"]) };
    assert_eq!(run(&pool, request).await, Err(Error::Deadline));
    assert!((500..10_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
    let stats = pool.stats();
    assert_eq!((stats.cancelled, stats.terminated, stats.connects), (1, 0, 2));
}

#[tokio::test]
async fn a_statement_that_catches_cancels_is_ended_with_its_backend() {
    let database = Database::new();
    let pool = database.pool();
    database.backend(&pool).await;
    let start = Instant::now();
    let request = Request {
        deadline: in_ms(500),
        grace: Duration::from_millis(300),
        ..database.request(&["create table work.never()", STUBBORN])
    };
    assert_eq!(run(&pool, request).await, Err(Error::Deadline));
    assert!((800..10_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
    assert_eq!((pool.stats().cancelled, pool.stats().terminated), (1, 1));
    assert_eq!(database.sql("select to_regclass('work.never') is null"), "t");
}

#[tokio::test]
async fn the_deadline_holds_for_a_reader_that_does_not_read() {
    let database = Database::new();
    let pool = database.pool();
    let request = Request {
        deadline: in_ms(300),
        ..database.request(&["select repeat('x', 1000) from generate_series(1, 1e6)"])
    };
    let mut running = pool.run(request).await.unwrap();
    assert!(matches!(running.next().await, Ok(Event::Columns(_))));
    // Nobody reads: the server is blocked on a full socket until it is told to stop.
    while pool.stats().cancelled == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(finish(running).await, Err(Error::Deadline));
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
}

#[tokio::test]
async fn a_request_that_costs_its_connection_keeps_its_place_for_a_while() {
    let database = Database::new();
    let config = |pause| Config {
        connections: 1,
        queue_timeout: Duration::from_millis(50),
        reconnect_pause: pause,
        ..database.config()
    };
    let patient = Pool::new(config(Duration::from_mins(1))).unwrap();
    for sql in ["select 1", "select 1/0", "reset role", "nonsense"] {
        // None of these costs a connection.
        let answer = database.alice(&patient, &[sql]).await;
        assert_ne!(answer, Err(Error::Busy), "{sql}");
    }
    assert_eq!(patient.stats().connects, 1);
    let request = Request { deadline: in_ms(100), ..database.request(&["select pg_sleep(30)"]) };
    assert_eq!(run(&patient, request).await, Err(Error::Deadline), "the answer does not wait");
    assert_eq!(database.alice(&patient, &["select 1"]).await, Err(Error::Busy));
    assert_eq!((patient.stats().connects, patient.stats().busy), (1, 1));

    let hasty = Pool::new(config(Duration::ZERO)).unwrap();
    for _ in 0..3 {
        let request = Request { deadline: in_ms(100), ..database.request(&["select pg_sleep(30)"]) };
        assert_eq!(run(&hasty, request).await, Err(Error::Deadline));
    }
    assert_eq!(hasty.stats().connects, 3);
}

#[tokio::test]
async fn a_request_that_is_dropped_is_stopped_and_its_connection_given_back() {
    let database = Database::new();
    let pool = database.pool();
    for sql in ["select pg_sleep(30)", STUBBORN, "select repeat('x', 1000) from generate_series(1, 1e7)"] {
        let request = Request { grace: Duration::from_millis(100), ..database.request(&[sql]) };
        let mut running = pool.run(request).await.unwrap();
        let pid = running.backend_pid().unwrap();
        // Sent, and begun; an answer may or may not be there.
        let _ = tokio::time::timeout(Duration::from_millis(50), running.next()).await;
        drop(running);
        assert_eq!(
            database.alice(&pool, &["select 1"]).await.unwrap().row(),
            "1",
            "the only connection is free"
        );
        let left = database.sql(&format!("select count(*) from pg_stat_activity where pid = {pid}"));
        assert_eq!(left, "0", "{sql}");
    }
    assert_eq!((pool.stats().abandoned, pool.stats().busy), (3, 0));
}

#[tokio::test]
async fn a_request_that_is_dropped_when_all_of_it_is_here_costs_nothing() {
    let database = Database::new();
    let pool = database.pool();
    let mut running = pool.run(database.request(&["select 1"])).await.unwrap();
    assert!(matches!(running.next().await, Ok(Event::Columns(_))));
    drop(running);
    assert_eq!(database.alice(&pool, &["select 2"]).await.unwrap().row(), "2");
    assert_eq!((pool.stats().connects, pool.stats().abandoned), (1, 0));
}

#[tokio::test]
async fn the_queue_has_an_end_and_a_time() {
    let database = Database::new();
    let config = Config { queue: 1, queue_timeout: Duration::from_millis(300), ..database.config() };
    let pool = Pool::new(config).unwrap();
    let holder = pool.run(database.request(&["select pg_sleep(30)"])).await.unwrap();
    let start = Instant::now();
    let (first, second) =
        tokio::join!(database.alice(&pool, &["select 1"]), database.alice(&pool, &["select 2"]));
    assert_eq!((first, second), (Err(Error::Busy), Err(Error::Busy)));
    assert!(start.elapsed() >= Duration::from_millis(300), "the first one has waited");
    assert_eq!((pool.stats().waiting, pool.stats().refused), (0, 2));
    drop(holder);
    assert_eq!(database.alice(&pool, &["select 3"]).await.unwrap().row(), "3");
}

#[tokio::test]
async fn who_takes_all_that_can_be_had_leaves_room_for_others() {
    let database = Database::new();
    let pool = Pool::new(Config { connections: 4, ..database.config() }).unwrap();
    let sleeper = || async { pool.run(database.request(&["select pg_sleep(30)"])).await };
    let mut sleepers: FuturesUnordered<_> = (0..90).map(|_| sleeper()).collect();
    let mut held = Vec::new();
    while held.len() < 3 {
        held.push(sleepers.next().await.unwrap().unwrap());
    }
    assert!(sleepers.next().now_or_never().is_none());
    assert_eq!((pool.stats().busy, pool.stats().waiting), (3, 87));

    let start = Instant::now();
    let other = |sql: &str| Request { key: 1, ..database.request(&[sql]) };
    assert_eq!(run(&pool, other("select 1")).await.unwrap().row(), "1");
    // Also while all places are taken, our own SQL has its own.
    let _last = pool.run(other("select pg_sleep(30)")).await.unwrap();
    assert_eq!(pool.stats().busy, 4);
    assert_eq!(pool.ping().await, Ok(()));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(pool.stats().waiting, 87);
}

#[tokio::test]
async fn what_we_ask_ourselves_goes_on_when_nobody_waits_for_it() {
    let database = Database::new();
    let pool = database.pool();
    database
        .sql("create sequence work.s; grant all on work.s to public; grant usage on schema work to public");
    let slow = "select pg_catalog.nextval('work.s'::pg_catalog.regclass), pg_catalog.pg_sleep(0.3)";
    let gave_up = tokio::time::timeout(Duration::from_millis(100), pool.own(slow, &[], &[])).await;
    assert!(gave_up.is_err());
    assert_eq!(pool.ping().await, Ok(()));
    assert_eq!((pool.stats().connects, pool.stats().closed), (1, 0), "its connection was kept");
}

#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let database = Database::new();
    let pool = database.pool();
    database.sql("create sequence work.s; grant all on work.s to {a}");
    let holder = pool.run(database.request(&["select pg_sleep(0.2)"])).await.unwrap();
    let waiting = (0..20).map(|_| database.alice(&pool, &["select nextval('work.s')"]));
    let (held, answers) = tokio::join!(finish(holder), futures_util::future::join_all(waiting));
    assert!(held.is_ok());
    let numbers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().row().to_owned()).collect();
    assert_eq!(numbers, (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_large_value_is_refused_and_costs_the_connection_only() {
    let database = Database::new();
    let pool = Pool::new(Config { max_message_bytes: 1 << 20, ..database.config() }).unwrap();
    let request = database.request(&["select repeat('x', 1000000)", "select repeat('x', 100000000)"]);
    assert_eq!(run(&pool, request).await, Err(Error::TooLarge { limit: 1 << 20 }));
    assert_eq!(database.alice(&pool, &["select repeat('x', 10)"]).await.unwrap().row(), "xxxxxxxxxx");
}

#[tokio::test]
async fn a_connection_is_replaced_after_its_requests_and_at_its_age() {
    let database = Database::new();
    let pool = Pool::new(Config { max_requests: 3, ..database.config() }).unwrap();
    for _ in 0..9 {
        database.alice(&pool, &["select 1"]).await.unwrap();
    }
    // The exchange that seals a connection counts, and so does its startup.
    assert!((3..=9).contains(&pool.stats().connects), "{:?}", pool.stats());
    let pool = Pool::new(Config { max_age: Duration::from_nanos(1), ..database.config() }).unwrap();
    for _ in 0..3 {
        database.alice(&pool, &["select 1"]).await.unwrap();
    }
    assert_eq!(pool.stats().connects, 3);
}

#[tokio::test]
async fn a_pool_closes_when_the_requests_in_flight_are_done() {
    let database = Database::new();
    let pool = database.pool_of(2);
    let slow = pool.run(database.request(&["select pg_sleep(0.3)"])).await.unwrap();
    let closing = pool.clone();
    let (answer, ()) = tokio::join!(finish(slow), closing.close());
    assert!(answer.is_ok());
    assert_eq!(database.alice(&pool, &["select 1"]).await, Err(Error::Closed));
    let gone = "select count(*) from pg_stat_activity where datname = current_database() and usename = 'postern_gate'";
    let start = Instant::now();
    while database.sql(gone) != "0" {
        assert!(start.elapsed() < Duration::from_secs(10), "connections are left");
    }
}
