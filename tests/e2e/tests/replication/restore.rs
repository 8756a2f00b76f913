//! A dump of a database under the rules restores under the rules, and so does one of a database that breaks them.

use std::process::Stdio;

use postern_cluster::Cluster;

use crate::pair::server;

/// Dumps `app` and restores it into the new database `to`; what the restore complained of.
fn restore(cluster: &Cluster, to: &str) -> String {
    let dump = cluster.client("pg_dump").args(["--format=custom", "app"]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    cluster.create_database(to, false).unwrap();
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    std::fs::write(file.path(), &dump.stdout).unwrap();
    let mut restore = cluster.client("pg_restore");
    restore.args(["--dbname", to]).arg(file.path()).stdout(Stdio::null());
    let done = restore.output().unwrap();
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn a_dump_restores_and_what_the_rules_forbid_is_left_out_and_said() {
    let cluster = server();
    cluster
        .psql(
            "app",
            "create role owner nologin; create role author nologin; create schema app authorization owner; grant all on schema app to author;
             set role author;
             create function app.theirs() returns trigger language plpgsql as 'begin return new; end';
             create function app.definer() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return new; end';
             set role owner;
             create function app.own() returns trigger language plpgsql as 'begin return new; end';
             create table app.doc (id int primary key); grant trigger on app.doc to author;
             create table app.parts (id int) partition by list (id); create table app.part partition of app.parts for values in (1);
             create trigger own before insert on app.doc for each row execute function app.own();
             alter table app.doc enable always trigger own;
             create trigger own before insert on app.parts for each row execute function app.own();
             set role author; create trigger definer before insert on app.doc for each row execute function app.definer();
             reset role; create publication pub for table app.doc, app.parts;
             grant postern_monitor to author; select df.grant_usage('author', include_http => true)",
        )
        .unwrap();
    let count = "select (select count(*) from pg_trigger where not tgisinternal and tgname in ('own', 'definer', 'theirs')),
                        (select count(*) from pg_publication_rel)";
    assert_eq!(restore(&cluster, "whole"), "");
    assert_eq!(cluster.psql("whole", count).unwrap(), "4|2");
    assert_eq!(cluster.psql("whole", "select count(*) from postern.replication_findings").unwrap(), "0");

    // A superuser has had their way: everything is restored but that the table is published.
    cluster
        .psql(
            "app",
            "create trigger theirs before insert on app.doc for each row execute function app.theirs()",
        )
        .unwrap();
    let complaints = restore(&cluster, "broken");
    assert!(complaints.contains("table app.doc may not be published"), "{complaints}");
    assert_eq!(cluster.psql("broken", count).unwrap(), "5|1");
}
