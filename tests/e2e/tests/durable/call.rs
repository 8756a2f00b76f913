//! `df.call()`: functions that functions call.

use std::sync::LazyLock;

use postern_cluster::{Cluster, Mode};

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

/// The instances that one has called.
fn called(id: &str) -> String {
    STAGE.run("alice", &format!("select string_agg(concat_ws(' ', label, status), ',' order by created_at) from df.instances where parent = '{id}'"))
}

#[test]
fn a_called_function_is_an_instance_of_its_own_and_its_result_is_the_step_s() {
    let id = STAGE.start_as_alice(
        "'select 5 as n, ''x'' as t, date ''2024-02-29'' as d' |=> 'given'
         ~> (df.call('select $given + 1 as n, $given.d + 1 as d, ''{sys_instance_id}'' as me' |=> 'inner' ~> 'select $inner as n, $inner.d as d, ''{sys_instance_id}'' as me', 'child') |=> 'back')
         ~> 'select $back + 1 as n, $back.d + 1 as d, $back.me = ''{sys_instance_id}'' as same'",
    );
    assert_eq!(
        STAGE.end_of(&id),
        (
            "completed".into(),
            r#"{"rows": [{"d": "2024-03-02", "n": 7, "same": false}], "row_count": 1}"#.into()
        )
    );
    assert_eq!(called(&id), "child completed");
    // What it was given is not what it did.
    assert_eq!(
        STAGE.run("alice", &format!("select count(*) from df.history h join df.instances i on i.id = h.instance_id where i.parent = '{id}' and h.strand >= 0")),
        "2"
    );
    let left = "select count(*) from postern.message m join postern.instance i on i.id = m.instance where '{id}' in (i.id, i.parent)";
    assert_eq!(STAGE.admin(&left.replace("{id}", &id)), "0");
}

#[test]
fn rows_that_are_given_keep_their_columns() {
    assert_eq!(
        STAGE.result(
            "'select 1 as id where false' |=> 'none' ~> df.call('select count(id) as n from $none.*')"
        ),
        r#"{"rows": [{"n": 0}], "row_count": 1}"#
    );
    assert_eq!(
        STAGE.result(
            "df.call('select 1 as id where false') |=> 'none' ~> 'select count(id) as n from $none.*'"
        ),
        r#"{"rows": [{"n": 0}], "row_count": 1}"#
    );
    assert_eq!(
        STAGE.result("'select 1' |=> 'some' ~> df.call(df.if_rows('some', 'select ''yes'' as a', 'select ''no'' as a'))"),
        r#"{"rows": [{"a": "yes"}], "row_count": 1}"#
    );
}

#[test]
fn a_failure_passes_and_can_be_caught() {
    let id = STAGE.start_as_alice("df.call('select 1/0', 'bad') ~> 'select 2'");
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(
        (status.as_str(), text.as_str()),
        ("failed", "SQL execution failed: error returned from database: division by zero")
    );
    assert_eq!(called(&id), "bad failed");
    assert_eq!(
        STAGE.result("df.catch(df.call('select 1/0'), 'select $error.sqlstate as state')"),
        r#"{"rows": [{"state": "22012"}], "row_count": 1}"#
    );
    // Tried again it is called again.
    let id = STAGE.start_as_alice("df.retry(df.call('select 1/0', 'again'), 3, '1 millisecond')");
    assert_eq!(STAGE.end_of(&id).0, "failed");
    assert_eq!(called(&id), "again failed,again failed,again failed");
    // A break does not leave its instance.
    assert!(STAGE.failure("df.loop(df.call(df.break('out')))").contains("outside of a loop"));
}

#[test]
fn a_cancel_passes_down_and_up() {
    let wait = "df.call(df.call(df.wait_for_signal('never'), 'inner'), 'outer')";
    let waits = |label: &str, owner: &str| {
        format!(
            "select count(*) from postern.instance i join postern.strand s on s.instance = i.id
             where i.label = '{label}' and s.state = 'w' and s.signal = 'never' and i.submitted_by = '{owner}'::regrole"
        )
    };
    let id = STAGE.start_as_alice(wait);
    STAGE.until("the innermost waits", &waits("inner", "alice"), "1");
    STAGE.run("alice", &format!("select df.cancel('{id}')"));
    assert_eq!(STAGE.end_of(&id).0, "cancelled");
    STAGE.until(
        "all are cancelled",
        "select count(*) from postern.instance where label in ('inner', 'outer') and status = 'cancelled'",
        "2",
    );
    // Up: the caller sees a failure of its step.
    let id = STAGE.start_as_alice(wait);
    STAGE.until("the innermost waits", &waits("inner", "alice"), "1");
    let inner = STAGE
        .admin("select id from postern.instance where label = 'inner' and status in ('pending', 'running')");
    STAGE.run("alice", &format!("select df.cancel('{inner}', 'enough')"));
    let (status, text) = STAGE.end_of(&id);
    assert_eq!((status.as_str(), text.as_str()), ("failed", "canceled: enough"));
    // Aside: the loser of a race, and what takes too long.
    assert_eq!(STAGE.outcome(&format!("({wait}) | df.sleep('200 milliseconds'::interval)")).0, "completed");
    assert!(STAGE.failure(&format!("df.timeout({wait}, '200 milliseconds')")).contains("Timeout after 0.2s"));
    STAGE.until("none is left", "select count(*) from postern.instance where label in ('inner', 'outer') and status in ('pending', 'running')", "0");
    // Nobody else reaches it.
    let error = STAGE.try_run("bob", &format!("select df.cancel('{inner}')")).unwrap_err();
    assert!(error.contains("Instance not found or access denied"), "{error}");
}

#[test]
fn a_called_function_runs_as_who_started_its_caller() {
    STAGE.admin(
        "create table app.mine(tenant text); insert into app.mine values ('acme'), ('other');
         alter table app.mine enable row level security;
         create policy tenant on app.mine using (tenant = (select postern.fact('claims.tenant')));
         grant select on app.mine to report",
    );
    let id = STAGE.admin(
        "begin; set local role report; select df.start(df.wait_for_signal('go') ~> df.call('select current_user as u, tenant from app.mine', 'inner')); commit",
    );
    STAGE.admin(&format!(
        "update postern.instance set facts = '{{\"claims\": {{\"tenant\": \"acme\"}}}}' where id = '{id}'"
    ));
    STAGE.admin(&format!("set role report; select df.signal('{id}', 'go')"));
    STAGE.until(
        "it ends",
        &format!("select concat_ws(' ', status, output) from postern.instance where id = '{id}'"),
        r#"completed {"rows":[{"u":"report","tenant":"acme"}],"row_count":1}"#,
    );
}

#[test]
fn many_are_called_at_once() {
    let id = STAGE.start_as_alice(
        "df.map('select n from generate_series(1, 40) n', df.call('select $item.n * 2 as n', 'each'), 10)",
    );
    assert_eq!(STAGE.end_of(&id).0, "completed");
    assert_eq!(
        STAGE.run(
            "alice",
            &format!(
                "select sum((e->'rows'->0->>'n')::int) from jsonb_array_elements(df.result('{id}')::jsonb) e"
            )
        ),
        (1..=40).map(|n| n * 2).sum::<i32>().to_string()
    );
    assert_eq!(STAGE.run("alice", &format!("select count(*), count(distinct id) from df.instances where parent = '{id}' and status = 'completed'")), "40|40");
}

#[test]
fn called_functions_survive_and_run_once() {
    let stage = Stage::with(Cluster::builder().setting("fsync", "on").setting("restart_after_crash", "on"));
    stage.run("alice", "create table app.effects(who text, step int)");
    let count = 10;
    stage.run(
        "alice",
        &format!(
            "select count(df.start(
                 'insert into app.effects values (''{{sys_instance_id}}'', 1)'
                 ~> df.call('insert into app.effects values (''{{sys_instance_id}}'', 2)' ~> df.sleep('20 milliseconds'::interval) ~> 'insert into app.effects values (''{{sys_instance_id}}'', 3)')
                 ~> 'insert into app.effects values (''{{sys_instance_id}}'', 4)', 'caller')) from generate_series(1, {count})"
        ),
    );
    for round in 1..=3 {
        let more = count * 4 * round / 4;
        stage.until("more has happened", &format!("select count(*) >= {more} from app.effects"), "t");
        stage.cluster.stop(Mode::Immediate).unwrap();
        stage.cluster.start_again().unwrap();
    }
    stage.until(
        "all complete",
        "select count(*) from postern.instance where label = 'caller' and status = 'completed'",
        &count.to_string(),
    );
    assert_eq!(
        stage.admin("select count(*), count(distinct (who, step)) from app.effects"),
        format!("{}|{}", count * 4, count * 4)
    );
    assert_eq!(
        stage.admin("select (select count(*) from postern.strand) + (select count(*) from postern.message)"),
        "0"
    );
}

#[test]
fn a_called_loop_has_what_it_was_given_in_each_iteration() {
    STAGE.admin("create sequence app.rounds; grant usage on app.rounds to alice");
    // What it binds itself does not outlast an iteration.
    let function = "'select 5 as v' |=> 'x' ~> df.call(df.loop(
        ('select $x.v + 1 as v' |=> 'x') ~> 'select $x.v as v', 'select nextval(''app.rounds'') < 3'))";
    let (status, text) = STAGE.outcome(function);
    assert_eq!((status.as_str(), text.as_str()), ("completed", r#"{"rows": [{"v": 6}], "row_count": 1}"#));
}

#[test]
fn the_picture_of_the_caller_says_whom_it_called_and_what_became_of_it() {
    let id = STAGE.start_as_alice(
        "df.call(df.wait_for_signal('go') ~> 'select 1/0', 'kid') & df.map('select g from generate_series(1, 3) g', df.call('select $item'), 1)",
    );
    let kid = format!("select id from df.instances where parent = '{id}' and label = 'kid'");
    STAGE.until("both have called", &format!("select count(*) from df.instances where parent = '{id}' and (label = 'kid' or ended_at is not null)"), "4");
    let kid = STAGE.run("alice", &kid);
    assert_eq!(
        STAGE.run("alice", &format!("select parent, parent_node from df.instances where id = '{kid}'")),
        format!("{id}|00000001")
    );
    let picture = || STAGE.run("alice", &format!("select df.explain('{id}')"));
    assert!(picture().contains(&format!("CALL 'kid' ⏳ → {kid} running")), "{}", picture());
    STAGE.run("alice", &format!("select df.signal('{kid}', 'go')"));
    assert_eq!(STAGE.end_of(&id).0, "failed");
    assert!(picture().contains(&format!("CALL 'kid' ✗ → {kid} failed")), "{}", picture());
    let latest = STAGE.run("alice", &format!("select id from df.instances where parent = '{id}' and label is null order by created_at desc limit 1"));
    assert!(
        picture().contains(&format!("CALL ✓ → 3 instances, the latest {latest} completed")),
        "{}",
        picture()
    );
    // Of the called function's nodes only itself tells.
    assert!(picture().lines().any(|line| line.trim_end().ends_with("→ SQL: select 1/0")), "{}", picture());
}
