//! What is admitted, and the API keys, go with a dump; the extension's own objects come from its script.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::process::Stdio;

use postern_cluster::Cluster;
use postern_e2e::CATALOG;

/// Dumps `from` and restores it into the new database `to` of `target`, as `pg_dump | psql` would.
fn move_database(source: &Cluster, from: &str, target: &Cluster, to: &str) {
    let dump = source.client("pg_dump").arg(from).output().expect("pg_dump starts");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    target.create_database(to, false).unwrap();
    let mut restore = target
        .client("psql")
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", to])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql starts");
    restore.stdin.take().expect("a pipe").write_all(&dump.stdout).unwrap();
    let done = restore.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_dump_carries_admissions_and_keys_and_nothing_else_of_the_extension() {
    let source = Cluster::builder().extension(true).start().unwrap();
    source.create_database("app", true).unwrap();
    source
        .psql(
            "app",
            "create role alice nologin; create role bob nologin; create role gone nologin;
             select postern.admit('alice'), postern.admit('bob'), postern.admit('gone');
             drop role gone;
             create table public.t (owner text); alter table public.t enable row level security;
             create policy p on public.t using (owner = postern.fact('claims.sub'));",
        )
        .unwrap();
    let key = source.psql("app", "select postern.create_api_key('alice', 'job', '{\"a\": 1}')").unwrap();

    // Another cluster, where the roles have other OIDs, and one of them is somebody else's.
    let target = Cluster::builder().extension(true).start().unwrap();
    target
        .psql("postgres", "create role first nologin; create role bob nologin; create role alice nologin")
        .unwrap();
    move_database(&source, "app", &target, "app");

    let admitted =
        "select role, role_name from postern.admitted where role_name in ('alice', 'bob') order by 2";
    assert_eq!(target.psql("app", admitted).unwrap().trim(), "alice|alice\nbob|bob");
    let found = format!("select role, subject, claims from postern.find_api_key(sha256('{}'))", key.trim());
    assert_eq!(target.psql("app", &found).unwrap().trim(), "alice|job|{\"a\": 1}");

    // The role that was dropped: its OID may be another role's here, and its row admits nobody.
    let reused = "select count(*) from postern.admitted a join pg_roles r on r.oid = a.role and r.rolname = a.role_name";
    assert_eq!(target.psql("app", reused).unwrap().trim(), "2");

    assert_eq!(source.psql("app", CATALOG).unwrap(), target.psql("app", CATALOG).unwrap());
    let policy =
        "select pg_get_expr(p.polqual, p.polrelid) from pg_policy p join pg_class c on c.oid = p.polrelid
                   where c.relnamespace <> all ('{postern,df}'::regnamespace[])";
    assert_eq!(target.psql("app", policy).unwrap().trim(), "(owner = postern.fact('claims.sub'::text))");
}

#[test]
fn a_dump_carries_direct_access_and_the_error_mode() {
    let source = Cluster::builder().extension(true).start().unwrap();
    source.create_database("app", true).unwrap();
    source
        .psql(
            "app",
            "create role owner nologin; create role clerk nologin; create role deputy nologin; create role \"Odd, one\" nologin;
             create role gone nologin;
             grant create on schema public to owner; set role owner;
             create table public.doc (id int); insert into doc values (1), (2), (3);
             create table public.dropped (id int);
             alter table doc enable row level security; alter table dropped enable row level security;
             create policy one on doc using (id = 1);
             select postern.grant_direct('{select}', 'doc', '{clerk}', with_grant => true);
             select postern.grant_direct('{all}', 'doc', array['gone']::name[]);
             select postern.grant_direct('{select}', 'dropped', '{clerk}');
             drop table dropped;
             set role clerk; select postern.grant_direct('{select}', 'doc', '{deputy}');
             set role owner; grant select on doc to \"Odd, one\";
             select postern.set_row_security('error', 'doc', 'Odd, one', '{select}');
             reset role; select postern.set_row_security('error', commands => '{delete}');
             drop owned by gone; drop role gone;",
        )
        .unwrap();
    // Another cluster, where OIDs differ.
    let target = Cluster::builder().extension(true).start().unwrap();
    target
        .psql("postgres", "create role first nologin; create role \"Odd, one\" nologin; create role deputy nologin; create role clerk nologin; create role owner nologin")
        .unwrap();
    move_database(&source, "app", &target, "app");

    for state in [
        "select relation, role, command, grantor, with_grant from postern.direct_grants order by role, command",
        "select relation, role, command, mode from postern.row_security_modes order by relation::text, command",
    ] {
        let restored = target.psql("app", state).unwrap();
        assert_eq!(source.psql("app", state).unwrap(), restored);
        assert!(!restored.trim().is_empty());
    }
    let count = |role: &str| target.psql("app", &format!("set role {role}; select count(*) from doc"));
    assert_eq!(count("clerk").unwrap().trim(), "3");
    assert_eq!(count("deputy").unwrap().trim(), "3");
    let error = count("\"Odd, one\"").unwrap_err().to_string();
    assert!(error.contains("row security would filter \"public.doc\" for role \"Odd, one\""), "{error}");
    // A dump by a role with direct access has every row; the server wants to be told that it may be filtered.
    target
        .psql("app", "alter role clerk login; set postern.direct_grants = off; grant select on all tables in schema postern to clerk")
        .unwrap();
    let dump = target
        .client("pg_dump")
        .args(["--role=clerk", "--enable-row-security", "--data-only", "--table=public.doc", "app"])
        .output()
        .expect("pg_dump starts");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    assert!(String::from_utf8_lossy(&dump.stdout).contains("\n1\n2\n3\n"));
}

#[test]
fn a_dump_carries_policies_that_run_as_the_owner() {
    let source = Cluster::builder().extension(true).start().unwrap();
    source.create_database("app", true).unwrap();
    source
        .psql(
            "app",
            "create role owner nologin; create role clerk nologin; create schema authorization owner; grant usage on schema owner to clerk;
             set role owner;
             create table member (who name, tenant int); insert into member values ('clerk', 1);
             create table doc (id int, tenant int); insert into doc values (1, 1), (2, 2);
             alter table doc enable row level security; grant select on doc to clerk;
             select postern.create_policy('doc', 'mine', run_as => 'owner', roles => '{clerk}', \"position\" => 7,
                 using_qual => 'tenant in (select tenant from member where who = current_user)');",
        )
        .unwrap();
    move_database(&source, "app", &source, "again");
    for database in ["app", "again"] {
        let seen = source.psql(database, "set role clerk; select id from owner.doc").unwrap();
        assert_eq!(seen.trim(), "1", "{database}");
        let made = source
            .psql(
                database,
                "select prosecdef, pg_get_userbyid(proowner), proconfig, proacl from pg_proc where proname = 'doc_mine_using_1'",
            )
            .unwrap();
        assert_eq!(
            made.trim(),
            "t|owner|{\"search_path=pg_catalog, pg_temp\"}|{owner=X/owner,clerk=X/owner}",
            "{database}"
        );
    }
    let described = source.psql("again", "\\d owner.doc").unwrap();
    assert!(described.contains("9993_mine"), "{described}");
}
