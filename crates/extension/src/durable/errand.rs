//! What is done for a caller in a transaction of its own: a start that survives the caller's
//! rollback or is in another database, a signal that arrives at once, a question to another database.
//!
//! **How it works.** The caller has checked its arguments and rights, and writes down what it wants, with whom it acts as. A background
//! worker, started for that, does it as the owner of the tables, commits, and answers; the caller waits. There is no connection, no
//! password, and no SQL of the caller's in it.
//!
//! **Invariants**
//! * What is asked for was checked in the caller's process; nobody but our own code writes such a request.
//! * A caller that may not write (a read-only transaction, a standby) has nothing written for it; nor has who looks through another's eyes
//!   (`postern.run_as`), with facts of their own choice.
//! * What another database decides (whether the role may use durable functions there, and be entered) is asked there.
//! * A few at once, for the whole server; who finds no place waits a while, and is refused.
//! * A question writes nothing, so that it may be asked again.
//!
//! **Not promised.** A caller that is cancelled at the moment of the commit does not know whether it was done. The worker may wait for a lock that
//! the caller itself holds, which the server cannot see; it gives up after a time.

use pgrx::PgSqlErrorCode;
use postern_durable::Failure;
use serde::{Deserialize, Serialize};

use super::error::Refusal;
use super::start::{self, Captured, Request};
use super::{afar, board, control, outbox, rights, store};
use crate::error::Error;
use crate::guc;
use crate::identity::enter;
use crate::pg::letter::Letter;
use crate::pg::query::as_owner;
use crate::pg::worker::{self, Finish, Job};
use crate::pg::{Oid, catalog, guc as settings, xact};
use crate::version;

/// Milliseconds after which a worker gives up.
const TIME_LIMIT: i32 = 30_000;

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub enum Errand {
    /// Starts a function.
    Start {
        function: String,
        label: Option<String>,
        key: Option<String>,
        priority: i16,
        role: u32,
        session: u32,
        definers: Vec<String>,
        facts: Option<String>,
        /// Where it comes from another database.
        elsewhere: Option<Elsewhere>,
    },
    /// Puts a message into a box.
    Send {
        id: String,
        kind: u8,
        name: Option<String>,
        payload: String,
        sender: u32,
        /// From another database, and whether the gate entered the sender there.
        from: Option<bool>,
    },
    /// Says what became of an instance, to another database.
    Ask { id: String, caller: u32, entered: bool, whole: bool },
}

/// What is known only in the database that a start comes from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The caller's variables there.
    pub vars: Option<String>,
    /// The role was entered through the gate.
    pub entered: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The id of an instance, or what was asked for.
    Done(String),
    Failed(Failure),
    /// It needs so much room.
    Long(usize),
}

/// Bytes of room for an answer, until it is known to need more.
const ROOM: usize = 16 * 1024;

/// Has it done in a database, and waits for it. `what` names it in messages.
pub fn send(what: &'static str, errand: &Errand, database: Oid) -> Result<String, Error> {
    let asks = matches!(errand, Errand::Ask { .. });
    if enter::is_a_look() && !asks {
        return Err(Refusal::Look(what).into());
    }
    if if asks { xact::in_recovery() } else { xact::is_read_only() } {
        return Err(Refusal::ReadOnly(what).into());
    }
    // Texts and numbers always serialize.
    let text = serde_json::to_vec(errand).unwrap_or_default();
    let mut answer = once(what, &text, ROOM, database)?;
    if let (Answer::Long(room), true) = (&answer, asks) {
        answer = once(what, &text, room.saturating_add(ROOM), database)?;
    }
    match answer {
        Answer::Done(answer) => Ok(answer),
        Answer::Failed(failure) => {
            let code = code(failure.sqlstate.as_deref().unwrap_or("XX000"));
            Err(Refusal::Elsewhere { what, code, message: failure.message, detail: failure.detail }.into())
        }
        Answer::Long(_) => Err(Refusal::TooLong.into()),
    }
}

/// Has a process do it, which answers in so many bytes.
fn once(what: &'static str, text: &[u8], room: usize, database: Oid) -> Result<Answer, Error> {
    let patience = guc::NEW_TRANSACTION_TIMEOUT.get();
    let deadline = worker::now().saturating_add(i64::from(patience) * 1_000_000);
    let places = guc::MAX_NEW_TRANSACTIONS.get();
    let full = || Refusal::NoPlace { places, seconds: patience };
    while !board::take_errand(usize::try_from(places).unwrap_or(0)) {
        if worker::now() >= deadline {
            return Err(full().into());
        }
        worker::nap(5);
    }
    let letter = Letter::write(text, room).ok_or(Refusal::TooLong)?;
    let started = loop {
        let job = Job {
            function: "postern_errand",
            name: "postern errand",
            argument: u64::from(letter.handle()),
            extra: u64::from(database.to_u32()),
            restart: -1,
        };
        match worker::start_watched(job) {
            Some(started) => break started,
            None if worker::now() >= deadline => return Err(Refusal::NoWorker(what).into()),
            None => {
                board::make_room();
                worker::nap(20);
            }
        }
    };
    let answer = loop {
        // Asked in this order: it answers before it ends.
        let ended = started.has_ended();
        match letter.answered() {
            Some(answer) => break Some(answer),
            None if ended => break None,
            None => worker::nap(1_000),
        }
    };
    started.release();
    letter.close();
    board::errand_done();
    let answer = answer.and_then(|answer| serde_json::from_slice(&answer).ok());
    answer.ok_or_else(|| Refusal::NoWorker(what).into())
}

/// A SQLSTATE of five characters as the server packs it.
fn code(sqlstate: &str) -> PgSqlErrorCode {
    let packed = sqlstate
        .bytes()
        .enumerate()
        .fold(0_i32, |code, (n, c)| code | (i32::from(c.wrapping_sub(b'0')) & 0x3f) << (6 * n.min(4)));
    PgSqlErrorCode::from(packed)
}

/// The process.
pub fn run(handle: u32) {
    let database = u32::try_from(worker::extra()).unwrap_or(0);
    worker::set_up(Some(Oid::from_u32(database)));
    let Some(letter) = Letter::open(handle) else { return };
    let Ok(errand) = serde_json::from_slice::<Errand>(&letter.request()) else { return };
    let answer = worker::transaction_if(|| {
        settings::set_for_session(c"lock_timeout", c"30s");
        worker::arm(TIME_LIMIT);
        let answer = if catalog::hold_extension() {
            version::check().and_then(|()| perform(errand)).map_err(rights::failure)
        } else {
            let name = catalog::database_name(worker::database()).unwrap_or_default();
            Err(Failure::new("55000", format!("the extension is not in database \"{name}\"")))
        };
        let answer = answer.map_or_else(Answer::Failed, Answer::Done);
        worker::disarm();
        // Whoever was cancelled, or rolled back, while it waited does not want it.
        let finish = if letter.is_abandoned() { Finish::Rollback } else { Finish::Commit };
        (answer, finish)
    });
    let answer = answer.unwrap_or_else(|caught| {
        Answer::Failed(Failure { detail: caught.detail, ..Failure::new(&caught.sqlstate, caught.message) })
    });
    // Texts always serialize.
    let text = serde_json::to_vec(&answer).unwrap_or_default();
    if !letter.answer(&text) {
        letter.answer(&serde_json::to_vec(&Answer::Long(text.len())).unwrap_or_default());
    }
}

fn perform(errand: Errand) -> Result<String, Error> {
    match errand {
        Errand::Start { function, label, key, priority, role, session, definers, facts, elsewhere } => {
            let request = Request {
                function: &function,
                label: label.as_deref(),
                database: None,
                mode: "new",
                key: key.as_deref(),
                priority: i32::from(priority),
            };
            let captured = Captured { role: Oid::from_u32(role), session: Oid::from_u32(session), definers };
            if let Some(elsewhere) = &elsewhere {
                rights::check_arrival(captured.role, elsewhere.entered)?;
            }
            as_owner(|| {
                let vars = match elsewhere {
                    Some(elsewhere) => elsewhere.vars,
                    None => start::variables_for(&function, captured.role),
                };
                start::insert(&request, priority, &captured, facts.as_deref(), vars.as_deref())
            })
        }
        Errand::Send { id, kind, name, payload, sender, from } => {
            let sender = Oid::from_u32(sender);
            if let Some(entered) = from {
                rights::check_arrival(sender, entered)?;
            }
            as_owner(|| {
                let found = store::owner_and_status(&id).filter(|(owner, _)| control::is_its(sender, *owner));
                let Some((owner, status)) = found else { return Err(Refusal::NotFound(id).into()) };
                if !control::has_ended(&status) {
                    store::send(&id, kind, name.as_deref(), &payload, sender, owner);
                    outbox::sent();
                }
                Ok(id)
            })
        }
        Errand::Ask { id, caller, entered, whole } => {
            let caller = Oid::from_u32(caller);
            rights::check_arrival(caller, entered)?;
            as_owner(|| {
                let said = store::owner_and_status(&id)
                    .filter(|(owner, _)| control::is_its(caller, *owner))
                    .map(|(_, status)| afar::Said {
                        status: control::shown(&id, status),
                        output: if whole { store::output(&id) } else { None },
                    });
                // Texts always serialize.
                Ok(serde_json::to_string(&said).unwrap_or_default())
            })
        }
    }
}
