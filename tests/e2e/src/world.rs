//! A database of its own with the fixture, and one connection of the gate to it.

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::answer::Outcome;
use crate::canary::Settings;
use crate::site::Site;
use crate::wire::Wire;

/// A test's world. See the crate's own page.
#[derive(Debug)]
pub struct World {
    site: &'static Site,
    database: String,
    admin: tokio_postgres::Client,
    wire: Mutex<Wire>,
    /// The settings of the connection when it was new.
    pub(crate) fresh: Settings,
}

/// Someone who asks.
#[derive(Debug, Clone)]
pub struct Actor<'a> {
    world: &'a World,
    role: String,
    claims: Value,
}

impl World {
    /// A world as an application has it.
    pub async fn new(site: &'static Site) -> Self {
        Self::with(site, &[]).await
    }

    /// A world whose database has these settings.
    pub async fn with(site: &'static Site, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let database = site.new_database(&settings).await;
        let admin = site.superuser(&database).await;
        let wire = Wire::gate(site, &database, Some("the key of this world")).await;
        let mut world = Self { site, database, admin, wire: Mutex::new(wire), fresh: Settings::default() };
        world.fresh = world.settings().await;
        world
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

    /// Runs statements as superuser.
    pub async fn superuser(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n  {error:?}"));
    }

    /// Rows as superuser, as psql prints them.
    pub async fn look(&self, sql: &str) -> String {
        let messages = self.admin.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}\n  {error:?}"));
        let lines = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|n| row.get(n).unwrap_or_default()).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A new role, admitted here.
    pub async fn new_role(&self, stem: &str) -> String {
        let role = format!("{stem}_{}", self.site.number());
        self.superuser(&format!("create role {role} nologin; select postern.admit('{role}')")).await;
        role
    }

    /// Someone in this role, whose subject is the role's name.
    pub fn actor(&self, role: &str) -> Actor<'_> {
        Actor { world: self, role: role.to_owned(), claims: json!({ "sub": role, "role": role }) }
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
}

impl Drop for World {
    fn drop(&mut self) {
        self.site.finish(&self.database);
    }
}

impl Actor<'_> {
    /// The same with other claims.
    #[must_use]
    pub fn claiming(mut self, claims: Value) -> Self {
        self.claims = claims;
        self
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
        let facts = json!({ "claims": self.claims }).to_string();
        self.world.wire.lock().await.request(&self.role, Some(&facts), statements).await
    }
}
