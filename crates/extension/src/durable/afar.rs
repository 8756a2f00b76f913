//! Instances of another database: `df.start(…, database => …)` notes here where each of them is, so that whoever started it can ask,
//! signal and cancel from where it was started.
//!
//! **How it works.** The note is a row of `postern.elsewhere`, in the caller's transaction. What becomes of the instance is written in the
//! other database only; it is asked there, and messages are put into the box there, by an [`errand`](super::errand), which asks again
//! whether the caller may, and whether the instance is its own. Whoever waits is woken through shared memory, as in the same database.
//!
//! **Not promised.** A signal or a request to cancel is there at once, whatever becomes of the caller's transaction. Notes are kept as long as
//! instances that have ended.

use serde::{Deserialize, Serialize};

use super::errand::{self, Errand};
use super::error::Refusal;
use crate::error::Error;
use crate::identity;
use crate::pg::query::{self, Arg, as_owner};
use crate::pg::{Oid, catalog, role, user, worker};

/// Where an instance is that the caller started in another database.
#[derive(Debug, Clone, Copy)]
pub struct There {
    pub caller: Oid,
    pub database: Oid,
}

/// What its own database says of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    pub status: String,
    pub output: Option<String>,
}

/// Notes where an instance is. As the owner.
pub fn note(id: &str, owner: Oid, database: Oid) {
    query::run(
        c"INSERT INTO postern.elsewhere (id, owner, database, created_at) VALUES ($1, $2, $3, now()) \
          ON CONFLICT ON CONSTRAINT elsewhere_pkey DO UPDATE SET database = excluded.database, created_at = excluded.created_at",
        &[Arg::Text(id), Arg::Oid(owner), Arg::Oid(database)],
    );
}

/// Where an instance is, if the caller started it, or is a superuser.
pub fn find(id: &str) -> Option<There> {
    let caller = user::current().oid;
    let superuser = role::by_oid(caller).is_some_and(|role| role.superuser);
    let rows = as_owner(|| {
        query::run(
            c"SELECT e.owner, e.database FROM postern.elsewhere e WHERE e.id = $1 ORDER BY e.created_at DESC",
            &[Arg::Text(id)],
        )
    });
    let mine = rows.iter().find(|row| superuser || row.oid(0) == caller)?;
    Some(There { caller, database: mine.oid(1) })
}

impl There {
    /// The name of the database; `None` if it was dropped.
    pub fn name(self) -> Option<String> {
        catalog::database_name(self.database)
    }

    /// What became of the instance; `None` if its database does not know it any more.
    pub fn ask(self, what: &'static str, id: &str, whole: bool) -> Result<Option<Said>, Error> {
        self.may(id)?;
        let errand = Errand::Ask {
            id: id.into(),
            caller: self.caller.to_u32(),
            entered: entered_by_the_gate(),
            whole,
        };
        let answer = errand::send(what, &errand, self.database)?;
        // Written by our own code: it always reads.
        Ok(serde_json::from_str(&answer).unwrap_or_default())
    }

    /// Puts a message into the box there, at once.
    pub fn tell(
        self,
        what: &'static str,
        id: &str,
        kind: u8,
        name: Option<&str>,
        payload: &str,
    ) -> Result<(), Error> {
        if worker::is_ours() {
            return Err(Refusal::OtherDatabase(what).into());
        }
        self.may(id)?;
        let errand = Errand::Send {
            id: id.into(),
            kind,
            name: name.map(Into::into),
            payload: payload.into(),
            sender: self.caller.to_u32(),
            from: Some(entered_by_the_gate()),
        };
        errand::send(what, &errand, self.database)?;
        Ok(())
    }

    /// Refuses whom its database would not let in.
    fn may(self, id: &str) -> Result<(), Error> {
        if self.name().is_none() {
            return Err(Refusal::NotFound(id.into()).into());
        }
        if !role::may_connect(self.caller, self.database) {
            return Err(Refusal::NoConnect(role::name(self.caller)).into());
        }
        Ok(())
    }
}

/// Whether it was the gate that entered the caller; the identity of a step was captured when it could.
fn entered_by_the_gate() -> bool {
    identity::is_entered() && !worker::is_ours()
}

/// `df.result()` of an instance that is in another database.
pub fn result(id: &str) -> Result<Option<String>, Error> {
    let Some(there) = find(id) else { return Ok(None) };
    let said = there.ask("df.result()", id, true)?;
    Ok(said.filter(|said| said.status == "completed").and_then(|said| said.output))
}
