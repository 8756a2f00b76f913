//! One model, two loaders: what SQL leaves behind is the same, replayed from files or read from a server that ran it.

use std::collections::BTreeMap;

use postern_analyze::catalog::Catalog;
use postern_analyze::files::{Source, empty, replay};
use postern_analyze::parse::with_stack;
use postern_analyze::report;

use crate::server::Server;

/// For each routine its attributes, and what its names mean.
fn described(catalog: &Catalog) -> BTreeMap<String, (String, Vec<String>)> {
    let own =
        |schema: u32| !matches!(catalog.schema_name(schema).as_str(), "pg_catalog" | "information_schema");
    let routines = catalog
        .snapshot
        .routines
        .iter()
        .filter(|routine| own(routine.schema) && routine.language != "internal");
    let role = |oid| {
        if oid == 0 {
            "PUBLIC".to_owned()
        } else {
            catalog.role_of(oid).map_or_else(String::new, |role| role.name.clone())
        }
    };
    routines
        .map(|routine| {
            let mut executors: Vec<String> = routine.executors.iter().map(|&oid| role(oid)).collect();
            executors.sort();
            let attributes = format!(
                "{} {} {} {} {} {:?} {executors:?} {} {:?} {}",
                routine.kind,
                routine.definer,
                routine.volatility,
                routine.strict,
                routine.atomic,
                routine.config,
                role(routine.owner),
                routine.modes,
                catalog.type_name(routine.returns),
            );
            let names = report::routine(catalog, routine, None, None).names.into_iter();
            let names = names.map(|name| {
                let object = name.object.map_or_else(
                    || name.meaning.clone(),
                    |object| format!("{}.{}", object.schema, object.name),
                );
                format!("{}:{} {} {object}", name.position.line, name.position.column, name.name)
            });
            (catalog.signature(routine), (attributes, names.collect()))
        })
        .collect()
}

fn relations(catalog: &Catalog) -> Vec<String> {
    let own = |schema: u32| {
        !matches!(catalog.schema_name(schema).as_str(), "pg_catalog" | "information_schema" | "pg_toast")
    };
    let relations =
        catalog.snapshot.relations.iter().filter(|relation| own(relation.schema) && relation.kind != 'i');
    let mut lines: Vec<String> = relations
        .map(|relation| {
            let columns: Vec<String> = relation
                .columns
                .iter()
                .map(|(name, oid)| format!("{name} {}", catalog.type_name(*oid)))
                .collect();
            let owner = catalog.role_of(relation.owner).map_or("", |role| role.name.as_str());
            format!(
                "{} {} {} {} {:?} {columns:?}",
                catalog.qualified(relation.schema, &relation.name),
                relation.kind,
                owner,
                relation.row_security,
                relation.options
            )
        })
        .collect();
    lines.sort();
    lines
}

const STATE: &str = r#"
CREATE ROLE alice; CREATE ROLE bob LOGIN; GRANT alice TO bob;
CREATE SCHEMA app AUTHORIZATION alice; CREATE SCHEMA "S 2" CREATE TABLE inside (k int);
SET search_path = app, public;
CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (x int, y text); CREATE DOMAIN dint AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = date);
CREATE TABLE base (id bigserial PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE child (extra mood[], d dint) INHERITS (base);
CREATE TABLE part (k int, v text) PARTITION BY LIST (k); CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE copied (LIKE base, more json); ALTER TABLE copied DROP COLUMN at, ADD COLUMN added varchar(10), ALTER more TYPE jsonb USING more::jsonb;
ALTER TABLE copied RENAME added TO renamed; ALTER TABLE copied RENAME TO moved; ALTER TABLE moved SET SCHEMA public;
CREATE VIEW v (one, two) AS SELECT b.id, m.renamed FROM base b JOIN public.moved m USING (id);
CREATE VIEW w WITH (security_invoker) AS SELECT *, count(*) OVER () AS n FROM v;
ALTER VIEW w SET (security_barrier = true); ALTER VIEW w OWNER TO alice;
CREATE MATERIALIZED VIEW mv AS SELECT max(at) AS latest, array_agg(id) AS ids FROM base;
CREATE TABLE made AS SELECT 1 AS a, 'x'::text AS b, now() - interval '1 day' AS c;
CREATE SEQUENCE sq; CREATE TEMP TABLE scratch (k int); ALTER TABLE base ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION twice(x int, OUT y int, OUT z text) LANGUAGE sql IMMUTABLE STRICT AS 'SELECT x * 2, x::text';
CREATE FUNCTION listed(VARIADIC a int[] DEFAULT '{}') RETURNS TABLE (k int, m mood) LANGUAGE sql AS $$ SELECT u, 'a'::mood FROM unnest(a) u $$;
CREATE FUNCTION rows_of() RETURNS SETOF base LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = app, pg_temp SET work_mem = '1MB' AS $$
DECLARE r child%ROWTYPE; d dint := 1; n public.moved.renamed%TYPE;
BEGIN
  FOR r IN SELECT * FROM child WHERE at > now() LOOP PERFORM nextval('sq'), twice(r.d), lower(n); END LOOP;
  RETURN QUERY SELECT * FROM base WHERE id = d OR id IN (SELECT one FROM w WHERE two LIKE 'a%');
  PERFORM span(current_date, NULL) @> current_date, (ROW(1, 'a')::pair).y || 'x';
END $$;
CREATE FUNCTION bound(p int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM base WHERE id = p; END;
CREATE PROCEDURE work(INOUT a int) LANGUAGE plpgsql AS 'BEGIN a := a + 1; COMMIT; END';
CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION same(mood, mood) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = $2';
CREATE OPERATOR === (LEFTARG = mood, RIGHTARG = mood, FUNCTION = same);
CREATE FUNCTION uses() RETURNS boolean LANGUAGE sql AS $$ SELECT 'a'::mood === 'b'::mood AND total(1) > 0 $$;
CREATE OR REPLACE FUNCTION uses() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'a'::mood === 'b' $$;
ALTER FUNCTION uses() SET search_path TO 'app', 'pg_temp'; ALTER FUNCTION uses() STABLE; ALTER FUNCTION uses OWNER TO bob;
ALTER FUNCTION same(mood, mood) RENAME TO alike; ALTER FUNCTION alike SET SCHEMA public;
REVOKE ALL ON FUNCTION uses() FROM PUBLIC; GRANT EXECUTE ON FUNCTION uses TO alice; REVOKE EXECUTE ON ALL PROCEDURES IN SCHEMA app FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT EXECUTE ON FUNCTIONS TO bob;
CREATE FUNCTION private() RETURNS int LANGUAGE sql AS 'SELECT 1';
DO $$ BEGIN CREATE FUNCTION app.inner_one() RETURNS int LANGUAGE sql AS 'SELECT 1'; EXECUTE 'GRANT EXECUTE ON FUNCTION app.inner_one() TO PUBLIC'; END $$;
CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION gone();
CREATE SCHEMA brief CREATE VIEW seen AS SELECT 1 AS one; CREATE TABLE brief.t (k int); DROP SCHEMA brief CASCADE;
SET ROLE alice; SET search_path = app; CREATE TABLE hers (k int); CREATE FUNCTION hers() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM hers'; RESET ROLE;
"#;

#[test]
fn files_leave_behind_what_a_server_would() {
    let server = Server::start();
    let session = server.session("postgres");
    session.run(STATE);
    let asked = Catalog::new(session.snapshot());
    let sources = vec![Source::new("state.sql", STATE.as_bytes().to_vec())];
    let superuser = asked.snapshot.user.clone();
    let mut base = empty(15, postern_analyze::files::RUNNER);
    base.user.clone_from(&superuser);
    base.roles.iter_mut().filter(|role| role.oid == 10).for_each(|role| role.name.clone_from(&superuser));
    let project = with_stack(move || replay(base, sources)).unwrap();
    assert_eq!(project.problems, []);
    let temporary = |line: &String| line.contains("pg_temp");
    let wanted: Vec<String> = relations(&asked).into_iter().filter(|line| !temporary(line)).collect();
    assert_eq!(relations(&project.catalog), wanted);
    let (replayed, wanted) = with_stack(|| (described(&project.catalog), described(&asked))).unwrap();
    assert_eq!(replayed.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    let names: usize = wanted.values().map(|(_, names)| names.len()).sum();
    assert!(wanted.len() >= 10 && names > 25, "{} {names}", wanted.len());
    for (routine, meant) in &wanted {
        assert_eq!(&replayed[routine], meant, "{routine}");
    }
}

/// What makes, changes and drops publications; after each group both say the same.
const PUBLISHED: &[&str] = &[
    "CREATE PUBLICATION none; CREATE PUBLICATION one FOR TABLE app.doc WITH (publish = 'insert')",
    "DROP PUBLICATION one; CREATE PUBLICATION root FOR TABLE app.parent",
    "CREATE PUBLICATION every FOR ALL TABLES",
    "DROP PUBLICATION every, root; SET search_path = app; CREATE PUBLICATION here FOR TABLES IN SCHEMA CURRENT_SCHEMA; RESET search_path",
    "ALTER PUBLICATION here RENAME TO there; ALTER PUBLICATION there DROP TABLES IN SCHEMA app",
    "ALTER PUBLICATION there ADD TABLE app.lone, app.base WHERE (i > 0)",
    "CREATE TABLE app.late (j int) INHERITS (app.base); ALTER PUBLICATION there SET TABLE ONLY app.base, app.lone (i)",
    "ALTER PUBLICATION there SET (publish = 'update'); ALTER PUBLICATION there DROP TABLE app.lone, ONLY app.base",
    "ALTER PUBLICATION there ADD TABLES IN SCHEMA app; CREATE TABLE app.later (i int DEFAULT app.in_default())",
    "BEGIN; DROP PUBLICATION there; ROLLBACK",
    "DROP PUBLICATION IF EXISTS there, none; CREATE PUBLICATION again FOR TABLE app.base",
    "DROP TABLE app.base CASCADE",
];

/// Tables that inherit, and one that is alone.
const TABLES: &str = "SET search_path = app;
CREATE TABLE base (i int CHECK (in_check(i))); CREATE TABLE child (d positive) INHERITS (base); CREATE INDEX ON base (in_index(i));
CREATE TABLE lone (i int DEFAULT in_default(), j int CHECK (j >>>> 0)); RESET search_path;";

/// Publications by the names of what they have, and which functions run for rows that come in.
fn published(catalog: &Catalog) -> (Vec<String>, Vec<String>) {
    let table =
        |oid: &u32| catalog.relation_of(*oid).map(|found| catalog.qualified(found.schema, &found.name));
    let lists = catalog.snapshot.publications.iter().map(|publication| {
        let mut tables: Vec<String> = publication.tables.iter().filter_map(table).collect();
        tables.sort();
        tables.dedup();
        let schemas: Vec<String> = publication.schemas.iter().map(|oid| catalog.schema_name(*oid)).collect();
        format!("{} {} {tables:?} {schemas:?}", publication.name, publication.all)
    });
    let (mut lists, mut run): (Vec<String>, Vec<String>) = (lists.collect(), Vec::new());
    for used in &catalog.snapshot.on_apply {
        run.extend(catalog.routine_of(used.function).map(|routine| catalog.signature(routine)));
    }
    lists.sort();
    run.sort();
    run.dedup();
    (lists, run)
}

#[test]
fn publications_of_files_have_what_the_servers_have() {
    let server = Server::start();
    let session = server.session("postgres");
    let mut text = format!("{};\n{TABLES}\n", crate::apply::CASE);
    session.run(&text);
    session.run("SET client_min_messages = error");
    let mut ran = Vec::new();
    for group in PUBLISHED {
        session.run(group);
        text += group;
        text += ";\n";
        let sources = vec![Source::new("published.sql", text.clone().into_bytes())];
        let project = with_stack(|| replay(empty(15, postern_analyze::files::RUNNER), sources)).unwrap();
        assert_eq!(project.problems, []);
        let mut asked = published(&Catalog::new(session.snapshot()));
        // What only the server follows: files say so (`files/replication.rs`).
        asked.1.retain(|function| {
            !["app.in_negator(", "app.in_range("].iter().any(|name| function.starts_with(name))
        });
        assert_eq!(published(&project.catalog), asked, "{group}");
        ran.push(asked.1.len());
    }
    assert_eq!(ran.iter().max(), Some(&11), "{ran:?}");
    assert!(ran.contains(&0) && ran.iter().collect::<std::collections::BTreeSet<_>>().len() > 3, "{ran:?}");
}
