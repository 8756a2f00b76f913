//! Bodies in PL/pgSQL: every piece is found with its variables, and nothing that the server accepts is a gap.

use postern_analyze::body;
use postern_analyze::catalog::Catalog;
use postern_analyze::occurrence::Meaning;
use postern_analyze::path::Path;

use crate::server::{Server, Session};

/// Extensions of the server's package whose bodies are SQL or PL/pgSQL, if they are installed.
const EXTENSIONS: &str =
    "SELECT name FROM pg_available_extensions WHERE name NOT IN ('plpgsql', 'postern') ORDER BY name";

#[test]
fn the_bodies_of_installed_extensions_have_no_unread_part() {
    let server = Server::start();
    let (bodies, names) = every_extension(&server.session("postgres"));
    assert!(bodies > 10 && names > 100, "{bodies} bodies, {names} names");
}

/// Reads the bodies of each extension that the server's package has; gives how many bodies and names there are.
pub fn every_extension(session: &Session<'_>) -> (usize, usize) {
    let mut installed = 0;
    for row in session.strings(EXTENSIONS) {
        installed += usize::from(session.attempt(&format!("CREATE EXTENSION \"{}\" CASCADE", row[0])));
    }
    let catalog = Catalog::new(session.snapshot());
    let path = Path::new(&catalog, "public, information_schema", &catalog.snapshot.user);
    let (mut bodies, mut names, mut unknown) = (0, 0, 0);
    for routine in &catalog.snapshot.routines {
        if routine.source.is_empty() || !matches!(routine.language.as_str(), "sql" | "plpgsql") {
            continue;
        }
        let found = body::routine(&catalog, &path, routine);
        bodies += 1;
        for (at, reason) in &found.gaps {
            assert!(reason.contains("run time"), "{}: {reason} at {at:?}: {}", routine.name, routine.source);
        }
        for occurrence in &found.occurrences {
            names += 1;
            unknown += usize::from(matches!(occurrence.meaning, Meaning::Unknown(_)));
            assert!(
                routine.source.is_char_boundary(occurrence.span.start)
                    && routine.source.is_char_boundary(occurrence.span.end)
            );
        }
    }
    println!("{installed} extensions, {bodies} bodies, {names} names, {unknown} unknown");
    (bodies, names)
}
