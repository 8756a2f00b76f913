//! What holds while a database has the objects of another version than the library: nothing of ours runs as anybody, and what
//! protects goes on.

use postern_cluster::{Cluster, Installation};
use postern_e2e::copy_of_extension;

use crate::catalog::server;
use crate::old::{Old, WAITING};

/// What every refusal says.
const SAYS: [&str; 2] = [
    concat!("extension postern is 0.1.0 in this database, and its library is ", env!("CARGO_PKG_VERSION")),
    "Run ALTER EXTENSION postern UPDATE in this database.",
];

fn assert_refused(answer: Result<String, String>, says: &[&str]) {
    let error = answer.unwrap_err();
    for wanted in says {
        assert!(error.contains(wanted), "{wanted:?} in {error}");
    }
}

#[test]
fn nothing_is_taken_up_or_started_and_it_is_said_once() {
    let old = Old::start();
    let log = old.log();
    // Each of these would change something, or run as somebody.
    for sql in [
        "select df.start('select 1')",
        "select df.start('select 1', transaction_mode => 'new')",
        "select df.signal(id, 'go') from df.instances where label = 'signal'",
        "select df.cancel(id, 'no') from df.instances where label = 'signal'",
        "select df.pause(id) from df.instances where label = 'signal'",
        "select df.resume(id) from df.instances where label = 'paused'",
        "select df.rerun(id) from df.instances where label = 'rerun'",
        "select df.schedule('other', '* * * * *', 'select 1')",
        "select df.unschedule('nightly')",
        "select df.pause_schedule('nightly')",
        "select df.resume_schedule('nightly')",
        "select df.setvar('a', 'b')",
        "select df.unsetvar('greeting')",
        "select df.clearvars()",
        "select df.set_secret('a', 'b')",
        "select df.drop_secret('token')",
    ] {
        assert_refused(old.run_as("alice", sql), &SAYS);
    }
    // What looks, works, and says why nothing goes on.
    let look = |sql: &str| old.run_as("alice", sql).unwrap();
    assert_eq!(look("select df.status(id) from df.instances where label = 'retry'"), "running");
    assert_eq!(
        look(
            "select count(*) from df.nodes n join df.instances i on i.id = n.instance_id where i.label = 'map'"
        ),
        "7"
    );
    assert_eq!(
        look("select df.result(id) from df.instances where label = 'ended'"),
        r#"{"rows": [{"what": "ended"}], "row_count": 1}"#
    );
    let drawn = look("select df.explain(id) from df.instances where label = 'retry'");
    for wanted in ["It waits: the extension is 0.1.0", SAYS[1]] {
        assert!(drawn.contains(wanted), "{drawn}");
    }
    let ended = look("select df.explain(id) from df.instances where label = 'ended'");
    assert!(!ended.contains("It waits"), "{ended}");
    assert_eq!(look("show postern.library_version"), env!("CARGO_PKG_VERSION"));
    assert_refused(old.run_as("alice", "set postern.library_version = '0.1.0'"), &["cannot be changed"]);
    assert_eq!(old.admin("select postern.durable_ready()"), "f");
    // Woken, the executor waits on, and no other comes; what it has found it says once.
    old.admin("select postern.durable_wake(), postern.durable_changed(), postern.durable_sent(); select pg_reload_conf()");
    old.admin("update app.door set open = true");
    for _ in 0..20 {
        old.admin("select postern.durable_wake()");
    }
    assert_eq!(old.admin(WAITING), "1");
    assert_eq!(
        old.admin(
            "select count(*) from pg_stat_activity where backend_type like 'postern %' and datname = 'app'"
        ),
        "1"
    );
    assert_eq!(old.log(), log);
    let said = |old: &Old| old.server_log().matches("durable functions of database \"app\" wait").count();
    assert_eq!(said(&old), 1);
    // Once more, since it is another server.
    old.cluster.restart().unwrap();
    old.until("an executor waits", WAITING, "1");
    assert_eq!(said(&old), 2);
    // It makes way for who wants the database for himself.
    old.cluster.psql("postgres", "alter database app rename to other").unwrap();
    old.cluster.psql("postgres", "alter database other rename to app").unwrap();
    old.until("an executor waits again", WAITING, "1");
    // Elsewhere everything goes on, also from here to there, and not from there to here.
    old.cluster.psql("postgres", "grant postern_application to alice").unwrap();
    let there = "select df.await_instance(df.start('select 1', database => 'app'), 20)";
    let error = old.cluster.psql_as("alice", "postgres", there).unwrap_err().to_string();
    assert!(error.contains(SAYS[0]) && error.contains("df.start()"), "{error}");
    let here = old.cluster.psql_as("alice", "postgres", "select df.start('select 1 as n')").unwrap();
    assert_eq!(
        old.cluster.psql_as("alice", "postgres", &format!("select df.await_instance('{here}', 20)")).unwrap(),
        "completed"
    );
    // Then it begins at once, without anybody who starts something.
    old.admin("alter extension postern update");
    old.until(
        "what was due is done",
        "select status from postern.instance where label = 'retry'",
        "completed",
    );
    old.finish();
}

#[test]
fn nobody_is_entered() {
    let old = Old::start();
    assert_eq!(old.admin("select role_name from postern.admitted"), "web");
    for sql in ["select postern.enter('web', '{}'), current_user", "select postern.seal('key')"] {
        assert_refused(old.run_as("postern_gate", sql), &SAYS);
    }
    for sql in [
        "select postern.run_as('web', '{}', 'select current_user')",
        "select postern.explain_row('app.doc', '{\"id\": 1}', 'SELECT', 'web')",
        "select postern.evaluate_as('web'::regrole, '{}', 'select current_user')",
        "select postern.attempt_as('web'::regrole, '{}', 'select current_user')",
    ] {
        let error = old.try_admin(sql).unwrap_err();
        assert!(error.contains(SAYS[0]), "{sql}: {error}");
    }
    // A session from before the update enters after it.
    old.admin("alter extension postern update");
    assert_eq!(
        old.run_as("postern_gate", "select postern.enter('web', '{}'), current_user").unwrap(),
        "|web"
    );
}

#[test]
fn a_session_from_before_sees_the_update_at_once() {
    let old = Old::start();
    // Two sessions, held open by what they read.
    let sql = "do $$ declare id text; begin
        begin perform df.start('select 1'); raise exception 'it has started'; exception when object_not_in_prerequisite_state then null; end;
        insert into public.seen values (1); commit;
        while (select count(*) from public.seen) < 2 loop commit; perform pg_sleep(0.01); end loop;
        commit;
        perform df.start('insert into app.log(what) values (''from before'')', 'early');
    end $$";
    old.admin("create table public.seen (n int); grant select, insert on public.seen to alice");
    std::thread::scope(|scope| {
        let before = scope.spawn(|| old.run_as("alice", sql));
        old.until("it was refused", "select count(*) from public.seen", "1");
        old.admin("alter extension postern update; insert into public.seen values (2)");
        before.join().unwrap().unwrap();
    });
    old.until("it has run", "select status from postern.instance where label = 'early'", "completed");
}

#[test]
fn what_protects_goes_on() {
    let old = Old::start();
    protects(&old);
    // Who would get more than they have gets nothing, and is told why.
    for sql in [
        "select * from postern.grant_direct('{select}', 'app.doc', '{bob}')",
        "select postern.set_row_security('on', 'app.doc', 'bob', '{select}')",
    ] {
        assert_refused(old.try_admin(sql), &SAYS);
    }
    protects(&old);
    old.admin("alter extension postern update");
    protects(&old);
}

/// Direct access, the error mode, policies on facts, the rules about triggers, definers and grants.
fn protects(old: &Old) {
    // Alice reads past the policy, bob is told, and nobody else gets a row without facts.
    assert_eq!(old.run_as("alice", "select count(*) from app.doc").unwrap(), "3");
    assert_refused(old.run_as("bob", "select count(*) from app.doc"), &["row security would filter"]);
    assert_eq!(old.admin("set role web; select count(*) from app.doc"), "0");
    // A right that is taken away takes direct access with it.
    old.admin("begin; revoke select on app.doc from alice; select 1 / (count(*) = 0)::int from postern.direct_access; rollback");
    old.admin(
        "create role author login; create role owner nologin; create schema own authorization owner; grant usage, create on schema own to author;
         set role owner; create table own.doc (id int); grant trigger on own.doc to author; reset role;
         create publication pub for table own.doc;
         set role author; create function own.theirs() returns trigger language plpgsql as 'begin return new; end'",
    );
    // By the rule; or, where the older objects cannot be asked, by that.
    let error = old.try_admin("set role author; create trigger t before insert on own.doc for each row execute function own.theirs()").unwrap_err();
    assert!(error.contains("may not run own.theirs()") || error.contains(SAYS[0]), "{error}");
    assert_refused(
        old.try_admin("set postern.definer_rule = error; set role author; create function own.f() returns int language sql security definer as 'select 1'"),
        &["has no safe search_path"],
    );
    assert_refused(
        old.try_admin("grant select on postern.instance to bob"),
        &["privileges on table postern.instance are given by roles"],
    );
    assert_refused(
        old.try_admin("create publication bad for table postern.instance"),
        &["may not be published"],
    );
    old.admin(
        "drop publication pub; drop schema own cascade; drop owned by author, owner; drop role author, owner",
    );
}

#[test]
fn an_update_ends_at_the_librarys_version() {
    let Some(server) = server() else { return };
    let (old, _folder) = with_version(&server, "9.9.9");
    assert_refused(
        old.try_admin("alter extension postern update to '9.9.9'"),
        &[
            "cannot be updated to 9.9.9 here",
            concat!("has loaded the library of version ", env!("CARGO_PKG_VERSION")),
        ],
    );
    assert_eq!(old.version(), "0.1.0");
    // Whoever may not update disturbs nobody.
    assert_refused(
        old.run_as("boss", "alter extension postern update"),
        &["must be owner of extension postern"],
    );
    old.admin("alter extension postern update");
    assert_refused(
        old.try_admin("alter extension postern update to '9.9.9'"),
        &["cannot be updated to 9.9.9"],
    );
    // A database that a later version was made in waits for a later library, and says that.
    old.cluster.create_database("later", false).unwrap();
    old.cluster.psql("later", "create extension postern version '9.9.9'").unwrap();
    old.until("it is said", "select count(*) from pg_stat_activity where datname = 'later' and query = 'waits for ALTER EXTENSION postern UPDATE'", "1");
    let error = old.cluster.psql("later", "select df.start('select 1')").unwrap_err().to_string();
    for wanted in
        ["is 9.9.9 in this database", "Install the files of version 9.9.9 or later, and restart the server"]
    {
        assert!(error.contains(wanted), "{error}");
    }
    let log = old.server_log();
    assert!(log.contains("durable functions of database \"later\" wait: their extension is 9.9.9"), "{log}");
    // Made again of this version, it works at once.
    old.cluster.psql("later", "drop extension postern; create extension postern").unwrap();
    old.cluster.psql("later", "set postern.enable_superuser_instances = on").unwrap();
    let id = old.cluster.psql_as("alice", "later", "select df.start('select 1')").unwrap();
    assert_eq!(
        old.cluster.psql_as("alice", "later", &format!("select df.await_instance('{id}', 20)")).unwrap(),
        "completed"
    );
}

/// A server whose extension has one version more, which is today's by another name.
fn with_version(server: &Installation, version: &str) -> (Old, tempfile::TempDir) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let scripts = copy_of_extension(server.major, folder.path());
    let today = env!("CARGO_PKG_VERSION");
    let script = std::fs::read_to_string(scripts.join(format!("postern--{today}.sql"))).unwrap();
    std::fs::write(scripts.join(format!("postern--{version}.sql")), script).unwrap();
    for from in ["0.1.0", today] {
        std::fs::write(scripts.join(format!("postern--{from}--{version}.sql")), "select 1;").unwrap();
    }
    let builder = Cluster::builder().installation(server.clone()).extension_dir(folder.path());
    (Old::with(builder), folder)
}
