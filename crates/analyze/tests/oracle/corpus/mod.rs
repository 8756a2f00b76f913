//! Names in the subprograms of public extensions mean what the server says.
//!
//! The extensions are unpacked Debian packages (`cargo xtask fetch-corpus`). Their SQL is loaded as it is, with one change: what is
//! written in C is declared over a function that the server has, because the libraries are not here ([`load`]). Nothing of them
//! is executed.

mod judge;
mod load;

pub use load::plpgsql_check;

use std::path::PathBuf;

use postern_analyze::catalog::Catalog;
use postern_analyze::parse::with_stack;

use crate::server::Server;

/// The folder with the packages, if they were fetched.
pub fn folder() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let folder = target.join("corpus");
    folder.join("corpus.txt").is_file().then_some(folder)
}

#[test]
fn names_in_public_extensions_mean_what_the_server_says() {
    let Some(folder) = folder() else {
        postern_cluster::skipped(
            "names_in_public_extensions_mean_what_the_server_says",
            "the corpus is not there (cargo xtask fetch-corpus)",
        );
        return;
    };
    let server = Server::start();
    let session = server.session("postgres");
    let loaded = load::all(&session, &folder);
    let checker = load::plpgsql_check(&session, &folder, server.cluster.installation().major);
    let catalog = Catalog::new(session.snapshot());
    let tally = with_stack(|| judge::all(&session, &catalog, &loaded, checker)).unwrap();
    println!("{tally}");
    assert!(
        tally.score.wrong.is_empty(),
        "{} wrong:\n{}",
        tally.score.wrong.len(),
        tally.score.wrong.join("\n")
    );
    assert!(tally.compared() >= 2_000, "only {} subprograms were compared", tally.compared());
    assert!(
        tally.score.unknown * 200 <= tally.score.names(),
        "{} of {} unknown",
        tally.score.unknown,
        tally.score.names()
    );
}
