//! `postern dump`: what row security leaves out is said, against a private cluster.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Output, postern, run};
use postern_cluster::Cluster;

struct Stage {
    cluster: Cluster,
    client: String,
}

impl Stage {
    fn new() -> Self {
        let cluster = Cluster::builder().extension(true).start().unwrap();
        cluster.create_database("app", true).unwrap();
        cluster
            .psql(
                "app",
                "create role clerk login; create role boss login; create role plain login;
                 create table free (id int); insert into free values (1);
                 create table doc (id int primary key, tenant int); insert into doc select n, n % 4 from generate_series(1, 20) n;
                 create table \"odd
 TABLE\" (id int); insert into \"odd
 TABLE\" values (1), (2);
                 alter table doc enable row level security; alter table \"odd
 TABLE\" enable row level security;
                 create policy tenant on doc using (tenant = 1);
                 grant usage on schema public to clerk, boss, plain;
                 grant select on all tables in schema public to clerk, boss, plain;
                 select postern.grant_direct('{select}', 'doc', '{boss}');
                 select postern.grant_direct('{select}', '\"odd
 TABLE\"', '{boss}')",
            )
            .unwrap();
        for role in ["clerk", "boss", "plain"] {
            cluster.set_password(role).unwrap();
        }
        let client = cluster.url("clerk", "app");
        Self { cluster, client }
    }

    fn command(&self, role: &str) -> Command {
        let mut command = postern();
        command.args(["dump", "--db", &self.cluster.url(role, "app")]);
        command
    }

    /// Only what is in the schema public: nobody but a superuser may read the extension's tables.
    fn dump(&self, role: &str, arguments: &[&str]) -> Output {
        run(self.command(role).args(["-n", "public"]).args(arguments))
    }
}

#[test]
fn a_dump_says_what_row_security_leaves_out() {
    let stage = Stage::new();
    // Refused, with both names; nothing is on standard output.
    let Output { status, stdout, stderr } = stage.dump("clerk", &[]);
    assert_eq!((status, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("row security filters 2 tables for role \"clerk\":"), "{stderr}");
    assert!(stderr.contains("  public.doc (policies tenant)\n"), "{stderr}");
    assert!(stderr.contains("TABLE\" (no policy)\n"), "{stderr}");
    assert!(stderr.contains("Nothing was dumped."), "{stderr}");
    // The choice is pg_dump's.
    for free in [
        &["-t", "public.free"][..],
        &["--exclude-table-data=doc", "-T", "odd*"],
        &["-s"],
        &["--section=pre-data"],
    ] {
        let Output { status, stdout, stderr } = stage.dump("clerk", free);
        assert_eq!((status, stderr.as_str()), (0, ""), "{free:?}");
        assert!(stdout.contains("CREATE TABLE public.free"), "{free:?}");
    }
    // Allowed: what the role sees, and how much that is, counted in the snapshot of the dump.
    let owner = stage.cluster.url("postgres", "app");
    let Output { status, stdout, stderr } =
        stage.dump("clerk", &["-a", "-t", "doc", "--allow-row-level-security"]);
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.ends_with("\t1")).count(), 5, "{stdout}");
    assert!(!stdout.contains("\t2\n"), "{stdout}");
    assert!(stderr.contains("  public.doc: 5 of an unknown number of rows\n"), "{stderr}");
    stage.cluster.psql("app", "analyze doc").unwrap();
    let counted = run(stage.command("clerk").args([
        "--allow-row-level-security",
        "--count-with",
        &owner,
        "-n",
        "public",
    ]));
    assert_eq!(counted.status, 0, "{}", counted.stderr);
    assert!(counted.stderr.contains("  public.doc: 5 of 20 rows\n"), "{}", counted.stderr);
    assert!(counted.stderr.contains(": 0 of 2 rows\n"), "{}", counted.stderr);
    let estimated = stage.dump("clerk", &["-t", "doc", "--allow-row-level-security"]);
    assert!(estimated.stderr.contains("  public.doc: 5 of about 20 rows\n"), "{}", estimated.stderr);
    // Who counts must see all.
    let blind = run(stage.command("clerk").args([
        "--allow-row-level-security",
        "--count-with",
        &stage.client,
        "-n",
        "public",
    ]));
    assert_eq!(blind.status, 1);
    assert!(
        blind.stderr.contains("query would be affected by row-level security policy"),
        "{}",
        blind.stderr
    );
}

#[test]
fn a_dump_past_row_security_is_whole() {
    let stage = Stage::new();
    for role in ["boss", "postgres"] {
        let Output { status, stdout, stderr } = stage.dump(role, &["--data-only"]);
        assert_eq!((status, stderr.as_str()), (0, ""), "{role}");
        assert_eq!(stdout.lines().filter(|line| line.ends_with("\t1")).count(), 5, "{role}");
        assert_eq!(stdout.lines().filter(|line| line.ends_with("\t2")).count(), 5, "{role}");
    }
    // As another role, in pg_dump's own words and formats.
    let room = common::room();
    let file = room.path().join("app.dump");
    let stated = stage.dump("postgres", &["--role=clerk", "-Fc", "-f", file.to_str().unwrap()]);
    assert_eq!(stated.status, 1);
    assert!(stated.stderr.contains("for role \"clerk\""), "{}", stated.stderr);
    assert!(!file.exists());
    let done = stage.dump("postgres", &["-Fc", "-f", file.to_str().unwrap()]);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert!(file.exists());
    // pg_dump's own failure is passed on.
    let failed = stage.dump("postgres", &["--no-such-option"]);
    assert_eq!(failed.status, 1);
    assert!(failed.stderr.contains("no-such-option"), "{}", failed.stderr);
    let nobody = run(postern().args(["dump", "-h", "/nonexistent", "app"]));
    assert_eq!(nobody.status, 1);
    assert!(nobody.stderr.contains("/nonexistent"), "{}", nobody.stderr);
}

#[test]
fn a_dump_that_was_overtaken_is_none() {
    let stage = Stage::new();
    let room = common::room();
    let pipe = room.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = stage.command("boss");
    command.args(["-n", "public", "-Fc", "--no-sync", "-f", pipe.to_str().unwrap()]).stderr(Stdio::piped());
    let dump = command.spawn().unwrap();
    // It has looked which tables are filtered, and pg_dump waits for somebody to open the pipe.
    let looked = "select count(*) from pg_stat_activity where usename = 'boss' and state = 'idle in transaction' and query like '%row_security_active%'";
    let since = Instant::now();
    while stage.cluster.psql("app", looked).unwrap().trim() != "1" {
        assert!(since.elapsed() < common::PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    stage.cluster.psql("app", "select postern.revoke_direct('{select}', 'doc', '{boss}', true)").unwrap();
    std::fs::read(&pipe).unwrap();
    let Output { status, stderr, .. } = common::output(dump.wait_with_output().unwrap());
    assert_eq!(status, 1, "{stderr}");
    assert!(
        stderr.contains(
            "since the dump began, row security filters for role \"boss\":\n  public.doc (policies tenant)\n"
        ),
        "{stderr}"
    );
    assert!(!stderr.contains("odd"), "{stderr}");
}
