//! A server by hand: each connection, in the order they come, is played by the next script.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_core::RoleName;
use postern_pool::{Config, Error, Event, Pool, Request, Statement, Tls, TransactionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const PID: i32 = 4711;
pub const SECRET: i32 = 815;

/// What `enter` answers.
pub const ENTERED: &[&[u8]] = &[b"2", b"D\0\x01\0\0\0\0", b"CSELECT 1\0"];
/// What `select 'x'` answers, parsed anew.
pub const SELECTED: &[&[u8]] = &[
    b"1",
    b"2",
    b"T\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0",
    b"D\0\x01\0\0\0\x01x",
    b"CSELECT 1\0",
];
pub const READY: &[u8] = b"ZI";

pub type Script = Box<dyn FnOnce(Wire) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A script from an async closure's future.
pub fn script<F: Future<Output = ()> + Send + 'static>(
    play: impl FnOnce(Wire) -> F + Send + 'static,
) -> Script {
    Box::new(move |wire| Box::pin(play(wire)))
}

/// One connection, from the server's side.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Sends messages, each given as its tag and body.
    pub async fn send(&mut self, messages: &[&[u8]]) {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.push(message[0]);
            bytes.extend(u32::try_from(message.len() + 3).unwrap().to_be_bytes());
            bytes.extend(&message[1..]);
        }
        self.raw(&bytes).await;
    }

    /// Sends bytes.
    pub async fn raw(&mut self, bytes: &[u8]) {
        // The other side may have gone; that is for the test to find out.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads a message without a tag: a startup packet, a cancel request, a request for TLS.
    pub async fn packet(&mut self) -> Option<Vec<u8>> {
        let length = self.stream.read_u32().await.ok()?;
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(body)
    }

    /// Reads a message.
    pub async fn message(&mut self) -> Option<(char, Vec<u8>)> {
        let tag = self.stream.read_u8().await.ok()?;
        Some((char::from(tag), self.packet().await?))
    }

    /// Reads up to a Sync; gives the tags.
    pub async fn request(&mut self) -> Option<String> {
        let mut tags = String::new();
        while !tags.ends_with('S') {
            tags.push(self.message().await?.0);
        }
        Some(tags)
    }

    /// Lets the client in, up to the point where it may send requests.
    pub async fn welcome(&mut self) {
        self.packet().await.unwrap();
        self.send(&[b"R\0\0\0\0"]).await;
        self.settings().await;
        assert_eq!(self.request().await.unwrap(), "PBEPS");
        self.send(&[b"1", b"2", b"D\0\x01\0\0\0\0", b"CSELECT 1\0", b"1", READY]).await;
    }

    /// What follows authentication.
    pub async fn settings(&mut self) {
        let key = [&b"K"[..], &PID.to_be_bytes(), &SECRET.to_be_bytes()].concat();
        let reported = [&b"Sclient_encoding\0UTF8\0"[..], b"Sserver_version\0" as &[u8]];
        let version = [reported[1], b"15.20\0"].concat();
        self.send(&[reported[0], b"Sin_hot_standby\0off\0", &version, &key, READY]).await;
    }

    /// Serves requests as it should be, till the client goes.
    pub async fn behave(&mut self) {
        while self.request().await.is_some() {
            self.answer(&[SELECTED, &[READY]].concat()).await;
        }
    }

    /// Answers `enter` as it should be, then with these.
    pub async fn answer(&mut self, messages: &[&[u8]]) {
        self.send(&[ENTERED, messages].concat()).await;
    }

    /// The client has gone, and said nothing but goodbye.
    pub async fn gone(&mut self) {
        if let Some((tag, _)) = self.message().await {
            assert_eq!(tag, 'X');
            assert_eq!(self.message().await, None);
        }
    }
}

pub struct Server {
    pub address: SocketAddr,
    play: JoinHandle<()>,
}

impl Server {
    /// Plays the scripts, one per connection, side by side.
    pub async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let play = tokio::spawn(async move {
            let mut running = Vec::new();
            for play in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                running.push(tokio::spawn(play(Wire { stream })));
            }
            // No further connection is expected.
            drop(listener);
            for script in running {
                script.await.unwrap();
            }
        });
        Self { address, play }
    }

    pub fn config(&self) -> Config {
        Config {
            host: Some("127.0.0.1".into()),
            port: Some(self.address.port()),
            password: Some("s3cret".into()),
            tls: Some(Tls::Disable),
            connections: 1,
            ..Config::default()
        }
    }

    pub fn pool(&self) -> Pool {
        Pool::new(self.config()).unwrap()
    }

    /// All scripts were played to their end.
    pub async fn finished(self) {
        tokio::time::timeout(Duration::from_secs(20), self.play).await.expect("a script hangs").unwrap();
    }
}

/// `select 'x'` as alice.
pub fn request() -> Request {
    Request {
        key: 0,
        role: RoleName::try_from("alice").unwrap(),
        facts: None,
        statements: vec![Statement { sql: Arc::from("select 'x'"), params: vec![] }],
        transaction: TransactionOptions::default(),
        deadline: Instant::now() + Duration::from_secs(10),
        grace: Duration::from_millis(50),
    }
}

/// The rows of a request.
pub async fn run(pool: &Pool, request: Request) -> Result<Vec<String>, Error> {
    let mut running = pool.run(request).await?;
    let mut rows = Vec::new();
    loop {
        match running.next().await? {
            Event::Row(row) => rows.push(row.get(0).unwrap().to_owned()),
            Event::Committed => return Ok(rows),
            _ => {}
        }
    }
}
