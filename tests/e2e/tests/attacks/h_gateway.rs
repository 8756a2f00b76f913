//! H1, H4 – H13: the gateway's own surface. H2 and H3 are in `h_tokens`.

use http::{Method, StatusCode};
use postern_e2e::{Actor, Response, World};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{site, world};

/// A request with this connection string, for someone.
async fn connect(actor: &Actor<'_>, world: &World, connection: &str) -> Response {
    world
        .http()
        .sql(&actor.token(), connection, &[], &json!({ "query": "select current_user, current_database()" }))
        .await
}

// No request is judged by its text: the spellings of A2 reach the server, and are refused there.
#[tokio::test]
async fn h01_filters() {
    let world = world().await;
    for sql in [
        r#"select U&"\0073et_config"('role', 'bob', true)"#,
        "/* x */ reset role",
        "do $$ begin execute 're' || 'set role'; end $$",
    ] {
        let refusal = world.alice().sql(sql).await.refused("42501");
        let words =
            ["within security-definer function", "cannot change the role while an identity is entered"];
        assert!(words.iter().any(|said| refusal.message.contains(said)), "the server's words: {refusal}");
    }
    for harmless in [
        "select 'reset role; commit; drop table x'",
        "select 1 -- set role bob",
        "select $$ commit $$ as \"reset role\"",
    ] {
        world.alice().sql(harmless).await.fine();
    }
    world.canary().await;
}

#[tokio::test]
async fn h04_role_selection() {
    let world = World::builder().dangerous().start(site()).await;
    let before = world.look("select count(*) from pg_stat_activity").await;
    // Not on the issuer's list, or not what the token says: refused before the database.
    for role in [
        "eve",
        "ALICE",
        "\"alice\"",
        "alice ",
        " alice",
        "none",
        "public",
        "current_user",
        "alice;reset role",
        "pg_monitor",
        "älice",
    ] {
        let refusal = world.actor(role).sql("select 1").await.refused("28000");
        assert_eq!((refusal.status, refusal.message.as_str()), (400, "authentication failed"), "{role}");
    }
    world.actor(&"a".repeat(64)).sql("select 1").await.refused("28000");
    world.actor(&"a".repeat(70)).sql("select 1").await.refused("28000");
    let alice = world.alice();
    for (role, codes) in [
        ("bob", ["28000", "28000"]),
        ("alice%00", ["28000", "08P01"]),
        ("", ["28000", "08P01"]),
        ("al%69ce", ["", ""]),
        ("al%2569ce", ["28000", "28000"]),
    ] {
        let response =
            connect(&alice, &world, &format!("postgresql://{role}@localhost/{}", world.database())).await;
        let code = if response.status == StatusCode::OK { String::new() } else { response.code() };
        assert!(codes.contains(&code.as_str()), "{role}: {}", response.text());
    }
    // A claim that is not one name.
    for claim in [
        json!(["alice", "bob"]),
        json!({ "alice": true }),
        json!(1),
        json!(null),
        json!(true),
        json!(""),
        json!("alice\0"),
        json!([]),
    ] {
        let mut claims = serde_json::Map::new();
        claims.insert("sub".into(), json!("alice"));
        claims.insert("role".into(), claim.clone());
        let token = sign(&world, claims);
        let body = json!({ "query": "select current_user" });
        let response = world.http().sql(&token, &alice.connection_string(), &[], &body).await;
        // A list of names is a choice that the token gives: the request names one of them.
        if claim == json!(["alice", "bob"]) {
            assert_eq!(response.json()["rows"], json!([["alice"]]));
        } else {
            assert_eq!(response.code(), "28000", "{claim}");
        }
    }
    // On the list by mistake: entering refuses them (A37), and the client sees no difference.
    for role in ["postgres", "app"] {
        world.actor(role).sql("insert into work.loot values ('ran')").await.refused("28000");
    }
    assert_eq!(world.loot().await, "");
    assert_eq!(world.look("select count(*) from pg_stat_activity").await, before);
    world.canary().await;
}

fn sign(world: &World, claims: serde_json::Map<String, Value>) -> String {
    let token = postern_auth::dev::Token {
        issuer: postern_e2e::ISSUER,
        audience: postern_e2e::ISSUER,
        subject: None,
        role: None,
        claims,
        lifetime: std::time::Duration::from_mins(1),
    };
    postern_auth::dev::sign(world.site().signing_key(), &token)
}

#[tokio::test]
async fn h05_protocol_desynchronisation() {
    let world = world().await;
    let alice = world.alice();
    for (sql, code) in [
        ("copy app.plain from stdin", "0A000"),
        ("copy app.t to stdout", "0A000"),
        ("select 1/0", "22012"),
        ("select 1 / (10000 - i) from generate_series(1, 10000) i", "22012"),
        ("insert into app.plain values (1), (1)", "23505"),
    ] {
        alice.sql(sql).await.refused(code);
        alice.batch(&["select 1", sql, "select 2"]).await.refused(code);
        assert_eq!(world.bob().sql("select 'bob'").await.text(), "bob");
    }
    for empty in ["", ";", "-- x", "/* x */"] {
        let answers = alice.batch(&["select 'a'", empty, "select 'b'"]).await.all();
        assert_eq!(answers.iter().map(postern_e2e::Answer::text).collect::<Vec<_>>(), ["a", "", "b"]);
    }
    let noisy = "do $$ begin for i in 1..1000 loop raise notice '%', i; end loop; end $$";
    alice
        .batch(&[noisy, "set search_path = work", "set timezone = 'Asia/Tokyo'", "notify x", "select 1"])
        .await
        .fine();
    assert_eq!(alice.batch(&[]).await.all(), []);
    world.canary().await;
}

#[tokio::test]
async fn h05_a_backend_that_dies() {
    let world = world().await;
    let before = world.backend().await;
    let alice = world.alice();
    let batch = [
        "insert into work.loot values ('lost', '', '', ' setrole 42501 reset 42501')",
        "select pg_sleep(60)",
    ];
    let running = alice.batch(&batch);
    let kill = async {
        world.until_asleep(&before).await;
        world.superuser(&format!("select pg_terminate_backend({before})")).await;
    };
    let (outcome, ()) = tokio::join!(running, kill);
    let refusal = outcome.result.unwrap_err();
    assert!(["57P01", "08006", "08007"].contains(&refusal.code.as_str()), "{refusal}");
    assert_eq!(world.loot().await, "");
    assert_ne!(world.backend().await, before);
    world.canary().await;
}

// The client goes away while its statement runs: the statement is cancelled, and nobody after it is hit.
#[tokio::test]
async fn h05_a_client_that_disconnects() {
    let world = world().await;
    for _ in 0..3 {
        let before = world.backend().await;
        let alice = world.alice();
        let body = json!({ "query": "select pg_sleep(60)" });
        let (token, connection) = (alice.token(), alice.connection_string());
        {
            let stream = raw(&world, &sql_request(&token, &connection, &body.to_string())).await;
            world.until_asleep(&before).await;
            drop(stream);
        }
        // Bob's requests wait for the connection, and are all answered.
        for n in 0..20 {
            assert_eq!(world.bob().sql(&format!("select {n}")).await.text(), n.to_string());
        }
        assert_eq!(world.look("select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()").await, "0");
        world.canary().await;
    }
}

fn sql_request(token: &str, connection: &str, body: &str) -> String {
    format!(
        "POST /sql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nneon-connection-string: {connection}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn raw(world: &World, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.gate().local_addr()).await.expect("the gate listens");
    stream.write_all(bytes.as_bytes()).await.expect("the gate reads");
    stream
}

/// Everything that comes until the gate closes the connection: after a last request that asks for that, or by itself.
async fn exchange(world: &World, bytes: &str) -> String {
    let mut stream =
        raw(world, &format!("{bytes}GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
            .await;
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn h06_connection_string_smuggling() {
    let world = world().await;
    let alice = world.alice();
    let database = world.database();
    let good = format!("postgresql://alice@gw/{database}");
    for parameter in [
        "user=bob",
        "dbname=other",
        "host=127.0.0.1&port=5432",
        "options=-c%20role%3Dbob",
        "options=-c%20search_path%3Dwork",
        "sslmode=disable",
        "replication=database",
        "role=bob",
        "USER=bob",
        "u%73er=bob",
        "session_authorization=bob",
        &format!("application_name={}", "x".repeat(3000)),
    ] {
        let response = connect(&alice, &world, &format!("{good}?{parameter}")).await;
        if response.status == StatusCode::OK {
            assert_eq!(response.json()["rows"], json!([["alice", database]]), "{parameter}");
        } else {
            assert_eq!(
                (response.status, response.code().as_str()),
                (StatusCode::BAD_REQUEST, "08P01"),
                "{parameter}: {}",
                response.text()
            );
        }
        world.canary().await;
    }
    for refused in [
        format!("postgresql://alice%00x@gw/{database}"),
        format!("postgresql://a%2Fb@gw/{database}%2F.."),
        format!("postgresql://alice:pw@gw@evil/{database}"),
        format!("mysql://alice@gw/{database}"),
        "postgresql://alice@gw/postgres".to_owned(),
        "postgresql://alice@gw/template1".to_owned(),
        format!("postgresql://bob@gw/{database}"),
        format!("postgresql://{}@gw/{database}", "a".repeat(8000)),
        String::new(),
    ] {
        let response = connect(&alice, &world, &refused).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{refused}: {}", response.text());
    }
    for fine in
        [format!("postgres://alice:any%20password@[::1]:1/{database}"), format!("{good}?sslmode=require")]
    {
        assert_eq!(
            connect(&alice, &world, &fine).await.json()["rows"],
            json!([["alice", database]]),
            "{fine}"
        );
    }
    let twice = [("neon-connection-string", good.as_str())];
    let response = world.http().sql(&alice.token(), &good, &twice, &json!({ "query": "select 1" })).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    world.canary().await;
}

#[tokio::test]
async fn h07_request_smuggling() {
    let world = World::builder()
        .listen("header_timeout = \"1s\"")
        .gate("[limits]\nbody_timeout = \"1s\"")
        .start(site())
        .await;
    let alice = world.alice();
    let (token, connection) = (alice.token(), alice.connection_string());
    let inner = sql_request(
        &token,
        &connection,
        &json!({ "query": "insert into work.loot values ('smuggled')" }).to_string(),
    );
    let body = json!({ "query": "select 1" }).to_string();
    let head = |extra: &str| {
        format!(
            "POST /sql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nneon-connection-string: {connection}\r\n{extra}\r\n\r\n"
        )
    };
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n{inner}", body.len());
    for (name, request) in [
        (
            "length and chunks",
            head(&format!("content-length: {}\r\ntransfer-encoding: chunked", chunked.len())) + &chunked,
        ),
        (
            "two lengths",
            head(&format!("content-length: {}\r\ncontent-length: {}", body.len(), body.len() + inner.len()))
                + &body
                + &inner,
        ),
        ("folded header", head(&format!("x: 1\r\n content-length: {}", body.len())) + &body + &inner),
        ("negative length", head("content-length: -1") + &body + &inner),
        ("chunks spelled otherwise", head("transfer-encoding: xchunked") + &chunked),
        ("chunks within chunks", head("transfer-encoding: chunked, chunked") + &chunked),
        ("chunks twice", head("transfer-encoding: chunked\r\ntransfer-encoding: chunked") + &chunked),
        ("squeezed chunks", head("transfer-encoding: gzip, chunked") + &chunked),
        ("space before the colon", head(&format!("content-length : {}", body.len())) + &body + &inner),
    ] {
        let answer = exchange(&world, &request).await;
        // What a proxy in front could read as one request is not taken for two: chunks go before a length, and then the
        // connection ends (RFC 9112); everything else is refused.
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400");
        assert!(refused || name == "length and chunks", "{name}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{name}: {answer}");
        assert_eq!(world.loot().await, "", "{name}: {answer}");
    }
    world.canary().await;
}

// A request inside what belongs to another one: a body that is read by nobody, or whose pieces are spelled so that a proxy in front
// could see their end elsewhere.
#[tokio::test]
async fn h07_requests_inside_bodies() {
    let world = World::builder()
        .listen("header_timeout = \"1s\"")
        .gate("[limits]\nbody_timeout = \"1s\"")
        .start(site())
        .await;
    let alice = world.alice();
    let (token, connection) = (alice.token(), alice.connection_string());
    let inner = sql_request(
        &token,
        &connection,
        &json!({ "query": "insert into work.loot values ('smuggled')" }).to_string(),
    );
    let body = json!({ "query": "select 1" }).to_string();
    let head = |line: &str, extra: &str| {
        format!(
            "{line}\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nneon-connection-string: {connection}\r\n{extra}\r\n\r\n"
        )
    };
    let length = format!("content-length: {}", inner.len());
    let chunked = "transfer-encoding: chunked";
    let chunks = |first: &str| format!("{first}{body}\r\n0\r\n\r\n{inner}");
    let (hex, size) = (format!("{:x}", body.len()), body.len());
    let requests = [
        // Nobody reads these bodies; they are bodies all the same.
        ("a body of GET", head("GET /healthz HTTP/1.1", &length) + &inner),
        ("a body of GET /sql", head("GET /sql HTTP/1.1", &length) + &inner),
        ("a body of HEAD", head("HEAD /healthz HTTP/1.1", &length) + &inner),
        ("a body of OPTIONS", head("OPTIONS /sql HTTP/1.1", &length) + &inner),
        ("a body of DELETE", head("DELETE /v1/query HTTP/1.1", &length) + &inner),
        ("a body for no address", head("POST /v1/nothing HTTP/1.1", &length) + &inner),
        (
            "a body of another coding",
            head("POST /sql HTTP/1.1", &format!("{length}\r\ncontent-encoding: gzip")) + &inner,
        ),
        (
            "a body of who expects",
            head("POST /v1/nothing HTTP/1.1", &format!("{length}\r\nexpect: 100-continue")) + &inner,
        ),
        ("another host", head("POST http://evil.example/sql HTTP/1.1", &length) + &inner),
        (
            "chunks of GET",
            head("GET /healthz HTTP/1.1", chunked) + &format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
        ),
        // Lengths.
        (
            "a length with a sign",
            head("POST /sql HTTP/1.1", &format!("content-length: +{size}")) + &body + &inner,
        ),
        (
            "a length with a base",
            head("POST /sql HTTP/1.1", &format!("content-length: 0x{hex}")) + &body + &inner,
        ),
        (
            "a list of lengths",
            head("POST /sql HTTP/1.1", &format!("content-length: {size}, {}", size + inner.len()))
                + &body
                + &inner,
        ),
        (
            "a length over all",
            head("POST /sql HTTP/1.1", "content-length: 18446744073709551617") + &body + &inner,
        ),
        (
            "a header after a bare line feed",
            head(
                "POST /sql HTTP/1.1",
                &format!("x: 1\ncontent-length: {size}\r\ncontent-length: {}", size + inner.len()),
            ) + &body
                + &inner,
        ),
        // Chunks.
        ("a chunk with a base", head("POST /sql HTTP/1.1", chunked) + &chunks(&format!("0x{hex}\r\n"))),
        ("a chunk with a sign", head("POST /sql HTTP/1.1", chunked) + &chunks(&format!("+{hex}\r\n"))),
        (
            "a chunk over all",
            head("POST /sql HTTP/1.1", chunked) + &chunks(&format!("1{:0>16}{hex}\r\n", "")),
        ),
        ("a chunk without a size", head("POST /sql HTTP/1.1", chunked) + &chunks("\r\n")),
        (
            "a line feed in an extension",
            head("POST /sql HTTP/1.1", chunked) + &chunks(&format!("{hex};a\nb\r\n")),
        ),
        ("a bare line feed after a size", head("POST /sql HTTP/1.1", chunked) + &chunks(&format!("{hex}\n"))),
        (
            "a bare carriage return after a size",
            head("POST /sql HTTP/1.1", chunked) + &chunks(&format!("{hex}\rx")),
        ),
        (
            "chunks in HTTP/1.0",
            head("POST /sql HTTP/1.0", &format!("connection: keep-alive\r\n{chunked}"))
                + &chunks(&format!("{hex}\r\n")),
        ),
        (
            "chunks with a tab",
            head("POST /sql HTTP/1.1", "transfer-encoding:\u{b}chunked") + &chunks(&format!("{hex}\r\n")),
        ),
        (
            "chunks after a NUL",
            head("POST /sql HTTP/1.1", "x: \0\r\ntransfer-encoding: chunked")
                + &chunks(&format!("{hex}\r\n")),
        ),
    ];
    // Some wait until the gate has waited long enough: together.
    let answers = requests.map(async |(name, request)| (name, exchange(&world, &request).await));
    for (name, answer) in futures_util::future::join_all(answers).await {
        // One answer, and that to the request that [`exchange`] puts at the end.
        let answers = answer.matches("HTTP/1.").count() - answer.matches("HTTP/1.1 100").count();
        assert!(answers <= 2 && !answer.contains("INSERT"), "{name}: {answer}");
        assert_eq!(world.loot().await, "", "{name}: {answer}");
    }
    // What a trailer says is no header: neither who asks nor for what.
    let trailer = format!(
        "POST /sql HTTP/1.1\r\nhost: localhost\r\nneon-connection-string: {connection}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{hex}\r\n{body}\r\n0\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let answer = exchange(&world, &trailer).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    world.canary().await;
}

#[tokio::test]
async fn h07_cross_site_requests() {
    let world = World::builder()
        .gate("[auth.anonymous]\nrole = \"carol\"\n[cors]\nanonymous_from_anywhere = true\n")
        .start(site())
        .await;
    let body =
        json!({ "query": "insert into work.loot values ('csrf', '', '', ' setrole 42501 reset 42501')" })
            .to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
    ] {
        let headers =
            [("content-type", content_type), ("origin", "https://evil.example"), ("cookie", "session=1")];
        for path in ["/sql", "/v1/query"] {
            let response = world.http().send(Method::POST, path, &headers, body.clone()).await;
            assert!(response.status.is_client_error(), "{path} {content_type}: {}", response.text());
        }
    }
    let basic = [("authorization", "Basic YWxpY2U6cHc="), ("content-type", "application/json")];
    assert!(world.http().send(Method::POST, "/v1/query", &basic, body).await.status.is_client_error());
    assert_eq!(world.loot().await, "");
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let response = world.http().send(Method::OPTIONS, "/sql", &preflight, "").await;
    assert!(!response.headers.contains_key("access-control-allow-credentials"), "{:?}", response.headers);
    assert!(!response.headers.contains_key("set-cookie"));
    world.canary().await;
}

#[tokio::test]
async fn h07_dns_rebinding() {
    let world = world().await;
    let alice = world.alice();
    let request =
        sql_request(&alice.token(), &alice.connection_string(), &json!({ "query": "select 1" }).to_string());
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80", "10.0.0.1"]
    {
        let answer = exchange(&world, &request.replace("host: localhost", &format!("host: {host}"))).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    let answer = exchange(&world, &request.replace("host: localhost", "host: localhost:8484")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    world.canary().await;
}

#[tokio::test]
async fn h08_output_injection() {
    let world = world().await;
    let alice = world.alice();
    for name in [
        r#"x"}],"rows":[[""#,
        "a\r\nset-cookie: x=1",
        "__proto__",
        "constructor",
        "\u{1}\u{8}\u{1f}",
        "</script>",
        "\u{2028}",
    ] {
        let sql = format!("select 1 as \"{}\"", name.replace('"', "\"\""));
        let answer = alice.sql(&sql).await.last();
        assert_eq!((answer.columns, answer.rows), (vec![name.to_owned()], vec![vec![Some("1".to_owned())]]));
        let value = alice.query("select $1::text", &[Some(name)]).await.text();
        assert_eq!(value, name);
        let raise =
            format!("do $x$ begin raise exception '%', {} using errcode = 'P0042'; end $x$", quote(name));
        let response = world
            .http()
            .sql(&alice.token(), &alice.connection_string(), &[], &json!({ "query": raise }))
            .await;
        assert_eq!(response.json()["message"], json!(name));
        assert!(!response.headers.contains_key("set-cookie"));
        for (_, value) in &response.headers {
            assert!(!value.to_str().unwrap_or_default().contains(name), "SQL in a header");
        }
    }
    world.canary().await;
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn h09_what_errors_tell() {
    let world = world().await;
    let alice = world.alice();
    let password = world.site().cluster().password("postern_gate").unwrap();
    let folder = world.site().cluster().folder().display().to_string();
    let socket = world.site().cluster().socket_dir().display().to_string();
    let token = alice.token();
    let connection = alice.connection_string();
    let mut seen = Vec::new();
    for sql in ["select 1/0", "selec", "begin", "listen x", "select * from nowhere", "copy app.t to stdout"] {
        seen.push(world.http().sql(&token, &connection, &[], &json!({ "query": sql })).await);
    }
    seen.push(world.http().sql("not a token", &connection, &[], &json!({ "query": "select 1" })).await);
    seen.push(
        world
            .http()
            .sql(&token, "postgresql://alice:SECRET-PW@gw/other", &[], &json!({ "query": "select 1" }))
            .await,
    );
    seen.push(
        world
            .http()
            .sql(&token, "postgresql://bob:SECRET-PW@gw/x?user=y", &[], &json!({ "query": "select 1" }))
            .await,
    );
    seen.push(
        world.http().send(Method::POST, "/sql", &[("authorization", &format!("Bearer {token}"))], "{").await,
    );
    seen.push(world.http().send(Method::GET, "/nowhere", &[], "").await);
    for response in seen {
        assert!(!response.status.is_success() && !response.status.is_server_error(), "{}", response.text());
        let text = format!("{:?} {}", response.headers, response.text());
        for secret in [
            &password,
            &folder,
            &socket,
            &token,
            "SECRET-PW",
            "backtrace",
            "panicked",
            "/src/",
            ".cargo",
            "the key of",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    world.canary().await;
}

#[tokio::test]
async fn h10_enumeration() {
    let world = world().await;
    let body = json!({ "query": "select 1" });
    let database = world.database();
    let alice = world.alice();
    let unknown = world
        .http()
        .sql(&world.actor("nobody").token(), &format!("postgresql://nobody@gw/{database}"), &[], &body)
        .await;
    let forbidden = world
        .http()
        .sql(&world.actor("postgres").token(), &format!("postgresql://postgres@gw/{database}"), &[], &body)
        .await;
    let other =
        world.http().sql(&alice.token(), &format!("postgresql://bob@gw/{database}"), &[], &body).await;
    let bad = world.http().sql("x.y.z", &alice.connection_string(), &[], &body).await;
    for response in [&forbidden, &other, &bad] {
        assert_eq!(
            (response.status, response.json()),
            (unknown.status, unknown.json()),
            "{}",
            response.text()
        );
    }
    world.canary().await;
}

// There are no handles: no transaction outlives its request, and ids of requests open nothing.
#[tokio::test]
async fn h11_handles() {
    let world = world().await;
    let (alice, body) = (world.alice(), json!({ "query": "select postern.fact('request.id')" }));
    let first =
        world.http().sql(&alice.token(), &alice.connection_string(), &[], &body).await.json()["rows"].clone();
    let id = first[0][0].as_str().unwrap_or_default().to_owned();
    let again =
        world.http().sql(&alice.token(), &alice.connection_string(), &[("x-request-id", &id)], &body).await;
    assert_eq!(again.status, StatusCode::OK);
    let forged = world
        .http()
        .sql(
            &alice.token(),
            &alice.connection_string(),
            &[("neon-transaction-id", &id), ("x-baton", &id)],
            &body,
        )
        .await;
    assert_ne!(forged.json()["rows"], first, "every request has an id of its own");
    world.canary().await;
}

#[tokio::test]
async fn h13_health_and_metrics() {
    let world = World::builder().gate("[metrics]\nlisten = \"127.0.0.1:0\"").start(site()).await;
    world.alice().sql("select 'SQL-TEXT'").await.fine();
    world.alice().sql("select 1/0").await.refused("22012");
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let response = world.http().send(Method::GET, path, &[], "").await;
        assert_eq!(response.status, StatusCode::OK, "{path}");
        let text = format!("{:?} {}", response.headers, response.text());
        let database = world.database();
        for secret in ["alice", "SQL-TEXT", "postern_gate", database, "22012"] {
            assert!(!text.contains(secret), "{path} tells {secret}: {text}");
        }
    }
    // Operators, on their own address, see the roles.
    let operators = postern_e2e::Http::new(world.gate().metrics_addr().unwrap());
    assert!(operators.send(Method::GET, "/metrics", &[], "").await.text().contains("alice"));
    assert!(operators.send(Method::POST, "/sql", &[], "{}").await.status.is_client_error());
    world.canary().await;
}

#[tokio::test]
async fn c14_spoofed_forwarding_headers() {
    let seen = "select postern.fact('client.addr')";
    let world = world().await;
    let alice = world.alice();
    let ask = async |world: &World, headers: &[(&str, &str)]| {
        let (token, connection) =
            (alice.token(), format!("postgresql://alice@localhost/{}", world.database()));
        world.http().sql(&token, &connection, headers, &json!({ "query": seen })).await.json()["rows"][0][0]
            .clone()
    };
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip"] {
        let value = if header == "forwarded" { "for=8.8.8.8" } else { "8.8.8.8" };
        assert_eq!(ask(&world, &[(header, value)]).await, json!("127.0.0.1"), "{header}");
    }
    world.canary().await;

    // Behind a proxy: the right-most address that is not a proxy's; what the client made up is left of it.
    let builder = World::builder().listen("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]");
    let behind = builder.start(site()).await;
    for (value, addr) in
        [("8.8.8.8", "8.8.8.8"), ("1.1.1.1, 8.8.8.8", "8.8.8.8"), ("1.1.1.1, 8.8.8.8, 10.1.2.3", "8.8.8.8")]
    {
        assert_eq!(ask(&behind, &[("x-forwarded-for", value)]).await, json!(addr), "{value}");
    }
    // The header that those proxies do not write is anybody's; so is one that cannot be read.
    assert_eq!(ask(&behind, &[("forwarded", "for=8.8.8.8")]).await, json!("127.0.0.1"));
    assert_eq!(ask(&behind, &[("x-forwarded-for", "8.8.8.8, unknown")]).await, Value::Null);
    behind.canary().await;
}

#[tokio::test]
async fn c15_claims_of_any_size_and_shape() {
    let world = world().await;
    let body = json!({ "query": "select postern.fact('claims.x')" });
    let alice = world.alice();
    let with = |x: Value| {
        let claims = serde_json::Map::from_iter([
            ("sub".to_owned(), json!("a")),
            ("role".to_owned(), json!("alice")),
            ("x".to_owned(), x),
        ]);
        sign(&world, claims)
    };
    let ask = async |token: String| world.http().sql(&token, &alice.connection_string(), &[], &body).await;
    assert_eq!(ask(with(json!("ok"))).await.json()["rows"], json!([["ok"]]));
    // More than a head may have is refused before anyone looks at it.
    assert_eq!(
        ask(with(json!("y".repeat(1 << 20)))).await.status,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    for bad in [json!("\0"), json!("y".repeat(20_000)), json!({ "a\0": 1 })] {
        let response = ask(with(bad)).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::BAD_REQUEST, "28000"),
            "{}",
            response.text()
        );
    }
    let mut deep = json!(1);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    let response = ask(with(deep)).await;
    assert!(response.status == StatusCode::OK || response.code() == "28000", "{}", response.text());
    world.canary().await;
}

#[tokio::test]
async fn a23_bytes_that_are_not_utf8() {
    let world = world().await;
    let alice = world.alice();
    let latin = |sql: &'static str| ["select set_config('client_encoding', 'LATIN1', false)", sql];
    for sql in [
        "select 'héllo'",
        "select 1 as \"héllo\"",
        "do $$ begin raise exception 'héllo'; end $$",
        "do $$ begin raise warning 'héllo'; end $$",
    ] {
        // The statement comes in UTF-8 and is read as LATIN1: what goes back is what came, or not UTF-8 at all. Either an
        // answer that is sound JSON, or an error.
        let outcome = alice.batch(&latin(sql)).await;
        if let Err(refusal) = outcome.result {
            assert!(["22021", "P0001"].contains(&refusal.code.as_str()), "{sql}: {refusal}");
        }
        assert_eq!(world.bob().sql("select 'héllo'").await.text(), "héllo");
    }
    let one =
        alice.sql("select set_config('client_encoding', 'LATIN1', false), 'héllo'").await.refused("22021");
    assert_eq!(one.message, "result is not valid UTF-8");
    world.canary().await;
}

#[tokio::test]
async fn b17_the_gate_gives_such_a_connection_up() {
    let settings = [("max_locks_per_transaction", "10"), ("max_connections", "20")];
    let site: &'static postern_e2e::Site =
        Box::leak(Box::new(postern_e2e::Site::start(postern_e2e::Membership::None, &settings)));
    let world = World::builder().setting("postern.allow_temp", "on").start(site).await;
    let before = world.backend().await;
    let mut tables = 1000;
    loop {
        let make = format!(
            "do $$ begin for i in 1..{tables} loop execute format('create temp table z%s (a text unique)', i); end loop; end $$"
        );
        match world.alice().sql(&make).await.result {
            Ok(_) => break,
            Err(refusal) => assert_eq!(refusal.code, "53200", "{refusal}"),
        }
        tables = tables * 9 / 10;
    }
    // The one who is next is served by another backend, or told to come again: while the server is short of locks nobody
    // can even connect. It recovers by itself.
    loop {
        match world.bob().sql("select pg_backend_pid()").await.result {
            Ok(answers) => {
                assert_ne!(answers[0].text(), before);
                break;
            }
            Err(refusal) => assert!(["53200", "08001"].contains(&refusal.code.as_str()), "{refusal}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.until_gone(&before).await;
    world.canary().await;
}
