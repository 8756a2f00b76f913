//! `pg_db_role_setting`: settings of roles and databases (`src/backend/catalog/pg_db_role_setting.c`).

use std::ffi::CString;

use pgrx::{Array, FromDatum, pg_sys};

/// The catalog.
pub const RELATION: pg_sys::Oid = pg_sys::Oid::from_u32(2964);
/// Its index on database and role (`src/include/catalog/pg_db_role_setting.h`; OIDs below 10000 never change).
const INDEX: pg_sys::Oid = pg_sys::Oid::from_u32(2965);
/// Column `setconfig`, after `setdatabase` and `setrole`.
const SETCONFIG: core::num::NonZeroUsize = core::num::NonZeroUsize::MIN.saturating_add(2);

/// Names and values for exactly this database, or for none, and this role, as they are committed now. May raise as any
/// catalog read may.
pub fn read(database: pg_sys::Oid, role: pg_sys::Oid) -> Vec<(CString, CString)> {
    let equal = u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3);
    // SAFETY: catalog and index are opened and closed with the same locks here; an error in between releases them with the
    // transaction. The keys live until the scan ends. Column 3 is a text[].
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let heap = pg_sys::table_open(RELATION, lock);
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        for (key, (column, oid)) in keys.iter_mut().zip([(1, database), (2, role)]) {
            pg_sys::ScanKeyInit(
                key,
                column,
                equal,
                pg_sys::Oid::from(pg_sys::F_OIDEQ),
                pg_sys::Datum::from(oid),
            );
        }
        let scan = pg_sys::systable_beginscan(heap, INDEX, true, core::ptr::null_mut(), 2, keys.as_mut_ptr());
        let tuple = pg_sys::systable_getnext(scan);
        let mut found = Vec::new();
        if !tuple.is_null() {
            let datum = pgrx::htup::heap_getattr_raw(tuple, SETCONFIG, (*heap).rd_att);
            let items = datum.and_then(|datum| Array::<&[u8]>::from_datum(datum, false));
            found = items.iter().flat_map(Array::iter).flatten().filter_map(split).collect();
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(heap, lock);
        found
    }
}

/// Name and value of `name=value`.
fn split(item: &[u8]) -> Option<(CString, CString)> {
    let at = item.iter().position(|byte| *byte == b'=')?;
    Some((CString::new(&item[..at]).ok()?, CString::new(&item[at + 1..]).ok()?))
}
