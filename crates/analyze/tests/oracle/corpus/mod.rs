//! Names in the subprograms of public extensions mean what the server says.
//!
//! The extensions are unpacked Debian packages (`cargo xtask fetch-corpus`). Their SQL is loaded as it is, with one change: what is
//! written in C is declared over a function that the server has, because the libraries are not here ([`load`]). Nothing of them
//! is executed.
//!
//! On PostgreSQL 15 the server analyses bodies of PL/pgSQL through plpgsql_check, which Debian has for no other version. On the others each
//! piece of SQL becomes a function of its own ([`probe`]).

mod judge;
mod load;
mod probe;

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
    let loaded = load::all(&session, &folder, true);
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

/// On a version other than 15. The packages are for 15, but their SQL is no different.
fn on(major: u32) {
    let found =
        postern_cluster::Installation::find_plain().unwrap().into_iter().find(|server| server.major == major);
    let (Some(folder), Some(installation)) = (folder(), found) else {
        let test = format!("names in public extensions on PostgreSQL {major}");
        postern_cluster::skipped(
            &test,
            "there is no such server, or the corpus is not there (cargo xtask fetch-servers, fetch-corpus)",
        );
        return;
    };
    let server = Server::of(installation);
    let session = server.session("postgres");
    let whole = std::env::var("POSTERN_CORPUS").is_ok_and(|which| which == "whole");
    let loaded = load::all(&session, &folder, whole);
    let catalog = Catalog::new(session.snapshot());
    let tally = with_stack(|| judge::all(&session, &catalog, &loaded, false)).unwrap();
    println!("PostgreSQL {major}, {} extensions: {tally}", loaded.len());
    assert!(
        tally.score.wrong.is_empty(),
        "{} wrong:\n{}",
        tally.score.wrong.len(),
        tally.score.wrong.join("\n")
    );
    let least = if whole { 1_500 } else { 150 };
    assert!(tally.compared() >= least, "only {} subprograms were compared", tally.compared());
    assert!(
        tally.score.unknown * 200 <= tally.score.names(),
        "{} of {} unknown",
        tally.score.unknown,
        tally.score.names()
    );
}

#[test]
fn names_in_public_extensions_on_16() {
    on(16);
}

#[test]
fn names_in_public_extensions_on_18() {
    on(18);
}
