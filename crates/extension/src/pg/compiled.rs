//! What PL/pgSQL keeps of a function from one call to the next, in the memory of the process (`src/pl/plpgsql/src/pl_comp.c`;
//! from 18 on `src/backend/utils/cache/funccache.c`), and what it depends on besides the function itself.
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

thread_local! {
    /// The address of the language's handler, once it was seen.
    static HANDLER: Cell<Option<usize>> = const { Cell::new(None) };
    static HASHER: RandomState = RandomState::new();
}

/// Whether the function is in PL/pgSQL. May raise as any catalog read may.
pub fn is_kept(function: pg_sys::Oid) -> bool {
    catalog::language(function).is_some_and(|language| language == plpgsql())
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

    /// Whether it is in PL/pgSQL. May raise as any catalog read may.
    pub fn is_kept(self) -> bool {
        // SAFETY: as in `new`.
        let address = unsafe { (*self.0).fn_addr }.map(|address| address as usize);
        if address.is_none() {
            return false;
        }
        match HANDLER.get() {
            Some(_) => HANDLER.get() == address,
            None if is_kept(self.function()) => {
                HANDLER.set(address);
                true
            }
            None => false,
        }
    }

    /// What the language has put there: what it has compiled for this call. Never raises.
    pub fn compiled(self) -> Option<Compiled> {
        // SAFETY: as in `new`. The call is one of PL/pgSQL, which puts nothing else there; that it is what we think is seen by the
        // function that it names.
        unsafe {
            let compiled = (*self.0).fn_extra.cast::<compat::CompiledFunction>();
            (!compiled.is_null() && (*compiled).function == (*self.0).fn_oid).then_some(Compiled(compiled))
        }
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
