//! Privileges on our own objects are given by roles, not one by one.
//!
//! A GRANT on an object of the extension goes into every dump, and a dump does not restore onto a version that has no such object. So a
//! GRANT or REVOKE on one is refused with the role to grant instead. This guards against a mistake, not against an attacker: who
//! may grant on our objects may do everything. But a DROP OWNED BY one of our roles is anybody's who is a member of it.

use core::ffi::CStr;

use pgrx::pg_sys;

use super::pending::{self, class};
use super::refusal::Refusal;
use crate::error::{Error, raise};
use crate::guc::{DIRECT_GRANTS, DirectGrants};
use crate::pg::grant::Target;
use crate::pg::query::{self, Arg};
use crate::pg::{catalog, member, role, trigger};

/// The roles that carry privileges on objects of the extension.
const ROLES: [&CStr; 7] = [
    c"postern_admin",
    c"postern_application",
    c"postern_monitor",
    c"postern_read_all_stats",
    c"postern_read_all_conflicts",
    c"postern_gate",
    c"postern_outbound",
];

/// What is said of it, and the extension; `None` where nothing is.
fn setting() -> Option<(DirectGrants, pg_sys::Oid)> {
    let (setting, extension) = (DIRECT_GRANTS.get(), catalog::extension());
    let silent = setting == DirectGrants::Off
        || extension == pg_sys::InvalidOid
        || trigger::in_extension_script()
        || trigger::upgrading();
    (!silent).then_some((setting, extension))
}

fn say(setting: DirectGrants, refusal: Refusal) {
    match setting {
        DirectGrants::Error => raise(refusal.into()),
        _ => Error::from(refusal).warn(),
    }
}

/// Judges the roles of a DROP OWNED before it is executed: whoever is a member of one of ours could take its privileges from all others
/// who are.
pub fn judge_disowned(roles: &[pg_sys::Oid]) {
    let Some((setting, _)) = setting() else { return };
    for name in ROLES {
        if let Some(role) = role::by_name(name).filter(|role| roles.contains(&role.oid)) {
            say(setting, Refusal::Disowned { role: role::name(role.oid) });
        }
    }
}

/// Judges the objects of a GRANT or REVOKE before it is executed.
pub fn judge(targets: &[Target]) {
    let Some((setting, extension)) = setting() else { return };
    let Some(target) = targets.iter().find(|target| target.is_of(extension)) else { return };
    let args = [Arg::Oid(target.class), Arg::Oid(target.object)];
    let rows = query::as_owner(|| query::run(c"SELECT object, roles FROM postern.roles_for($1, $2)", &args));
    // Functions of HTTP steps are granted one by one, since whoever has them reaches other hosts; so is df.metrics(), which tells of all roles.
    let Some(row) = rows.first() else { return };
    say(setting, Refusal::Grant { object: row.string(0), roles: row.string(1) });
}

/// Notes the functions of a GRANT or REVOKE before it is executed: the server tells nobody of it, and who may execute a function that an
/// expression calls decides whether a superuser may apply it.
pub fn touch(targets: &[Target]) {
    for target in targets {
        if target.class == class::FUNCTION {
            pending::touched(class::FUNCTION, target.object, 0, false);
        } else if target.class == class::SCHEMA && member::any() {
            let rows = query::as_owner(|| {
                query::run(
                    c"SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace OPERATOR(pg_catalog.=) $1",
                    &[Arg::Oid(target.object)],
                )
            });
            for function in rows.iter().map(|row| row.oid(0)).filter(|function| member::is_used(*function)) {
                pending::touched(class::FUNCTION, function, 0, false);
            }
        }
    }
}
