//! Rows on a hot standby: what was granted and set counts there once it has been replayed, also for statements that were prepared before;
//! nothing can be changed there.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use postern_cluster::Cluster;
use tokio_postgres::{Client, Config, NoTls, Statement};

const SETUP: &str = "
    create role clerk login;
    create table doc (id int primary key, tenant int); insert into doc select n, n % 3 from generate_series(1, 9) n;
    alter table doc enable row level security; create policy tenant on doc using (tenant = 1);
    grant select on doc to clerk";

/// On the standby, with the password that the primary knows.
async fn session(primary: &Cluster, standby: &Cluster) -> (Client, Statement) {
    let mut config: Config = standby.url("clerk", "app").parse().unwrap();
    config.password(primary.password("clerk").unwrap());
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    let prepared = client.prepare("select count(*) from doc").await.unwrap();
    (client, prepared)
}

/// How many rows there are for the session, or the SQLSTATE of the refusal.
async fn count((client, prepared): &(Client, Statement)) -> Result<i64, String> {
    let row = client.query_one(prepared, &[]).await;
    row.map(|row| row.get(0)).map_err(|error| error.code().unwrap().code().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_granted_on_the_primary_counts_on_the_standby() {
    let primary = Cluster::builder().extension(true).start().unwrap();
    primary.create_database("app", true).unwrap();
    primary.psql("app", SETUP).unwrap();
    primary.set_password("clerk").unwrap();
    let standby = primary.standby().unwrap();
    standby.catch_up_with(&primary).unwrap();
    let changed = |sql: &str| {
        primary.psql("app", sql).unwrap();
        standby.catch_up_with(&primary).unwrap();
    };
    let reader = session(&primary, &standby).await;
    assert_eq!(count(&reader).await, Ok(3));
    changed("select postern.grant_direct('{select}', 'doc', '{clerk}')");
    assert_eq!(count(&reader).await, Ok(9));
    changed("select postern.revoke_direct('{select}', 'doc', '{clerk}', true)");
    assert_eq!(count(&reader).await, Ok(3));
    changed("select postern.set_row_security('error', 'doc', 'clerk')");
    assert_eq!(count(&reader).await, Err("42501".to_owned()));
    changed(
        "select postern.set_row_security('default', 'doc', 'clerk'); select postern.grant_direct('{select}', 'doc', '{clerk}')",
    );
    assert_eq!(count(&reader).await, Ok(9));
    // A plain REVOKE ends it there as well, and a plain GRANT brings the plain privilege back.
    changed("revoke select on doc from clerk");
    changed("grant select on doc to clerk");
    assert_eq!(count(&reader).await, Ok(3));
    // The standby answers who sees what, and changes nothing.
    let access = "select access from postern.row_access where relation = 'doc'::regclass and role = 'clerk' and command = 'SELECT'";
    assert_eq!(standby.psql("app", access).unwrap(), "filtered");
    let refused =
        standby.psql("app", "select postern.grant_direct('{select}', 'doc', '{clerk}')").unwrap_err();
    assert!(refused.to_string().contains("recovery"), "{refused}");
    let refused = standby.psql("app", "select postern.set_row_security('error', 'doc')").unwrap_err();
    assert!(refused.to_string().contains("read-only transaction"), "{refused}");
    let explained = "select says from postern.explain_row('doc', '{\"id\": 1}', as_role => 'clerk') where step = 'verdict'";
    assert_eq!(standby.psql("app", explained).unwrap(), "visible");
}
