//! A request is its identity's, whole, and leaves nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_core::RoleName;
use postern_pool::{Error, Isolation, Outcome, Request, TransactionOptions};

use crate::common::{Answer, Database, code, run, statement};

#[tokio::test]
async fn a_request_runs_as_its_role_with_its_facts_and_its_parameters() {
    let database = Database::new();
    let pool = database.pool();
    let sql = "select current_user, session_user, postern.fact('claims.sub'), $1::int + 1, $2::text, $3";
    let request = Request {
        facts: Some(Arc::from(r#"{"claims":{"sub":"ann"}}"#)),
        statements: vec![statement(sql, &[Some("41"), None, Some("héllo")])],
        ..database.request(&[])
    };
    let answer = run(&pool, request).await.unwrap();
    assert_eq!(answer.row(), database.fill("{a}|postern_gate|ann|42|null|héllo"));
    assert_eq!(answer.tags, ["SELECT 1"]);
    assert!(pool.server_version().is_some());
}

#[tokio::test]
async fn nothing_of_one_request_reaches_the_next_on_its_connection() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    let look =
        "select current_user, postern.facts(), current_setting('search_path'), current_setting('datestyle')";
    let request = Request {
        facts: Some(Arc::from(r#"{"claims":{}}"#)),
        statements: vec![
            statement("set search_path = work", &[]),
            statement("set datestyle = 'SQL, DMY'", &[]),
            statement(look, &[]),
        ],
        ..database.request(&[])
    };
    let answer = run(&pool, request).await.unwrap();
    assert_eq!(answer.row(), database.fill(r#"{a}|{"claims": {}}|work|SQL, DMY"#));
    let next = database.bob(&pool, &[look]).await.unwrap();
    assert_eq!(next.row(), database.fill(r#"{b}|null|"$user", public|ISO, MDY"#));
    assert_eq!(database.backend(&pool).await, pid, "and the connection was kept");
}

#[tokio::test]
async fn the_statements_of_a_request_take_effect_together_or_not_at_all() {
    let database = Database::new();
    let pool = database.pool();
    database.sql("create table work.t(i int primary key); grant all on work.t to {a}");
    let answer =
        database.alice(&pool, &["insert into work.t values (1)", "insert into work.t values (2), (3)"]);
    assert_eq!(answer.await.unwrap().tags, ["INSERT 0 1", "INSERT 0 2"]);
    let failed =
        database.alice(&pool, &["insert into work.t values (4)", "insert into work.t values (1)"]).await;
    assert_eq!(code(failed), "23505");
    assert_eq!(database.sql("select count(*) from work.t"), "3");
    assert_eq!(database.alice(&pool, &[]).await, Ok(Answer::default()), "no statement is a request, too");
    let empty = database.alice(&pool, &["", ";", "-- nothing", "select 1"]).await.unwrap();
    assert_eq!(empty.tags, ["", "", "", "SELECT 1"]);
}

#[tokio::test]
async fn an_error_at_the_commit_is_an_error() {
    let database = Database::new();
    let pool = database.pool();
    database.sql(
        "create table work.d(i int primary key deferrable initially deferred); grant all on work.d to {a}",
    );
    let mut running = pool.run(database.request(&["insert into work.d values (1), (1)"])).await.unwrap();
    let mut events = Vec::new();
    let error = loop {
        match running.next().await {
            Ok(event) => events.push(format!("{event:?}")),
            Err(error) => break error,
        }
    };
    assert_eq!(events, ["Columns([])", "Complete(\"INSERT 0 2\")"]);
    assert_eq!((error.sqlstate(), error.outcome()), ("23505", Outcome::RolledBack));
}

#[tokio::test]
async fn a_thousand_errors_cost_no_connection() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    for sql in ["select 1/0", "selec", "reset role", "commit", "select * from nowhere"].repeat(200) {
        let refused = database.alice(&pool, &[sql]).await;
        assert!(matches!(refused, Err(Error::Server(_))), "{sql}: {refused:?}");
    }
    assert_eq!(database.backend(&pool).await, pid);
    assert_eq!(pool.stats().connects, 1);
}

#[tokio::test]
async fn who_may_not_be_entered_is_refused_and_nothing_runs() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    for (role, expected) in
        [("postgres", "42501"), ("postern_gate", "42501"), ("nobody_at_all", "42704"), ("alice ", "42704")]
    {
        let role = RoleName::try_from(role).unwrap();
        let request = Request { role, ..database.request(&["create table work.never()"]) };
        assert_eq!(code(run(&pool, request).await), expected);
    }
    for facts in ["[]", "1", "{", "{\"a\":\"\\u0000\"}"] {
        let request =
            Request { facts: Some(Arc::from(facts)), ..database.request(&["create table work.never()"]) };
        assert!(code(run(&pool, request).await).starts_with("22"), "{facts}");
    }
    assert_eq!(database.sql("select to_regclass('work.never') is null"), "t");
    assert_eq!((database.backend(&pool).await, pool.stats().retries), (pid, 0));
}

#[tokio::test]
async fn bad_requests_get_their_error_and_the_connection_lives() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    let one = |sql: &str, params: &[Option<&str>]| {
        run(&pool, Request { statements: vec![statement(sql, params)], ..database.request(&[]) })
    };
    assert_eq!(code(one("select $1::int", &[Some("x")]).await), "22P02");
    assert_eq!(code(one("select $1::int", &[]).await), "08P01");
    assert_eq!(code(one("select 1; select 2", &[]).await), "42601");
    assert_eq!(code(one("select $1::text", &[Some("a\0b")]).await), "22021");
    assert_eq!(code(one("copy work.t from stdin", &[]).await), "0A000");
    assert_eq!(code(one("copy (select 1) to stdout", &[]).await), "0A000");
    assert!(matches!(one("select '\0'", &[]).await, Err(Error::Request(_))));
    let latin = Request {
        statements: vec![postern_pool::Statement {
            sql: Arc::from("select $1::text"),
            params: vec![Some(bytes::Bytes::from_static(b"\xe9"))],
        }],
        ..database.request(&[])
    };
    assert_eq!(code(run(&pool, latin).await), "22021");
    assert_eq!(database.backend(&pool).await, pid);
}

#[tokio::test]
async fn many_parameters_are_bound_and_one_more_is_refused() {
    let database = Database::new();
    let pool = database.pool();
    let numbers: Vec<_> = (1..=65_535).map(|n: u32| format!("${n}::int")).collect();
    let sql = format!("select array_length(array[{}], 1)", numbers.join(","));
    let mut params = vec![Some("1"); 65_535];
    let request = Request { statements: vec![statement(&sql, &params)], ..database.request(&[]) };
    assert_eq!(run(&pool, request).await.unwrap().row(), "65535");
    params.push(None);
    let request = Request { statements: vec![statement(&sql, &params)], ..database.request(&[]) };
    assert!(matches!(run(&pool, request).await, Err(Error::Request(_))));
}

#[tokio::test]
async fn transaction_options_hold_for_their_request_only() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    let look = "select current_setting('transaction_isolation'), current_setting('transaction_read_only'),
                       current_setting('transaction_deferrable')";
    let with = |transaction, sql: &str| run(&pool, Request { transaction, ..database.request(&[sql]) });
    let none = TransactionOptions::default();
    let strict = TransactionOptions {
        isolation: Some(Isolation::Serializable),
        read_only: Some(true),
        deferrable: Some(true),
    };
    assert_eq!(with(none, look).await.unwrap().row(), "read committed|off|off");
    assert_eq!(with(strict, look).await.unwrap().row(), "serializable|on|on");
    assert_eq!(code(with(strict, "create table work.never()").await), "25006");
    assert_eq!(code(with(strict, "set transaction read write").await), "25001");
    for (isolation, expected) in [
        (Isolation::ReadUncommitted, "read uncommitted|off|off"),
        (Isolation::ReadCommitted, "read committed|off|off"),
        (Isolation::RepeatableRead, "repeatable read|off|off"),
    ] {
        let options = TransactionOptions { isolation: Some(isolation), ..none };
        assert_eq!(with(options, look).await.unwrap().row(), expected);
    }
    assert_eq!(with(none, look).await.unwrap().row(), "read committed|off|off");
    let default = pool.own("select pg_catalog.current_setting($1)", &[25], &[Some(b"transaction_isolation")]);
    assert_eq!(default.await.unwrap()[0].get(0), Some("read committed"));
    assert_eq!(database.backend(&pool).await, pid);
}

#[tokio::test]
async fn notices_come_with_the_statement_that_raised_them() {
    let database = Database::new();
    let pool = database.pool();
    let answer =
        database.alice(&pool, &["do $$begin raise notice 'hi'; raise warning 'ho'; end$$"]).await.unwrap();
    assert_eq!(answer.notices, ["hi", "ho"]);
    let flood = "do $$begin for i in 1..5000 loop raise notice 'n%', i; end loop; end$$";
    let answer = database.alice(&pool, &[flood]).await.unwrap();
    assert_eq!((answer.notices.len(), answer.tags.as_slice()), (100, &["DO".to_owned()][..]));
    assert_eq!(database.bob(&pool, &["select 1"]).await.unwrap().notices, Vec::<String>::new());
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_an_error_and_costs_the_connection_only() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    let latin = "set client_encoding = 'LATIN1'";
    for statements in [
        &["select set_config('client_encoding', 'LATIN1', false), 'héllo'"][..],
        &[latin, "select chr(233)"],
        &[latin, r#"select 1 as U&"\00e9""#],
        &[latin, "do $$begin raise notice '%', chr(233); end$$"],
        &[latin, "do $$begin raise exception '%', chr(233); end$$"],
    ] {
        let result = database.alice(&pool, statements).await;
        assert_eq!(result, Err(Error::Encoding), "{statements:?}");
        let next = database.bob(&pool, &["select 'é', current_setting('client_encoding')"]).await.unwrap();
        assert_eq!(next.row(), "é|UTF8");
    }
    assert_ne!(database.backend(&pool).await, pid);
}

#[tokio::test]
async fn large_requests_and_large_answers_do_not_wait_for_each_other() {
    let database = Database::new();
    let pool = database.pool();
    let text = "x".repeat(200_000);
    let statements = (0..60).map(|_| statement("select $1::text || 'y'", &[Some(&text)])).collect();
    let answer = run(&pool, Request { statements, ..database.request(&[]) }).await.unwrap();
    assert_eq!(answer.rows.len(), 60);
    assert!(answer.rows.iter().all(|row| row.len() == 200_001));
}

#[tokio::test]
async fn own_sql_runs_outside_of_any_identity() {
    let database = Database::new();
    let pool = database.pool();
    let who = "select session_user, current_user, pg_catalog.pg_typeof($1), pg_catalog.length($1), $2";
    let rows = pool.own(who, &[17, 25], &[Some(b"\\x0001"), None]).await.unwrap();
    let cells: Vec<_> = rows[0].cells().collect();
    assert_eq!(cells, [Some("postern_gate"), Some("postern_gate"), Some("bytea"), Some("2"), None]);
    let pid = database.backend(&pool).await;
    assert_eq!(code(pool.own("select 1 operator(pg_catalog./) 0", &[], &[]).await), "22012");
    assert_eq!(pool.ping().await, Ok(()));
    assert_eq!(database.backend(&pool).await, pid);
}

#[tokio::test]
async fn a_gate_without_its_key_cannot_enter() {
    let database = Database::new();
    let pool = database.pool();
    let enter = "select postern.enter($1, $2, $3)";
    for key in [None, Some(&b"guess"[..])] {
        let params = [Some(database.alice.as_bytes()), None, key];
        assert_eq!(code(pool.own(enter, &[25, 25, 25], &params).await), "42501");
    }
    assert_eq!(code(pool.own("select postern.seal($1)", &[25], &[Some(b"mine")]).await), "55000");
}

#[tokio::test]
async fn a_request_whose_deadline_has_passed_is_not_run() {
    let database = Database::new();
    let pool = database.pool();
    let pid = database.backend(&pool).await;
    let late = Request {
        deadline: Instant::now().checked_sub(Duration::from_millis(1)).unwrap(),
        ..database.request(&["create table work.never()"])
    };
    assert_eq!(run(&pool, late).await, Err(Error::Deadline));
    assert_eq!(database.backend(&pool).await, pid);
    assert_eq!(database.sql("select to_regclass('work.never') is null"), "t");
}
