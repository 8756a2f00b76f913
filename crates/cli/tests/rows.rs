//! `postern rows`: who sees which rows, against a private cluster.

mod common;

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
    // A statement of a test cannot leave its role or its transaction.
    let escape = file(
        "escape.toml",
        "[[test]]\nname = 'a'\nrole = 'clerk'\nsql = 'reset role'\nerror = 'cannot change the role'\n\
         [[test]]\nname = 'b'\nrole = 'clerk'\nsql = 'commit'\nerror = 'transaction control is not allowed'\n\
         [[test]]\nname = 'c'\nrole = 'nobody_here'\nsql = 'select'\nerror = '42704'\n",
    );
    let Output { status, stdout, .. } = test(&[&escape]);
    assert_eq!(status, 0, "{stdout}");
}

#[test]
fn a_simulation_says_what_changes_and_changes_nothing() {
    let (cluster, url) = stage();
    cluster
        .psql(
            "app",
            "insert into doc (tenant, body) select case when n % 2 = 0 then 'acme' else 'other' end, case n when 3 then 'secret' else 'b' || n end from generate_series(1, 30) n;
             create table bare (a int, b text); insert into bare values (1, 'x'), (1, 'x');
             create procedure ending() language plpgsql as $$ begin commit; end $$",
        )
        .unwrap();
    let room = room();
    let simulate = |sql: &str, arguments: &[&str]| {
        let path = room.path().join("migration.sql");
        std::fs::write(&path, sql).unwrap();
        run(postern().args(["rows", "simulate", path.to_str().unwrap(), "--db", &url]).args(arguments))
    };
    let state = "select md5(string_agg(x, ' ' order by x)) from (
        select concat(polname, polcmd, polpermissive, polroles, polqual) from pg_policy union all select concat(relname, relacl, relrowsecurity) from pg_class where oid > 16384
        union all select concat(id, tenant, body) from doc union all select concat(proname, proacl) from pg_proc where oid > 16384 union all select rolname from pg_roles) s (x)";
    let before = cluster.psql("app", state).unwrap();

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
         public.\"Bare\" for clerk:\n  was: permission denied for table bare\n  2 rows appear (row): {\"a\":1,\"b\":\"x\"}, {\"a\":1,\"b\":\"x\"}\n\
         public.\"Bare\" for late:\n  2 rows appear (row): {\"a\":1,\"b\":\"x\"}, {\"a\":1,\"b\":\"x\"}\n"
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
    let unknown = simulate("select 1", &["--as", "nobody_here"]);
    assert_eq!(unknown.status, 1);
    assert!(unknown.stderr.contains("there is no role \"nobody_here\""), "{}", unknown.stderr);
    assert_eq!(simulate("select 1", &["--table", "nothing"]).status, 1);
    assert_eq!(cluster.psql("app", state).unwrap(), before);
}
