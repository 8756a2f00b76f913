//! Pausing and resuming.
//!
//! **How it works.** The sender's transaction writes a message; after its commit an executor marks the instance. Whoever then claims
//! a strand of it finds the mark, and holds the strand instead of running it: it is due never, and remembers when it would be. What
//! runs is let end. Resuming takes the mark away, and makes due what is held. Clocks go on meanwhile: what became due in a pause is
//! due at once, and a signal that came in it counts.
//!
//! **Why nothing is lost.** The last message decides, under the lock of the instance's row. A strand is held only under that lock,
//! while the mark is there; so whoever takes it away sees every strand that was held for it, and waits for nobody who waits for it.
//! The message stays until they are all due. Whoever makes a strand due need not ask: if its instance is paused, it is held again.

use super::control::{has_ended, reach};
use super::error::Refusal;
use super::store::{self, Instance, NEVER, Strand};
use super::{board, home, messages, outbox, outside};
use crate::error::Error;
use crate::pg::caught::Caught;
use crate::pg::query::{self, Arg, as_owner};
use crate::pg::worker;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No further step.
    Pause,
    /// Go on.
    Resume,
}

/// Asks with the caller's commit. Asking for what is so already is no error.
pub fn ask(id: &str, wish: Wish) -> Result<(), Error> {
    let (caller, owner, status) = reach(id)?;
    if has_ended(&status) {
        return Err(Refusal::HasEnded(status).into());
    }
    if wish == Wish::Resume && !as_owner(|| home::may_go_on(id)) {
        return Err(Refusal::OtherHome.into());
    }
    let kind = if wish == Wish::Pause { b'p' } else { b'u' };
    as_owner(|| store::send(id, kind, None, "", caller, owner));
    outbox::sent();
    Ok(())
}

/// The instances for which somebody has asked.
pub fn asked() -> Vec<String> {
    let rows = query::run(
        c"SELECT DISTINCT m.instance FROM postern.message m WHERE m.fresh AND m.kind IN ('p', 'u')",
        &[],
    );
    rows.iter().map(|row| row.string(0)).collect()
}

/// Does what was asked for last. `transaction` is one of the executor's.
pub fn answer<T>(id: &str, transaction: T) -> Result<(), Caught>
where
    T: Fn(&dyn Fn() -> i64) -> Result<i64, Caught>,
{
    let last = transaction(&|| mark(id))?;
    if last == 0 {
        return Ok(());
    }
    transaction(&|| release_free(id))?;
    // Those that somebody has locked for a moment: one at a time, so that nothing is held while waiting for another.
    while transaction(&|| release_one(id))? > 0 {}
    transaction(&|| look_again(id))?;
    transaction(&|| {
        forget(id, last);
        0
    })?;
    board::wake(worker::database());
    Ok(())
}

/// Marks the instance; if it is resumed, gives the message that asked for it, else 0.
fn mark(id: &str) -> i64 {
    query::run(c"SELECT FROM postern.instance i WHERE i.id = $1 FOR NO KEY UPDATE", &[Arg::Text(id)]);
    let rows = query::run(
        c"SELECT m.id, m.kind FROM postern.message m WHERE m.instance = $1 AND m.kind IN ('p', 'u') ORDER BY m.id DESC LIMIT 1",
        &[Arg::Text(id)],
    );
    let Some((last, kind)) = rows.first().map(|row| (row.int(0).unwrap_or(0), row.char(1))) else { return 0 };
    if kind == b'p' {
        query::run(
            c"UPDATE postern.instance SET paused_at = coalesce(paused_at, now()), updated_at = now() \
              WHERE id = $1 AND ended_at IS NULL",
            &[Arg::Text(id)],
        );
        forget(id, last);
        return 0;
    }
    if !home::may_go_on(id) {
        forget(id, last);
        return 0;
    }
    // Whoever resumes it has it run here.
    query::run(
        c"UPDATE postern.instance i SET paused_at = NULL, away = false, updated_at = now(), \
                 home = $2 || coalesce((SELECT r.rolname FROM pg_roles r WHERE r.oid = i.submitted_by), '') WHERE i.id = $1",
        &[Arg::Text(id), Arg::Text(&home::here())],
    );
    query::run(
        c"UPDATE postern.outbound SET due = now(), worker = NULL \
          WHERE instance = $1 AND due = 'infinity' AND result IS NULL AND error IS NULL",
        &[Arg::Text(id)],
    );
    query::run(c"SELECT pg_notify('postern_outbound', '')", &[]);
    last
}

fn release_free(id: &str) -> i64 {
    query::run(
        c"WITH free AS (SELECT s.strand FROM postern.strand s WHERE s.instance = $1 AND s.held IS NOT NULL FOR UPDATE SKIP LOCKED) \
          UPDATE postern.strand s SET due = s.held, held = NULL FROM free f WHERE s.instance = $1 AND s.strand = f.strand",
        &[Arg::Text(id)],
    );
    0
}

/// What nobody in this database was there to see, since it came with a copy: a statement that was running, a signal that had come when
/// somebody began to wait for it.
fn look_again(id: &str) -> i64 {
    let strands = store::strands(id);
    outside::begin_those_again(&strands);
    for name in strands.iter().filter_map(|strand| strand.signal.as_deref()) {
        messages::deliver_kept(id, name);
    }
    0
}

/// How many there were: 0 or 1. None, if the instance is paused again.
fn release_one(id: &str) -> i64 {
    let rows = query::run(
        c"SELECT s.strand FROM postern.strand s JOIN postern.instance i ON i.id = s.instance \
          WHERE s.instance = $1 AND s.held IS NOT NULL AND i.paused_at IS NULL LIMIT 1",
        &[Arg::Text(id)],
    );
    let Some(strand) = rows.first().map(|row| row.int4(0)) else { return 0 };
    query::run(
        c"UPDATE postern.strand SET due = held, held = NULL WHERE instance = $1 AND strand = $2 AND held IS NOT NULL",
        &[Arg::Text(id), Arg::Int4(strand)],
    );
    1
}

/// Takes away what has been answered.
fn forget(id: &str, last: i64) {
    query::run(
        c"DELETE FROM postern.message WHERE instance = $1 AND kind IN ('p', 'u') AND id <= $2",
        &[Arg::Text(id), Arg::Int8(last)],
    );
}

/// Whether an instance is paused; it stays so until the transaction ends.
fn is_paused(id: &str) -> bool {
    let rows = query::run(
        c"SELECT i.id FROM postern.instance i WHERE i.id = $1 AND i.paused_at IS NOT NULL FOR SHARE",
        &[Arg::Text(id)],
    );
    !rows.is_empty()
}

/// Holds a strand that was claimed, if its instance is paused; false: it is not, and the strand may go on. As the owner.
pub fn held(strand: &mut Strand, instance: &Instance) -> bool {
    let stays = match (instance.away, instance.paused) {
        (true, _) => home::pause(&strand.instance),
        (false, true) => is_paused(&strand.instance),
        (false, false) => false,
    };
    if !stays {
        return false;
    }
    strand.held = Some(strand.due);
    strand.due = NEVER;
    store::save(strand);
    true
}
