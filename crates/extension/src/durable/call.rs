//! `df.call()`: a function that runs as an instance of its own, and an instance that waits for it.
//!
//! **How it works.** The caller's turn writes the rows of the new instance, of the same role, with the same facts and variables and the
//! named results that it mentions, and waits. The end of an instance that was called puts a message into the caller's box, in its own
//! transaction; whoever delivers it makes the caller's strand ready. A caller that does not wait any more has the called cancelled by a
//! message too. So nobody holds the rows of both.

use std::collections::BTreeMap;

use postern_durable::machine::{Frame, Outcome, Record, Value};
use postern_durable::{Failure, Graph, Kind};
use serde::{Deserialize, Serialize};

use super::store::{self, Caller, State, Step, Strand};
use super::{outbound, outbox, start};
use crate::pg::query::{self, Arg};
use crate::pg::worker;

/// The strand under which a called function has the named results that it was given.
const GIVEN: i32 = -1;

/// What a called function came to.
#[derive(Debug, Serialize, Deserialize)]
struct Ended {
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// Writes the instance that a strand calls at `node`, of the function that begins at `root`; gives its id. As the owner.
pub fn begin(
    graph: &Graph,
    node: u32,
    root: u32,
    label: Option<&str>,
    caller: &Strand,
) -> Result<String, Failure> {
    let text = graph.text_of(root).ok_or_else(|| Failure::new("XX000", "the function is not there"))?;
    let id = start::fresh_id().map_err(super::rights::failure)?;
    let is_loop = graph.node(root).is_some_and(|node| matches!(node.kind, Kind::Loop { .. }));
    let now = worker::now();
    query::run(
        c"INSERT INTO postern.instance (id, label, status, submitted_by, session_role, priority, created_at, updated_at, \
                 graph, vars, facts, definers, format, home, parent, parent_strand, parent_node) \
          SELECT $1, $2, 'pending', i.submitted_by, i.session_role, i.priority, $3, $3, $4, i.vars, i.facts, i.definers, i.format, i.home, i.id, $6, $7 \
            FROM postern.instance i WHERE i.id = $5",
        &[
            Arg::Text(&id),
            Arg::Maybe(label),
            Arg::Time(now),
            Arg::Text(&text),
            Arg::Text(&caller.instance),
            Arg::Int4(caller.strand),
            Arg::Int4(node.cast_signed()),
        ],
    );
    let names = given(&id, &text, caller);
    let given = if is_loop { names.clone() } else { BTreeMap::new() };
    let frame = Frame { names, given, ..Frame::default() };
    store::add(&Strand {
        instance: id.clone(),
        strand: 0,
        parent: None,
        branch: 0,
        base: 0,
        node: 0,
        state: State::Ready,
        due: now,
        owner: caller.owner,
        priority: caller.priority,
        signal: None,
        frame,
        held: None,
    });
    outbox::started();
    Ok(id)
}

/// The named results of the caller that the function may mention, kept with it: the caller's own may go before it does.
fn given(id: &str, text: &str, caller: &Strand) -> BTreeMap<String, Value> {
    let mut names = BTreeMap::new();
    for ((name, value), n) in caller.frame.names.iter().zip(0..) {
        // `df.if_rows()` names one without the sign.
        if !text.contains(name.as_str()) {
            continue;
        }
        let value = match value {
            Value::Json(text) => Value::Json(text.clone()),
            Value::Kept(record) => {
                let Some((result, columns)) = store::kept(&caller.instance, *record) else { continue };
                let record = Record(GIVEN, n);
                let step = Step {
                    node: 0,
                    attempt: 1,
                    turn: None,
                    started: worker::now(),
                    query: None,
                    result: Some(&result),
                    columns: columns.as_deref(),
                    failure: None,
                };
                store::record(id, record, caller.owner, worker::now(), &step);
                Value::Kept(record)
            }
        };
        names.insert(name.clone(), value);
    }
    names
}

/// An instance that was called has ended: its caller is told, with this transaction's commit. As the owner.
pub fn tell(
    id: &str,
    caller: &Caller,
    result: Option<String>,
    columns: Option<String>,
    failure: Option<Failure>,
) {
    // Texts always serialize.
    let text = serde_json::to_string(&Ended { result, columns, failure }).unwrap_or_default();
    store::send(&caller.instance, b'e', Some(id), &text, caller.owner, caller.owner);
    outbox::sent();
}

/// What an instance was called for has come to something; false if the strand that waits for it cannot be had right now. As the
/// owner.
pub fn came_back(id: &str, child: &str, payload: &str) -> bool {
    let waits = |strand: &Strand| {
        strand.state == State::Waiting
            && strand.frame.child.as_deref() == Some(child)
            && strand.frame.outcome.is_none()
    };
    let Some(number) = store::strands(id).iter().find(|strand| waits(strand)).map(|strand| strand.strand)
    else {
        return true;
    };
    let Some(mut strand) = store::try_lock(id, number) else { return false };
    if !waits(&strand) {
        return true;
    }
    let lost = || Ended {
        result: None,
        columns: None,
        failure: Some(Failure::new("XX000", "what it came to was lost")),
    };
    let ended = serde_json::from_str(payload).unwrap_or_else(|_| lost());
    let outcome = match ended {
        Ended { result: Some(result), columns, .. } => {
            let record = Record(number, strand.frame.n);
            strand.frame.n += 1;
            let step = Step {
                node: strand.node,
                attempt: strand.frame.attempt(),
                turn: strand.frame.turn(),
                started: worker::now(),
                query: None,
                result: Some(&result),
                columns: columns.as_deref(),
                failure: None,
            };
            store::record(id, record, strand.owner, worker::now(), &step);
            Outcome::Done(Value::Kept(record))
        }
        // The turn that goes on with it records it.
        // Nodes of another function are nothing here.
        Ended { failure, .. } => Outcome::Failed(Failure { node_id: None, ..failure.unwrap_or_default() }),
    };
    strand.frame.child = None;
    strand.frame.outcome = Some(Box::new(outcome));
    strand.due = worker::now();
    store::save(&strand);
    outbox::started();
    true
}

/// Drops what strands of an instance waited for that are gone: requests that are not sent, functions that were called. As the owner.
pub fn drop_unwanted(id: &str) {
    outbound::drop_unwanted(id);
    let rows = query::run(
        c"SELECT i.id, i.submitted_by FROM postern.instance i \
          WHERE i.parent = $1 AND i.status IN ('pending', 'running') AND NOT EXISTS ( \
              SELECT FROM postern.strand s WHERE s.instance = i.parent AND s.strand = i.parent_strand \
                 AND (s.frame::json ->> 'child') = i.id)",
        &[Arg::Text(id)],
    );
    for row in &rows {
        let owner = row.oid(1);
        store::send(
            row.text(0).unwrap_or_default(),
            b'c',
            None,
            "its caller does not wait for it",
            owner,
            owner,
        );
        outbox::sent();
    }
}
