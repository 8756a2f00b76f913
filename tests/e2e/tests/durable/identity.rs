//! As whom a step runs.

use std::sync::LazyLock;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

#[test]
fn a_step_runs_as_who_started_it_and_cannot_become_another() {
    assert_eq!(STAGE.result("'select current_user as u'"), r#"{"rows": [{"u": "alice"}], "row_count": 1}"#);
    for escape in [
        "reset role",
        "set role postgres",
        "set session authorization postgres",
        "set session authorization default",
    ] {
        let failure = STAGE.failure(&format!("'{escape}'"));
        assert!(failure.contains("cannot"), "{failure}");
    }
    let failure = STAGE.failure("'do $$ begin begin perform 1/0; exception when others then null; end; execute ''reset role''; end $$'");
    assert!(failure.contains("cannot"), "{failure}");
}

#[test]
fn what_is_deferred_runs_as_who_started_it() {
    STAGE.run(
        "bob",
        "create table app.trap(n int); grant insert on app.trap to alice;
         create function app.sprung() returns trigger language plpgsql as
             $$ begin insert into app.log(who, what) values (current_user, 'sprung'); return null; end $$;
         create constraint trigger sprung after insert on app.trap deferrable initially deferred
             for each row execute function app.sprung()",
    );
    STAGE.result("'insert into app.trap values (1)'");
    assert_eq!(STAGE.admin("select string_agg(who, ',') from app.log where what = 'sprung'"), "alice");
}

#[test]
fn a_step_has_the_settings_of_a_session_not_of_its_executor() {
    STAGE.admin(
        "create table public.notes(who name, what text); insert into notes values ('alice', 'mine'), ('bob', 'his');
         alter table notes enable row level security;
         create policy own on notes using (who = current_user);
         grant select on notes to alice",
    );
    assert_eq!(
        STAGE.result("'select what from notes'"),
        r#"{"rows": [{"what": "mine"}], "row_count": 1}"#,
        "a table on the path, and the rows of whoever asked"
    );
    // What one step sets, the next has not.
    let path = r#"{"rows": [{"path": "\"$user\", public"}], "row_count": 1}"#;
    assert_eq!(
        STAGE.result("'set search_path = app' ~> 'select current_setting(''search_path'') as path'"),
        path
    );
}

#[test]
fn a_role_s_settings_are_for_its_steps_and_never_for_the_engine() {
    let stage = Stage::start();
    // Operators in front of the server's, in a path that the role has set for itself: who uses them, says so.
    stage.admin("create schema evil authorization alice; create table app.caught(who name); grant all on app.caught to public");
    stage.run(
        "alice",
        "create function evil.same(text, text) returns bool language plpgsql as
             $$ begin insert into app.caught values (current_user); return pg_catalog.texteq($1, $2); end $$;
         create operator evil.= (function = evil.same, leftarg = text, rightarg = text);
         create function evil.same(varchar, text) returns bool language plpgsql as
             $$ begin insert into app.caught values (current_user); return pg_catalog.texteq($1, $2); end $$;
         create operator evil.= (function = evil.same, leftarg = varchar, rightarg = text);
         alter role alice set search_path = evil, pg_catalog, public;
         alter role alice set work_mem = '7MB'",
    );
    let text = stage.result(
        "'select current_setting(''work_mem'') as w, current_setting(''search_path'') as p' |=> 's'
         ~> 'select 1' ~> df.catch('select 1/0', 'select ''x'' = ''x''::text as caught, $s.w as w, $s.p as p')",
    );
    assert_eq!(
        text,
        r#"{"rows": [{"p": "evil, pg_catalog, public", "w": "7MB", "caught": true}], "row_count": 1}"#
    );
    assert_eq!(stage.admin("select distinct who from app.caught"), "alice");
}

#[test]
fn what_a_function_was_called_with_in_one_step_is_not_there_in_another_s() {
    // Few executors: what one of them keeps meets the next step.
    let stage = Stage::with(postern_cluster::Cluster::builder().setting("postern.executors", "1"));
    stage.admin(
        "create function app.shared(n int) returns text language plpgsql as
             $$ declare said text; begin said := 'n' || n; return said; end $$;
         create schema evil authorization alice",
    );
    stage.run(
        "alice",
        "create function evil.caught() returns bool language plpgsql as
             $$ begin insert into app.log(what) values ('caught'); return true; end $$;
         create domain evil.text as pg_catalog.text check (evil.caught());
         grant usage on schema evil to bob;
         alter role alice set search_path = evil, pg_catalog",
    );
    for round in 0..3 {
        for role in ["alice", "bob"] {
            stage.run(
                role,
                &format!("select count(df.start('select app.shared({round})', 'shared')) from pg_catalog.generate_series(1, 20)"),
            );
            stage.until(
                "all end",
                &format!("select count(*) from postern.instance where status = 'completed' and submitted_by = '{role}'::regrole"),
                &(20 * (round + 1)).to_string(),
            );
        }
    }
    assert_eq!(
        stage.admin("select string_agg(distinct who, ',') from app.log where what = 'caught'"),
        "alice"
    );
}

#[test]
fn a_role_without_login_may_have_steps() {
    let id = STAGE
        .admin("set role report; select df.start('select current_user as u, session_user is not null as s')");
    let id = id.lines().last().unwrap().to_owned();
    STAGE.until(
        "it completes",
        &format!("select status from postern.instance where id = '{id}'"),
        "completed",
    );
    assert!(
        STAGE.admin(&format!("select output from postern.instance where id = '{id}'")).contains("report")
    );
}

#[test]
fn nobody_sees_or_reaches_the_functions_of_others() {
    let id = STAGE.start_as_alice("df.wait_for_signal('x', 600)");
    for view in [
        "df.instances where id",
        "df.nodes where instance_id",
        "postern.strand where instance",
        "postern.instance where id",
    ] {
        assert_eq!(STAGE.run("bob", &format!("select count(*) from {view} = '{id}'")), "0", "{view}");
    }
    for call in ["df.signal('ID', 'x')", "df.cancel('ID')", "df.await_instance('ID', 1)"] {
        let error = STAGE.try_run("bob", &format!("select {}", call.replace("ID", &id))).unwrap_err();
        assert!(error.contains("not found"), "{error}");
    }
    assert_eq!(
        STAGE.run("bob", &format!("select df.status('{id}') is null, df.result('{id}') is null")),
        "t|t"
    );
    for write in [
        "update postern.instance set submitted_by = 'bob'",
        "insert into postern.strand select * from postern.strand",
        "delete from df.instances",
        "update df.vars set value = 'x'",
        "insert into postern.message select * from postern.message",
    ] {
        let error = STAGE.try_run("alice", write).unwrap_err();
        assert!(error.contains("permission denied") || error.contains("cannot"), "{error}");
    }
    STAGE.run("alice", &format!("select df.cancel('{id}')"));
}

/// The dangerous pattern: a function of the administrator's that starts whatever text it is given.
fn wrapper(name: &str) -> String {
    format!(
        "create table if not exists app.admin_secrets(s text);
         create function app.{name}(q text) returns text language sql security definer
             as $$ select df.start(df.sql(q), '{name}') $$;
         grant execute on function app.{name}(text) to alice;"
    )
}

#[test]
fn a_security_definer_wrapper_warns_and_records_itself() {
    STAGE.admin("create role owner_of_wrappers nologin; grant postern_application to owner_of_wrappers; grant all on schema app to owner_of_wrappers");
    STAGE.admin(&format!("set role owner_of_wrappers; {}", wrapper("warned")));
    let id = STAGE.run("alice", "select app.warned('select current_user as u')");
    STAGE.until(
        "it completes",
        &format!("select status from postern.instance where id = '{id}'"),
        "completed",
    );
    assert_eq!(
        STAGE.admin(&format!(
            "select submitted_by, session_role, definers from postern.instance where id = '{id}'"
        )),
        "owner_of_wrappers|alice|{app.warned(pg_catalog.text)}"
    );
}

#[test]
fn with_the_session_s_user_a_wrapper_cannot_raise_its_caller() {
    let stage = Stage::start();
    stage.admin(&wrapper("run_report"));
    stage.admin("alter system set pg_durable.start_use_session_user = on; select pg_reload_conf()");
    stage.until("the setting is there", "show pg_durable.start_use_session_user", "on");
    let id = stage.run("alice", "select app.run_report('drop table app.admin_secrets')");
    let (status, text) = stage.end_of(&id);
    assert_eq!(status, "failed");
    assert!(text.contains("must be owner of table admin_secrets"), "{text}");
    let error = stage.try_run("alice", "set pg_durable.start_use_session_user = off").unwrap_err();
    assert!(error.contains("permission denied"), "{error}");
}

#[test]
fn a_wrapper_can_be_refused() {
    let stage = Stage::start();
    stage.admin("create role w nologin; grant postern_application to w; grant all on schema app to w");
    stage.admin(&format!("set role w; {}", wrapper("refused")));
    stage.admin("alter database postgres set postern.start_in_definer = 'refuse'");
    let error = stage.try_run("alice", "select app.refused('select 1')").unwrap_err();
    assert!(error.contains("SECURITY DEFINER") && error.contains("app.refused(pg_catalog.text)"), "{error}");
    stage.admin("alter database postgres set postern.start_in_definer = 'session'");
    let id = stage.run("alice", "select app.refused('select current_user as u')");
    assert!(stage.end_of(&id).1.contains("alice"));
}

#[test]
fn a_wrapper_that_is_security_invoker_raises_nobody() {
    // The first remedy: the same wrapper, without its owner's rights.
    STAGE.admin("create role invoked nologin; grant postern_application to invoked; grant all on schema app to invoked");
    STAGE.admin(
        "set role invoked; create table app.invoked_secrets(s text);
         create function app.invoker(q text) returns text language sql security invoker
             as $$ select df.start(df.sql(q), 'invoker') $$;
         grant execute on function app.invoker(text) to alice",
    );
    let id = STAGE.run("alice", "select app.invoker('drop table app.invoked_secrets')");
    let (status, text) = STAGE.end_of(&id);
    assert_eq!(status, "failed");
    assert!(text.contains("must be owner of table invoked_secrets"), "{text}");
    assert_eq!(
        STAGE.admin(&format!("select submitted_by, definers from postern.instance where id = '{id}'")),
        "alice|{}"
    );
}

#[test]
fn a_wrapper_with_its_text_fixed_takes_values_only() {
    // The fourth remedy: what is given is a literal, whatever it looks like; a superuser says that it is meant.
    STAGE.admin(
        "create role meant nologin; grant postern_application to meant; grant all on schema app to meant",
    );
    STAGE.admin(
        "set role meant; create table app.meant(what text);
         create function app.note(v text) returns text language sql security definer set search_path = pg_catalog, pg_temp
             as $$ select df.start(df.sql('insert into app.meant values (' || quote_literal(v) || ')'), 'note') $$;
         grant execute on function app.note(text) to alice; reset role;
         grant set on parameter postern.start_in_definer to meant;
         set role meant; alter function app.note(text) set postern.start_in_definer = 'allow'",
    );
    let values = ["x'); drop table app.meant; --", "it''s {v} $v $$", "\\'); drop table app.meant; --"];
    for value in values {
        let literal = value.replace('\'', "''");
        let id = STAGE.run("alice", &format!("select app.note('{literal}')"));
        STAGE.until(
            "it ends",
            &format!("select status from postern.instance where id = '{id}'"),
            "completed",
        );
        assert_eq!(STAGE.admin(&format!("select count(*) from app.meant where what = '{literal}'")), "1");
        assert_eq!(
            STAGE.admin(&format!("select submitted_by from postern.instance where id = '{id}'")),
            "meant"
        );
    }
    // Nobody says so for itself: the server asks the owner's right at each call.
    let error = STAGE
        .try_run(
            "alice",
            "create function app.mine() returns int language sql security definer
                 set postern.start_in_definer = 'allow' as 'select 1'",
        )
        .unwrap_err();
    assert!(error.contains("permission denied to set parameter"), "{error}");
}

#[test]
fn the_session_s_user_is_the_executor_s_and_leads_nowhere() {
    let owner = STAGE.admin("select rolname from pg_roles where oid = 10");
    let seen = STAGE.result("'select session_user as s, current_user as u'");
    assert_eq!(seen, format!(r#"{{"rows": [{{"s": "{owner}", "u": "alice"}}], "row_count": 1}}"#));
    for escape in ["reset session authorization", "set role none", "select set_config('role', 'none', true)"]
    {
        let failure = STAGE.failure(&format!("$q${escape}$q$"));
        assert!(failure.contains("cannot"), "{escape}: {failure}");
    }
    let rights =
        "select pg_has_role('postgres', 'USAGE') as m, has_table_privilege('pg_authid', 'SELECT') as t";
    let seen = STAGE.result(&format!("$q${rights}$q$"));
    assert_eq!(seen, r#"{"rows": [{"m": false, "t": false}], "row_count": 1}"#);
}

#[test]
fn superusers_have_no_functions_unless_they_are_allowed() {
    let error = STAGE.cluster.psql("postgres", "select df.start('select 1')").unwrap_err().to_string();
    assert!(error.contains("superuser instances are disabled"), "{error}");
}

#[test]
fn a_role_that_is_dropped_or_raised_fails_its_functions() {
    STAGE.admin("create role leaver login; grant postern_application to leaver; create role riser login; grant postern_application to riser");
    for role in ["leaver", "riser"] {
        STAGE.cluster.set_password(role).unwrap();
    }
    let start = "select df.start(df.wait_for_signal('go') ~> 'select 1')";
    let (left, risen) = (STAGE.run("leaver", start), STAGE.run("riser", start));
    STAGE.admin("drop owned by leaver; drop role leaver; alter role riser superuser");
    // The operator can still reach them.
    STAGE.admin(&format!("select df.signal('{left}', 'go'), df.signal('{risen}', 'go')"));
    let status = |id: &str| format!("select status from postern.instance where id = '{id}'");
    STAGE.until("the dropped role's fails", &status(&left), "failed");
    STAGE.until("the risen role's fails", &status(&risen), "failed");
    let error =
        |id: &str| STAGE.admin(&format!("select error->>'message' from postern.instance where id = '{id}'"));
    assert!(error(&left).contains("does not exist"), "{}", error(&left));
    assert!(error(&risen).contains("superuser"), "{}", error(&risen));
}
