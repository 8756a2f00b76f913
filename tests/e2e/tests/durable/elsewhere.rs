//! `df.start(…, database => …)`: steps in another database.

use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::with(Cluster::builder().setting("max_worker_processes", "32"));
    for sql in ["create database there", "create database bare", "create database closed"] {
        stage.admin(sql);
    }
    for database in ["there", "closed"] {
        stage.cluster.psql(database, "create extension postern").unwrap();
    }
    stage.admin("revoke connect on database closed from public");
    stage
        .cluster
        .psql(
            "there",
            "create table log (who name default current_user, what text); grant all on log to public",
        )
        .unwrap();
    stage
});

fn there(sql: &str) -> String {
    STAGE.cluster.psql("there", sql).unwrap().trim().to_owned()
}

/// Waits in the other database.
fn until(sql: &str, wanted: &str) {
    let mut last = String::new();
    for _ in 0..6_000 {
        last = there(sql);
        if last == wanted {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never happened; now: {last}");
}

fn refused(role: &str, sql: &str) -> String {
    STAGE.try_run(role, sql).unwrap_err()
}

#[test]
fn steps_run_there_once_as_who_started_them_with_the_variables_of_here() {
    let ids = STAGE.run(
        "alice",
        "begin; select df.setvar('word', 'from here') is null;
         select df.start('insert into log(what) values (''{word}'')'
                         ~> 'select current_database() as d, current_user as u', 'far', 'there'); rollback",
    );
    let id = ids.lines().map(str::trim).find(|line| line.len() == 8).unwrap();
    // It is at once, and survives the caller's rollback.
    until(&format!("select status from df.instances where id = '{id}'"), "completed");
    assert_eq!(
        there(&format!("select submitted_by, label, output from postern.instance where id = '{id}'")),
        r#"alice|far|{"rows":[{"d":"there","u":"alice"}],"row_count":1}"#
    );
    assert_eq!(there("select who, what from log where what = 'from here'"), "alice|from here");
    // Nothing of it is here; where it is was rolled back with the caller.
    assert_eq!(STAGE.admin(&format!("select count(*) from postern.instance where id = '{id}'")), "0");
    let error = refused("alice", &format!("select df.cancel('{id}')"));
    assert!(error.contains("in the database where it runs"), "{error}");
    let status =
        STAGE.cluster.psql_as("alice", "there", &format!("select df.await_instance('{id}')")).unwrap();
    assert_eq!(status.trim(), "completed");
}

#[test]
fn a_key_is_one_in_the_database_where_it_runs() {
    let start =
        "select df.start('insert into log(what) values (''keyed'')', database => 'there', key => 'k')";
    let (first, second) = (STAGE.run("bob", start), STAGE.run("bob", start));
    assert_eq!(first, second);
    until(&format!("select status from df.instances where id = '{first}'"), "completed");
    assert_eq!(there("select count(*) from log where what = 'keyed'"), "1");
}

#[test]
fn where_nothing_can_run_is_said() {
    for (database, words) in [
        ("nowhere", "database \"nowhere\" does not exist"),
        ("template0", "database \"template0\" takes no durable functions"),
        ("template1", "database \"template1\" takes no durable functions"),
        ("bare", "the extension is not in database \"bare\""),
        ("closed", "role \"alice\" may not connect to the database"),
    ] {
        let error = refused("alice", &format!("select df.start('select 1', database => '{database}')"));
        assert!(error.contains(words), "{database}: {error}");
    }
    let error = refused("alice", "begin read only; select df.start('select 1', database => 'there')");
    assert!(error.contains("read-only"), "{error}");
    let failure = STAGE.failure("'select df.start(''select 1'', database => ''there'')'");
    assert!(failure.contains("in another database cannot be called inside a workflow"), "{failure}");
}

#[test]
fn who_may_use_durable_functions_here_may_not_therefore_there() {
    STAGE.admin(
        "create role only_here login; set postern.direct_grants = off; grant usage on schema df to only_here",
    );
    STAGE.cluster.set_password("only_here").unwrap();
    assert_eq!(STAGE.run("only_here", "select length(df.start('select 1'))"), "8");
    let error = refused("only_here", "select df.start('select 1', database => 'there')");
    assert!(error.contains("may not use durable functions in database \"there\""), "{error}");
    assert_eq!(there("select count(*) from postern.instance where submitted_by = 'only_here'::regrole"), "0");
}

#[test]
fn connect_is_asked_again_when_a_step_runs() {
    STAGE.admin("create role visitor login; grant postern_application to visitor; create database lodge");
    STAGE.cluster.set_password("visitor").unwrap();
    STAGE
        .cluster
        .psql("lodge", "create extension postern; create table mark(n int); grant all on mark to public")
        .unwrap();
    let id = STAGE.run(
        "visitor",
        "select df.start(df.wait_for_signal('go') ~> 'insert into mark values (1)', database => 'lodge')",
    );
    STAGE.admin("revoke connect on database lodge from public");
    STAGE.cluster.psql("lodge", &format!("select df.signal('{id}', 'go')")).unwrap();
    let ask = format!("select status || ' ' || (error->>'message') from postern.instance where id = '{id}'");
    for _ in 0..6_000 {
        let text = STAGE.cluster.psql("lodge", &ask).unwrap();
        if text.trim() == "failed role \"visitor\" may not connect to the database" {
            assert_eq!(STAGE.cluster.psql("lodge", "select count(*) from mark").unwrap().trim(), "0");
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it did not fail: {}", STAGE.cluster.psql("lodge", &ask).unwrap());
}

#[test]
fn whom_the_gate_may_enter_here_it_may_not_therefore_reach_there() {
    STAGE.admin(
        "create role guest nologin; grant postern_application to guest; select postern.admit('guest');
         create function public.go() returns text language plpgsql as
             $$ begin return df.start('select postern.fact(''claims.sub'') as s, current_user as u', database => 'there'); end $$",
    );
    let go = "set session authorization postern_gate;
              select postern.enter('guest', '{\"claims\": {\"sub\": \"g\"}}') is null, public.go()";
    let error = STAGE.cluster.psql("postgres", go).unwrap_err().to_string();
    assert!(error.contains("guest") && error.contains("on new transaction failed"), "{error}");
    assert_eq!(there("select count(*) from postern.instance where submitted_by = 'guest'::regrole"), "0");
    there("select postern.admit('guest')");
    let answer = STAGE.cluster.psql("postgres", go).unwrap();
    let id = answer.trim().rsplit('|').next().unwrap().to_owned();
    until(&format!("select status from df.instances where id = '{id}'"), "completed");
    assert_eq!(
        there(&format!("select output from postern.instance where id = '{id}'")),
        r#"{"rows":[{"s":"g","u":"guest"}],"row_count":1}"#
    );
}

#[test]
fn who_started_it_asks_signals_waits_and_cancels_from_here() {
    let id = STAGE.run(
        "alice",
        "select df.start(df.wait_for_signal('go') |=> 'g' ~> 'select $g::jsonb->>''data'' as d, repeat(''é'', 30000) as long', database => 'there')",
    );
    until(&format!("select status from df.instances where id = '{id}'"), "running");
    assert_eq!(
        STAGE.run("alice", &format!("select df.status('{id}'), df.result('{id}') is null")),
        "running|t"
    );
    // In one transaction: it is there at once. Whoever waits is woken, also in a read-only transaction.
    let waiting = std::thread::spawn({
        let id = id.clone();
        move || STAGE.run("alice", &format!("begin read only; select df.await_instance('{id}', 60)"))
    });
    let answer = STAGE.run(
        "alice",
        &format!(
            "begin; select df.signal('{id}', 'go', 'now'); select df.await_instance('{id}', 60); rollback"
        ),
    );
    assert_eq!(answer.lines().filter(|line| *line == "OK" || *line == "completed").count(), 2, "{answer}");
    assert!(waiting.join().unwrap().contains("completed"));
    // A result that is longer than the first letter.
    assert_eq!(
        STAGE.run(
            "alice",
            &format!(
                "select r->'rows'->0->>'d', length(r->'rows'->0->>'long') from (select df.result('{id}')::jsonb as r) x"
            )
        ),
        "now|30000"
    );
    // What has ended stays as it is.
    assert_eq!(
        STAGE.run("alice", &format!("select df.cancel('{id}') is null, df.status('{id}')")),
        "f|completed"
    );

    let id = STAGE.run("alice", "select df.start('select pg_sleep(600)', database => 'there')");
    until(&format!("select status from df.instances where id = '{id}'"), "running");
    assert_eq!(
        STAGE.run("alice", &format!("select df.cancel('{id}', 'enough')")),
        format!("Instance {id} cancelled: enough")
    );
    assert_eq!(STAGE.run("alice", &format!("select df.await_instance('{id}', 60)")), "cancelled");
    assert_eq!(
        there(&format!("select error->>'message' from df.instances where id = '{id}'")),
        "canceled: enough"
    );
}

#[test]
fn what_is_done_in_its_own_database_only_says_which_that_is() {
    let id = STAGE.run("alice", "select df.start(df.wait_for_signal('never'), database => 'there')");
    for function in ["pause", "resume", "rerun"] {
        let error = refused("alice", &format!("select df.{function}('{id}')"));
        assert!(
            error.contains("It is in database \"there\".") && error.contains("Connect to that"),
            "{error}"
        );
    }
    let error = refused("alice", &format!("select df.await_instance('{id}', 1)"));
    assert!(error.contains("Timeout after 1s") && error.contains("status: running"), "{error}");
    // A step's attempt may be made again; looking harms nothing.
    let failure = STAGE.failure(&format!("'select df.signal(''{id}'', ''never'')'"));
    assert!(
        failure.contains("df.signal() in another database cannot be called inside a workflow"),
        "{failure}"
    );
    assert!(STAGE.result(&format!("'select df.status(''{id}'') as s'")).contains("running"));
    STAGE.run("alice", &format!("select df.cancel('{id}')"));
}

#[test]
fn nobody_else_reaches_it_from_here() {
    let id = STAGE.run("alice", "select df.start(df.wait_for_signal('never'), database => 'there')");
    assert_eq!(
        STAGE.run(
            "bob",
            &format!(
                "select df.status('{id}') is null, df.result('{id}') is null, count(*) from postern.elsewhere where id = '{id}'"
            )
        ),
        "t|t|0"
    );
    for call in ["signal('%', 'never')", "cancel('%')", "pause('%')"] {
        let error = refused("bob", &format!("select df.{}", call.replace('%', &id)));
        assert!(error.contains("not found or access denied") && !error.contains("there\""), "{error}");
    }
    let error = refused("bob", &format!("select df.await_instance('{id}')"));
    assert!(error.contains("Instance not found"), "{error}");
    // A number that is somebody else's there by now: what is noted here does not decide.
    STAGE.admin(&format!(
        "insert into postern.elsewhere select '{id}', 'bob', database, created_at from postern.elsewhere where id = '{id}'"
    ));
    assert_eq!(
        STAGE.run("bob", &format!("select df.status('{id}') is null, df.result('{id}') is null")),
        "t|t"
    );
    let error = refused("bob", &format!("select df.cancel('{id}')"));
    assert!(error.contains("not found or access denied"), "{error}");
    assert_eq!(there(&format!("select status from postern.instance where id = '{id}'")), "running");
    // Nor does its owner, without the rights.
    STAGE.admin("create database other; grant connect on database other to public");
    STAGE.cluster.psql("other", "create extension postern").unwrap();
    let far = STAGE.run("alice", "select df.start('select 1', database => 'other')");
    assert_eq!(STAGE.run("alice", &format!("select df.await_instance('{far}', 60)")), "completed");
    STAGE.admin("revoke connect on database other from public");
    let error = refused("alice", &format!("select df.result('{far}')"));
    assert!(error.contains("may not connect"), "{error}");
    STAGE.admin("drop database other");
    assert_eq!(STAGE.run("alice", &format!("select df.status('{far}') is null")), "t");
    let error = refused("alice", &format!("select df.cancel('{far}')"));
    assert!(error.contains("not found or access denied"), "{error}");
}
