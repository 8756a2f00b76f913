//! Going on from the step that failed.
//!
//! **How it works.** When a leaf fails, its turn notes where the strand was before. If the failure ends a branch, the note goes with
//! it to its fork; if it ends the instance, the note is written with the end. `df.rerun()` makes strands of it again, in the caller's
//! transaction: what has been done stays done, the step that failed begins anew, and branches that have not failed keep what they
//! came to. Identity and facts are those of the start.
//!
//! **What it does not promise.** Where undo steps have run there is no way back, and none after a failure that no step had (an
//! endless loop, a condition on what is no row set). Of a race, only the branch that failed goes on.

use postern_durable::machine::{Frame, Outcome};
use postern_durable::{Graph, Kind};
use serde::{Deserialize, Serialize};

use super::control::reach;
use super::error::Refusal;
use super::store::{self, NEVER, State, Strand};
use super::{home, outbox, rights};
use crate::error::Error;
use crate::pg::query::{self, Arg, as_owner};
use crate::pg::worker;

/// A strand as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Before {
    strand: i32,
    parent: Option<i32>,
    branch: i32,
    base: u32,
    node: u32,
    state: State,
    /// Of one that waits. `None`: as its node says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    frame: Frame,
}

impl Before {
    fn new(strand: &Strand, node: u32, state: State) -> Self {
        Self {
            strand: strand.strand,
            parent: strand.parent,
            branch: strand.branch,
            base: strand.base,
            node,
            state,
            due: None,
            signal: None,
            frame: strand.frame.clone(),
        }
    }
}

/// A leaf came to something: where its strand was before, if it failed.
pub fn note(strand: &Strand, node: u32, outcome: &Outcome) -> Option<Vec<Before>> {
    let undoing = strand.frame.unwinding.is_some();
    (matches!(outcome, Outcome::Failed(_)) && !undoing).then(|| vec![Before::new(strand, node, State::Ready)])
}

/// What a branch that failed takes with it to its fork.
pub fn carried(noted: Option<Vec<Before>>) -> Option<serde_json::Value> {
    noted.and_then(|noted| serde_json::to_value(noted).ok())
}

/// A fork failed, of which these branches have ended: itself, and all of them as they were before.
pub fn fork(parent: &Strand, branches: &[Strand]) -> Option<Vec<Before>> {
    let failed = |strand: &Strand| matches!(strand.frame.outcome.as_deref(), Some(Outcome::Failed(_)));
    if parent.frame.unwinding.is_some() || !branches.iter().any(failed) {
        return None;
    }
    let mut all = vec![Before::new(parent, parent.node, State::Forked)];
    let mut pending = 0;
    for branch in branches {
        if failed(branch) {
            pending += 1;
            let noted = branch.frame.before.clone()?;
            all.extend(serde_json::from_value::<Vec<Before>>(noted).ok()?);
        } else {
            all.push(Before::new(branch, branch.node, State::Done));
        }
    }
    all[0].frame.pending = pending;
    Some(all)
}

/// An instance failed for a reason outside its steps: every strand is where it was.
pub fn everything(id: &str, graph: &Graph) -> Option<String> {
    let strands = store::strands(id);
    let all: Vec<Before> = strands
        .iter()
        .filter(|strand| is_wanted(strand, &strands))
        .map(|strand| {
            let calls_out = graph.node(strand.node).is_some_and(|node| node.kind.calls_out());
            let state = match strand.state {
                // Its request goes with the instance.
                State::Waiting if calls_out || strand.frame.child.is_some() => State::Ready,
                // It may have been run: at least once is what it has.
                State::Outside => State::Ready,
                state => state,
            };
            let due = Some(strand.held.unwrap_or(strand.due));
            Before { due, signal: strand.signal.clone(), ..Before::new(strand, strand.node, state) }
        })
        .collect();
    written(Some(&all))
}

/// As [`store::is_wanted`], of strands that were read.
fn is_wanted(strand: &Strand, all: &[Strand]) -> bool {
    let mut below = strand;
    while let Some(number) = below.parent {
        match all.iter().find(|above| above.strand == number) {
            Some(above) if above.waits_for(below.strand) => below = above,
            _ => return false,
        }
    }
    true
}

/// As it is kept with the instance.
pub fn written(noted: Option<&Vec<Before>>) -> Option<String> {
    noted.filter(|noted| !noted.is_empty()).and_then(|noted| serde_json::to_string(noted).ok())
}

/// Has a failed instance go on with the caller's commit.
pub fn rerun(id: &str) -> Result<(), Error> {
    let (_, owner, status) = reach(id)?;
    let not_failed = |status| Error::from(Refusal::NotFailed(status));
    if status != "failed" {
        return Err(not_failed(status));
    }
    rights::check_start(owner)?;
    if !as_owner(|| home::may_go_on(id)) {
        return Err(Refusal::OtherHome.into());
    }
    as_owner(|| {
        // Who executes one of them was told, and must not find its fork again.
        store::delete_rest(id);
        let rows = query::run(
            c"SELECT i.left_off, i.graph, i.priority FROM postern.instance i WHERE i.id = $1 AND i.status = 'failed' FOR UPDATE",
            &[Arg::Text(id)],
        );
        // Someone else has just done it.
        let row = rows.first().ok_or_else(|| not_failed("running".into()))?;
        let no_way = || Refusal::NoWayBack;
        let all: Vec<Before> =
            row.text(0).and_then(|text| serde_json::from_str(text).ok()).ok_or_else(no_way)?;
        let graph = Graph::parse(row.text(1).unwrap_or_default()).map_err(|_| no_way())?;
        let priority = i16::try_from(row.int4(2)).unwrap_or(0);
        query::run(
            c"UPDATE postern.instance SET status = 'running', error = NULL, ended_at = NULL, updated_at = now(), \
                     reruns = reruns + 1, left_off = NULL, home = $2 WHERE id = $1",
            &[Arg::Text(id), Arg::Text(&home::mark(owner))],
        );
        let written = records(id);
        for before in all {
            store::add(&again(id, &graph, before, &written, owner, priority));
        }
        outbox::started();
        Ok(())
    })
}

/// How many records each strand has.
fn records(id: &str) -> Vec<(i32, i32)> {
    let rows = query::run(
        c"SELECT p.strand, max(p.n) + 1 FROM postern.step p WHERE p.instance = $1 GROUP BY p.strand",
        &[Arg::Text(id)],
    );
    rows.iter().map(|row| (row.int4(0), row.int4(1))).collect()
}

fn again(
    id: &str,
    graph: &Graph,
    before: Before,
    written: &[(i32, i32)],
    owner: crate::pg::Oid,
    priority: i16,
) -> Strand {
    let mut frame = before.frame;
    if before.state != State::Done {
        frame.outcome = if before.state == State::Waiting { frame.outcome } else { None };
        frame.child = None;
        frame.begun = 0;
        frame.try_again();
    }
    if let Some((_, n)) = written.iter().find(|(strand, _)| *strand == before.strand) {
        frame.n = frame.n.max(*n);
    }
    let now = worker::now();
    let due = match before.state {
        State::Ready | State::Outside => now,
        State::Done => NEVER,
        State::Waiting => before.due.unwrap_or(now),
        State::Forked => before.due.unwrap_or_else(|| match graph.node(before.node).map(|node| &node.kind) {
            Some(Kind::Timeout { millis, .. }) => {
                now.saturating_add(i64::try_from(*millis).unwrap_or(i64::MAX).saturating_mul(1_000))
            }
            _ => NEVER,
        }),
    };
    Strand {
        instance: id.into(),
        strand: before.strand,
        parent: before.parent,
        branch: before.branch,
        base: before.base,
        node: before.node,
        state: before.state,
        due,
        owner,
        priority,
        signal: before.signal,
        frame,
        held: None,
    }
}
