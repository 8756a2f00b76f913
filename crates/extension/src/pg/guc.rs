//! Levels of settings (`src/backend/utils/misc/guc.c`, `README` beside it).

use core::ffi::CStr;

use pgrx::pg_sys;

use super::compat;

/// A level of settings: what is SET above it is undone with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(i32);

impl Level {
    /// Whether this is the first level above the transaction's own: no function with a SET clause is around the caller.
    pub fn is_first(self) -> bool {
        self.0 == 2
    }

    /// Opens a level. Never raises.
    pub fn open() -> Self {
        // SAFETY: increments a counter.
        Self(unsafe { compat::NewGUCNestLevel() })
    }

    /// Undoes every setting made since [`Level::open`], whoever made it. Written by the server for use after the commit
    /// point too: it does not raise.
    pub fn undo(self) {
        // SAFETY: the level was opened in this transaction and is still open: a transaction undoes its levels only at its
        // end, and the caller forgets this one there.
        unsafe { pg_sys::AtEOXact_GUC(false, self.0) };
    }
}

/// Sets a setting for the innermost level, with the rights of a superuser. Its check hook may refuse: that raises.
pub fn set(name: &CStr, value: &CStr) {
    // SAFETY: both strings end with NUL and live during the call; the server copies the value.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// Sets a setting for the innermost level to what the configuration and the database say, as RESET does.
pub fn to_default(name: &CStr) {
    // SAFETY: the name ends with NUL and lives during the call; no value means the default.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            core::ptr::null(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// Sets a setting for the innermost level, as a login sets those of its role: with the rights of a superuser, and with a
/// warning where it cannot. May raise all the same: a check hook may.
pub fn set_for_role(name: &CStr, value: &CStr) {
    // SAFETY: as in `set`.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            pg_sys::WARNING.cast_signed(),
            false,
        );
    }
}

/// Sets a setting of this process for its life, as a login sets those of its role: RESET goes back to it. With a warning where it
/// cannot. May raise all the same: a check hook may.
pub fn set_as_login(name: &CStr, value: &CStr) {
    // SAFETY: as in `set`.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_USER,
            pg_sys::GucAction::GUC_ACTION_SET,
            true,
            pg_sys::WARNING.cast_signed(),
            false,
        );
    }
}

/// Sets a setting of this process for its life, with the rights of a superuser.
pub fn set_for_session(name: &CStr, value: &CStr) {
    // SAFETY: both strings end with NUL and live during the call; the server copies the value.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}

/// Whether a setting was SET in this session. Looks through all settings: not for every transaction.
pub fn is_set_in_session(name: &CStr) -> bool {
    // SAFETY: the array and its entries belong to the server and are only read here.
    unsafe {
        let mut settings = compat::guc_variables().iter().map(|setting| &**setting);
        settings
            .find(|setting| CStr::from_ptr(setting.name).to_bytes().eq_ignore_ascii_case(name.to_bytes()))
            .is_some_and(|setting| setting.source > pg_sys::GucSource::PGC_S_CLIENT)
    }
}

/// `default_transaction_read_only`.
pub fn default_read_only() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::DefaultXactReadOnly }
}

/// Tells the server why a check hook refuses: SQLSTATE and DETAIL. The hook then returns false.
pub fn refuse(code: pgrx::PgSqlErrorCode, detail: &CStr) {
    // SAFETY: the detail is copied into the current memory context, where the server reads it when it raises, right after
    // the hook returns.
    unsafe {
        pg_sys::GUC_check_errcode(code as i32);
        pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(detail.as_ptr());
    }
}
