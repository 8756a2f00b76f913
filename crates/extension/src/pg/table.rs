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

/// The tables `postern.<name>`; `None` if one of them is not there.
pub fn relations<const N: usize>(names: [&CStr; N]) -> Option<[pg_sys::Oid; N]> {
    // SAFETY: the names end with NUL.
    let found = unsafe {
        let schema = pg_sys::get_namespace_oid(c"postern".as_ptr(), true);
        if schema == pg_sys::InvalidOid {
            return None;
        }
        names.map(|name| pg_sys::get_relname_relid(name.as_ptr(), schema))
    };
    (!found.contains(&pg_sys::InvalidOid)).then_some(found)
}

/// Gives the first `N` columns of every row, which must be NOT NULL and of types passed by value; seen with what is committed
/// now. May raise as any read may.
pub fn scan<const N: usize>(relation: pg_sys::Oid, mut row: impl FnMut([pg_sys::Datum; N])) {
    // SAFETY: opened and closed with the same lock here; an error in between releases it with the transaction.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let heap = pg_sys::table_open(relation, lock);
        let none = core::ptr::null_mut();
        let scan =
            pg_sys::systable_beginscan(heap, pg_sys::InvalidOid, false, none, 0, core::ptr::null_mut());
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let mut columns = [pg_sys::Datum::from(0); N];
            for (n, column) in columns.iter_mut().enumerate() {
                let number = core::num::NonZeroUsize::MIN.saturating_add(n);
                if let Some(datum) = pgrx::htup::heap_getattr_raw(tuple, number, (*heap).rd_att) {
                    *column = datum;
                }
            }
            row(columns);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(heap, lock);
    }
}

/// Whether a catalog has any row; with an index, one whose first indexed columns are these OIDs. The columns are given by their numbers
/// in the catalog. May raise as any read may.
pub fn has_row(relation: pg_sys::Oid, index: Option<pg_sys::Oid>, columns: &[(i16, pg_sys::Oid)]) -> bool {
    has_rows(relation, index, columns, 1)
}

/// As [`has_row`], whether it has so many of them.
pub fn has_rows(
    relation: pg_sys::Oid,
    index: Option<pg_sys::Oid>,
    columns: &[(i16, pg_sys::Oid)],
    enough: usize,
) -> bool {
    // SAFETY: opened and closed with the same lock here; an error in between releases it with the transaction. The scan key lives
    // until the scan ends, and is of an OID.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let heap = pg_sys::table_open(relation, lock);
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        let mut count = 0;
        for (key, (column, value)) in keys.iter_mut().zip(columns) {
            pg_sys::ScanKeyInit(
                key,
                *column,
                u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3),
                pg_sys::Oid::from(pg_sys::F_OIDEQ),
                pg_sys::Datum::from(*value),
            );
            count += 1;
        }
        let scan = pg_sys::systable_beginscan(
            heap,
            index.unwrap_or(pg_sys::InvalidOid),
            index.is_some(),
            core::ptr::null_mut(),
            count,
            keys.as_mut_ptr(),
        );
        let found = (0..enough).all(|_| !pg_sys::systable_getnext(scan).is_null());
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(heap, lock);
        found
    }
}

/// Locks a relation until the end of the transaction against other changes of its definition, VACUUM included; nobody who reads or writes it
/// waits. If it is dropped meanwhile, there is nothing to be locked.
pub fn lock_definition(relation: pg_sys::Oid) {
    // SAFETY: in a transaction, whose end releases the lock.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::ShareUpdateExclusiveLock.cast_signed()) };
}

/// Whether there is a relation with this OID.
pub fn exists(relation: pg_sys::Oid) -> bool {
    // SAFETY: reads the system cache.
    unsafe { pg_sys::get_rel_relkind(relation) != 0 }
}

/// Whether a relation is in one of our schemas.
pub fn is_ours(relation: pg_sys::Oid) -> bool {
    // SAFETY: reads the system caches.
    unsafe {
        let schema = pg_sys::get_rel_namespace(relation);
        [c"postern", c"df"].iter().any(|name| pg_sys::get_namespace_oid(name.as_ptr(), true) == schema)
    }
}

/// The name of a relation with its schema, quoted; for messages.
pub fn qualified_name(relation: pg_sys::Oid) -> String {
    // SAFETY: the names are copied out of the memory that the server gives them in.
    unsafe {
        let name = pg_sys::get_rel_name(relation);
        if name.is_null() {
            return relation.to_u32().to_string();
        }
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relation));
        CStr::from_ptr(pg_sys::quote_qualified_identifier(schema, name)).to_string_lossy().into_owned()
    }
}
