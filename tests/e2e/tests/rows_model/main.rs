//! Rows against a model: six roles and eight tables, of which one is partitioned and one inherited, with views, functions and policies. Random
//! statements change who may what; after each, what the server does for a role is compared with what a model of the documentation says, and so is
//! what `postern.direct_access`, `postern.row_access` and `postern.explain_row` tell.
//!
//! Sessions stay, and so do their prepared statements: what was planned before a change must not count after it. Some changes are made by another
//! session than the one that asks, and some are rolled back.
//!
//! `POSTERN_ROWS_SEEDS` is how many walks there are, and `POSTERN_ROWS_SEED` the first one's number, which a failure says.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod model;
mod steps;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use model::{Model, ROLES, Refusal, SETUP, STATEMENTS, Said, Statement, TABLES, VIEWS};
use postern_cluster::{Cluster, Installation};
use postern_e2e::Random;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use world::World;

const STEPS: usize = 60;
/// How many statements are compared after each step.
const COMPARED: usize = 30;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_does_what_the_model_says() {
    let first = number("POSTERN_ROWS_SEED", 1);
    walks(Installation::find().unwrap(), first..first + number("POSTERN_ROWS_SEEDS", 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_do_other_versions() {
    let tested = Installation::find().unwrap().major;
    let first = number("POSTERN_ROWS_SEED", 1);
    for server in Installation::find_all().unwrap().into_iter().filter(|server| server.major != tested) {
        match postern_cluster::extension_folder(server.major) {
            Ok(_) => walks(server, first..first + number("POSTERN_ROWS_SEEDS", 3).div_ceil(3)).await,
            Err(reason) => postern_cluster::skipped("rows against a model", reason),
        }
    }
}

async fn walks(server: Installation, seeds: std::ops::Range<u64>) {
    let cluster = Cluster::builder().installation(server).extension(true).start().unwrap();
    for seed in seeds {
        let database = format!("walk{seed}");
        cluster.create_database(&database, true).unwrap();
        walk(&cluster, &database, seed).await;
        cluster.psql("postgres", &format!("drop database {database} with (force)")).unwrap();
        cluster.psql("postgres", "drop role m0, m1, m2, m3, m4, m5, m6").unwrap();
    }
}

/// A session, and what it has prepared.
pub struct Session {
    client: Client,
    prepared: BTreeSet<String>,
    /// Whether its prepared statements have one plan for every value.
    generic: bool,
    /// Its last error.
    error: String,
}

impl Session {
    async fn new(url: &str, generic: bool) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        if generic {
            client.batch_execute("set plan_cache_mode = force_generic_plan").await.unwrap();
        }
        Self { client, prepared: BTreeSet::new(), generic, error: String::new() }
    }

    /// What a statement comes to for a role; the table is looked at afterwards, and everything rolled back.
    async fn hear(&mut self, role: &str, sql: &str, root: &str, prepared: bool) -> Result<Said, String> {
        let mut text = sql.to_owned();
        if prepared {
            let name = format!("p{}", fingerprint(sql));
            if self.prepared.insert(name.clone()) {
                self.client.batch_execute(&format!("prepare {name} as {sql}")).await.unwrap();
            }
            text = format!("execute {name}");
        }
        self.client.batch_execute(&format!("begin; set local role {role}")).await.unwrap();
        let said = match self.client.simple_query(&text).await {
            Ok(messages) => {
                let keys = sql.starts_with("select") || sql.contains(" returning ");
                let mut keys = keys.then(|| numbers(&messages, 0));
                if let Some(keys) = &mut keys {
                    keys.sort_unstable();
                }
                let look = format!("reset role; select k, v from w.{root}");
                let after = self.client.simple_query(&look).await.unwrap();
                let after =
                    numbers(&after, 0).into_iter().zip(numbers(&after, 1)).collect::<BTreeMap<_, _>>();
                Ok(Said::Done { keys, after })
            }
            Err(error) => {
                let error = error.as_db_error().expect("the server is there");
                self.error = error.to_string();
                let refusal = match (error.code().code(), error.message()) {
                    ("42501", message) if message.starts_with("permission denied") => Some(Refusal::Denied),
                    ("42501", message) if message.starts_with("row security would filter") => {
                        Some(Refusal::Mode)
                    }
                    ("42501", message) if message.contains("row-level security policy") => {
                        Some(Refusal::Violates)
                    }
                    ("23505", _) => Some(Refusal::Duplicate),
                    _ => None,
                };
                refusal.map(|refusal| Said::Refused(vec![refusal])).ok_or_else(|| error.to_string())
            }
        };
        self.client.batch_execute("rollback").await.unwrap();
        said
    }
}

/// A name for a statement.
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn numbers(messages: &[SimpleQueryMessage], column: usize) -> Vec<i64> {
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(column)?.parse().ok(),
            _ => None,
        })
        .collect()
}

async fn walk(cluster: &Cluster, database: &str, seed: u64) {
    let mut random = Random::new(seed);
    let url = cluster.url(cluster.superuser(), database);
    cluster.psql(database, SETUP).unwrap();
    let mut sessions = [Session::new(&url, true).await, Session::new(&url, false).await];
    let mut model = Model::new(World::read(&sessions[0].client).await);
    steps::begin(&mut random, &sessions[0], &mut model).await;
    let mut done: Vec<String> = Vec::new();
    for step in 0..STEPS {
        let by = random.below(2);
        let sql = steps::step(&mut random, &sessions[by], &mut model).await;
        done.push(sql);
        let place = || {
            format!(
                "seed {seed}, step {step}, PostgreSQL {}: {}",
                cluster.installation().major,
                done.join(";\n")
            )
        };
        assert_eq!(model.world.direct, model.direct, "{}", place());
        assert_eq!(model.world.modes, model.modes, "{}", place());
        for _ in 0..COMPARED {
            compare(&mut random, &mut sessions, &model, &place).await;
        }
        if step % 4 == 0 {
            matrix(&sessions[0].client, &model, &place).await;
        }
        for _ in 0..3 {
            explain(&mut random, &sessions[0].client, &model, &place).await;
        }
    }
}

async fn compare(
    random: &mut Random,
    sessions: &mut [Session; 2],
    model: &Model,
    place: &dyn Fn() -> String,
) {
    let session = &mut sessions[random.below(2)];
    let role = *random.pick(&ROLES);
    let prepared = random.percent(70);
    let (sql, root, expected) = if random.percent(15) {
        let (function, read) =
            *random.pick(&[("d0()", "t0"), ("d1()", "v1"), ("i0()", "t0"), ("i4()", "v4"), ("x0", "t0")]);
        let name = function.trim_end_matches("()");
        let me = if name.starts_with('d') { model.world.role(model.world.functions[name]).0 } else { role };
        let mut expected = model.read(me, read);
        if name == "x0" && !model.world.may(model.world.roles[role].oid, &model.world.relations["x0"], 'r') {
            expected = match expected {
                Said::Refused(mut why) => {
                    why.push(Refusal::Denied);
                    Said::Refused(why)
                }
                Said::Done { .. } => Said::Refused(vec![Refusal::Denied]),
            };
        }
        let column = if name == "x0" { "k" } else { name };
        (format!("select {column} from w.{function}"), Model::root(read), expected)
    } else {
        let relation = if random.percent(65) { *random.pick(&TABLES) } else { *random.pick(&VIEWS) };
        let statement = *random.pick(&STATEMENTS);
        let conflicts = matches!(statement, Statement::Upsert | Statement::Merge);
        // Versions differ in whether ON CONFLICT needs the privileges that the condition of a view does.
        if (conflicts && ["t1b", "c2", "v3"].contains(&relation))
            || (statement == Statement::Merge && VIEWS.contains(&relation))
        {
            return;
        }
        (statement.sql(relation), Model::root(relation), model.statement(role, relation, statement))
    };
    let heard = session.hear(role, &sql, root, prepared).await;
    let agree = match (&heard, &expected) {
        (Ok(Said::Refused(heard)), Said::Refused(expected)) => heard.iter().all(|why| expected.contains(why)),
        (Ok(heard), expected) => heard == expected,
        (Err(_), _) => false,
    };
    let how = format!("{role}, prepared {prepared}, generic {}", session.generic);
    assert!(
        agree,
        "{}\n\n{sql}\nas {how}\nmodel  {expected:?}\nserver {heard:?} {}\n{:?}",
        place(),
        session.error,
        model
            .policies
            .iter()
            .filter(|policy| sql.contains(&format!("w.{} ", policy.table)) || policy.table == root)
            .collect::<Vec<_>>(),
    );
}

/// `postern.row_access`, of all roles, tables and commands.
async fn matrix(client: &Client, model: &Model, place: &dyn Fn() -> String) {
    let sql = "select c.relname, a.role, a.command, a.access from postern.row_access a join pg_class c on c.oid = a.relation where a.role ~ '^m[0-5]$' and c.relname <> 'elsewhere'";
    let mut seen = 0;
    for message in client.simple_query(sql).await.unwrap() {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let cell: Vec<&str> = (0..4).map(|n| row.get(n).unwrap()).collect();
        let command = match cell[2] {
            "SELECT" => 'r',
            "INSERT" => 'a',
            "UPDATE" => 'w',
            _ => 'd',
        };
        seen += 1;
        assert_eq!(cell[3], model.access(cell[1], cell[0], command), "{}\n\n{cell:?}", place());
    }
    assert_eq!(seen, ROLES.len() * TABLES.len() * 4);
}

/// `postern.explain_row`, of one row.
async fn explain(random: &mut Random, client: &Client, model: &Model, place: &dyn Fn() -> String) {
    let role = *random.pick(&ROLES);
    let relation = if random.percent(70) { *random.pick(&TABLES) } else { *random.pick(&VIEWS) };
    let rows = model.rows_of(relation);
    let row = *random.pick(&rows);
    let (statement, command, reads, new) = *random.pick(&[
        (Statement::Read, "SELECT", true, None),
        (Statement::UpdateAll, "UPDATE", false, Some(70)),
        (Statement::UpdateSome, "UPDATE", true, Some(3)),
        (Statement::DeleteAll, "DELETE", false, None),
        (Statement::DeleteSome, "DELETE", true, None),
        (Statement::Insert, "INSERT", false, Some(0)),
        (Statement::InsertReturning, "INSERT", true, Some(0)),
    ]);
    // What is asked of a view is really done, with WHERE, and without RETURNING.
    if VIEWS.contains(&relation)
        && !matches!(
            statement,
            Statement::Read | Statement::UpdateSome | Statement::DeleteSome | Statement::Insert
        )
    {
        return;
    }
    let new = new.map_or_else(
        || "null".to_owned(),
        |v| {
            let Row { k, who, v: inserted } = Statement::new_row(relation);
            if command == "INSERT" {
                format!("'{{\"k\": {k}, \"who\": \"{who}\", \"v\": {inserted}}}'")
            } else {
                format!("'{{\"v\": {v}}}'")
            }
        },
    );
    let sql = format!(
        "select says from postern.explain_row('w.{relation}', '{{\"k\": {}}}', '{command}', '{role}', null, {new}, {reads}) where step = 'verdict'",
        row.k
    );
    let heard = match client.simple_query(&sql).await {
        Ok(messages) => messages
            .iter()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap(),
        Err(error) => error.to_string(),
    };
    let expected = model.verdict(role, relation, statement, row);
    assert!(expected.contains(&heard.as_str()), "{}\n\n{sql}\nmodel {expected:?}\nserver {heard:?}", place());
}

use model::Row;
