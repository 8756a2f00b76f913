//! Verdicts beside deeds: what is said to be capturable is captured, what is said to be safe is attacked.

use postern_analyze::capture::{Capture, Judge, Situation, Verdict};
use postern_analyze::catalog::Catalog;
use postern_analyze::occurrence::{Kind, Lookup, Occurrence};
use postern_analyze::path::Path;
use postern_analyze::text::quote;
use postern_analyze::walk::Surroundings;

use crate::compare::ours;
use crate::server::{Bound, Server, Session};

pub const SCHEMAS: &str = "
CREATE ROLE alice; CREATE ROLE mallory LOGIN;
CREATE SCHEMA app AUTHORIZATION alice; CREATE SCHEMA evil;
GRANT CREATE, USAGE ON SCHEMA evil TO mallory; GRANT USAGE ON SCHEMA app, evil TO PUBLIC;
SET ROLE alice;
CREATE DOMAIN app.dint AS int;
CREATE TYPE app.mood AS ENUM ('a', 'b');
CREATE TABLE app.a (k int PRIMARY KEY, v varchar, t text, n numeric, j jsonb, ts timestamptz, e int[], d app.dint, m app.mood, f float8, o oid);
CREATE SEQUENCE app.sq;
CREATE FUNCTION app.k(int) RETURNS int LANGUAGE sql AS 'select 1';
CREATE FUNCTION app.named(x int, y text DEFAULT 'z') RETURNS int LANGUAGE sql AS 'select 1';
CREATE FUNCTION app.vari(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'select 1';
RESET ROLE;
";

pub const PATHS: &[&str] = &[
    "pg_catalog, evil, app",
    "pg_catalog, app, evil",
    "app, evil, pg_temp",
    "evil, app",
    "\"\"",
    "pg_catalog, pg_temp",
    "pg_catalog, app, pg_temp",
];

pub const STATEMENTS: &[&str] = &[
    "SELECT nextval('app.sq'), setval('app.sq', 1), count(1) FROM app.a",
    "SELECT array_length(e, 1), unnest(e), format('%s', t), concat(t, t), jsonb_build_object(t, k) FROM app.a",
    "SELECT length(v), lower(v), substr(v, 1), round(k), to_char(current_date, 'YYYY'::text), date(t) FROM app.a",
    "SELECT length(t), length('abc'), lower('A'), round(n), now(), date_trunc('day', ts), generate_series(1, 2) FROM app.a",
    "SELECT jsonb_set(j, '{a}', j), jsonb_set(j, '{a}'::text[], j), to_char(k, '9'), set_config('a.b', 'x', true) FROM app.a",
    "SELECT j -> 'a', j ->> '1', ts + '1 day', k > 1.0, k || 'x', v || v, v LIKE 'x', j -> 'a'::text, j @> '{}' FROM app.a",
    "SELECT ts + interval '1 day', k > 1, t || 'x', t LIKE 'x', d = d, d = '1', d = 1, d IN (1), - d, m = 'a' FROM app.a",
    "SELECT v IN ('b', 'c'), NULLIF(v, 'b'), CASE v WHEN 'b' THEN 1 END, v IS DISTINCT FROM 'x', v BETWEEN 'a' AND 'b' FROM app.a",
    "SELECT t IN ('b', 'c'), NULLIF(t, 'b'), CASE t WHEN 'b' THEN 1 END, k IN (1, 2), k = ANY (e), o = k, o = 1 FROM app.a",
    "SELECT a.k FROM app.a JOIN app.a b USING (v)",
    "SELECT a.k FROM app.a JOIN app.a b USING (k)",
    "SELECT app.k(1), app.named(y => 'a', x => 1), app.vari(1, 2), app.vari(VARIADIC e), max(v), max(k), max(t) FROM app.a",
    "SELECT '1'::text, '1'::int4, 1::int8, '1'::int, NULL::uuid FROM pg_class, pg_catalog.pg_type",
    "SELECT k(1), named(1), vari(1) FROM a",
    "SELECT ROW(k) = ROW(1), f + 1, f * k, @ n, k & 1, e || 1, e || e FROM app.a",
];

#[test]
fn a_capture_works_and_what_is_safe_withstands() {
    let server = Server::start();
    every_capture(&server.session("postgres"));
}

/// Attacks each name of each statement under each path.
pub fn every_capture(session: &Session<'_>) {
    session.run(SCHEMAS);
    let catalog = Catalog::new(session.snapshot());
    let victim = catalog.role("alice").unwrap().oid;
    let (mut captured, mut withstood, mut unknown) = (0, 0, 0);
    for setting in PATHS {
        let path = Path::new(&catalog, setting, "alice");
        let situation = Situation { victim, callers_connection: true, callers_path: false };
        let judge = Judge::new(&catalog, &path, situation);
        for sql in STATEMENTS {
            let Ok(before) = analysed(session, setting, sql, "") else { continue };
            for occurrence in ours(&catalog, &path, sql, &Surroundings::default()) {
                // A literal is read as a name while the statement is analysed; it has no place in the tree.
                if occurrence.quoted {
                    continue;
                }
                match judge.judge(&occurrence) {
                    Verdict::Capturable(capture) => {
                        assert!(
                            changes(session, setting, sql, &before, &occurrence, &capture),
                            "{setting}: {sql}\n{occurrence:?}\n{capture:?}"
                        );
                        captured += 1;
                    }
                    Verdict::Safe | Verdict::IfGranted(_) => {
                        for ddl in attacks(&catalog, &occurrence) {
                            let after = analysed(session, setting, sql, &as_mallory(&ddl));
                            if let Ok(after) = after {
                                assert_eq!(
                                    meaning(&before, &occurrence),
                                    meaning(&after, &occurrence),
                                    "{setting}: {sql}\n{occurrence:?}\n{ddl}"
                                );
                                withstood += 1;
                            }
                        }
                    }
                    Verdict::Captured { owner } => panic!("{owner}: {occurrence:?}"),
                    Verdict::Unknown { .. } => unknown += 1,
                }
            }
        }
    }
    println!("{captured} captured, {withstood} attacks withstood, {unknown} unknown");
    assert!(captured > 100 && withstood > 300, "{captured} captured, {withstood} withstood");
}

pub fn as_mallory(ddl: &str) -> String {
    format!("SET LOCAL search_path = pg_catalog; SET LOCAL ROLE mallory; {ddl}; RESET ROLE;")
}

/// What the server binds after some DDL, of which nothing remains. Types are probed by themselves.
pub fn analysed(session: &Session<'_>, setting: &str, sql: &str, ddl: &str) -> Result<Bound, String> {
    session.run("BEGIN");
    let result = if ddl.is_empty() || session.attempt(ddl) {
        session
            .run(&format!("SET LOCAL search_path = {}; SET LOCAL ROLE alice", setting.replace("\"\"", "''")));
        session.bound_within(sql).map(|mut bound| {
            for name in ["text", "int4", "int8", "uuid", "int"] {
                let oid = session.strings(&format!("SELECT pg_catalog.to_regtype('{name}')::pg_catalog.oid"));
                let oid = oid.first().and_then(|row| row[0].parse().ok()).unwrap_or(0);
                bound.insert((type_key(name), "type"), vec![oid]);
            }
            bound
        })
    } else {
        Err(format!("refused: {ddl}"))
    };
    session.run("ROLLBACK");
    result
}

/// Types have no place in a tree: a number made of the name stands for it.
fn type_key(name: &str) -> i64 {
    name.bytes().fold(0, |key, byte| key * 256 + i64::from(byte))
}

/// What the server binds at the place of a name.
fn meaning(bound: &Bound, occurrence: &Occurrence) -> Option<Vec<u32>> {
    let key = match occurrence.kind() {
        Kind::Type => (type_key(&occurrence.name), "type"),
        Kind::Relation => (0, "relation"),
        Kind::Function => (i64::try_from(occurrence.span.start).unwrap(), "function"),
        _ if occurrence.implied_by == Some("USING") => (-1, "operator"),
        _ => (i64::try_from(occurrence.span.start).unwrap(), "operator"),
    };
    bound.get(&key).cloned()
}

fn changes(
    session: &Session<'_>,
    setting: &str,
    sql: &str,
    before: &Bound,
    occurrence: &Occurrence,
    capture: &Capture,
) -> bool {
    assert_eq!(capture.role, "mallory");
    match analysed(session, setting, sql, &as_mallory(&capture.ddl)) {
        Ok(after) => meaning(&after, occurrence) != meaning(before, occurrence),
        // The capture can make the rest of the statement fail: what was planted is met all the same.
        Err(refused) => !refused.starts_with("refused:"),
    }
}

/// What a lesser role could try.
pub fn attacks(catalog: &Catalog, occurrence: &Occurrence) -> Vec<String> {
    let name = quote(&occurrence.name);
    let type_name = |oid: u32| if oid == 705 { "text".to_owned() } else { catalog.type_name(oid) };
    match &occurrence.lookup {
        Lookup::Relation => {
            vec![format!("CREATE TABLE evil.{name} ()"), format!("CREATE TEMP TABLE {name} (k int)")]
        }
        Lookup::Type => vec![
            format!("CREATE DOMAIN evil.{name} AS pg_catalog.text"),
            format!("CREATE DOMAIN pg_temp.{name} AS pg_catalog.text"),
        ],
        Lookup::Call(call) => {
            let exact: Vec<String> = call.args.iter().map(|&oid| type_name(oid)).collect();
            let base: Vec<String> = call.args.iter().map(|&oid| type_name(catalog.base_type(oid))).collect();
            let all = |word: &str| vec![word.to_owned(); call.args.len()];
            let mut tries = vec![exact, base, all("text"), all("anyelement"), all("varchar"), all("numeric")];
            tries.dedup();
            tries
                .into_iter()
                .map(|args| {
                    format!(
                        "CREATE FUNCTION evil.{name}({}) RETURNS text LANGUAGE plpgsql AS 'BEGIN END'",
                        args.join(", ")
                    )
                })
                .collect()
        }
        Lookup::Binary(left, right) => {
            let (left, right) = (*left, *right);
            let pairs = [
                (type_name(left), type_name(right)),
                (type_name(catalog.base_type(left)), type_name(catalog.base_type(right))),
                (type_name(left), type_name(left)),
                (type_name(right), type_name(right)),
                ("text".into(), "text".into()),
                ("numeric".into(), "numeric".into()),
            ];
            pairs
                .into_iter()
                .map(|(left, right)| {
                    format!(
                        "CREATE FUNCTION evil.op({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN END'; \
                         CREATE OPERATOR evil.{} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = evil.op)",
                        occurrence.name
                    )
                })
                .collect()
        }
        Lookup::Prefix(operand) => {
            [type_name(*operand), type_name(catalog.base_type(*operand)), "text".into()]
                .into_iter()
                .map(|operand| {
                    format!(
                        "CREATE FUNCTION evil.op({operand}) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN END'; \
                     CREATE OPERATOR evil.{} (RIGHTARG = {operand}, FUNCTION = evil.op)",
                        occurrence.name
                    )
                })
                .collect()
        }
        Lookup::Collation | Lookup::Routine(_) => Vec::new(),
    }
}
