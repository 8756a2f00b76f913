//! Copies of a database: what runs in one does not run in the other by itself.

use std::io::Write;
use std::process::Stdio;

use postern_cluster::Cluster;

use crate::stage::Stage;

/// A dump of the database of a server, with these options.
fn dump(from: &Stage, options: &[&str]) -> Vec<u8> {
    let dump = from.cluster.client("pg_dump").args(options).arg("postgres").output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

/// Dumps the database of one server and restores it into a new one of another, statement by statement, while executors are there.
fn copy(from: &Stage, to: &Stage, database: &str) {
    restore(to, database, &dump(from, &[]));
}

fn restore(to: &Stage, database: &str, dump: &[u8]) {
    to.cluster.create_database(database, false).unwrap();
    let mut restore = to
        .cluster
        .client("psql")
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    restore.stdin.take().unwrap().write_all(dump).unwrap();
    let done = restore.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn ask(stage: &Stage, database: &str, sql: &str) -> String {
    stage.cluster.psql(database, sql).unwrap().trim().to_owned()
}

fn until(stage: &Stage, database: &str, sql: &str, wanted: &str) {
    let mut last = String::new();
    for _ in 0..3_000 {
        // What it asks for may not be there yet.
        last = stage.cluster.psql(database, sql).unwrap_or_else(|error| error.to_string());
        if last.trim() == wanted {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never happened: {sql}: {last}");
}

#[test]
fn a_restored_copy_waits_for_a_word_and_goes_on_where_it_was() {
    let source = Stage::start();
    source.admin("create role gone; grant postern_application to gone; set role gone; select df.start(df.wait_for_signal('go'), 'orphan')");
    let id = source.start_as_alice(
        "'insert into app.log(what) values (''before'') returning 7 as n' |=> 'x' ~> df.wait_for_signal('go')
         ~> 'insert into app.log(what) select ''after '' || $x.n'",
    );
    source.run(
        "alice",
        "select df.start(df.sleep(600) ~> 'insert into app.log(what) values (''slept'')', 'sleeper');
         select df.schedule('each second', '* * * * * *', 'insert into app.log(what) values (''tick'')');
         select df.pause_schedule('each second'); select df.schedule('yearly', '@yearly', 'select 1')",
    );
    source.until("it waits", &format!("select state from postern.strand where instance = '{id}'"), "w");
    source.admin("drop owned by gone; drop role gone");

    let target = Stage::start();
    copy(&source, &target, "copy");
    // Its time is up in the copy too, where it is not done; and that of the schedule, which the original would do.
    let up = "update postern.strand s set due = now() from postern.instance i where i.id = s.instance and i.label = 'sleeper'";
    ask(&target, "copy", up);
    ask(
        &target,
        "copy",
        "update postern.schedule set next_at = now() - interval '1 second' where name = 'yearly'",
    );
    ask(&target, "copy", "set role alice; select df.schedule('a change', '@yearly', 'select 1')");
    until(&target, "copy", "select status, away from df.instances where label = 'sleeper'", "paused|t");
    until(
        &target,
        "copy",
        "select status, away, started from df.schedules where name = 'yearly'",
        "paused|t|0",
    );
    ask(&target, "copy", &format!("set role alice; select df.signal('{id}', 'go')"));
    until(&target, "copy", &format!("select status, away from df.instances where id = '{id}'"), "paused|t");
    assert_eq!(ask(&target, "copy", "select string_agg(what, ',') from app.log"), "before");
    // New work of the copy is its own.
    let new =
        ask(&target, "copy", "set role alice; select df.start('insert into app.log(what) values (''new'')')");
    until(&target, "copy", &format!("select status from df.instances where id = '{new}'"), "completed");

    // The original goes on, as if nothing had happened.
    source.admin(up);
    source.run("alice", &format!("select df.signal('{id}', 'go')"));
    assert_eq!(source.end_of(&id).0, "completed");
    source.until(
        "all of it",
        "select string_agg(what, ',' order by what) from app.log",
        "after 7,before,slept",
    );

    // One by its role, the rest by the administrator; what was paused in the original stays so, and nobody's stays nobody's.
    ask(&target, "copy", &format!("set role alice; select df.resume('{id}')"));
    until(&target, "copy", &format!("select status from df.instances where id = '{id}'"), "completed");
    assert_eq!(ask(&target, "copy", "select count(*) from app.log where what = 'after 7'"), "1");
    assert_eq!(
        ask(&target, "copy", "grant postern_admin to bob; set role bob; select postern.adopt_durable()"),
        "3"
    );
    until(
        &target,
        "copy",
        "select string_agg(what, ',' order by what) from app.log",
        "after 7,before,new,slept",
    );
    assert_eq!(
        ask(&target, "copy", "select name, status from df.schedules where name <> 'a change' order by name"),
        "each second|paused\nyearly|active"
    );
    assert_eq!(
        ask(
            &target,
            "copy",
            "select starts_with(home, postern.durable_here()) from postern.instance where label = 'orphan'"
        ),
        "f"
    );
}

#[test]
fn a_number_that_is_another_role_s_in_the_copy_gives_it_nothing() {
    let source = Stage::start();
    source.admin("create role gone; grant postern_application to gone; set role gone;
                  select df.start(df.wait_for_signal('go') ~> 'select current_user', 'orphan'), df.schedule('orphan', '@yearly', 'select 1')");
    let number = source.admin("select 'gone'::regrole::oid");
    source.admin("drop owned by gone; drop role gone");
    let target = Stage::start();
    // As it happens when numbers are given out in another order.
    copy(&source, &target, "copy");
    ask(
        &target,
        "copy",
        &format!(
        "update postern.instance set submitted_by = 'bob'::regrole where submitted_by = {number}::regrole;
         update postern.strand set owner = 'bob'::regrole where owner = {number}::regrole;
         update postern.schedule set owner = 'bob'::regrole where owner = {number}::regrole"
    ),
    );
    let id = ask(&target, "copy", "select id from postern.instance where label = 'orphan'");
    for call in [format!("df.resume('{id}')"), "df.resume_schedule('orphan')".to_owned()] {
        let error =
            target.cluster.psql("copy", &format!("set role bob; select {call}")).unwrap_err().to_string();
        assert!(error.contains("another role's"), "{error}");
    }
    assert_eq!(ask(&target, "copy", "select postern.adopt_durable()"), "0");
    ask(&target, "copy", &format!("set role bob; select df.signal('{id}', 'go')"));
    until(&target, "copy", &format!("select status from df.instances where id = '{id}'"), "paused");
}

#[test]
fn a_database_made_from_a_template_is_a_copy_and_a_standby_is_none() {
    let stage = Stage::with(Cluster::builder().setting("max_wal_senders", "5"));
    let id = stage.start_as_alice("df.wait_for_signal('go') ~> 'select 1'");
    stage.until("it waits", &format!("select state from postern.strand where instance = '{id}'"), "w");
    let standby = stage.cluster.standby().unwrap();
    standby.catch_up_with(&stage.cluster).unwrap();
    stage.cluster.psql("template1", "create database copied template postgres").unwrap();
    ask(&stage, "copied", &format!("set role alice; select df.signal('{id}', 'go')"));
    until(&stage, "copied", &format!("select status, away from df.instances where id = '{id}'"), "paused|t");
    // Promoted, it is the same place.
    stage.cluster.stop(postern_cluster::Mode::Immediate).unwrap();
    standby.psql("postgres", "select pg_promote()").unwrap();
    standby
        .psql(
            "postgres",
            &format!("set role alice; select df.signal('{id}', 'go'); select df.await_instance('{id}', 60)"),
        )
        .unwrap();
    assert_eq!(
        standby
            .psql("postgres", &format!("select status, away from df.instances where id = '{id}'"))
            .unwrap()
            .trim(),
        "completed|f"
    );
}

/// Work of every kind that is under way: what it has done so far is in `app.log`.
const UNDER_WAY: &str =
    "select df.start('insert into app.log(what) values (''begun'') returning 7 as n' |=> 'x' ~> df.wait_for_signal('go') |=> 's'
                     ~> 'insert into app.log(what) select ''signalled '' || $x.n || ($s::jsonb->>''data'')', 'signalled');
     select df.start(df.sleep(600) ~> 'insert into app.log(what) values (''slept'')', 'sleeper');
     select df.start(df.map('select g from generate_series(1, 3) g', df.sleep(600) ~> 'insert into app.log(what) values (''mapped '' || $item.g)'), 'mapped');
     select df.start(df.call(df.sleep(600) ~> 'insert into app.log(what) values (''called'') returning what') |=> 'c'
                     ~> 'insert into app.log(what) values (''after '' || $c.what)', 'caller');
     select df.start('call app.slow()' ~> 'insert into app.log(what) values (''after top level'')', 'top level');
     select df.start(df.wait_for_signal('never'), 'paused before');
     select df.schedule('yearly', '@yearly', 'insert into app.log(what) values (''tick'')')";

/// What all of it has done at its end.
const DONE: &str =
    "after called,after top level,begun,called,mapped 1,mapped 2,mapped 3,signalled 7now,slept,tick";

/// A server on which that runs, to be dumped; its procedure is at its sleep, after a commit.
fn under_way() -> Stage {
    let source = Stage::start();
    source.admin(
        "create table app.gate(open bool); grant select on app.gate to alice;
         create procedure app.slow() language plpgsql as $$
         begin
             commit;
             while not exists (select from app.gate) loop perform pg_sleep(0.05); commit; end loop;
         end $$",
    );
    source.run("alice", UNDER_WAY);
    let waiting = "select count(*) from postern.strand s join postern.instance i on i.id = s.instance
                    where i.label = 'signalled' and s.state = 'w' or i.label = 'top level' and s.state = 'x' or i.label in ('sleeper', 'mapped') and s.state = 'w'";
    source.until("all are under way", waiting, "6");
    source.run("alice", "select df.pause((select id from df.instances where label = 'paused before'))");
    source.until("one is paused", "select count(*) from df.instances where status = 'paused'", "1");
    source
}

/// The time of everything that sleeps is up.
fn time_is_up(copy: &Stage, database: &str) {
    let up = "update postern.strand set due = now() where state = 'w' and due < 'infinity'; select postern.durable_wake()";
    ask(copy, database, up);
}

/// In a copy that goes on by itself, what is under way comes to its end.
fn goes_on(copy: &Stage, database: &str) {
    ask(copy, database, "insert into app.gate values (true)");
    ask(
        copy,
        database,
        "set role alice; select df.signal(id, 'go', 'now') from df.instances where label = 'signalled'",
    );
    until(
        copy,
        database,
        "select string_agg(label, ',' order by label) from df.instances where ended_at is null",
        "paused before",
    );
    assert_eq!(
        ask(
            copy,
            database,
            "select string_agg(distinct status, ',') from df.instances where ended_at is not null"
        ),
        "completed"
    );
    assert_eq!(
        ask(copy, database, "select status, away from df.instances where label = 'paused before'"),
        "paused|f"
    );
    assert_eq!(
        ask(copy, database, "select status, away from df.schedules where name = 'yearly'"),
        "active|f"
    );
    ask(copy, database, "update postern.schedule set next_at = now(); select postern.durable_changed()");
    until(copy, database, "select string_agg(what, ',' order by what) from app.log", DONE);
}

#[test]
fn a_restored_copy_goes_on_by_itself_where_that_is_wanted() {
    let source = under_way();
    let target = Stage::with(Cluster::builder().setting("postern.adopt_copies", "on"));
    // All of them before anything more has happened.
    let dumps = [dump(&source, &[]), dump(&source, &["--rows-per-insert=2"])];
    for (database, dump) in ["copied", "inserted"].into_iter().zip(&dumps) {
        restore(&target, database, dump);
        time_is_up(&target, database);
        goes_on(&target, database);
    }
    // Made there, by an administrator who asks for it.
    let other = Stage::start();
    restore(&other, "asked", &dumps[0]);
    time_is_up(&other, "asked");
    until(&other, "asked", "select status from df.instances where label = 'sleeper'", "paused");
    ask(&other, "asked", "select postern.adopt_durable()");
    goes_on(&other, "asked");
}

/// Runs `pg_restore` of a dump in a folder; gives what it says.
fn pg_restore(to: &Stage, database: &str, folder: &std::path::Path, options: &[&str]) -> (bool, String) {
    let restore =
        to.cluster.client("pg_restore").args(options).args(["-d", database]).arg(folder).output().unwrap();
    (restore.status.success(), String::from_utf8_lossy(&restore.stderr).into_owned())
}

#[test]
fn a_copy_that_pg_restore_makes_goes_on_however_it_is_made() {
    let source = under_way();
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("dump");
    dump(&source, &["-Fd", "-j2", "-f", folder.to_str().unwrap()]);
    let target = Stage::with(Cluster::builder().setting("postern.adopt_copies", "on"));
    let own = "set role alice; select df.start(df.sleep(600), 'of the target')";
    // By several jobs; over a database that has the extension, and functions of its own; over one that has all of it.
    target.cluster.create_database("several", false).unwrap();
    assert_eq!(pg_restore(&target, "several", &folder, &["-j4", "--exit-on-error"]), (true, String::new()));
    target.cluster.create_database("replaced", true).unwrap();
    ask(&target, "replaced", own);
    let clean = ["--clean", "--if-exists", "-1"];
    assert_eq!(pg_restore(&target, "replaced", &folder, &clean), (true, String::new()));
    assert_eq!(pg_restore(&target, "replaced", &folder, &clean), (true, String::new()));
    // Without --clean it stays, and only the schema is complained of.
    target.cluster.create_database("added", true).unwrap();
    let (done, said) = pg_restore(&target, "added", &folder, &[]);
    assert!(
        !done
            && said.contains("schema \"postern\" already exists")
            && said.contains("errors ignored on restore: 1"),
        "{said}"
    );
    ask(&target, "added", own);
    for database in ["several", "replaced", "added"] {
        if database == "added" {
            ask(
                &target,
                database,
                "set role alice; select df.cancel(id) from df.instances where label = 'of the target'",
            );
            until(
                &target,
                database,
                "select ended_at is not null from df.instances where label = 'of the target'",
                "t",
            );
            ask(&target, database, "delete from postern.instance where label = 'of the target'");
        }
        time_is_up(&target, database);
        goes_on(&target, database);
    }
}

#[test]
fn nothing_of_a_copy_runs_before_it_is_whole() {
    let source = Stage::start();
    source.run(
        "alice",
        "select df.start(df.sleep(600) ~> 'insert into app.log(what) values (''slept'') returning (select count(*) from app.late) as n', 'sleeper')",
    );
    source.admin("create table app.late(n int); insert into app.late select generate_series(1, 5); grant select on app.late to alice");
    let text = String::from_utf8(dump(&source, &[])).unwrap();
    // What comes after the rows of the functions: more rows, indexes, rights.
    let at = text.find("COPY postern.strand").unwrap();
    let at = at + text[at..].find("\n\\.\n").unwrap() + 4;
    let target = Stage::with(Cluster::builder().setting("postern.adopt_copies", "on"));
    target.cluster.create_database("copied", false).unwrap();
    // Somebody who only says so does not restore, and holds nothing up.
    let mut pretender = target
        .cluster
        .client("psql")
        .args(["-XqAtw", "-U", "alice", "-d", "copied"])
        .env("PGAPPNAME", "pg_restore")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(
        &target,
        "copied",
        "select usename from pg_stat_activity where application_name = 'pg_restore'",
        "alice",
    );
    let mut restore = target
        .cluster
        .client("psql")
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "copied"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut script = restore.stdin.take().unwrap();
    script.write_all(&text.as_bytes()[..at]).unwrap();
    // It is due, and paused; and stays so, also for an executor that is started now.
    until(&target, "copied", "select count(*) from postern.strand", "1");
    ask(&target, "copied", "update postern.strand set due = now(); select postern.durable_wake()");
    until(&target, "copied", "select status, away from df.instances where label = 'sleeper'", "paused|t");
    target.admin("select pg_terminate_backend(pid) from df.executors where database = 'copied'");
    until(&target, "copied", "select count(*) > 0 from df.executors where database = 'copied'", "t");
    let another = ask(&target, "copied", "set role alice; select df.start('select 1', 'another')");
    ask(&target, "copied", &format!("select df.await_instance('{another}')"));
    assert_eq!(ask(&target, "copied", "select status from df.instances where label = 'sleeper'"), "paused");
    script.write_all(&text.as_bytes()[at..]).unwrap();
    drop(script);
    assert!(restore.wait().unwrap().success());
    until(&target, "copied", "select status from df.instances where label = 'sleeper'", "completed");
    assert_eq!(
        ask(
            &target,
            "copied",
            "set role alice; select df.result(id) from df.instances where label = 'sleeper'"
        ),
        "{\"rows\": [{\"n\": 5}], \"row_count\": 1}"
    );
    drop(pretender.stdin.take());
    assert!(pretender.wait().unwrap().success());
}
