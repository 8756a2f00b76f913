//! Privileges on a table, from the system cache: as they are now, whatever an older snapshot says (`src/include/utils/acl.h`).

use pgrx::pg_sys;

use super::policy::Commands;

/// What one role gave to one.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// To whom; 0 is PUBLIC.
    pub grantee: pg_sys::Oid,
    /// Commands that row security governs.
    pub commands: Commands,
}

/// The entries of a table's ACL, one for each pair of grantor and grantee; none if there is no such table. May raise as any catalog
/// read may.
pub fn entries(relation: pg_sys::Oid) -> Vec<Entry> {
    let cache = pg_sys::SysCacheIdentifier::RELOID.cast_signed();
    // SAFETY: the tuple is pinned until it is released, and its fixed part is a FormData_pg_class. An ACL is an array of one dimension
    // without NULLs: header, its length, its lower bound, rounded up to 8 bytes, then items.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(relation));
        if tuple.is_null() {
            return Vec::new();
        }
        let mut none = false;
        let number = pg_sys::AttrNumber::try_from(pg_sys::Anum_pg_class_relacl).unwrap_or(0);
        let datum = pg_sys::SysCacheGetAttr(cache, tuple, number, &raw mut none);
        let acl = if none {
            let data = (*tuple).t_data;
            let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_class>();
            pg_sys::acldefault(pg_sys::ObjectType::OBJECT_TABLE, (*form).relowner).cast::<u8>()
        } else {
            pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<u8>()
        };
        let count = usize::try_from(*acl.add(size_of::<pg_sys::ArrayType>()).cast::<i32>()).unwrap_or(0);
        let first = (size_of::<pg_sys::ArrayType>() + 8).next_multiple_of(8);
        let entries = core::slice::from_raw_parts(acl.add(first).cast::<pg_sys::AclItem>(), count)
            .iter()
            .map(|item| Entry { grantee: item.ai_grantee, commands: Commands::of(item.ai_privs) })
            .collect();
        pg_sys::ReleaseSysCache(tuple);
        entries
    }
}

/// How many roles gave the grantee itself one of the commands.
pub fn count(entries: &[Entry], grantee: pg_sys::Oid, command: Commands) -> u32 {
    let given = entries.iter().filter(|entry| entry.grantee == grantee && entry.commands.has(command));
    u32::try_from(given.count()).unwrap_or(u32::MAX)
}
