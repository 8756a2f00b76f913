//! A database with 5,000 functions, half of them SECURITY DEFINER, checked over a connection.

use std::fmt::Write as _;
use std::time::Instant;

use postern_analyze::catalog::{Catalog, load};
use postern_analyze::check::{self, Scope};
use postern_analyze::parse::with_stack;
use postern_cluster::Cluster;
use serde_json::{Value, json};

const FUNCTIONS: usize = 5_000;

/// What a function of the database looks like: names of tables, types, functions and operators, in SQL and PL/pgSQL.
fn function(n: usize) -> String {
    let table = n % 50;
    let definer = if n.is_multiple_of(2) { "SECURITY DEFINER SET search_path = app, pg_temp" } else { "" };
    if n.is_multiple_of(3) {
        format!(
            "CREATE FUNCTION app.f{n}(p int) RETURNS bigint LANGUAGE sql {definer} AS
             'SELECT count(*) FROM app.t{table} t JOIN app.t0 u USING (k) WHERE t.v LIKE ''a%'' AND u.k = p AND lower(t.v) <> ''b''';"
        )
    } else {
        format!(
            "CREATE FUNCTION app.f{n}(p int) RETURNS text LANGUAGE plpgsql {definer} AS $$
             DECLARE r record; total numeric := 0; name text;
             BEGIN
               FOR r IN SELECT t.k, t.v, t.at FROM app.t{table} t WHERE t.k BETWEEN p AND p + 10 ORDER BY t.at LOOP
                 total := total + coalesce(length(r.v), 0);
                 IF r.at < now() - interval '1 day' THEN
                   UPDATE app.t{table} SET v = upper(v) || r.k WHERE k = r.k;
                 END IF;
               END LOOP;
               SELECT string_agg(v, ',') INTO name FROM app.t{table} WHERE k IN (1, 2, p);
               RETURN format('%s: %s', name, round(total, 2));
             END $$;"
        )
    }
}

/// Measures reading the catalogs and checking everything in them.
pub fn measure() -> Result<Value, String> {
    let cluster = Cluster::builder().start().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let url = cluster.url(cluster.superuser(), "postgres");
    let catalog = runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let mut sql = String::from("CREATE SCHEMA app; CREATE ROLE eve; SET check_function_bodies = off;");
        for table in 0..50 {
            // Writing to a text cannot fail.
            let _ = write!(sql, "CREATE TABLE app.t{table} (k int PRIMARY KEY, v varchar, at timestamptz);");
        }
        sql += &(0..FUNCTIONS).map(function).collect::<Vec<_>>().join("\n");
        client.batch_execute(&sql).await.map_err(|error| error.to_string())?;
        let before = Instant::now();
        let snapshot = load::load(&client).await.map_err(|error| error.to_string())?;
        Ok::<_, String>((Catalog::new(snapshot), before.elapsed()))
    });
    let (catalog, read) = catalog?;
    let before = Instant::now();
    let found =
        with_stack(|| check::database(&catalog, Scope::default())).map_err(|error| error.to_string())?;
    let checked = before.elapsed();
    let total = (read + checked).as_secs_f64();
    Ok(json!({
        "functions": FUNCTIONS,
        "seconds_reading": read.as_secs_f64(),
        "seconds_checking": checked.as_secs_f64(),
        "functions_per_second": f64::from(u32::try_from(FUNCTIONS).unwrap_or(0)) / total,
        "findings": found.len(),
        "peak_memory_mb": crate::peak_memory(),
    }))
}
