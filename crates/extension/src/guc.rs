//! The settings, with what an administrator gets from each.

use core::ffi::{CStr, c_char, c_void};
use std::cell::RefCell;
use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PgSqlErrorCode, pg_guard, pg_sys};

use crate::{identity, pg};

/// `postern.allow_temp` (off; superuser): entered identities may make temporary objects. They are dropped before the
/// connection serves the next identity, at the price of a catalog change for each.
pub static ALLOW_TEMP: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.max_facts_bytes` (64 kB; superuser): larger facts are refused.
pub static MAX_FACTS_BYTES: GucSetting<i32> = GucSetting::<i32>::new(65_536);

/// `postern.facts`: how the facts reach parallel workers, which take over the settings of their leader. Nobody sets it by
/// SQL: its check hook takes values from [`identity`] only. `null`: entered without facts. Empty: not entered, or no worker was
/// needed so far.
static FACTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// `request.jwt.claims`: what PostgREST fills, and policies written for it read. While entered it shows the `claims` of the
/// facts, whatever was set; otherwise it is an ordinary setting.
static CLAIMS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// Settings that policies may trust beside it: PostgREST's older form, one setting for each claim, which takes precedence in
/// the functions that Supabase ships, and what it tells of the request. While entered they are empty and cannot be set.
const EMPTY_NAMES: [&CStr; 8] = [
    c"request.jwt.claim",
    c"request.jwt.claim.sub",
    c"request.jwt.claim.role",
    c"request.jwt.claim.email",
    c"request.headers",
    c"request.cookies",
    c"request.method",
    c"request.path",
];
static EMPTY: [GucSetting<Option<CString>>; 8] = [const { GucSetting::<Option<CString>>::new(Some(c"")) }; 8];

const FACTS_NAME: &CStr = c"postern.facts";
const CLAIMS_NAME: &CStr = c"request.jwt.claims";

/// Defines every setting. Once, while preloading.
#[allow(unsafe_code, reason = "hooks are registered; each is guarded")]
pub fn init() {
    GucRegistry::define_bool_guc(
        c"postern.allow_temp",
        c"Lets entered identities make temporary objects.",
        c"They are dropped before the connection serves another identity.",
        &ALLOW_TEMP,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.max_facts_bytes",
        c"Sets the size of facts above which entering is refused.",
        c"Facts are kept in memory and copied to parallel workers.",
        &MAX_FACTS_BYTES,
        2,
        16 * 1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    let hidden = GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL | GucFlags::DISALLOW_IN_FILE;
    // SAFETY: the hooks below are guarded, do not raise, and read the value as the C string that the server passes.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            FACTS_NAME,
            c"Carries the facts of the entered identity to parallel workers.",
            c"It cannot be set.",
            &FACTS,
            GucContext::Suset,
            hidden,
            Some(check_facts),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            CLAIMS_NAME,
            c"Shows the claims of the entered identity.",
            c"It can be set only while no identity is entered.",
            &CLAIMS,
            GucContext::Userset,
            GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL,
            Some(check_claims),
            None,
            Some(show_claims),
        );
        for ((name, setting), show) in EMPTY_NAMES.into_iter().zip(&EMPTY).zip(SHOW_EMPTY) {
            GucRegistry::define_string_guc_with_hooks(
                name,
                c"Is empty while an identity is entered.",
                c"It can be set only while no identity is entered.",
                setting,
                GucContext::Userset,
                GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL,
                Some(check_claims),
                None,
                Some(show),
            );
        }
    }
}

/// Refuses any other setting that begins with `postern.`. After all of them are defined.
#[allow(unsafe_code, reason = "one server call with a constant")]
pub fn reserve_prefix() {
    // SAFETY: the name ends with NUL and is copied.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"postern".as_ptr()) };
}

/// Refuses, in this process and from now on, settings that begin with `request.` and are not ours: older policies read a
/// claim from a setting of its own, whatever its name, and a client could make one up.
#[allow(unsafe_code, reason = "one server call with a constant")]
pub fn reserve_requests() {
    if !RESERVED.replace(true) {
        // SAFETY: the name ends with NUL and is copied.
        unsafe { pg_sys::MarkGUCPrefixReserved(c"request".as_ptr()) };
    }
}

/// Whether `name` is a setting that shows facts. Names of settings ignore case.
pub fn is_claim_setting(name: &CStr) -> bool {
    let same = |other: &CStr| other.to_bytes().eq_ignore_ascii_case(name.to_bytes());
    same(CLAIMS_NAME) || EMPTY_NAMES.into_iter().any(same)
}

/// Takes the facts of an identity for the innermost level of settings: for parallel workers. Only [`identity`] calls it.
pub fn take_facts(text: &CStr) {
    WRITING.with(|writing| writing.set(true));
    pg::guc::set(FACTS_NAME, text);
    WRITING.with(|writing| writing.set(false));
}

/// The facts as parallel workers get them, in the leader and in the worker.
pub fn facts_for_worker() -> Option<CString> {
    FACTS.get().filter(|text| !text.is_empty())
}

thread_local! {
    static RESERVED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// True only while [`take_facts`] runs. An ERROR inside leaves it true for nobody: see [`not_writing`].
    static WRITING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// What `SHOW request.jwt.claims` points to.
    static SHOWN: RefCell<CString> = RefCell::new(CString::default());
}

/// Closes the door of [`take_facts`] after an ERROR inside it. Called at the end of every transaction.
pub fn not_writing() {
    WRITING.with(|writing| writing.set(false));
}

/// # Safety
/// `value` points to a C string or to null.
#[allow(unsafe_code, reason = "the server passes a pointer to the new value")]
unsafe fn is_empty(value: *mut *mut c_char) -> bool {
    // SAFETY: the caller's word.
    unsafe { (*value).is_null() || **value == 0 }
}

#[pg_guard]
#[allow(unsafe_code, reason = "the signature is the server's")]
unsafe extern "C-unwind" fn check_facts(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server passes the new value.
    let empty = unsafe { is_empty(value) };
    if empty || WRITING.with(std::cell::Cell::get) || pg::xact::is_parallel_worker_starting() {
        return true;
    }
    pg::guc::refuse(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        c"Facts come from entering an identity only.",
    );
    false
}

#[pg_guard]
#[allow(unsafe_code, reason = "the signature is the server's")]
unsafe extern "C-unwind" fn check_claims(
    _value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    if !identity::is_entered()
        || WRITING.with(std::cell::Cell::get)
        || pg::xact::is_parallel_worker_starting()
    {
        return true;
    }
    pg::guc::refuse(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        c"While an identity is entered, it shows that identity's facts.",
    );
    false
}

#[pg_guard]
extern "C-unwind" fn show_claims() -> *const c_char {
    show(if identity::is_entered() {
        identity::facts::claims_text()
    } else {
        CLAIMS.get().unwrap_or_default()
    })
}

/// One hook for each of [`EMPTY_NAMES`], since the server does not say which setting it shows. Setting them to nothing when
/// entering would not be enough: `set_config(name, NULL, …)` goes back to what the database or the role has for a default, and asks no
/// check hook.
macro_rules! show_empty {
    ($($hook:ident = $n:literal),*) => {
        $(#[pg_guard]
        extern "C-unwind" fn $hook() -> *const c_char {
            show(if identity::is_entered() { CString::default() } else { EMPTY[$n].get().unwrap_or_default() })
        })*
        const SHOW_EMPTY: [unsafe extern "C-unwind" fn() -> *const c_char; EMPTY_NAMES.len()] = [$($hook),*];
    };
}
show_empty!(show_0 = 0, show_1 = 1, show_2 = 2, show_3 = 3, show_4 = 4, show_5 = 5, show_6 = 6, show_7 = 7);

fn show(text: CString) -> *const c_char {
    SHOWN.with_borrow_mut(|shown| {
        *shown = text;
        shown.as_ptr()
    })
}
