//! A database of its own with the fixture, and a gate with one connection to it.
//!
//! **How it works.** Requests go over HTTP through a gate in this process. With `POSTERN_E2E_WAY=wire` in the environment
//! they go straight to the server instead, as a gate without fault would send them: what fails there too is not the gate's.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postern_gate::{Config, Gate};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::answer::{Outcome, asked};
use crate::canary::Settings;
use crate::http::{self, Http};
use crate::site::{ISSUER, Site};
use crate::wire::Wire;

/// How many roles a world can make for itself: the gate's configuration names them all.
const OWN_ROLES: u32 = 24;

/// Roles that no gate should be told to serve: what is served is still for the server to judge.
const DANGEROUS: [&str; 2] = ["postgres", "app"];

/// What a world is to be.
#[derive(Debug, Default, Clone)]
pub struct Builder {
    database: Vec<(String, String)>,
    listen: String,
    pool: String,
    gate: String,
    dangerous: bool,
}

/// A test's world. See the crate's own page.
pub struct World {
    site: &'static Site,
    number: u32,
    roles: AtomicU32,
    database: String,
    admin: tokio_postgres::Client,
    way: Way,
    pub(crate) fresh: Settings,
}

enum Way {
    Http { gate: Box<Gate>, client: Http },
    Wire(Mutex<Wire>),
}

/// Someone who asks.
#[derive(Clone)]
pub struct Actor<'a> {
    world: &'a World,
    role: String,
    claims: Map<String, Value>,
    read_only: bool,
    isolation: Option<&'static str>,
}

impl Builder {
    /// A setting of the database.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.database.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More for the section `[listen]` of the gate's configuration.
    #[must_use]
    pub fn listen(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.listen);
        self
    }

    /// More for the section `[database]` of the gate's configuration.
    #[must_use]
    pub fn pool(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.pool);
        self
    }

    /// More sections of the gate's configuration.
    #[must_use]
    pub fn gate(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.gate);
        self
    }

    /// The gate is told to serve roles that must not be entered.
    #[must_use]
    pub fn dangerous(mut self) -> Self {
        self.dangerous = true;
        self
    }

    /// Makes it.
    pub async fn start(self, site: &'static Site) -> World {
        let number = site.number();
        let database = site.new_database(number, &self.database).await;
        let admin = site.superuser(&database).await;
        let way = if std::env::var_os("POSTERN_E2E_WAY").is_some_and(|way| way == "wire") {
            Way::Wire(Mutex::new(Wire::gate(site, &database, Some("the key of this world")).await))
        } else {
            let config = Config::parse(&self.toml(site, number, &database)).expect("a configuration");
            let gate =
                Gate::start(config).await.unwrap_or_else(|error| panic!("the gate does not start: {error}"));
            let client = Http::new(gate.local_addr());
            Way::Http { gate: Box::new(gate), client }
        };
        let fresh = Settings::default();
        let mut world = World { site, number, roles: AtomicU32::new(0), database, admin, way, fresh };
        world.fresh = world.settings().await;
        world
    }

    fn toml(&self, site: &Site, number: u32, database: &str) -> String {
        let mut roles: Vec<_> = ["alice", "bob", "carol"].map(str::to_owned).into();
        roles.extend((0..OWN_ROLES).map(|n| own_role(number, n)));
        if self.dangerous {
            roles.extend(DANGEROUS.map(str::to_owned));
        }
        let cluster = site.cluster();
        format!(
            r#"
            [listen]
            address = "127.0.0.1:0"
            {listen}
            [database]
            host = "{host}"
            port = {port}
            dbname = "{database}"
            password = "{password}"
            connections = 1
            {pool}
            [[auth.jwt]]
            issuer = "{ISSUER}"
            audience = "{ISSUER}"
            key_file = "{key}"
            roles = {roles:?}
            [doctor]
            allow = ["role-superuser", "role-powerful-member", "role-administers", "role-bypassrls", "role-createrole",
                "role-replication", "fact-immutable", "gate-other-role", "language-usable", "function-server-files",
                "enter-executable", "server-below-floor", "server-untested"]
            {gate}
            "#,
            host = cluster.socket_dir().display(),
            port = cluster.port(),
            password = cluster.password("postern_gate").expect("the site has set it"),
            listen = self.listen,
            pool = self.pool,
            key = site.public_key().display(),
            gate = self.gate,
        )
    }
}

fn own_role(world: u32, n: u32) -> String {
    format!("w{world}_r{n}")
}

impl World {
    /// A world to be described further.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The server.
    pub fn site(&self) -> &'static Site {
        self.site
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The superuser, on a connection of its own.
    pub fn admin(&self) -> &tokio_postgres::Client {
        &self.admin
    }

    /// The gate's address.
    #[track_caller]
    pub fn gate(&self) -> &Gate {
        match &self.way {
            Way::Http { gate, .. } => gate,
            Way::Wire(_) => {
                panic!("this test is about the gate, and there is none with POSTERN_E2E_WAY=wire")
            }
        }
    }

    /// A client of the gate, for requests that no driver sends.
    #[track_caller]
    pub fn http(&self) -> &Http {
        match &self.way {
            Way::Http { client, .. } => client,
            Way::Wire(_) => {
                panic!("this test is about the gate, and there is none with POSTERN_E2E_WAY=wire")
            }
        }
    }

    /// Runs statements as superuser.
    pub async fn superuser(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n  {error:?}"));
    }

    /// Rows as superuser, as psql prints them.
    pub async fn look(&self, sql: &str) -> String {
        let messages =
            self.admin.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}\n  {error:?}"));
        let lines = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|n| row.get(n).unwrap_or_default()).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whether the server has this extension at hand; says so if not, since a test is skipped then.
    pub async fn offers(&self, extension: &str) -> bool {
        let found = format!("select 1 from pg_available_extensions where name = '{extension}'");
        let there = !self.look(&found).await.is_empty();
        if !there {
            eprintln!("skipped: the server comes without {extension}");
        }
        there
    }

    /// Waits until a query of the superuser's gives something. It must: what is waited for may have failed at once.
    pub async fn until(&self, sql: &str) {
        let begun = std::time::Instant::now();
        while self.look(sql).await.is_empty() {
            assert!(begun.elapsed() < Duration::from_mins(2), "never happened: {sql}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a backend waits for a lock.
    pub async fn until_waiting(&self, pid: impl std::fmt::Display) {
        self.until(&format!("select 1 from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock'"))
            .await;
    }

    /// Waits until a backend sleeps.
    pub async fn until_asleep(&self, pid: impl std::fmt::Display) {
        self.until(&format!("select 1 from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'"))
            .await;
    }

    /// Waits until a backend has ended. Asks the system: a server that is short of locks answers no query.
    pub async fn until_gone(&self, pid: impl std::fmt::Display) {
        let process = std::path::PathBuf::from(format!("/proc/{pid}"));
        let begun = std::time::Instant::now();
        while process.exists() {
            assert!(begun.elapsed() < Duration::from_mins(2), "backend {pid} does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A new role, admitted here, which the gate serves.
    pub async fn new_role(&self) -> String {
        let n = self.roles.fetch_add(1, Ordering::Relaxed);
        assert!(n < OWN_ROLES, "a world has {OWN_ROLES} roles of its own");
        let role = own_role(self.number, n);
        self.superuser(&format!("create role {role} nologin; select postern.admit('{role}')")).await;
        role
    }

    /// Someone in this role, whose subject is the role's name.
    pub fn actor(&self, role: &str) -> Actor<'_> {
        let claims = Map::from_iter([("sub".to_owned(), json!(role)), ("role".to_owned(), json!(role))]);
        Actor { world: self, role: role.to_owned(), claims, read_only: false, isolation: None }
    }

    /// The attacker.
    pub fn alice(&self) -> Actor<'_> {
        self.actor("alice")
    }

    /// Whom she is after.
    pub fn bob(&self) -> Actor<'_> {
        self.actor("bob")
    }

    /// Someone who may create nothing.
    pub fn carol(&self) -> Actor<'_> {
        self.actor("carol")
    }

    /// Another connection of the gate's login, spoken by hand. Sealed as the gate's are.
    pub async fn wire(&self) -> Wire {
        Wire::gate(self.site, &self.database, Some("another key")).await
    }

    /// What the probe wrote down: tag and current user, in order of the tags.
    pub async fn loot(&self) -> String {
        self.look("select tag, cu from work.loot order by tag, cu").await
    }

    /// What the doctor finds, as the gate's login: each with its code first, what it is about, and what is wrong.
    pub async fn doctor(&self) -> Vec<String> {
        let client = self.site.client("postern_gate", &self.database).await;
        let report = postern_doctor::examine(&client, &postern_doctor::Settings::default())
            .await
            .expect("it can look");
        report
            .findings
            .iter()
            .map(|one| format!("{} {}: {} {}", one.code, one.subject, one.message, one.detail))
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.site.finish(&self.database);
    }
}

impl Actor<'_> {
    /// The same with other claims; the role stays.
    #[must_use]
    pub fn claiming(mut self, claims: Value) -> Self {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        self.claims = claims;
        self.claims.insert("role".to_owned(), json!(self.role));
        self
    }

    /// The same in READ ONLY transactions.
    #[must_use]
    pub fn reading(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The same in SERIALIZABLE transactions.
    #[must_use]
    pub fn serializable(mut self) -> Self {
        self.isolation = Some("Serializable");
        self
    }

    /// A token for this.
    pub fn token(&self) -> String {
        let token = postern_auth::dev::Token {
            issuer: ISSUER,
            audience: ISSUER,
            subject: None,
            role: None,
            claims: self.claims.clone(),
            lifetime: Duration::from_hours(1),
        };
        postern_auth::dev::sign(self.world.site.signing_key(), &token)
    }

    /// A connection string for this.
    pub fn connection_string(&self) -> String {
        let encoded: String = self
            .role
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        format!("postgresql://{encoded}@localhost/{}", self.world.database)
    }

    /// One statement.
    pub async fn sql(&self, sql: &str) -> Outcome {
        self.run(&[(sql, &[])]).await
    }

    /// One statement with parameters.
    pub async fn query(&self, sql: &str, params: &[Option<&str>]) -> Outcome {
        self.run(&[(sql, params)]).await
    }

    /// Statements of one request.
    pub async fn batch(&self, statements: &[&str]) -> Outcome {
        let statements: Vec<_> = statements.iter().map(|sql| (*sql, [].as_slice())).collect();
        self.run(&statements).await
    }

    async fn run(&self, statements: &[(&str, &[Option<&str>])]) -> Outcome {
        match &self.world.way {
            Way::Wire(wire) => self.run_on_wire(&mut *wire.lock().await, statements).await,
            Way::Http { client, .. } => {
                let mut headers = Vec::new();
                headers.extend(self.read_only.then_some(("neon-batch-read-only", "true")));
                headers.extend(self.isolation.map(|level| ("neon-batch-isolation-level", level)));
                let body = http::batch(statements);
                let response = client.sql(&self.token(), &self.connection_string(), &headers, &body).await;
                let sql = statements.iter().map(|(sql, _)| *sql).collect::<Vec<_>>().join("; ");
                Outcome { asked: asked(&self.role, &sql), result: http::read(&response) }
            }
        }
    }

    async fn run_on_wire(&self, wire: &mut Wire, statements: &[(&str, &[Option<&str>])]) -> Outcome {
        let facts = json!({ "claims": self.claims }).to_string();
        let mut options = Vec::new();
        options.extend(self.read_only.then_some(("default_transaction_read_only", "on")));
        options.extend(self.isolation.map(|_| ("default_transaction_isolation", "serializable")));
        for (name, value) in &options {
            assert_eq!(wire.outside(&format!("set {name} = '{value}'")).await.code(), "");
        }
        let outcome = wire.request(&self.role, Some(&facts), statements).await;
        for (name, _) in &options {
            assert_eq!(wire.outside(&format!("reset {name}")).await.code(), "");
        }
        outcome
    }
}
