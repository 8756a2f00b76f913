//! The SQL face of names. Declared in `sql/40_names.sql`; privileges are given there.

use pgrx::prelude::*;

use crate::pg;

/// `postern.path_elements(path text)`
#[pg_extern(sql = false)]
fn path_elements(path: &str) -> Option<Vec<String>> {
    pg::path::elements(path)
}
