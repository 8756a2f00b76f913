//! From PostgreSQL's text output to JSON, NDJSON and CSV.
//!
//! Encoders write straight from the cells of a row into a byte buffer; what depends on the columns (names, types) is worked
//! out once per result.
//!
//! **Invariants**: whatever a cell or a column name holds, it stays inside its JSON string or CSV field. Cells become
//! anything but strings only by type OIDs that no user can make (`types`).

pub(crate) mod array;
pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod tag;
pub(crate) mod text;
pub(crate) mod types;

pub(crate) use json::{RowForm, RowPlan};
pub(crate) use types::Conversion;
