//! Direct access ends with the plain privilege, whoever revokes that, by whatever statement.
//!
//! Every statement that may take privileges away, or drop a table or a role, is looked at before and after: where a grantee has
//! fewer entries in the table's ACL than before, its direct access is gone. Comparing, not parsing: ALL TABLES IN SCHEMA,
//! CASCADE and DROP OWNED need no rule of their own, and a restore, which fills our table before it grants, loses nothing.

use super::state;
use crate::pg::memory;
use crate::pg::query::{self, Arg};

/// What the grantees have before a statement; to be given to [`after`].
pub fn before() -> memory::Text {
    let state = state::get();
    if state.direct.is_empty() && state.modes.is_empty() {
        return memory::none();
    }
    let rows = query::as_owner(|| query::run(c"SELECT postern.direct_entries()", &[]));
    rows.first().and_then(|row| row.text(0)).map_or_else(memory::none, memory::keep)
}

/// Takes away what the statement has taken the ground from.
pub fn after(entries: memory::Text) {
    if let Some(entries) = memory::read(entries) {
        query::as_owner(|| query::run(c"SELECT postern.direct_reconcile($1)", &[Arg::Text(&entries)]));
    }
}
