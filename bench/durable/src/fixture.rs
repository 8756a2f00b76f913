//! The server that all contestants share, with a database for each.

use postern_bench::error::{Context, Error, Result};
use postern_cluster::Cluster;

use crate::contestant::Contestant;
use crate::driver::{self, Driver};

/// Who works there; owns the databases of the others, and may use durable functions.
pub const ROLE: &str = "bench";

/// The server.
pub struct Fixture {
    pub cluster: Cluster,
    /// Its first process.
    pub server: u32,
    connections: usize,
}

impl Fixture {
    /// Starts the server. Nothing of Postern's settings is changed.
    pub fn start(connections: usize) -> Result<Self> {
        let cluster = Cluster::builder()
            .extension(true)
            .tcp()
            .setting("fsync", "on")
            .setting("shared_buffers", "512MB")
            .setting("max_connections", "200")
            .setting("max_wal_size", "4GB")
            .start()?;
        cluster.psql(
            "postgres",
            &format!("create role {ROLE} login; grant postern_application to {ROLE}; create schema bench authorization {ROLE}"),
        )?;
        cluster.set_password(ROLE)?;
        let server = cluster.pid().ok_or_else(|| Error::wrong("the server", "has ended"))?;
        Ok(Self { cluster, server, connections })
    }

    /// Makes a contestant's database, and what it wants to find in it.
    pub fn prepare(&self, contestant: Contestant) -> Result<()> {
        if contestant == Contestant::Postern {
            return Ok(());
        }
        let database = contestant.database();
        self.cluster.psql("postgres", &format!("create database {database} owner {ROLE}"))?;
        if contestant == Contestant::Absurd {
            let mut command = self.cluster.client(driver::folder().join(".venv/bin/absurdctl"));
            command.args(["init", "-d", database]).env("PGDATABASE", database);
            let output = command.output().context("run absurdctl")?;
            if !output.status.success() {
                return Err(Error::wrong("absurdctl init", String::from_utf8_lossy(&output.stderr).trim()));
            }
            self.cluster.psql(
                database,
                &format!(
                    "grant all on schema absurd to {ROLE}; grant all on all tables in schema absurd to {ROLE};
                     grant all on all sequences in schema absurd to {ROLE};
                     grant execute on all functions in schema absurd to {ROLE}"
                ),
            )?;
        }
        Ok(())
    }

    /// Starts a contestant's program.
    pub fn drive(&self, contestant: Contestant) -> Result<Driver> {
        let password = self.cluster.password(ROLE).unwrap_or_default();
        // Some of their clients know no sockets.
        let url = format!(
            "postgresql://{ROLE}:{password}@127.0.0.1:{}/{}",
            self.cluster.port(),
            contestant.database()
        );
        Driver::start(contestant, &url, self.connections)
    }

    /// Whether commits reach the disk from now on.
    pub fn fsync(&self, on: bool) -> Result<()> {
        self.switch("fsync", on)
    }

    /// Whether the server cleans its tables by itself from now on.
    pub fn autovacuum(&self, on: bool) -> Result<()> {
        self.switch("autovacuum", on)
    }

    fn switch(&self, name: &str, on: bool) -> Result<()> {
        let value = if on { "on" } else { "off" };
        self.cluster.psql("postgres", &format!("alter system set {name} = {value}"))?;
        self.cluster.psql("postgres", "select pg_reload_conf()")?;
        // Whoever starts later has read it; the others have it a moment after.
        let found = self.cluster.psql("postgres", &format!("select pg_sleep(0.3); show {name}"))?;
        if found.lines().last() == Some(value) { Ok(()) } else { Err(Error::wrong(name, found)) }
    }

    /// A number that the server gives, asked in a database where nobody works.
    pub fn number(&self, sql: &str) -> Result<f64> {
        let text = self.cluster.psql("template1", sql)?;
        text.trim().parse().map_err(|_| Error::wrong(sql, text))
    }
}
