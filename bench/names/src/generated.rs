//! Files that are made here: as many functions as are asked for, a hundred in each file, among the tables, views, policies and
//! triggers that use them. What is measured with 1,000, 10,000 and 30,000 says whether time grows with the number alone.

use std::fmt::Write as _;

use postern_analyze::files::Source;

/// How many functions a file has.
const IN_A_FILE: usize = 100;

/// The files of so many functions.
pub fn files(functions: usize) -> Vec<Source> {
    (0..functions.div_ceil(IN_A_FILE))
        .map(|file| {
            let rest = functions - file * IN_A_FILE;
            Source::new(format!("module{file}.sql"), module(file, rest.min(IN_A_FILE)).into_bytes())
        })
        .collect()
}

/// One schema: what migrations consist of.
fn module(schema: usize, functions: usize) -> String {
    let mut sql = format!(
        "CREATE SCHEMA m{schema};\nGRANT USAGE ON SCHEMA m{schema} TO PUBLIC;\nSET search_path = m{schema}, public;\n"
    );
    for table in 0..4 {
        // Writing to a text cannot fail.
        let _ = write!(
            sql,
            "
CREATE TABLE t{table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant int NOT NULL DEFAULT 0,
    name varchar(80) NOT NULL CHECK (length(name) > 0),
    at timestamptz NOT NULL DEFAULT now(),
    amount numeric(12, 2)
);
CREATE INDEX t{table}_name ON t{table} (lower(name));
CREATE VIEW v{table} AS SELECT id, upper(name) AS name, amount * 2 AS twice FROM t{table} WHERE at > now() - interval '1 year';
ALTER TABLE t{table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY p{table} ON t{table} USING (tenant = current_setting('app.tenant')::int);
"
        );
    }
    for number in 0..functions {
        sql.push_str(&function(schema, number));
    }
    for table in 0..4 {
        let _ = write!(
            sql,
            "
CREATE FUNCTION changed{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name := trim(NEW.name);
    RETURN NEW;
END
$$;
DROP TRIGGER IF EXISTS changed ON t{table};
CREATE TRIGGER changed BEFORE INSERT OR UPDATE ON t{table} FOR EACH ROW EXECUTE FUNCTION changed{table}();
"
        );
    }
    sql
}

/// A function; every second is SECURITY DEFINER, every tenth is made again.
fn function(schema: usize, number: usize) -> String {
    let table = number % 4;
    let definer = if number.is_multiple_of(2) {
        format!("SECURITY DEFINER SET search_path = m{schema}, pg_temp")
    } else {
        String::new()
    };
    let mut sql = if number.is_multiple_of(3) {
        format!(
            "
-- Counts what is like it.
CREATE OR REPLACE FUNCTION f{number}(p int) RETURNS bigint LANGUAGE sql STABLE {definer} AS $$
    SELECT count(*)
    FROM m{schema}.t{table} t JOIN t0 u USING (id)
    WHERE t.name LIKE 'a%' AND u.tenant = p AND lower(t.name) <> 'b'
$$;
"
        )
    } else {
        format!(
            "
CREATE OR REPLACE FUNCTION f{number}(p int, words text[] DEFAULT '{{}}') RETURNS text LANGUAGE plpgsql {definer} AS $$
DECLARE
    r record;
    total numeric := 0;
    label t{table}.name%TYPE;
BEGIN
    IF p IS NULL OR p < 0 THEN
        RAISE EXCEPTION 'not a number: %', p USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The rows near it.
    FOR r IN SELECT t.id, t.name, t.at FROM t{table} t WHERE t.id BETWEEN p AND p + 10 ORDER BY t.at LOOP
        total := total + coalesce(length(r.name), 0);
        IF r.at < now() - interval '1 day' THEN
            UPDATE t{table} SET name = upper(name) || r.id WHERE id = r.id;
        ELSIF array_length(words, 1) > 0 THEN
            INSERT INTO m{schema}.t{table} (tenant, name) SELECT p, w FROM unnest(words) AS w ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    SELECT string_agg(name, ',') INTO label FROM t{table} WHERE id IN (1, 2, p);
    RETURN format('%s: %s', label, round(total, 2));
END
$$;
"
        )
    };
    if number.is_multiple_of(10) {
        sql = format!("{sql}{sql}");
    }
    if number.is_multiple_of(2) {
        let arguments = if number.is_multiple_of(3) { "int" } else { "int, text[]" };
        let _ = writeln!(sql, "REVOKE EXECUTE ON FUNCTION f{number}({arguments}) FROM PUBLIC;");
    }
    sql
}
