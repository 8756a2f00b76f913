//! `postern rows`: who sees which rows, against a private cluster.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fmt::Write as _;

use common::{Output, postern, room, run};
use postern_cluster::Cluster;

#[test]
fn rows_tells_who_sees_what_and_why() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    cluster.create_database("app", true).unwrap();
    cluster
        .psql(
            "app",
            "create role clerk nologin; create role boss nologin;
             create table public.\"Odd doc\" (id int primary key, tenant text);
             insert into \"Odd doc\" values (1, 'acme'), (2, 'other');
             alter table \"Odd doc\" enable row level security;
             create policy tenant on \"Odd doc\" using (tenant = (select postern.fact('claims.tenant')));
             grant select on \"Odd doc\" to clerk;
             select postern.grant_direct('{select}', '\"Odd doc\"', '{boss}')",
        )
        .unwrap();
    let url = cluster.url("postgres", "app");
    let rows = |arguments: &[&str]| run(postern().arg("rows").args(arguments).args(["--db", &url]));

    let Output { status, stdout, stderr } =
        rows(&["matrix", "--role", "clerk", "--role", "boss", "--table", "\"Odd doc\""]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let words: Vec<String> =
        stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(words[0], "relation role command access reason permissive restrictive through");
    assert!(
        words.contains(&"public.Odd doc boss SELECT direct granted to boss tenant".to_owned()),
        "{stdout}"
    );
    assert!(words.contains(&"public.Odd doc clerk SELECT filtered policies tenant".to_owned()), "{stdout}");
    assert!(
        words.contains(&"public.Odd doc clerk INSERT none no privilege on the table".to_owned()),
        "{stdout}"
    );
    assert_eq!(words.len(), 9);

    let explain = |facts: &str| {
        let said =
            rows(&["explain", "\"Odd doc\"", "--key", "id=1", "--as", "clerk", "--facts", facts, "--json"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        let steps: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        steps.as_array().unwrap().last().unwrap()["says"].as_str().unwrap().to_owned()
    };
    assert_eq!(explain(r#"{"claims": {"tenant": "acme"}}"#), "visible");
    assert_eq!(explain(r#"{"claims": {"tenant": "other"}}"#), "hidden");

    let Output { status, stderr, .. } =
        rows(&["explain", "\"Odd doc\"", "--key", "id=1", "--as", "nobody_here"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("role \"nobody_here\" does not exist\nHINT:  "), "{stderr}");
    let Output { status, stderr, .. } = rows(&["explain", "t", "--key", "id", "--as", "clerk"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("write COLUMN=VALUE"), "{stderr}");
    let Output { status, .. } = rows(&["explain", "t", "--as", "clerk", "--facts", "[1]"]);
    assert_eq!(status, 2);
}

/// Two tenants, and a policy for each of the ways to lose one.
fn stage() -> (Cluster, String) {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    cluster.create_database("app", true).unwrap();
    cluster
        .psql(
            "app",
            "create role clerk nologin; create role boss nologin;
             create table doc (id int generated always as identity primary key, tenant text, body text);
             alter table doc enable row level security;
             create policy mine on doc to clerk using (tenant = (select postern.fact('claims.tenant')));
             create policy cap on doc as restrictive for select using (body <> 'secret');
             create policy everything on doc for select to boss using (true);
             grant select, insert, update, delete on doc to clerk, boss",
        )
        .unwrap();
    let url = cluster.url("postgres", "app");
    (cluster, url)
}

/// All that a file of somebody's may have changed.
const STATE: &str = "select md5(string_agg(x, ' ' order by x)) from (
    select concat(polname, polcmd, polpermissive, polroles, polqual) from pg_policy
    union all select concat(relname, relacl, relrowsecurity) from pg_class where oid > 16384
    union all select concat(id, tenant, body) from doc union all select concat(proname, proacl) from pg_proc where oid > 16384
    union all select concat(rolname, rolsuper) from pg_roles union all select concat(relation, role, command) from postern.direct_grants
    union all select gid from pg_prepared_xacts) s (x)";

const TESTS: &str = r#"
[[test]]
name = "a tenant sees its own"
role = "clerk"
facts = { claims = { tenant = "acme" } }
given."public.doc" = [{ id = 1, tenant = "acme", body = "a" }, { id = 2, tenant = "other", body = "b" }]
sql = "select id, body from doc"
rows = [{ id = 1, body = "a" }]

[[test]]
name = "a tenant writes its own"
role = "clerk"
facts = { claims = { tenant = "acme" } }
sql = "insert into doc (tenant, body) values ('other', 'x')"
error = "42501"

[[test]]
name = "updates reach nobody else's # really"
role = "clerk"
facts = { claims = { tenant = "acme" } }
given."public.doc" = [{ id = 1, tenant = "acme", body = "a" }, { id = 2, tenant = "other", body = "b" }]
before = "insert into doc (id, tenant, body) overriding system value values (9, 'acme', 'before')"
sql = "update doc set body = 'y'"
count = 2
"#;

#[test]
#[allow(clippy::too_many_lines, reason = "one server, many files")]
fn tests_of_policies_are_told_in_tap_and_what_they_miss() {
    let (cluster, url) = stage();
    let room = room();
    let file = |name: &str, text: &str| {
        let path = room.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let test = |arguments: &[&str]| run(postern().args(["rows", "test", "--db", &url]).args(arguments));
    let tests = file("good.toml", TESTS);

    let Output { status, stdout, stderr } = test(&[&tests]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    assert_eq!(
        stdout,
        "TAP version 14\n1..3\nok 1 - a tenant sees its own\nok 2 - a tenant writes its own\n\
         ok 3 - updates reach nobody else's \\# really\n"
    );
    assert_eq!(cluster.psql("app", "select count(*) from doc").unwrap().trim(), "0");

    // Weakened: the restrictive policy, and whom "mine" is for, are in no test.
    let Output { status, stdout, .. } = test(&[&tests, "--mutate"]);
    assert_eq!(status, 1, "{stdout}");
    let points: Vec<&str> = stdout.lines().filter(|line| line.contains("policy")).collect();
    assert_eq!(
        points,
        [
            "not ok 4 - policy \"cap\" of public.doc: USING (true)",
            "ok 5 - policy \"everything\" of public.doc: TO PUBLIC, noticed by \"a tenant sees its own\"",
            "not ok 6 - policy \"mine\" of public.doc: TO PUBLIC",
            "ok 7 - policy \"mine\" of public.doc: USING (true), noticed by \"a tenant sees its own\"",
            "ok 8 - policy \"mine\" of public.doc: WITH CHECK (true), noticed by \"a tenant writes its own\"",
        ]
    );
    let policies = "select string_agg(concat(polname, pg_get_expr(polqual, polrelid), polroles::regrole[]), ' ' order by polname) from pg_policy where polrelid = 'doc'::regclass";
    assert_eq!(
        cluster.psql("app", policies).unwrap().trim(),
        "cap(body <> 'secret'::text){-} everythingtrue{boss} mine(tenant = ( SELECT postern.fact('claims.tenant'::text) AS fact)){clerk}"
    );
    let missing = file(
        "more.toml",
        r#"
        [[test]]
        name = "secrets"
        role = "boss"
        given.doc = [{ id = 1, tenant = "acme", body = "secret" }, { id = 2, tenant = "other", body = "b" }]
        sql = "select id from doc"
        rows = [{ id = 2 }]
        [[test]]
        name = "boss"
        role = "boss"
        facts = { claims = { tenant = "acme" } }
        sql = "insert into doc (tenant, body) values ('acme', 'x')"
        error = "row-level security"
        [[test]]
        name = "clerk"
        role = "clerk"
        facts = { claims = { tenant = "acme" } }
        given.doc = [{ id = 2, tenant = "other", body = "b" }]
        sql = "select id from doc"
        rows = []
        "#,
    );
    let Output { status, stdout, .. } = test(&[&tests, &missing, "--mutate"]);
    assert_eq!(status, 0, "{stdout}");

    // What fails says what came; a mutant is not tried on it.
    let failing = file(
        "bad.toml",
        &TESTS
            .replace("id = 1, body = \"a\" }]\n\n", "id = 2, body = \"a\" }]\n\n")
            .replace("error = \"42501\"", "count = 1")
            .replace("count = 2", "error = \"42501\""),
    );
    let Output { status, stdout, .. } = test(&[&failing, "--mutate"]);
    assert_eq!(status, 1);
    assert!(stdout.contains("not ok 1 - a tenant sees its own\n  ---\n  message: \"too many: {\\\"id\\\":1,\\\"body\\\":\\\"a\\\"}; missing: "), "{stdout}");
    assert!(
        stdout
            .contains("message: \"42501: new row violates row-level security policy for table \\\"doc\\\"\""),
        "{stdout}"
    );
    assert!(stdout.contains("message: \"2 rows, not the error 42501\""), "{stdout}");
    assert!(stdout.contains("Bail out!"), "{stdout}");

    // Bad input.
    for (text, said) in [
        ("[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'", "must say one of rows, count and error"),
        ("[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\nrow = 1", "unknown field `row`"),
        ("[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\nfacts = 1", "must be a table"),
        (
            "[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\ngiven.doc = 1",
            "must be an array of tables",
        ),
        (
            "[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\ngiven.nothing = []",
            "does not exist",
        ),
        (
            "[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\nbefore = 'commit'",
            "not implemented",
        ),
    ] {
        let Output { status, stderr, .. } = test(&[&file("wrong.toml", text)]);
        assert_eq!(status, 2, "{text}");
        assert!(stderr.contains(said), "{text}: {stderr}");
    }
}

/// A file of tests is code of somebody's: it leaves neither the role nor the transaction, and nothing that it does stays.
#[test]
fn a_test_of_policies_cannot_get_out() {
    let (cluster, url) = stage();
    let room = room();
    let outside = room.path().join("outside");
    cluster
        .psql(
            "app",
            "insert into doc (tenant, body) values ('acme', 'kept');
             create procedure ending() language plpgsql as $$ begin commit; end $$;
             create function away() returns text language plpgsql security definer as $$ begin perform set_config('role', 'none', false); return 'away'; end $$",
        )
        .unwrap();
    let test = |text: &str| {
        let path = room.path().join("escape.toml");
        std::fs::write(&path, text).unwrap();
        run(postern().args(["rows", "test", path.to_str().unwrap(), "--mutate", "--db", &url]))
    };
    let before = cluster.psql("app", STATE).unwrap();
    let outside = outside.to_str().unwrap();
    // The statement of a test.
    let mut escapes = String::new();
    for (n, sql) in [
        "reset role",
        "set role boss",
        "set local role none",
        "set session authorization default",
        "reset session authorization",
        "select set_config('role', 'none', true)",
        "select set_config('session_authorization', 'postgres', true)",
        "select away()",
        "commit",
        "rollback",
        "abort",
        "savepoint s",
        "prepare transaction 'x'",
        "do $$ begin commit; end $$",
        "call ending()",
        "select 1; reset role; drop table doc",
        "select 1) to stdout; drop table doc; --",
        "\\! touch OUTSIDE",
        "\\copy doc to OUTSIDE",
        "copy doc to program 'touch OUTSIDE'",
        "copy doc to 'OUTSIDE'",
        "select lo_export(lo_creat(-1), 'OUTSIDE')",
        "select pg_read_file('/etc/passwd')",
        "create function f() returns int language sql security definer return 1",
        "drop policy mine on doc",
        "alter role clerk superuser",
        "insert into postern.direct_access values ('doc', 'clerk', 'r', 0, false)",
        "select postern.enter('boss')",
        "select postern.leave()",
    ]
    .iter()
    .enumerate()
    {
        let sql = sql.replace("OUTSIDE", outside);
        writeln!(escapes, "[[test]]\nname = 'escape {n}'\nrole = 'clerk'\nsql = {sql:?}\nerror = ''")
            .unwrap();
    }
    escapes += "[[test]]\nname = 'still the clerk'\nrole = 'clerk'\nsql = 'select current_user::text as who'\nrows = [{ who = 'clerk' }]\n";
    let Output { status, stdout, stderr } = test(&escapes);
    // Some mutants go unnoticed: these are no tests of policies.
    assert_eq!((status, stderr.as_str()), (1, ""), "{stdout}");
    let failed: Vec<&str> =
        stdout.lines().filter(|line| line.starts_with("not ok") && !line.contains("policy")).collect();
    assert!(failed.is_empty(), "{stdout}");
    assert!(stdout.contains("- still the clerk"), "{stdout}");
    assert_eq!(cluster.psql("app", STATE).unwrap(), before);

    // What is done before, as whoever runs the tests, and what tables are called.
    for (key, value) in [
        ("before", "rollback"),
        ("before", "drop table doc; commit"),
        ("before", "do $$ begin commit; end $$"),
        ("before", "call ending()"),
        ("before", "prepare transaction 'x'"),
        ("before", "begin; drop table doc"),
        ("before", "\\! touch OUTSIDE"),
        ("before", "drop table doc; select 1 / 0"),
    ] {
        let value = value.replace("OUTSIDE", outside);
        let Output { status, stdout, .. } = test(&format!(
            "[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\n{key} = {value:?}"
        ));
        assert_ne!(status, 0, "{value}: {stdout}");
        assert_eq!(cluster.psql("app", STATE).unwrap(), before, "{value}");
    }
    for table in ["doc; drop table doc; --", "doc\" values (1); drop table doc; --", "pg_catalog.pg_class"] {
        let Output { status, stdout, .. } = test(&format!(
            "[[test]]\nname = 'x'\nrole = 'clerk'\nsql = 'select'\ncount = 1\ngiven.{table:?} = [{{ id = 1 }}]"
        ));
        assert_ne!(status, 0, "{table}: {stdout}");
        assert_eq!(cluster.psql("app", STATE).unwrap(), before, "{table}");
    }
    // Who changed the role before is not who the statement runs as.
    let Output { status, stdout, .. } = test(
        "[[test]]\nname = 'x'\nrole = 'clerk'\nbefore = 'set role boss; set row_security = off'\nsql = 'select current_user::text as who'\nrows = [{ who = 'clerk' }]",
    );
    assert!(stdout.contains("\nok 1 - x\n"), "{status} {stdout}");
    assert!(!std::path::Path::new(outside).exists());
}

#[test]
fn a_simulation_says_what_changes_and_changes_nothing() {
    let (cluster, url) = stage();
    cluster
        .psql(
            "app",
            "insert into doc (tenant, body) select case when n % 2 = 0 then 'acme' else 'other' end, case n when 3 then 'secret' else 'b' || n end from generate_series(1, 30) n;
             create table bare (t int, b text); insert into bare values (1, 'x'), (1, 'x');
             create procedure ending() language plpgsql as $$ begin commit; end $$",
        )
        .unwrap();
    let room = room();
    let simulate = |sql: &str, arguments: &[&str]| {
        let path = room.path().join("migration.sql");
        std::fs::write(&path, sql).unwrap();
        run(postern().args(["rows", "simulate", path.to_str().unwrap(), "--db", &url]).args(arguments))
    };
    let before = cluster.psql("app", STATE).unwrap();

    let Output { status, stdout, stderr } = simulate(
        "alter policy cap on doc using (id > 28); -- 'it''s'
         create table fresh (id int primary key); insert into fresh values (7); grant select on fresh to boss;
         grant select on bare to clerk; create role late nologin; grant select on bare to late; alter table bare rename to \"Bare\"",
        &[],
    );
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        "public.doc for boss:\n  27 rows disappear (id): 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, and 17 more\n\
         public.fresh for boss:\n  1 row appears (id): 7\n\
         public.\"Bare\" for clerk:\n  was: permission denied for table bare\n  2 rows appear (row): {\"b\":\"x\",\"t\":1}, {\"b\":\"x\",\"t\":1}\n\
         public.\"Bare\" for late:\n  2 rows appear (row): {\"b\":\"x\",\"t\":1}, {\"b\":\"x\",\"t\":1}\n"
    );
    let json = simulate(
        "alter policy mine on doc using (true)",
        &["--as", "clerk", "--facts", r#"{"claims": {"tenant": "acme"}}"#, "--table", "doc", "--json"],
    );
    let changes: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(changes[0]["appear"].as_array().unwrap().len(), 14);
    assert_eq!(changes[0]["disappear"], serde_json::json!([]));
    assert_eq!(changes.as_array().unwrap().len(), 1);
    assert_eq!(simulate("select 1", &[]).stdout, "No row appears or disappears for any of the roles.\n");

    // No way to stay: the transaction is not the file's.
    for ending in [
        "commit",
        "drop table bare; commit",
        "rollback; drop table bare",
        "call ending()",
        "drop table bare; do $$ begin commit; end $$",
        "begin; drop table bare",
        "'); commit; --",
        "select 1 \\; commit",
        "savepoint s",
        "drop table bare; end",
        "drop table bare; start transaction",
        "drop table bare; prepare transaction 'x'",
        "drop table bare; commit and chain",
        "set transaction isolation level serializable; drop table bare; abort",
        "vacuum bare",
        "create database another",
        "create index concurrently on bare (t)",
        "\\! touch /var/tmp/never",
        "\\i other.sql",
        "\\connect postgres",
        "copy bare from stdin;\n2\ty\n\\.\n",
        "copy bare to stdout",
        "drop table bare; select 1 / 0",
    ] {
        let Output { status, stdout, .. } = simulate(ending, &[]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{ending}");
    }
    assert_eq!(
        simulate(
            "set session authorization clerk; set role clerk; set row_security = off",
            &["--as", "boss"]
        )
        .status,
        0
    );
    // What it sets, or makes the session forget, changes nothing for us.
    let Output { status, stdout, stderr } = simulate(
        "alter policy cap on doc using (true); deallocate all; set search_path = nowhere; set standard_conforming_strings = off; set lock_timeout = 0",
        &["--as", "boss"],
    );
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "public.doc for boss:\n  1 row appears (id): 3\n");
    let unknown = simulate("select 1", &["--as", "nobody_here"]);
    assert_eq!(unknown.status, 1);
    assert!(unknown.stderr.contains("there is no role \"nobody_here\""), "{}", unknown.stderr);
    assert_eq!(simulate("select 1", &["--table", "nothing"]).status, 1);
    assert_eq!(cluster.psql("app", STATE).unwrap(), before);
}

/// Nobody needs a superuser for it: who owns the tables, and is an administrator of ours. What they may not look at is said, and is
/// not taken for what the role meets.
#[test]
fn an_owner_tests_and_simulates_without_being_a_superuser() {
    let (cluster, _) = stage();
    cluster
        .psql(
            "app",
            "create role dev login in role postern_admin; create role past nologin bypassrls; grant select on doc to past;
             grant create on schema public to dev; alter table doc owner to dev;
             insert into doc (tenant, body) select case when n % 2 = 0 then 'acme' else 'other' end, 'b' || n from generate_series(1, 6) n;
             create table foreign_doc (id int); alter table foreign_doc enable row level security; create policy f on foreign_doc using (id = 1)",
        )
        .unwrap();
    cluster.set_password("dev").unwrap();
    let url = cluster.url("dev", "app");
    let room = room();
    let file = |name: &str, text: &str| {
        let path = room.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let before = cluster.psql("app", STATE).unwrap();

    let tests = file("tests.toml", TESTS);
    cluster.psql("app", "delete from doc").unwrap();
    let Output { status, stdout, stderr } =
        run(postern().args(["rows", "test", &tests, "--mutate", "--db", &url]));
    assert_eq!((status, stderr.as_str()), (1, ""), "{stdout}");
    assert!(stdout.starts_with("TAP version 14\n1..8\nok 1 - a tenant sees its own\nok 2"), "{stdout}");
    assert!(stdout.contains("ok 7 - policy \"mine\" of public.doc: USING (true), noticed by"), "{stdout}");
    assert!(!stdout.contains("foreign_doc"), "{stdout}");
    // The error that is expected is not that of looking.
    for role in ["past", "postgres", "nobody_here"] {
        let refused = file(
            "refused.toml",
            &format!(
                "[[test]]\nname = 'x'\nrole = '{role}'\nsql = 'select'\nerror = '42501'\n[[test]]\nname = 'y'\nrole = '{role}'\nsql = 'select'\nerror = ''"
            ),
        );
        let Output { status, stdout, .. } = run(postern().args(["rows", "test", &refused, "--db", &url]));
        assert_eq!(status, 1, "{role}: {stdout}");
        assert!(stdout.contains("not ok 1 - x") && stdout.contains("not ok 2 - y"), "{role}: {stdout}");
        assert!(stdout.contains("it was not run: "), "{role}: {stdout}");
    }
    cluster
        .psql("app", "insert into doc (id, tenant, body) overriding system value select n, case when n % 2 = 0 then 'acme' else 'other' end, 'b' || n from generate_series(1, 6) n")
        .unwrap();
    assert_eq!(cluster.psql("app", STATE).unwrap(), before);

    let migration = file("migration.sql", "alter policy mine on doc using (true)");
    let simulate = |arguments: &[&str]| {
        let facts = r#"{"claims": {"tenant": "acme"}}"#;
        run(postern().args(["rows", "simulate", &migration, "--facts", facts, "--db", &url]).args(arguments))
    };
    let Output { status, stdout, stderr } = simulate(&["--as", "clerk"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "public.doc for clerk:\n  3 rows appear (id): 1, 3, 5\n");
    for role in [&["--as", "past"][..], &["--as", "postgres"], &[]] {
        let Output { status, stdout, stderr } = simulate(role);
        assert_eq!((status, stdout.as_str()), (1, ""), "{role:?}");
        assert!(stderr.contains("--as"), "{stderr}");
    }
    assert_eq!(cluster.psql("app", STATE).unwrap(), before);
}

/// 200 roles in groups, 500 tables, most of them with policies, direct access, a mode, a view.
const CROWD: &str = "
    do $$ begin
        for n in 1 .. 200 loop
            execute format('create role crowd%s nologin', n);
            if n > 10 then execute format('grant crowd%s to crowd%s', 1 + n % 10, n); end if;
        end loop;
        for n in 1 .. 500 loop
            execute format('create table t%s (id int primary key, who name)', n);
            if n % 5 <> 0 then
                execute format('alter table t%s enable row level security', n);
                execute format('create policy p on t%s to crowd%s using (true)', n, 1 + n % 10);
                execute format('create policy q on t%s using (who = current_user)', n);
            end if;
            execute format('grant select, insert on t%s to crowd%s', n, 1 + n % 10);
        end loop;
    end $$;
    select count(*) from postern.grant_direct('{select}', 't1', '{crowd3}');
    select postern.set_row_security('error', 't2');
    create view v as select * from t1; grant select on v to public";

/// How many rows the steps of the matrix's own query give, or look at and drop, and how many it gives itself. Its text is the function's.
const WORK: &str = "
    create function work(out work bigint, out cells bigint) language plpgsql as $$
    declare body text := pg_get_function_sqlbody('postern.row_access_of'::regproc); plan jsonb;
    begin
        body := regexp_replace(body, '^\\s*BEGIN ATOMIC|;\\s*END\\s*$', '', 'g');
        body := replace(replace(body, 'row_access_of.roles', 'null::oid[]'), 'row_access_of.relations', 'null::oid[]');
        execute 'explain (analyze, timing off, format json) ' || body into plan;
        cells := (plan -> 0 -> 'Plan' ->> 'Actual Rows')::numeric;
        select sum((n ->> 'Actual Loops')::numeric * ((n ->> 'Actual Rows')::numeric + coalesce((n ->> 'Rows Removed by Filter')::numeric, 0)
                   + coalesce((n ->> 'Rows Removed by Join Filter')::numeric, 0)))
          into work from jsonb_path_query(plan, 'strict $.**?(@.\"Node Type\" != \"\")') n;
    end $$;
    select work, cells from work()";

/// The work for each cell stays small, however many there are: counted, since time depends on what else the machine does.
#[test]
fn the_matrix_of_200_roles_and_500_tables_takes_few_steps_for_each_cell() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    cluster.create_database("app", true).unwrap();
    cluster.psql("app", CROWD).unwrap();
    let asked = cluster.psql("app", WORK).unwrap();
    let (work, cells) = asked.trim().split_once('|').unwrap();
    let (work, cells): (u64, u64) = (work.parse().unwrap(), cells.parse().unwrap());
    assert!(cells >= 200 * 500 * 4, "{cells}");
    assert!(work < 40 * cells, "{work} rows for {cells} cells");

    // The program, of some of the tables.
    let url = cluster.url("postgres", "app");
    let tables = ["t1", "t2", "t5", "t500"].map(|table| ["--table", table]).concat();
    let Output { status, stdout, stderr } =
        run(postern().args(["rows", "matrix", "--db", &url]).args(tables));
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(stdout.lines().count() as u64, cells / 500 * 4 + 1);
    let of = |row: &str| {
        stdout.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(row))
    };
    assert!(of("public.t1 crowd3 SELECT direct granted to crowd3"));
    assert!(of("public.t2 crowd3 SELECT error the error mode is set"));
    assert!(of("public.t5 crowd6 INSERT open"));
    assert!(of("public.t500 crowd2 SELECT none no privilege on the table"));
}
