//! Text in the server's memory, which needs no destructor: for frames that an ERROR jumps over.

use std::ffi::CStr;

use pgrx::pg_sys;

/// A text that lives as long as the memory context that was current when it was kept, or nothing.
pub type Text = *mut core::ffi::c_char;

/// Nothing.
pub fn none() -> Text {
    core::ptr::null_mut()
}

/// Copies a text; nothing for one with a NUL byte.
pub fn keep(text: &str) -> Text {
    // SAFETY: the copy is made from a C string that lives during the call.
    super::spi::c_string(text).map_or_else(none, |text| unsafe { pg_sys::pstrdup(text.as_ptr()) })
}

/// The text. It must have been kept in a memory context that still stands.
pub fn read(text: Text) -> Option<String> {
    // SAFETY: null, or what `keep` gave.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
