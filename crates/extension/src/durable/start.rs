//! `df.start()`: who it is that asked, and the rows that make it happen. Nothing else happens here: the rows commit with the
//! caller's transaction, and an executor is woken when they have. With `transaction_mode => 'new'`, or in another
//! database, an errand writes them instead.

use postern_durable::machine::Frame;
use postern_durable::{Graph, check_name};

use super::errand::{self, Elsewhere, Errand};
use super::error::Refusal;
use super::store::{self, State, Strand};
use super::{afar, home, outbox, rights};
use crate::error::Error;
use crate::identity;
use crate::pg::query::{self, Arg};
use crate::pg::{self, NO_OID, Oid, catalog, session, user, worker};
use crate::{guc, pg::log};

/// What `df.start()` was given.
#[derive(Debug)]
pub struct Request<'a> {
    pub function: &'a str,
    pub label: Option<&'a str>,
    pub database: Option<&'a str>,
    pub mode: &'a str,
    pub key: Option<&'a str>,
    pub priority: i32,
}

/// Who asked.
#[derive(Debug)]
pub struct Captured {
    /// Whom the steps run as.
    pub role: Oid,
    /// The identity of the session: the entered role, else `session_user`.
    pub session: Oid,
    /// The SECURITY DEFINER functions that the call came through, outermost first.
    pub definers: Vec<String>,
}

/// How the version of graph and frame is marked.
pub const FORMAT: i16 = 1;

/// A priority in its range.
pub fn priority(given: i32) -> Result<i16, Error> {
    let known = i16::try_from(given).ok().filter(|n| (-100..=100).contains(n));
    known.ok_or_else(|| Refusal::Priority.into())
}

/// Starts a function; gives the instance's id.
pub fn start(request: &Request) -> Result<String, Error> {
    let new = request.mode.eq_ignore_ascii_case("new");
    if !new && !request.mode.eq_ignore_ascii_case("caller") {
        return Err(Refusal::TransactionMode(request.mode.into()).into());
    }
    if new && worker::is_ours() {
        return Err(Refusal::NewInside.into());
    }
    let priority = priority(request.priority)?;
    check_name("label", request.label.unwrap_or_default()).map_err(Refusal::Language)?;
    check_name("key", request.key.unwrap_or_default()).map_err(Refusal::Language)?;
    let graph = Graph::parse(request.function).map_err(Refusal::Language)?;
    graph.check_new().map_err(Refusal::Language)?;
    let home = worker::database();
    let mut target = home;
    if let Some(name) = request.database {
        match catalog::database(name) {
            None => return Err(Refusal::NoDatabase(name.into()).into()),
            Some(database) if database == home => {}
            // What takes no background workers of ours, or nobody at all.
            Some(database) if !catalog::databases().contains(&database) => {
                return Err(Refusal::NotServed(name.into()).into());
            }
            Some(_) if worker::is_ours() => return Err(Refusal::OtherDatabase("df.start()").into()),
            Some(database) => target = database,
        }
    }
    let captured = capture("df.start()")?;
    rights::check_start_in(captured.role, target)?;
    let facts = identity::facts::text();
    let elsewhere = (target != home).then(|| Elsewhere {
        vars: query::as_owner(|| variables_for(graph.text(), captured.role)),
        entered: identity::is_entered(),
    });
    if new || elsewhere.is_some() {
        let errand = Errand::Start {
            function: graph.text().into(),
            label: request.label.map(Into::into),
            key: request.key.map(Into::into),
            priority,
            role: captured.role.to_u32(),
            session: captured.session.to_u32(),
            definers: captured.definers,
            facts,
            elsewhere,
        };
        let id = errand::send("df.start()", &errand, target)?;
        if target != home {
            query::as_owner(|| afar::note(&id, captured.role, target));
        }
        return Ok(id);
    }
    let request = Request { function: graph.text(), ..*request };
    query::as_owner(|| {
        let vars = variables_for(request.function, captured.role);
        insert(&request, priority, &captured, facts.as_deref(), vars.as_deref())
    })
}

/// Writes the rows of an instance whose function and rights were checked. As the owner.
pub fn insert(
    request: &Request,
    priority: i16,
    captured: &Captured,
    facts: Option<&str>,
    vars: Option<&str>,
) -> Result<String, Error> {
    if let Some(key) = request.key
        && let Some(id) = by_key(captured.role, key)
    {
        return Ok(id);
    }
    let id = fresh_id()?;
    let now = worker::now();
    let added = query::run(
            c"INSERT INTO postern.instance (id, label, status, submitted_by, session_role, priority, key, created_at, updated_at, \
                     graph, vars, facts, definers, format, home) \
              VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7, $7, $8, $9::jsonb, $10::jsonb, $11, $12, $13) \
              ON CONFLICT (submitted_by, key) WHERE key IS NOT NULL DO NOTHING RETURNING id",
            &[
                Arg::Text(&id),
                Arg::Maybe(request.label),
                Arg::Oid(captured.role),
                Arg::Oid(captured.session),
                Arg::Int2(priority),
                Arg::Maybe(request.key),
                Arg::Time(now),
                Arg::Text(request.function),
                Arg::Maybe(vars),
                Arg::Maybe(facts),
                Arg::Texts(&captured.definers),
                Arg::Int2(FORMAT),
                Arg::Text(&home::mark(captured.role)),
            ],
        );
    if added.is_empty() {
        // Someone else has just used the key.
        let key = request.key.unwrap_or_default();
        return by_key(captured.role, key).ok_or_else(|| Refusal::NoId.into());
    }
    first_strand(&id, captured.role, priority, now);
    outbox::started();
    Ok(id)
}

/// The strand of an instance that begins.
pub fn first_strand(id: &str, owner: Oid, priority: i16, now: i64) {
    store::add(&Strand {
        instance: id.into(),
        strand: 0,
        parent: None,
        branch: 0,
        base: 0,
        node: 0,
        state: State::Ready,
        due: now,
        owner,
        priority,
        signal: None,
        frame: Frame::default(),
        held: None,
    });
}

/// Whose the steps are, and what is to be said about it.
pub fn capture(called: &'static str) -> Result<Captured, Error> {
    let current = user::current().oid;
    let session = identity::enter::role().unwrap_or_else(user::session);
    let definers = pg::definer::stack();
    let by_session = guc::start_use_session_user();
    if !by_session && current != session && !definers.is_empty() {
        let name = pg::definer::describe(definers.last().copied().unwrap_or(NO_OID));
        match guc::START_IN_DEFINER.get() {
            guc::InDefiner::Allow => {}
            guc::InDefiner::Session => {
                return Ok(Captured { role: session, session, definers: describe(&definers) });
            }
            guc::InDefiner::Refuse => {
                return Err(Refusal::InDefiner {
                    called,
                    function: name,
                    role: pg::role::name(current),
                    session: pg::role::name(session),
                }
                .into());
            }
            guc::InDefiner::Warn => log::warning(
                &format!(
                    "{called} inside a SECURITY DEFINER function runs its steps as \"{}\"",
                    pg::role::name(current)
                ),
                &format!("It was called through {name} by \"{}\".", pg::role::name(session)),
                &format!(
                    "Make {name} SECURITY INVOKER, or set postern.start_use_session_user so that steps run as whoever called; set \
                     postern.start_in_definer to 'allow' if this is meant."
                ),
            ),
        }
    }
    let role = if by_session { session } else { current };
    Ok(Captured { role, session, definers: describe(&definers) })
}

fn describe(definers: &[Oid]) -> Vec<String> {
    definers.iter().map(|function| pg::definer::describe(*function)).collect()
}

fn by_key(owner: Oid, key: &str) -> Option<String> {
    let rows = query::run(
        c"SELECT i.id FROM postern.instance i WHERE i.submitted_by = $1 AND i.key = $2",
        &[Arg::Oid(owner), Arg::Text(key)],
    );
    rows.first().map(|row| row.string(0))
}

/// The variables that a function takes over; none, if it cannot mention any.
pub fn variables_for(function: &str, owner: Oid) -> Option<String> {
    if !function.contains('{') {
        return None;
    }
    let rows = query::run(
        c"SELECT jsonb_object_agg(v.name, v.value)::text FROM df.vars v WHERE v.owner = $1",
        &[Arg::Oid(owner)],
    );
    rows.first().and_then(|row| row.text(0).map(str::to_owned))
}

/// Eight hexadecimal digits that no instance has.
pub fn fresh_id() -> Result<String, Error> {
    for _ in 0..10 {
        let mut bytes = [0; 4];
        if !session::random_bytes(&mut bytes) {
            return Err(Error::NoRandomness);
        }
        let id = format!("{:08x}", u32::from_be_bytes(bytes));
        if query::run(c"SELECT FROM postern.instance i WHERE i.id = $1", &[Arg::Text(&id)]).is_empty() {
            return Ok(id);
        }
    }
    Err(Refusal::NoId.into())
}
