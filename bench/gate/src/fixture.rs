//! The server that all contestants share, with what they read, and how each gets in.
//!
//! **Invariants**: everyone connects through the same socket, with a password, to the same database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_auth::dev::{self, SigningKey, Token};
use postern_cluster::Cluster;
use serde_json::{Map, Value};
use tempfile::TempDir;

use postern_bench::error::{Context, Error, Result};

/// The role that is entered.
pub const ENTERED_ROLE: &str = "bench_user";
/// The facts of pgbench, in the shape and about the size of those that the gate makes.
pub const FACTS: &str = concat!(
    r#"{"claims":{"iss":"bench","aud":"postern","sub":"alice","tenant":"acme","role":"bench_user","iat":1767225600,"#,
    r#""exp":1767229200},"client":{"addr":"127.0.0.1","user_agent":null},"#,
    r#""auth":{"method":"jwt","issuer":"bench","subject":"alice"},"#,
    r#""request":{"id":"0190a8c0-0000-7000-8000-000000000000","time":"2026-01-01T00:00:00Z"}}"#
);
/// The statement that all of them run.
pub const STATEMENT: &str = "select id, name, balance, opened_at from bench.account where id = $1";
/// Rows of `bench.account` that the reader sees: those with an even id.
pub const READABLE: u32 = 50_000;

const ISSUER: &str = "bench";
const AUDIENCE: &str = "postern";
const LOGINS: [&str; 3] = ["bench_direct", "bench_pool", "postern_gate"];

/// The server, the key that tokens are signed with, and a folder for files.
pub struct Fixture {
    pub cluster: Cluster,
    pub server: u32,
    folder: TempDir,
    key: SigningKey,
    key_file: PathBuf,
}

impl Fixture {
    /// Starts the server and fills it. `events` rows are there to be streamed.
    pub fn start(events: u64) -> Result<Self> {
        let cluster = Cluster::builder()
            .extension(true)
            .setting("shared_buffers", "1GB")
            .setting("max_connections", "400")
            .setting("max_wal_size", "4GB")
            .setting("wal_level", "minimal")
            .setting("max_wal_senders", "0")
            .start()?;
        cluster.psql("postgres", include_str!("../schema.sql"))?;
        for role in LOGINS {
            cluster.set_password(role)?;
        }
        cluster.psql(
            "postgres",
            &format!(
                "INSERT INTO bench.event SELECT n, 'acme', 'kind ' || n % 10, (n::bigint * 37 % 1000000) / 100.0,
                        '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 second'
                   FROM generate_series(1, {events}) AS n;
                 VACUUM (FREEZE, ANALYZE) bench.account, bench.event;
                 CHECKPOINT;"
            ),
        )?;
        let server = cluster.pid().ok_or_else(|| Error::wrong("the server", "has ended"))?;
        let folder = tempfile::tempdir().context("create a temporary folder")?;
        let key_file = folder.path().join("key.json");
        let key = dev::generate_key(&folder.path().join("key.pem"), &key_file).context("make a key")?;
        Ok(Self { cluster, server, folder, key, key_file })
    }

    /// Where files may be put.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A token of one of the gate's users.
    pub fn token(&self, number: usize) -> String {
        let mut claims = Map::new();
        claims.insert("tenant".into(), Value::from("acme"));
        let subject = format!("user-{number}");
        dev::sign(
            &self.key,
            &Token {
                issuer: ISSUER,
                audience: AUDIENCE,
                subject: Some(&subject),
                role: Some(ENTERED_ROLE),
                claims,
                lifetime: Duration::from_hours(12),
            },
        )
    }

    /// The gate's configuration: what is not said here is as it comes, but that nobody is kept from asking as often as they
    /// can, that a long answer may take its time, and that a server without the last security release is measured too.
    pub fn gate_config(&self, port: u16, connections: usize) -> String {
        let string = |text: &str| Value::from(text).to_string();
        format!(
            "[doctor]\nallow = [\"server-below-floor\"]\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\n\
             [database]\nurl = {url}\nconnections = {connections}\n\
             [[auth.jwt]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nkey_file = {key}\nroles = [\"{ENTERED_ROLE}\"]\n\
             [limits]\nrate = 0\nconcurrency = 0\nwall_clock = \"30m\"\n",
            url = string(&self.cluster.url("postern_gate", "postgres")),
            key = string(&self.key_file.to_string_lossy()),
        )
    }
}
