//! A private server, and for each test a database and a gate of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use postern_auth::dev::{self, SigningKey, Token};
use postern_cluster::Cluster;
use postern_gate::{Config, Gate};
use reqwest::{RequestBuilder, Response};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const ISSUER: &str = "test-issuer";
const AUDIENCE: &str = "test";

/// The schema of every test: notes of several people in one table, each of whom sees their own.
const SCHEMA: &str = "
    create table public.notes(id int primary key, owner text not null default postern.fact('claims.sub'), text text);
    alter table public.notes enable row level security;
    create policy own on public.notes using (owner = (select postern.fact('claims.sub')));
    insert into public.notes values (1, 'ann', 'of ann'), (2, 'ben', 'of ben');
    grant select, insert, update, delete on public.notes to app_user, app_admin;
    create table public.deferred(i int primary key deferrable initially deferred, s text);
    alter table public.deferred enable row level security;
    create policy all_rows on public.deferred using (true);
    grant select, insert on public.deferred to app_user;
    create schema work;
    grant usage on schema work to app_user;
    select postern.admit('app_user'), postern.admit('app_admin');
";

/// A gate with all it needs.
pub struct Site {
    pub cluster: Arc<Cluster>,
    pub database: String,
    pub gate: Gate,
    key: SigningKey,
    client: reqwest::Client,
    _folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// Status, SQLSTATE and own code (or `-`) of an error, whichever protocol it came by.
    #[track_caller]
    pub fn refusal(&self) -> String {
        assert_ne!(self.status, 200, "{self:?}");
        let body = self.json();
        let error = body.get("error").unwrap_or(&body);
        let text = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", self.status, text("code"), text("postern"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The server that tests share; it goes when the last one does.
pub fn shared() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(server());
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

/// A server of one's own.
pub fn server() -> Cluster {
    let cluster = Cluster::builder().extension(true).setting("max_connections", "100").start().unwrap();
    cluster.set_password("postern_gate").unwrap();
    let roles = "create role app_user nologin; create role app_admin nologin; create role outsider nologin;";
    cluster.psql("postgres", roles).unwrap();
    cluster
}

impl Site {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With more of postern.toml.
    pub async fn with(settings: &str) -> Self {
        Self::on(shared(), settings).await
    }

    pub async fn on(cluster: Arc<Cluster>, settings: &str) -> Self {
        Self::start(cluster, "", settings).await
    }

    /// With more of `[listen]`.
    pub async fn listening(listen: &str) -> Self {
        Self::start(shared(), listen, "").await
    }

    /// With more of `[listen]` and of the rest.
    pub async fn listening_with(listen: &str, settings: &str) -> Self {
        Self::start(shared(), listen, settings).await
    }

    async fn start(cluster: Arc<Cluster>, listen: &str, settings: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);

        // An error says that another test did it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = format!("gate{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.create_database(&database, true).unwrap();
        cluster
            .psql(&database, &format!("revoke temp on database {database} from public; {SCHEMA}"))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let public = folder.path().join("key.jwk");
        let key = dev::generate_key(&folder.path().join("key.pem"), &public).unwrap();
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n{listen}\
             [[auth.jwt]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nkey_file = \"{}\"\n\
             leeway = \"0s\"\nroles = [\"app_user\", \"app_admin\", \"outsider\", \"no_such_role\"]\n\
             [auth.api_keys]\nenabled = true\nroles = [\"app_user\"]\ncache_ttl = \"0s\"\n\
             [doctor]\nallow = [\"server-below-floor\"]\n\
             [database]\nurl = \"{}\"\nconnections = 2\n{settings}",
            public.display(),
            cluster.url("postern_gate", &database),
        );
        let gate = Gate::start(Config::parse(&config).unwrap()).await.unwrap();
        Self { cluster, database, gate, key, client: reqwest::Client::new(), _folder: folder }
    }

    /// Runs SQL as superuser.
    pub fn psql(&self, sql: &str) -> String {
        self.cluster.psql(&self.database, sql).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gate.local_addr())
    }

    /// A token for app_user.
    pub fn token(&self, subject: &str) -> String {
        self.token_with(subject, &json!("app_user"), Duration::from_mins(10))
    }

    /// A token with this claim `role`.
    pub fn token_with(&self, subject: &str, role: &Value, lifetime: Duration) -> String {
        let claims = Map::from_iter([("role".to_owned(), role.clone())]);
        let subject = Some(subject);
        dev::sign(
            &self.key,
            &Token { issuer: ISSUER, audience: AUDIENCE, subject, role: None, claims, lifetime },
        )
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub fn connection_string(&self, role: &str) -> String {
        format!("postgresql://{role}:ignored@gate.example/{}?application_name=test", self.database)
    }

    /// A request as the driver sends it.
    pub fn neon(&self, subject: &str) -> RequestBuilder {
        self.request(reqwest::Method::POST, "/sql")
            .header("Neon-Connection-String", self.connection_string("app_user"))
            .header("Neon-Raw-Text-Output", "true")
            .header("Neon-Array-Mode", "true")
            .header("Content-Type", "text/plain;charset=UTF-8")
            .bearer_auth(self.token(subject))
    }

    /// Waits until a query of the superuser's gives this.
    pub async fn until(&self, sql: &str, wanted: &str) {
        let begun = std::time::Instant::now();
        while self.psql(sql).trim() != wanted {
            assert!(begun.elapsed() < Duration::from_mins(1), "never {wanted}: {sql}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// One statement, as the driver sends it.
    pub async fn sql(&self, subject: &str, sql: &str, params: &[Option<&str>]) -> Answer {
        let body = json!({"query": sql, "params": params}).to_string();
        Answer::of(self.neon(subject).body(body).send().await.unwrap()).await
    }

    /// A batch, as the driver sends it.
    pub async fn batch(&self, subject: &str, statements: &[&str], headers: &[(&str, &str)]) -> Answer {
        let queries: Vec<_> = statements.iter().map(|sql| json!({"query": sql, "params": []})).collect();
        let mut request = self.neon(subject).body(json!({"queries": queries}).to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub fn v1(&self, subject: &str, body: &Value) -> RequestBuilder {
        self.request(reqwest::Method::POST, "/v1/query")
            .header("Content-Type", "application/json")
            .bearer_auth(self.token(subject))
            .body(body.to_string())
    }

    pub async fn query(&self, subject: &str, body: Value, accept: &str) -> Answer {
        Answer::of(self.v1(subject, &body).header("Accept", accept).send().await.unwrap()).await
    }

    /// That the gate still works, and the next request finds nothing of the one before.
    #[track_caller]
    pub fn still_works(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.sql("ben", "select id, text from public.notes", &[]).await;
            assert_eq!(answer.status, 200, "at {caller}: {answer:?}");
            assert_eq!(answer.json()["rows"], json!([["2", "of ben"]]), "at {caller}");
        }
    }
}
