//! An executor in a database whose objects are not of the library's version.

use super::super::board;
use crate::guc;
use crate::pg::shmem::Slot;
use crate::pg::{catalog, log, worker};
use crate::version::{self, Installed};

/// What a database has.
enum Found {
    Nothing,
    Ready,
    Waits(String),
}

/// Waits until the extension is of the library's version; false: it is not in this database, or this executor is not wanted. One
/// executor of a database waits, and says so once; whoever updates the extension wakes it with the commit.
pub(super) fn is_ready(slot: &Slot) -> bool {
    let mut said = false;
    loop {
        let found = worker::transaction(|| match (catalog::hold_extension(), version::installed()) {
            (true, Installed::Same) => Found::Ready,
            (true, Installed::Other(installed)) => Found::Waits(installed),
            _ => Found::Nothing,
        });
        let installed = match found {
            Ok(Found::Ready) => {
                if said {
                    worker::report(Some(c""));
                }
                return true;
            }
            Ok(Found::Nothing) => return false,
            Ok(Found::Waits(installed)) => installed,
            Err(caught) => {
                log::warning(
                    &caught.message,
                    "An executor of durable functions could not look for the extension.",
                    "",
                );
                worker::wait(Some(1_000));
                continue;
            }
        };
        let rank = board::rank(slot);
        if rank > 0 || rank >= guc::executors_at_most() || board::is_to_leave(slot) {
            return false;
        }
        if !said {
            said = true;
            say(&installed);
        }
        // It is idle, and shows for what.
        worker::report(Some(c"waits for ALTER EXTENSION postern UPDATE"));
        worker::report(None);
        worker::statistics(true);
        worker::wait(None);
    }
}

fn say(installed: &str) {
    let name = worker::transaction(|| catalog::database_name(worker::database()));
    let name = name.ok().flatten().unwrap_or_default();
    log::warning(
        &format!(
            "durable functions of database \"{name}\" wait: their extension is {installed}, and its library is {}",
            version::LIBRARY
        ),
        "They go on by themselves as soon as both are of one version.",
        &version::remedy(installed),
    );
}
