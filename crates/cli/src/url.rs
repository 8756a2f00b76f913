//! `postern url`: how to get at the private PostgreSQL itself.

use std::path::Path;

use postern_cluster::{Address, SUPERUSER};

use crate::args::Url;
use crate::error::Error;
use crate::up::Places;

pub fn run(args: &Url) -> Result<(), Error> {
    let address = address(&args.dir)?;
    crate::print(&format!("{}\n", address.url(args.role.as_deref().unwrap_or(SUPERUSER), &args.db)))
}

/// The private PostgreSQL of a folder of `postern up`, if it is running.
pub fn address(folder: &Path) -> Result<Address, Error> {
    Address::of(&Places(folder).cluster()).map_err(|error| match error {
        postern_cluster::Error::NotRunning => Error::NotUp(folder.to_owned()),
        other => other.into(),
    })
}
