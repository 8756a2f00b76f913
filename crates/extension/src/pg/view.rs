//! What a view is made of.

use std::ffi::CStr;

use pgrx::pg_sys;

/// A column of a view that is a column of a relation below it, as it is.
#[derive(Debug, serde::Serialize)]
pub struct Column {
    /// Its name in the view.
    pub name: String,
    /// The relation below.
    pub relation: u32,
    /// Its name there.
    pub base: String,
}

/// The columns of a view that are nothing but a column of a relation in its FROM; none for what is no view. May raise as any
/// catalog read may.
pub fn columns(view: pg_sys::Oid) -> Vec<Column> {
    let mut found = Vec::new();
    // SAFETY: opened and closed with the same lock here; an error in between releases it with the transaction. The query of a view
    // is read while the view is open, and each cast follows from the tag.
    unsafe {
        let lock = pg_sys::AccessShareLock.cast_signed();
        let open = pg_sys::relation_open(view, lock);
        if (*(*open).rd_rel).relkind.cast_unsigned() == pg_sys::RELKIND_VIEW {
            let query = pg_sys::get_view_query(open);
            for entry in list::<pg_sys::TargetEntry>((*query).targetList) {
                let expression = (**entry).expr.cast::<pg_sys::Node>();
                if (**entry).resjunk || (*expression).type_ != pg_sys::NodeTag::T_Var {
                    continue;
                }
                let variable = expression.cast::<pg_sys::Var>();
                let number = usize::try_from((*variable).varno).unwrap_or(0);
                let Some(source) = list::<pg_sys::RangeTblEntry>((*query).rtable).get(number.wrapping_sub(1))
                else {
                    continue;
                };
                if (*variable).varlevelsup != 0
                    || (*variable).varattno <= 0
                    || (**source).rtekind != pg_sys::RTEKind::RTE_RELATION
                {
                    continue;
                }
                let base = pg_sys::get_attname((**source).relid, (*variable).varattno, true);
                if !base.is_null() {
                    found.push(Column {
                        name: CStr::from_ptr((**entry).resname).to_string_lossy().into_owned(),
                        relation: (**source).relid.to_u32(),
                        base: CStr::from_ptr(base).to_string_lossy().into_owned(),
                    });
                }
            }
        }
        pg_sys::relation_close(open, lock);
    }
    found
}

/// # Safety
/// `list` is null or a list of pointers to `T`, which outlives the result.
unsafe fn list<'a, T>(list: *const pg_sys::List) -> &'a [*mut T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: the cells of a list of pointers are an array of unions of the size of a pointer.
    unsafe {
        core::slice::from_raw_parts((*list).elements.cast(), usize::try_from((*list).length).unwrap_or(0))
    }
}
