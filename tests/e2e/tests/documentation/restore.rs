//! The page about backups, typed in: from one server into another.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use postern_cluster::{Cluster, Installation};

use crate::pages::Page;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn start() -> Cluster {
    Cluster::builder()
        .extension(true)
        .setting("max_worker_processes", "32")
        .private_file("postern.secrets_key_file", "secrets-key", &"5e".repeat(32))
        .start()
        .unwrap()
}

/// Types commands into a shell in this folder, with this server as the one that is meant.
fn type_in(server: &Cluster, folder: &Path, commands: &str) {
    let psql = Installation::find().unwrap().program("psql");
    let path = format!("{}:{}", psql.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-ec", commands])
        .current_dir(folder)
        .envs(server.environment())
        .env("PATH", path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{errors}");
    // What every server has, as the page says.
    let others: Vec<&str> = errors.lines().filter(|line| !line.ends_with("already exists")).collect();
    assert_eq!(others, [""; 0], "{commands}");
}

#[test]
fn a_dump_is_restored_as_the_page_says() {
    let page = Page::read("docs/how-tos/back-up-and-restore.md");
    let blocks: Vec<String> =
        page.blocks().into_iter().filter(|block| block.language == "sh").map(|block| block.text).collect();
    let [dump, restore] = &blocks[..] else { panic!("{blocks:?}") };
    let folder = tempfile::tempdir().unwrap();

    let (old, new) = (start(), start());
    old.create_database("app", true).unwrap();
    let key = old
        .psql(
            "app",
            "create role web; grant postern_application to web; select postern.admit('web'); select postern.set_quota('web', 3);
             create table invoices (tenant text); insert into invoices values ('acme'), ('globex');
             alter table invoices enable row level security; grant select, insert on invoices to web;
             create policy tenant on invoices using (tenant = (select postern.fact('claims.tenant')));
             set session authorization web; select df.set_secret('token', 'hunter2-and-more');
             select df.start(df.wait_for_signal('go') ~> 'insert into log values (1)');
             reset session authorization; create table log (n int); grant insert on log to web;
             select postern.create_api_key('web', 'report')",
        )
        .unwrap();
    let key = key.lines().last().unwrap();
    assert!(key.starts_with("pk_"), "{key}");
    type_in(&old, folder.path(), dump);
    // A server of its own has other numbers for the same names.
    new.psql("postgres", "create role somebody_else").unwrap();
    type_in(&new, folder.path(), restore);

    let is = |query: &str, wanted: &str| {
        let begun = Instant::now();
        loop {
            let now = new.psql("app", query).unwrap();
            if now == wanted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{query}: {now}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    is("select role from postern.admitted", "web");
    is(
        "select * from postern.run_as('web', '{\"claims\": {\"tenant\": \"acme\"}}', 'select * from invoices')",
        "{\"tenant\": \"acme\"}",
    );
    is(&format!("select count(*) from postern.find_api_key(sha256('{key}'))"), "1");
    is("select concurrency from postern.quota", "3");
    is("select name from postern.secret", "token");
    // What ran there does not run here, until it is told to.
    let id = new.psql("app", "select id from df.instances").unwrap();
    new.psql("app", &format!("select df.signal('{id}', 'go')")).unwrap();
    is("select status, away from df.instances", "paused|t");
    is("select count(*) from log", "0");
    assert!(page.text.contains("`select postern.adopt_durable();`"));
    is("select postern.adopt_durable()", "1");
    is("select status from df.instances", "completed");
    is("select count(*) from log", "1");
    // And it went on where it was.
    assert_eq!(old.psql("app", "select status from df.instances").unwrap(), "running");
}
