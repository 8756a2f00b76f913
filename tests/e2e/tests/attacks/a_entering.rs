//! A36 – A50: entering itself, and what stands until the commit.

use postern_e2e::{Membership, Reply, Site, Step, Wire, World};

use super::{temp_world, world};

const WHO: &str = "select current_user, session_user";
const BOB_ONLY: &str = "select x from app.bob_only";

#[tokio::test]
async fn a36_enter_called_by_someone_else() {
    let world = world().await;
    for sql in [
        "select postern.enter('bob', '{}')",
        "select postern.enter('bob', '{}', 'the key of this world')",
        "do $$ begin perform postern.enter('bob', '{}'); end $$",
        "select * from (values ('bob')) v(r), lateral (select postern.enter(r::name, '{}')) e",
    ] {
        world.alice().batch(&[sql, BOB_ONLY]).await.refused("42501");
    }
    let acl = "select has_function_privilege('public', 'postern.enter(text, text, text)', 'execute'),
                      has_function_privilege('public', 'postern.seal(text)', 'execute')";
    assert_eq!(world.look(acl).await, "f|f");

    // A role with a login of its own, to whom somebody granted it all the same.
    let role = world.new_role().await;
    world
        .superuser(&format!(
            "alter role {role} login; grant execute on function postern.enter(text, text, text), postern.seal(text) to {role}, alice"
        ))
        .await;
    world.site().cluster().set_password(&role).unwrap();
    let mut own = Wire::connect(world.site(), &role, world.database()).await;
    assert_eq!(own.outside("select postern.enter('bob', '{}')").await.code(), "42501");
    assert_eq!(own.outside("select postern.seal('x')").await.code(), "42501");
    // Inside the wall, it stands already.
    world.alice().batch(&["select postern.enter('bob', '{}')", BOB_ONLY]).await.refused("55000");
    // As the gate, but through somebody's function.
    world
        .superuser(
            "create function app.definer() returns void language sql security definer
                 as $$ select postern.enter('bob', '{}') $$; grant execute on function app.definer() to postern_gate;
             grant usage on schema app to postern_gate",
        )
        .await;
    let mut wire = Wire::gate(world.site(), world.database(), None).await;
    assert_eq!(wire.outside("select app.definer()").await.code(), "42501");
    // Even one of the gate's own, which changes no user but ends with its caller.
    world.superuser("alter function app.definer() owner to postern_gate").await;
    let own = wire.outside("select app.definer()").await;
    assert_eq!(own.code(), "42501");
    assert_eq!(
        own.error().map(|error| error.message.contains("enter an identity from a security-definer")),
        Some(true),
        "{own:?}"
    );
    // A superuser in the role of the gate.
    let error = world
        .admin()
        .batch_execute("set role postern_gate; select postern.enter('bob', '{}')")
        .await
        .unwrap_err();
    assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"));
    world.superuser("reset role").await;
    world.canary().await;
}

// The secret that the catalogue wishes for: SQL that got out of the wall still could not enter.
#[tokio::test]
async fn a36_the_seal() {
    let world = world().await;
    let mut sealed = world.wire().await;
    for sql in [
        "select postern.enter('bob', '{}')",
        "select postern.enter('bob', '{}', '')",
        "select postern.enter('bob', '{}', null)",
        "select postern.enter('bob', '{}', 'another ke')",
        "select postern.enter('bob', '{}', 'another key ')",
    ] {
        assert_eq!(sealed.outside(sql).await.code(), "42501", "{sql}");
    }
    assert_eq!(sealed.outside("select postern.seal('mine')").await.code(), "55000");
    assert_eq!(sealed.request("bob", None, &[(WHO, &[])]).await.text(), "bob|postern_gate");
    let mut open = Wire::gate(world.site(), world.database(), None).await;
    assert_eq!(open.outside("select postern.seal('')").await.code(), "22023");
    // Sealing is not for inside: entered identities may not call it.
    assert_eq!(
        open.request("alice", None, &[("select postern.seal('mine')", &[])]).await.refused("42501").code,
        "42501"
    );
    world.canary().await;
}

#[tokio::test]
async fn a37_roles_that_must_not_be_entered() {
    let world = world().await;
    let mut wire = world.wire().await;
    let dangerous = [
        ("postgres", "42501"),
        ("postern_gate", "42501"),
        ("postern_admin", "42501"),
        ("postern_monitor", "42501"),
        ("pg_read_all_data", "42501"),
        ("pg_execute_server_program", "42501"),
        ("app", "42501"),
        ("nobody at all", "42704"),
        ("", "42704"),
        ("ALICE", "42704"),
        ("\"alice\"", "42704"),
        ("alice ", "42704"),
        ("none", "42704"),
        ("public", "42704"),
        ("current_user", "42704"),
        ("alice;reset role", "42704"),
    ];
    for (role, code) in dangerous {
        wire.request(role, None, &[("insert into work.loot values ('ran')", &[])]).await.refused(code);
    }
    // Admission itself refuses them, and what a role becomes after it counts.
    for role in ["postgres", "pg_read_all_data", "postern_gate", "postern_admin"] {
        let error = world.admin().query(&format!("select postern.admit('{role}')"), &[]).await.unwrap_err();
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{role}");
    }
    for attribute in ["superuser", "bypassrls", "createrole", "replication"] {
        let role = world.new_role().await;
        wire.request(&role, None, &[(WHO, &[])]).await.fine();
        world.superuser(&format!("alter role {role} {attribute}")).await;
        let refusal = wire
            .request(&role, None, &[("insert into work.loot values ('ran')", &[])])
            .await
            .refused("42501");
        assert!(
            refusal.detail.is_some_and(|detail| detail.to_lowercase().contains(attribute)),
            "{attribute}"
        );
    }
    for group in ["pg_write_server_files", "pg_signal_backend", "postern_admin", "postern_gate", "postgres"] {
        let role = world.new_role().await;
        let middle = world.new_role().await;
        world.superuser(&format!("grant {group} to {middle}; grant {middle} to {role}")).await;
        wire.request(&role, None, &[("insert into work.loot values ('ran')", &[])]).await.refused("42501");
    }
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

#[tokio::test]
async fn a38_nested_enter() {
    let world = world().await;
    world.alice().sql("select postern.enter('bob', '{}')").await.refused("42501");
    let mut wire = Wire::gate(world.site(), world.database(), None).await;
    let twice =
        wire.outside("select postern.enter(r, '{}') from unnest(array['alice', 'bob']::name[]) r").await;
    assert_eq!((twice.code(), twice.status), ("55000", 'I'));
    assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    let again = wire.outside("select postern.enter('alice', '{}'), postern.enter('bob', '{}')").await;
    assert_eq!((again.code(), again.status), ("55000", 'I'));
    // Entered by one statement of a pipeline, again by the next.
    let steps = [
        Step::Parse("", "select postern.enter('bob', '{}')", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Sync,
    ];
    assert_eq!(wire.entered("alice", None, &steps).await.code(), "42501");
    assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    assert_eq!(wire.request("bob", None, &[(WHO, &[])]).await.text(), "bob|postern_gate");
    world.canary().await;
}

#[tokio::test]
async fn a39_enter_with_definer_or_set_clause() {
    let world = world().await;
    let before = world.look("select proacl from pg_proc where oid = 'postern.enter'::regproc").await;
    for (change, code, back) in [
        ("security definer", "42501", "security invoker"),
        ("set search_path = pg_catalog", "55000", "reset search_path"),
        ("set work_mem = '1MB'", "55000", "reset all"),
        ("set role = 'postern_gate'", "55000", "reset role"),
    ] {
        world.superuser(&format!("alter function postern.enter(text, text, text) {change}")).await;
        let mut wire = world.wire().await;
        wire.request("alice", None, &[("insert into work.loot values ('ran')", &[])]).await.refused(code);
        assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate", "{change}");
        world.superuser(&format!("alter function postern.enter(text, text, text) {back}")).await;
    }
    assert_eq!(world.loot().await, "");
    assert_eq!(world.look("select proacl from pg_proc where oid = 'postern.enter'::regproc").await, before);
    world.canary().await;
}

#[tokio::test]
async fn a40_enter_inside_a_subtransaction() {
    let world = world().await;
    let mut wire = Wire::gate(world.site(), world.database(), None).await;
    for sql in [
        "do $$ begin begin perform postern.enter('alice', '{}'); raise exception 'x'; exception when raise_exception then null; end; end $$",
        "do $$ begin begin perform postern.enter('alice', '{}'); exception when raise_exception then null; end; end $$",
    ] {
        let exchange = wire.outside(sql).await;
        assert_eq!((exchange.code(), exchange.status), ("55000", 'I'), "{exchange:?}");
        let detail = exchange.error().and_then(|error| error.detail.as_deref()).unwrap_or_default();
        assert!(detail.contains("subtransaction"), "{detail}");
        assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    }
    world.canary().await;
}

#[tokio::test]
async fn a41_enter_fails() {
    let world = world().await;
    let mut wire = world.wire().await;
    let ran: &[(&str, &[Option<&str>])] = &[("insert into work.loot values ('ran')", &[]), (WHO, &[])];
    for (role, facts, code) in [
        ("nosuch", None, "42704"),
        ("app", None, "42501"),
        ("postgres", None, "42501"),
        ("alice", Some("[]"), "22023"),
        ("alice", Some("{"), "22P02"),
    ] {
        wire.request(role, facts, ran).await.refused(code);
        assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    }
    assert_eq!(world.loot().await, "");
    world.canary().await;
}

// The catalogue's escape needs an explicit block around the client's statement: entering refuses to work in one.
#[tokio::test]
async fn a42_statement_after_an_error_in_a_block() {
    let world = world().await;
    let mut wire = Wire::gate(world.site(), world.database(), None).await;
    for begin in ["begin", "start transaction isolation level serializable"] {
        assert_eq!(wire.outside(begin).await.status, 'T');
        let entered = wire.outside("select postern.enter('alice', '{}')").await;
        assert_eq!((entered.code(), entered.status), ("55000", 'E'));
        assert_eq!(wire.outside("rollback").await.status, 'I');
    }
    // Nor does a simple query of several statements work, which is a block too.
    let simple =
        wire.send(&[Step::Query("select postern.enter('alice', '{}'); select x from app.bob_only")]).await;
    assert_eq!((simple.code(), simple.completed()), ("55000", 0));
    let simple = wire.send(&[Step::Query("select 1; select postern.enter('alice', '{}')")]).await;
    assert_eq!(simple.code(), "55000");
    // After an error in a request, what follows in it never runs.
    let steps = [
        Step::Parse("", "select 1/0", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Parse("", "rollback", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Parse("", "set role bob", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Parse("", BOB_ONLY, &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Sync,
    ];
    let exchange = wire.entered("alice", None, &steps).await;
    assert_eq!((exchange.code(), exchange.completed(), exchange.status), ("22012", 1, 'I'), "{exchange:?}");
    world.canary().await;
}

#[tokio::test]
async fn a43_sync_between_enter_and_statement() {
    let world = world().await;
    let mut wire = world.wire().await;
    // What a faulty gate would get: the identity ends with its transaction. So all of a request is one pipeline.
    assert_eq!(wire.entered("alice", None, &[Step::Sync]).await.code(), "");
    assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    // Seen from inside a request: both statements are of one transaction, and in the identity.
    let txid = "select txid_current(), current_user";
    let both = world.alice().batch(&[txid, txid]).await.all();
    assert_eq!(both[0].rows, both[1].rows);
    assert!(both[0].text().ends_with("|alice"));
    // Entering is the first statement: anything before it in the pipeline is refused.
    let late = [
        Step::Parse("", "select 1", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Parse("", "select postern.enter('alice', '{}', 'another key')", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Sync,
    ];
    assert_eq!(wire.send(&late).await.code(), "55000");
    world.canary().await;
}

#[tokio::test]
async fn a44_statements_with_transactions_of_their_own() {
    let world = world().await;
    let alice = world.alice();
    alice.batch(&["create table work.own (i int)", "create index own_i on work.own (i)"]).await.fine();
    for analyze in ["analyze", "analyze work.own, work.dt, work.dq", "analyze work.own"] {
        assert_eq!(alice.batch(&[analyze, "select current_user"]).await.text(), "alice");
    }
    for sql in [
        "vacuum",
        "vacuum full work.own",
        "vacuum (analyze) work.own",
        "create index concurrently on work.own (i)",
        "drop index concurrently work.own_i",
        "reindex table concurrently work.own",
        "reindex schema work",
        "cluster",
        "create database x",
        "drop database postgres",
        "create tablespace x location '/var/tmp'",
        "drop tablespace pg_default",
        "alter system set work_mem = '1MB'",
        "create subscription s connection '' publication p",
    ] {
        alice.batch(&[sql, "reset role"]).await.refused("25001");
        alice
            .sql(&format!("do $$ begin execute '{}'; end $$", sql.replace('\'', "''")))
            .await
            .refused("25001");
    }
    let database = format!("reindex database {}", world.database());
    alice.batch(&[&database, "reset role"]).await.refused("25001");
    alice.sql("discard all").await.refused("0A000");
    // What needs a transaction block has one.
    for sql in [
        "lock table app.t in access share mode",
        "declare c cursor for select 1",
        "set local work_mem = '1MB'",
    ] {
        alice.sql(sql).await.fine();
    }
    world.canary().await;
}

// The wall stands until the commit itself: what runs in ON COMMIT actions runs as alice, which is stricter than to run
// nothing of hers.
#[tokio::test]
async fn a45_code_at_commit() {
    let world = temp_world().await;
    let alice = world.alice();
    let immutable = "create function work.immu(int) returns int immutable language plpgsql as
        $$ begin perform work.evil('immu'); return $1; end $$";
    alice.sql(immutable).await.fine();
    let batch = [
        "create temp table oc (a int) on commit delete rows",
        "create index on oc ((a + work.immu(1)))",
        "create index on oc (work.immu(a)) where work.immu(a) > 0",
        "insert into oc values (1)",
        "create temp table oc2 (a int) on commit drop",
    ];
    alice.batch(&batch).await.fine();
    assert_eq!(world.look("select distinct cu from work.loot").await, "alice");
    world.canary().await;
}

#[tokio::test]
async fn a46_commit_fails() {
    let world = world().await;
    let before = world.backend().await;
    world.alice().sql("insert into app.plain values (1), (1)").await.refused("23505");
    world
        .alice()
        .batch(&["set search_path = work", "insert into app.plain values (1), (1)"])
        .await
        .refused("23505");
    assert_eq!(world.look("select count(*) from app.plain").await, "0");
    assert_eq!(world.backend().await, before);

    // On the wire: the statement completes, the error comes at Sync; the user is the gate's again.
    let mut wire = world.wire().await;
    let steps = [
        Step::Parse("", "insert into app.plain values (1), (1)", &[]),
        Step::Bind("", &[]),
        Step::Execute("", 0),
        Step::Sync,
    ];
    let exchange = wire.entered("alice", None, &steps).await;
    assert!(exchange.replies.contains(&Reply::Complete("INSERT 0 2".to_owned())), "{exchange:?}");
    assert_eq!((exchange.code(), exchange.status), ("23505", 'I'));
    assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    world.canary().await;
}

#[tokio::test]
async fn a46_serialization_failure_at_commit() {
    let world = world().await;
    let mut wire = world.wire().await;
    wire.outside("set default_transaction_isolation = 'serializable'").await;
    // The other one reads and writes, and commits while alice waits for a lock that a third holds.
    let other = world.site().superuser(world.database()).await;
    let third = world.site().superuser(world.database()).await;
    third.batch_execute("select pg_advisory_lock(46)").await.unwrap();
    let pid = wire.pid;
    let batch: &[(&str, &[Option<&str>])] = &[
        ("select count(*) from app.s", &[]),
        ("insert into app.s values (1)", &[]),
        ("select pg_advisory_xact_lock(46)", &[]),
    ];
    let alice = wire.request("alice", None, batch);
    let others = async {
        world.until_waiting(pid).await;
        let write = "begin isolation level serializable; select count(*) from app.s; insert into app.s values (2); commit";
        other.batch_execute(write).await.unwrap();
        third.batch_execute("select pg_advisory_unlock(46)").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(alice, others);
    outcome.refused("40001");
    assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    assert_eq!(world.look("select count(*) from app.s").await, "1");
    world.canary().await;
}

#[tokio::test]
async fn a47_parallel_workers() {
    let world = world().await;
    world.superuser("analyze app.big").await;
    let count = "select count(*), min(current_user::text), max(current_user::text) from app.big";
    let batch = [
        "set local parallel_setup_cost = 0",
        "set local parallel_tuple_cost = 0",
        "set local min_parallel_table_scan_size = 0",
    ];
    let explain = format!("explain {count}");
    let plan = world.alice().batch(&[batch[0], batch[1], batch[2], &explain]).await.text();
    assert!(plan.contains("Workers Planned: 2"), "{plan}");
    let seen = world.alice().batch(&[batch[0], batch[1], batch[2], count]).await;
    assert_eq!(seen.text(), "20000|alice|alice");
    world.canary().await;
}

// A limit that the documentation names, and the doctor looks for: `session_user` is the gate's for everyone.
#[tokio::test]
async fn a48_code_that_trusts_session_user() {
    let world = world().await;
    world.superuser("insert into app.su values ('seen'); create policy p on app.su using (session_user = 'postern_gate')").await;
    assert_eq!(world.alice().sql("select x from app.su").await.text(), "seen");
    // What to ask instead.
    assert_eq!(world.alice().sql("select session_role from postern.identity()").await.text(), "alice");
    world.canary().await;
}

#[tokio::test]
async fn a49_stale_permission_to_enter() {
    let world = world().await;
    let mut wire = world.wire().await;
    let one: &[(&str, &[Option<&str>])] = &[("select current_user", &[])];
    let (dismissed, dropped, renamed, raised) =
        (world.new_role().await, world.new_role().await, world.new_role().await, world.new_role().await);
    for role in [&dismissed, &dropped, &renamed, &raised] {
        assert_eq!(wire.request(role, None, one).await.text(), **role);
    }
    world.superuser(&format!("select postern.dismiss('{dismissed}')")).await;
    wire.request(&dismissed, None, one).await.refused("42501");
    world.superuser(&format!("drop role {dropped}")).await;
    wire.request(&dropped, None, one).await.refused("42704");
    world.superuser(&format!("create role {dropped}")).await;
    wire.request(&dropped, None, one).await.refused("42501");
    world.superuser(&format!("alter role {renamed} rename to {renamed}_new")).await;
    wire.request(&renamed, None, one).await.refused("42704");
    wire.request(&format!("{renamed}_new"), None, one).await.refused("42501");
    world.superuser(&format!("alter role {raised} superuser")).await;
    wire.request(&raised, None, one).await.refused("42501");
    world.superuser(&format!("alter role {raised} nosuperuser")).await;
    wire.request(&raised, None, one).await.fine();
    world.superuser(&format!("grant pg_write_server_files to {raised}")).await;
    wire.request(&raised, None, one).await.refused("42501");
    world.canary().await;
}

// A limit that the documentation names: functions that switch the role themselves do not work inside.
#[tokio::test]
async fn a50_definer_functions_that_switch_role() {
    let world = world().await;
    world
        .superuser(
            "create function app.df() returns text language plpgsql security definer as
                 $$ begin set local role bob; return current_user; end $$;
             create function app.plain_df() returns text language sql security definer as $$ select current_user::text $$;
             alter function app.plain_df() owner to app",
        )
        .await;
    world.alice().sql("select app.df()").await.refused("42501");
    assert_eq!(world.alice().batch(&["select app.plain_df()", "select current_user"]).await.text(), "alice");
    world.canary().await;
}

// Entering writes nothing: it works where nothing can be written, facts too.
#[tokio::test]
async fn a51_hot_standby() {
    let site: &'static Site = Box::leak(Box::new(Site::start(Membership::Granted, &[])));
    let world = World::builder().start(site).await;
    let standby = site.cluster().standby().expect("a standby");
    let mut wire = Wire::standby(site, &standby, world.database()).await;
    let facts = Some(r#"{"claims": {"sub": "bob"}}"#);
    let seen = "select pg_is_in_recovery(), current_user, postern.fact('claims.sub'), current_setting('request.jwt.claims')";
    assert_eq!(wire.request("bob", facts, &[(seen, &[])]).await.text(), r#"t|bob|bob|{"sub": "bob"}"#);
    assert_eq!(wire.request("bob", facts, &[("select v from app.f", &[])]).await.text(), "fact-b");
    assert_eq!(wire.request("alice", None, &[("select v from app.f", &[])]).await.text(), "");
    for (sql, code) in [
        ("reset role", "42501"),
        ("set role bob", "42501"),
        ("select set_config('role', 'bob', true)", "42501"),
        ("set session authorization bob", "42501"),
        ("do $$ begin execute 'reset role'; end $$", "42501"),
        ("commit", "2D000"),
        ("do $$ begin commit; end $$", "2D000"),
        ("listen x", "0A000"),
        ("prepare p as select 1", "0A000"),
        ("declare h cursor with hold for select 1", "0A000"),
        ("select * from pg_prepared_statements", "42501"),
        ("select set_config('request.jwt.claims', '{}', true)", "42501"),
        ("select postern.enter('bob', '{}')", "42501"),
        ("insert into app.s values (1)", "25006"),
        ("create table work.x (i int)", "25006"),
    ] {
        wire.request("alice", None, &[(sql, &[])]).await.refused(code);
        assert_eq!(wire.outside(WHO).await.text(), "postern_gate|postern_gate");
    }
    wire.request(
        "alice",
        None,
        &[("select pg_advisory_lock(1), setseed(0.1), set_config('search_path', 'work', false)", &[])],
    )
    .await
    .fine();
    let left = "select (select count(*) from pg_catalog.pg_locks where locktype = 'advisory'), current_setting('search_path')";
    assert_eq!(wire.request("bob", None, &[(left, &[])]).await.text(), r#"0|"$user", public"#);
    wire.request("app", None, &[("select 1", &[])]).await.refused("42501");
    world.canary().await;
}
