//! F1 – F10: persistent tampering: what a role that many people share can change for all of them.

use super::world;

// A limit that the documentation names, and the doctor warns of: what others call runs as them. It still cannot leave them.
#[tokio::test]
async fn f01_trojans() {
    let world = world().await;
    world.superuser("grant create, usage on schema work to bob").await;
    for sql in [
        "create function work.helper() returns int language plpgsql as
             $$ begin perform work.evil('helper ' || current_user); return 1; end $$",
        "create trigger trojan before insert on app.t for each statement execute function work.evil_trg('trigger')",
        "create view work.report as select work.evil('view ' || current_user)",
    ] {
        world.alice().sql(sql).await.fine();
    }
    world.bob().sql("select work.helper()").await.fine();
    world.superuser("grant select on work.report to bob").await;
    world.bob().sql("select * from work.report").await.fine();
    world.bob().sql("insert into app.t (id) values (10)").await.fine();
    // As the victim, never as the gate, and with no way to anyone else: the canary looks at what the probe wrote.
    assert_eq!(world.loot().await, "helper bob|bob\ntrigger|bob\nview bob|bob");
    world.canary().await;
}

// Stricter than to tolerate it: refused for every role, since it reaches sessions that are not of the gate.
#[tokio::test]
async fn f02_alter_role() {
    let world = world().await;
    for sql in [
        "alter role alice set search_path = 'evil'",
        "alter role current_user set statement_timeout = 0",
        "alter role alice in database postgres set statement_timeout = 0",
        "alter role alice password 'x'",
        "alter user alice password 'x'",
        "alter role alice set role = bob",
        "alter role alice valid until 'infinity'",
        "alter role alice connection limit 0",
        "alter role alice rename to eve",
        "alter role alice bypassrls",
        "alter role alice reset all",
        "do $$ begin execute 'alter role alice password ''x'''; end $$",
    ] {
        world.alice().sql(sql).await.refused("42501");
    }
    assert_eq!(world.look("select rolpassword is null, rolconfig is null from pg_authid a left join pg_db_role_setting s
        on s.setrole = a.oid, lateral (select s.setconfig) c(rolconfig) where rolname = 'alice'").await, "t|t");
    world.canary().await;
}

#[tokio::test]
async fn f03_comments_and_labels() {
    let world = world().await;
    world.alice().sql("comment on table work.dt is 'x'").await.fine();
    world.alice().sql("comment on table app.t is 'x'").await.refused("42501");
    world.alice().sql("comment on role alice is 'x'").await.refused("42501");
    world.alice().sql("security label on table work.dt is 'x'").await.refused("22023");
    world.canary().await;
}

// A limit that the documentation names: everyone behind a role owns what the role owns.
#[tokio::test]
async fn f04_drop_owned() {
    let world = world().await;
    let role = world.new_role().await;
    world
        .superuser(&format!("create table work.precious (i int); alter table work.precious owner to {role}"))
        .await;
    world.actor(&role).sql(&format!("drop owned by {role}")).await.fine();
    assert_eq!(world.look("select to_regclass('work.precious') is null").await, "t");
    world.alice().sql("drop owned by bob").await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn f05_default_privileges() {
    let world = world().await;
    world.alice().sql("alter default privileges grant select on tables to public").await.fine();
    world
        .alice()
        .sql("alter default privileges for role bob grant select on tables to public")
        .await
        .refused("42501");
    world.alice().sql("create table work.later (i int)").await.fine();
    world.bob().sql("select * from work.later").await.fine();
    world.canary().await;
}

#[tokio::test]
async fn f06_large_objects() {
    let world = world().await;
    let oid = world.alice().sql("select lo_from_bytea(0, 'x')").await.text();
    world.bob().sql(&format!("select lo_get({oid})")).await.refused("42501");
    assert_eq!(world.alice().sql(&format!("select lo_get({oid})")).await.text(), "\\x78");
    // An open descriptor ends with the request.
    world.alice().sql(&format!("select lo_open({oid}, 262144)")).await.fine();
    world.bob().sql("select loread(0, 10)").await.refused("42704");
    world.canary().await;
}

#[tokio::test]
async fn f07_publications() {
    let world = world().await;
    world.alice().sql("create publication p for table work.dt").await.refused("42501");
    world.alice().sql("create publication p for all tables").await.refused("42501");
    world.alice().sql("select pg_create_logical_replication_slot('x', 'pgoutput')").await.refused("42501");
    world.alice().sql("select pg_create_physical_replication_slot('x')").await.refused("42501");
    world.canary().await;
}

#[tokio::test]
async fn f08_prepare_transaction() {
    let world = world().await;
    world.alice().sql("prepare transaction 'x'").await.refused("2D000");
    world.alice().sql("do $$ begin execute 'prepare transaction ''x'''; end $$").await.refused("0A000");
    assert_eq!(world.look("select count(*) from pg_prepared_xacts").await, "0");
    world.canary().await;
}

// A limit that the documentation names, and the doctor warns of: TRUNCATE asks for no policy.
#[tokio::test]
async fn f09_truncate_ignores_row_security() {
    let world = world().await;
    world.superuser("insert into app.t values (3, 'bob', 'b3')").await;
    world.alice().sql("truncate app.t").await.fine();
    assert_eq!(world.look("select count(*) from app.t").await, "0");
    world.superuser("revoke truncate on app.t from alice; insert into app.t values (3, 'bob', 'b3')").await;
    world.alice().sql("truncate app.t").await.refused("42501");
    world.canary().await;
}

// A limit that the documentation names: as F4.
#[tokio::test]
async fn f10_shared_ownership() {
    let world = world().await;
    let one = world.alice().claiming(serde_json::json!({ "sub": "one" }));
    let two = world.alice().claiming(serde_json::json!({ "sub": "two" }));
    one.sql("create table work.x as select 1 i").await.fine();
    two.sql("drop table work.x").await.fine();
    world.canary().await;
}
