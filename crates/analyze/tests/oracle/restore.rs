//! Will it survive? What is said to break is what a real restore and real maintenance break, and nothing else.

use std::collections::BTreeSet;

use postern_analyze::catalog::Catalog;
use postern_analyze::check::{self, Scope};
use postern_cluster::Installation;

use crate::server::{Server, Session};

/// Functions that find `helper` under the path of today alone, each called from one place; each table has a row.
const CASE: &str = "
CREATE SCHEMA app; SET search_path = app, public; SET client_min_messages = error;
ALTER DATABASE postgres SET search_path = app, public;
CREATE FUNCTION helper(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN i; END';
CREATE FUNCTION in_index(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_check(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_domain(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_generated(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_key(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_default() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(1); END';
CREATE FUNCTION in_view(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_view_of_materialized(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_materialized(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION in_policy(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper(i) > 0; END';
CREATE FUNCTION in_statistics(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION pinned(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, app, pg_temp AS 'BEGIN RETURN helper(i); END';
CREATE FUNCTION written(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN app.helper(i); END';
CREATE TABLE indexed (i int); CREATE INDEX indexed_i ON indexed (in_index(i)); CREATE INDEX ON indexed (pinned(i), written(i)); INSERT INTO indexed VALUES (1);
CREATE TABLE checked (i int CHECK (in_check(i))); INSERT INTO checked VALUES (1);
CREATE DOMAIN positive AS int CHECK (in_domain(VALUE)); CREATE TABLE typed (i positive); INSERT INTO typed VALUES (1);
CREATE TABLE computed (i int, g int GENERATED ALWAYS AS (in_generated(i)) STORED); INSERT INTO computed VALUES (1);
CREATE TABLE parted (i int) PARTITION BY RANGE (in_key(i)); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (9); INSERT INTO parted VALUES (1);
CREATE TABLE filled (i int DEFAULT in_default()); INSERT INTO filled DEFAULT VALUES;
CREATE VIEW plain AS SELECT in_view(i) AS i FROM indexed;
CREATE VIEW inner_view AS SELECT in_view_of_materialized(i) AS i FROM indexed;
-- From 17 on this could not be made either.
ALTER FUNCTION in_materialized(int) SET search_path = app; ALTER FUNCTION in_view_of_materialized(int) SET search_path = app;
CREATE MATERIALIZED VIEW kept AS SELECT in_materialized(1) AS i; CREATE MATERIALIZED VIEW kept_too AS SELECT i FROM inner_view;
ALTER FUNCTION in_materialized(int) RESET search_path; ALTER FUNCTION in_view_of_materialized(int) RESET search_path;
ALTER TABLE filled ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON filled USING (in_policy(i));
CREATE TABLE counted (i int, j int); INSERT INTO counted SELECT g, g FROM generate_series(1, 100) g;
RESET search_path";

/// From version 14 on there are statistics of expressions.
const STATISTICS: &str = "SET search_path = app, public; CREATE STATISTICS counted_i ON in_statistics(i), j FROM counted; RESET search_path";

/// The functions that were said to break: at a restore, in maintenance.
fn predicted(session: &Session<'_>) -> (BTreeSet<String>, BTreeSet<String>) {
    let found = check::database(&Catalog::new(session.snapshot()), Scope::default());
    let of = |part: &str| {
        let said = found
            .iter()
            .filter(|finding| finding.rule == "breaks-on-restore" && finding.message.contains(part));
        said.map(|finding| finding.object["app.".len()..].split('(').next().unwrap().to_owned()).collect()
    };
    (of("pg_restore"), of("PostgreSQL 17"))
}

/// The functions in whose bodies there was an error.
fn failed(said: &str) -> BTreeSet<String> {
    let inside = said.split("PL/pgSQL function ").skip(1).filter_map(|rest| rest.split('(').next());
    inside.map(|name| name.trim_start_matches("app.").to_owned()).collect()
}

fn survives(installation: Option<Installation>) {
    let server = installation.map_or_else(Server::start, Server::of);
    let session = server.session("postgres");
    session.run(CASE);
    let major = server.cluster.installation().major;
    if major >= 14 {
        session.run(STATISTICS);
    }
    let (restore, maintenance) = predicted(&session);
    if let Some(errors) = server.restored("postgres") {
        assert_eq!(restore, failed(&errors), "{errors}");
        assert!(restore.len() > 4, "{restore:?}");
    }
    session.run("SET search_path = app, public");
    let mut failing = BTreeSet::new();
    for command in [
        "REINDEX INDEX app.indexed_i",
        "REFRESH MATERIALIZED VIEW app.kept",
        "REFRESH MATERIALIZED VIEW app.kept_too",
        "ANALYZE app.counted",
        "ANALYZE app.parted",
        "VACUUM FULL app.checked",
        "VACUUM FULL app.typed",
        "VACUUM FULL app.computed",
        "VACUUM FULL app.filled",
    ] {
        if let Err(error) = session.refused(command) {
            failing.extend(failed(&error));
        }
    }
    // Before 17 nothing of it fails.
    let expected = if major >= 17 { maintenance } else { BTreeSet::new() };
    assert_eq!(expected, failing);
    assert!(major < 17 || failing.contains("in_statistics"), "{failing:?}");
}

#[test]
fn what_breaks_on_restore_and_in_maintenance_is_what_was_said() {
    survives(None);
}

#[test]
fn what_breaks_on_other_versions_is_what_was_said() {
    let found = Installation::find_plain().unwrap();
    for major in [16, 18] {
        match found.iter().find(|server| server.major == major) {
            Some(server) => survives(Some(server.clone())),
            None => postern_cluster::skipped(
                &format!("what breaks on PostgreSQL {major}"),
                "there is no such server here (cargo xtask fetch-servers)",
            ),
        }
    }
}
