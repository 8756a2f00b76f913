//! Cursors of the session (`src/backend/utils/mmgr/portalmem.c`).
//!
//! The server gives every cursor to whoever says its name. One that is being run it gives to nobody: neither to FETCH and MOVE, nor
//! to a procedural language, and no CLOSE takes it away. So that is what those are called which are to be left alone.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use super::spi::{self, Refusal};

thread_local! {
    static WITHHELD: RefCell<Vec<CString>> = const { RefCell::new(Vec::new()) };
}

/// The names of all cursors, loops of procedural languages included. Runs a query.
pub fn names() -> Result<Vec<CString>, Refusal> {
    let rows = spi::execute(c"SELECT name FROM pg_catalog.pg_cursor()")?;
    Ok(rows.into_iter().filter_map(|row| spi::c_string(&row.into_iter().next()?.text?)).collect())
}

/// Withholds cursors from everybody until [`give_back`]. Never raises.
pub fn withhold(mut names: Vec<CString>) {
    use pg_sys::PortalStatus as S;
    names.retain(|name| change(name, S::PORTAL_READY, S::PORTAL_ACTIVE));
    WITHHELD.set(names);
}

/// Gives back what was withheld. Never raises.
pub fn give_back() {
    use pg_sys::PortalStatus as S;
    for name in WITHHELD.take() {
        change(&name, S::PORTAL_ACTIVE, S::PORTAL_READY);
    }
}

/// Changes the status of a cursor, if it has the one before; whether it had.
fn change(name: &CStr, from: pg_sys::PortalStatus::Type, to: pg_sys::PortalStatus::Type) -> bool {
    // SAFETY: the name ends with NUL; looks into a table of the process. A portal stays where it is until it is dropped.
    unsafe {
        let portal = pg_sys::GetPortalByName(name.as_ptr());
        if portal.is_null() || (*portal).status != from {
            return false;
        }
        (*portal).status = to;
        true
    }
}
