//! Many functions at once on a server, and what is done to them meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use postern_cluster::{Builder, Cluster};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::judge::{self, End, Row};
use crate::oracle::{self, Expected, How};
use crate::shape::Shape;
use crate::sql::{SCHEMA, Writer, literal};
use postern_e2e::Random;

const ROLES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Sessions, and how many functions each has under way.
const SESSIONS: usize = 5;
const WINDOW: usize = 5;

/// What a signal says that must not arrive.
const WRONG: i64 = 5_000;

/// What is done besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Calm,
    /// Settings change, executors are ended.
    Rough,
}

/// A server with people on it.
pub struct Stage {
    pub cluster: Cluster,
}

impl Stage {
    pub fn start(builder: Builder) -> Self {
        let cluster = builder.extension(true).setting("postern.loop_min_interval", "0").start().unwrap();
        let roles = ROLES.join(", ");
        for role in ROLES {
            cluster.psql("postgres", &format!("create role {role} login")).unwrap();
            cluster.set_password(role).unwrap();
        }
        let weight = oracle::WEIGHT;
        let vars: Vec<String> = ROLES
            .iter()
            .map(|role| format!("set role {role}; select df.setvar('weight', '{weight}'); reset role; "))
            .collect();
        cluster
            .psql(
                "postgres",
                &format!(
                    "{SCHEMA} grant usage on schema app to {roles}; grant select, insert on app.mark to {roles};
                     grant postern_application to {roles}; {}
                     select postern.set_quota('dave', concurrency => 1)",
                    vars.concat()
                ),
            )
            .unwrap();
        Self { cluster }
    }

    pub async fn connect(&self, role: &str) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.cluster.url(role, "postgres"), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// What is done to one function, in this order. Each is a transaction, or one that is rolled back.
#[derive(Debug, Clone)]
enum Act {
    /// With signals in the same transaction.
    Start(Vec<(String, i64)>),
    Signals(Vec<(String, i64)>),
    Immediate(String, i64),
    /// What has no effect.
    Nothing(&'static str),
    Pause,
    Resume,
    Nap(u64),
}

/// A function, and what it came to.
pub struct Run {
    pub number: u32,
    pub seed: u64,
    pub shape: Shape,
    pub expected: Expected,
    role: &'static str,
    priority: u32,
    acts: Vec<Act>,
    id: String,
}

impl Run {
    pub fn new(number: u32, seed: u64, shape: Shape, expected: Expected) -> Self {
        let mut rng = Random::new(seed ^ 0xac75);
        let acts = acts(&expected, &mut rng);
        let role = ROLES[rng.below(ROLES.len())];
        Self { number, seed, shape, expected, role, priority: rng.below(3), acts, id: String::new() }
    }
}

/// What is done to a function that takes these signals.
fn acts(expected: &Expected, rng: &mut Random) -> Vec<Act> {
    let mut left: Vec<(String, Vec<i64>)> = Vec::new();
    for (name, count) in &expected.signals {
        let mut all: Vec<i64> = (0..*count).map(|n| oracle::payload(name, n)).rev().collect();
        // More than are waited for.
        if rng.percent(20) {
            all.insert(0, WRONG);
        }
        left.push((name.clone(), all));
    }
    let mut sent = Vec::new();
    while !left.is_empty() {
        let place = rng.below(left.len());
        match left[place].1.pop() {
            Some(value) => sent.push((left[place].0.clone(), value)),
            None => {
                left.remove(place);
            }
        }
    }
    sent.reverse();
    let mut take = |rng: &mut Random, most: u32| -> Vec<(String, i64)> {
        let many = (rng.below(most + 1) as usize).min(sent.len());
        (0..many).filter_map(|_| sent.pop()).collect()
    };
    let with_start = if rng.percent(30) { take(rng, 3) } else { Vec::new() };
    let mut all = vec![Act::Start(with_start)];
    let mut paused = false;
    let mut empty = 0;
    while empty < 2 {
        match rng.below(100) {
            0..15 => all.push(Act::Nap(rng.below(20))),
            15..25 => {
                all.push(if paused { Act::Resume } else { Act::Pause });
                paused = !paused;
            }
            25..35 => {
                let what = [
                    "select df.cancel('$', 'never')",
                    "select df.pause('$')",
                    "select df.signal('$', 'g1', '6000')",
                    "select df.start('select app.boom(1)', 'ghost')",
                ];
                all.push(Act::Nothing(what[rng.below(what.len())]));
            }
            _ => {
                let signals = take(rng, 3);
                if signals.is_empty() {
                    empty += 1;
                } else if signals.len() == 1 && rng.percent(5) {
                    all.extend(signals.into_iter().map(|(name, value)| Act::Immediate(name, value)));
                } else {
                    all.push(Act::Signals(signals));
                }
            }
        }
    }
    let rest = std::iter::from_fn(|| sent.pop()).collect::<Vec<_>>();
    if !rest.is_empty() {
        all.push(Act::Signals(rest));
    }
    if paused {
        all.push(Act::Resume);
    }
    all
}

fn signals(id: &str, all: &[(String, i64)]) -> String {
    let all = all.iter().map(|(name, value)| format!("select df.signal('{id}', '{name}', '{value}'); "));
    all.collect::<Vec<_>>().concat()
}

async fn cell(client: &Client, sql: &str) -> Option<String> {
    let all = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    all.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// Does the next thing that is done to a function.
async fn act(client: &Client, run: &mut Run, act: Act) {
    let id = run.id.clone();
    match act {
        Act::Start(with) => {
            let text = Writer::new(run.number).write(&run.shape);
            let (number, priority) = (run.number, run.priority);
            client.batch_execute("begin").await.unwrap();
            let start = format!("select df.start({text}, 'run {number}', priority => {priority})");
            let id = cell(client, &start).await.unwrap();
            let mut more = signals(&id, &with);
            if number % 3 == 0 {
                more =
                    format!("savepoint a; select df.signal('{id}', 'g1', '{WRONG}'); rollback to a; {more}");
            }
            client.batch_execute(&format!("{more} commit")).await.unwrap();
            run.id = id;
        }
        Act::Signals(all) => {
            client.batch_execute(&format!("begin; {} commit", signals(&id, &all))).await.unwrap();
        }
        Act::Immediate(name, value) => {
            let send = signals(&id, &[(name, value)]);
            let sql = ["set postern.signal_mode = immediate", &send, "reset postern.signal_mode"];
            for sql in sql {
                client.batch_execute(sql).await.unwrap();
            }
        }
        Act::Nothing(sql) => {
            let sql = format!("begin; {}; rollback", sql.replace('$', &id));
            if client.batch_execute(&sql).await.is_err() {
                client.batch_execute("rollback").await.unwrap();
            }
        }
        Act::Pause | Act::Resume => {
            let what = if matches!(act, Act::Pause) { "pause" } else { "resume" };
            if let Err(error) = client.batch_execute(&format!("select df.{what}('{id}')")).await {
                assert_eq!(
                    error.code().map(tokio_postgres::error::SqlState::code),
                    Some("55000"),
                    "{error:?}"
                );
            }
        }
        Act::Nap(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
    }
}

/// A session: starts its functions, and does to them what is to be done.
async fn session(stage: &Stage, mut todo: Vec<Run>, seed: u64) -> Vec<Run> {
    let mut rng = Random::new(seed);
    let mut clients = HashMap::new();
    for role in ROLES {
        clients.insert(role, stage.connect(role).await);
    }
    let mut active: Vec<Run> = Vec::new();
    let mut done = Vec::new();
    todo.reverse();
    for run in &mut todo {
        run.acts.reverse();
    }
    loop {
        while active.len() < WINDOW
            && let Some(run) = todo.pop()
        {
            active.push(run);
        }
        if active.is_empty() {
            return done;
        }
        let place = rng.below(active.len());
        let run = &mut active[place];
        match run.acts.pop() {
            Some(next) => act(&clients[run.role], run, next).await,
            None => done.push(active.remove(place)),
        }
    }
}

/// Ends executors and changes settings, until it is dropped.
async fn storm(stage: &Stage, seed: u64) {
    let mut rng = Random::new(seed);
    let admin = stage.connect("postgres").await;
    loop {
        tokio::time::sleep(Duration::from_millis(10 + rng.below(120))).await;
        let mode = ["each", "group", "boundary"][rng.below(3)];
        let executors = 1 + rng.below(6);
        let change = match rng.below(5) {
            0 => format!("alter system set postern.step_commit = '{mode}'"),
            1 => format!("alter system set postern.executors = {executors}"),
            _ => "select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
                   where backend_type = 'postern executor' order by random() limit 1) e"
                .to_owned(),
        };
        admin.batch_execute(&change).await.unwrap();
        admin.batch_execute("select pg_reload_conf()").await.unwrap();
    }
}

/// Starts them all, and does to them what is to be done.
pub async fn begin(stage: &Stage, runs: Vec<Run>, seed: u64) -> Vec<Run> {
    let mut parts: Vec<Vec<Run>> = (0..SESSIONS).map(|_| Vec::new()).collect();
    for (place, run) in runs.into_iter().enumerate() {
        parts[place % SESSIONS].push(run);
    }
    let sessions = parts
        .into_iter()
        .zip(1_u64..)
        .map(|(part, n)| session(stage, part, seed.wrapping_mul(31).wrapping_add(n)));
    futures_util::future::join_all(sessions).await.into_iter().flatten().collect()
}

/// Kills an executor; the server takes that for a crash, and starts again.
pub fn kill(stage: &Stage) {
    let ask = |sql: &str| stage.cluster.psql("postgres", sql).map(|text| text.trim().to_owned());
    let executor =
        "select pid from pg_stat_activity where backend_type = 'postern executor' order by random() limit 1";
    let began = "select pg_postmaster_start_time()::text || (select min(backend_start) from pg_stat_activity where backend_type = 'checkpointer')";
    let before = ask(began).unwrap();
    // One may just be about to end.
    while let Some(pid) = ask(executor).ok().filter(|pid| !pid.is_empty()) {
        let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
        for _ in 0..200 {
            if ask(began).is_ok_and(|now| now != before) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A function that did not do what it was to do.
pub struct Fault {
    pub run: Run,
    pub what: String,
}

/// Has them all run to their end; gives those that went wrong.
pub async fn play(stage: &Stage, runs: Vec<Run>, weather: Weather, seed: u64) -> Vec<Fault> {
    let all = async { finish(stage, begin(stage, runs, seed).await).await };
    match weather {
        Weather::Calm => all.await,
        Weather::Rough => tokio::select! {
            faults = all => faults,
            () = storm(stage, seed) => Vec::new(),
        },
    }
}

async fn marks(admin: &Client) -> BTreeMap<u32, Vec<Row>> {
    let sql = "select run, id, key, val, note, who::text, seq from app.mark order by seq";
    let mut all: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for row in admin.query(sql, &[]).await.unwrap() {
        all.entry(row.get::<_, i32>(0).cast_unsigned()).or_default().push(Row {
            id: row.get::<_, i32>(1).cast_unsigned(),
            key: row.get(2),
            value: row.get::<_, Option<i32>>(3).map(i64::from),
            note: row.get(4),
            who: row.get(5),
            seq: row.get(6),
        });
    }
    all
}

async fn ends(admin: &Client) -> HashMap<String, End> {
    let sql = "select id::text, status, output, error->>'message', error->>'sqlstate' from postern.instance
                where ended_at is not null";
    let rows = admin.query(sql, &[]).await.unwrap();
    let end = |row: &tokio_postgres::Row| End {
        status: row.get(1),
        result: row.get(2),
        message: row.get(3),
        state: row.get(4),
    };
    rows.iter().map(|row| (row.get(0), end(row))).collect()
}

/// How long nothing may happen while something is to happen.
const STUCK: Duration = Duration::from_secs(20);

/// Waits for the end of all, and judges them.
pub async fn finish(stage: &Stage, runs: Vec<Run>) -> Vec<Fault> {
    let admin = stage.connect("postgres").await;
    let mut cancelled: Vec<bool> = runs.iter().map(|_| false).collect();
    let mut last = (String::new(), Instant::now());
    let ended = loop {
        let ended = ends(&admin).await;
        if runs.iter().all(|run| ended.contains_key(&run.id)) {
            break ended;
        }
        // What never ends by itself is cancelled when it has done everything.
        let there = marks(&admin).await;
        for (run, cancelled) in runs.iter().zip(&mut cancelled) {
            let rows = there.get(&run.number).map_or(&[][..], Vec::as_slice);
            if matches!(run.expected.how, How::Never) && !*cancelled && judge::has_all(&run.expected, rows) {
                cell(&admin, &format!("select df.cancel('{}', 'enough')", run.id)).await;
                *cancelled = true;
            }
        }
        let now = cell(
            &admin,
            "select (select count(*) from postern.instance where ended_at is null) || ' '
                 || (select count(*) from postern.step) || ' ' || (select count(*) from postern.message)",
        )
        .await
        .unwrap_or_default();
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > STUCK {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    let mut faults = Vec::new();
    let there = marks(&admin).await;
    for run in runs {
        let nothing = Vec::new();
        let rows = there.get(&run.number).unwrap_or(&nothing);
        let right = match ended.get(&run.id) {
            Some(end) => {
                judge::end(&run.expected, end).and_then(|()| judge::log(&run.expected, run.role, rows))
            }
            None => Err(stuck(&admin, &run.id).await),
        };
        if let Err(what) = right {
            let log: Vec<String> = rows
                .iter()
                .map(|row| format!("{} {}'{}'={:?}{:?}", row.seq, row.id, row.key, row.value, row.note))
                .collect();
            faults.push(Fault { run, what: format!("{what}\n  log: {}", log.join(", ")) });
        }
    }
    faults
}

/// Where an instance is that does not end.
async fn stuck(admin: &Client, id: &str) -> String {
    let sql = format!(
        "select 'never ended: ' || (select status || coalesce(' paused ' || paused_at, '') from postern.instance where id = {0})
           || coalesce((select string_agg(format('strand %s of %s at %s %s due %s held %s signal %s', strand, parent, node, state, due, held, signal), '; ')
                          from postern.strand where instance = {0}), ' no strand')
           || coalesce((select string_agg(format('; message %s %s %s fresh %s', kind, name, payload, fresh), '') from postern.message where instance = {0}), '')",
        literal(id)
    );
    cell(admin, &sql).await.unwrap_or_default()
}

/// What is left when everything has ended.
pub async fn remains(stage: &Stage) -> String {
    let admin = stage.connect("postgres").await;
    let sql = "select (select count(*) from postern.strand) || ' strands, ' || (select count(*) from postern.message) || ' messages, '
        || (select count(*) from postern.outbound) || ' requests, '
        || (select count(*) from postern.instance where ended_at is null) || ' running, '
        || (select count(*) from postern.instance where label = 'ghost') || ' ghosts'";
    let mut left = String::new();
    for _ in 0..500 {
        left = cell(&admin, sql).await.unwrap_or_default();
        if left == "0 strands, 0 messages, 0 requests, 0 running, 0 ghosts" {
            return String::new();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    left
}
