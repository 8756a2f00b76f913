//! Executors make way: the server refuses to drop, rename, move or copy a database while anybody is connected to it, and executors
//! are.

use super::{board, outbox};
use crate::pg::{catalog, role, user, worker};

/// Milliseconds to wait for executors that have nothing to do.
const PATIENCE: i64 = 2_000;

/// Before a statement that wants a database for itself. One who may not do that disturbs nobody. An executor that runs a step stays,
/// and the server says that the database is in use.
pub fn make_way(name: &core::ffi::CStr) {
    let Some(database) = name.to_str().ok().and_then(catalog::database) else { return };
    let caller = user::current().oid;
    let may = role::owns_database(caller, database)
        || role::by_oid(caller).is_some_and(|role| role.creates_databases);
    if !may || board::executors(database) == 0 {
        return;
    }
    outbox::emptied();
    let deadline = worker::now() + PATIENCE * 1_000;
    while board::ask_to_leave(database) > 0 && worker::now() < deadline {
        worker::nap(1);
    }
}
