//! Someone's SQL inside the server (`src/backend/executor/spi.c`).

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

/// A cell of a result: the column's name and type, and the value as its type's output function writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Name of the column.
    pub name: String,
    /// Type of the column.
    pub type_oid: pg_sys::Oid,
    /// The value; `None` is NULL.
    pub text: Option<String>,
}

/// Why SPI ran nothing. Errors of the query itself are raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Transaction control.
    Transaction,
    /// COPY from or to the client.
    Copy,
    /// Anything else, by SPI's name for it.
    Other(String),
}

/// Runs `query` as the current user, output functions included, and gives the rows of its last statement.
pub fn execute(query: &CStr) -> Result<Vec<Vec<Cell>>, Refusal> {
    Ok(execute_counting(query)?.0)
}

/// As [`execute`]; and how many rows the last statement gave or changed.
pub fn execute_counting(query: &CStr) -> Result<(Vec<Vec<Cell>>, u64), Refusal> {
    // SAFETY: connected and finished here; an ERROR in between is cleaned up by the end of the (sub)transaction. Tuple table
    // and descriptor live until SPI_finish.
    unsafe {
        pg_sys::SPI_connect();
        let status = pg_sys::SPI_execute(query.as_ptr(), false, 0);
        let processed = pg_sys::SPI_processed;
        let mut rows = Vec::new();
        if status < 0 {
            let name = CStr::from_ptr(pg_sys::SPI_result_code_string(status)).to_string_lossy().into_owned();
            pg_sys::SPI_finish();
            return Err(match status {
                pg_sys::SPI_ERROR_TRANSACTION => Refusal::Transaction,
                pg_sys::SPI_ERROR_COPY => Refusal::Copy,
                _ => Refusal::Other(name),
            });
        }
        if !pg_sys::SPI_tuptable.is_null() {
            let table = &*pg_sys::SPI_tuptable;
            let columns = (*table.tupdesc).natts;
            let count = usize::try_from(table.numvals).unwrap_or(0);
            for row in 0..count {
                let tuple = *table.vals.add(row);
                rows.push((1..=columns).map(|column| cell(tuple, table.tupdesc, column)).collect());
            }
        }
        pg_sys::SPI_finish();
        Ok((rows, processed))
    }
}

/// # Safety
/// `tuple` is a row of `descriptor`, which has a column of that number.
unsafe fn cell(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc, column: i32) -> Cell {
    // SAFETY: the caller's word; the strings are copied out of the server's memory.
    unsafe {
        let name = pg_sys::SPI_fname(descriptor, column);
        let text = pg_sys::SPI_getvalue(tuple, descriptor, column);
        Cell {
            name: CStr::from_ptr(name).to_string_lossy().into_owned(),
            type_oid: pg_sys::SPI_gettypeid(descriptor, column),
            text: (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned()),
        }
    }
}

/// A C string of `text`, or `None` if it has a NUL byte.
pub fn c_string(text: &str) -> Option<CString> {
    CString::new(text).ok()
}
