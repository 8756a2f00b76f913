//! A server with the extension, and a template database that holds the fixture.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use postern_auth::dev::{SigningKey, generate_key};
use postern_cluster::Cluster;
use tokio_postgres::NoTls;

/// Who signs tokens here, and for whom.
pub const ISSUER: &str = "postern-e2e";

/// The database that worlds are copied from.
const TEMPLATE: &str = "fixture";

/// Whether the gate's login is a member of the roles that it enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is, against all advice: SQL that got out of the wall could become anyone, so that a test sees an escape.
    Granted,
    /// As installed: a member of nothing.
    None,
}

/// One server. Most tests share one; what changes the server itself has its own.
#[derive(Debug)]
pub struct Site {
    cluster: Cluster,
    signing_key: SigningKey,
    public_key: PathBuf,
    worlds: AtomicU32,
    finished: Mutex<Vec<String>>,
}

impl Site {
    /// Starts a server with these settings, and makes the template.
    pub fn start(membership: Membership, settings: &[(&str, &str)]) -> Self {
        let mut builder = Cluster::builder()
            .extension(true)
            .setting("max_connections", "60")
            .setting("max_worker_processes", "64")
            .setting("autovacuum", "off")
            // Attacks begin with privileges that nobody should have.
            .setting("postern.direct_grants", "off");
        for (name, value) in settings {
            builder = builder.setting(name, value);
        }
        let cluster = builder.start().expect("a private cluster with the extension");
        cluster.set_password("postern_gate").expect("the gate's login");
        cluster.psql("postgres", include_str!("roles.sql")).expect("the roles of the fixture");
        if membership == Membership::Granted {
            cluster.psql("postgres", "grant alice, bob, carol to postern_gate").expect("memberships");
        }
        cluster.create_database(TEMPLATE, true).expect("the template");
        cluster.psql(TEMPLATE, include_str!("fixture.sql")).expect("the fixture");
        cluster
            .psql(
                "postgres",
                &format!("alter database {TEMPLATE} with is_template true allow_connections false"),
            )
            .expect("the template is closed");
        // In the cluster's folder, and gone with it.
        let public_key = cluster.folder().join("issuer.jwk");
        let signing_key = generate_key(&cluster.folder().join("issuer.pem"), &public_key).expect("a key");
        Self { cluster, signing_key, public_key, worlds: AtomicU32::new(0), finished: Mutex::default() }
    }

    /// The server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What signs tokens.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// The file that the gate checks tokens with.
    pub fn public_key(&self) -> &Path {
        &self.public_key
    }

    /// A number that nobody else of this site has: for names.
    pub fn number(&self) -> u32 {
        self.worlds.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection of the superuser.
    pub async fn superuser(&self, database: &str) -> tokio_postgres::Client {
        self.client(self.cluster.superuser(), database).await
    }

    /// A connection of a role whose password is known.
    pub async fn client(&self, role: &str, database: &str) -> tokio_postgres::Client {
        let url = self.cluster.url(role, database);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("the server lets it in");
        // It ends with the client.
        tokio::spawn(connection);
        client
    }

    /// A new database with the fixture; drops those that are no longer used.
    pub(crate) async fn new_database(&self, number: u32, settings: &[(String, String)]) -> String {
        let name = format!("w{number}");
        let admin = self.superuser("postgres").await;
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        let run = async |sql: String| {
            admin.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        };
        for old in finished {
            run(format!("drop database {old} with (force)")).await;
        }
        run(format!("create database {name} template {TEMPLATE}")).await;
        // Neither privileges on a database nor its settings are copied.
        run(format!(
            "revoke temp on database {name} from public; grant temp on database {name} to alice, bob"
        ))
        .await;
        for (setting, value) in settings {
            run(format!("alter database {name} set {setting} = {value}")).await;
        }
        name
    }

    pub(crate) fn finish(&self, database: &str) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(database.to_owned());
    }
}
