//! `bench-replication`: what the rules of replication cost, for rows and for DDL.
//!
//! **How it works.** Two servers, one without the library and one with it; on the second, a database without the extension, and one
//! with it and a published table. `pgbench` runs the same script on each of the three, by turns: a ratio is made within a round, and the
//! median of the rounds counts, since a machine is rarely idle.
//!
//! **Not measured**: apply itself. The hooks are not called by it.

use postern_cluster::{Cluster, Installation};

use crate::build;
use crate::process::{Error, Result, output};
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
        "{:10} {:>14} {:>14} {:>14} {:>10} {:>10}",
        "script", "no library/s", "no extension/s", "extension/s", "loaded", "created"
    );
    for (name, script) in SCRIPTS {
        let file =
            tempfile::NamedTempFile::new_in("/var/tmp").map_err(|error| Error::Wrong(error.to_string()))?;
        std::fs::write(file.path(), script).map_err(|error| Error::Wrong(error.to_string()))?;
        let mut rates: Vec<[f64; 3]> = Vec::new();
        for _ in 0..rounds {
            let mut round = [0.0; 3];
            for (rate, (_, cluster, database)) in round.iter_mut().zip(contestants) {
                let mut pgbench = cluster.client("pgbench");
                pgbench.args(["--no-vacuum", "--client=2", "--jobs=1"]).arg(format!("--time={seconds}"));
                pgbench.arg(format!("--file={}", file.path().display())).arg(database);
                *rate = tps(&output(&mut pgbench)?)?;
            }
            rates.push(round);
        }
        let rate = |n: usize| median(rates.iter().map(|round| round[n]).collect());
        let ratio = |n: usize| median(rates.iter().map(|round| round[n] / round[0]).collect());
        println!(
            "{name:10} {:14.0} {:14.0} {:14.0} {:10.3} {:10.3}",
            rate(0),
            rate(1),
            rate(2),
            ratio(1),
            ratio(2)
        );
    }
    Ok(())
}

/// Transactions in a second, as pgbench says it.
fn tps(text: &str) -> Result<f64> {
    let found = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    found.ok_or_else(|| Error::Wrong(format!("pgbench said:\n{text}")))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
