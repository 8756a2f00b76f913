//! A server with the invoices example, and databases made from it.

use std::sync::atomic::{AtomicU32, Ordering};

use postern_cluster::Cluster;

/// The database that others are copied from.
const TEMPLATE: &str = "example";

/// One server.
#[derive(Debug)]
pub struct Example {
    cluster: Cluster,
    databases: AtomicU32,
}

impl Example {
    /// Starts a server with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut builder =
            Cluster::builder().extension(true).setting("max_connections", "100").setting("autovacuum", "off");
        for (name, value) in settings {
            builder = builder.setting(name, value);
        }
        let cluster = builder.start().expect("a private cluster with the extension");
        cluster.set_password("postern_gate").expect("the gate's login");
        cluster.create_database(TEMPLATE, true).expect("the template");
        cluster.psql(TEMPLATE, include_str!("../../../examples/invoices/schema.sql")).expect("the example");
        Self { cluster, databases: AtomicU32::new(0) }
    }

    /// The server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A new database with the example, and what this SQL makes besides.
    pub fn database(&self, sql: &str) -> String {
        let name = format!("app{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Privileges on a database are not copied.
        let create = format!(
            "create database {name} template {TEMPLATE};\nrevoke temporary on database {name} from public;"
        );
        self.cluster.psql("postgres", &create).expect("a database");
        self.cluster.psql(&name, sql).expect("what the test adds");
        name
    }
}
