//! Which version the extension's objects have in this database, and whether the library is of the same.
//!
//! A server that was started with new files has the new library at once, in every database; the objects of a database follow
//! with ALTER EXTENSION postern UPDATE. In between, code and objects do not belong together.
//!
//! **Until they do**
//! * nothing of ours runs as anybody: no identity is entered, by the gate, by a worker, or to look (`identity/enter.rs`);
//! * executors take nothing up, and wait without asking (`durable/executor.rs`); what starts, signals and changes durable functions
//!   refuses ([`check`]);
//! * what protects goes on: facts and policies, direct access, the error mode, the rules about triggers and definers. What they ask
//!   of older objects must go on to work; where a statement of ours does not, the statement that it was to judge is refused.
//!
//! **Invariants**
//! * An update takes the lock of DROP EXTENSION on the extension first, and whoever works on our tables holds it too: no turn sees
//!   half of an update, and none waits for it in a circle.
//! * An update ends at the library's version, or is refused.
//! * What a process remembers is forgotten when the server says that an extension has changed, and when a transaction ends that
//!   has changed ours.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use crate::error::{Error, raise};
use crate::pg::xact::{self, Moment};
use crate::pg::{catalog, inval, role, user};

/// The library's version.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// The same for the server.
pub const LIBRARY_NAME: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a version has no NUL"),
    };

/// The extension in this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// It is not there.
    No,
    /// It is of the library's version.
    Same,
    /// It is of this version.
    Other(String),
}

thread_local! {
    static KNOWN: RefCell<Option<Installed>> = const { RefCell::new(None) };
    /// How often something has changed: what was read meanwhile is not remembered.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    /// This transaction has changed it.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
}

/// Registers what happens at the end of transactions. Once, while preloading.
pub fn init() {
    xact::also_at_end(|moment| {
        if matches!(moment, Moment::Committed | Moment::Aborted) && CHANGED.take() {
            forget();
        }
    });
    xact::also_at_subtransaction_abort(|_| {
        if CHANGED.get() {
            forget();
        }
    });
}

fn forget() {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    KNOWN.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            *known = None;
        }
    });
}

/// What is in this database. In a transaction; may raise as any catalog read may.
pub fn installed() -> Installed {
    if let Some(known) = KNOWN.with_borrow(Clone::clone) {
        return known;
    }
    inval::watch_extensions(forget);
    loop {
        let changes = CHANGES.get();
        let read = match catalog::extension_version() {
            None => Installed::No,
            Some(version) if version == LIBRARY => Installed::Same,
            Some(version) => Installed::Other(version),
        };
        if changes == CHANGES.get() {
            KNOWN.set(Some(read.clone()));
            return read;
        }
    }
}

/// Whether the extension is in this database, and of another version. In a transaction.
pub fn is_other() -> bool {
    matches!(installed(), Installed::Other(_))
}

/// Refuses what the library does only with objects of its own version. Without the extension it is not for this to say.
pub fn check() -> Result<(), Error> {
    match installed() {
        Installed::Other(installed) => Err(Error::OtherVersion { installed, problem: None }),
        _ => Ok(()),
    }
}

/// Whether the extension is in this database, of the library's version; if so, both stay so until the transaction ends.
pub fn hold() -> bool {
    catalog::hold_extension() && installed() == Installed::Same
}

/// An extension was made, changed or dropped by this transaction.
pub fn changed() {
    CHANGED.set(true);
    forget();
    inval::changed(catalog::EXTENSIONS);
}

/// Before ALTER EXTENSION postern: waits for whoever works on our tables, and keeps others from it. One who may not update it, or
/// has nothing to update, disturbs nobody.
pub fn before_update() {
    if matches!(installed(), Installed::Other(_))
        && role::by_oid(user::current().oid).is_some_and(|role| role.superuser)
    {
        catalog::lock_extension();
    }
}

/// After CREATE or ALTER EXTENSION postern.
pub fn after(updated: bool) {
    changed();
    if catalog::in_binary_upgrade() {
        return;
    }
    if let Installed::Other(installed) = installed() {
        if updated {
            raise(Error::UpdatedTo { installed });
        }
        Error::OtherVersion { installed, problem: None }.warn();
    }
}

/// What is to be done about another version than the library's.
pub fn remedy(installed: &str) -> String {
    if parts(installed) > parts(LIBRARY) {
        format!(
            "Install the files of version {installed} or later, and restart the server: it loads the library when it starts."
        )
    } else {
        "Run ALTER EXTENSION postern UPDATE in this database.".to_owned()
    }
}

/// The numbers of a version, to be compared.
fn parts(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(parts("0.10.0") > parts("0.9.12"));
        assert!(parts("1.0.0") > parts("0.99.99"));
        assert_eq!(parts(LIBRARY).len(), 3);
    }

    #[test]
    fn an_older_schema_is_updated_and_a_newer_one_needs_a_newer_library() {
        assert!(remedy("0.0.1").contains("ALTER EXTENSION"));
        assert!(remedy("99.0.0").contains("restart the server"));
    }
}
