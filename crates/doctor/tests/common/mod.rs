//! A private server, and databases on it with a gate's role and two served roles of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use postern_cluster::Cluster;
use postern_doctor::{Report, Settings, connect, examine};

/// A database, with roles that no other test uses.
pub struct Database {
    cluster: Arc<Cluster>,
    name: String,
    gate: String,
    served: [String; 2],
}

impl Database {
    /// A database without the extension.
    pub fn new() -> Self {
        Self::on(server())
    }

    pub fn on(cluster: Arc<Cluster>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            cluster,
            name: format!("db{number}"),
            gate: format!("gate{number}"),
            served: [format!("alice{number}"), format!("bob{number}")],
        };
        database.cluster.create_database(&database.name, false).unwrap();
        database.sql("CREATE ROLE {g} LOGIN NOINHERIT; CREATE ROLE {a} NOLOGIN; CREATE ROLE {b} NOLOGIN");
        database.cluster.set_password(&database.gate).unwrap();
        database
    }

    /// Text with the names of this database in it.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{a}", &self.served[0])
            .replace("{b}", &self.served[1])
            .replace("{g}", &self.gate)
            .replace("{d}", &self.name)
    }

    /// Runs SQL as the superuser.
    pub fn sql(&self, sql: &str) -> String {
        let sql = self.fill(sql);
        self.cluster.psql(&self.name, &sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn settings(&self) -> Settings {
        Settings { gate_role: self.gate.clone(), roles: self.served.to_vec(), ..Settings::default() }
    }

    /// What is found, looked at by the gate's own login.
    pub fn examine(&self) -> Report {
        self.examine_by(&self.gate, &self.settings())
    }

    pub fn examine_as_superuser(&self) -> Report {
        self.examine_by(self.cluster.superuser(), &self.settings())
    }

    pub fn examine_by(&self, role: &str, settings: &Settings) -> Report {
        let config = connect::parse(&self.cluster.url(role, &self.name)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = connect::connect(&config, None).await.unwrap();
            examine(&client, settings).await.unwrap()
        })
    }

    /// The subjects of the findings of a code.
    pub fn subjects(&self, code: &str) -> Vec<String> {
        assert!(postern_doctor::codes::find(code).is_some(), "no code {code}");
        let findings = self.examine().findings;
        findings.into_iter().filter(|finding| finding.code == code).map(|finding| finding.subject).collect()
    }
}

/// One server for the tests that run at a time in this process; it ends with the last of them.
fn server() -> Arc<Cluster> {
    static SERVER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::builder().start().unwrap());
        *server = Arc::downgrade(&cluster);
        cluster
    })
}
