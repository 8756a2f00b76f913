//! Our own SQL obeys our own rules.

use postern_analyze::catalog::Catalog;
use postern_analyze::check::{Scope, database};

use crate::server::Server;

#[test]
fn a_database_with_postern_installed_has_no_findings() {
    let server = Server::with_extension();
    server.cluster.create_database("app", true).unwrap();
    let session = server.session("app");
    let catalog = Catalog::new(session.snapshot());
    let ours = catalog
        .snapshot
        .routines
        .iter()
        .filter(|routine| routine.extension != 0 && !routine.source.is_empty());
    assert!(ours.count() > 10);
    assert_eq!(database(&catalog, Scope { extensions: true }), []);
}
