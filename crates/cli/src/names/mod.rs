//! `postern resolve`, `check` and `fix`: what names mean, who could capture them, and the remedy.

pub mod check;
pub mod fix;
pub mod folder;
pub mod resolve;

use std::path::{Path, PathBuf};

use postern_analyze::catalog::{Catalog, load};
use postern_analyze::files::Source;
use postern_analyze::parse::with_stack;
use postern_cluster::SUPERUSER;

use crate::error::{Context as _, Error};
use crate::{progress, serve, up, url};

/// The catalogs of a database: of a URL, or that of `postern up`.
pub fn catalog(db: Option<&str>, dir: &Path) -> Result<Catalog, Error> {
    Ok(catalog_and(db, dir, async |_| ())?.0)
}

/// The same, and something more that is asked over the same connection.
pub fn catalog_and<T>(
    db: Option<&str>,
    dir: &Path,
    more: impl AsyncFnOnce(tokio_postgres::Client) -> T,
) -> Result<(Catalog, T), Error> {
    let url = match db {
        Some(url) => url.to_owned(),
        None => url::address(dir)?.url(SUPERUSER, up::DATABASE),
    };
    let runtime = serve::runtime()?;
    let (snapshot, more) = progress::during("reading the catalogs", || {
        runtime.block_on(async {
            let client = crate::database::connect(&url).await?;
            let snapshot = load::load(&client).await?;
            Ok::<_, Error>((snapshot, more(client).await))
        })
    })?;
    Ok((Catalog::new(snapshot), more))
}

/// Files, as they are.
pub fn sources(files: &[PathBuf]) -> Result<Vec<Source>, Error> {
    files
        .iter()
        .map(|file| Ok(Source::new(file.display().to_string(), std::fs::read(file).context("read", file)?)))
        .collect()
}

/// Analyses with the stack that deep trees need.
pub fn deeply<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    with_stack(work).map_err(|source| Error::Io { action: "start a thread".into(), source })
}

/// A value as JSON, for programs.
pub fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::Io { action: "write JSON".into(), source: error.into() })?;
    Ok(text + "\n")
}
