//! Many identities at once on few connections, while backends are killed and the server restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use postern_pool::{Config, Error, Outcome, Pool, Request};

use crate::common::{Database, run, server, statement};

const PEOPLE: usize = 50;
const REQUESTS: usize = 1_000;
const SQL: &str =
    "select who, tenant, postern.fact('claims.sub'), current_user, $1::int from work.notes order by 1";

fn set_up(database: &Database) {
    database.sql(&format!(
        "create table work.notes(who text, tenant text); grant select on work.notes to {{a}}, {{b}};
         insert into work.notes select 'p' || n, 't' || n % 7 from generate_series(0, {}) n;
         alter table work.notes enable row level security;
         create policy own on work.notes using (who = (select postern.fact('claims.sub')))",
        PEOPLE - 1
    ));
}

fn question(database: &Database, number: usize) -> Request {
    let role = if number.is_multiple_of(2) { &database.alice } else { &database.bob };
    let person = number % PEOPLE;
    Request {
        key: person as u64,
        role: role.as_str().try_into().unwrap(),
        facts: Some(format!(r#"{{"claims":{{"sub":"p{person}"}}}}"#).into()),
        statements: vec![statement(SQL, &[Some(&number.to_string())])],
        ..database.request(&[])
    }
}

fn right_answer(database: &Database, number: usize) -> String {
    let role = if number.is_multiple_of(2) { &database.alice } else { &database.bob };
    let person = number % PEOPLE;
    format!("p{person}|t{}|p{person}|{role}|{number}", person % 7)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_identities_on_four_connections_see_their_own_rows() {
    let database = Database::new();
    set_up(&database);
    let pool =
        Pool::new(Config { connections: 4, queue_timeout: Duration::from_mins(1), ..database.config() })
            .unwrap();
    let answers = join_all((0..REQUESTS).map(|number| run(&pool, question(&database, number)))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().row(), right_answer(&database, number));
    }
    assert_eq!((pool.stats().connects, pool.stats().busy, pool.stats().requests), (4, 0, 1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_an_answer_is_right_or_an_error() {
    let cluster = Arc::new(server());
    let database = Arc::new(Database::on(Arc::clone(&cluster)));
    set_up(&database);
    let pool =
        Pool::new(Config { connections: 4, queue_timeout: Duration::from_mins(1), ..database.config() })
            .unwrap();
    let right = Arc::new(AtomicUsize::new(0));
    let killer = std::thread::spawn({
        let (database, right) = (Arc::clone(&database), Arc::clone(&right));
        move || {
            let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'postern_gate'";
            for round in 1..=12 {
                // Something has to work between two blows.
                let start = Instant::now();
                while right.load(Ordering::SeqCst) < round * 200 {
                    assert!(start.elapsed() < Duration::from_mins(1), "nothing works any more");
                    std::thread::sleep(Duration::from_millis(1));
                }
                if round == 8 {
                    cluster.restart().unwrap();
                }
                database.sql(kill);
            }
        }
    });
    let mut number = 0;
    while !killer.is_finished() {
        let numbers = number..number + REQUESTS;
        number += REQUESTS;
        let one = async |number| match run(&pool, question(&database, number)).await {
            Ok(answer) => {
                assert_eq!(answer.row(), right_answer(&database, number));
                right.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                let honest = match &error {
                    Error::Unavailable { .. } => error.outcome() == Outcome::NotStarted,
                    Error::Server(server) => server.code.starts_with("57P"),
                    Error::Lost { .. } => true,
                    _ => false,
                };
                assert!(honest, "{error:?}");
            }
        };
        join_all(numbers.map(one)).await;
    }
    killer.join().unwrap();

    let start = Instant::now();
    while let Err(error) = run(&pool, question(&database, 0)).await {
        assert!(start.elapsed() < Duration::from_secs(10), "{error:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answers = join_all((0..REQUESTS).map(|number| run(&pool, question(&database, number)))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().row(), right_answer(&database, number), "as before");
    }
}
