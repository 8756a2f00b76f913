//! Whatever is wrong with a request, or behind the gate: an error in the shape of the protocol, with its code; and the next
//! request works.

use std::path::Path;

use postern_auth::dev::SigningKey;
use postern_cluster::Mode;
use postern_e2e::{AUDIENCE, Example, Front, Returned, unix_time};
use postern_gate::Config;
use serde_json::{Value, json};

use crate::crowd::Crowd;
use crate::example;

/// A gate, and a user of it.
struct Stage {
    front: Front,
    alice: String,
    database: String,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(example(), "", &["app_user"], change).await
    }

    async fn on(example: &Example, sql: &str, roles: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let database = example.database(sql);
        let front = Front::with(example.cluster(), &database, roles, change).await;
        let alice = front.token("alice", "acme");
        Self { front, alice, database }
    }

    /// The same body to both.
    async fn both(&self, body: impl Into<bytes::Bytes>) -> [Returned; 2] {
        let body = body.into();
        let connection = self.front.connection_string("app_user");
        let headers = [("neon-connection-string", connection.as_str()), ("content-type", "application/json")];
        [
            self.front.post("/sql", Some(&self.alice), &headers, body.clone()).await,
            self.front.post("/v1/query", Some(&self.alice), &headers[1..], body).await,
        ]
    }

    /// Both refuse the body, with the same status.
    async fn both_refuse(&self, body: impl Into<bytes::Bytes>, status: u16, code: &str, own: &str) {
        for returned in self.both(body).await {
            returned.refused(status, code, own);
        }
        self.works().await;
    }

    /// The next request.
    async fn works(&self) {
        for returned in self.both(r#"{"query": "select tenant from invoices limit 1"}"#).await {
            assert_eq!(*returned.rows(), json!([{ "tenant": "acme" }]));
        }
    }
}

fn query(sql: &str) -> String {
    json!({ "query": sql }).to_string()
}

#[tokio::test]
async fn malformed_json() {
    let stage = Stage::new().await;
    for body in [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "select 1",
        r#"{"query": "select 1"} x"#,
        r#"{"query": "select 1",}"#,
        r#"{"query": "select 1", "query": "select 2"}"#,
        r#"{"query": 1}"#,
        r#"{"query": null}"#,
        r#"{"query": "select $1", "params": {}}"#,
        r#"{"query": "select $1", "params": [}"#,
        r#"{"query": "select $1", "params": ["\ud800"]}"#,
        "{\"query\": \"select 1\0\"}",
    ] {
        stage.both_refuse(body, 400, "08P01", "PST100").await;
    }
    let deep =
        format!(r#"{{"query": "select $1::text", "params": [{}1{}]}}"#, "[".repeat(5_000), "]".repeat(5_000));
    for returned in stage.both(deep).await {
        assert_eq!(returned.status, 400, "{}", returned.body);
        assert!(["PST100", "PST115"].contains(&returned.own_code()), "{}", returned.body);
    }
    stage.works().await;
}

#[tokio::test]
async fn a_wrong_content_type() {
    let stage = Stage::new().await;
    let body = query("select 1");
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json"]
    {
        let headers = [("content-type", content_type)];
        let returned = stage.front.post("/v1/query", Some(&stage.alice), &headers, body.clone()).await;
        returned.refused(415, "08P01", "PST102");
    }
    stage
        .front
        .post("/v1/query", Some(&stage.alice), &[], body.clone())
        .await
        .refused(415, "08P01", "PST102");
    for (accept, status) in [("text/html", 406), ("text/csv", 200), ("*/*", 200)] {
        let headers = [("content-type", "application/json"), ("accept", accept)];
        let returned = stage.front.post("/v1/query", Some(&stage.alice), &headers, body.clone()).await;
        assert_eq!(returned.status, status, "{accept}");
    }
    let connection = stage.front.connection_string("app_user");
    for path in ["/sql", "/v1/query"] {
        let compressed = [
            ("neon-connection-string", connection.as_str()),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        let returned = stage.front.post(path, Some(&stage.alice), &compressed, body.clone()).await;
        returned.refused(415, "08P01", "PST103");
    }
    stage.works().await;
}

#[tokio::test]
async fn headers_that_decide_and_are_wrong() {
    let stage = Stage::new().await;
    let good = stage.front.connection_string("app_user");
    let send = async |headers: &[(&str, &str)]| {
        stage.front.post("/sql", Some(&stage.alice), headers, query("select 1")).await
    };
    send(&[]).await.refused(400, "08P01", "PST109");
    let elsewhere = format!("{good}?host=elsewhere");
    let role = format!("{good}?options=-c%20role%3Dpostgres");
    for (connection, code, own) in [
        ("", "08P01", "PST109"),
        ("app", "08P01", "PST109"),
        ("mysql://app_user@localhost/app", "08P01", "PST109"),
        ("postgresql://localhost/app", "08P01", "PST109"),
        ("postgresql://app_user@localhost", "08P01", "PST109"),
        ("postgresql://app%00user@localhost/app", "08P01", "PST109"),
        ("postgresql://app_user@localhost/elsewhere", "3D000", "PST111"),
        (&elsewhere, "08P01", "PST110"),
        (&role, "08P01", "PST110"),
    ] {
        send(&[("neon-connection-string", connection)]).await.refused(400, code, own);
    }
    let twice = [("neon-connection-string", good.as_str()), ("neon-connection-string", good.as_str())];
    send(&twice).await.refused(400, "08P01", "PST107");
    let also = format!("Bearer {}", stage.alice);
    let twice = [("neon-connection-string", good.as_str()), ("authorization", also.as_str())];
    send(&twice).await.refused(400, "08P01", "PST107");
    let level = [("neon-connection-string", good.as_str()), ("neon-batch-isolation-level", "serializable")];
    send(&level).await.refused(400, "22023", "PST112");
    stage.works().await;
}

#[tokio::test]
async fn a_body_over_the_limit() {
    const LIMIT: usize = 2_000;
    let stage = Stage::with(|config| config.limits.body_bytes = LIMIT).await;
    let body = |size: usize| {
        let least = query("select 1 --").len();
        query(&format!("select 1 --{}", "x".repeat(size - least)))
    };
    for returned in stage.both(body(LIMIT)).await {
        assert_eq!(returned.rows().as_array().unwrap().len(), 1);
    }
    stage.both_refuse(body(LIMIT + 1), 413, "54000", "PST105").await;
    stage.both_refuse(body(LIMIT * 1_000), 413, "54000", "PST105").await;
}

#[tokio::test]
async fn an_answer_over_the_limit() {
    let stage = Stage::with(|config| {
        config.limits.response_bytes = 10_000;
        config.limits.response_rows = 100;
        config.limits.stream_bytes = 10_000;
    })
    .await;
    stage.both_refuse(query("select repeat('x', 10000)"), 507, "54000", "PST303").await;
    stage.both_refuse(query("select generate_series(1, 101)"), 507, "54000", "PST302").await;
    for returned in stage.both(query("select generate_series(1, 100)")).await {
        assert_eq!(returned.rows().as_array().unwrap().len(), 100);
    }
}

#[tokio::test]
async fn nul_bytes() {
    let stage = Stage::new().await;
    for body in [
        r#"{"query": "select '\u0000'"}"#,
        r#"{"query": "select $1::text", "params": ["a\u0000b"]}"#,
        r#"{"query": "select $1::text[]", "params": [["a", "\u0000"]]}"#,
    ] {
        stage.both_refuse(body, 400, "22021", "PST114").await;
    }
    // Within JSON it is PostgreSQL's to refuse.
    stage
        .both_refuse(r#"{"query": "select $1::jsonb", "params": [{"a": "\u0000"}]}"#, 400, "22P05", "")
        .await;
}

#[tokio::test]
async fn text_that_is_not_utf8() {
    let stage = Stage::new().await;
    stage.both_refuse(b"{\"query\": \"select '\xff'\"}".as_slice(), 400, "22021", "PST101").await;
    stage
        .both_refuse(
            b"{\"query\": \"select $1\", \"params\": [\"\xc3\x28\"]}".as_slice(),
            400,
            "22021",
            "PST101",
        )
        .await;
    stage.both_refuse(query(r"select E'\xff'"), 400, "22021", "").await;

    // Going out: a request that changes the encoding of its own answer.
    let batch = json!({ "queries": [{ "query": "set client_encoding = 'LATIN1'" }, { "query": "select chr(252) as u" }] });
    stage.front.ask_for(&stage.alice, &batch).await.refused(400, "22021", "PST403");
    stage.works().await;
}

#[tokio::test]
async fn too_many_parameters() {
    let stage = Stage::new().await;
    // The placeholders need not appear in the statement for them to be counted here.
    let params: Vec<_> = (0..65_536).map(|n| n.to_string()).collect();
    stage
        .both_refuse(json!({ "query": "select 1", "params": params }).to_string(), 400, "54000", "PST113")
        .await;
    // As many as there can be.
    let places: Vec<_> = (1..=65_535).map(|n| format!("${n}")).collect();
    let sql = format!("select count(*)::int as n from unnest(array[{}]) u", places.join(","));
    for returned in stage.both(json!({ "query": sql, "params": params[1..] }).to_string()).await {
        assert_eq!(*returned.rows(), json!([{ "n": 65_535 }]));
    }
    stage.works().await;
}

#[tokio::test]
async fn parameters_that_do_not_fit() {
    let stage = Stage::new().await;
    for (sql, params, code) in [
        ("select $1::int", json!(["abc"]), "22P02"),
        ("select $1::int", json!([[1, 2]]), "22P02"),
        ("select $1::int2", json!([70_000]), "22003"),
        ("select $1::date", json!(["2026-02-30"]), "22008"),
        ("select $1::jsonb", json!(["{"]), "22P02"),
        ("select $1::int[]", json!([[[1], [2, 3]]]), "22P02"),
        ("select $1::int", json!([]), "08P01"),
        ("select 1", json!([1]), "08P01"),
        ("select $1::int + $3::int", json!([1, 2, 3]), "42P18"),
    ] {
        stage.both_refuse(json!({ "query": sql, "params": params }).to_string(), 400, code, "").await;
    }
}

#[tokio::test]
async fn several_statements_in_one() {
    let stage = Stage::new().await;
    for sql in ["select 1; select 2", "commit; select 1", ";select 1;;select 2", "select 1; reset role"] {
        stage.both_refuse(query(sql), 400, "42601", "").await;
    }
}

#[tokio::test]
async fn copy_through_the_connection() {
    let stage = Stage::new().await;
    for sql in ["copy invoices from stdin", "copy invoices to stdout", "copy (select 1) to stdout"] {
        stage.both_refuse(query(sql), 400, "0A000", "").await;
    }
    for sql in ["copy invoices to '/tmp/x'", "copy invoices from program 'true'"] {
        let [neon, v1] = stage.both(query(sql)).await;
        neon.refused(400, "42501", "");
        v1.refused(403, "42501", "");
    }
    stage.works().await;
}

#[tokio::test]
async fn tokens_that_are_no_good() {
    let stage = Stage::new().await;
    let issuer = &stage.front.issuer;
    let claims = issuer.claims("app_user", "alice");
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims.insert(name.to_owned(), value);
        issuer.sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.remove(name);
        issuer.sign(&claims)
    };
    let good = issuer.sign(&claims);
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let public_key = std::fs::read(issuer.public_key()).unwrap();
    let tokens = [
        ("expired", with("exp", json!(unix_time() - 120))),
        ("without an end", without("exp")),
        ("not yet good", with("nbf", json!(unix_time() + 3_600))),
        ("unsigned", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")),
        ("without its signature", format!("{head}.{body}.")),
        ("with another signature", format!("{head}.{body}.{}", signature.chars().rev().collect::<String>())),
        ("for another audience", with("aud", json!("another"))),
        ("for no audience", without("aud")),
        ("of another issuer", with("iss", json!("https://another.example"))),
        ("with another algorithm", SigningKey::from_secret(&public_key).sign_claims(&claims)),
        ("of another key", postern_e2e::Issuer::new().sign(&claims)),
        ("for another role", with("role", json!("invoices_owner"))),
        ("for no role", without("role")),
        ("for a role of 64 bytes", with("role", json!("x".repeat(64)))),
        ("of too many bytes", with("x", json!("x".repeat(20_000)))),
        ("not a token", "abc".to_owned()),
        ("not an API key", format!("pk_{}", "x".repeat(43))),
    ];
    for (what, token) in &tokens {
        let returned = stage.front.ask(token, "select 1").await;
        assert_eq!(returned.own_code(), "PST201", "a token {what}: {}", returned.body);
        returned.refused(400, "28000", "PST201");
        let returned = stage.front.query(token, "select 1").await;
        returned.refused(401, "28000", "PST201");
        assert_eq!(returned.headers["www-authenticate"], "Bearer");
    }
    let none =
        stage.front.post("/v1/query", None, &[("content-type", "application/json")], query("select 1")).await;
    none.refused(401, "28000", "PST200");
    stage.works().await;
}

#[tokio::test]
async fn a_role_that_is_not_there() {
    // Allowed by the configuration. The examination at start says so; here it is told to let it pass.
    let sql = "do $$ begin if not exists (select from pg_roles where rolname = 'not_admitted') then
        create role not_admitted nologin; end if; end $$";
    let stage = Stage::on(example(), sql, &["app_user", "no_such_role", "not_admitted"], |config| {
        config.doctor.allow.extend(["role-missing", "role-not-admitted"].map(str::to_owned));
    })
    .await;
    for role in ["no_such_role", "not_admitted"] {
        let token = stage.front.issuer.token(role, "alice");
        stage
            .front
            .ask_as(role, &token, &json!({ "query": "select 1" }))
            .await
            .refused(400, "28000", "PST201");
        stage.front.query(&token, "select 1").await.refused(401, "28000", "PST201");
    }
    stage.works().await;
}

#[tokio::test]
async fn an_issuer_whose_keys_cannot_be_had() {
    // Bound, so that nobody else gets it, but nobody listens.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}/jwks", nobody.local_addr().unwrap());
    let stage = Stage::with(|config| {
        let text = format!(
            "[[jwt]]\nissuer = \"https://down.example\"\naudience = {AUDIENCE:?}\njwks_url = {url:?}\nroles = [\"app_user\"]\n\
             allow_insecure_http = true\nallow_private_addresses = true\n"
        );
        let down: postern_auth::Config = toml::from_str(&text).unwrap();
        config.auth.jwt.extend(down.jwt);
    })
    .await;
    let token = stage.front.issuer.token_with("app_user", "alice", "iss", "https://down.example");
    for returned in [stage.front.ask(&token, "select 1").await, stage.front.query(&token, "select 1").await] {
        returned.refused(503, "08001", "PST202");
        assert!(returned.headers.contains_key("retry-after"));
    }
    // That of another issuer.
    stage.works().await;
}

#[tokio::test]
async fn a_full_pool() {
    let stage = Stage::with(|config| {
        config.database.connections = 1;
        config.database.queue = 0;
    })
    .await;
    let url = example().cluster().url(example().cluster().superuser(), &stage.database);
    let (mut admin, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    // It ends with the client.
    tokio::spawn(connection);
    let lock = admin.transaction().await.unwrap();
    lock.batch_execute("lock table invoices in access exclusive mode").await.unwrap();

    let waits = async {
        let count = "select count(*) from invoices";
        stage.front.ask(&stage.alice, count).await.text()
    };
    let others = async {
        let waiting = "select count(*) from pg_locks where not granted and database = \
                       (select oid from pg_database where datname = current_database())";
        Crowd::until("the request waits for the lock", async || {
            lock.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        for returned in stage.both(query("select 1")).await {
            returned.refused(503, "53300", "PST306");
            assert!(returned.headers.contains_key("retry-after"));
        }
        lock.commit().await.unwrap();
    };
    let (counted, ()) = tokio::join!(waits, others);
    assert_eq!(counted, "3");
    stage.works().await;
}

#[tokio::test]
async fn too_many_requests_and_requests_that_take_too_long() {
    let stage = Stage::with(|config| {
        config.limits.wall_clock = std::time::Duration::from_millis(300);
    })
    .await;
    let [neon, v1] = stage.both(query("select pg_sleep(60)")).await;
    neon.refused(400, "57014", "PST304");
    v1.refused(504, "57014", "PST304");
    // Cancelled, and caught there: terminated.
    let catches = "do $$ begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end $$";
    let [neon, v1] = stage.both(query(catches)).await;
    neon.refused(400, "57014", "PST304");
    v1.refused(504, "57014", "PST304");
    stage.works().await;

    let stage = Stage::with(|config| {
        config.limits.rate = 1;
        config.limits.burst = 2;
    })
    .await;
    // One request a second is none too many for a slow machine: all at once, until some come too soon.
    let mut tries = 0;
    let refused = loop {
        let all = futures_util::future::join_all((0..6).map(|_| stage.both(query("select 1")))).await;
        if let Some(both) = all.into_iter().find(|both| both.iter().all(|returned| returned.status == 429)) {
            break both;
        }
        tries += 1;
        assert!(tries < 20, "nothing is refused");
    };
    for returned in refused {
        returned.refused(429, "53400", "PST300");
        assert!(returned.headers.contains_key("retry-after"));
    }
    // Others are not concerned.
    let bob = stage.front.token("bob", "globex");
    assert_eq!(stage.front.ask(&bob, "select 1").await.text(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down() {
    let server = Example::start(&[]);
    let stage = Stage::on(&server, "", &["app_user"], |_| {}).await;
    stage.works().await;
    server.cluster().stop(Mode::Fast).unwrap();
    // Connections that were there may end in an error of their own first.
    Crowd::until("the gate notices", async || {
        stage.front.ask(&stage.alice, "select 1").await.own_code() == "PST400"
    })
    .await;
    for returned in stage.both(query("select 1")).await {
        returned.refused(503, "08001", "PST400");
        assert!(returned.headers.contains_key("retry-after"));
        assert!(
            !returned.body.to_string().contains(".s.PGSQL"),
            "says where the server is: {}",
            returned.body
        );
    }
    // What it says may be a second old.
    Crowd::until("/readyz tells", async || stage.front.get("/readyz").await.status == 503).await;
    assert_eq!(stage.front.get("/healthz").await.status, 200);
    server.cluster().start_again().unwrap();
    stage.works().await;
    Crowd::until("/readyz tells", async || stage.front.get("/readyz").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_on_the_server() {
    const FULL: &str = "/dev/full";
    if !Path::new(FULL).exists() {
        postern_cluster::skipped("a_full_disk_on_the_server", format!("there is no {FULL}"));
        return;
    }
    let server = Example::start(&[]);
    let sql = "create table public.filled (x text); alter table public.filled owner to invoices_owner;
               grant select, insert on public.filled to app_user;
               alter table public.filled enable row level security;
               create policy all_rows on public.filled to app_user using (true);";
    let stage = Stage::on(&server, sql, &["app_user"], |_| {}).await;
    // The table's file lies where there is no room: the system tells the server so at each write.
    let path = "select current_setting('data_directory') || '/' || pg_relation_filepath('public.filled')";
    let path = server.cluster().psql(&stage.database, path).unwrap();
    server.cluster().stop(Mode::Fast).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(FULL, &path).unwrap();
    server.cluster().start_again().unwrap();
    Crowd::until("the gate is back", async || stage.front.ask(&stage.alice, "select 1").await.status == 200)
        .await;

    let [neon, v1] = stage.both(query("insert into filled values ('x')")).await;
    neon.refused(400, "53100", "");
    v1.refused(503, "53100", "");
    stage.works().await;
    let batch = json!({ "queries": [
        { "query": "insert into invoices (number, customer) values ('2026-100', 'x')" },
        { "query": "insert into filled values ('x')" },
    ] });
    stage.front.ask_for(&stage.alice, &batch).await.refused(400, "53100", "");
    assert_eq!(stage.front.ask(&stage.alice, "select count(*) from invoices").await.text(), "3");
    stage.works().await;
}
