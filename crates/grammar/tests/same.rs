//! A tree is the one that pg_query gives, which takes it through a protobuf; and what is an error there is the same error here.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::{Path, PathBuf};

use postern_grammar::{As, Node, NodeEnum, parse};

/// As much of a file is read at once.
const PIECE: usize = 64 << 10;
/// So much of a file is read: what is left of the longest is data.
const MOST_PIECES: usize = 30;

fn deeply<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(512 << 20).spawn_scoped(scope, work).unwrap();
        thread.join().unwrap()
    })
}

/// Parses a text both ways; gives the statements.
fn same(text: &str, parse_as: As) -> Vec<Node> {
    let options = match parse_as {
        As::Statements => pg_query::ParserOptions::DEFAULT,
        As::Type => pg_query::ParserOptions::TYPE_NAME,
        As::Expression => pg_query::ParserOptions::PLPGSQL_EXPR,
    };
    let theirs = pg_query::parse(text, options).map_err(|error| error.to_string());
    let ours = parse(text, parse_as);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            // An expression with nothing in it is a statement that stands nowhere.
            let theirs: Vec<_> =
                theirs.protobuf.stmts.iter().filter(|theirs| theirs.stmt_location >= 0).collect();
            assert_eq!(ours.len(), theirs.len(), "{text:?}");
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert_eq!(i32::try_from(ours.at).unwrap(), theirs.stmt_location, "{text:?}");
                // As text they have the same names and values in the same order.
                let written = [serde_json::to_string(&ours.node), serde_json::to_string(&theirs.stmt)];
                let [ours, theirs] = written.map(Result::unwrap);
                assert!(ours == theirs, "{ours}\n{theirs}");
            }
            ours.into_iter().map(|statement| statement.node).collect()
        }
        (Err(ours), Err(theirs)) => {
            assert_eq!(ours, theirs, "{text:?}");
            Vec::new()
        }
        (ours, theirs) => panic!("{:?} and {:?} of {text:?}", ours.map(|_| ()), theirs.map(|_| ())),
    }
}

/// The body of a function, as text.
fn body(node: &Node) -> Option<&str> {
    let Some(NodeEnum::CreateFunctionStmt(create)) = &node.node else { return None };
    create.options.iter().find_map(|option| {
        let Some(NodeEnum::DefElem(element)) = &option.node else { return None };
        let Some(NodeEnum::List(list)) = &element.arg.as_ref().filter(|_| element.defname == "as")?.node
        else {
            return None;
        };
        match &list.items.first()?.node {
            Some(NodeEnum::String(text)) => Some(text.sval.as_str()),
            _ => None,
        }
    })
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "sql") {
            found.push(path);
        }
    }
    found.sort();
}

/// The SQL of this repository.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["crates/extension/sql", "tests/regress/sql", "examples", "docs"] {
        collect(&root.join(folder), &mut found);
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Parses a file in pieces that end where a statement seems to; the error of a piece is as good as its tree.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE {
        let from = (PIECE..rest.len()).find(|&at| rest.is_char_boundary(at)).unwrap_or(rest.len());
        let end = rest[from..].find(";\n").map_or(rest.len(), |at| from + at + 2);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn whole(path: &Path) -> (usize, usize) {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let text: String = text
        .lines()
        .map(|line| if line.starts_with('\\') { "\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let (mut statements, mut bodies) = (0, 0);
    for piece in pieces(&text).into_iter().take(MOST_PIECES) {
        for node in same(piece, As::Statements) {
            statements += 1;
            if let Some(body) = body(&node) {
                bodies += 1;
                same(body, As::Statements);
                // A body of PL/pgSQL is one expression after the other, between words of its own.
                for line in body.lines() {
                    if let Some((_, expression)) = line.split_once(":=") {
                        same(expression.trim_end_matches(';'), As::Expression);
                        same(expression.trim_end_matches(';'), As::Type);
                    }
                }
            }
        }
    }
    (statements, bodies)
}

#[test]
fn files_of_the_repository_have_the_same_trees() {
    let (mut statements, mut bodies) = (0, 0);
    for file in files() {
        let counts = deeply(|| whole(&file));
        statements += counts.0;
        bodies += counts.1;
    }
    assert!(statements > 1_000 && bodies > 100, "{statements} statements, {bodies} bodies");
}

/// The packages that other tests have fetched; without them the repository's own files are all there is.
#[test]
fn scripts_of_extensions_have_the_same_trees() {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let mut scripts = Vec::new();
    collect(&target.join("corpus"), &mut scripts);
    // Those that update one version to the next say the same again.
    scripts
        .retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().matches("--").count() < 2));
    for script in scripts {
        deeply(|| whole(&script));
    }
}

/// Each kind of statement and expression that the grammar has and the files may not.
const RARE: &[&str] = &[
    "SELECT ALL a.*, b[1:2], (c).d, ROW(1, 2), ARRAY[[1], [2]], 'x'::pg_catalog.bpchar(3)[], INTERVAL '1' DAY TO SECOND(3), B'01', X'ff', 1.5e3, NULL, true",
    "SELECT DISTINCT ON (a) sum(DISTINCT b ORDER BY c) FILTER (WHERE d) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM t WINDOW w AS (PARTITION BY e)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), f(VARIADIC b), g(x => 1, y := 2), COALESCE(a, b), GREATEST(a, b), NULLIF(a, b), CURRENT_USER, CURRENT_TIME(3)",
    "SELECT a IS NULL, a IS NOT TRUE, a IS DISTINCT FROM b, a BETWEEN SYMMETRIC 1 AND 2, a LIKE b ESCAPE 'x', a ~~* ANY (ARRAY['x']), a IN (1, 2), a = ALL (SELECT 1), NOT a AND b OR c",
    "SELECT CASE a WHEN 1 THEN 2 ELSE 3 END, CAST(a AS int), a COLLATE \"C\", a AT TIME ZONE 'x', EXTRACT(year FROM a), OVERLAY(a PLACING b FROM 1 FOR 2), TRIM(BOTH FROM a), SUBSTRING(a SIMILAR b ESCAPE c)",
    "SELECT * FROM a NATURAL JOIN b CROSS JOIN LATERAL f(1) WITH ORDINALITY AS x (y, z), ROWS FROM (g() AS (p int), h()) q, t TABLESAMPLE bernoulli (1) REPEATABLE (2), ONLY (u) FOR UPDATE OF a NOWAIT",
    "SELECT * FROM XMLTABLE(XMLNAMESPACES('x' AS y), '/r' PASSING a COLUMNS b int PATH 'c' DEFAULT 1 NOT NULL, n FOR ORDINALITY), JSON_TABLE(j, '$' AS p COLUMNS (a int PATH '$.a', NESTED PATH '$.b' COLUMNS (c text)))",
    "SELECT JSON_OBJECT('a': 1 NULL ON NULL RETURNING jsonb), JSON_ARRAY(1, 2), JSON_ARRAYAGG(a ORDER BY b), JSON_VALUE(a, '$.x' DEFAULT 1 ON EMPTY), JSON_QUERY(a, '$' WITH WRAPPER), JSON_EXISTS(a, '$'), a IS JSON OBJECT WITH UNIQUE KEYS",
    "SELECT XMLELEMENT(NAME a, XMLATTRIBUTES(b AS c), d), XMLFOREST(a AS b), XMLPARSE(DOCUMENT a), XMLSERIALIZE(CONTENT a AS text INDENT), XMLPI(NAME a), XMLROOT(a, VERSION '1', STANDALONE YES), a IS DOCUMENT",
    "SELECT 1 UNION ALL (SELECT 2 INTERSECT SELECT 3 ORDER BY 1 NULLS FIRST LIMIT 1 OFFSET 2) EXCEPT VALUES (1, DEFAULT); TABLE t; SELECT GROUPING(a) FROM t GROUP BY DISTINCT ROLLUP (a), CUBE (b), GROUPING SETS ((), (c)) HAVING true FETCH FIRST 1 ROW WITH TIES",
    "WITH RECURSIVE a (b) AS MATERIALIZED (SELECT 1) SEARCH DEPTH FIRST BY b SET c CYCLE b SET d TO true DEFAULT false USING e SELECT * INTO TEMP x FROM a",
    "INSERT INTO t AS u (a, b[1]) OVERRIDING SYSTEM VALUE VALUES (1, DEFAULT) ON CONFLICT (lower(a) COLLATE \"C\" text_ops) WHERE b DO UPDATE SET (a, b) = ROW(1, 2), c = DEFAULT WHERE d RETURNING WITH (OLD AS o, NEW AS n) o.a",
    "UPDATE ONLY t SET a = 1 FROM u WHERE CURRENT OF c; DELETE FROM t USING u WHERE a RETURNING *; MERGE INTO t USING u ON a = b WHEN MATCHED AND c THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (a) VALUES (1) RETURNING merge_action()",
    "CREATE TABLE IF NOT EXISTS t (a int GENERATED ALWAYS AS (b + 1) STORED, b int GENERATED BY DEFAULT AS IDENTITY (START 1), c text STORAGE plain COMPRESSION pglz COLLATE \"C\" DEFAULT 'x' CHECK (c > '') NO INHERIT, LIKE u INCLUDING ALL, FOREIGN KEY (a) REFERENCES v (b) MATCH FULL ON DELETE SET NULL (a) ON UPDATE CASCADE DEFERRABLE, EXCLUDE USING gist (a WITH &&) WHERE (b > 0)) INHERITS (w) PARTITION BY RANGE (a, lower(c)) WITH (fillfactor = 10) ON COMMIT DROP TABLESPACE x",
    "CREATE TABLE p PARTITION OF t FOR VALUES FROM (1, MINVALUE) TO (2, MAXVALUE); CREATE TABLE q PARTITION OF t FOR VALUES IN (1, NULL); CREATE TABLE r PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE TABLE s PARTITION OF t DEFAULT; CREATE TABLE o OF c (PRIMARY KEY (a))",
    "ALTER TABLE t ADD a int, DROP COLUMN b CASCADE, ALTER c TYPE text USING d::text, ALTER e SET STATISTICS 3, ADD CONSTRAINT f UNIQUE NULLS NOT DISTINCT (a), VALIDATE CONSTRAINT g, ENABLE ALWAYS TRIGGER h, ATTACH PARTITION i DEFAULT, REPLICA IDENTITY USING INDEX j, OWNER TO CURRENT_USER, SET (x = 1), INHERIT k, ALTER l ADD GENERATED ALWAYS AS IDENTITY",
    "CREATE FUNCTION f(IN a int DEFAULT 1, OUT b text, INOUT c t.a%TYPE, VARIADIC d anyarray) RETURNS SETOF x LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 ROWS 2 SUPPORT s SET a TO b, c SET d FROM CURRENT WINDOW SECURITY DEFINER TRANSFORM FOR TYPE y AS 'a', 'b'; CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; INSERT INTO t VALUES (2); END; CREATE FUNCTION g() RETURNS TABLE (a int) RETURN 1 + 2",
    "CREATE TRIGGER t AFTER UPDATE OF a, b ON c REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH ROW WHEN (OLD.a <> NEW.a) EXECUTE FUNCTION f('x', 1); CREATE CONSTRAINT TRIGGER u AFTER INSERT ON v FROM w DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE PROCEDURE g(); CREATE EVENT TRIGGER e ON ddl_command_end WHEN tag IN ('a', 'b') EXECUTE FUNCTION h(); ALTER EVENT TRIGGER e ENABLE REPLICA",
    "CREATE VIEW v (a) WITH (security_invoker) AS SELECT 1 WITH LOCAL CHECK OPTION; CREATE MATERIALIZED VIEW m USING heap AS SELECT 1 WITH NO DATA; CREATE TABLE a AS EXECUTE b (1); REFRESH MATERIALIZED VIEW CONCURRENTLY m; CREATE RULE r AS ON UPDATE TO t WHERE OLD.a DO INSTEAD (SELECT 1; NOTIFY x, 'y'); CREATE UNIQUE INDEX CONCURRENTLY i ON ONLY t USING btree (a DESC NULLS LAST, (b || c) text_ops (x = 1)) INCLUDE (d) NULLS NOT DISTINCT WHERE e",
    "CREATE POLICY p ON t AS RESTRICTIVE FOR UPDATE TO PUBLIC, r, SESSION_USER USING (a) WITH CHECK (b); ALTER POLICY p ON t TO x USING (c); CREATE ROLE r LOGIN PASSWORD 'x' VALID UNTIL 'y' IN ROLE z CONNECTION LIMIT 3; ALTER ROLE r IN DATABASE d SET a FROM CURRENT; ALTER ROLE ALL RESET ALL; DROP ROLE IF EXISTS a, b; GRANT SELECT (a), INSERT ON ALL TABLES IN SCHEMA s TO r WITH GRANT OPTION; REVOKE GRANT OPTION FOR ALL ON FUNCTION f(int) FROM PUBLIC CASCADE; GRANT a TO b WITH ADMIN TRUE, INHERIT FALSE GRANTED BY c; ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA b GRANT ALL ON TYPES TO c; REASSIGN OWNED BY a TO b; DROP OWNED BY a",
    "CREATE TYPE a AS (b int, c text COLLATE \"C\"); CREATE TYPE e AS ENUM ('x'); ALTER TYPE e ADD VALUE IF NOT EXISTS 'y' BEFORE 'x'; ALTER TYPE e RENAME VALUE 'x' TO 'z'; CREATE TYPE r AS RANGE (subtype = int4); CREATE TYPE t (INPUT = i, OUTPUT = o, LIKE = int4); ALTER TYPE t SET (RECEIVE = r); CREATE DOMAIN d AS int NOT NULL CHECK (VALUE > 0) DEFAULT 1; ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE < 9) NOT VALID; ALTER DOMAIN d DROP NOT NULL",
    "CREATE OPERATOR s.+ (LEFTARG = int, FUNCTION = f, COMMUTATOR = OPERATOR(s.-)); ALTER OPERATOR + (int, NONE) SET (RESTRICT = x); CREATE OPERATOR CLASS c DEFAULT FOR TYPE t USING gist FAMILY f AS OPERATOR 1 < (a, b) FOR ORDER BY g, FUNCTION 2 (a) h(int), STORAGE u; CREATE OPERATOR FAMILY f USING btree; ALTER OPERATOR FAMILY f USING btree DROP OPERATOR 1 (a, b); CREATE AGGREGATE a (int ORDER BY text) (SFUNC = s, STYPE = t); CREATE CAST (a AS b) WITH FUNCTION f(a) AS IMPLICIT; CREATE CAST (a AS b) WITHOUT FUNCTION; CREATE TRANSFORM FOR a LANGUAGE b (FROM SQL WITH FUNCTION f(internal)); CREATE CONVERSION c FOR 'a' TO 'b' FROM f; CREATE COLLATION c FROM \"C\"; CREATE STATISTICS s (ndistinct) ON a, (b + 1) FROM t; ALTER STATISTICS s SET STATISTICS 3; CREATE ACCESS METHOD m TYPE INDEX HANDLER h; CREATE TEXT SEARCH CONFIGURATION c (COPY = d); ALTER TEXT SEARCH CONFIGURATION c ALTER MAPPING FOR a REPLACE b WITH d; ALTER TEXT SEARCH DICTIONARY d (x = 1)",
    "CREATE FOREIGN DATA WRAPPER w HANDLER h OPTIONS (a 'b'); CREATE SERVER IF NOT EXISTS s TYPE 't' VERSION 'v' FOREIGN DATA WRAPPER w; ALTER SERVER s VERSION 'x' OPTIONS (ADD a 'b', SET c 'd', DROP e); CREATE USER MAPPING FOR CURRENT_USER SERVER s; ALTER USER MAPPING FOR USER SERVER s OPTIONS (a 'b'); DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER s; CREATE FOREIGN TABLE f (a int OPTIONS (x 'y')) SERVER s OPTIONS (z 'q'); IMPORT FOREIGN SCHEMA a LIMIT TO (b, c) FROM SERVER s INTO d",
    "CREATE PUBLICATION p FOR TABLE a (x, y) WHERE (z > 1), TABLES IN SCHEMA b, CURRENT_SCHEMA WITH (publish = 'insert'); ALTER PUBLICATION p ADD TABLE c; CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION a, b WITH (enabled); ALTER SUBSCRIPTION s SKIP (lsn = '0/1'); DROP SUBSCRIPTION s; CREATE EXTENSION e WITH SCHEMA s VERSION 'v' CASCADE; ALTER EXTENSION e UPDATE TO 'w'; ALTER EXTENSION e ADD FUNCTION f(int)",
    "CREATE DATABASE d TEMPLATE t ENCODING 'x'; ALTER DATABASE d SET TABLESPACE s; ALTER DATABASE d REFRESH COLLATION VERSION; ALTER DATABASE d SET a = 1; DROP DATABASE d (FORCE); CREATE TABLESPACE t OWNER o LOCATION '/x' WITH (a = 1); ALTER TABLESPACE t SET (a = 2); DROP TABLESPACE t; ALTER TABLE ALL IN TABLESPACE a OWNED BY b SET TABLESPACE c NOWAIT; ALTER SYSTEM SET a = on; CREATE SCHEMA s AUTHORIZATION r CREATE TABLE t (a int) GRANT SELECT ON t TO x; CREATE SEQUENCE s AS int INCREMENT -1 NO CYCLE OWNED BY t.a; ALTER SEQUENCE s RESTART 3; CREATE LANGUAGE l HANDLER h INLINE i VALIDATOR v",
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE; SAVEPOINT a; ROLLBACK TO a; RELEASE a; PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; COMMIT AND CHAIN; SET LOCAL a TO 'b', 1.5; SET TIME ZONE INTERVAL '1' HOUR; SET CONSTRAINTS ALL DEFERRED; SET TRANSACTION SNAPSHOT 'x'; SHOW ALL; RESET a; DISCARD TEMP; LOCK TABLE ONLY a, b IN ACCESS SHARE MODE NOWAIT; LISTEN a; UNLISTEN *; NOTIFY a; LOAD 'x'; CHECKPOINT; CLUSTER t USING i; VACUUM (FULL, PARALLEL 2) a (b, c); ANALYZE VERBOSE; REINDEX (CONCURRENTLY) TABLE t; EXPLAIN (ANALYZE, FORMAT json) SELECT 1; PREPARE p (int) AS SELECT $1; EXECUTE p (1); DEALLOCATE ALL; DECLARE c INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT 1; FETCH BACKWARD ALL FROM c; MOVE 3 c; CLOSE ALL; TRUNCATE ONLY a RESTART IDENTITY CASCADE; COPY t (a) FROM PROGRAM 'x' WITH (FORMAT csv, FORCE_NULL (b)) WHERE c; COPY (SELECT 1) TO STDOUT; CALL p(a => 1); DO LANGUAGE x 'y'; COMMENT ON COLUMN a.b IS NULL; SECURITY LABEL FOR p ON TABLE t IS 'x'",
    "ALTER TABLE a RENAME b TO c; ALTER FUNCTION f(int) RENAME TO g; ALTER TABLE a SET SCHEMA b; ALTER FUNCTION f DEPENDS ON EXTENSION e; ALTER TYPE a OWNER TO b; ALTER FUNCTION f(int) IMMUTABLE SET a = b RESTRICT; DROP FUNCTION IF EXISTS f(int, OUT text), g CASCADE; DROP OPERATOR + (NONE, int); DROP TABLE a, b; DROP TRIGGER t ON u; DROP CAST (a AS b); DROP OPERATOR CLASS a USING b; ALTER COLLATION c REFRESH VERSION; ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC; ALTER GROUP a ADD USER b; CREATE ASSERTION x CHECK (true)",
    "SELECT U&'\\0441' UESCAPE '!', E'\\u00e4\\x41', N'x', $1, $$a$$, \"ä\" FROM \"Ö\"",
    "SELECT 'a' 'b'",
    "",
    ";;",
    "SELECT",
    "SELEC 1",
    "SELECT E'\\xff'",
    "SELECT 'open",
    "SELECT \0 1",
    "int4[3] ARRAY",
    "setof pg_catalog.varchar(3)",
    "a.b%TYPE",
];

#[test]
fn rare_forms_have_the_same_trees() {
    deeply(|| {
        for text in RARE {
            for part in text.split("; ") {
                for parse_as in [As::Statements, As::Expression, As::Type] {
                    same(part, parse_as);
                }
            }
            same(text, As::Statements);
        }
        let read = RARE.iter().map(|text| same(text, As::Statements).len()).sum::<usize>();
        assert!(read > 60, "{read}");
    });
}

/// Text that is cut and mixed, in the same order each time.
#[test]
fn damaged_text_has_the_same_trees_and_errors() {
    let mut seeds: Vec<String> = RARE.iter().map(|text| (*text).to_owned()).collect();
    for file in files() {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        seeds.extend(text.split(";\n\n").map(str::to_owned));
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit.max(1)).unwrap()).unwrap()
    };
    let mut read = 0;
    deeply(|| {
        for _ in 0..6_000 {
            let mut text: Vec<char> = seeds[below(seeds.len())].chars().take(3_000).collect();
            for _ in 0..below(3) {
                let at = below(text.len());
                let end = (at + below(12)).min(text.len());
                let other: Vec<char> = seeds[below(seeds.len())].chars().take(400).collect();
                let from = below(other.len());
                text.splice(at..end, other[from..(from + below(12)).min(other.len())].iter().copied());
            }
            let text: String = text.into_iter().collect();
            read += same(&text, As::Statements).len();
        }
    });
    assert!(read > 1_000, "{read}");
}

#[test]
fn deep_trees_are_the_same() {
    deeply(|| {
        for text in [
            format!("SELECT 'a'{}", " || 'b'".repeat(400)),
            format!("SELECT {}1{}", "(".repeat(1_000), ")".repeat(1_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(200)),
            format!("SELECT {}1{}", "(SELECT ".repeat(150), ")".repeat(150)),
        ] {
            assert_eq!(same(&text, As::Statements).len(), 1);
        }
        // pg_query ends where C has used two megabytes of the stack. What the analysis asks for is read, and there is an end.
        assert!(parse(&format!("SELECT 'a'{}", " || 'b'".repeat(1_500)), As::Statements).is_ok());
        let error = parse(&format!("SELECT 1{}", "::int".repeat(20_000)), As::Statements).unwrap_err();
        assert!(error.contains("too deeply"), "{error}");
    });
}

/// Memory is of the thread, and so is what errors leave behind.
#[test]
fn many_threads_parse_at_once() {
    let alone: Vec<_> = RARE.iter().map(|text| parse(text, As::Statements)).collect();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    for (text, alone) in RARE.iter().zip(&alone) {
                        assert!(&parse(text, As::Statements) == alone, "{text:?}");
                    }
                }
            });
        }
    });
}
