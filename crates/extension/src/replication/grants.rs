//! Privileges on our own objects are given by roles, not one by one.
//!
//! A GRANT on an object of the extension goes into every dump, and a dump does not restore onto a version that has no such object. So a
//! GRANT or REVOKE on one is refused with the role to grant instead. This guards against a mistake, not against an attacker: who
//! may grant on our objects may do everything.

use pgrx::pg_sys;

use super::refusal::Refusal;
use crate::error::{Error, raise};
use crate::guc::{DIRECT_GRANTS, DirectGrants};
use crate::pg::grant::Target;
use crate::pg::query::{self, Arg};
use crate::pg::{catalog, trigger};

/// Judges the objects of a GRANT or REVOKE before it is executed.
pub fn judge(targets: &[Target]) {
    let setting = DIRECT_GRANTS.get();
    let extension = catalog::extension();
    if setting == DirectGrants::Off
        || extension == pg_sys::InvalidOid
        || trigger::in_extension_script()
        || trigger::upgrading()
    {
        return;
    }
    let Some(target) = targets.iter().find(|target| target.is_of(extension)) else { return };
    let args = [Arg::Oid(target.class), Arg::Oid(target.object)];
    let rows = query::as_owner(|| query::run(c"SELECT object, roles FROM postern.roles_for($1, $2)", &args));
    // Functions of HTTP steps are granted one by one, since whoever has them reaches other hosts; so is df.metrics(), which tells of all roles.
    let Some(row) = rows.first() else { return };
    let refusal = Refusal::Grant { object: row.string(0), roles: row.string(1) };
    match setting {
        DirectGrants::Error => raise(refusal.into()),
        _ => Error::from(refusal).warn(),
    }
}
