//! A look into a table of the extension, past privileges: the caller may not read it.

use std::ffi::CStr;

use pgrx::pg_sys;

/// The name in column 2 of the row of `postern.<table>` whose first column, the primary key with index `<index>`, is `key`;
/// seen with what is committed now, not with an older snapshot. `Err` if the table is not there. May raise as any read may.
pub fn name_by_oid(table: &CStr, index: &CStr, key: pg_sys::Oid) -> Result<Option<String>, ()> {
    // SAFETY: the names end with NUL. Table and index are opened and closed with the same locks here; an error in between
    // releases them with the transaction. The scan key lives until the scan ends. Column 2 is `name NOT NULL`.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"postern".as_ptr(), true);
        if schema == pg_sys::InvalidOid {
            return Err(());
        }
        let relation = pg_sys::get_relname_relid(table.as_ptr(), schema);
        let index = pg_sys::get_relname_relid(index.as_ptr(), schema);
        if relation == pg_sys::InvalidOid || index == pg_sys::InvalidOid {
            return Err(());
        }
        let lock = pg_sys::AccessShareLock.cast_signed();
        let heap = pg_sys::table_open(relation, lock);
        let mut scan_key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut scan_key,
            1,
            u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3),
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(key),
        );
        let scan = pg_sys::systable_beginscan(heap, index, true, core::ptr::null_mut(), 1, &raw mut scan_key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = if tuple.is_null() {
            None
        } else {
            let mut is_null = false;
            let datum = pgrx::htup::heap_getattr_raw(
                tuple,
                core::num::NonZeroUsize::MIN.saturating_add(1),
                (*heap).rd_att,
            );
            let _ = &mut is_null;
            datum.map(|datum| {
                let name = datum.cast_mut_ptr::<pg_sys::NameData>();
                CStr::from_ptr((*name).data.as_ptr()).to_string_lossy().into_owned()
            })
        };
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(heap, lock);
        Ok(found)
    }
}
