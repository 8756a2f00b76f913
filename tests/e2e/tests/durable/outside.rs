//! Statements at top level: what refuses a transaction, and procedures that commit.

use std::process::Command;
use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

/// How the node that ran at top level was marked.
fn delivery(stage: &Stage, id: &str) -> String {
    stage.admin(&format!(
        "select string_agg(concat_ws(' ', n.status_details->>'delivery', n.status_details->>'begun'), ',')
         from df.nodes n where n.instance_id = '{id}' and n.status_details ? 'begun'"
    ))
}

#[test]
fn what_refuses_a_transaction_runs_at_top_level() {
    STAGE.run("alice", "create table app.tended(n int); insert into app.tended select generate_series(1, 100); delete from app.tended where n > 50");
    let id = STAGE.start_as_alice(
        "'vacuum (analyze) app.tended'
         ~> 'create index concurrently tended_n on app.tended(n)'
         ~> 'reindex index concurrently app.tended_n'
         ~> 'select relpages > 0 as seen, (select indisvalid from pg_index where indexrelid = ''app.tended_n''::regclass) as valid
               from pg_class where oid = ''app.tended''::regclass'",
    );
    // CREATE INDEX CONCURRENTLY waits for every statement that began before it: df.await_instance() would be one.
    STAGE.until("it ends", &format!("select df.status('{id}') in ('completed', 'failed')"), "t");
    assert_eq!(
        STAGE.end_of(&id),
        ("completed".into(), r#"{"rows": [{"seen": true, "valid": true}], "row_count": 1}"#.into())
    );
    assert_eq!(delivery(&STAGE, &id), "at-least-once 1,at-least-once 1,at-least-once 1");
    let drawn = STAGE.run("alice", &format!("select df.explain('{id}')"));
    assert_eq!(drawn.matches("(at least once)").count(), 3, "{drawn}");
}

#[test]
fn what_runs_in_a_transaction_is_exactly_once() {
    STAGE.run("alice", "create procedure app.quiet() language plpgsql as $$ begin insert into app.log(what) values ('quiet'); end $$");
    let id = STAGE.start_as_alice("'call app.quiet()' ~> 'do ''begin perform 1; end'''");
    assert_eq!(STAGE.end_of(&id).0, "completed");
    assert_eq!(delivery(&STAGE, &id), "");
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'quiet'"), "1");
}

#[test]
fn a_procedure_commits_as_whom_it_runs() {
    STAGE.admin(
        "create table app.parts(who name default current_user, tenant text default postern.fact('claims.tenant'), n int, xid xid8 default pg_current_xact_id());
         grant select, insert on app.parts to report;
         create procedure app.in_parts(inout last int) language plpgsql as $$
         begin
             for n in 1..3 loop
                 insert into app.parts(n) values (n);
                 if n = 2 then rollback; else commit; end if;
             end loop;
             last := 3;
         end $$",
    );
    STAGE.admin("alter role report set search_path = app, pg_catalog");
    let id = STAGE.admin(
        "begin; set local role report; select df.start('call in_parts(0)' |=> 'done' ~> 'select $done + 1 as next'); commit",
    );
    STAGE.until("it ends", &format!("select df.status('{id}') in ('completed', 'failed')"), "t");
    assert_eq!(
        STAGE.admin(&format!(
            "select status, coalesce(output, error->>'message') from postern.instance where id = '{id}'"
        )),
        r#"completed|{"rows":[{"next":4}],"row_count":1}"#
    );
    assert_eq!(
        STAGE.admin(
            "select string_agg(concat_ws(' ', who, n), ',' order by n), count(distinct xid) from app.parts"
        ),
        "report 1,report 3|2"
    );
    assert_eq!(delivery(&STAGE, &id), "at-least-once 1");
}

#[test]
fn facts_hold_after_a_commit_inside() {
    STAGE.admin(
        "create table app.seen(tenant text, n int);
         grant insert on app.seen to alice;
         create table app.rows_of(tenant text); insert into app.rows_of values ('acme'), ('other');
         alter table app.rows_of enable row level security;
         create policy tenant on app.rows_of using (tenant = (select postern.fact('claims.tenant')));
         grant select on app.rows_of to alice;
         create procedure app.look() language plpgsql as $$
         begin
             insert into app.seen select tenant, 1 from app.rows_of; commit;
             insert into app.seen select tenant, 2 from app.rows_of; rollback;
             insert into app.seen select tenant, 3 from app.rows_of; commit;
             insert into app.seen select tenant, 4 from app.rows_of;
         end $$;",
    );
    // What the gate would write: an instance that was started by someone entered with these facts.
    let id = STAGE.start_as_alice("df.wait_for_signal('go') ~> 'call app.look()'");
    STAGE.admin(&format!(
        "update postern.instance set facts = '{{\"claims\": {{\"tenant\": \"acme\"}}}}' where id = '{id}'"
    ));
    STAGE.run("alice", &format!("select df.signal('{id}', 'go')"));
    assert_eq!(STAGE.end_of(&id).0, "completed");
    assert_eq!(
        STAGE.admin("select string_agg(tenant || n, ',' order by n) from app.seen"),
        "acme1,acme3,acme4"
    );
}

#[test]
fn nobody_gets_out_of_a_role_after_a_commit() {
    STAGE.admin("create table app.escaped(way text, who name, session name)");
    STAGE.admin("grant insert on app.escaped to public");
    STAGE.run(
        "alice",
        "create procedure app.try(way text) language plpgsql as $$
         begin
             begin execute way; exception when others then null; end;
             insert into app.escaped values (way, current_user, session_user);
         end $$;
         create procedure app.escape(how text) language plpgsql as $$
         declare way text;
         begin
             if how = 'commit' then commit; else rollback; end if;
             foreach way in array array['set role postgres', 'reset role', 'set role none', 'set session authorization default',
                 'reset session authorization', 'select set_config(''role'', ''postgres'', false)',
                 'select set_config(''session_authorization'', ''postgres'', false)', 'set local role postgres', 'reset all',
                 'discard all', 'alter role alice superuser', 'set row_security = off']
             loop
                 call app.try(way);
                 if how = 'commit' then commit; end if;
             end loop;
             if how = 'commit' then rollback; end if;
             call app.try('select 1');
         end $$",
    );
    for how in ["commit", "rollback"] {
        assert_eq!(STAGE.outcome(&format!("'call app.escape(''{how}'')'")).0, "completed");
    }
    assert_eq!(
        STAGE.admin("select count(*) > 20, string_agg(distinct who::text, ',') from app.escaped"),
        "t|alice"
    );
    assert_eq!(STAGE.admin("select rolsuper from pg_roles where rolname = 'alice'"), "f");
    // Raised, not only without effect.
    STAGE.run(
        "alice",
        "create procedure app.plain() language plpgsql as $$ begin commit; set role postgres; end $$",
    );
    let failure = STAGE.failure("'call app.plain()'");
    assert!(failure.contains("role"), "{failure}");
}

#[test]
fn what_a_statement_leaves_in_its_session_is_gone_with_it() {
    STAGE.run(
        "alice",
        "create procedure app.litter() language plpgsql as $$
         begin
             commit;
             perform set_config('app.litter', 'left', false), pg_advisory_lock(4711);
             set work_mem = '123MB';
             commit;
         end $$",
    );
    assert_eq!(
        STAGE.result(
            "'call app.litter()' ~> 'select current_setting(''app.litter'', true) as litter, current_setting(''work_mem'') as mem,
               current_user::text as who, (select count(*) from pg_locks where locktype = ''advisory'' and objid = 4711) as locks'"
        ),
        r#"{"rows": [{"mem": "4MB", "who": "alice", "locks": 0, "litter": null}], "row_count": 1}"#
    );
    STAGE.until(
        "its process is gone",
        "select count(*) from pg_stat_activity where backend_type = 'postern statement' and query like '%litter%'",
        "0",
    );
}

#[test]
fn a_failure_at_top_level_is_the_step_s() {
    STAGE.run(
        "alice",
        "create procedure app.half() language plpgsql as $$
         begin insert into app.log(what) values ('half'); commit; raise exception 'no further' using errcode = 'PA001', hint = 'turn round'; end $$",
    );
    let id = STAGE.start_as_alice("df.catch('call app.half()', 'select 1') ~> 'call app.half()'");
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(
        (status.as_str(), text.as_str()),
        ("failed", "SQL execution failed: error returned from database: no further")
    );
    assert_eq!(STAGE.run("alice", "select count(*) from app.log where what = 'half'"), "2");
    assert_eq!(
        STAGE.run("alice", &format!("select distinct sqlstate, hint from df.history where instance_id = '{id}' and sqlstate is not null")),
        "PA001|turn round"
    );
    // Who may not, may not.
    let failure = STAGE.failure("'create database mine'");
    assert!(failure.contains("permission denied to create database"), "{failure}");
    let failure = STAGE.failure("'commit'");
    assert!(failure.contains("a step cannot begin or end a transaction"), "{failure}");
}

#[test]
fn a_statement_at_top_level_can_be_cancelled() {
    STAGE.run(
        "alice",
        "create procedure app.endless() language plpgsql as $$ begin loop commit; perform pg_sleep(0.01); end loop; end $$",
    );
    let running = "select count(*) from pg_stat_activity where backend_type = 'postern statement' and query like '%endless%'";
    let id = STAGE.start_as_alice("'call app.endless()'");
    STAGE.until("it runs", running, "1");
    assert_eq!(STAGE.run("alice", &format!("select df.status('{id}')")), "running");
    STAGE.run("alice", &format!("select df.cancel('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "cancelled");
    STAGE.until("it has stopped", running, "0");
    // A time-out, and the loser of a race.
    assert!(
        STAGE.failure("df.timeout('call app.endless()', '300 milliseconds')").contains("Timeout after 0.3s")
    );
    assert_eq!(STAGE.outcome("'call app.endless()' | df.sleep('300 milliseconds'::interval)").0, "completed");
    STAGE.until("they have stopped", running, "0");
    STAGE.until("nothing is left", "select count(*) from postern.strand where state = 'x'", "0");
}

/// A server whose commits reach the disk.
fn durable() -> Stage {
    Stage::with(Cluster::builder().setting("fsync", "on").setting("restart_after_crash", "on"))
}

const STATEMENT: &str = "select pid from pg_stat_activity where backend_type = 'postern statement'";

#[test]
fn a_statement_that_was_killed_is_begun_again_and_says_so() {
    let stage = durable();
    stage.run(
        "alice",
        "create table app.begun(at timestamptz default clock_timestamp());
         create procedure app.slow() language plpgsql as $$
         begin insert into app.begun default values; commit; perform pg_sleep(case when (select count(*) from app.begun) < 3 then 600 else 0 end); end $$",
    );
    let id = stage.start_as_alice("'call app.slow()' ~> 'select 1 as n'");
    let begun = |n: &str| stage.until("it was begun", "select count(*) from app.begun", n);
    begun("1");
    // The process alone: nothing else ends.
    stage.admin(&format!("select pg_terminate_backend(pid) from ({STATEMENT}) s"));
    begun("2");
    assert_eq!(
        stage.admin(&format!("select status_details->>'begun' from df.nodes where instance_id = '{id}' and node_type = 'SQL' and status = 'running'")),
        "2"
    );
    // In the middle, as an out-of-memory killer does it: the whole server comes down and up again.
    let pid = stage.admin(STATEMENT);
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    stage.until("it was begun a third time", "select count(*) from app.begun", "3");
    assert_eq!(stage.end_of(&id).0, "completed");
    assert_eq!(delivery(&stage, &id), "at-least-once 3");
    assert_eq!(
        stage.admin(&format!(
            "select count(*), max(sends) from postern.step where instance = '{id}' and node = 1"
        )),
        "1|3"
    );
}

#[test]
fn an_executor_that_ends_leaves_its_statement_alone() {
    let stage = durable();
    stage.run(
        "alice",
        "create table app.begun(at timestamptz default clock_timestamp());
         create table app.gate(open bool);
         create procedure app.wait() language plpgsql as $$
         begin insert into app.begun default values; commit;
         while not exists (select from app.gate) loop perform pg_sleep(0.01); commit; end loop; end $$",
    );
    let id = stage.start_as_alice("'call app.wait()'");
    stage.until("it was begun", "select count(*) from app.begun", "1");
    let executors = "select string_agg(pid::text, ',' order by pid) from pg_stat_activity where backend_type = 'postern executor'";
    let before = stage.admin(executors);
    stage.admin(
        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'postern executor'",
    );
    stage.until(
        "others are there",
        &format!("select ({executors}) is distinct from '{before}' and ({executors}) is not null"),
        "t",
    );
    stage.run("alice", "insert into app.gate values (true)");
    assert_eq!(stage.end_of(&id).0, "completed");
    assert_eq!(stage.admin("select count(*) from app.begun"), "1");
    assert_eq!(delivery(&stage, &id), "at-least-once 1");
    // And when the statement's process ends with nobody waiting for it, others take it up.
    stage.run("alice", "truncate app.gate, app.begun");
    let id = stage.start_as_alice("'call app.wait()'");
    stage.until("it was begun", "select count(*) from app.begun", "1");
    let before = stage.admin(executors);
    stage.admin(
        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'postern executor'",
    );
    stage.until(
        "others are there",
        &format!("select ({executors}) is distinct from '{before}' and ({executors}) is not null"),
        "t",
    );
    stage.admin(&format!("select pg_terminate_backend(pid) from ({STATEMENT}) s"));
    stage.until("it was begun again", "select count(*) from app.begun", "2");
    stage.run("alice", "insert into app.gate values (true)");
    assert_eq!(stage.end_of(&id).0, "completed");
    assert_eq!(delivery(&stage, &id), "at-least-once 2");
}
