//! The error mode: a role whose rows would be filtered gets an error instead.

use super::direct;
use super::state::{self, State};
use crate::error::Error;
use crate::pg::policy::{self, Access, Commands};
use crate::pg::{role, table};

/// Refuses the first of the accesses that is filtered for a role that is to get an error.
pub fn check(accesses: impl FnOnce() -> Vec<Access>) -> Result<(), Error> {
    let state = state::get();
    if !state.errors {
        return Ok(());
    }
    for access in accesses() {
        let refused = refused(&state, access);
        // Who may not at all hears that, from the server.
        if !refused.is_empty()
            && policy::is_filtered(access)
            && !policy::is_denied(access)
            && !direct::is_direct(&state, access)
        {
            return Err(Error::Filtered {
                relation: table::qualified_name(access.relation),
                role: role::name(access.user),
                commands: refused.names().collect::<Vec<_>>().join(", "),
                policies: policy::names(access.relation, access.user, refused).join(", "),
            });
        }
    }
    Ok(())
}

/// The commands of the access for which the role is to get an error. What is set for the table and the role goes before what is
/// set for one of them, and that before what is set for the database; of two on one level, the error counts.
fn refused(state: &State, access: Access) -> Commands {
    access
        .needs
        .each()
        .filter(|command| is_error(state, access, *command))
        .fold(Commands::default(), Commands::and)
}

fn is_error(state: &State, access: Access, command: Commands) -> bool {
    let any = pgrx::pg_sys::InvalidOid;
    let of = |relation: pgrx::pg_sys::Oid| {
        let modes = state.modes.get(&relation).into_iter().flatten();
        modes.map(move |mode| (usize::from(relation != any) + usize::from(mode.role != any), mode))
    };
    // Everybody has some of what is in our own tables, and asks for that.
    let everywhere = of(any).filter(|_| !table::is_ours(access.relation));
    of(access.relation)
        .chain(everywhere)
        .filter(|(_, mode)| mode.command == command)
        .filter(|(_, mode)| mode.role == any || role::has_privileges_of(access.user, mode.role))
        .map(|(level, mode)| (level, mode.error))
        .max()
        .is_some_and(|(_, error)| error)
}
