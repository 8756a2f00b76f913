//! What a backend remembers of the two tables, until the server says that one of them has changed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys;

use crate::pg::policy::Commands;
use crate::pg::{self, table};

/// Past the policies of a table: who, for which command.
#[derive(Debug, Clone, Copy)]
pub struct Direct {
    pub grantee: pg_sys::Oid,
    pub command: Commands,
    pub with_grant: bool,
}

/// What a role gets that would be filtered; an OID of 0 is any role.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    pub role: pg_sys::Oid,
    pub command: Commands,
    pub error: bool,
}

/// Both tables. Without the extension in this database both are empty.
#[derive(Debug, Default)]
pub struct State {
    tables: Option<[pg_sys::Oid; 2]>,
    pub direct: HashMap<pg_sys::Oid, Vec<Direct>>,
    /// By relation; those for any are at 0.
    pub modes: HashMap<pg_sys::Oid, Vec<Mode>>,
    /// Whether there is an error among them.
    pub errors: bool,
}

thread_local! {
    static STATE: RefCell<Option<Rc<State>>> = const { RefCell::new(None) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static WATCHED: Cell<Option<[pg_sys::Oid; 2]>> = const { Cell::new(None) };
}

/// A relation has changed, or any of them may have (0). As long as the tables are not there, any might be one of them.
fn forget(relation: pg_sys::Oid) {
    if relation != pg_sys::InvalidOid && WATCHED.get().is_some_and(|watched| !watched.contains(&relation)) {
        return;
    }
    CHANGES.set(CHANGES.get().wrapping_add(1));
    // Called in the middle of anything, but never while the state is being exchanged: nothing below `get` holds it.
    STATE.with(|state| {
        if let Ok(mut state) = state.try_borrow_mut() {
            *state = None;
        }
    });
}

/// Whether what is remembered has anything in it; if nothing is remembered it may.
fn is_used() -> bool {
    STATE.with(|state| {
        state.try_borrow().map_or(true, |state| {
            state.as_ref().is_none_or(|state| !state.direct.is_empty() || !state.modes.is_empty())
        })
    })
}

/// The state as it is now. May raise as any read may.
pub fn get() -> Rc<State> {
    if let Some(state) = STATE.with_borrow(Clone::clone) {
        return state;
    }
    pg::inval::watch_relations(forget);
    pg::inval::plan_again_after_roles(is_used);
    loop {
        let changes = CHANGES.get();
        let state = Rc::new(read());
        if changes == CHANGES.get() {
            WATCHED.set(state.tables);
            STATE.with_borrow_mut(|kept| *kept = Some(Rc::clone(&state)));
            return state;
        }
    }
}

fn read() -> State {
    let Some([direct_access, modes]) = table::relations([c"direct_access", c"row_security_modes"]) else {
        return State::default();
    };
    let mut state = State { tables: Some([direct_access, modes]), ..State::default() };
    table::scan(direct_access, |[relation, grantee, command, _grantor, with_grant]: [pg_sys::Datum; 5]| {
        if let Some(command) = letter(command) {
            let grants = state.direct.entry(oid(relation)).or_default();
            grants.push(Direct {
                grantee: oid(grantee),
                command,
                with_grant: byte(with_grant).is_some_and(|byte| byte != 0),
            });
        }
    });
    table::scan(modes, |[relation, role, command, mode]: [pg_sys::Datum; 4]| {
        if let (Some(command), Some(error)) = (letter(command), byte(mode).map(|mode| mode == b'e')) {
            state.errors |= error;
            state.modes.entry(oid(relation)).or_default().push(Mode { role: oid(role), command, error });
        }
    });
    state
}

#[allow(clippy::cast_possible_truncation, reason = "an OID fills the lower 32 bits of its datum")]
fn oid(datum: pg_sys::Datum) -> pg_sys::Oid {
    pg_sys::Oid::from_u32(datum.value() as u32)
}

fn byte(datum: pg_sys::Datum) -> Option<u8> {
    u8::try_from(datum.value() & 0xff).ok()
}

fn letter(datum: pg_sys::Datum) -> Option<Commands> {
    byte(datum).and_then(Commands::from_letter)
}
