//! The server's own answer: what it bound each name of a statement to, without running the statement.
//!
//! With `debug_print_parse` the server prints the analysed tree of a statement that is only prepared. The tree has the OIDs
//! and the places.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use postern_cluster::{Cluster, Installation};
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// Place and kind, to every OID that was bound there.
pub type Bound = BTreeMap<(i64, &'static str), Vec<u32>>;

pub struct Server {
    pub cluster: Cluster,
    runtime: tokio::runtime::Runtime,
}

pub struct Session<'s> {
    server: &'s Server,
    pub client: Client,
    trees: Arc<Mutex<Vec<Tree>>>,
}

/// An analysed tree, and where the server was when it printed it.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub text: String,
    pub context: String,
}

impl Server {
    pub fn start() -> Self {
        Self::on(false)
    }

    pub fn with_extension() -> Self {
        Self::on(true)
    }

    fn on(extension: bool) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { cluster: Cluster::builder().extension(extension).start().unwrap(), runtime }
    }

    /// On a server of another version.
    pub fn of(installation: Installation) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self {
            cluster: Cluster::builder().installation(installation).extension(false).start().unwrap(),
            runtime,
        }
    }

    /// What psql says of a dump of a database that it reads into a new one; nothing if the server came without clients.
    pub fn restored(&self, database: &str) -> Option<String> {
        let installation = self.cluster.installation();
        let (dump, psql) = (installation.program("pg_dump"), installation.program("psql"));
        if !dump.is_file() || !psql.is_file() {
            return None;
        }
        let dumped = std::process::Command::new(dump)
            .arg(self.cluster.url(self.cluster.superuser(), database))
            .output()
            .unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        self.session(database).run("CREATE DATABASE restored");
        let file = self.cluster.folder().join("restored.sql");
        std::fs::write(&file, dumped.stdout).unwrap();
        let read = std::process::Command::new(psql)
            .args(["--no-psqlrc", "--quiet", "--file"])
            .arg(&file)
            .arg(self.cluster.url(self.cluster.superuser(), "restored"))
            .output()
            .unwrap();
        Some(String::from_utf8_lossy(&read.stderr).into_owned())
    }

    pub fn session(&self, database: &str) -> Session<'_> {
        let trees = Arc::new(Mutex::new(Vec::new()));
        let url = self.cluster.url(self.cluster.superuser(), database);
        let (client, mut connection) =
            self.runtime.block_on(async { tokio_postgres::connect(&url, NoTls).await.unwrap() });
        let kept = Arc::clone(&trees);
        self.runtime.spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message
                    && notice.message().starts_with("parse tree")
                {
                    let text = notice.detail().unwrap_or_default().to_owned();
                    let context = notice.where_().unwrap_or_default().to_owned();
                    kept.lock().unwrap().push(Tree { text, context });
                }
            }
        });
        Session { server: self, client, trees }
    }
}

impl Session<'_> {
    pub fn run(&self, sql: &str) {
        self.server
            .runtime
            .block_on(self.client.batch_execute(sql))
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Did the server accept it?
    pub fn attempt(&self, sql: &str) -> bool {
        let result = self.server.runtime.block_on(self.client.batch_execute(sql));
        if let Err(error) = &result {
            assert!(!error.is_closed(), "the server went away: {sql}");
        }
        result.is_ok()
    }

    /// What the server says if it refuses, and where it was.
    pub fn refused(&self, sql: &str) -> Result<(), String> {
        self.server.runtime.block_on(self.client.batch_execute(sql)).map_err(|error| {
            let said = error.as_db_error();
            said.map_or_else(
                || error.to_string(),
                |db| format!("{} {}", db.message(), db.where_().unwrap_or_default()),
            )
        })
    }

    pub fn strings(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.server.runtime.block_on(self.client.simple_query(sql)).unwrap();
        rows.iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect())
                }
                _ => None,
            })
            .collect()
    }

    pub fn snapshot(&self) -> postern_analyze::catalog::Snapshot {
        self.server.runtime.block_on(postern_analyze::catalog::load::load(&self.client)).unwrap()
    }

    /// The trees that were printed since they were taken last.
    pub fn take_trees(&self) -> Vec<Tree> {
        std::mem::take(&mut *self.trees.lock().unwrap())
    }

    /// What the server binds in one statement; its own words if it refuses.
    pub fn bound(&self, sql: &str) -> Result<Bound, String> {
        let bound = self.bound_within(sql);
        self.run("SET debug_print_parse = off; SET client_min_messages = notice");
        bound
    }

    /// The same in a transaction, which is to be rolled back.
    pub fn bound_within(&self, sql: &str) -> Result<Bound, String> {
        self.run("SET debug_pretty_print = off; SET client_min_messages = log; SET debug_print_parse = on");
        self.trees.lock().unwrap().clear();
        match self.server.runtime.block_on(self.client.prepare(sql)) {
            Ok(_) => {
                let trees = self.trees.lock().unwrap();
                Ok(read(trees.first().map_or("", |tree| &tree.text)))
            }
            Err(error) => {
                Err(error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned()))
            }
        }
    }
}

/// Reads what was bound out of a tree.
pub fn read(tree: &str) -> Bound {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut escaped = false;
    for character in tree.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                word.push(character);
                continue;
            }
            '{' | '}' if !escaped => {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
                tokens.push(character.to_string());
            }
            c if c.is_whitespace() && !escaped => {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
        escaped = false;
    }
    let mut bound = Bound::new();
    // Each open node: its name and its plain fields.
    let mut open: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => {
                open.push((tokens.get(at + 1).cloned().unwrap_or_default(), BTreeMap::new()));
                at += 2;
            }
            "}" => {
                if let Some((name, fields)) = open.pop() {
                    keep(&mut bound, &name, &fields);
                }
                at += 1;
            }
            field if field.starts_with(':') => {
                if let (Some((_, fields)), Some(value)) = (open.last_mut(), tokens.get(at + 1))
                    && value != "{"
                {
                    fields.insert(field.to_owned(), value.trim_matches(['(', ')']).to_owned());
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    bound
}

fn keep(bound: &mut Bound, name: &str, fields: &BTreeMap<String, String>) {
    let number = |field: &str| fields.get(field).and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
    let (kind, field) = match name {
        "FUNCEXPR" if number(":funcformat") == 0 => ("function", ":funcid"),
        "AGGREF" => ("function", ":aggfnoid"),
        "WINDOWFUNC" => ("function", ":winfnoid"),
        "OPEXPR" | "SCALARARRAYOPEXPR" | "DISTINCTEXPR" | "NULLIFEXPR" => ("operator", ":opno"),
        "RTE" | "RANGETBLENTRY" if number(":relid") > 0 => ("relation", ":relid"),
        _ => return,
    };
    let place = if kind == "relation" { 0 } else { number(":location") };
    let oids = bound.entry((place, kind)).or_default();
    oids.push(u32::try_from(number(field)).unwrap_or_default());
}
