//! `POST /v1/query`: formats, streams, and how errors show in them.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::common::{Answer, Site};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const JSON: &str = "application/json";

#[tokio::test]
async fn one_result_in_three_formats() {
    let site = Site::new().await;
    let query = json!({
        "query": "select $1::int as n, $2::text as t, null as nothing, 9007199254740993 as big, 1.10 as exact, \
                  array['a,b', null] as list, '{\"k\": 1}'::jsonb as doc, true as yes",
        "params": [1, "a\"b"],
    });
    let answer = site.query("ann", query.clone(), JSON).await;
    assert_eq!(answer.header("content-type"), Some(JSON));
    let body = answer.ok();
    let row = json!({"n": 1, "t": "a\"b", "nothing": null, "big": "9007199254740993", "exact": "1.10",
                     "list": ["a,b", null], "doc": {"k": 1}, "yes": true});
    assert_eq!(body["rows"], json!([row]));
    assert_eq!(body["columns"][0], json!({"name": "n", "type_oid": 23}));
    assert_eq!((&body["command"], &body["row_count"]), (&json!("SELECT"), &json!(1)));

    let answer = site.query("ann", query.clone(), NDJSON).await;
    assert_eq!(answer.header("content-type"), Some(NDJSON));
    assert_eq!(serde_json::from_str::<Value>(answer.text.strip_suffix('\n').unwrap()).unwrap(), row);

    let answer = site.query("ann", query, CSV).await;
    let lines = "n,t,nothing,big,exact,list,doc,yes\n1,\"a\"\"b\",,9007199254740993,1.10,\"{\"\"a,b\"\",NULL}\",\"{\"\"k\"\": 1}\",t\n";
    assert_eq!(answer.text, lines);
}

#[tokio::test]
async fn arrays_of_every_built_in_type_are_arrays() {
    let site = Site::new().await;
    let types = site.psql(
        "select string_agg(format('%L::%s as %I', '{}', a.oid::regtype, a.oid::regtype), ', ') from pg_type a
         join pg_type e on a.typelem = e.oid
         where a.typcategory = 'A' and e.typarray = a.oid and a.oid < 10000 and e.typtype in ('b', 'r', 'm')",
    );
    let answer = site.query("ann", json!({"query": format!("select {}", types.trim())}), JSON).await.ok();
    let row = answer["rows"][0].as_object().unwrap();
    assert!(row.len() > 70, "{row:?}");
    let others: Vec<_> = row.iter().filter(|(_, value)| **value != json!([])).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn csv_is_what_copy_writes() {
    let site = Site::new().await;
    let sql = "select g, case g % 4 when 0 then null when 1 then '' when 2 then E'a,\"b\"\\n' else ' x ' end as t, \
               array[g, null] as a from generate_series(1, 200) g";
    let answer = site.query("ann", json!({"query": sql}), CSV).await;
    let copied = site.psql(&format!("copy ({sql}) to stdout (format csv, header)"));
    assert_eq!(answer.text.trim_end(), copied.trim_end());
}

#[tokio::test]
async fn rows_as_arrays_keep_columns_of_the_same_name() {
    let site = Site::new().await;
    let query = json!({"query": "select 1 as a, 2 as a", "array_mode": true});
    assert_eq!(site.query("ann", query.clone(), JSON).await.ok()["rows"], json!([[1, 2]]));
    assert_eq!(site.query("ann", query, CSV).await.refusal(), "400 08P01 PST100");
}

#[tokio::test]
async fn statements_without_rows() {
    let site = Site::new().await;
    let insert = json!({"query": "insert into public.notes(id) values (40)"});
    let answer = site.query("ann", insert, JSON).await.ok();
    assert_eq!(answer, json!({"columns": [], "rows": [], "command": "INSERT", "row_count": 1}));
    for (sql, accept, text) in [
        ("", JSON, "{\"columns\":[],\"rows\":[],\"command\":\"\",\"row_count\":null}"),
        ("update public.notes set text = 'x' where false", NDJSON, ""),
        ("update public.notes set text = 'x' where false", CSV, ""),
        ("select 1 as a where false", CSV, "a\n"),
    ] {
        let answer = site.query("ann", json!({"query": sql}), accept).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, text), "{sql} as {accept}");
    }
}

#[tokio::test]
async fn the_transaction_runs_as_the_body_says() {
    let site = Site::new().await;
    let shown = async |body: Value| site.query("ann", body, JSON).await.ok()["rows"][0]["v"].clone();
    let sql = "select current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only') as v";
    assert_eq!(
        shown(json!({"query": sql, "isolation": "repeatable read", "read_only": true})).await,
        "repeatable read on"
    );
    assert_eq!(shown(json!({"query": sql})).await, "read committed off");
    let body = json!({"query": "select current_user as v", "role": "app_user"});
    assert_eq!(shown(body).await, "app_user");
    let body = json!({"query": "select 1", "role": "app_admin"});
    assert_eq!(site.query("ann", body, JSON).await.refusal(), "401 28000 PST201", "not the token's role");
    assert_eq!(
        site.query("ann", json!({"query": "select 1", "isolation": "snapshot"}), JSON).await.refusal(),
        "400 08P01 PST100"
    );
}

#[tokio::test]
async fn errors_of_postgresql_have_a_status_of_their_own() {
    let site = Site::new().await;
    for (sql, refusal) in [
        ("select 1/0", "400 22012 -"),
        ("set role app_admin", "403 42501 -"),
        ("insert into public.deferred values (1), (1)", "409 23505 -"),
        ("select 1; select 2", "400 42601 -"),
        ("copy public.notes to stdout", "400 0A000 -"),
        ("copy public.notes from stdin", "400 0A000 -"),
    ] {
        assert_eq!(site.query("ann", json!({"query": sql}), NDJSON).await.refusal(), refusal, "{sql}");
    }
    let failed = site.query("ann", json!({"query": "select * from boom"}), JSON).await;
    let error = &failed.json()["error"];
    assert_eq!(
        (&error["position"], &error["severity"], error.get("detail")),
        (&json!(15), &json!("ERROR"), None)
    );
    site.still_works().await;
}

/// More than is sent at once.
const MANY: &str = "select g as n, repeat('x', 100) as t from generate_series(1, 20000) g";

#[tokio::test]
async fn a_large_result_is_streamed_whole() {
    let site = Site::new().await;
    let answer = site.query("ann", json!({"query": MANY}), NDJSON).await;
    assert_eq!(answer.header("content-length"), None);
    let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20_000);
    assert!(lines.iter().enumerate().all(|(index, line)| line["n"] == index + 1));

    let answer = site.query("ann", json!({"query": MANY}), JSON).await.ok();
    assert_eq!((answer["rows"].as_array().unwrap().len(), &answer["row_count"]), (20_000, &json!(20_000)));

    let answer = site.query("ann", json!({"query": MANY}), CSV).await;
    assert_eq!(answer.text.lines().count(), 20_001);
}

/// The body as far as it came, and whether it ended cleanly.
async fn read_all(response: reqwest::Response) -> (String, bool) {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(_) => return (String::from_utf8(body).unwrap(), false),
        }
    }
    (String::from_utf8(body).unwrap(), true)
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_cannot_be_overlooked() {
    let site = Site::new().await;
    let sql = "select g as n, 1 / (20000 - g) as q, repeat('x', 100) as t from generate_series(1, 20001) g";
    for (accept, start, end) in [
        (NDJSON, "\n[\"error\",{\"message\":\"division by zero\",", "]\n"),
        (CSV, "\n\\.error {\"message\":\"division by zero\",", "}\n"),
        (JSON, "],\"error\":{\"message\":\"division by zero\",", "}}"),
    ] {
        let response = site.v1("ann", &json!({"query": sql})).header("Accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let (text, clean) = read_all(response).await;
        assert!(!clean, "{accept}: the response is broken off");
        let record = text.rfind(start).unwrap_or_else(|| panic!("{accept}: {}", &text[text.len() - 300..]));
        assert!(
            text.ends_with(end) && text[record..].contains("\"code\":\"22012\""),
            "{accept}: {}",
            &text[record..]
        );
        assert!(text[..record].len() > 1_000_000, "what came before is there");
    }
    site.still_works().await;
}

#[tokio::test]
async fn a_commit_that_fails_after_the_rows_were_sent_breaks_the_response_off() {
    let site = Site::new().await;
    let sql = "with new as (insert into public.deferred select 7, repeat('x', 100) from generate_series(1, 5000) returning *) \
               select * from new";
    let response = site.v1("ann", &json!({"query": sql})).header("Accept", JSON).send().await.unwrap();
    let (text, clean) = read_all(response).await;
    assert!(!clean);
    assert!(
        text.contains("],\"error\":{\"message\":\"duplicate key") && !text.contains("\"command\""),
        "{}",
        &text[text.len() - 300..]
    );
    assert_eq!(site.psql("select count(*) from public.deferred").trim(), "0");
}

#[tokio::test]
async fn limits_of_rows_and_bytes_hold_in_a_stream() {
    let site = Site::with("[limits]\nresponse_rows = 15000\n").await;
    let (text, clean) =
        read_all(site.v1("ann", &json!({"query": MANY})).header("Accept", NDJSON).send().await.unwrap())
            .await;
    assert!(!clean && text.contains("PST302"), "{}", &text[text.len() - 300..]);
    assert_eq!(text.lines().count(), 15_001);

    let site = Site::with("[limits]\nstream_bytes = 200000\n").await;
    let (text, clean) =
        read_all(site.v1("ann", &json!({"query": MANY})).header("Accept", CSV).send().await.unwrap()).await;
    assert!(!clean && text.contains("PST303") && text.len() < 201_000, "{}", text.len());

    let small = site.query("ann", json!({"query": "select repeat('x', 300000)"}), JSON).await;
    assert_eq!(small.refusal(), "507 54000 PST303", "nothing was sent yet: a proper status");
    site.still_works().await;
}

#[tokio::test]
async fn a_reader_that_stops_is_not_waited_for() {
    let site = Site::with("[limits]\nslow_reader = \"300ms\"\n").await;
    // Endless, and more than the sockets hold.
    let sql = "select repeat('x', 10000) as t, generate_series(1, 100000000)";
    let response = site.v1("ann", &json!({"query": sql})).header("Accept", NDJSON).send().await.unwrap();
    assert_eq!(response.status(), 200);
    // Both connections of the pool are needed for this: the first one has to have been given back.
    let busy = json!({"query": "select pg_sleep(0.1)"});
    let ended = async {
        loop {
            let both =
                tokio::join!(site.query("ben", busy.clone(), JSON), site.query("ben", busy.clone(), JSON));
            assert_eq!((both.0.status, both.1.status), (200, 200));
            let sleeping = "select count(*) from pg_stat_activity where query like '%repeat%' and state = 'active' \
                            and usename = 'postern_gate'";
            if site.psql(sleeping).trim() == "0" {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    let (_, clean) = read_all(response).await;
    assert!(!clean);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_statement() {
    let site = Site::new().await;
    let active = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' \
                  and usename = 'postern_gate'";
    for (sql, wait_for_head) in [("select pg_sleep(100)", false), (MANY_SLOWLY, true)] {
        let request = site.v1("ann", &json!({"query": sql})).header("Accept", NDJSON).send();
        if wait_for_head {
            drop(request.await.unwrap());
        } else {
            let waiting = tokio::spawn(request);
            until(|| site.psql(active).trim() != "0").await;
            waiting.abort();
        }
        until(|| site.psql(active).trim() == "0").await;
    }
    site.still_works().await;
}

/// Something at once, and then nothing for long.
const MANY_SLOWLY: &str = "select repeat('x', 1000) as t, case when g = 1000 then pg_sleep(100) end from generate_series(1, 1000) g";

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it does not become so");
}

#[tokio::test]
async fn rows_do_not_wait_for_a_chunk_to_fill() {
    let site = Site::new().await;
    let response =
        site.v1("ann", &json!({"query": MANY_SLOWLY})).header("Accept", NDJSON).send().await.unwrap();
    let mut chunks = response.bytes_stream();
    let mut lines = 0;
    // A chunk is 65 rows, so 15 of them are 975; and the server keeps back some 8 KiB, which are 8 rows.
    let reading = async {
        while lines < 985 {
            let chunk = chunks.next().await.unwrap().unwrap();
            lines += chunk.split(|&byte| byte == b'\n').count() - 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
}

#[tokio::test]
async fn bodies_have_to_be_announced_as_json_and_asked_for_on_purpose() {
    let site = Site::new().await;
    let post = |content_type: &'static str| {
        let request = site.request(reqwest::Method::POST, "/v1/query").header("Content-Type", content_type);
        request.body(r#"{"query":"select 1"}"#)
    };
    let send = async |request: reqwest::RequestBuilder| Answer::of(request.send().await.unwrap()).await;
    assert_eq!(send(post("text/plain").bearer_auth(site.token("ann"))).await.refusal(), "415 08P01 PST102");
    let missing = send(post("application/json")).await;
    assert_eq!(missing.refusal(), "401 28000 PST200");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    let unwanted =
        send(post("application/json").header("Accept", "text/html").bearer_auth(site.token("ann"))).await;
    assert_eq!(unwanted.refusal(), "406 08P01 PST104");
    let get = send(site.request(reqwest::Method::GET, "/v1/query")).await;
    assert_eq!((get.refusal().as_str(), get.header("allow")), ("405 08P01 PST118", Some("OPTIONS, POST")));
    assert_eq!(send(site.request(reqwest::Method::GET, "/v1/other")).await.refusal(), "404 08P01 PST117");
}
