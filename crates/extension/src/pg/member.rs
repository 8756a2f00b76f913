//! Which tables are replicated, by the server's own caches: most statements are let through by this, before anything is asked
//! in SQL.
//!
//! It says what the view `postern.replication_members` says. Everything here may raise as any catalog read may.

use core::ffi::c_int;
use core::ptr::null_mut;

use pgrx::pg_sys;

use super::{compat, table};

/// `pg_publication` (`src/include/catalog/`; OIDs below 10000 never change).
const PUBLICATIONS: pg_sys::Oid = pg_sys::Oid::from_u32(6104);
/// `pg_subscription_rel`, and its index on `(srrelid, srsubid)`.
const SUBSCRIBED: pg_sys::Oid = pg_sys::Oid::from_u32(6102);
const SUBSCRIBED_INDEX: pg_sys::Oid = pg_sys::Oid::from_u32(6117);

/// `pg_depend`, and its index on what is depended on.
const DEPENDENCIES: pg_sys::Oid = pg_sys::Oid::from_u32(2608);
const DEPENDENTS: pg_sys::Oid = pg_sys::Oid::from_u32(2674);

/// Hears of what other transactions have committed.
pub fn refresh() {
    // SAFETY: in a transaction, with no catalog row in use.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

/// Whether there is a publication or a table of a subscription in this database.
pub fn any() -> bool {
    table::has_row(PUBLICATIONS, None, &[]) || table::has_row(SUBSCRIBED, None, &[])
}

/// Whether the table is published or subscribed, by itself, with its schema, with all tables, or with a table that it is a
/// partition of.
pub fn is_replicated(relation: pg_sys::Oid) -> bool {
    // SAFETY: reads system caches and catalogs; lists are of OIDs, in the current memory context.
    unsafe {
        if !is_table(relation) {
            return false;
        }
        if replicates(relation) || !pg_sys::GetAllTablesPublications().is_null() {
            return true;
        }
        let ancestors =
            if pg_sys::get_rel_relispartition(relation) { ancestors(relation) } else { null_mut() };
        let count = if ancestors.is_null() { 0 } else { usize::try_from((*ancestors).length).unwrap_or(0) };
        (0..count).any(|n| replicates((*(*ancestors).elements.add(n)).oid_value))
    }
}

/// # Safety
/// In a transaction.
#[allow(
    ffi_unwind_calls,
    reason = "the boundary turns an ERROR into a panic; nothing is to be dropped inside it"
)]
unsafe fn ancestors(relation: pg_sys::Oid) -> *mut pg_sys::List {
    // SAFETY: the caller's word.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| compat::get_partition_ancestors(relation)) }
}

/// Whether it is an ordinary or partitioned table, and not a temporary one.
fn is_table(relation: pg_sys::Oid) -> bool {
    // SAFETY: reads the system cache.
    unsafe {
        let kind = pg_sys::get_rel_relkind(relation).cast_unsigned();
        matches!(kind, b'r' | b'p')
            && pg_sys::get_rel_persistence(relation).cast_unsigned() != pg_sys::RELPERSISTENCE_TEMP
    }
}

/// # Safety
/// In a transaction.
unsafe fn replicates(relation: pg_sys::Oid) -> bool {
    // SAFETY: the caller's word.
    unsafe {
        !pg_sys::GetRelationPublications(relation).is_null()
            || !pg_sys::GetSchemaPublications(pg_sys::get_rel_namespace(relation)).is_null()
            || table::has_row(SUBSCRIBED, Some(SUBSCRIBED_INDEX), &[(2, relation)])
    }
}

/// Whether anything in the catalogs depends on a function: a trigger, a constraint, an operator. What came with the server is
/// not in there.
pub fn is_used(function: pg_sys::Oid) -> bool {
    let columns = [(4, pg_sys::ProcedureRelationId), (5, function)];
    table::has_row(DEPENDENCIES, Some(DEPENDENTS), &columns)
}

/// The table of an index; the relation itself if it is no index, 0 if it is neither that nor a table.
pub fn table_of(relation: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: reads the system cache.
    unsafe {
        match pg_sys::get_rel_relkind(relation).cast_unsigned() {
            b'r' | b'p' => relation,
            b'i' | b'I' => pg_sys::IndexGetRelation(relation, true),
            _ => pg_sys::InvalidOid,
        }
    }
}

/// Whether it is a partitioned table.
pub fn is_partitioned(relation: pg_sys::Oid) -> bool {
    // SAFETY: reads the system cache.
    unsafe { pg_sys::get_rel_relkind(relation).cast_unsigned() == pg_sys::RELKIND_PARTITIONED_TABLE }
}

/// The table that it is a partition of, at once.
pub fn parent_of(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: reads the system cache and a catalog; the list is of OIDs, in the current memory context.
    unsafe {
        if !pg_sys::get_rel_relispartition(relation) {
            return None;
        }
        let ancestors = ancestors(relation);
        (!ancestors.is_null() && (*ancestors).length > 0).then(|| (*(*ancestors).elements).oid_value)
    }
}

/// The schema of a relation.
pub fn schema_of(relation: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: reads the system cache.
    unsafe { pg_sys::get_rel_namespace(relation) }
}

/// The type of a relation's rows; 0 if it has none.
pub fn row_type(relation: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: reads the system cache.
    unsafe { pg_sys::get_rel_type_id(relation) }
}

/// Whether a column, or another type, has the rows of the relation or arrays of them in it.
pub fn is_type_of_column(relation: pg_sys::Oid) -> bool {
    let row = row_type(relation);
    if row == pg_sys::InvalidOid {
        return false;
    }
    // SAFETY: reads the system cache.
    let array = unsafe { pg_sys::get_array_type(row) };
    let dependents = |object, enough| {
        let columns = [(4, pg_sys::TypeRelationId), (5, object)];
        table::has_rows(DEPENDENCIES, Some(DEPENDENTS), &columns, enough)
    };
    // The type of its arrays is one that depends on it.
    if array == pg_sys::InvalidOid { dependents(row, 1) } else { dependents(row, 2) || dependents(array, 1) }
}

/// Whether it is the negator of an operator.
pub fn is_negated(operator: pg_sys::Oid) -> bool {
    // SAFETY: reads the system cache.
    unsafe { pg_sys::get_negator(operator) != pg_sys::InvalidOid }
}

/// Whether it is a composite type.
pub fn is_composite_type(relation: pg_sys::Oid) -> bool {
    // SAFETY: reads the system cache.
    unsafe { pg_sys::get_rel_relkind(relation).cast_unsigned() == pg_sys::RELKIND_COMPOSITE_TYPE }
}

/// The table of a constraint; 0 for one of a domain, `None` if there is no such constraint.
pub fn table_of_constraint(constraint: pg_sys::Oid) -> Option<pg_sys::Oid> {
    of_constraint(constraint, compat::ANUM_CONSTRAINT_CONRELID)
}

/// The domain of a constraint; `None` for one of a table.
pub fn domain_of_constraint(constraint: pg_sys::Oid) -> Option<pg_sys::Oid> {
    of_constraint(constraint, compat::ANUM_CONSTRAINT_CONTYPID).filter(|domain| *domain != pg_sys::InvalidOid)
}

/// A column of a constraint that is an OID and NOT NULL.
fn of_constraint(constraint: pg_sys::Oid, column: pg_sys::AttrNumber) -> Option<pg_sys::Oid> {
    // SAFETY: a tuple from the cache is pinned until it is released; the columns that are asked for are NOT NULL.
    unsafe {
        let cache: c_int = pg_sys::SysCacheIdentifier::CONSTROID.cast_signed();
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(constraint));
        if tuple.is_null() {
            return None;
        }
        let mut null = false;
        let datum = pg_sys::SysCacheGetAttr(cache, tuple, column, &raw mut null);
        let found = pg_sys::Oid::from_u32(u32::try_from(datum.value() & 0xffff_ffff).unwrap_or(0));
        pg_sys::ReleaseSysCache(tuple);
        Some(found)
    }
}
