//! Schemas, overloads, operators, paths and calls that nobody chose.

use postern_analyze::catalog::Catalog;
use postern_analyze::path::Path;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::compare::{Score, compare};
use crate::server::Server;

const SCHEMAS: [&str; 3] = ["s1", "s2", "s3"];
const TYPES: [&str; 14] = [
    "int4",
    "int8",
    "numeric",
    "float8",
    "text",
    "varchar",
    "bpchar",
    "s1.dint",
    "s2.dtext",
    "int4[]",
    "anyelement",
    "anyarray",
    "anycompatible",
    "jsonb",
];
const VALUES: [&str; 16] = [
    "1",
    "2.5",
    "'x'",
    "NULL",
    "1::int8",
    "1::int2",
    "'x'::text",
    "'x'::varchar",
    "1::s1.dint",
    "'x'::s2.dtext",
    "ARRAY[1]",
    "'{}'::jsonb",
    "1::float8",
    "'x'::bpchar",
    "ARRAY['a']",
    "'x'::name",
];

#[derive(Debug, Clone)]
struct Case {
    functions: Vec<(usize, Vec<usize>, bool, bool)>,
    operators: Vec<(usize, usize, usize)>,
    path: Vec<usize>,
    calls: Vec<Vec<usize>>,
    table: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let function = (0..3_usize, prop::collection::vec(0..TYPES.len(), 0..4), any::<bool>(), any::<bool>());
    (
        prop::collection::vec(function, 1..9),
        prop::collection::vec((0..3_usize, 0..TYPES.len(), 0..TYPES.len()), 1..7),
        prop::collection::vec(0..5_usize, 1..5),
        prop::collection::vec(prop::collection::vec(0..VALUES.len(), 0..4), 12),
        0..3_usize,
    )
        .prop_map(|(functions, operators, path, calls, table)| Case {
            functions,
            operators,
            path,
            calls,
            table,
        })
}

impl Case {
    fn ddl(&self) -> Vec<String> {
        let mut ddl = vec![format!("CREATE TABLE {}.t (k {}, v varchar)", SCHEMAS[self.table], "s1.dint")];
        for (schema, args, default, variadic) in &self.functions {
            let mut types: Vec<String> = args.iter().map(|&at| TYPES[at].to_owned()).collect();
            if *variadic {
                types.push("VARIADIC int4[]".into());
            } else if *default && types.last().is_some_and(|last| !last.starts_with("any")) {
                types.last_mut().unwrap().push_str(" DEFAULT NULL");
            }
            ddl.push(format!(
                "CREATE FUNCTION {}.f({}) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                SCHEMAS[*schema],
                types.join(", ")
            ));
        }
        for (schema, left, right) in &self.operators {
            let (schema, left, right) = (SCHEMAS[*schema], TYPES[*left], TYPES[*right]);
            ddl.push(format!(
                "CREATE FUNCTION {schema}.op({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
            ));
            for name in ["<+>", "=", "||"] {
                ddl.push(format!(
                    "CREATE OPERATOR {schema}.{name} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {schema}.op)"
                ));
            }
        }
        ddl
    }

    fn setting(&self) -> String {
        let names: Vec<&str> =
            self.path.iter().map(|&at| ["s1", "s2", "s3", "pg_catalog", "pg_temp"][at]).collect();
        names.join(", ")
    }

    fn statements(&self) -> Vec<String> {
        let mut statements = Vec::new();
        for values in &self.calls {
            let args: Vec<&str> = values.iter().map(|&at| VALUES[at]).collect();
            statements.push(format!("SELECT f({})", args.join(", ")));
            if let [left, right, ..] = args.as_slice() {
                for operator in ["<+>", "=", "||"] {
                    statements.push(format!("SELECT ({left}) {operator} ({right})"));
                }
                statements.push(format!("SELECT ({left}) IN ({right}, {left}), NULLIF({left}, {right})"));
            }
        }
        statements.push("SELECT k = 1, v = 'x', k IN (1, 2), v || 'x', k IS DISTINCT FROM k FROM t".into());
        statements.push("SELECT a.k FROM t a JOIN t b USING (v) NATURAL JOIN t c".into());
        statements
    }
}

#[test]
fn names_in_generated_schemas_mean_what_the_server_says() {
    let server = Server::start();
    let session = server.session("postgres");
    let score = std::cell::RefCell::new(Score::default());
    let config = Config {
        cases: 40,
        max_shrink_iters: 60,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(4),
        ..Config::default()
    };
    let ran = TestRunner::new(config).run(&cases(), |case| {
        session.run("RESET search_path; DROP SCHEMA IF EXISTS s1, s2, s3 CASCADE; CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE SCHEMA s3;
            CREATE DOMAIN s1.dint AS int4; CREATE DOMAIN s2.dtext AS text");
        for ddl in case.ddl() {
            // Some are not possible: the same signature twice, an operator over pseudo-types alone.
            session.attempt(&ddl);
        }
        let catalog = Catalog::new(session.snapshot());
        let setting = case.setting();
        session.run(&format!("SET search_path = {setting}"));
        let path = Path::new(&catalog, &setting, &catalog.snapshot.user);
        let mut score = score.borrow_mut();
        for statement in case.statements() {
            compare(&session, &catalog, &path, &statement, &mut score);
        }
        prop_assert!(score.wrong.is_empty(), "{}\nunder {setting}\n{}", score.wrong.join("\n"), case.ddl().join(";\n"));
        Ok(())
    });
    let score = score.into_inner();
    println!("{} statements, {} names, {} unknown", score.statements, score.names(), score.unknown);
    ran.unwrap();
    assert!(
        score.names() > 500 && score.unknown * 50 <= score.names(),
        "{} of {} unknown",
        score.unknown,
        score.names()
    );
}
