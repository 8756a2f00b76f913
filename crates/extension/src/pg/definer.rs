//! The SECURITY DEFINER functions that are being called right now (`src/backend/utils/fmgr/fmgr.c`, `fmgr_security_definer`).
//!
//! The function manager asks its hook before and after every function that has SECURITY DEFINER or a SET clause, so the hook
//! costs nothing where there is none. A function that ends with an ERROR is taken off as well.

use std::cell::RefCell;

use pgrx::{pg_guard, pg_sys};

static mut PREVIOUS: pg_sys::fmgr_hook_type = None;

thread_local! {
    static STACK: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

/// Installs the hook. Once, while preloading.
pub fn init() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::fmgr_hook;
        pg_sys::fmgr_hook = Some(hook);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn hook(
    event: pg_sys::FmgrHookEventType::Type,
    info: *mut pg_sys::FmgrInfo,
    arg: *mut pg_sys::Datum,
) {
    use pg_sys::FmgrHookEventType as E;
    // SAFETY: the server passes the function that is called; a hook of someone else is called as the server would.
    unsafe {
        let function = (*info).fn_oid;
        STACK.with_borrow_mut(|stack| match event {
            E::FHET_START => stack.push(function),
            _ => {
                // Whatever is above it was left by an ERROR.
                if let Some(at) = stack.iter().rposition(|&other| other == function) {
                    stack.truncate(at);
                }
            }
        });
        if let Some(next) = PREVIOUS {
            call(next, event, info, arg);
        }
    }
}

/// # Safety
/// The arguments are those that the server passed to our own hook.
#[allow(
    ffi_unwind_calls,
    reason = "the boundary turns an ERROR into a panic; nothing is to be dropped inside it"
)]
unsafe fn call(
    next: unsafe extern "C-unwind" fn(
        pg_sys::FmgrHookEventType::Type,
        *mut pg_sys::FmgrInfo,
        *mut pg_sys::Datum,
    ),
    event: pg_sys::FmgrHookEventType::Type,
    info: *mut pg_sys::FmgrInfo,
    arg: *mut pg_sys::Datum,
) {
    // SAFETY: the caller's word.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| next(event, info, arg)) };
}

/// Forgets all of them: the transaction has ended, and with it every function.
pub fn forget() {
    STACK.with_borrow_mut(Vec::clear);
}

/// Those with SECURITY DEFINER, outermost first. May raise as any catalog read may.
pub fn stack() -> Vec<pg_sys::Oid> {
    let all = STACK.with_borrow(Clone::clone);
    all.into_iter().filter(|&function| is_definer(function)).collect()
}

fn is_definer(function: pg_sys::Oid) -> bool {
    // SAFETY: a tuple from the cache is pinned until it is released; the fixed part of a tuple of pg_proc is a FormData_pg_proc.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID.cast_signed();
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return false;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add(usize::from((*data).t_hoff)).cast::<pg_sys::FormData_pg_proc>();
        let definer = (*form).prosecdef;
        pg_sys::ReleaseSysCache(tuple);
        definer
    }
}

/// A function as people write it, with its schema and the types of its arguments.
pub fn describe(function: pg_sys::Oid) -> String {
    // SAFETY: gives a C string in the current memory context, for any OID.
    unsafe {
        let text = pg_sys::format_procedure_qualified(function);
        std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}
