//! An ERROR as a value: all that the server knew of it (`src/backend/utils/error/elog.c`).

use std::any::Any;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};

/// An error that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// Five characters.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
    /// CONTEXT: the call stack of procedural languages.
    pub context: Option<String>,
}

/// Runs `f`; an ERROR is taken off the server's stack of errors and returned. The caller must end the (sub)transaction that
/// `f` ran in: nothing is cleaned up here.
pub(super) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Caught> {
    catch_unwind(AssertUnwindSafe(f)).map_err(take)
}

fn take(payload: Box<dyn Any + Send>) -> Caught {
    match payload.downcast::<CaughtError>() {
        Ok(error) => match *error {
            CaughtError::PostgresError(_) => from_server(),
            CaughtError::ErrorReport(report) | CaughtError::RustPanic { ereport: report, .. } => {
                from_report(&report)
            }
        },
        Err(payload) => match payload.downcast::<ErrorReportWithLevel>() {
            Ok(report) => from_report(&report),
            Err(payload) => {
                let message = payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "unknown panic".into());
                Caught { sqlstate: "XX000".into(), message, detail: None, hint: None, context: None }
            }
        },
    }
}

/// The record on top of the server's stack of errors: pgrx leaves it there for whoever passes the error on.
fn from_server() -> Caught {
    // SAFETY: an ERROR was caught and nothing was raised since, so the record is there. It is copied into the transaction's
    // memory, as PG_CATCH blocks do; the current context is not ErrorContext, as pgrx has put the caller's back.
    unsafe {
        let record = pg_sys::CopyErrorData();
        pg_sys::FlushErrorState();
        let text = |pointer: *const core::ffi::c_char| {
            (!pointer.is_null()).then(|| CStr::from_ptr(pointer).to_string_lossy().into_owned())
        };
        let caught = Caught {
            sqlstate: sqlstate((*record).sqlerrcode),
            message: text((*record).message).unwrap_or_default(),
            detail: text((*record).detail),
            hint: text((*record).hint),
            context: text((*record).context),
        };
        pg_sys::FreeErrorData(record);
        caught
    }
}

fn from_report(report: &ErrorReportWithLevel) -> Caught {
    Caught {
        sqlstate: sqlstate(report.sql_error_code() as i32),
        message: report.message().to_owned(),
        detail: report.detail().map(str::to_owned),
        hint: report.hint().map(str::to_owned),
        context: None,
    }
}

/// The five characters of a packed code: six bits each (`MAKE_SQLSTATE`, `elog.h`).
pub fn sqlstate(code: i32) -> String {
    (0..5)
        .map(|n| {
            let six = u8::try_from((code >> (6 * n)) & 0x3f).unwrap_or(0);
            char::from(six + b'0')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_packed_code_has_five_characters() {
        // 42501 as MAKE_SQLSTATE packs it.
        let packed =
            "42501".bytes().enumerate().fold(0, |code, (n, c)| code | i32::from(c - b'0') << (6 * n));
        assert_eq!(super::sqlstate(packed), "42501");
        let packed = "P0001"
            .bytes()
            .enumerate()
            .fold(0, |code, (n, c)| code | i32::from((c - b'0') & 0x3f) << (6 * n));
        assert_eq!(super::sqlstate(packed), "P0001");
    }
}
