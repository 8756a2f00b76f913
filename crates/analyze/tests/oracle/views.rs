//! The views that every server has: much SQL that nobody here wrote.

use postern_analyze::catalog::Catalog;
use postern_analyze::parse::with_stack;
use postern_analyze::path::Path;

use crate::compare::{Score, compare};
use crate::server::{Server, Session};

#[test]
fn names_in_the_servers_own_views_mean_what_the_server_says() {
    let server = Server::start();
    every_view(&server.session("postgres"));
}

/// Compares each view of the server's own under two paths.
pub fn every_view(session: &Session<'_>) {
    session.run("SET search_path = pg_catalog, pg_temp");
    let views = session.strings("SELECT definition FROM pg_views ORDER BY schemaname, viewname");
    let catalog = Catalog::new(session.snapshot());
    let mut score = Score::default();
    for setting in ["pg_catalog, pg_temp", "pg_catalog, information_schema, pg_temp"] {
        session.run(&format!("SET search_path = {setting}"));
        let path = Path::new(&catalog, setting, session_user(&catalog));
        for view in &views {
            let refused = with_stack(|| compare(session, &catalog, &path, &view[0], &mut score)).unwrap();
            assert_eq!(refused, None, "{}", view[0]);
        }
    }
    println!("{} statements, {} names, {} unknown", score.statements, score.names(), score.unknown);
    assert!(score.wrong.is_empty(), "{} wrong of {}: {:#?}", score.wrong.len(), score.names(), score.wrong);
    assert!(score.names() > 3_000 && score.unknown * 200 <= score.names(), "{} unknown", score.unknown);
}

pub fn session_user(catalog: &Catalog) -> &str {
    &catalog.snapshot.user
}
