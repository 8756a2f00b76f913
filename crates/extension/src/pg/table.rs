//! A look into a table of the extension, past privileges: the caller may not read it.

use std::ffi::CStr;

use pgrx::pg_sys;

/// A table of the extension, and the index of its primary key.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The table.
    pub relation: pg_sys::Oid,
    /// The index.
    pub index: pg_sys::Oid,
}

/// Finds `postern.<table>`; `None` if the extension is not in this database.
pub fn find(table: &CStr, index: &CStr) -> Option<Table> {
    // SAFETY: the names end with NUL.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"postern".as_ptr(), true);
        let found = Table {
            relation: pg_sys::get_relname_relid(table.as_ptr(), schema),
            index: pg_sys::get_relname_relid(index.as_ptr(), schema),
        };
        (found.relation != pg_sys::InvalidOid && found.index != pg_sys::InvalidOid).then_some(found)
    }
}

/// The name in column 2 of the row whose first column, the primary key, is `key`; seen with what is committed now, not with an
/// older snapshot. May raise as any read may.
pub fn name_by_oid(table: Table, key: pg_sys::Oid) -> Option<String> {
    // SAFETY: Table and index are opened and closed with the same locks here; an error in between
    // releases them with the transaction. The scan key lives until the scan ends. Column 2 is `name NOT NULL`.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let heap = pg_sys::table_open(table.relation, lock);
        let mut scan_key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut scan_key,
            1,
            u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3),
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(key),
        );
        let scan =
            pg_sys::systable_beginscan(heap, table.index, true, core::ptr::null_mut(), 1, &raw mut scan_key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = if tuple.is_null() {
            None
        } else {
            let datum = pgrx::htup::heap_getattr_raw(
                tuple,
                core::num::NonZeroUsize::MIN.saturating_add(1),
                (*heap).rd_att,
            );
            datum.map(|datum| {
                let name = datum.cast_mut_ptr::<pg_sys::NameData>();
                CStr::from_ptr((*name).data.as_ptr()).to_string_lossy().into_owned()
            })
        };
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(heap, lock);
        found
    }
}
