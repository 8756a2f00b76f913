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
    /// Those of them that may be passed on.
    pub options: Commands,
}

/// The ACL of a table as the server stores it, to be compared, and to be read by [`entries`]; nothing if there is no such table. May raise
/// as any catalog read may.
pub fn stored(relation: pg_sys::Oid) -> Vec<u8> {
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
        let items =
            core::slice::from_raw_parts(acl.add(first), count * size_of::<pg_sys::AclItem>()).to_vec();
        pg_sys::ReleaseSysCache(tuple);
        items
    }
}

/// The entries of an ACL that was [`stored`], one for each pair of grantor and grantee.
pub fn entries(stored: &[u8]) -> impl Iterator<Item = Entry> {
    stored.chunks_exact(size_of::<pg_sys::AclItem>()).map(|item| {
        // SAFETY: as many bytes as an item has, every one of which was the server's; they may lie anywhere.
        let item = unsafe { item.as_ptr().cast::<pg_sys::AclItem>().read_unaligned() };
        // The upper half of the bits are grant options.
        let options = item.ai_privs >> (pg_sys::AclMode::BITS / 2);
        Entry {
            grantee: item.ai_grantee,
            commands: Commands::of(item.ai_privs),
            options: Commands::of(options),
        }
    })
}

/// How many roles gave the grantee itself one of the commands.
pub fn count(stored: &[u8], grantee: pg_sys::Oid, command: Commands) -> u32 {
    let given = entries(stored).filter(|entry| entry.grantee == grantee && entry.commands.has(command));
    u32::try_from(given.count()).unwrap_or(u32::MAX)
}
