//! A private server, and a database of its own for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use postern_cluster::Cluster;
use postern_core::RoleName;
use postern_pool::{Config, Error, Event, Pool, Request, Running, Statement, TransactionOptions};

/// A database with roles that no other test uses.
pub struct Database {
    pub cluster: Arc<Cluster>,
    pub name: String,
    pub alice: String,
    pub bob: String,
}

/// What a request gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// All rows of all statements: cells parted by `|`, NULL as `null`.
    pub rows: Vec<String>,
    pub tags: Vec<String>,
    pub notices: Vec<String>,
}

impl Answer {
    /// The only row.
    #[track_caller]
    pub fn row(&self) -> &str {
        assert_eq!(self.rows.len(), 1, "{self:?}");
        &self.rows[0]
    }
}

/// The server that tests share; it goes when the last one does.
fn shared() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(server());
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

pub fn server() -> Cluster {
    let cluster = Cluster::builder().extension(true).setting("max_connections", "100").start().unwrap();
    cluster.set_password("postern_gate").unwrap();
    cluster
}

impl Database {
    pub fn new() -> Self {
        Self::on(shared())
    }

    pub fn on(cluster: Arc<Cluster>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            cluster,
            name: format!("pool{number}"),
            alice: format!("alice{number}"),
            bob: format!("bob{number}"),
        };
        database.cluster.create_database(&database.name, true).unwrap();
        database.sql(
            "create role {a} nologin; create role {b} nologin;
             select postern.admit('{a}'), postern.admit('{b}');
             create schema work; grant all on schema work to {a}, {b};",
        );
        database
    }

    /// Runs SQL as superuser, with `{a}` and `{b}` for the roles.
    pub fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.name, &self.fill(sql)).unwrap()
    }

    pub fn fill(&self, text: &str) -> String {
        text.replace("{a}", &self.alice).replace("{b}", &self.bob)
    }

    pub fn config(&self) -> Config {
        Config {
            url: Some(self.cluster.url("postern_gate", &self.name).into()),
            connections: 1,
            ..Config::default()
        }
    }

    /// A pool of one connection.
    pub fn pool(&self) -> Pool {
        Pool::new(self.config()).unwrap()
    }

    pub fn pool_of(&self, connections: usize) -> Pool {
        Pool::new(Config { connections, ..self.config() }).unwrap()
    }

    /// A request of alice.
    pub fn request(&self, statements: &[&str]) -> Request {
        let statements = statements.iter().map(|sql| statement(&self.fill(sql), &[])).collect();
        Request {
            key: 0,
            role: RoleName::try_from(self.alice.as_str()).unwrap(),
            facts: None,
            statements,
            transaction: TransactionOptions::default(),
            deadline: Instant::now() + Duration::from_secs(20),
            grace: Duration::from_secs(1),
        }
    }

    /// Runs these as alice.
    pub async fn alice(&self, pool: &Pool, statements: &[&str]) -> Result<Answer, Error> {
        run(pool, self.request(statements)).await
    }

    /// Runs these as bob.
    pub async fn bob(&self, pool: &Pool, statements: &[&str]) -> Result<Answer, Error> {
        let role = RoleName::try_from(self.bob.as_str()).unwrap();
        run(pool, Request { role, ..self.request(statements) }).await
    }

    /// The backend that serves the next request.
    pub async fn backend(&self, pool: &Pool) -> i32 {
        self.bob(pool, &["select pg_backend_pid()"]).await.unwrap().row().parse().unwrap()
    }
}

pub fn statement(sql: &str, params: &[Option<&str>]) -> Statement {
    let params =
        params.iter().map(|param| param.map(|text| Bytes::copy_from_slice(text.as_bytes()))).collect();
    Statement { sql: Arc::from(sql), params }
}

pub async fn run(pool: &Pool, request: Request) -> Result<Answer, Error> {
    finish(pool.run(request).await?).await
}

pub async fn finish(mut running: Running) -> Result<Answer, Error> {
    let mut answer = Answer::default();
    loop {
        match running.next().await? {
            Event::Columns(_) => {}
            Event::Row(row) => {
                let cells: Vec<_> = row.cells().map(|cell| cell.unwrap_or("null")).collect();
                answer.rows.push(cells.join("|"));
            }
            Event::Complete(tag) => answer.tags.push(tag),
            Event::Empty => answer.tags.push(String::new()),
            Event::Notice(notice) => answer.notices.push(notice.message),
            Event::Committed => {
                assert_eq!(running.next().await.err(), Some(Error::Ended));
                return Ok(answer);
            }
        }
    }
}

/// The SQLSTATE of what has to be an error of the server.
#[track_caller]
pub fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Server(error) | Error::Entering(error)) => error.code,
        other => panic!("an error of the server expected, not {other:?}"),
    }
}
