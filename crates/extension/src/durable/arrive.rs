//! Copies that go on by themselves (`postern.adopt_copies`): what came with a copy of its database is adopted here, as
//! `postern.adopt_durable()` does, once the copy is whole.
//!
//! **How it works.** What comes with a dump is written by somebody's COPY or INSERT into our tables, which nobody else does. Until that
//! session has ended, tables, indexes and rights of others may be missing: steps that ran then would do half of their work. So its place
//! in shared memory says that something arrives; when the session ends, executors are woken, and one adopts. `pg_restore` with several
//! jobs gives rights in a session that begins when the others have ended: it is waited for as well. An executor that starts looks too: so
//! does one after `pg_upgrade`, or in a database made from a template.
//!
//! Meanwhile what is due is paused, as in any copy; adopting resumes it.

use super::board;
use crate::guc;
use crate::pg::caught::Caught;
use crate::pg::query;
use crate::pg::{catalog, user, worker, xact};

/// Microseconds between two looks for sessions that restore.
const LOOK_AGAIN: i64 = 1_000_000;

/// Someone writes into a table of ours by hand, or by a dump: a superuser, outside of our own statements.
pub fn writes_by_hand() {
    if xact::is_parallel_worker() || worker::is_ours() || user::current().context != 0 {
        return;
    }
    if board::arrives() {
        worker::at_exit(board::has_arrived);
    }
}

/// What an executor remembers of copies.
#[derive(Debug, Default)]
pub struct Copies {
    /// How often something had arrived when it looked last; `None`: it has not, or the setting was off.
    seen: Option<u64>,
    /// When it looks again.
    pub at: Option<i64>,
}

impl Copies {
    /// Whether there may be something to adopt now.
    pub fn is_due(&mut self) -> bool {
        if !guc::ADOPT_COPIES.get() || catalog::in_binary_upgrade() {
            *self = Self::default();
            return false;
        }
        match self.at {
            Some(at) => at <= worker::now(),
            None => self.seen != Some(board::arrived_so_far()),
        }
    }

    /// Adopts what has come, if it has come whole: how much there was. `transaction` is one of the executor's, as the owner.
    pub fn adopt(
        &mut self,
        transaction: impl FnOnce(&dyn Fn() -> Option<i64>) -> Result<Option<i64>, Caught>,
    ) -> Result<i64, Caught> {
        let arrived = board::arrived_so_far();
        // Whoever goes on where another session has ended has begun by the second look.
        let first = self.at.is_none();
        self.at = Some(worker::now() + LOOK_AGAIN);
        if first || board::is_arriving(worker::database()) {
            return Ok(0);
        }
        let Some(adopted) = transaction(&|| {
            if is_restoring() {
                return None;
            }
            let rows = query::run(c"SELECT postern.adopt_durable()", &[]);
            Some(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
        })?
        else {
            return Ok(0);
        };
        *self = Self { seen: Some(arrived), at: None };
        Ok(adopted)
    }
}

/// Whether `pg_restore` is connected to this database, as one who may write our tables: what others call themselves holds nothing up.
fn is_restoring() -> bool {
    let rows = query::run(
        c"SELECT 1 FROM pg_stat_get_activity(NULL) a JOIN pg_authid r ON r.oid = a.usesysid AND r.rolsuper WHERE a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) \
             AND a.application_name = 'pg_restore' AND a.backend_type = 'client backend'",
        &[],
    );
    !rows.is_empty()
}
