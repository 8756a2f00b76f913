//! Triggers and what else is being changed right now, as it was before the change.

use pgrx::{FromDatum, pg_sys};

/// A trigger as it was before the command that changes it.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// Its function.
    pub function: pg_sys::Oid,
    /// When it fires: `O`, `D`, `R` or `A`.
    pub enabled: u8,
    /// Its table.
    pub relation: pg_sys::Oid,
    /// Whether the server made it for itself, as for a foreign key.
    pub internal: bool,
    /// Whether it has a WHEN clause.
    pub conditional: bool,
    /// Its name, ending with NUL.
    name: pg_sys::NameData,
}

impl Before {
    /// Its name.
    pub fn name(&self) -> String {
        let bytes: Vec<u8> =
            self.name.data.iter().map(|c| c.cast_unsigned()).take_while(|c| *c != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The trigger as commands before the current one left it; `None` if there was none. May raise as any catalog read may.
pub fn before(oid: pg_sys::Oid) -> Option<Before> {
    // SAFETY: relation and index are opened and closed with the same lock here; an error in between releases it with the
    // transaction. The scan key lives until the scan ends. The fixed part of a tuple of pg_trigger is a FormData_pg_trigger. Without
    // a snapshot the scan sees what the catalog caches see, which is not what the current command has written.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let relation = pg_sys::table_open(pg_sys::TriggerRelationId, lock);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut key,
            i16::try_from(pg_sys::Anum_pg_trigger_oid).unwrap_or(1),
            u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3),
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(oid),
        );
        let index = pg_sys::Oid::from(pg_sys::TriggerOidIndexId);
        let scan = pg_sys::systable_beginscan(relation, index, true, core::ptr::null_mut(), 1, &raw mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = (!tuple.is_null()).then(|| {
            let data = (*tuple).t_data;
            let form =
                data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_trigger>();
            Before {
                function: (*form).tgfoid,
                enabled: (*form).tgenabled.cast_unsigned(),
                relation: (*form).tgrelid,
                internal: (*form).tgisinternal,
                conditional: !pg_sys::heap_attisnull(
                    tuple,
                    pg_sys::Anum_pg_trigger_tgqual.cast_signed(),
                    (*relation).rd_att,
                ),
                name: (*form).tgname,
            }
        });
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, lock);
        found
    }
}

/// Owner and schema of a relation before the current command; `None` if it is new.
pub fn relation_before(relation: pg_sys::Oid) -> Option<(pg_sys::Oid, pg_sys::Oid)> {
    // SAFETY: a tuple from the cache is pinned until it is released; the fixed part of a tuple of pg_class is a FormData_pg_class.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID.cast_signed();
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(relation));
        if tuple.is_null() {
            return None;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_class>();
        let found = ((*form).relowner, (*form).relnamespace);
        pg_sys::ReleaseSysCache(tuple);
        Some(found)
    }
}

/// Whether there was a function of this OID before the current command.
pub fn function_existed(function: pg_sys::Oid) -> bool {
    // SAFETY: looks into the cache.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID.cast_signed();
        let none = pg_sys::Datum::from(0);
        pg_sys::SearchSysCacheExists(cache, pg_sys::Datum::from(function), none, none, none)
    }
}

/// What a function of a replicated table may not set.
const SETTINGS: [&str; 3] = ["role", "session_authorization", "session_replication_role"];

/// What the rules ask of a function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its owner.
    pub owner: pg_sys::Oid,
    /// Whether it is SECURITY DEFINER.
    pub definer: bool,
    /// Whether it sets what a role is, or which triggers fire.
    pub sets: bool,
}

/// A function as it is now. May raise as any catalog read may.
pub fn function(function: pg_sys::Oid) -> Option<Function> {
    // SAFETY: as in `relation_before`; the fixed part of a tuple of pg_proc is a FormData_pg_proc.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID.cast_signed();
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return None;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_proc>();
        let mut unset = true;
        let column = pg_sys::AttrNumber::try_from(pg_sys::Anum_pg_proc_proconfig).unwrap_or(0);
        let settings = pg_sys::SysCacheGetAttr(cache, tuple, column, &raw mut unset);
        let settings = Vec::<Option<String>>::from_datum(settings, unset).unwrap_or_default();
        let sets = settings.iter().flatten().any(|setting| {
            let name = setting.split('=').next().unwrap_or_default();
            SETTINGS.iter().any(|other| other.eq_ignore_ascii_case(name))
        });
        let found = Function { owner: (*form).proowner, definer: (*form).prosecdef, sets };
        pg_sys::ReleaseSysCache(tuple);
        Some(found)
    }
}

/// Whether the server came with a function: its OID is below the first that is given to users' objects.
pub fn came_with_the_server(function: pg_sys::Oid) -> bool {
    function.to_u32() < pg_sys::FirstNormalObjectId
}

/// The owner of a function; 0 if there is none. May raise as any catalog read may.
pub fn function_owner(function: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: as in `relation_before`.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID.cast_signed();
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return pg_sys::InvalidOid;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_proc>();
        let owner = (*form).proowner;
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}

/// Whether the script of an extension is being run.
pub fn in_extension_script() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::creating_extension }
}

/// Whether the script of this extension is being run.
pub fn in_script_of(extension: pg_sys::Oid) -> bool {
    // SAFETY: plain reads.
    unsafe { pg_sys::creating_extension && pg_sys::CurrentExtensionObject == extension }
}

/// Whether `pg_upgrade` is filling this database: it makes what there was, in its own order.
pub fn upgrading() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Waits until no other transaction changes the object, and keeps others from changing it until this one ends. Who changes it
/// says so by [`changes`].
pub fn keep(class: pg_sys::Oid, object: pg_sys::Oid) {
    // SAFETY: takes a lock that the transaction releases.
    unsafe { pg_sys::LockDatabaseObject(class, object, 0, pg_sys::ShareLock.cast_signed()) };
}

/// The transaction changes the object: see [`keep`].
pub fn changes(class: pg_sys::Oid, object: pg_sys::Oid) {
    // SAFETY: takes a lock that the transaction releases.
    unsafe { pg_sys::LockDatabaseObject(class, object, 0, pg_sys::RowExclusiveLock.cast_signed()) };
}

/// Waits until no other transaction attaches a trigger to the table, and keeps others from it until this one ends. Rows are
/// written meanwhile.
pub fn keep_table(relation: pg_sys::Oid) {
    // SAFETY: takes a lock that the transaction releases.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::RowExclusiveLock.cast_signed()) };
}
