//! The protocol by hand, as the gate's login role: for what only a faulty gate would send, and for what happens between the
//! messages that a good one sends.
//!
//! **Invariants**
//! * Nothing is retried, repaired or hidden: a test sees every message in order.

use bytes::{BufMut, BytesMut};
use fallible_iterator::FallibleIterator;
use postern_cluster::Cluster;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::answer::{Answer, Outcome, Refusal};
use crate::site::Site;

/// Parameter types of `postern.enter`: text, text, text.
const ENTER_TYPES: [u32; 3] = [25, 25, 25];
const ENTER: &str = "select postern.enter($1, $2, $3)";

/// A message to the server.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Parse: name, text, parameter types.
    Parse(&'a str, &'a str, &'a [u32]),
    /// Bind of the unnamed portal: statement, parameters as text.
    Bind(&'a str, &'a [Option<&'a str>]),
    /// Bind of a named portal: portal, statement, parameters as text.
    BindAs(&'a str, &'a str, &'a [Option<&'a str>]),
    /// Describe of a portal.
    DescribePortal(&'a str),
    /// Describe of a statement.
    DescribeStatement(&'a str),
    /// Execute of a portal, with at most so many rows; 0 for all.
    Execute(&'a str, i32),
    /// Sync.
    Sync,
    /// A simple query.
    Query(&'a str),
    /// CopyFail.
    CopyFail,
}

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// ParseComplete.
    Parsed,
    /// BindComplete.
    Bound,
    /// RowDescription: the names.
    Columns(Vec<String>),
    /// NoData.
    NoData,
    /// DataRow, as it came.
    Row(Vec<Option<Vec<u8>>>),
    /// CommandComplete.
    Complete(String),
    /// EmptyQueryResponse.
    Empty,
    /// PortalSuspended.
    Suspended,
    /// ErrorResponse.
    Error(Refusal),
    /// NoticeResponse.
    Notice(Refusal),
    /// NotificationResponse: channel and payload.
    Notification(String, String),
    /// ParameterStatus.
    Parameter(String, String),
    /// CopyInResponse.
    CopyIn,
    /// CopyOutResponse, CopyData or CopyDone.
    CopyOut,
    /// Anything else that carries nothing.
    Other,
}

/// Everything up to ReadyForQuery, or to a CopyInResponse, after which the server waits for us.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The messages in order.
    pub replies: Vec<Reply>,
    /// The status in ReadyForQuery: `I`, `T` or `E`; `G` if the server waits for COPY data; `X` if it has hung up.
    pub status: char,
}

impl Exchange {
    /// The first error.
    pub fn error(&self) -> Option<&Refusal> {
        self.replies.iter().find_map(|reply| if let Reply::Error(error) = reply { Some(error) } else { None })
    }

    /// The SQLSTATE of the first error, or nothing.
    pub fn code(&self) -> &str {
        self.error().map_or("", |error| error.code.as_str())
    }

    /// Every row, as text, in lines.
    pub fn text(&self) -> String {
        let lines = self.replies.iter().filter_map(|reply| match reply {
            Reply::Row(cells) => Some(
                cells
                    .iter()
                    .map(|cell| text_of(cell.as_ref()))
                    .map(Option::unwrap_or_default)
                    .collect::<Vec<_>>()
                    .join("|"),
            ),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// How many statements completed.
    pub fn completed(&self) -> usize {
        self.replies.iter().filter(|reply| matches!(reply, Reply::Complete(_) | Reply::Empty)).count()
    }

    /// One answer for each statement that completed, or the first error.
    fn answers(&self) -> Result<Vec<Answer>, Refusal> {
        if let Some(error) = self.error() {
            return Err(error.clone());
        }
        let (mut answers, mut open) = (Vec::new(), Answer::default());
        for reply in &self.replies {
            match reply {
                Reply::Columns(columns) => open.columns.clone_from(columns),
                Reply::Row(cells) => {
                    open.rows.push(cells.iter().map(|cell| text_of(cell.as_ref())).collect());
                }
                Reply::Complete(tag) => {
                    tag.split(' ').next().unwrap_or_default().clone_into(&mut open.command);
                    answers.push(std::mem::take(&mut open));
                }
                Reply::Empty => answers.push(std::mem::take(&mut open)),
                _ => {}
            }
        }
        Ok(answers)
    }
}

fn text_of(cell: Option<&Vec<u8>>) -> Option<String> {
    cell.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    read: BytesMut,
    seal: Option<String>,
    /// The process id of the backend.
    pub pid: i32,
}

impl Wire {
    /// Connects as the gate does: same login, same settings in the startup packet. `seal`: the key that the connection is
    /// sealed with.
    pub async fn gate(site: &Site, database: &str, seal: Option<&str>) -> Self {
        let mut wire = Self::connect(site, "postern_gate", database).await;
        if let Some(key) = seal {
            let sealed = wire.outside_with("select postern.seal($1)", &[25], &[Some(key)]).await;
            assert_eq!((sealed.code(), sealed.status), ("", 'I'), "{sealed:?}");
            wire.seal = Some(key.to_owned());
        }
        wire
    }

    /// Connects to a standby of the site as the gate does, without a seal.
    pub async fn standby(site: &Site, standby: &Cluster, database: &str) -> Self {
        let password = site.cluster().password("postern_gate").expect("the site has set a password");
        Self::open(standby, "postern_gate", &password, database).await
    }

    /// Connects as a role whose password the site knows.
    pub async fn connect(site: &Site, user: &str, database: &str) -> Self {
        let password = site.cluster().password(user).expect("the site has set a password");
        Self::open(site.cluster(), user, &password, database).await
    }

    async fn open(cluster: &Cluster, user: &str, password: &str, database: &str) -> Self {
        let socket = cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port()));
        let stream = UnixStream::connect(socket).await.expect("the server listens on its socket");
        let mut wire = Self { stream, read: BytesMut::new(), seal: None, pid: 0 };
        let settings = [
            ("user", user),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("bytea_output", "hex"),
            ("extra_float_digits", "1"),
            ("standard_conforming_strings", "on"),
            ("statement_timeout", "0"),
            ("row_security", "on"),
            ("application_name", "postern"),
        ];
        let mut out = BytesMut::new();
        frontend::startup_message(settings, &mut out).expect("settings without NUL");
        wire.write(&out).await;
        wire.authenticate(password).await;
        wire
    }

    async fn authenticate(&mut self, password: &str) {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let mut out = BytesMut::new();
            match self.message().await.expect("the server answers") {
                Message::AuthenticationSasl(_) => {
                    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut out)
                        .expect("encodes");
                }
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data()).expect("a sound challenge");
                    frontend::sasl_response(scram.message(), &mut out).expect("encodes");
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram.finish(body.data()).expect("the server knows the password");
                }
                Message::BackendKeyData(body) => self.pid = body.process_id(),
                Message::ErrorResponse(body) => panic!("cannot connect: {}", refusal(body.fields())),
                Message::ReadyForQuery(_) => return,
                _ => {}
            }
            self.write(&out).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        // A server that has hung up shows at the next read.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next message, or nothing when the server has hung up.
    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.read).expect("the server keeps to the protocol") {
                return Some(message);
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends messages in one write and reads up to the next ReadyForQuery.
    pub async fn send(&mut self, steps: &[Step<'_>]) -> Exchange {
        let mut out = BytesMut::new();
        for step in steps {
            encode(*step, &mut out);
        }
        self.write(&out).await;
        self.read_exchange().await
    }

    /// Reads up to the next ReadyForQuery.
    pub async fn read_exchange(&mut self) -> Exchange {
        let mut replies = Vec::new();
        loop {
            let Some(message) = self.message().await else { return Exchange { replies, status: 'X' } };
            let status = if let Message::ReadyForQuery(body) = &message {
                Some(char::from(body.status()))
            } else {
                None
            };
            if let Some(status) = status {
                return Exchange { replies, status };
            }
            let reply = reply(message);
            let waits = reply == Reply::CopyIn;
            replies.push(reply);
            if waits {
                return Exchange { replies, status: 'G' };
            }
        }
    }

    /// One statement of the gate's own, outside the wall.
    pub async fn outside(&mut self, sql: &str) -> Exchange {
        self.outside_with(sql, &[], &[]).await
    }

    /// As [`Wire::outside`], with parameters.
    pub async fn outside_with(&mut self, sql: &str, types: &[u32], params: &[Option<&str>]) -> Exchange {
        use Step as S;
        self.send(&[
            S::Parse("", sql, types),
            S::Bind("", params),
            S::DescribePortal(""),
            S::Execute("", 0),
            S::Sync,
        ])
        .await
    }

    /// `enter`, then `steps`: what a request is, in one write. The steps have to end with Sync.
    pub async fn entered(&mut self, role: &str, facts: Option<&str>, steps: &[Step<'_>]) -> Exchange {
        let seal = self.seal.clone();
        let params = [Some(role), facts, seal.as_deref()];
        let mut all =
            vec![Step::Parse("", ENTER, &ENTER_TYPES), Step::Bind("", &params), Step::Execute("", 0)];
        all.extend_from_slice(steps);
        self.send(&all).await
    }

    /// A whole request as the gate sends it.
    pub async fn request(
        &mut self,
        role: &str,
        facts: Option<&str>,
        statements: &[(&str, &[Option<&str>])],
    ) -> Outcome {
        use Step as S;
        let mut steps = Vec::new();
        for (sql, params) in statements {
            steps.extend([
                S::Parse("", sql, &[]),
                S::Bind("", params),
                S::DescribePortal(""),
                S::Execute("", 0),
            ]);
        }
        steps.push(S::Sync);
        let mut exchange = self.entered(role, facts, &steps).await;
        let asked = statements.iter().map(|(sql, _)| *sql).collect::<Vec<_>>().join("; ");
        assert_eq!(exchange.status, 'I', "{role}> {asked}\n  {exchange:?}");
        // The answer of `enter` is not the client's.
        if let Some(first) = exchange.replies.iter().position(|reply| matches!(reply, Reply::Complete(_))) {
            exchange.replies.drain(..=first);
        }
        Outcome { asked: crate::answer::asked(role, &asked), result: exchange.answers() }
    }
}

fn encode(step: Step<'_>, out: &mut BytesMut) {
    let done = match step {
        Step::Parse(name, sql, types) => frontend::parse(name, sql, types.iter().copied(), out),
        Step::Bind(statement, params) => return bind("", statement, params, out),
        Step::BindAs(portal, statement, params) => return bind(portal, statement, params, out),
        Step::DescribePortal(name) => frontend::describe(b'P', name, out),
        Step::DescribeStatement(name) => frontend::describe(b'S', name, out),
        Step::Execute(name, rows) => frontend::execute(name, rows, out),
        Step::Sync => {
            frontend::sync(out);
            Ok(())
        }
        Step::Query(sql) => frontend::query(sql, out),
        Step::CopyFail => frontend::copy_fail("no", out),
    };
    done.expect("text without NUL");
}

fn bind(portal: &str, statement: &str, params: &[Option<&str>], out: &mut BytesMut) {
    let params = params.iter().copied();
    let value = |param: Option<&str>, buffer: &mut BytesMut| {
        Ok(param.map_or(IsNull::Yes, |text| {
            buffer.put_slice(text.as_bytes());
            IsNull::No
        }))
    };
    let bound = frontend::bind(portal, statement, [], params, value, [], out);
    assert!(bound.is_ok(), "names without NUL");
}

fn reply(message: Message) -> Reply {
    match message {
        Message::ParseComplete => Reply::Parsed,
        Message::BindComplete => Reply::Bound,
        Message::RowDescription(body) => Reply::Columns(
            body.fields().map(|field| Ok(field.name().to_owned())).collect().expect("names in UTF-8"),
        ),
        Message::NoData => Reply::NoData,
        Message::DataRow(body) => {
            let buffer = body.buffer();
            let cell = |range: Option<std::ops::Range<usize>>| Ok(range.map(|range| buffer[range].to_vec()));
            Reply::Row(body.ranges().map(cell).collect().expect("cells within the row"))
        }
        Message::CommandComplete(body) => Reply::Complete(body.tag().expect("a tag in ASCII").to_owned()),
        Message::EmptyQueryResponse => Reply::Empty,
        Message::PortalSuspended => Reply::Suspended,
        Message::ErrorResponse(body) => Reply::Error(refusal(body.fields())),
        Message::NoticeResponse(body) => Reply::Notice(refusal(body.fields())),
        Message::NotificationResponse(body) => Reply::Notification(
            body.channel().expect("a channel in UTF-8").to_owned(),
            body.message().expect("a payload in UTF-8").to_owned(),
        ),
        Message::ParameterStatus(body) => Reply::Parameter(
            body.name().expect("a name in ASCII").to_owned(),
            body.value().expect("a value in UTF-8").to_owned(),
        ),
        Message::CopyInResponse(_) => Reply::CopyIn,
        Message::CopyOutResponse(_) | Message::CopyData(_) | Message::CopyDone => Reply::CopyOut,
        _ => Reply::Other,
    }
}

fn refusal(mut fields: ErrorFields<'_>) -> Refusal {
    let mut refusal = Refusal::default();
    while let Some(field) = fields.next().expect("fields within the message") {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => refusal.code = value,
            b'M' => refusal.message = value,
            b'D' => refusal.detail = Some(value),
            b'H' => refusal.hint = Some(value),
            _ => {}
        }
    }
    refusal
}
