//! `bench-replication`: what the rules of replication cost, for rows and for DDL.
//!
//! **How it works.** Two servers, one without the library and one with it; on the second, a database without the extension, and
//! one with it and published tables. `pgbench` runs the same script on each of the three, by turns. What counts is the time on
//! a processor that the server's processes took for each transaction: other work on the machine adds to it, but much less than
//! it takes from transactions per second. Of the rounds the least counts, and ratios are made of those.
//!
//! **Not measured**: apply itself. The hooks are not called by it.

use postern_cluster::{Cluster, Installation};

use crate::build;
use crate::process::{Context, Error, Result, output};
use crate::workspace::Profile;

/// What each client runs again and again; the first word names it. `:client_id` keeps clients from waiting for each other.
const SCRIPTS: [(&str, &str); 8] = [
    ("insert", "insert into bench.doc (body) values ('x');\n"),
    ("update", "\\set id random(1, 1000)\nupdate bench.doc set body = 'y' where id = :id;\n"),
    (
        "trigger",
        "create or replace trigger t:client_id before insert on bench.ddl:client_id for each row execute function bench.f();\n",
    ),
    (
        "when",
        "create or replace trigger t:client_id before insert on bench.ddl:client_id for each row when (new.id > 0) execute function bench.f();\n",
    ),
    ("table", "create table bench.made:client_id (id int);\ndrop table bench.made:client_id;\n"),
    ("column", "alter table bench.ddl:client_id alter id set default 1;\n"),
    ("function", "create or replace function bench.g:client_id() returns int language sql as 'select 1';\n"),
    (
        "used",
        "create or replace function bench.f:client_id() returns trigger language plpgsql as 'begin return new; end';\n",
    ),
];

/// Rows with a trigger, tables for DDL, both published.
const SCHEMA: &str = "
    create schema bench; create table bench.doc (id int generated always as identity primary key, body text);
    insert into bench.doc (body) select 'x' from generate_series(1, 1000);
    create table bench.ddl0 (id int primary key); create table bench.ddl1 (id int primary key);
    create function bench.f() returns trigger language plpgsql as 'begin return new; end';
    create trigger t before insert or update on bench.doc for each row execute function bench.f();
    create function bench.f0() returns trigger language plpgsql as 'begin return new; end';
    create function bench.f1() returns trigger language plpgsql as 'begin return new; end';
    create trigger f before insert on bench.ddl0 for each row execute function bench.f0();
    create trigger f before insert on bench.ddl1 for each row execute function bench.f1();
    create publication bench for table bench.doc, bench.ddl0, bench.ddl1;";

/// Runs it.
pub fn run(server: &Installation, release: bool, rounds: usize, seconds: u32) -> Result<()> {
    build::extension(server, if release { Profile::Release } else { Profile::Dev })?;
    let start = |extension: bool| {
        let mut builder = Cluster::builder()
            .installation(server.clone())
            .extension(extension)
            .setting("wal_level", "logical")
            .setting("fsync", "off")
            .setting("autovacuum", "off");
        if extension {
            builder = builder.setting("postern.executors", "0");
        }
        builder.start()
    };
    let (plain, ours) = (start(false)?, start(true)?);
    plain.create_database("bench", false)?;
    ours.create_database("without", false)?;
    ours.create_database("bench", true)?;
    let contestants =
        [("no library", &plain, "bench"), ("no extension", &ours, "without"), ("extension", &ours, "bench")];
    for (_, cluster, database) in contestants {
        cluster.psql(database, SCHEMA)?;
    }
    println!(
        "microseconds of processor for each transaction; transactions per second of two clients in brackets"
    );
    println!(
        "{:10} {:>16} {:>16} {:>16} {:>8} {:>8}",
        "script", "no library", "no extension", "extension", "loaded", "created"
    );
    for (name, script) in SCRIPTS {
        let file =
            tempfile::NamedTempFile::new_in("/var/tmp").map_err(|error| Error::Wrong(error.to_string()))?;
        std::fs::write(file.path(), script).map_err(|error| Error::Wrong(error.to_string()))?;
        let mut least = [f64::INFINITY; 3];
        let mut most = [0.0_f64; 3];
        for round in 0..rounds {
            for n in (0..3).map(|n| (n + round) % 3) {
                let (_, cluster, database) = contestants[n];
                let before = processor(cluster)?;
                let mut pgbench = cluster.client("pgbench");
                pgbench.args(["--no-vacuum", "--client=2", "--jobs=1"]).arg(format!("--time={seconds}"));
                pgbench.arg(format!("--file={}", file.path().display())).arg(database);
                let text = output(&mut pgbench)?;
                let count = number(&text, "number of transactions actually processed: ")?;
                least[n] = least[n].min((processor(cluster)? - before) * 1e6 / count);
                most[n] = most[n].max(number(&text, "tps = ")?);
            }
        }
        let cell = |n: usize| format!("{:.0} ({:.0})", least[n], most[n]);
        println!(
            "{name:10} {:>16} {:>16} {:>16} {:8.3} {:8.3}",
            cell(0),
            cell(1),
            cell(2),
            least[1] / least[0],
            least[2] / least[0]
        );
    }
    Ok(())
}

/// Seconds that processes of the server have had a processor which have ended: those of clients, each of which ends with its
/// connection.
fn processor(cluster: &Cluster) -> Result<f64> {
    // The last ones may not have been buried yet.
    let clients = "select count(*) from pg_stat_activity where application_name = 'pgbench'";
    while cluster.psql("postgres", clients)? != "0" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let pid = cluster.pid().ok_or_else(|| Error::Wrong("the server is gone".to_owned()))?;
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).context("read", std::path::Path::new(&path))?;
    // After the name, which may have anything in it: `cutime` and `cstime` are the 14th and 15th, in hundredths on Linux.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
    match (ticks(13), ticks(14)) {
        (Some(user), Some(system)) => Ok((user + system) / 100.0),
        _ => Err(Error::Wrong(format!("{path} is not as it was"))),
    }
}

/// The number after some words of what pgbench says.
fn number(text: &str, words: &str) -> Result<f64> {
    let found =
        text.lines().find_map(|line| line.strip_prefix(words)?.split([' ', '/']).next()?.parse().ok());
    found.ok_or_else(|| Error::Wrong(format!("pgbench said:\n{text}")))
}
