//! A database with 5,000 functions, half of them SECURITY DEFINER, checked over a connection.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use postern_analyze::catalog::{Catalog, load};
use postern_analyze::check::{self, Scope};
use postern_analyze::parse::with_stack;
use postern_cluster::Cluster;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_postgres::NoTls;

use crate::counted::Counted;
use crate::files::number;
use crate::usage::{Processor, peak_memory};

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

/// Measures what `postern check --db` does: reading the catalogs, the rules of rows, and checking all code.
pub fn measure() -> Result<Value, String> {
    let cluster = Cluster::builder().start().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let (catalog, read, rows, turns) = runtime.block_on(read(&cluster))?;
    let before = Instant::now();
    let found =
        with_stack(|| check::database(&catalog, Scope::default())).map_err(|error| error.to_string())?;
    let checked = before.elapsed();
    let total = (read + rows + checked).as_secs_f64();
    Ok(json!({
        "functions": FUNCTIONS,
        "seconds": total,
        "seconds_reading": read.as_secs_f64(),
        "seconds_rows": rows.as_secs_f64(),
        "seconds_checking": checked.as_secs_f64(),
        "processor_seconds": Processor::now().own,
        "functions_per_second": number(FUNCTIONS) / total,
        "round_trips": turns,
        "round_trips_per_function": number(turns) / number(FUNCTIONS),
        "findings": found.len(),
        "peak_memory_mb": peak_memory(),
    }))
}

/// Makes the functions, and reads the database: its catalog, how long that and the rules of rows took, and all round trips but those
/// that made the connection and the functions.
async fn read(cluster: &Cluster) -> Result<(Catalog, Duration, Duration, usize), String> {
    let mut sql = String::from("CREATE SCHEMA app; CREATE ROLE eve; SET check_function_bodies = off;");
    for table in 0..50 {
        // Writing to a text cannot fail.
        let _ = write!(sql, "CREATE TABLE app.t{table} (k int PRIMARY KEY, v varchar, at timestamptz);");
    }
    sql += &(0..FUNCTIONS).map(function).collect::<Vec<_>>().join("\n");
    cluster.psql("postgres", &sql).map_err(|error| error.to_string())?;
    let url = cluster.url(cluster.superuser(), "postgres");
    let config: tokio_postgres::Config = url.parse().map_err(describe)?;
    let socket = cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port()));
    let stream = UnixStream::connect(socket).await.map_err(describe)?;
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Counted::new(stream, Arc::clone(&turns));
    let (client, connection) = config.connect_raw(counted, NoTls).await.map_err(describe)?;
    tokio::spawn(connection);
    let connected = turns.load(Ordering::Relaxed);
    let before = Instant::now();
    let snapshot = load::load(&client).await.map_err(describe)?;
    let read = before.elapsed();
    let before = Instant::now();
    check::rows::find(&client).await.map_err(describe)?;
    let rows = before.elapsed();
    let turns = turns.load(Ordering::Relaxed) - connected;
    let before = Instant::now();
    let catalog = Catalog::new(snapshot);
    Ok((catalog, read + before.elapsed(), rows, turns))
}

fn describe(error: impl std::fmt::Display) -> String {
    error.to_string()
}
