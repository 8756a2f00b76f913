//! The server's log.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Writes a warning: to the log, and to the client if there is one. An empty DETAIL or HINT is left out.
pub fn warning(message: &str, detail: &str, hint: &str) {
    let mut report = ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, message, "postern");
    if !detail.is_empty() {
        report = report.set_detail(detail);
    }
    if !hint.is_empty() {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::WARNING);
}

/// Writes a line to the log that administrators look for afterwards.
pub fn note(message: &str, detail: &str) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "postern")
        .set_detail(detail)
        .report(PgLogLevel::LOG);
}
