//! E1 – E16: limits and denial of service.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use postern_e2e::World;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{site, world};

/// A statement that survives every cancel, for a minute.
const UNCANCELLABLE: &str = "do $$ declare t0 timestamptz := clock_timestamp(); begin
    loop
        begin
            while clock_timestamp() - t0 < interval '60 s' loop perform 1; end loop; exit;
        exception when query_canceled then null; end;
    end loop; end $$";

/// A world whose requests may run half a second, and half a second more when cancelled.
async fn hasty_world() -> World {
    World::builder().gate("[limits]\nwall_clock = \"500ms\"\ngrace = \"500ms\"").start(site()).await
}

#[tokio::test]
async fn e01_a_statement_that_catches_cancels() {
    let world = hasty_world().await;
    let before = world.backend().await;
    let begun = Instant::now();
    world.alice().sql(UNCANCELLABLE).await.refused("57014");
    // Deadline and grace are one second; the rest is for a busy machine. Uncaught, it would be a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_ne!(world.backend().await, before, "a terminated backend serves nobody");
    world.until_gone(&before).await;
    world.canary().await;
}

#[tokio::test]
async fn e02_timeouts_that_the_client_sets() {
    let world = hasty_world().await;
    for first in
        ["set statement_timeout = 0", "set idle_in_transaction_session_timeout = 0", "set lock_timeout = 0"]
    {
        world.alice().batch(&[first, "select pg_sleep(60)"]).await.refused("57014");
        world.canary().await;
    }
    // A shorter one of her own does what she asked for.
    world.alice().batch(&["set statement_timeout = 10", "select pg_sleep(60)"]).await.refused("57014");
    world.canary().await;
}

#[tokio::test]
async fn e03_memory() {
    let world =
        World::builder().gate("[limits]\nresponse_bytes = 100000\nresponse_rows = 1000").start(site()).await;
    world.alice().sql("select repeat('x', 2000000000)").await.refused("54000");
    for sql in [
        "select repeat('x', 10000000)",
        "select repeat('x', 1000) from generate_series(1, 1000)",
        "select i from generate_series(1, 1000000) i",
        "with recursive r as (select 1 i union all select i + 1 from r) select i from r",
        "select repeat('x', 60000) union all select repeat('x', 60000)",
    ] {
        let refusal = world.alice().sql(sql).await.refused("54000");
        assert_eq!(refusal.status, 507, "{sql}");
        world.canary().await;
    }
    world.alice().sql("set temp_file_limit = -1").await.refused("42501");
    world.canary().await;
}

// A limit that the documentation names: locks are PostgreSQL's. How long they are held, and waited for, is bounded.
#[tokio::test]
async fn e04_locks() {
    let world = hasty_world().await;
    world.alice().sql("lock table app.t in access exclusive mode").await.fine();
    world.canary().await;
    world.superuser("begin; lock table app.t in access exclusive mode").await;
    world.alice().sql("select * from app.t").await.refused("57014");
    world.superuser("rollback; select pg_advisory_lock(4)").await;
    world.alice().sql("select pg_advisory_lock(4)").await.refused("57014");
    world.superuser("select pg_advisory_unlock(4)").await;
    world.canary().await;
}

#[tokio::test]
async fn e05_notifications_and_messages_of_anyone() {
    let world = world().await;
    world.alice().sql("notify postern_internal, 'forged'").await.fine();
    world.alice().reading().sql("select pg_notify('postern_internal', 'forged')").await.fine();
    world.alice().sql("select pg_logical_emit_message(false, 'outbox', 'forged')").await.fine();
    world.alice().sql("select pg_notify('x', repeat('a', 8000))").await.refused("22023");
    // Nobody relies on them; whoever wants them gone is told how.
    let found = world.doctor().await.join("\n");
    assert!(found.contains("function-notify") && found.contains("function-emit-message"), "{found}");
    world.canary().await;
}

#[tokio::test]
async fn e06_killing_neighbours() {
    let world = world().await;
    let other = world.wire().await;
    let own = world.backend().await;
    for pid in [own.clone(), other.pid.to_string()] {
        for function in ["pg_terminate_backend", "pg_cancel_backend"] {
            world.alice().sql(&format!("select {function}({pid})")).await.refused("42501");
        }
    }
    assert_eq!(world.backend().await, own);
    world.canary().await;
}

#[tokio::test]
async fn e07_large_objects() {
    let world = world().await;
    world.alice().sql("select lo_from_bytea(0, 'x')").await.fine();
    let reading = world.alice().reading().sql("select lo_create(0)").await;
    if world.look("show server_version_num").await.as_str() < "160000" {
        reading.fine();
    } else {
        reading.refused("25006");
    }
    let found = world.doctor().await.join("\n");
    assert!(found.contains("function-large-object"), "{found}");
    world.canary().await;
}

#[tokio::test]
async fn e08_failing_requests_keep_the_connection() {
    let world = world().await;
    let before = world.backend().await;
    for n in 0..1000 {
        let (sql, code) =
            [("select 1/0", "22012"), ("reset role", "42501"), ("selec", "42601"), ("listen x", "0A000")]
                [n % 4];
        world.alice().sql(sql).await.refused(code);
    }
    assert_eq!(world.backend().await, before);
    world.canary().await;
}

#[tokio::test]
async fn e09_a_slow_reader() {
    let toml = "[limits]\nslow_reader = \"300ms\"\nstream_bytes = 0\nresponse_rows = 0\nwall_clock = \"60s\"\ngrace = \"500ms\"";
    let world = World::builder().gate(toml).start(site()).await;
    let before = world.backend().await;
    let body = json!({ "query": "select repeat('x', 1000), generate_series(1, 100000000)" }).to_string();
    let mut stream = tokio::net::TcpStream::connect(world.gate().local_addr()).await.unwrap();
    let head = format!(
        "POST /v1/query HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
        world.alice().token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Nobody reads. Bob waits for the only connection, and gets one.
    while world
        .look(&format!("select 1 from pg_stat_activity where pid = {before} and state = 'active'"))
        .await
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    assert_ne!(world.backend().await, before, "the backend of the slow reader was given up");
    world.canary().await;
    drop(stream);
}

#[tokio::test]
async fn e09_wide_results() {
    let world = world().await;
    let columns = |n: usize| format!("select {}", vec!["1"; n].join(","));
    assert_eq!(world.alice().sql(&columns(1600)).await.last().columns.len(), 1600);
    world.alice().sql(&columns(1665)).await.refused("54011");
    world.canary().await;
}

#[tokio::test]
async fn e10_leaving_read_only() {
    let world = world().await;
    let reader = world.alice().reading();
    for sql in [
        "set transaction read write",
        "set local transaction_read_only = off",
        "select set_config('transaction_read_only', 'off', true)",
        "do $$ begin set local transaction_read_only = off; end $$",
        "do $$ begin begin perform 1/0; exception when others then null; end; set transaction read write; end $$",
    ] {
        reader.batch(&[sql, "insert into app.s values (1)"]).await.refused("25001");
    }
    for sql in [
        "insert into app.s values (1)",
        "create table work.x (i int)",
        "select nextval('app.sq')",
        "begin",
        "alter role alice password 'x'",
    ] {
        let refusal = reader.sql(sql).await.result.expect_err(sql);
        assert!(["25006", "2D000", "42501"].contains(&refusal.code.as_str()), "{sql}: {refusal}");
    }
    // What was set for later transactions is gone with the request.
    reader.sql("set default_transaction_read_only = off").await.fine();
    reader.sql("insert into app.s values (1)").await.refused("25006");
    // What READ ONLY lets pass is not left behind either.
    reader.sql("select pg_advisory_lock(1)").await.fine();
    reader.sql("lock table app.t in access share mode").await.fine();
    assert_eq!(world.look("select count(*) from app.s").await, "0");
    world.canary().await;
    world.alice().sql("insert into app.s values (1)").await.fine();
}

// There is no interactive mode: no request leaves a transaction open, whatever becomes of its client.
#[tokio::test]
async fn e11_idle_in_transaction() {
    let world = world().await;
    let pid = world.backend().await;
    for sql in ["select 1", "begin", "select 1/0", "declare c cursor for select 1"] {
        let _ = world.alice().sql(sql).await;
        let state =
            format!("select state, backend_xmin, backend_xid from pg_stat_activity where pid = {pid}");
        assert_eq!(world.look(&state).await, "idle||");
    }
    world.canary().await;
}

#[tokio::test]
async fn e12_growth_inside_one_backend() {
    let world = World::builder().pool("max_requests = 8").start(site()).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        seen.insert(world.alice().sql("select pg_backend_pid()").await.text());
    }
    // The gate's own first requests count, too.
    assert!((2..=6).contains(&seen.len()), "{seen:?}");
    world.canary().await;
}

#[tokio::test]
async fn e13_request_bombs() {
    let world = world().await;
    let before = world.backend().await;
    let (alice, http) = (world.alice(), world.http());
    let (authorization, connection) = (format!("Bearer {}", alice.token()), alice.connection_string());
    let headers =
        [("authorization", authorization.as_str()), ("neon-connection-string", connection.as_str())];
    let send = async |body: String| http.send(Method::POST, "/sql", &headers, body).await;

    let huge = send(json!({ "query": format!("select '{}'", "x".repeat(64 << 20)) }).to_string()).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);
    let params = vec!["1"; 65_536];
    let many = send(json!({ "query": "select 1", "params": params }).to_string()).await;
    assert_eq!((many.status, many.code().as_str()), (StatusCode::BAD_REQUEST, "54000"));
    let deep = send(format!(
        r#"{{"query": "select 1", "params": {}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    ))
    .await;
    assert_eq!((deep.status, deep.code().as_str()), (StatusCode::BAD_REQUEST, "54001"));
    let digits =
        send(format!(r#"{{"query": "select $1::numeric", "params": [{}]}}"#, "9".repeat(200_000))).await;
    assert_eq!(digits.status, StatusCode::BAD_REQUEST);
    let gzip = [headers[0], headers[1], ("content-encoding", "gzip")];
    let squeezed = http.send(Method::POST, "/sql", &gzip, vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).await;
    assert_eq!(squeezed.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(world.backend().await, before);
    world.canary().await;
}

// A limit that the documentation names: owners change what they own.
#[tokio::test]
async fn e14_ddl() {
    let world = hasty_world().await;
    for sql in [
        "create table work.x (i int)",
        "alter table work.x add j int",
        "create index on work.x (i)",
        "comment on table work.x is 'x'",
    ] {
        world.alice().sql(sql).await.fine();
    }
    world.superuser("begin; lock table work.x in access share mode").await;
    world.alice().sql("alter table work.x add k int").await.refused("57014");
    world.superuser("rollback").await;
    world.canary().await;
}

// A limit that the documentation names: a long statement holds back cleaning. It is as long as a request may be.
#[tokio::test]
async fn e15_snapshots() {
    let world = hasty_world().await;
    let name = world.alice().sql("select pg_export_snapshot()").await.text();
    let pid = world.backend().await;
    assert_eq!(world.look(&format!("select backend_xmin from pg_stat_activity where pid = {pid}")).await, "");
    let import = format!("begin isolation level repeatable read; set transaction snapshot '{name}'");
    assert!(world.admin().batch_execute(&import).await.is_err(), "a snapshot outlived its request");
    world.superuser("rollback").await;
    world.canary().await;
}

#[tokio::test]
async fn e16_exhausting_connections() {
    let world = World::builder()
        .pool("queue = 1\nqueue_timeout = \"30s\"")
        .gate("[limits]\nconcurrency = 2")
        .start(site())
        .await;
    let pid = world.backend().await;
    let (alice, bob, carol) = (world.alice(), world.bob(), world.carol());
    world.superuser("select pg_advisory_lock(16)").await;
    let waits = || alice.sql("select pg_advisory_xact_lock(16), 'alice'");
    let crowd = async {
        world.until_waiting(&pid).await;
        // Alice has one that runs. Her second one waits, which fills the queue; the third is one too many of hers.
        let second = waits();
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        while !queue_is_full(&world).await {
            assert!(futures_util::poll!(&mut second).is_pending());
        }
        alice.sql("select 1").await.refused("53400");
        let response = world
            .http()
            .sql(&carol.token(), &carol.connection_string(), &[], &json!({ "query": "select 1" }))
            .await;
        assert_eq!((response.status, response.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "53300"));
        assert!(response.headers.contains_key("retry-after"), "{:?}", response.headers);
        world.superuser("select pg_advisory_unlock(16)").await;
        second.await.fine();
    };
    let (first, ()) = tokio::join!(waits(), crowd);
    first.fine();
    bob.sql("select 1").await.fine();
    world.canary().await;
}

/// Whether one more request is refused for want of room.
async fn queue_is_full(world: &World) -> bool {
    let bob = world.bob();
    let body = json!({ "query": "select 1" });
    let (token, connection) = (bob.token(), bob.connection_string());
    let request = world.http().sql(&token, &connection, &[], &body);
    tokio::select! {
        response = request => response.status == StatusCode::SERVICE_UNAVAILABLE,
        () = tokio::time::sleep(Duration::from_millis(200)) => false,
    }
}
