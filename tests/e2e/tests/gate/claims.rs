//! Policies that read `request.jwt.claims`, written for PostgREST and Supabase, hold as they are; and unlike there, no SQL
//! can forge what they read.

use postern_e2e::Front;
use serde_json::{Map, Value, json};

use crate::example;

const ALICE: &str = "00000000-0000-4000-8000-00000000000a";
const BOB: &str = "00000000-0000-4000-8000-00000000000b";
const TASKS: &str = "select string_agg(task, ', ' order by id) from public.todos";

async fn front() -> Front {
    let database = example().database(include_str!("claims.sql"));
    Front::start(example().cluster(), &database).await
}

fn token(front: &Front, subject: &str, teams: &[&str]) -> String {
    let mut claims: Map<String, Value> = front.issuer.claims("app_user", subject);
    claims.insert("app_metadata".into(), json!({ "teams": teams }));
    front.issuer.sign(&claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_on_the_claims_setting_holds_unchanged() {
    let front = front().await;
    let (alice, bob) = (token(&front, ALICE, &["red"]), token(&front, BOB, &["red", "blue"]));
    assert_eq!(front.ask(&alice, TASKS).await.text(), "of alice, of the red team");
    assert_eq!(front.ask(&bob, TASKS).await.text(), "of bob, of the red team, of the blue team");

    // Defaults, writing, and writing as another.
    assert_eq!(
        front.ask(&bob, "insert into todos (id, task) values (5, 'new') returning user_id").await.text(),
        BOB
    );
    let forged = format!("insert into todos (id, user_id, task) values (6, '{ALICE}', 'new')");
    front.ask(&bob, &forged).await.refused(400, "42501", "");
    assert_eq!(front.ask(&bob, "update todos set task = 'x' where id = 1 returning id").await.text(), "");
    front
        .ask(&bob, &format!("update todos set user_id = '{ALICE}' where id = 5"))
        .await
        .refused(400, "42501", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sql_forges_the_claims_that_a_policy_reads() {
    let front = front().await;
    let bob = token(&front, BOB, &[]);
    let claims =
        json!({ "sub": ALICE, "role": "app_user", "app_metadata": { "teams": ["red", "blue"] } }).to_string();
    let set_claims = format!("select set_config('request.jwt.claims', '{claims}', true)");
    let set_sub = format!("select set_config('request.jwt.claim.sub', '{ALICE}', true)");

    // Setting it, in every way there is; then the same transaction reads.
    let attempts = [
        set_claims.clone(),
        set_claims.replace("true", "false"),
        set_claims.replace(&claims, ""),
        set_sub.clone(),
        format!("set request.jwt.claims = '{claims}'"),
        format!("set local request.jwt.claim.sub = '{ALICE}'"),
        format!("set \"Request\".JWT.\"Claim\".sub = '{ALICE}'"),
        format!("do $x$ begin perform set_config('request.jwt.claims', '{claims}', true); end $x$"),
        format!(
            "create function work.f() returns text language sql set request.jwt.claim.sub = '{ALICE}' as 'select 1'"
        ),
        format!("alter role app_user set request.jwt.claim.sub = '{ALICE}'"),
        format!("update pg_catalog.pg_settings set setting = '{ALICE}' where name like 'request.jwt.claim%'"),
    ];
    for attempt in &attempts {
        let batch = json!({ "queries": [{ "query": attempt }, { "query": TASKS }] });
        let returned = front.ask_for(&bob, &batch).await;
        if returned.status == 200 {
            assert_eq!(returned.body["results"][1]["rows"], json!([["of bob"]]), "{attempt}");
        } else {
            returned.refused(400, "42501", "");
        }
    }

    // Going on after the refusal.
    for statement in [&set_claims, &set_sub] {
        let statement = statement.replacen("select", "perform", 1);
        let swallowed = format!(
            "do $x$ begin begin {statement}; exception when others then null; end;
             if exists (select from public.todos where user_id <> '{BOB}') then raise 'forged'; end if; end $x$"
        );
        assert_eq!(front.ask(&bob, &swallowed).await.status, 200, "{swallowed}");
    }

    // Resetting takes nothing away: what a policy allows to those without claims is not to be had.
    for statement in ["reset all", "reset request.jwt.claims", "set request.jwt.claims to default"] {
        let batch = json!({ "queries": [{ "query": statement }, { "query": "select auth.uid()" }] });
        let returned = front.ask_for(&bob, &batch).await;
        if returned.status == 200 {
            assert_eq!(returned.body["results"][1]["rows"], json!([[BOB]]), "{statement}");
        } else {
            returned.refused(400, "42501", "");
        }
    }
    let alice = token(&front, ALICE, &[]);
    assert_eq!(front.ask(&alice, TASKS).await.text(), "of alice");
}
