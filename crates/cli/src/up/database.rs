//! What `postern up` needs in its cluster: a database with the extension, the gate's login, the example.
//!
//! **Invariants**: every step may be repeated, and a start that was cut short is completed by the next one.

use postern_cluster::Cluster;

use super::folder::{Places, write_private};
use super::{DATABASE, GATE_ROLE, OUTBOUND_ROLE};
use crate::error::Error;
use crate::progress;

/// The example that comes with this program.
const EXAMPLE: &str = concat!(
    include_str!("../../../../examples/invoices/schema.sql"),
    include_str!("../../../../examples/workflows/schema.sql")
);

/// Whether the example is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// If it was not loaded before: what was changed since is kept.
    Once,
    /// Again, even so.
    Again,
    /// Not at all.
    No,
}

/// Makes what is missing.
pub fn prepare(cluster: &Cluster, places: Places<'_>, example: Example) -> Result<(), Error> {
    progress::during("preparing the database", || {
        if !cluster.has_database(DATABASE)? {
            cluster.create_database(DATABASE, false)?;
        }
        // The files may be newer than what the database has.
        cluster.psql(
            DATABASE,
            "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS postern; ALTER EXTENSION postern UPDATE;",
        )?;
        let password = match cluster.password(GATE_ROLE) {
            Some(password) => password,
            None => cluster.set_password(GATE_ROLE)?,
        };
        write_private(&places.gate_password(), &password)?;
        if cluster.password(OUTBOUND_ROLE).is_none() {
            cluster.set_password(OUTBOUND_ROLE)?;
        }
        Ok::<(), Error>(())
    })?;
    let marker = places.example_marker();
    if example == Example::Again || (example == Example::Once && !marker.exists()) {
        progress::during("loading the example", || cluster.psql(DATABASE, EXAMPLE))?;
        write_private(&marker, "")?;
    }
    Ok(())
}
