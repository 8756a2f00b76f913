//! From a socket to a sealed connection.
//!
//! **Invariants.**
//! - The settings on which reading the answers depends are in the startup packet: `RESET` returns to them, and
//!   `ALTER ROLE … SET` does not beat them.
//! - The password is proved by SCRAM and never sent; a server that asks for it in another way is refused.
//! - Every connection is sealed before it is used: the key is random, per connection, and only in this process and that backend.

use std::sync::Arc;
use std::time::Instant;

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rand::Rng;

use crate::config::Target;
use crate::connection::Connection;
use crate::leash::Leash;
use crate::pipeline::{self, oid};
use crate::plans::Plans;
use crate::stream::Route;
use crate::wire::Reader;
use crate::{Error, ServerError};

/// What answers look like, and what must not end a connection behind our back.
const SETTINGS: [(&str, &str); 10] = [
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("row_security", "on"),
];

/// Limits of a new connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub max_message_bytes: usize,
    pub statements: usize,
    pub expires: Instant,
}

/// Connects, authenticates, seals, and prepares `enter`.
pub(crate) async fn connect(route: &Route, target: &Target, bounds: Bounds) -> Result<Connection, Error> {
    let mut connection = log_in(route, target, bounds).await?;
    connection.plans = Plans::new(bounds.statements, format!("p{}_", random_hex::<8>()));
    connection.enter = format!("e{}", random_hex::<8>()).into();
    connection.seal = random_hex::<32>().into();
    let (enter, seal) = (connection.enter.clone(), connection.seal.clone());
    pipeline::introduce(connection.begin(), &enter, &seal)?;
    connection.answer().await?;
    Ok(connection)
}

/// Asks the server to cancel what a backend runs. Returns when the server has dealt with it.
pub(crate) async fn cancel(route: &Route, leash: &Leash) -> Result<(), Error> {
    let stream = route.open().await.map_err(Error::unavailable)?;
    let mut connection = Connection::new(stream, 1 << 10, Instant::now());
    frontend::cancel_request(leash.pid, leash.secret, connection.begin());
    connection.push().await;
    // The server answers nothing; it closes when the signal was sent.
    while connection.fill().await.is_ok() {}
    Ok(())
}

/// Ends a backend. The pool's login may do so: the backend belongs to the same role.
pub(crate) async fn terminate(route: &Route, target: &Target, leash: &Leash) -> Result<(), Error> {
    let bounds = Bounds { max_message_bytes: 64 << 10, statements: 0, expires: Instant::now() };
    let mut connection = log_in(route, target, bounds).await?;
    let pid = leash.pid.to_string();
    let out = connection.begin();
    pipeline::own(out, pipeline::TERMINATE, &[oid::INT4], &[Some(pid.as_bytes())])?;
    frontend::sync(out);
    let rows = connection.answer().await?;
    connection.close();
    match rows.first().and_then(|row| row.get(0)) {
        Some("t") => Ok(()),
        _ => Err(Error::unavailable("the backend is not there any more")),
    }
}

async fn log_in(route: &Route, target: &Target, bounds: Bounds) -> Result<Connection, Error> {
    let stream = route.open().await.map_err(Error::unavailable)?;
    let mut connection = Connection::new(stream, bounds.max_message_bytes, bounds.expires);
    let names =
        [("user", target.user.as_str()), ("database", &target.dbname), ("application_name", "postern")];
    frontend::startup_message(names.into_iter().chain(SETTINGS), connection.begin())
        .map_err(|_| Error::Config("user and dbname cannot contain a NUL byte".to_owned()))?;
    connection.push().await;
    authenticate(&mut connection, target).await?;
    let mut key = None;
    loop {
        let frame = connection.read().await?;
        match frame.tag {
            b'K' => {
                let mut reader = Reader::new(&frame.body);
                key = Some((reader.i32()?, reader.i32()?));
                reader.end()?;
            }
            b'Z' => {
                connection.settle(&frame)?;
                break;
            }
            b'N' => {}
            b'E' => return Err(refused(&frame.body)?),
            _ => return Err(Error::Protocol("not a message of the startup")),
        }
    }
    let (pid, secret) = key.ok_or(Error::Protocol("the backend has no process id"))?;
    connection.leash = Arc::new(Leash::new(pid, secret));
    match connection.reported("client_encoding") {
        Some("UTF8") => Ok(connection),
        _ => Err(Error::Protocol("the client's encoding is not UTF8")),
    }
}

async fn authenticate(connection: &mut Connection, target: &Target) -> Result<(), Error> {
    let mut scram: Option<ScramSha256> = None;
    let mut proved = false;
    loop {
        let frame = connection.read().await?;
        match frame.tag {
            b'R' => {}
            b'N' => continue,
            b'E' => return Err(refused(&frame.body)?),
            _ => return Err(Error::Protocol("not a message of the authentication")),
        }
        let mut reader = Reader::new(&frame.body);
        match (reader.i32()?, scram.as_mut()) {
            // A server that began SCRAM has to prove that it knows the password, too.
            (0, None) => return Ok(()),
            (0, Some(_)) if proved => return Ok(()),
            (10, None) => {
                let mut offered = false;
                loop {
                    match reader.cstr()? {
                        b"" => break,
                        mechanism => offered |= mechanism == SCRAM_SHA_256.as_bytes(),
                    }
                }
                if !offered {
                    return Err(Error::unavailable("the server does not offer SCRAM-SHA-256"));
                }
                let password = target.password()?.ok_or_else(|| {
                    Error::unavailable("the server asks for a password, and none is configured")
                })?;
                let client = ScramSha256::new(password.expose().as_bytes(), ChannelBinding::unsupported());
                let out = connection.begin();
                frontend::sasl_initial_response(SCRAM_SHA_256, client.message(), out)
                    .map_err(Error::unavailable)?;
                scram = Some(client);
            }
            (11, Some(client)) => {
                client.update(reader.rest()).map_err(Error::unavailable)?;
                frontend::sasl_response(client.message(), connection.begin()).map_err(Error::unavailable)?;
            }
            (12, Some(client)) => {
                client.finish(reader.rest()).map_err(Error::unavailable)?;
                proved = true;
            }
            (0 | 11 | 12, _) => return Err(Error::Protocol("authentication out of order")),
            _ => {
                let reason = "the server asks for the password in another way than SCRAM-SHA-256";
                return Err(Error::unavailable(reason));
            }
        }
        connection.push().await;
    }
}

fn refused(body: &[u8]) -> Result<Error, Error> {
    let error = ServerError::parse_at_startup(body)?;
    Ok(Error::Unavailable { reason: error.message.clone(), server: Some(Box::new(error)) })
}

/// Random bytes in hexadecimal.
fn random_hex<const N: usize>() -> String {
    use std::fmt::Write;

    let mut bytes = [0_u8; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().fold(String::with_capacity(2 * N), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
