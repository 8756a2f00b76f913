//! What PL/pgSQL keeps of a function from one call to the next, in the memory of the process (`src/pl/plpgsql/src/pl_comp.c`;
//! from 18 on `src/backend/utils/cache/funccache.c`, for functions in SQL as well), and what it depends on besides the function itself.
//!
//! The types of variables are looked up when a function is called first, and literals are read then; the server makes that
//! anew only when the function is changed. It tells so by the row of `pg_proc` that a compiled function was made from, and that
//! is where [`Compiled::spoil`] takes hold.

use std::cell::Cell;
use std::ffi::CStr;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use pgrx::pg_sys;

use super::{catalog, compat, session};

/// A compiled function. The server never frees it, and uses it again for the same function only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compiled(*mut compat::CompiledFunction);

/// A call of a function, as the function manager passes it to its hook.
#[derive(Debug, Clone, Copy)]
pub struct Call(*mut pg_sys::FmgrInfo);

/// The language SQL (`src/include/catalog/pg_language.dat`).
const SQL: pg_sys::Oid = pg_sys::Oid::from_u32(14);

thread_local! {
    /// The address of the language's handler, once it was seen.
    static HANDLER: Cell<Option<usize>> = const { Cell::new(None) };
    static HASHER: RandomState = RandomState::new();
}

/// Whether something of the function is kept: it is in PL/pgSQL, or in SQL where that is kept as well. The planner puts functions in SQL in
/// place of their calls, unless it is told that somebody wants to hear of them: `planning` says that it is asked for. May raise as any
/// catalog read may.
pub fn is_kept(function: pg_sys::Oid, planning: bool) -> bool {
    catalog::language(function)
        .is_some_and(|language| language == plpgsql() || (compat::KEEPS_SQL && !planning && language == SQL))
}

/// The language; the invalid OID if there is none of the name.
fn plpgsql() -> pg_sys::Oid {
    // SAFETY: the name ends with NUL; reads the system cache.
    unsafe { pg_sys::get_language_oid(c"plpgsql".as_ptr(), true) }
}

impl Call {
    /// # Safety
    /// What the function manager has passed to its hook.
    pub unsafe fn new(info: *mut pg_sys::FmgrInfo) -> Self {
        Self(info)
    }

    /// Tells calls apart that are under way at the same time.
    pub fn place(self) -> usize {
        self.0 as usize
    }

    /// The function.
    pub fn function(self) -> pg_sys::Oid {
        // SAFETY: as in `new`.
        unsafe { (*self.0).fn_oid }
    }

    /// Whether something of the function is kept. May raise as any catalog read may.
    pub fn is_kept(self) -> bool {
        // SAFETY: as in `new`.
        let (address, sql) = unsafe { ((*self.0).fn_addr, compat::is_kept_sql(self.0)) };
        let Some(address) = address.map(|address| address as usize) else { return false };
        sql || match HANDLER.get() {
            Some(handler) => handler == address,
            None if catalog::language(self.function()) == Some(plpgsql()) => {
                HANDLER.set(Some(address));
                true
            }
            None => false,
        }
    }

    /// What is kept of it. Never raises.
    pub fn compiled(self) -> Option<Compiled> {
        // SAFETY: as in `new`; the call is one of which something is kept.
        let compiled = unsafe { compat::compiled(self.0) };
        (!compiled.is_null()).then_some(Compiled(compiled))
    }
}

impl Compiled {
    /// It is made anew at the next call: it was made from a row that is none. A call that is under way keeps it. Never raises.
    pub fn spoil(self) {
        // SAFETY: the server never frees it. No row was ever made by this transaction.
        unsafe { (*self.0).xmin = pg_sys::InvalidTransactionId };
    }
}

/// A number for what names in the text of a function mean to the current user now, by the path: the same for the same, and for
/// nothing else. May raise as any catalog read may.
pub fn path() -> u64 {
    let mut hasher = HASHER.with(BuildHasher::build_hasher);
    // SAFETY: a list of OIDs in the current memory context, freed here.
    unsafe {
        let path = pg_sys::fetch_search_path(true);
        if !path.is_null() {
            let count = usize::try_from((*path).length).unwrap_or(0);
            for n in 0..count {
                (*(*path).elements.add(n)).oid_value.to_u32().hash(&mut hasher);
            }
            pg_sys::list_free(path);
        }
    }
    session::has_temp_schema().hash(&mut hasher);
    hasher.finish()
}

/// The same for how literals in it are read, and expressions understood. Never raises.
pub fn settings() -> u64 {
    let mut hasher = HASHER.with(BuildHasher::build_hasher);
    // SAFETY: plain reads of the server's settings; the texts end with NUL, and are null before they are set.
    unsafe {
        (compat::standard_conforming_strings, compat::backslash_quote).hash(&mut hasher);
        (pg_sys::Transform_null_equals, pg_sys::Array_nulls, compat::xmloption).hash(&mut hasher);
        (pg_sys::DateStyle, pg_sys::DateOrder, pg_sys::IntervalStyle).hash(&mut hasher);
        (pg_sys::session_timezone as usize).hash(&mut hasher);
        for text in [compat::locale_monetary, compat::locale_numeric, compat::locale_time] {
            if !text.is_null() {
                CStr::from_ptr(text).hash(&mut hasher);
            }
        }
        let abbreviations = pg_sys::GetConfigOption(c"timezone_abbreviations".as_ptr(), true, false);
        if !abbreviations.is_null() {
            CStr::from_ptr(abbreviations).hash(&mut hasher);
        }
    }
    hasher.finish()
}
