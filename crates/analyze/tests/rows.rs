//! The rules about rows: each page shows what its rule finds, and what mends it; nothing of anybody's is called.

#![allow(clippy::unwrap_used, reason = "a test")]

use postern_analyze::check::rows::{self, RULES};
use postern_analyze::check::{Finding, Severity, output};
use postern_cluster::Cluster;
use tokio_postgres::{Client, NoTls};

/// A database of its own, of a server with the extension.
async fn database(cluster: &Cluster, name: &str) -> Client {
    cluster.create_database(name, true).unwrap();
    let (client, connection) =
        tokio_postgres::connect(&cluster.url(cluster.superuser(), name), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn rules(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.rule).collect()
}

#[tokio::test]
async fn the_page_of_each_rule_shows_what_it_finds_and_what_mends_it() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules");
    for (n, rule) in RULES.iter().enumerate() {
        let page = std::fs::read_to_string(pages.join(format!("{}.md", rule.id))).unwrap();
        let blocks: Vec<&str> =
            page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let [case, remedy] = blocks[..] else { panic!("{} has not two blocks", rule.id) };
        let client = database(&cluster, &format!("rule{n}")).await;
        assert!(rows::find(&client).await.unwrap().is_empty(), "{}", rule.id);
        client.batch_execute(case).await.unwrap_or_else(|error| panic!("{}: {error:?}", rule.id));
        let found = rows::find(&client).await.unwrap();
        assert_eq!(rules(&found), [rule.id], "{found:#?}");
        let again = rows::find(&client).await.unwrap();
        assert_eq!(found, again);
        assert!(output::text(&found).contains(rule.id));
        assert!(output::sarif(&found).to_string().contains(&format!("rules/{}.md", rule.id)));
        client.batch_execute(remedy).await.unwrap_or_else(|error| panic!("{}: {error:?}", rule.id));
        let found = rows::find(&client).await.unwrap();
        assert!(found.is_empty(), "{}: {found:#?}", rule.id);
        client.batch_execute("DROP OWNED BY clerk; DROP ROLE clerk").await.ok();
        client.batch_execute("DROP OWNED BY app, staff").await.ok();
    }
}

#[tokio::test]
async fn who_has_direct_access_goes_past_policies_in_functions_too() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    let client = database(&cluster, "app").await;
    client
        .batch_execute(
            "create role owner; create role boss; create role team; create role other; grant team to boss; grant create on schema public to owner, boss, other; set role owner;
             create table public.doc (id int primary key, tenant text);
             alter table public.doc enable row level security, force row level security;
             create policy mine on public.doc using (tenant = current_user);
             grant select on public.doc to other; select postern.grant_direct('{select}', 'public.doc', '{team}');
             set role boss; create function public.titles() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from public.doc';
             set role other; create function public.filtered() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from public.doc';
             reset role",
        )
        .await
        .unwrap();
    let found = rows::find(&client).await.unwrap();
    assert_eq!(rules(&found), ["function-past-policies"], "{found:#?}");
    assert_eq!((found[0].object.as_str(), found[0].name.as_deref()), ("public.titles()", Some("public.doc")));
    client.batch_execute("set role owner; select postern.revoke_direct('{select}', 'public.doc', '{team}', true); reset role").await.unwrap();
    assert!(rows::find(&client).await.unwrap().is_empty());

    // Somebody's own table of that name is not asked: a view would run what its owner likes.
    client
        .batch_execute(
            "drop extension postern cascade; drop schema if exists postern cascade; create schema postern authorization boss;
             create function postern.trap() returns oid language plpgsql as $$ begin raise 'called'; end $$;
             create view postern.direct_access as select postern.trap() as relation, 0::oid as grantee",
        )
        .await
        .unwrap();
    assert!(rows::find(&client).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_policy_is_planned_only_where_nothing_of_anybodys_is_called() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    let client = database(&cluster, "app").await;
    client
        .batch_execute(
            "create function trap(t text) returns text language sql immutable as 'select null::text';
             create function stable_trap() returns text language plpgsql stable as $$ begin raise exception 'called'; end $$;
             create table plain (id int, tenant text); create index on plain (tenant);
             create table trapped (id int, tenant text);
             create table indexed (id int, tenant text);
             alter table plain enable row level security; alter table trapped enable row level security; alter table indexed enable row level security;
             create policy p on plain using (tenant = postern.fact('claims.tenant') and tenant <> 'it''s (SELECT x)');
             create policy p on trapped using (tenant = postern.fact('claims.tenant') and tenant = stable_trap() and id < 7);
             create policy p on indexed using (tenant = postern.fact('claims.tenant'));
             alter table indexed add check (id < 100 or trap('x') is null);
             create or replace function trap(t text) returns text language plpgsql immutable as $$ begin raise exception 'called %', t; end $$",
        )
        .await
        .unwrap();
    let found = rows::find(&client).await.unwrap();
    let of = |object: &str| -> Vec<&Finding> {
        found.iter().filter(|finding| finding.object == object && finding.rule == "policy-per-row").collect()
    };
    let [plain] = of("public.plain")[..] else { panic!("{found:#?}") };
    assert_eq!(plain.severity, Severity::Warning);
    let proof = plain.proof.as_deref().unwrap();
    assert!(proof.starts_with("before:\n  ") && proof.contains("\nafter:\n  "), "{proof}");
    assert!(proof.contains("InitPlan"), "{proof}");
    assert_eq!(
        plain.remedy,
        "ALTER POLICY p ON public.plain USING (((tenant = (SELECT postern.fact('claims.tenant'::text))) AND (tenant <> 'it''s (SELECT x)'::text)))"
    );
    client.batch_execute(&plain.remedy).await.unwrap();
    // Both calls are told, and neither is made.
    let trapped = of("public.trapped");
    assert_eq!(trapped.len(), 2, "{found:#?}");
    assert!(trapped.iter().all(|finding| finding.proof.is_none()), "{trapped:#?}");
    assert!(of("public.indexed").iter().all(|finding| finding.proof.is_none()));
    assert!(of("public.indexed").len() == 1);
    assert!(rows::find(&client).await.unwrap().iter().all(|finding| finding.object != "public.plain"));
}

#[tokio::test]
async fn anybody_may_ask_and_ours_is_clean() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    let client = database(&cluster, "app").await;
    client
        .batch_execute(
            "create role owner; create role nobody; create schema authorization owner; set role owner;
             create table owner.member (who name, tenant int); create table owner.doc (id int, tenant int);
             alter table owner.doc enable row level security;
             select postern.create_policy('owner.doc', 'mine', run_as => 'owner', using_qual => 'tenant in (select tenant from owner.member where who = current_user)');
             set role nobody",
        )
        .await
        .unwrap();
    let found = rows::find(&client).await.unwrap();
    assert!(found.is_empty(), "{found:#?}");
}
