//! A gate in front of a hot standby: facts need no write.

use postern_cluster::Cluster;
use postern_e2e::{Example, Front};
use postern_gate::Config;

const TENANTS: &str = "select string_agg(distinct tenant, ',') from invoices";

/// The standby knows the passwords of its primary, this process only the primary's of the gate.
fn login(primary: &Cluster) -> impl FnOnce(&mut Config) {
    let password = primary.password("postern_gate").expect("it was set");
    |config| config.database.password = Some(password.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_standby_serves_reads_with_facts() {
    let example = Example::start(&[]);
    let primary = example.cluster();
    let database = example.database("");
    let standby = primary.standby().unwrap();
    standby.catch_up_with(primary).unwrap();
    assert_eq!(standby.psql(&database, "select pg_is_in_recovery()").unwrap(), "t");

    let front = Front::with(&standby, &database, &["app_user"], |config| {
        login(primary)(config);
        config.auth.api_keys = Some(postern_auth::config::ApiKeys {
            enabled: true,
            roles: config.auth.jwt[0].rules.roles.clone(),
            cache_ttl: std::time::Duration::ZERO,
        });
    })
    .await;
    let (alice, bob) = (front.token("alice", "acme"), front.token("bob", "globex"));

    // Each her own rows, by both protocols; facts, parallel or not, with named plans and without.
    for _ in 0..3 {
        assert_eq!(front.ask(&alice, TENANTS).await.text(), "acme");
        assert_eq!(front.query(&bob, TENANTS).await.text(), "globex");
    }
    let claims =
        "select postern.fact('claims.sub'), current_setting('request.jwt.claims')::json ->> 'tenant'";
    assert_eq!(front.ask(&bob, claims).await.text(), "bob|globex");
    front.ask(&bob, "reset role").await.refused(400, "42501", "");

    // No writing, said as PostgreSQL says it; and the next request works.
    for write in [
        "insert into invoices (number, customer) values ('1', 'x')",
        "update invoices set paid_on = current_date",
        "create table public.t (i int)",
        "select pg_current_xact_id()",
    ] {
        front.ask(&alice, write).await.refused(400, "25006", "");
        assert_eq!(front.ask(&alice, TENANTS).await.text(), "acme");
    }

    // What the primary writes arrives, and so does what it decides: keys, and who may be entered.
    let new = "insert into invoices (tenant, number, customer, created_by) values ('acme', '2026-004', 'x', 'alice')";
    primary.psql(&database, new).unwrap();
    let key = primary
        .psql(&database, "select postern.create_api_key('app_user', 'bob', '{\"tenant\": \"globex\"}')")
        .unwrap();
    standby.catch_up_with(primary).unwrap();
    assert_eq!(front.ask(&alice, "select count(*) from invoices").await.text(), "4");
    assert_eq!(front.ask(&key, TENANTS).await.text(), "globex");
    primary
        .psql(
            &database,
            "select postern.revoke_api_key(id) from postern.api_key; select postern.dismiss('app_user')",
        )
        .unwrap();
    standby.catch_up_with(primary).unwrap();
    front.ask(&key, TENANTS).await.refused(400, "28000", "PST201");
    front.ask(&alice, TENANTS).await.refused(400, "28000", "PST201");

    // Promoted, it is a server like any other, without the gate being told.
    standby.psql("postgres", "select pg_promote()").unwrap();
    standby.psql(&database, "select postern.admit('app_user')").unwrap();
    let write = "insert into invoices (number, customer) values ('2026-005', 'x') returning tenant";
    assert_eq!(front.ask(&alice, write).await.text(), "acme");
}
