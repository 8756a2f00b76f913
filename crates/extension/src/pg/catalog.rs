//! Looks into the system catalogs.

use pgrx::{FromDatum, pg_sys};

/// `pg_subscription` (`src/include/catalog/`; OIDs below 10000 never change).
const SUBSCRIPTIONS: pg_sys::Oid = pg_sys::Oid::from_u32(6100);

/// The language of a function. May raise as any catalog read may.
pub fn language(function: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a tuple from the cache is pinned until it is released; the fixed part of a tuple of pg_proc is a FormData_pg_proc.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID.cast_signed();
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return None;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_proc>();
        let language = (*form).prolang;
        pg_sys::ReleaseSysCache(tuple);
        Some(language)
    }
}

/// The databases that can be connected to, from the shared catalog: no database is needed to read it. In a transaction.
pub fn databases() -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: opened and closed with the same lock here; an error in between releases it with the transaction. The fixed part
    // of a tuple of pg_database is a FormData_pg_database.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            core::ptr::null_mut(),
            0,
            core::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let data = (*tuple).t_data;
            let form =
                data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_database>();
            if (*form).datallowconn && (*form).datconnlimit != -2 && !(*form).datistemplate {
                found.push((*form).oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, lock);
    }
    found
}

/// All subscriptions and their databases, from the shared catalog: no database is needed to read it. In a transaction.
pub fn subscriptions() -> Vec<(pg_sys::Oid, pg_sys::Oid)> {
    let mut found = Vec::new();
    let oid = |datum: pg_sys::Datum| {
        // SAFETY: the first two columns are `oid` and `subdbid`, both `oid NOT NULL`.
        unsafe { pg_sys::Oid::from_datum(datum, false) }.unwrap_or(pg_sys::InvalidOid)
    };
    super::table::scan::<2>(SUBSCRIPTIONS, |[subscription, database]| {
        found.push((oid(subscription), oid(database)));
    });
    found
}

/// The database of exactly this name. In a transaction.
pub fn database(name: &str) -> Option<pg_sys::Oid> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: the name ends with NUL.
    let oid = unsafe { pg_sys::get_database_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// The name of a database. In a transaction.
pub fn database_name(oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: null, or a copy that ends with NUL.
    unsafe {
        let name = pg_sys::get_database_name(oid);
        (!name.is_null()).then(|| core::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Whether the extension is in this database; if so, it stays until the transaction ends. DROP EXTENSION takes its lock on the
/// extension before those on tables: whoever does the same never waits for it in a circle.
pub fn hold_extension() -> bool {
    let found = extension();
    if found == pg_sys::InvalidOid {
        return false;
    }
    // SAFETY: in a transaction, which releases the lock at its end.
    unsafe {
        pg_sys::LockDatabaseObject(
            pg_sys::ExtensionRelationId,
            found,
            0,
            pg_sys::AccessShareLock.cast_signed(),
        );
    }
    extension() == found
}

/// The extension; the invalid OID if it is not in this database. In a transaction.
pub fn extension() -> pg_sys::Oid {
    // SAFETY: the name ends with NUL.
    unsafe { pg_sys::get_extension_oid(c"postern".as_ptr(), true) }
}

/// The catalog of extensions.
pub const EXTENSIONS: pg_sys::Oid = pg_sys::ExtensionRelationId;

/// The version of the extension's objects in this database; `None` if it is not there. In a transaction.
pub fn extension_version() -> Option<String> {
    let extension = extension();
    if extension == pg_sys::InvalidOid {
        return None;
    }
    // SAFETY: opened and closed with the same lock here; an error in between releases it with the transaction. The scan key lives
    // until the scan ends. The column is `text NOT NULL`, and is copied.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let relation = pg_sys::table_open(EXTENSIONS, lock);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut key,
            i16::try_from(pg_sys::Anum_pg_extension_oid).unwrap_or(1),
            u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3),
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(extension),
        );
        let index = pg_sys::Oid::from(pg_sys::ExtensionOidIndexId);
        let scan = pg_sys::systable_beginscan(relation, index, true, core::ptr::null_mut(), 1, &raw mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let column =
            usize::try_from(pg_sys::Anum_pg_extension_extversion).ok().and_then(core::num::NonZeroUsize::new);
        let found = column
            .filter(|_| !tuple.is_null())
            .and_then(|column| pgrx::htup::heap_getattr_raw(tuple, column, (*relation).rd_att))
            .and_then(|datum| String::from_datum(datum, false));
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, lock);
        found
    }
}

/// Takes the lock of DROP EXTENSION on the extension, if it is in this database, until the transaction ends.
pub fn lock_extension() {
    let found = extension();
    if found != pg_sys::InvalidOid {
        // SAFETY: in a transaction, which releases the lock at its end.
        unsafe {
            pg_sys::LockDatabaseObject(EXTENSIONS, found, 0, pg_sys::AccessExclusiveLock.cast_signed());
        }
    }
}

/// Whether the statement is one of an extension's script.
pub fn in_extension_script() -> bool {
    // SAFETY: a plain read of a variable of this process.
    unsafe { pg_sys::creating_extension }
}

/// Whether the server runs for `pg_upgrade`.
pub fn in_binary_upgrade() -> bool {
    // SAFETY: a plain read of what is set when the server starts.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// The OID of a type by its qualified name, as `format_type` writes it. Raises for what is none.
pub fn type_by_name(name: &std::ffi::CStr) -> pg_sys::Oid {
    // SAFETY: `regtypein` reads a C string and gives an OID.
    unsafe {
        let datum = pgrx::direct_function_call_as_datum(
            pg_sys::regtypein,
            &[Some(pg_sys::Datum::from(name.as_ptr()))],
        );
        datum.and_then(|datum| pg_sys::Oid::from_datum(datum, false)).unwrap_or(pg_sys::InvalidOid)
    }
}
