//! What bodies say in ways that are easily overlooked.

use super::{check, found, project};

const HEAD: &str = "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC; CREATE TABLE app.t (k int, v varchar);
CREATE TABLE app.\"o\"\"dd Ü\" (k int, \"Wéird\" text); CREATE SEQUENCE app.sq; CREATE TYPE app.mood AS ENUM ('a');\n";

/// The names that can be captured, as (name, what is written), in a definer under a path that lets them.
fn captured(path: &str, body: &str) -> Vec<String> {
    let function = format!(
        "CREATE FUNCTION app.f(a int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path} AS $f$ BEGIN {body} END $f$;
         REVOKE ALL ON FUNCTION app.f FROM PUBLIC;"
    );
    let findings = check(&project(&[HEAD, &function]));
    assert!(findings.iter().all(|finding| finding.rule != "unread"), "{body}: {findings:#?}");
    let at = |finding: &postern_analyze::check::Finding| {
        let (line, width) = finding.excerpt.clone().unwrap();
        line.chars().skip(finding.position.unwrap().column - 1).take(width).collect::<String>()
    };
    findings.iter().filter(|finding| finding.rule == "capturable").map(at).collect()
}

#[test]
fn commands_that_are_no_queries_have_names_too() {
    for (body, names) in [
        ("DROP TABLE app.t, t;", &["t"][..]),
        ("DROP TABLE IF EXISTS nowhere, t CASCADE;", &["t"]),
        ("DROP SEQUENCE sq; DROP TYPE mood;", &["sq", "mood"]),
        ("ALTER TABLE t RENAME TO u;", &["t"]),
        ("ALTER TABLE t OWNER TO CURRENT_USER;", &["t"]),
        ("ALTER TABLE t SET SCHEMA app;", &["t"]),
        ("ALTER TABLE t REPLICA IDENTITY FULL;", &["t"]),
        ("ALTER SEQUENCE sq RESTART;", &["sq"]),
        ("GRANT SELECT ON t TO PUBLIC;", &["t"]),
        ("TRUNCATE t; LOCK TABLE t; ANALYZE t; REINDEX TABLE t; CLUSTER t;", &["t", "t", "t", "t", "t"]),
        ("CREATE STATISTICS app.s ON k, v FROM t;", &["t"]),
        ("COPY t FROM '/dev/null' WHERE k > 1;", &["t"]),
        ("CREATE INDEX ON t (k);", &["t"]),
        ("PERFORM 1 FROM \"o\"\"dd Ü\" x WHERE x.\"Wéird\" = 'x';", &["\"o\"\"dd Ü\""]),
        ("PERFORM '\"o\"\"dd Ü\"'::pg_catalog.regclass;", &["'\"o\"\"dd Ü\"'"]),
        (
            "DECLARE r \"o\"\"dd Ü\"%ROWTYPE; v \"o\"\"dd Ü\".\"Wéird\"%TYPE; BEGIN NULL; END;",
            &["\"o\"\"dd Ü\"", "\"o\"\"dd Ü\""],
        ),
        // What the body itself makes is not the caller's.
        ("CREATE TEMP TABLE mine (k int); DROP TABLE mine;", &[]),
        ("CREATE TEMP TABLE \"my\"\"ne\" (k int); DROP TABLE \"my\"\"ne\";", &[]),
    ] {
        assert_eq!(captured("app", body), names, "{body}");
        assert_eq!(captured("pg_catalog, app, pg_temp", body), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn a_remedy_is_sql() {
    let function =
        "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = app AS
        'SELECT count(*) FROM \"o\"\"dd Ü\"'; REVOKE ALL ON FUNCTION app.f FROM PUBLIC;";
    let findings = check(&project(&[HEAD, function]));
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].remedy.starts_with("write app.\"o\"\"dd Ü\" and SET"), "{}", findings[0].remedy);
}

#[test]
fn what_json_takes_is_looked_into() {
    for body in [
        "PERFORM JSON_OBJECT('a': (SELECT k FROM @t LIMIT 1), 'b' VALUE 1);",
        "PERFORM JSON_ARRAY((SELECT k FROM @t LIMIT 1), 2 RETURNING pg_catalog.jsonb);",
        "PERFORM JSON_ARRAY(SELECT k FROM @t);",
        "PERFORM JSON_ARRAYAGG(k ORDER BY v) FILTER (WHERE k > 1), JSON_OBJECTAGG(v: k) FROM @t;",
        "PERFORM JSON_VALUE((SELECT v FROM @t), '$.a' RETURNING int DEFAULT 1 ON EMPTY), JSON_QUERY('{}', '$'), JSON_EXISTS('{}', '$.a');",
        "PERFORM j.x + 1 FROM @t, JSON_TABLE(v::pg_catalog.jsonb, '$[*]' COLUMNS (x int PATH '$.x', NESTED PATH '$.y' COLUMNS (z int))) j WHERE j.z = 2;",
        "PERFORM JSON('{}') FROM @t WHERE v IS JSON OBJECT; PERFORM JSON_SCALAR(1), JSON_SERIALIZE('{}');",
    ] {
        assert_eq!(captured("app", &body.replace('@', "")), ["t"], "{body}");
        assert_eq!(captured("app", &body.replace('@', "app.")), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn after_the_body_has_set_the_path_what_a_name_means_is_not_known() {
    for set in [
        "SET LOCAL search_path = pg_catalog, pg_temp",
        "SET search_path TO app",
        "RESET search_path",
        "PERFORM set_config('search_path', 'app', true)",
        "PERFORM pg_catalog.set_config('search_path', a::pg_catalog.text, true)",
    ] {
        let procedure = format!(
            "CREATE PROCEDURE app.p(a int) LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '1MB' AS $$ BEGIN
               PERFORM k FROM t;\n{set};\nPERFORM k FROM t; PERFORM k FROM app.t;\nPERFORM a OPERATOR(pg_catalog.+) 1;\nPERFORM a + 1; END $$; REVOKE ALL ON PROCEDURE app.p FROM PUBLIC;"
        );
        let findings = found(&[HEAD, &procedure]);
        let of = |rule: &str, line: usize| {
            findings
                .iter()
                .filter(|found| found.starts_with(rule) && found.contains(&format!(":{line}:")))
                .count()
        };
        assert_eq!(
            (of("capturable", 2), of("unread", 4), of("capturable", 4)),
            (1, 1, 0),
            "{set}: {findings:#?}"
        );
        // What it means is known along any path, and still not who could capture it.
        assert_eq!((of("unread", 5), of("unread", 6)), (0, 1), "{set}: {findings:#?}");
    }
    let sql = "CREATE FUNCTION app.s() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
        $$ SELECT count(k) FROM t;\nSET LOCAL search_path = app; SELECT count(k)\nFROM t $$; REVOKE ALL ON FUNCTION app.s FROM PUBLIC;";
    let findings = found(&[HEAD, sql]);
    assert!(findings.iter().any(|found| found.starts_with("capturable app.s() 2.sql:2:")), "{findings:#?}");
    assert!(findings.iter().any(|found| found.starts_with("unread app.s() 2.sql:4:")), "{findings:#?}");
    assert!(!findings.iter().any(|found| found.starts_with("capturable app.s() 2.sql:4:")), "{findings:#?}");
    // A block in a body is code that nobody looked into.
    let block = "CREATE FUNCTION app.b() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
        $$ BEGIN DO 'BEGIN END'; END $$; REVOKE ALL ON FUNCTION app.b FROM PUBLIC;";
    let findings = found(&[HEAD, block]);
    assert!(findings.len() == 1 && findings[0].starts_with("unread app.b() 2.sql:2:"), "{findings:#?}");
}
