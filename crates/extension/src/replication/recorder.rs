//! Errors of subscriptions are written down by themselves.
//!
//! **How it works.** An apply worker that fails says so in the server's log; there, in its own process, [`apply::reported`] notes what
//! the error was in shared memory ([`crate::pg::apply`]) and wakes the launcher. The launcher starts a recorder in that
//! database, or wakes the one that is there: it writes the note into `postern.apply_conflicts`, stays for further ones for a
//! while, and ends. What was not noted, because the log does not have it or memory was full, the server's own counters tell:
//! the launcher compares them, in shared memory and without a database, every `postern.conflict_interval`, and when the server
//! starts. Where there are no subscriptions it does not look, and where nothing fails there is no recorder.
//!
//! **Nothing is lost.** A note is a hint; what it told is in the counters, which outlive a restart. A crash takes the counters
//! with it, and then the subscription fails at the same place again.
//!
//! A recorder runs our own SQL and nobody else's: it enters no identity.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use crate::guc;
use crate::pg::apply::{self, Note};
use crate::pg::query::{self, Arg, as_owner_in_executor as as_owner};
use crate::pg::worker::{self, Job};
use crate::pg::xact::Moment;
use crate::pg::{Oid, catalog, guc as settings, log, role, shmem, user};

/// Milliseconds that a recorder waits for further errors: a subscription that fails tries again every five seconds.
const LINGER: i64 = 15_000;

/// Milliseconds to wait for a recorder that is to leave its database.
const PATIENCE: i64 = 2_000;

thread_local! {
    /// The transaction has made a subscription.
    static SUBSCRIBED: Cell<bool> = const { Cell::new(false) };
    /// The transaction has dropped the extension.
    static DROPPED: Cell<bool> = const { Cell::new(false) };
}

/// A subscription was made.
pub fn subscribed() {
    SUBSCRIBED.set(true);
}

/// The extension was dropped.
pub fn dropped() {
    DROPPED.set(true);
}

/// The end of a transaction. Never raises.
pub fn at_transaction_end(moment: Moment) {
    if !matches!(moment, Moment::Committed | Moment::Aborted) {
        return;
    }
    let (subscribed, dropped) = (SUBSCRIBED.take(), DROPPED.take());
    if moment == Moment::Committed {
        if subscribed {
            // From now on it looks at counters.
            shmem::wake_launcher();
        }
        if dropped {
            // It finds nothing, and ends.
            apply::wake_recorder(worker::database());
        }
    }
}

/// Before a statement that wants a database for itself: a recorder that waits for errors would be in its way.
pub fn make_way(name: &core::ffi::CStr) {
    let Some(database) = name.to_str().ok().and_then(catalog::database) else { return };
    let caller = user::current().oid;
    let may = role::owns_database(caller, database)
        || role::by_oid(caller).is_some_and(|role| role.creates_databases);
    if !may {
        return;
    }
    let deadline = worker::now() + PATIENCE * 1_000;
    while apply::ask_recorder_to_leave(database) && worker::now() < deadline {
        worker::nap(1);
    }
}

/// What the launcher knows of subscriptions.
#[derive(Debug)]
pub struct Recorders {
    /// How many errors each of them had when it was looked at last.
    errors: HashMap<Oid, i64>,
    /// When the counters are looked at next.
    due: i64,
    /// The server has just started.
    first: bool,
}

impl Recorders {
    /// Nothing yet: whatever counters say is new.
    pub fn new() -> Self {
        Self { errors: HashMap::new(), due: 0, first: true }
    }

    /// Sees to it that every database with something to write down has a recorder. Gives after how many milliseconds to look
    /// again; `None`: when woken.
    pub fn launch(&mut self) -> Option<i64> {
        let mut databases: HashSet<Oid> = apply::noted().into_iter().collect();
        let wait = match worker::transaction(|| self.look()) {
            Ok((changed, wait)) => {
                databases.extend(changed);
                wait
            }
            Err(error) => {
                log::warning(&error.message, "The launcher could not look at subscriptions.", "");
                Some(60_000)
            }
        };
        let first = std::mem::take(&mut self.first);
        for database in databases {
            if !apply::wake_recorder(database) && !start(database, first) {
                log::warning(
                    "could not start a recorder of errors of subscriptions",
                    "No background worker is free; they are written down later.",
                    "Raise max_worker_processes.",
                );
            }
        }
        wait
    }

    /// The databases with subscriptions whose counters have changed, if it is time. In a transaction.
    fn look(&mut self) -> (Vec<Oid>, Option<i64>) {
        let subscriptions = catalog::subscriptions();
        let interval = i64::from(guc::CONFLICT_INTERVAL.get()) * 1_000;
        // What was done while the library was not loaded is looked at as well.
        let mut changed: Vec<Oid> = if self.first {
            subscriptions.iter().map(|(_, database)| *database).collect()
        } else {
            Vec::new()
        };
        if subscriptions.is_empty() || interval == 0 {
            self.errors.clear();
            self.due = 0;
            return (changed, None);
        }
        let now = worker::now();
        // A change of the setting counts at once.
        self.due = self.due.min(now + interval * 1_000);
        if self.due <= now {
            self.due = now + interval * 1_000;
            let before = std::mem::take(&mut self.errors);
            for (subscription, database) in subscriptions {
                let errors = apply::errors(subscription);
                if before.get(&subscription).copied().unwrap_or(0) != errors {
                    changed.push(database);
                }
                self.errors.insert(subscription, errors);
            }
        }
        (changed, Some((self.due - now).div_euclid(1_000) + 1))
    }
}

fn start(database: Oid, first: bool) -> bool {
    worker::start(Job {
        function: "postern_recorder",
        name: "postern recorder",
        argument: u64::from(database.to_u32()),
        extra: first.into(),
        restart: -1,
    })
}

/// A recorder, until nothing has come for a while or the extension is gone.
pub fn run(database: Oid) {
    worker::set_up(Some(database));
    worker::at_exit(apply::leave);
    // Another is here already, which will see what there is.
    let Some(slot) = apply::enter() else { return };
    let _ = worker::transaction(|| {
        settings::set_for_session(c"search_path", c"pg_catalog, pg_temp");
        settings::set_for_session(c"row_security", c"off");
    });
    if worker::extra() == 1 {
        recheck();
    }
    let mut last = worker::now();
    loop {
        let notes = apply::take(database);
        let written = worker::transaction(|| {
            catalog::hold_extension().then(|| {
                as_owner(|| {
                    notes.iter().for_each(write);
                    !query::run(
                        c"SELECT 1 FROM (SELECT postern.record_apply_conflicts() AS n) r WHERE r.n > 0",
                        &[],
                    )
                    .is_empty()
                })
            })
        });
        match written {
            Ok(Some(more)) => {
                if more || !notes.is_empty() {
                    last = worker::now();
                }
            }
            Ok(None) => return,
            // What was noted is in the counters too.
            Err(error) => {
                log::warning(&error.message, "Errors of subscriptions could not be written down.", "");
            }
        }
        let rest = LINGER - (worker::now() - last).div_euclid(1_000);
        if rest <= 0 || slot.is_to_leave() {
            return;
        }
        worker::report(None);
        worker::statistics(true);
        worker::wait(Some(rest));
        if slot.is_to_leave() {
            return;
        }
    }
}

/// Says in the log which replicated tables have code that the rules forbid: it may have come while the library was not loaded.
fn recheck() {
    /// How many sentences are shown.
    const SHOWN: usize = 6;
    if guc::TRIGGER_RULE.get() == guc::TriggerRule::Off {
        return;
    }
    let found = worker::transaction(|| {
        if !catalog::hold_extension() {
            return None;
        }
        let rows = as_owner(|| {
            query::run(c"SELECT DISTINCT sentence FROM postern.recheck_replication() ORDER BY 1", &[])
        });
        let sentences: Vec<String> = rows.iter().take(SHOWN).map(|row| row.string(0)).collect();
        (!sentences.is_empty()).then(|| (catalog::database_name(worker::database()), sentences.join("\n")))
    });
    match found {
        Ok(None) => {}
        Ok(Some((database, sentences))) => log::warning(
            &format!(
                "replicated tables of database \"{}\" have code that may not run on apply",
                database.unwrap_or_default()
            ),
            &sentences,
            "SELECT * FROM postern.recheck_replication(hold => true) disables the subscriptions, and shows the commands that mend it.",
        ),
        Err(error) => log::warning(&error.message, "Replicated tables could not be looked at.", ""),
    }
}

/// Writes down one error.
fn write(note: &Note) {
    query::run(
        c"SELECT postern.note_apply_error($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            Arg::Oid(note.subscription),
            Arg::Oid(note.relation),
            Arg::Text(note.kind()),
            Arg::Text(&note.sqlstate),
            Arg::Text(&note.message),
            Arg::Text(&note.origin),
            Arg::Bool(note.in_code),
            Arg::Time(note.at),
        ],
    );
}
