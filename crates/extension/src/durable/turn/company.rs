//! Branches of one instance that share a commit: what they came to is written when all of them have run.
//!
//! **Why.** The lock of the instance is then held from the last statement to the commit, and not from the first: meanwhile other
//! executors run other branches of it. A fork that waits for all of its branches is read and written once for all that end together.
//!
//! **Invariants**
//! * Whether a branch is still wanted is asked under that lock, after its statement, as for one that is alone; if one is not, all of
//!   them are rolled back.
//! * Of a fork that one branch can decide (RACE, FIRST, TIMEOUT) nothing is left for later: the next branch has to see it.

use std::collections::{BTreeMap, HashSet};

use postern_durable::machine::Outcome;
use postern_durable::{Graph, Kind};

use super::super::rerun::{self, Before};
use super::super::store::{self, Instance, NEVER, State, Strand};
use super::{Course, Results, Turn};
use crate::pg::query::as_owner_in_executor as as_owner;
use crate::pg::shmem::Slot;

/// What is still to be written of a branch.
pub(super) enum Left {
    /// It goes on at this node, when it is due.
    Rest(u32, i64),
    /// It has ended.
    End(Outcome),
}

/// A branch whose step has run, with what is left.
struct Parked {
    strand: Strand,
    results: Results,
    now: i64,
    failing: Option<Vec<Before>>,
    left: Left,
}

/// What the turns of a transaction leave for each other. Branches among them are of one instance.
#[derive(Default)]
pub struct Company {
    parked: Vec<Parked>,
    /// Branches that the turns have deleted.
    dropped: HashSet<i32>,
    /// Strands that were seen waiting for their branches.
    wanted: HashSet<i32>,
}

/// The instance that the branches belong to.
pub struct Family<'a> {
    pub graph: &'a Graph,
    pub instance: &'a Instance,
    pub slot: &'a Slot,
    pub seen: u64,
}

impl Company {
    /// Lets a branch that is about to run know what the others have found, and leave its end to [`Self::settle`].
    pub fn prepare(&self, course: &mut Course) {
        course.sharing = true;
        course.known = course.strand.parent.is_some_and(|parent| self.wanted.contains(&parent));
    }

    /// Whether a branch is gone because of what another of these turns came to.
    pub fn has_dropped(&self, strand: &Strand) -> bool {
        self.dropped.contains(&strand.strand)
    }

    pub fn has_left_nothing(&self) -> bool {
        self.parked.is_empty()
    }

    /// Takes over what a turn that counts has left.
    pub fn take(&mut self, course: Course) {
        let Course { strand, results, now, failing, left, dropped, .. } = course;
        if !dropped.is_empty() {
            self.dropped.extend(dropped);
            self.wanted.clear();
        }
        if let Some(left) = left {
            self.wanted.extend(strand.parent);
            self.parked.push(Parked { strand, results, now, failing, left });
        }
    }

    /// Writes what was left. `Err`: all of them must be rolled back, because of that strand. What the turns came to that went on from
    /// there is given, and whether the commit has to be on the disk.
    pub fn settle(self, family: &Family) -> Result<(Vec<Turn>, bool), (i32, Turn)> {
        let mut turns = Vec::new();
        let mut flush = false;
        let Some(first) = self.parked.first() else { return Ok((turns, flush)) };
        let (id, number) = (first.strand.instance.clone(), first.strand.strand);
        let Some(root) = as_owner(|| store::lock(&id, 0)) else { return Err((number, Turn::NotNow)) };
        let mut root = Some(root);
        let mut forks: BTreeMap<i32, Vec<Parked>> = BTreeMap::new();
        for parked in self.parked {
            if self.dropped.contains(&parked.strand.strand) {
                return Err((number, Turn::NotNow));
            }
            forks.entry(parked.strand.parent.unwrap_or(0)).or_default().push(parked);
        }
        // The instance itself comes first: what other forks come to may change it.
        for (above, branches) in forks {
            let first = branches.first().map_or(number, |parked| parked.strand.strand);
            let root = root.take().filter(|_| above == 0);
            let wanted = match (&root, branches.first()) {
                (Some(root), _) => branches.iter().all(|parked| root.waits_for(parked.strand.strand)),
                // The lowest number: whoever waits for it waits for the others.
                (None, Some(_)) => branches
                    .iter()
                    .min_by_key(|parked| parked.strand.strand)
                    .is_none_or(|parked| as_owner(|| store::is_wanted(&parked.strand))),
                (None, None) => true,
            };
            if !wanted {
                return Err((first, Turn::NotNow));
            }
            let (ended, resting): (Vec<_>, Vec<_>) =
                branches.into_iter().partition(|parked| matches!(parked.left, Left::End(_)));
            for parked in resting {
                let Left::Rest(node, due) = parked.left else { continue };
                let mut course = family.course(parked);
                turns.push(course.rest(node, State::Ready, due));
                flush |= course.flush;
            }
            if !ended.is_empty() {
                let number = ended[0].strand.strand;
                let (turn, on_disk) = ends(family, above, root, ended);
                flush |= on_disk;
                if !turn.counts() {
                    return Err((number, turn));
                }
                turns.push(turn);
            }
        }
        Ok((turns, flush))
    }
}

impl<'a> Family<'a> {
    /// Goes on with a branch under the lock of the instance, when it is known to be wanted.
    fn course(&self, parked: Parked) -> Course<'a> {
        let mut course = Course::new(self.graph, parked.strand, self.instance, self.slot, self.seen, None);
        course.results = parked.results;
        course.now = parked.now;
        course.failing = parked.failing;
        course.root = true;
        course.ran = true;
        course
    }
}

/// Branches of one fork have ended: all but the last are counted down together, and the last one looks whether the fork is decided.
fn ends(family: &Family, above: i32, root: Option<Strand>, mut ended: Vec<Parked>) -> (Turn, bool) {
    let Some(mut last) = ended.pop() else { return (Turn::Rests, false) };
    let Left::End(outcome) = last.left else { return (Turn::NotNow, false) };
    last.left = Left::Rest(last.strand.node, NEVER);
    let id = &last.strand.instance.clone();
    let parent = root.or_else(|| as_owner(|| store::lock(id, above)));
    let Some(mut parent) = parent.filter(|parent| parent.waits_for(last.strand.strand)) else {
        return (Turn::NotNow, false);
    };
    let mut succeeded = false;
    let mut done = Vec::with_capacity(ended.len());
    for mut branch in ended {
        let Left::End(outcome) = branch.left else { continue };
        succeeded |= matches!(outcome, Outcome::Done(_));
        parent.frame.pending = parent.frame.pending.saturating_sub(1);
        branch.strand.frame.outcome = Some(Box::new(outcome));
        branch.strand.frame.before = rerun::carried(branch.failing.take());
        done.push((branch.strand.strand, branch.strand.node, branch.strand.frame));
        last.results.kept.extend(branch.results.kept);
    }
    if !done.is_empty() {
        as_owner(|| store::save_done(id, &done));
    }
    let mut course = family.course(last);
    course.above = Some(parent);
    course.succeeded = succeeded;
    let turn = match course.end(outcome) {
        Ok(next) => course.follow(next),
        Err(turn) => turn,
    };
    (turn, course.flush)
}

impl Course<'_> {
    /// Whether what is to be written of it can be left to the end of the transaction.
    pub(super) fn may_leave(&self) -> bool {
        self.sharing && !self.root && self.strand.parent.is_some()
    }

    /// Whether the fork above waits for all of its branches.
    pub(super) fn is_counted(&self) -> bool {
        let fork = self.graph.node(self.strand.base).and_then(|base| base.parent);
        fork.is_some_and(|fork| matches!(self.kind(fork), Kind::Join { .. } | Kind::Map { .. }))
    }
}
