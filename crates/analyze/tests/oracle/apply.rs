//! What runs when a row is applied, beside triggers: found where the table is replicated, with the error that the server then shows.

use postern_analyze::catalog::Catalog;
use postern_analyze::check::{self, Finding, Scope};

use crate::server::{Server, Session};

/// A function for each place that runs code on apply; `helper` is found under a path of the session's only.
pub const CASE: &str = "
CREATE ROLE owner; CREATE ROLE author; CREATE SCHEMA app; GRANT USAGE, CREATE ON SCHEMA app TO owner, author;
SET ROLE owner; SET search_path = app, public;
CREATE FUNCTION helper(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE FUNCTION in_index(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_predicate(i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_generated(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_check(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_domain(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_default() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(1); END';
CREATE FUNCTION in_operator(i int, j int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > j; END';
CREATE OPERATOR >>>> (FUNCTION = in_operator, LEFTARG = int, RIGHTARG = int);
CREATE DOMAIN positive AS int CHECK (in_domain(VALUE));
CREATE TABLE parent (i int PRIMARY KEY, d positive[], e int DEFAULT in_default(), g int GENERATED ALWAYS AS (in_generated(i)) STORED,
    CHECK (in_check(i)), CHECK (i >>>> 0)) PARTITION BY LIST (i);
CREATE TABLE doc PARTITION OF parent DEFAULT;
CREATE INDEX ON doc (in_index(i)); CREATE INDEX ON doc (i) WHERE in_predicate(i);
CREATE FUNCTION in_key(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_cast(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_type_default() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(1); END';
CREATE FUNCTION in_range(i int, j int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i - j); END';
CREATE FUNCTION equal(i int, j int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT i = j';
CREATE FUNCTION in_negator(i int, j int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i) <> j; END';
CREATE OPERATOR ==== (FUNCTION = equal, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR !=== (FUNCTION = in_negator, LEFTARG = int, RIGHTARG = int, NEGATOR = ====);
CREATE DOMAIN casted AS int CHECK (in_cast(VALUE));
CREATE DOMAIN defaulted AS int DEFAULT in_type_default();
CREATE TYPE span AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = in_range);
CREATE TABLE root (i int, s span, d defaulted, CHECK (i::casted::int > 0), CHECK (NOT i ==== 0)) PARTITION BY LIST (in_key(i));
CREATE TABLE leaf PARTITION OF root DEFAULT;
RESET ROLE; RESET search_path";

const PLACES: [(&str, &str); 12] = [
    ("in_index", "index app.doc_in_index_idx"),
    ("in_predicate", "index app.doc_i_idx"),
    ("in_generated", "default value for column g of table app."),
    ("in_check", "constraint parent_i_check on table app."),
    ("in_domain", "constraint positive_check on domain app.positive"),
    ("in_default", "default value for column e of table app."),
    ("in_operator", "constraint parent_i_check1 on table app."),
    ("in_key", "table app.root"),
    ("in_cast", "constraint casted_check on domain app.casted"),
    ("in_type_default", "type app.defaulted"),
    ("in_range", "type app.span"),
    ("in_negator", "constraint root_i_check1 on table app.leaf"),
];

fn findings(session: &Session<'_>, rule: &str) -> Vec<Finding> {
    let mut found = check::database(&Catalog::new(session.snapshot()), Scope::default());
    found.retain(|finding| finding.rule == rule);
    found
}

#[test]
fn every_place_that_runs_code_on_apply_is_looked_at() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(CASE);
    // Not replicated: nothing is applied to it.
    assert_eq!(findings(&session, "stops-apply"), []);
    session.run("SET client_min_messages = error; CREATE PUBLICATION pub FOR TABLE app.parent, app.leaf");
    let found = findings(&session, "stops-apply");
    for (function, place) in PLACES {
        let of = format!("app.{function}(");
        let finding = found.iter().find(|finding| finding.object.starts_with(&of));
        let finding = finding.unwrap_or_else(|| panic!("{function}: {found:#?}"));
        assert!(finding.message.starts_with(place), "{}", finding.message);
        assert!(finding.message.ends_with("function helper(…) does not exist"), "{}", finding.message);
        assert!(finding.remedy.ends_with("SET search_path = pg_catalog, app, pg_temp"), "{}", finding.remedy);
        session.run(&finding.remedy);
    }
    assert_eq!(found.len(), PLACES.len(), "{found:#?}");
    // The remedies mend it.
    assert_eq!(findings(&session, "stops-apply"), []);

    // Whose they are: the owner's are, and none of it is foreign. A superuser's are not either.
    assert_eq!(findings(&session, "foreign-on-apply"), []);
    session.run("ALTER FUNCTION app.in_check(int) OWNER TO postgres");
    assert_eq!(findings(&session, "foreign-on-apply"), []);
    for (function, place) in PLACES {
        let of = format!("app.{function}(");
        session.run(&format!("ALTER FUNCTION app.{function} OWNER TO author"));
        let found = findings(&session, "foreign-on-apply");
        assert!(
            found.len() == 1 && found[0].object.starts_with(&of) && found[0].message.starts_with(place),
            "{function}: {found:#?}"
        );
        assert!(found[0].message.contains("belongs to \"author\""), "{}", found[0].message);
        session.run(&format!("ALTER FUNCTION app.{function} OWNER TO owner"));
    }
    // What they call runs with the same rights.
    session.run("ALTER FUNCTION app.helper(int) OWNER TO author");
    let found = findings(&session, "foreign-on-apply");
    assert_eq!(found.len(), PLACES.len(), "{found:#?}");
    assert!(
        found.iter().all(|finding| finding.message.contains("it calls helper, which belongs to \"author\""))
    );
    session.run("ALTER FUNCTION app.helper(int) SECURITY DEFINER SET search_path = pg_catalog, pg_temp");
    assert_eq!(findings(&session, "foreign-on-apply"), []);
}
