//! Where something runs. A copy of a database is another place, and what it brings along waits there for a word.
//!
//! The mark is the system identifier of the cluster, the database, and the name of the role that steps run as. A standby has the
//! same, so what it takes over goes on; a dump that was restored has not, nor has a database made from a template. A copy of the
//! files of a whole cluster cannot be told from the original.

use crate::pg::query::{self, Arg};
use crate::pg::{Oid, role, session, worker};

/// What marks of this database begin with.
pub fn here() -> String {
    format!("{:016x}-{} ", session::system_identifier(), worker::database().to_u32())
}

/// The mark of what runs here as a role.
pub fn mark(owner: Oid) -> String {
    here() + &role::name(owner)
}

/// Whether a mark is of another place.
pub fn is_away(mark: &str) -> bool {
    thread_local! {
        static HERE: String = here();
    }
    HERE.with(|here| !mark.starts_with(here.as_str()))
}

/// Whether a mark is of a role. In a copy the number of one that was dropped may be another's, who must not get its work and facts.
pub fn is_of(mark: &str, owner: Oid) -> bool {
    mark.split_once(' ').is_some_and(|(_, name)| role::by_oid(owner).is_some_and(|role| role.name == name))
}

/// Whether an instance may go on here as its role. As the owner of our tables.
pub fn may_go_on(id: &str) -> bool {
    let rows = query::run(
        c"SELECT i.home, i.submitted_by::oid FROM postern.instance i WHERE i.id = $1",
        &[Arg::Text(id)],
    );
    rows.first().is_some_and(|row| row.text(0).is_some_and(|mark| !is_away(mark) || is_of(mark, row.oid(1))))
}

/// Pauses an instance that is away from home; false: it is at home meanwhile. As the owner of our tables.
pub fn pause(id: &str) -> bool {
    let rows = query::run(
        c"UPDATE postern.instance SET paused_at = coalesce(paused_at, now()), away = away OR paused_at IS NULL \
          WHERE id = $1 AND NOT starts_with(home, $2) RETURNING id",
        &[Arg::Text(id), Arg::Text(&here())],
    );
    !rows.is_empty()
}
