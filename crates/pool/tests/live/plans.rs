//! Kept statements: never for someone else, never outdated, and gone without being missed.

use postern_pool::{Config, Pool, Request};

use crate::common::{Database, run, statement};

/// Names that the server keeps for the connection; the gate's own included.
async fn names(pool: &Pool) -> usize {
    let rows = pool.own("select pg_catalog.count(*) from pg_catalog.pg_prepared_statements", &[], &[]).await;
    rows.unwrap()[0].get(0).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_statement_is_kept_from_its_second_time_on_and_the_oldest_gives_way() {
    let database = Database::new();
    let pool = Pool::new(Config { statements: 2, ..database.config() }).unwrap();
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
    assert_eq!(names(&pool).await, 1, "enter");
    for round in 0..3 {
        for number in 1..=5 {
            let answer = database.alice(&pool, &[&format!("select {number}")]).await.unwrap();
            assert_eq!(answer.row(), number.to_string(), "round {round}");
        }
    }
    // Two, and one that is closed with the next request.
    assert!(names(&pool).await <= 4, "{}", names(&pool).await);
    database.alice(&pool, &["select 5"]).await.unwrap();
    assert_eq!(names(&pool).await, 3);
}

#[tokio::test]
async fn a_kept_statement_follows_the_identity() {
    let database = Database::new();
    let pool = database.pool();
    database.sql(
        "create table work.r(owner text, who text); grant select on work.r to {a}, {b};
         insert into work.r values ('{a}', 'ann'), ('{a}', 'amy'), ('{b}', 'ann');
         alter table work.r enable row level security;
         create policy p on work.r using (owner = current_user and who = (select postern.fact('claims.sub')))",
    );
    let sql = "select owner, who from work.r";
    for _ in 0..8 {
        for (sub, role) in [("ann", &database.alice), ("amy", &database.alice), ("ann", &database.bob)] {
            let request = Request {
                role: role.as_str().try_into().unwrap(),
                facts: Some(format!(r#"{{"claims":{{"sub":"{sub}"}}}}"#).into()),
                ..database.request(&[sql])
            };
            assert_eq!(run(&pool, request).await.unwrap().row(), format!("{role}|{sub}"));
        }
    }
    assert_eq!(pool.stats().connects, 1);
}

#[tokio::test]
async fn a_kept_statement_whose_columns_change_is_run_anew_unnoticed() {
    let database = Database::new();
    let pool = database.pool();
    database.sql("create table work.c(i int); insert into work.c values (1); grant all on work.c to {a}");
    for _ in 0..3 {
        assert_eq!(database.alice(&pool, &["select * from work.c"]).await.unwrap().row(), "1");
    }
    database.sql("alter table work.c add column j text default 'x'");
    for _ in 0..3 {
        assert_eq!(database.alice(&pool, &["select * from work.c"]).await.unwrap().row(), "1|x");
    }
    database.sql("drop table work.c; create table work.c(j text); insert into work.c values ('new'); grant all on work.c to {a}");
    for _ in 0..3 {
        assert_eq!(database.alice(&pool, &["select * from work.c"]).await.unwrap().row(), "new");
    }
    assert_eq!((pool.stats().retries, pool.stats().connects), (2, 1));
}

#[tokio::test]
async fn names_that_are_gone_are_not_missed() {
    let database = Database::new();
    let pool = database.pool();
    for _ in 0..3 {
        assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
    }
    pool.own("deallocate all", &[], &[]).await.unwrap();
    assert_eq!(database.alice(&pool, &["select 1"]).await.unwrap().row(), "1");
    let stats = pool.stats();
    assert_eq!((stats.retries, stats.connects), (1, 2), "enter itself was gone: a new connection");
}

#[tokio::test]
async fn settings_of_a_batch_do_not_reach_a_kept_statement() {
    let database = Database::new();
    let pool = database.pool();
    let sql = "select timestamptz '2026-01-01 00:00' at time zone 'UTC', length('a''b')";
    for _ in 0..3 {
        let batch = ["set timezone = 'Asia/Tokyo'", sql];
        assert_eq!(database.alice(&pool, &batch).await.unwrap().row(), "2025-12-31 15:00:00|3");
    }
    for _ in 0..3 {
        assert_eq!(database.alice(&pool, &[sql]).await.unwrap().row(), "2026-01-01 00:00:00|3");
    }
    let batch = ["set timezone = 'Asia/Tokyo'", sql];
    assert_eq!(database.alice(&pool, &batch).await.unwrap().row(), "2025-12-31 15:00:00|3");
}

#[tokio::test]
async fn clients_cannot_see_or_touch_the_names() {
    let database = Database::new();
    let pool = database.pool();
    for sql in [
        "select * from pg_prepared_statements",
        "deallocate all",
        "prepare x as select 1",
        "discard all",
        "execute x",
    ] {
        for _ in 0..2 {
            let refused = database.alice(&pool, &[sql]).await;
            let code = crate::common::code(refused);
            assert!(matches!(code.as_str(), "0A000" | "42501"), "{sql}: {code}");
        }
    }
    assert_eq!((pool.stats().retries, pool.stats().connects), (0, 1));
}

#[tokio::test]
async fn nothing_is_kept_if_the_room_for_it_is_none() {
    let database = Database::new();
    let pool = Pool::new(Config { statements: 0, ..database.config() }).unwrap();
    for _ in 0..4 {
        let request =
            Request { statements: vec![statement("select $1", &[Some("a")])], ..database.request(&[]) };
        assert_eq!(run(&pool, request).await.unwrap().row(), "a");
    }
    assert_eq!(names(&pool).await, 1, "enter");
}
