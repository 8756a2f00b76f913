//! Lists of names, as `search_path` is one (`src/backend/utils/adt/varlena.c`).

use std::ffi::CStr;

use pgrx::pg_sys;

use super::spi;

/// The names of a list, as the server reads it: folded to lower case unless quoted, cut to the length of a name. `None` if it
/// does not read it.
pub fn elements(list: &str) -> Option<Vec<String>> {
    let text = spi::c_string(list)?;
    // SAFETY: the copy may be scribbled on, and outlives the list, whose cells point into it; both are in the current memory
    // context. The list may be given where the text was refused half-way, too, and is not looked at then.
    unsafe {
        let copy = pg_sys::pstrdup(text.as_ptr());
        let mut names: *mut pg_sys::List = core::ptr::null_mut();
        if !pg_sys::SplitIdentifierString(copy, b','.cast_signed(), &raw mut names) {
            return None;
        }
        if names.is_null() {
            return Some(Vec::new());
        }
        let count = usize::try_from((*names).length).unwrap_or(0);
        let name = |n| CStr::from_ptr((*(*names).elements.add(n)).ptr_value.cast::<core::ffi::c_char>());
        Some((0..count).map(|n| name(n).to_string_lossy().into_owned()).collect())
    }
}
