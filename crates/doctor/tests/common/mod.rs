//! A private server, and databases on it with a gate's role and two served roles of their own.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use postern_cluster::Cluster;
use postern_doctor::{Report, Settings, connect, examine, floor};

/// A database, with roles that no other test uses.
pub struct Database {
    pub cluster: Arc<Cluster>,
    name: String,
    gate: String,
    served: [String; 2],
}

impl Database {
    /// A database without the extension, on a server that does not preload it.
    pub fn new() -> Self {
        let database = Self::on(server(false), false);
        database.sql("CREATE ROLE {g} LOGIN NOINHERIT");
        database.cluster.set_password(&database.gate).unwrap();
        database
    }

    /// A database with the extension and its own gate's role; both served roles are admitted.
    pub fn with_extension() -> Self {
        let mut database = Self::on(server(true), true);
        database.gate = "postern_gate".into();
        database.sql("SELECT postern.admit('{a}'), postern.admit('{b}')");
        database
    }

    fn on(cluster: Arc<Cluster>, extension: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            cluster,
            name: format!("db{number}"),
            gate: format!("gate{number}"),
            served: [format!("alice{number}"), format!("bob{number}")],
        };
        database.cluster.create_database(&database.name, extension).unwrap();
        database.sql("CREATE ROLE {a} NOLOGIN; CREATE ROLE {b} NOLOGIN");
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

    /// What to allow if the server under test is itself below the floor: nothing else.
    pub fn old_server(&self) -> Vec<String> {
        match floor::judge(self.version_num()) {
            floor::Verdict::BelowFloor { .. } => vec!["server-below-floor".into()],
            _ => Vec::new(),
        }
    }

    pub fn version_num(&self) -> i32 {
        self.sql("SHOW server_version_num").parse().unwrap()
    }

    /// The subjects of the findings of a code.
    pub fn subjects(&self, code: &str) -> Vec<String> {
        assert!(postern_doctor::codes::find(code).is_some(), "no code {code}");
        let findings = self.examine().findings;
        findings.into_iter().filter(|finding| finding.code == code).map(|finding| finding.subject).collect()
    }
}

/// One server of each kind for the tests that run at a time in this process; it ends with the last of them.
fn server(extension: bool) -> Arc<Cluster> {
    static SERVERS: [Mutex<Weak<Cluster>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
    let mut server = SERVERS[usize::from(extension)].lock().unwrap_or_else(PoisonError::into_inner);
    server.upgrade().unwrap_or_else(|| {
        let mut builder = Cluster::builder().extension(extension);
        if extension {
            // What the extension refuses by itself is what is looked for here.
            builder = builder.setting("postern.direct_grants", "off");
        }
        let cluster = Arc::new(builder.start().unwrap());
        if extension {
            cluster.set_password("postern_gate").unwrap();
        }
        *server = Arc::downgrade(&cluster);
        cluster
    })
}

/// A weakness. In the SQL `{a}` and `{b}` are two served roles, `{g}` the gate's, `{d}` the database.
pub struct Case {
    pub code: &'static str,
    pub subject: &'static str,
    /// Empty for what is so by default.
    pub make: &'static str,
}

pub const fn case(code: &'static str, subject: &'static str, make: &'static str) -> Case {
    Case { code, subject, make }
}

/// Makes each weakness in a database of its own, expects it to be found, runs its hint, and expects it to be gone.
pub fn run(database: fn() -> Database, cases: &[Case]) {
    for case in cases {
        let database = database();
        let before = database.subjects(case.code);
        let subject = database.fill(case.subject);
        if case.make.is_empty() {
            assert!(before.contains(&subject), "{} is so by default: {before:?}", case.code);
        } else {
            assert!(!before.contains(&subject), "{} is found before it is made", case.code);
            database.sql(case.make);
        }
        let report = database.examine();
        let found: Vec<_> =
            report.findings.iter().filter(|f| f.code == case.code && f.subject == subject).collect();
        assert!(!found.is_empty(), "{} of {subject} is not found in {:#?}", case.code, report.findings);
        for finding in found {
            assert!(!finding.message.is_empty() && !finding.detail.is_empty(), "{}", case.code);
            let Some(hint) = &finding.hint else { panic!("{} has no hint", case.code) };
            database.sql(hint);
        }
        let after = database.subjects(case.code);
        assert!(!after.contains(&subject), "{} of {subject} is still found after its hint", case.code);
    }
}
