//! How much of the executors one role gets.
//!
//! No role has more of them at a time than `postern.executors`, and a database has one more than that: so whatever a role's steps do,
//! one is left to others, and they take turns. A quota of a role lowers that, and sets how fast its turns follow each other.

use std::collections::HashMap;

use super::board;
use crate::guc;
use crate::pg::Oid;
use crate::pg::query;
use crate::pg::shmem::Slot;

/// The quota of a role.
#[derive(Debug, Clone, Copy)]
struct Quota {
    /// Executors at a time.
    concurrency: Option<usize>,
    /// Microseconds between two turns.
    gap: Option<i64>,
}

/// Those of a database, as an executor remembers them.
#[derive(Debug, Default)]
pub struct Quotas(HashMap<Oid, Quota>);

/// Whether a role may have a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Yes, for as many strands.
    Go(i64),
    /// No: others have as many as it may; one of them looks when it has ended.
    Full,
    /// Not before this time.
    At(i64),
}

impl Quotas {
    /// Reads them. As the owner.
    pub fn read() -> Self {
        let rows = query::run(c"SELECT q.role::oid, q.concurrency, q.gap FROM postern.quota q", &[]);
        let quota = |row: &query::Row| {
            let concurrency = row.int(1).and_then(|n| usize::try_from(n).ok());
            (row.oid(0), Quota { concurrency, gap: row.int(2) })
        };
        Self(rows.iter().map(quota).collect())
    }

    /// How many executors a role may have.
    pub fn most(&self, role: Oid) -> usize {
        let all = guc::executors();
        self.0.get(&role).and_then(|quota| quota.concurrency).map_or(all, |most| most.min(all))
    }

    /// Takes a turn of a role, for as many as `strands`.
    pub fn take(&self, slot: &Slot, role: Oid, now: i64, strands: i64) -> May {
        let gap = self.gap(role);
        if gap.is_some() {
            let at = board::next_turn(role);
            if at > now {
                return May::At(at);
            }
        }
        if !board::take_role(slot, role, self.most(role)) {
            return May::Full;
        }
        May::Go(if gap.is_some() { 1 } else { strands })
    }

    /// Whether a role might have a turn beside so many that are not counted yet.
    pub fn might(&self, slot: &Slot, role: Oid, now: i64, uncounted: usize) -> bool {
        board::others_at(slot, role) + uncounted < self.most(role)
            && (self.gap(role).is_none() || board::next_turn(role) <= now)
    }

    /// It has had it.
    pub fn count(&self, role: Oid) {
        if let Some(gap) = self.gap(role) {
            board::count_turn(role, gap);
        }
    }

    fn gap(&self, role: Oid) -> Option<i64> {
        self.0.get(&role).and_then(|quota| quota.gap)
    }
}
