//! `POST /sql`: what drivers of the Neon protocol rely on.

use serde_json::{Value, json};

use crate::common::{Answer, Site};

#[tokio::test]
async fn a_statement_runs_as_the_role_and_with_the_facts_of_the_token() {
    let site = Site::new().await;
    let answer = site.sql("ann", "select id, owner, current_user as me from public.notes", &[]).await.ok();
    assert_eq!(answer["rows"], json!([["1", "ann", "app_user"]]));
    assert_eq!(answer["command"], "SELECT");
    assert_eq!(answer["rowCount"], 1);
    assert_eq!(answer["rowAsArray"], true);
    let table: i64 = site.psql("select 'public.notes'::regclass::oid").trim().parse().unwrap();
    let field = json!({"name": "id", "dataTypeID": 23, "tableID": table, "columnID": 1, "dataTypeSize": 4,
                       "dataTypeModifier": -1, "format": "text"});
    assert_eq!(answer["fields"][0], field);
    site.still_works().await;
}

#[tokio::test]
async fn the_role_cannot_be_left() {
    let site = Site::new().await;
    for sql in ["reset role", "set role app_admin", "select set_config('role', 'app_admin', false)"] {
        assert_eq!(site.sql("ann", sql, &[]).await.refusal(), "400 42501 -", "{sql}");
    }
    assert_eq!(site.sql("ann", "commit", &[]).await.refusal(), "400 2D000 -");
    site.still_works().await;
}

#[tokio::test]
async fn parameters_of_every_kind_of_json() {
    let site = Site::new().await;
    let body = json!({
        "query": "select $1::int, $2::text, $3::bool, $4::jsonb, $5::int[], $6::text[], $7::numeric, $8::text",
        "params": [1, "it's", true, {"a": [1]}, [1, null], [["a\"b"], [null]], 1.50, null],
    });
    // As sent: the number keeps its digits.
    let body = body.to_string().replace("1.5,", "1.50,");
    let answer = Answer::of(site.neon("ann").body(body).send().await.unwrap()).await.ok();
    let row = json!([["1", "it's", "t", "{\"a\": [1]}", "{1,NULL}", "{{\"a\\\"b\"},{NULL}}", "1.50", null]]);
    assert_eq!(answer["rows"], row);
}

#[tokio::test]
async fn statements_without_rows_have_all_members() {
    let site = Site::new().await;
    for (sql, command, count) in [
        ("insert into public.notes(id, text) values (10, 'a'), (11, 'b')", "INSERT", json!(2)),
        ("update public.notes set text = 'c' where id = 10", "UPDATE", json!(1)),
        ("delete from public.notes where id in (10, 11)", "DELETE", json!(2)),
        ("set work_mem = '4MB'", "SET", Value::Null),
        ("", "", Value::Null),
        (";", "", Value::Null),
        ("-- nothing", "", Value::Null),
        ("do $$ begin end $$", "DO", Value::Null),
    ] {
        let answer = site.sql("ann", sql, &[]).await.ok();
        assert_eq!(answer["fields"], json!([]), "{sql}");
        assert_eq!(answer["rows"], json!([]), "{sql}");
        assert_eq!((&answer["command"], &answer["rowCount"]), (&json!(command), &count), "{sql}");
    }
    let rows = site.sql("ann", "select", &[]).await.ok();
    assert_eq!((&rows["fields"], &rows["rows"]), (&json!([]), &json!([[]])));
}

#[tokio::test]
async fn without_the_headers_of_the_driver_values_are_converted() {
    let site = Site::new().await;
    let request = site
        .request(reqwest::Method::POST, "/sql")
        .header("Neon-Connection-String", site.connection_string("app_user"))
        .bearer_auth(site.token("ann"));
    let body = json!({"query": "select 1::int as a, 2::int8 as b, true as c, '{\"x\":[1]}'::json as d, \
                                array[1,null] as e, 'NaN'::float8 as f, null as g, 1.5::float4 as h"});
    let answer = Answer::of(request.body(body.to_string()).send().await.unwrap()).await.ok();
    let row = json!({"a": 1, "b": "2", "c": true, "d": {"x": [1]}, "e": [1, null], "f": "NaN", "g": null, "h": 1.5});
    assert_eq!(answer["rows"], json!([row]));
    assert_eq!(answer["rowAsArray"], false);
}

#[tokio::test]
async fn duplicate_names_are_all_kept() {
    let site = Site::new().await;
    let answer = site.sql("ann", "select 1 as a, 2 as a", &[]).await.ok();
    assert_eq!(answer["rows"], json!([["1", "2"]]));
}

#[tokio::test]
async fn names_and_values_cannot_break_out_of_the_json() {
    let site = Site::new().await;
    let name = "x\"}],\"rows\":[[\"\r\nSet-Cookie: a=b\u{1}";
    let sql = format!("select '{}' as \"{}\"", name.replace('\'', "''"), name.replace('"', "\"\""));
    let answer = site.sql("ann", &sql, &[]).await;
    assert_eq!(answer.header("set-cookie"), None);
    let json = answer.ok();
    assert_eq!((&json["fields"][0]["name"], &json["rows"][0][0]), (&json!(name), &json!(name)));
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let site = Site::new().await;
    let answer = site
        .batch(
            "ann",
            &["insert into public.notes(id) values (20)", "select count(*) from public.notes", ""],
            &[],
        )
        .await
        .ok();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[1]["rows"], json!([["2"]]));

    let failed =
        site.batch("ann", &["insert into public.notes(id) values (21)", "select 1/0", "select 1"], &[]).await;
    assert_eq!(failed.refusal(), "400 22012 -");
    assert_eq!(site.psql("select count(*) from public.notes where id = 21").trim(), "0");
    assert_eq!(site.batch("ann", &[], &[]).await.ok(), json!({"results": []}));
    site.still_works().await;
}

#[tokio::test]
async fn a_batch_runs_with_the_options_of_its_headers() {
    let site = Site::new().await;
    let show = ["show transaction_isolation", "show transaction_read_only", "show transaction_deferrable"];
    let shown = |answer: Answer| -> Vec<String> {
        let answer = answer.ok();
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| result["rows"][0][0].as_str().unwrap().to_owned()).collect()
    };
    let headers = [
        ("Neon-Batch-Isolation-Level", "Serializable"),
        ("Neon-Batch-Read-Only", "true"),
        ("Neon-Batch-Deferrable", "true"),
    ];
    let answer = site.batch("ann", &show, &headers).await;
    assert_eq!(answer.header("neon-batch-isolation-level"), Some("Serializable"));
    assert_eq!(answer.header("neon-batch-read-only"), Some("true"));
    assert_eq!(shown(answer), ["serializable", "on", "on"]);
    assert_eq!(shown(site.batch("ann", &show, &[]).await), ["read committed", "off", "off"], "nothing stays");

    let write = ["insert into public.notes(id) values (30)"];
    let refused = site.batch("ann", &write, &[("Neon-Batch-Read-Only", "true")]).await;
    assert_eq!(refused.refusal(), "400 25006 -");
    let unknown = site.batch("ann", &write, &[("Neon-Batch-Isolation-Level", "serializable")]).await;
    assert_eq!(unknown.refusal(), "400 22023 PST112");
}

#[tokio::test]
async fn an_error_at_the_commit_is_an_error() {
    let site = Site::new().await;
    let answer = site.sql("ann", "insert into public.deferred values (1), (1)", &[]).await;
    assert_eq!(answer.refusal(), "400 23505 -");
    let error = answer.json();
    assert_eq!((&error["table"], &error["constraint"]), (&json!("deferred"), &json!("deferred_pkey")));
    assert_eq!(site.psql("select count(*) from public.deferred").trim(), "0");
    site.still_works().await;
}

#[tokio::test]
async fn an_error_has_every_member_that_the_driver_reads() {
    let site = Site::new().await;
    let error = site.sql("ann", "select * from boom", &[]).await.json();
    assert_eq!(error["message"], "relation \"boom\" does not exist");
    assert_eq!(
        (&error["code"], &error["position"], &error["severity"]),
        (&json!("42P01"), &json!("15"), &json!("ERROR"))
    );
    for member in [
        "detail",
        "hint",
        "internalPosition",
        "internalQuery",
        "where",
        "table",
        "column",
        "schema",
        "dataType",
        "constraint",
    ] {
        assert_eq!(error.get(member), Some(&Value::Null), "{member}");
    }
    assert!(error["line"].is_string() && error["routine"].is_string() && error["file"].is_string());

    let site = Site::with("[errors]\nhide_internals = true\n").await;
    let error = site.sql("ann", "select * from boom", &[]).await.json();
    assert_eq!(
        (&error["code"], &error["line"], &error["file"]),
        (&json!("42P01"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn the_connection_string_asks_and_does_not_decide() {
    let site = Site::new().await;
    let try_string = async |string: &str| {
        let request =
            site.request(reqwest::Method::POST, "/sql").header("Neon-Connection-String", string).bearer_auth(
                site.token_with("ann", &json!(["app_user", "app_admin"]), std::time::Duration::from_mins(1)),
            );
        Answer::of(request.body(r#"{"query":"select current_user as me"}"#).send().await.unwrap()).await
    };
    let db = &site.database;
    for role in ["app_user", "app_admin"] {
        let answer = try_string(&format!("postgresql://{role}:null@gate.example/{db}")).await.ok();
        assert_eq!(answer["rows"], json!([{"me": role}]), "each role that the token has can be asked for");
    }
    for role in [
        "outsider",
        "no_such_role",
        "postgres",
        "postern_gate",
        "APP_USER",
        "app_user%20",
        "%22app_user%22",
        "none",
        "public",
    ] {
        let answer = try_string(&format!("postgresql://{role}@gate.example/{db}")).await;
        assert_eq!(answer.refusal(), "400 28000 PST201", "{role}");
    }
    assert_eq!(try_string("postgresql://app_user@gate.example/other").await.refusal(), "400 3D000 PST111");
    let smuggled = format!("postgresql://app_user@gate.example/{db}?options=-c%20role%3Dapp_admin");
    assert_eq!(try_string(&smuggled).await.refusal(), "400 08P01 PST110");
    assert_eq!(try_string("nonsense").await.refusal(), "400 08P01 PST109");
}

#[tokio::test]
async fn an_unknown_role_a_forbidden_role_and_a_bad_token_look_alike() {
    let site = Site::new().await;
    let attempt = async |token: String| {
        let request = site
            .request(reqwest::Method::POST, "/sql")
            .header(
                "Neon-Connection-String",
                site.connection_string("x").replace("//x:ignored@", "//app_user@"),
            )
            .bearer_auth(token);
        let answer = Answer::of(request.body(r#"{"query":"select 1"}"#).send().await.unwrap()).await;
        (answer.status, answer.text)
    };
    let role = |role: &str| site.token_with("ann", &json!(role), std::time::Duration::from_mins(1));
    let bad = attempt("bad".to_owned()).await;
    assert_eq!(bad.0, 400);
    assert_eq!(attempt(role("outsider")).await, bad, "not the role that was asked for");
    let attempt_as = async |role_name: &str| {
        let string = format!("postgresql://{role_name}@gate.example/{}", site.database);
        let request = site
            .request(reqwest::Method::POST, "/sql")
            .header("Neon-Connection-String", string)
            .bearer_auth(role(role_name));
        let answer = Answer::of(request.body(r#"{"query":"select 1"}"#).send().await.unwrap()).await;
        (answer.status, answer.text)
    };
    assert_eq!(attempt_as("no_such_role").await, bad, "allowed by the token, but not there");
    assert_eq!(attempt_as("outsider").await, bad, "allowed by the token, but not admitted");
    assert_eq!(attempt_as("never_heard_of").await, bad, "not on the list");
}

#[tokio::test]
async fn other_methods_and_paths_get_what_neon_answers() {
    let site = Site::new().await;
    for (method, path) in
        [("GET", "/sql"), ("PUT", "/sql"), ("POST", "/"), ("POST", "/sql/"), ("GET", "/other")]
    {
        let answer = Answer::of(site.request(method.parse().unwrap(), path).send().await.unwrap()).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (400, "\"query is not supported\""),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn browsers_may_send_every_header_of_the_driver() {
    let site = Site::new().await;
    let request = site
        .request(reqwest::Method::OPTIONS, "/sql")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,neon-batch-deferrable");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("allow"), Some("OPTIONS, POST"));
    assert_eq!(answer.header("access-control-max-age"), Some("86400"));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    for header in [
        "Authorization",
        "Neon-Connection-String",
        "Neon-Raw-Text-Output",
        "Neon-Array-Mode",
        "Neon-Pool-Opt-In",
        "Neon-Batch-Read-Only",
        "Neon-Batch-Isolation-Level",
        "Neon-Batch-Deferrable",
    ] {
        assert!(allowed.contains(header), "{header}");
    }
    let answer = site.sql("ann", "select 1", &[]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("neon-request-id"));
    assert_eq!(answer.header("neon-request-id").map(str::len), Some(36));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn api_keys_count_until_they_are_revoked() {
    let site = Site::new().await;
    let made = site.psql("select postern.create_api_key('app_user', 'robot', '{\"sub\": \"ben\"}')");
    let key = made.trim();
    let attempt = async |name: &str, value: &str| {
        let request = site
            .request(reqwest::Method::POST, "/sql")
            .header("Neon-Connection-String", site.connection_string("app_user"))
            .header(name, value);
        Answer::of(request.body(r#"{"query":"select text from public.notes"}"#).send().await.unwrap()).await
    };
    for (name, value) in [("X-API-Key", key.to_owned()), ("Authorization", format!("Bearer {key}"))] {
        assert_eq!(attempt(name, &value).await.ok()["rows"], json!([{"text": "of ben"}]), "{name}");
    }
    let other = format!("pk_{}", "A".repeat(43));
    assert_eq!(attempt("X-API-Key", &other).await.refusal(), "400 28000 PST201");
    site.psql("select postern.revoke_api_key(id) from postern.api_key");
    assert_eq!(attempt("X-API-Key", key).await.refusal(), "400 28000 PST201");
}
