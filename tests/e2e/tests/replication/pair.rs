//! A publisher and a subscriber, each a private server.

use std::time::{Duration, Instant};

use postern_cluster::{Builder, Cluster};

/// How long a row may take from one server to the other.
const LIMIT: Duration = Duration::from_secs(40);

/// The two servers. The database is `app` on both.
pub struct Pair {
    pub publisher: Cluster,
    pub subscriber: Cluster,
}

/// A server that can publish and subscribe, to be started.
pub fn builder() -> Builder {
    Cluster::builder()
        .extension(true)
        .setting("wal_level", "logical")
        .setting("postern.executors", "0")
        // What failed is tried again soon.
        .setting("wal_retrieve_retry_interval", "200ms")
}

/// A server that can publish and subscribe.
pub fn server() -> Cluster {
    let cluster = builder().start().unwrap();
    cluster.create_database("app", true).unwrap();
    cluster
}

impl Pair {
    /// Starts both, with `tables` on both: made by the role `owner`, in the schema `app`.
    pub fn start(tables: &str) -> Self {
        let (publisher, subscriber) = std::thread::scope(|scope| {
            let other = scope.spawn(server);
            (server(), other.join().unwrap())
        });
        for cluster in [&publisher, &subscriber] {
            cluster
                .psql(
                    "app",
                    &format!(
                        "create role owner nologin; create role author nologin; create schema app authorization owner;
                         grant usage, create on schema app to author; set role owner; set search_path = app; {tables}"
                    ),
                )
                .unwrap();
        }
        Self { publisher, subscriber }
    }

    /// SQL on the publisher.
    pub fn publish(&self, sql: &str) -> String {
        self.publisher.psql("app", sql).unwrap()
    }

    /// SQL on the subscriber.
    pub fn there(&self, sql: &str) -> String {
        self.subscriber.psql("app", sql).unwrap()
    }

    /// The error of SQL on the subscriber.
    pub fn refused(&self, sql: &str) -> String {
        self.subscriber.psql("app", sql).unwrap_err().to_string()
    }

    /// Subscribes to the publication `pub` by the subscription `sub`.
    pub fn subscribe(&self, options: &str) {
        let connection = format!(
            "host={} port={} user={} password={} dbname=app",
            self.publisher.socket_dir().display(),
            self.publisher.port(),
            self.publisher.superuser(),
            self.publisher.password(self.publisher.superuser()).unwrap_or_default(),
        );
        self.there(&format!(
            "create subscription sub connection '{connection}' publication pub with ({options})"
        ));
    }

    /// Waits until SQL on the subscriber gives `wanted`.
    pub fn until(&self, sql: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let got = self.there(sql);
            if got == wanted {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "{sql}: {got}, not {wanted}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The end of the subscriber's log.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.subscriber.folder().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Pair {
    /// The slot would keep the publisher from stopping, and the subscription goes on asking for it.
    fn drop(&mut self) {
        let _ = self.subscriber.psql("app", "alter subscription sub disable");
    }
}
