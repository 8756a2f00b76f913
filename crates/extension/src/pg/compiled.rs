//! What PL/pgSQL keeps of a function from one call to the next, in the memory of the process (`src/pl/plpgsql/src/pl_comp.c`;
//! from 18 on `src/backend/utils/cache/funccache.c`, for functions in SQL as well), and what it depends on besides the function itself.
//!
//! The types of variables are looked up when a function is called first, and literals are read then; the server makes that
//! anew only when the function is changed. It tells so by the row of `pg_proc` that a compiled function was made from, and that
//! is where [`Compiled::spoil`] takes hold.

use std::cell::Cell;
use std::ffi::CStr;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use pgrx::{pg_guard, pg_sys};

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
    watch();
    // What the path is made from: looking it up is dearer than a call of a function.
    let mut hasher = HASHER.with(BuildHasher::build_hasher);
    // SAFETY: the text of a setting, which ends with NUL.
    unsafe { CStr::from_ptr(pg_sys::namespace_search_path).hash(&mut hasher) };
    (super::user::current().oid.to_u32(), session::temp_schema().to_u32()).hash(&mut hasher);
    let from = hasher.finish();
    if let Some((known, path)) = PATH.get()
        && known == from
    {
        return path;
    }
    let changes = CHANGES.get();
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
    let path = hasher.finish();
    if changes == CHANGES.get() {
        PATH.set(Some((from, path)));
    }
    path
}

thread_local! {
    /// What the path was made from last, and what it came to; nothing since a schema or a role has changed.
    static PATH: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Where the server has the value of `timezone_abbreviations`, once it was looked for.
    static ABBREVIATIONS: Cell<*const *const core::ffi::c_char> = const { Cell::new(core::ptr::null()) };
    /// Where PL/pgSQL has the values of its own settings, once it was looked for.
    static OF_LANGUAGE: Cell<Option<OfLanguage>> = const { Cell::new(None) };
}

fn watch() {
    use pg_sys::SysCacheIdentifier as C;
    if WATCHED.replace(true) {
        return;
    }
    // SAFETY: registered once in this backend; the function lives as long as it does.
    unsafe {
        for cache in [C::NAMESPACEOID, C::AUTHOID, C::AUTHMEMMEMROLE] {
            pg_sys::CacheRegisterSyscacheCallback(
                cache.cast_signed(),
                Some(path_changed),
                pg_sys::Datum::from(0),
            );
        }
    }
}

#[pg_guard]
extern "C-unwind" fn path_changed(_arg: pg_sys::Datum, _cache: core::ffi::c_int, _hash: u32) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    PATH.set(None);
}

/// The settings that say how literals are read and expressions understood, what constants are computed to, and how PL/pgSQL
/// compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    switches: [bool; 4],
    choices: [core::ffi::c_int; 8],
    zone: usize,
    /// Of those that are texts.
    texts: u64,
}

impl Settings {
    /// As they are. Never raises.
    pub fn now() -> Self {
        let mut hasher = HASHER.with(BuildHasher::build_hasher);
        // SAFETY: plain reads of the server's settings; the texts end with NUL, and are null before they are set. The server keeps
        // each time zone where it is.
        unsafe {
            let abbreviations = abbreviations();
            let abbreviations = if abbreviations.is_null() { core::ptr::null() } else { *abbreviations };
            let language = OfLanguage::find();
            let of_language = language.map_or([core::ptr::null(); 2], |of| of.texts.map(|text| *text));
            let texts = [compat::locale_monetary, compat::locale_numeric, compat::locale_time, abbreviations];
            for text in texts.into_iter().chain(of_language) {
                if !text.is_null() {
                    hasher.write(CStr::from_ptr(text).to_bytes_with_nul());
                }
            }
            Self {
                switches: [
                    compat::standard_conforming_strings,
                    pg_sys::Transform_null_equals,
                    pg_sys::Array_nulls,
                    language.is_some_and(|of| *of.print_strict_params),
                ],
                choices: [
                    compat::backslash_quote,
                    compat::xmloption,
                    pg_sys::DateStyle,
                    pg_sys::DateOrder,
                    pg_sys::IntervalStyle,
                    // Functions that are called IMMUTABLE write values so, and the planner computes what they give for constants.
                    compat::bytea_output,
                    pg_sys::extra_float_digits,
                    language.map_or(0, |of| *of.variable_conflict),
                ],
                zone: pg_sys::session_timezone as usize,
                texts: hasher.finish(),
            }
        }
    }
}

/// Where PL/pgSQL has the values of its own settings.
#[derive(Debug, Clone, Copy)]
struct OfLanguage {
    print_strict_params: *const bool,
    variable_conflict: *const core::ffi::c_int,
    texts: [*const *const core::ffi::c_char; 2],
}

impl OfLanguage {
    /// Nothing before the language is loaded: until then a client may have made up settings of these names.
    fn find() -> Option<Self> {
        HANDLER.get()?;
        if OF_LANGUAGE.get().is_none() {
            use pg_sys::config_type as T;
            // SAFETY: a setting of a library stays where it is once the library has defined it, and libraries are never unloaded; each
            // cast follows from the type of the setting.
            unsafe {
                let all = compat::guc_variables();
                let of_type = |name: &CStr, kind| {
                    all.iter().copied().find(|setting| {
                        CStr::from_ptr((**setting).name) == name
                            && (**setting).vartype == kind
                            && (**setting).flags & pg_sys::GUC_CUSTOM_PLACEHOLDER.cast_signed() == 0
                    })
                };
                let text = |name| {
                    let setting = of_type(name, T::PGC_STRING)?.cast::<pg_sys::config_string>();
                    Some((*setting).variable.cast_const().cast::<*const core::ffi::c_char>())
                };
                let strict =
                    of_type(c"plpgsql.print_strict_params", T::PGC_BOOL)?.cast::<pg_sys::config_bool>();
                let conflict =
                    of_type(c"plpgsql.variable_conflict", T::PGC_ENUM)?.cast::<pg_sys::config_enum>();
                OF_LANGUAGE.set(Some(Self {
                    print_strict_params: (*strict).variable,
                    variable_conflict: (*conflict).variable,
                    texts: [text(c"plpgsql.extra_errors")?, text(c"plpgsql.extra_warnings")?],
                }));
            }
        }
        OF_LANGUAGE.get()
    }
}

/// Where the server has the value of `timezone_abbreviations`; null if it has no such setting.
fn abbreviations() -> *const *const core::ffi::c_char {
    if ABBREVIATIONS.get().is_null() {
        // SAFETY: a setting of the server's own stays where it is; one of texts has the address of its value.
        unsafe {
            let found = compat::guc_variables()
                .iter()
                .find(|setting| CStr::from_ptr((***setting).name) == c"timezone_abbreviations");
            if let Some(setting) = found
                && (**setting).vartype == pg_sys::config_type::PGC_STRING
            {
                ABBREVIATIONS.set((*setting.cast::<pg_sys::config_string>()).variable.cast_const().cast());
            }
        }
    }
    ABBREVIATIONS.get()
}
