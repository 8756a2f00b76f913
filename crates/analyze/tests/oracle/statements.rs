//! Statements chosen for the rules that they need, in schemas that make the rules matter.

use postern_analyze::catalog::Catalog;
use postern_analyze::path::Path;

use crate::compare::{Score, compare};
use crate::server::{Server, Session};

const SCHEMAS: &str = "
CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE SCHEMA evil;
CREATE TYPE s1.mood AS ENUM ('a', 'b');
CREATE DOMAIN s1.dint AS int; CREATE DOMAIN s2.dint AS int;
CREATE TYPE s1.pair AS (x int, y text);
CREATE TABLE s1.a (k int PRIMARY KEY, v varchar, t text, n numeric, j jsonb, ts timestamptz, e int[], d s1.dint, m s1.mood,
  p s1.pair, q char(3), r int4range, f float8, o oid, nm name, b boolean, dt date, sm smallint, bi bigint);
CREATE TABLE s2.a (k bigint PRIMARY KEY, w text);
CREATE TABLE s2.b (k int, v varchar, extra text);
CREATE VIEW s1.va AS SELECT k, v FROM s1.a;
CREATE SEQUENCE s1.sq;
CREATE FUNCTION evil.length(varchar) RETURNS int LANGUAGE sql AS 'select 666';
CREATE FUNCTION evil.count(int) RETURNS bigint LANGUAGE sql AS 'select 666::bigint';
CREATE FUNCTION evil.array_length(int[], int) RETURNS int LANGUAGE sql AS 'select 666';
CREATE FUNCTION evil.nextval(text) RETURNS bigint LANGUAGE sql AS 'select 666::bigint';
CREATE FUNCTION evil.format(text, text) RETURNS text LANGUAGE sql AS 'select ''evil''';
CREATE FUNCTION evil.yes(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'select true';
CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.yes);
CREATE FUNCTION evil.dyes(s1.dint, int) RETURNS boolean LANGUAGE sql AS 'select true';
CREATE OPERATOR evil.= (LEFTARG = s1.dint, RIGHTARG = int, FUNCTION = evil.dyes);
CREATE FUNCTION evil.neg(text) RETURNS text LANGUAGE sql AS 'select $1';
CREATE OPERATOR evil.- (RIGHTARG = text, FUNCTION = evil.neg);
CREATE FUNCTION s1.g(int, int DEFAULT 0) RETURNS text LANGUAGE sql AS $$SELECT 's1 default'$$;
CREATE FUNCTION s2.g(int) RETURNS text LANGUAGE sql AS $$SELECT 's2 exact'$$;
CREATE FUNCTION s1.h(VARIADIC int[]) RETURNS text LANGUAGE sql AS $$SELECT 's1 variadic'$$;
CREATE FUNCTION s2.h(int) RETURNS text LANGUAGE sql AS $$SELECT 's2 exact'$$;
CREATE FUNCTION s1.k(s1.dint) RETURNS int LANGUAGE sql AS 'select 1';
CREATE FUNCTION s2.k(int) RETURNS int LANGUAGE sql AS 'select 2';
CREATE FUNCTION s1.named(x int, y text DEFAULT 'z', w int DEFAULT 1) RETURNS int LANGUAGE sql AS 'select 1';
CREATE FUNCTION s2.named(y text, x int) RETURNS text LANGUAGE sql AS 'select $1';
CREATE FUNCTION s2.twice(s1.a) RETURNS int LANGUAGE sql AS 'select $1.k * 2';
CREATE FUNCTION s1.rows(OUT x int, OUT y text) RETURNS SETOF record LANGUAGE sql AS $$select 1, 'a'$$;
CREATE FUNCTION s1.tab(n int) RETURNS TABLE (u int, w varchar) LANGUAGE sql AS $$select 1, 'a'::varchar$$;
CREATE FUNCTION s1.alla() RETURNS SETOF s1.a LANGUAGE sql AS 'select * from s1.a';
CREATE FUNCTION s1.same(anyelement, anyelement) RETURNS anyelement LANGUAGE sql AS 'select $1';
CREATE FUNCTION s2.same(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql AS 'select $1';
CREATE FUNCTION s1.first(anyarray) RETURNS anyelement LANGUAGE sql AS 'select $1[1]';
CREATE FUNCTION s1.lowr(anyrange) RETURNS anyelement LANGUAGE sql AS 'select lower($1)';
CREATE AGGREGATE s1.mysum(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION s2.mysum(bigint) RETURNS bigint LANGUAGE sql AS 'select $1';
";

const PATHS: &[&str] = &[
    "s1, s2",
    "s2, s1",
    "pg_catalog, evil, s1",
    "evil, pg_catalog, s1, s2",
    "s1, s2, evil",
    "evil, s2, s1, pg_temp",
    "pg_catalog, s2, s1, pg_temp",
];

const STATEMENTS: &[&str] = &[
    "SELECT length('abc'::varchar), length('abc'::text), length('abc'), length(v), length(t) FROM s1.a",
    "SELECT count(1), count(*), count(k), array_length(ARRAY[1,2], 1) FROM s1.a",
    "SELECT array_length(e, 1) FROM s1.a",
    "SELECT g(1)",
    "SELECT h(1)",
    "SELECT h(1, 2)",
    "SELECT h(VARIADIC ARRAY[1, 2])",
    "SELECT k(1)",
    "SELECT k(d), k(k) FROM s1.a",
    "SELECT named(1)",
    "SELECT named(x => 1, y => 'b')",
    "SELECT named(1, w => 2)",
    "SELECT a.twice FROM s1.a",
    "SELECT twice(a) FROM s1.a",
    "SELECT (a).k, (p).x, (p).y || 'x' FROM s1.a",
    "SELECT 'a'::varchar = 'b'::varchar, 'a'::varchar = 'b', 'a'::text = 'b'",
    "SELECT v IN ('b', 'c'), NULLIF(v, 'b'), CASE v WHEN 'b' THEN 'captured' WHEN t THEN 'x' END FROM s1.a",
    "SELECT v IN (t, 'x', 'y'), k IN (1), k IN (1, 2), k IN (1, 2.5), k IN (k, 3), d IN (1), d IN (1, 2), t IN (v, t) FROM s1.a",
    "SELECT v NOT IN ('b', 'c'), k NOT IN (SELECT k FROM s2.b), v IN (SELECT v FROM s2.b) FROM s1.a",
    "SELECT d = 1, d = '1', d = d, 1 = d, d + 1, - d, d IN (1), CASE d WHEN 1 THEN 2 END FROM s1.a",
    "SELECT v IS DISTINCT FROM t, v IS NOT DISTINCT FROM 'x', k IS DISTINCT FROM NULL FROM s1.a",
    "SELECT k BETWEEN 1 AND 2.5, n NOT BETWEEN 1 AND 2, t BETWEEN SYMMETRIC 'a' AND v FROM s1.a",
    "SELECT v LIKE 'x', t NOT LIKE 'x%', v ILIKE t, t LIKE 'x' ESCAPE '!', t SIMILAR TO 'x', q LIKE 'y', nm LIKE 'z' FROM s1.a",
    "SELECT k = ANY (e), k > ALL (SELECT k FROM s2.b), v = ANY (ARRAY['a', 'b']), 1 = ANY ('{1,2}') FROM s1.a",
    "SELECT (k, v) = (1, 'x'), ROW(k) < ROW(2), (k, t) IN (SELECT k, extra FROM s2.b) FROM s1.a",
    "SELECT j -> 'a', j ->> '1', j -> 1, j @> '{}', j -> 'a'::text, j #> '{a}', j ? 'x', j || '{}', j['x'] FROM s1.a",
    "SELECT ts + '1 day', ts + interval '1 day', ts - ts, ts > '2020-01-01', dt + 1, dt - dt, dt = ts FROM s1.a",
    "SELECT k || 'x', 'x' || k, t || v, v || v, e || 1, e || e, 1 || e, 'a' || 'b', e || '{1}' FROM s1.a",
    "SELECT k > 1.0, k > 1, k + bi, sm + k, sm * 2, k / 2.0, f ^ 2, k % 3, n + k, f * n, - k, -n, @ k, k & 1, o = 1, o = k FROM s1.a",
    "SELECT q = 'x', q = t, q || 'y', nm = 'x', nm = t, nm || 'x', q < v FROM s1.a",
    "SELECT round(k), round(n), round(f), round(n, 2), substr(v, 1), substr(t, 1, 2), substring(v, 1), btrim(v), upper(v), lower(t) FROM s1.a",
    "SELECT extract(epoch FROM ts), ts AT TIME ZONE 'UTC', substring(t FROM 1 FOR 2), trim(both 'x' from t), position('a' in t), overlay(t placing 'x' from 1), CURRENT_DATE, CURRENT_USER || 'x' FROM s1.a",
    "SELECT max(v), min(k), sum(k), sum(n), avg(f), max(ts), string_agg(v, ','), array_agg(k ORDER BY v), mysum(k) FROM s1.a",
    "SELECT row_number() OVER (PARTITION BY v ORDER BY k + 1), lag(v) OVER w, sum(k) FILTER (WHERE k > 1) OVER w FROM s1.a WINDOW w AS (ORDER BY k)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f), mode() WITHIN GROUP (ORDER BY v) FROM s1.a",
    "SELECT format('%s', t), format('%s %s', t, k), concat(t, k), coalesce(v, 'x') || 'y', greatest(k, 2.5) + 1, least(v, t) || v FROM s1.a",
    "SELECT nextval('s1.sq'), nextval('s1.sq'::regclass), to_char(k, '9'), to_char(ts, 'YYYY'), to_char(current_date, 'YYYY') FROM s1.a",
    "SELECT same(1, 2.5), same(k, sm), first(e), first(e) + 1, lowr(r), lowr(r) = 3 FROM s1.a",
    "SELECT * FROM rows(), tab(1), alla() WHERE rows.x = 1 AND tab.w = 'a' AND alla.v = 'b'",
    "SELECT x.u + 1, x.w = 'a' FROM tab(1) AS x",
    "SELECT u || 'x' FROM tab(1) AS x (u, w)",
    "SELECT i + 1, o FROM generate_series(1, 10) WITH ORDINALITY AS g (i, o) WHERE o > 1 AND i = 3",
    "SELECT g + 1, g = 2 FROM generate_series(1, 10) g",
    "SELECT u.a + 1, u.b = 'x' FROM unnest(ARRAY[1, 2], ARRAY['x', 'y']) AS u (a, b)",
    "SELECT key || 'x', value -> 'y' FROM s1.a, jsonb_each(j)",
    "SELECT e.key, e.value = '1' FROM s1.a CROSS JOIN LATERAL jsonb_each_text(a.j) e",
    "SELECT x.i + 1, x.s = 'a' FROM json_to_recordset('[]') AS x (i int, s varchar)",
    "SELECT count(*) FROM s1.a JOIN s2.b USING (k)",
    "SELECT count(*) FROM s1.a JOIN s2.b USING (k, v)",
    "SELECT v = 'x', k + 1 FROM s1.va NATURAL JOIN s2.b",
    "SELECT k + 1, z.k = 2 FROM (s1.va JOIN s2.b USING (k)) AS z (k, v1, v2, x)",
    "SELECT a.k = b.k, a.k = c.k FROM s1.a LEFT JOIN s2.b ON a.v = b.v CROSS JOIN s2.a c",
    "WITH x AS (SELECT k, v || 'x' AS y FROM s1.a) SELECT y = v, y = 'a', x.k + 1 FROM x JOIN s1.a USING (k)",
    "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT n * 2, sum(n) FROM r GROUP BY n",
    "WITH RECURSIVE r AS (SELECT k, ARRAY[k] AS path FROM s1.a UNION ALL SELECT a.k, path || a.k FROM r JOIN s1.a ON a.k = r.k + 1 WHERE NOT a.k = ANY (path)) SELECT path[1] = k FROM r",
    "SELECT k FROM s1.a UNION SELECT bi FROM s1.a ORDER BY k",
    "SELECT x.c = 'a' FROM (SELECT v FROM s1.a UNION ALL SELECT t FROM s1.a) x (c)",
    "SELECT column1 + 1, column2 = 'a' FROM (VALUES (1, 'a'), (2.5, 'b')) v",
    "SELECT (SELECT max(b.k) FROM s2.b WHERE b.v = a.v) + 1, EXISTS (SELECT FROM s2.b WHERE b.k = a.k) FROM s1.a",
    "SELECT ARRAY(SELECT k FROM s1.a) || 1, ARRAY[[1, 2], [3, 4]] = ARRAY[[1]], (ARRAY[1, 2])[1] + 1, e[1:2] || 3, e[1] = 2 FROM s1.a",
    "SELECT m = 'a', m > 'a'::s1.mood, m::text = 'a', m IN ('a', 'b') FROM s1.a",
    "SELECT r @> 3, r && r, r @> int4range(1, 2), lower(r) + 1, r * r, 3 <@ r FROM s1.a",
    "SELECT CASE WHEN b THEN k ELSE 2.5 END + 1, CASE WHEN b THEN 'x' ELSE v END = 'y', CASE k WHEN 1 THEN 'a' WHEN 2.5 THEN 'b' END || 'c' FROM s1.a",
    "INSERT INTO s2.b (k, v) SELECT k + 1, v || 'x' FROM s1.a ON CONFLICT DO NOTHING RETURNING k + 1, v = 'a'",
    "INSERT INTO s1.a (k, v) VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = excluded.v || a.v WHERE a.k > excluded.k RETURNING a.k * 2",
    "UPDATE s1.a SET v = b.v || 'x', k = a.k + 1 FROM s2.b WHERE b.k = a.k AND b.v = a.v RETURNING a.k + b.k",
    "UPDATE s1.a SET (k, v) = (SELECT b.k + 1, b.v || 'y' FROM s2.b WHERE b.k = a.k)",
    "DELETE FROM s1.a USING s2.b WHERE a.k = b.k AND b.extra LIKE 'x%' RETURNING a.v || 'z'",
    "MERGE INTO s1.a USING s2.b ON a.k = b.k WHEN MATCHED AND b.v = a.v THEN UPDATE SET v = b.v || 'x' WHEN NOT MATCHED THEN INSERT (k, v) VALUES (b.k + 1, b.v)",
    "SELECT - t FROM s1.a",
    "SELECT t OPERATOR(pg_catalog.=) 'x', pg_catalog.length(v), k OPERATOR(pg_catalog.+) 1 FROM s1.a",
    "SELECT date(t), int4(f), text(k), int8(n), name(v) FROM s1.a",
    "SELECT 'a' = ANY (ARRAY[v, t]), k = SOME (SELECT bi FROM s1.a), (1, v) <> (k, 'x'), ROW(k, v) IS DISTINCT FROM ROW(1, 'x') FROM s1.a",
    "SELECT a.* = a.*, a = a, ROW(a.*) = ROW(a.*), a IS NULL, (a).v = 'x' FROM s1.a",
    "SELECT twice(a.*), row_to_json(a.*) ->> 'k', (a.*) IS NULL, ROW(b.k, b.*) = ROW(1, b.*) FROM s1.a, s2.b",
    "SELECT count(a.*), max(twice(a.*)) FROM s1.a",
    "SELECT k FROM s1.a ORDER BY k USING <, v USING OPERATOR(pg_catalog.~<~)",
    "SELECT sum(k) OVER (ORDER BY k RANGE BETWEEN 1 PRECEDING AND CURRENT ROW), count(*) OVER (ORDER BY ts RANGE '1 day' PRECEDING) FROM s1.a",
    "SELECT k, count(*), grouping(k) FROM s1.a GROUP BY ROLLUP (k, v), CUBE (t) HAVING grouping(k) = 0",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), tab(3), rows()) AS x (a, b, c, d, e) WHERE x.a = 1 AND x.b + 1 = 2 AND x.e || 'x' = 'y'",
    "SELECT s1.a.k + 1, s1.a.v = 'x' FROM s1.a TABLESAMPLE bernoulli (10 + 1)",
    "SELECT xmlelement(name a, upper(v::text)), xmlforest(k + 1 AS b), v IS DOCUMENT FROM (SELECT k, v::xml AS v FROM s1.a) x WHERE length(x.v::text) > 1",
    "SELECT t.x + 1, t.y = 'a' FROM XMLTABLE('/a' PASSING ('<a/>'::xml) COLUMNS x int PATH 'x', y varchar PATH 'y' DEFAULT lower('A')) t",
    "SELECT 1 + k::smallint, k::bigint * 2, '1'::numeric(3, 1) + 1, '{1,2}'::int[] || 3, CAST(v AS text) = 'x', v::char(2) = 'a' FROM s1.a",
    "SELECT - 9223372036854775808, 2147483648 + 1, 1e3 * 2, 0x1F + k, 1_000 + k FROM s1.a",
    "SELECT interval '1 day' * k, time '10:00' + dt, timestamp '2020-01-01' - ts, date '2020-01-01' + 1, B'1' & B'0', X'1F' || B'1' FROM s1.a",
    "WITH x AS MATERIALIZED (INSERT INTO s2.b (k) VALUES (1) RETURNING k + 1 AS kk, v) SELECT kk = 2, v || 'x' FROM x",
    "WITH RECURSIVE r (n, v) AS (SELECT 1, 'a'::varchar UNION ALL SELECT n + 1, v || 'b' FROM r) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p SELECT n * 2, c, v = 'x' FROM r",
    "UPDATE s1.a SET e[1] = k + 1, p.x = k * 2, (v, t) = (lower(v), upper(t)) WHERE CURRENT_DATE > dt",
    "INSERT INTO s1.a (k, e[1], p.y) VALUES (1 + 1, 2, lower('A')) RETURNING (p).x + 1, e[1] = 2",
    "SELECT now() - interval '1 day' < ts, date_trunc('day', ts) = dt, age(ts) > '1 day', make_interval(days => 1) * 2 FROM s1.a",
    "SELECT v COLLATE \"C\" < 'x', t < 'y' COLLATE \"C\" FROM s1.a ORDER BY v USING <",
    "SELECT regexp_matches(v, 'x'), v ~ 'x', t !~* 'y', regexp_replace(v, 'a', 'b'), split_part(v, ',', 1) = 'z' FROM s1.a",
    "SELECT v = 'x' FROM s1.a ORDER BY lower(v), k + 1 LIMIT 1 + 1",
    "SELECT lower(v) FROM s1.a GROUP BY lower(v), k + 1 HAVING count(*) > 1",
    "SELECT DISTINCT ON (lower(v)) v FROM s1.a",
    "SELECT setval('s1.sq', 1), pg_relation_size('s1.a'), to_tsvector('english', t), has_table_privilege('s1.a', 'select') FROM s1.a",
    "SELECT JSON_OBJECT('a': k + 1, 'b': v || 'x') ->> 'a', JSON_ARRAY(k, lower(v)) -> 0, JSON_ARRAY(SELECT length(v) FROM s1.a) ->> 0 FROM s1.a",
    "SELECT JSON_ARRAYAGG(k + 1 ORDER BY lower(v)) FILTER (WHERE k > 1) ->> 0, JSON_OBJECTAGG(v: k) -> 'a', v IS JSON FROM s1.a GROUP BY v",
    "SELECT JSON_OBJECT('a': j) -> 'a', JSON_ARRAY(j RETURNING text) || 'x', JSON_OBJECT('a': 1 RETURNING jsonb) @> '{}' FROM s1.a",
    "SELECT JSON_VALUE(j, '$.a') || 'x', JSON_VALUE(j, '$.a' RETURNING int) + 1, JSON_QUERY(j, '$.a') @> '{}', JSON_EXISTS(j, '$.a') = b FROM s1.a",
    "SELECT x.u + 1, x.w = 'a', x.n > 1 FROM s1.a, JSON_TABLE(j, '$[*]' COLUMNS (n FOR ORDINALITY, u int PATH '$.u', NESTED PATH '$.v' COLUMNS (w varchar))) x",
    "SELECT JSON('{}') ->> 'a', JSON_SCALAR(k) ->> 'a', JSON_SERIALIZE(j) || 'x' FROM s1.a",
    "SELECT jsonb_set(j, '{a}', j), jsonb_build_object(t, k), to_jsonb(v) -> 'x', row_to_json(a) ->> 'k' FROM s1.a",
];

/// What the versions before one do not have, in the statements that are compared.
const NEWER: &[(u32, &str)] = &[
    (14, "j['x']"),
    (14, "SEARCH DEPTH FIRST"),
    (15, "MERGE INTO"),
    (16, "JSON_ARRAY(k"),
    (16, "JSON_ARRAYAGG"),
    (16, "JSON_ARRAY(j"),
    (16, "0x1F"),
    (17, "JSON_VALUE"),
    (17, "JSON_TABLE"),
    (17, "JSON_SCALAR"),
];

/// Those of the statements that a version refuses, and should not.
pub fn unexpected<'n>(never: &'n [(&'static str, String)], major: u32) -> Vec<&'n (&'static str, String)> {
    let too_new = |sql: &str| NEWER.iter().any(|(since, part)| major < *since && sql.contains(part));
    never.iter().filter(|(sql, _)| !too_new(sql)).collect()
}

#[test]
fn names_in_statements_mean_what_the_server_says_under_every_path() {
    let server = Server::start();
    let never = every_statement(&server.session("postgres"));
    let unexpected = unexpected(&never, server.cluster.installation().major);
    assert!(unexpected.is_empty(), "never accepted by the server: {unexpected:#?}");
}

/// Compares each statement under each path; gives the statements that the server refuses under every path, with its words.
pub fn every_statement(session: &Session<'_>) -> Vec<(&'static str, String)> {
    session.run(SCHEMAS);
    let catalog = Catalog::new(session.snapshot());
    let mut score = Score::default();
    let mut never: Vec<(&'static str, String)> = Vec::new();
    for statement in STATEMENTS {
        let mut refused = Vec::new();
        for setting in PATHS {
            session.run(&format!("SET search_path = {setting}"));
            let path = Path::new(&catalog, setting, &catalog.snapshot.user);
            refused.extend(compare(session, &catalog, &path, statement, &mut score));
        }
        if refused.len() == PATHS.len() {
            never.push((statement, refused.pop().unwrap()));
        }
    }
    println!("{} statements, {} names, {} unknown", score.statements, score.names(), score.unknown);
    assert!(
        score.wrong.is_empty(),
        "{} wrong of {}:\n{}",
        score.wrong.len(),
        score.names(),
        score.wrong.join("\n")
    );
    assert!(score.unknown * 200 <= score.names(), "{} unknown of {}", score.unknown, score.names());
    assert!(score.names() > 2_000, "{} names", score.names());
    never
}
