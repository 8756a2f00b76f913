//! No text makes the analysis panic.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use postern_analyze::body;
use postern_analyze::catalog::{Catalog, Snapshot};
use postern_analyze::files;
use postern_analyze::parse::with_stack;
use postern_analyze::path::Path;
use postern_analyze::walk::Surroundings;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const SEEDS: [&str; 6] = [
    "DECLARE a t.k%TYPE := f(1); r record; c CURSOR (x int) FOR SELECT x; BEGIN FOR r IN SELECT * FROM t JOIN u USING (k) LOOP \
     CASE r.k WHEN 1, 2 THEN PERFORM g(r.v); END CASE; EXECUTE 'x' || a USING r.k; END LOOP; RETURN QUERY SELECT a[1] || $1; END",
    "WITH RECURSIVE x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT CASE n WHEN 1 THEN 'é' END, (n, 2) = (1, 2) FROM x",
    "MERGE INTO t USING u ON t.k = u.k WHEN MATCHED THEN UPDATE SET (a, b) = (SELECT 1, 2); CREATE TABLE t (k int4 CHECK (k > 0))",
    "CREATE SCHEMA a; SET search_path = a, 'b'; CREATE TABLE t (k serial, v int[] DEFAULT f(1)) PARTITION BY LIST (k); CREATE VIEW v AS TABLE t; \
     CREATE OR REPLACE FUNCTION f(x int, VARIADIC y a.t[] DEFAULT NULL) RETURNS SETOF t LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS \
     'SELECT * FROM t'; ALTER FUNCTION f SET search_path TO a; ALTER FUNCTION a.f(int, t[]) RESET ALL; DROP SCHEMA IF EXISTS a CASCADE; GRANT x TO y;",
    "DO $x$ BEGIN EXECUTE 'CREATE ROLE r'; CREATE TYPE a.e AS ENUM ('x'); END $x$; CREATE FUNCTION a.g(a.e) RETURNS int LANGUAGE sql BEGIN ATOMIC \
     SELECT 1; END; \\i x\nCOPY t FROM stdin;\n1\n\\.\nCREATE POLICY p ON t USING (g('x') = 1); ALTER TABLE t RENAME TO u, ADD CHECK (k > 0); \
     CREATE TYPE r AS RANGE (subtype = r); CREATE DOMAIN d AS d CHECK (VALUE > 0); CREATE AGGREGATE g (int) (sfunc = g, stype = d);",
    "INSERT INTO t VALUES ($$a$$, E'\\n', U&'x', B'1', 1e5) ON CONFLICT (lower(k)) DO UPDATE SET k = excluded.k RETURNING t.*;",
];

fn analyse(text: &str) {
    let catalog = Catalog::new(Snapshot::default());
    let path = Path::new(&catalog, "a, b", "nobody");
    with_stack(|| {
        for found in [
            body::statements(&catalog, &path, text, &Surroundings::default()),
            body::plpgsql(&catalog, &path, text, Surroundings::default()),
        ] {
            for occurrence in found.occurrences {
                assert!(text.get(occurrence.span).is_some(), "a place that is none in {text:?}");
            }
        }
        let sources = vec![files::Source::new("a.sql", text.as_bytes().to_vec())];
        let project = files::replay(Snapshot::default(), sources);
        for finding in files::check(&project) {
            assert!(
                finding.span.is_some_and(|span| span.end <= text.len() + 1),
                "a place that is none in {text:?}"
            );
        }
        for edits in files::mend(&project, &[]).files {
            postern_analyze::fix::apply(text, &edits);
        }
    })
    .unwrap();
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..Config::default() })]

    #[test]
    fn damaged_code_is_analysed_or_reported(
        seed in 0..SEEDS.len(),
        cuts in prop::collection::vec((0..400_usize, 0..12_usize, "[;()\\[\\]'\"$:.=<>a%é\\- ]{0,4}"), 1..6),
    ) {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        for (at, length, put) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, put.chars());
        }
        analyse(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_text_is_analysed_or_reported(text in "\\PC{0,80}") {
        analyse(&text);
    }
}

#[test]
fn deep_nesting_is_reported_and_not_followed() {
    for text in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT 1{}", " + 1".repeat(100_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(50_000)),
        format!("SELECT {}1", "NOT ".repeat(100_000)),
        format!("SELECT 1{}", "::int".repeat(100_000)),
        format!("SELECT * FROM a{}", " JOIN a ON true".repeat(50_000)),
    ] {
        analyse(&text);
    }
    // Long is not deep.
    analyse(&format!("INSERT INTO t VALUES {}(1)", "(-1, +2, 'x'), ".repeat(20_000)));
    analyse(&format!("SELECT 1{}", " + 1".repeat(1_000)));
}

#[test]
fn long_chains_are_read() {
    use postern_analyze::parse::{As, parse};
    for text in [
        format!("SELECT 'a'{}", " || 'b'".repeat(700)),
        format!("SELECT {}1{}", "(".repeat(300), ")".repeat(300)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(300)),
    ] {
        with_stack(|| {
            assert!(parse(&text, As::Statements).is_ok(), "{:?}", parse(&text, As::Statements).err());
        })
        .unwrap();
    }
}

/// The SQL of this repository, in pieces of a few thousand bytes: where damage has something to damage.
fn seeds() -> Vec<Vec<u8>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<_> = ["crates/extension/sql", "tests/regress/sql"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sql"))
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| std::fs::read(file).unwrap().chunks(3_000).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect()
}

/// As what the fuzz target gets, in the same order each time: bytes changed, removed, doubled, and taken from elsewhere.
#[test]
fn damaged_files_are_analysed_or_reported() {
    use postern_analyze::files::{self, RUNNER, Source};

    let seeds = seeds();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit.max(1)).unwrap()).unwrap()
    };
    let base = files::empty(15, RUNNER);
    let catalog = Catalog::new(base.clone());
    let path = Path::new(&catalog, "a, public, pg_temp", RUNNER);
    for round in 0..250 {
        let mut bytes = seeds[below(seeds.len())].clone();
        for _ in 0..=below(8) {
            let at = below(bytes.len());
            let end = (at + below(40)).min(bytes.len());
            match below(5) {
                0 => bytes[at] = u8::try_from(below(256)).unwrap(),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let twice = bytes[at..end].to_vec();
                    bytes.splice(at..at, twice);
                }
                3 => {
                    let other = &seeds[below(seeds.len())];
                    let from = below(other.len());
                    bytes.splice(at..end, other[from..(from + 40).min(other.len())].iter().copied());
                }
                _ => {
                    let put = [
                        &b"$$"[..],
                        b"'",
                        b"(",
                        b")",
                        b";",
                        b"/*",
                        b"\"",
                        b"BEGIN",
                        b"\0",
                        b"E'\\",
                        b"::",
                        b"#",
                    ];
                    bytes.splice(at..at, put[below(put.len())].iter().copied());
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        let source = Source::new("damaged.sql", bytes);
        let text = source.text.clone();
        with_stack(|| {
            for found in [
                body::statements(&catalog, &path, &text, &Surroundings::default()),
                body::plpgsql(&catalog, &path, &text, Surroundings::default()),
            ] {
                for occurrence in found.occurrences {
                    assert!(text.get(occurrence.span).is_some(), "a place that is none, in round {round}");
                }
            }
            files::check(&files::replay(base.clone(), vec![source.clone()]));
        })
        .unwrap();
    }
}
