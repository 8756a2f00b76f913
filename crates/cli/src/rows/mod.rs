//! `postern rows`: who sees which rows, and why. The answers are the extension's; this prints them.

pub mod args;
mod attempt;
mod cases;
mod mutants;
mod simulate;
mod test;

use std::process::ExitCode;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::error::Error;
use crate::{database, serve};
use args::{Ask, Command, Explain, Matrix, Rows};

pub fn run(args: &Rows) -> ExitCode {
    let done = match &args.command {
        Command::Test(args) => return test::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Matrix(_) | Command::Explain(_) => seen(&args.command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::FAILURE
        }
    }
}

fn seen(command: &Command) -> Result<(), Error> {
    let (ask, headings) = match command {
        Command::Matrix(matrix) => (
            &matrix.ask,
            ["relation", "role", "command", "access", "reason", "permissive", "restrictive", "through"]
                .as_slice(),
        ),
        Command::Explain(explain) => (&explain.ask, ["step", "name", "says", "expression"].as_slice()),
        Command::Test(_) | Command::Simulate(_) => return Ok(()),
    };
    let rows = serve::runtime()?.block_on(async {
        let client = database::connect(&database::url_or(ask.db.as_ref(), &ask.dir)?).await?;
        match command {
            Command::Matrix(args) => matrix(&client, args).await,
            Command::Explain(args) => explain(&client, args).await,
            Command::Test(_) | Command::Simulate(_) => Ok(Vec::new()),
        }
    })?;
    crate::print(&printed(ask, headings, &rows)?)
}

async fn matrix(client: &Client, args: &Matrix) -> Result<Vec<Value>, Error> {
    let sql = "
        SELECT pg_catalog.to_jsonb(x) FROM (
            SELECT n.nspname OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) c.relname AS relation,
                   a.role, a.command, a.access, a.reason, a.permissive, a.restrictive, a.through
              FROM postern.row_access_of(
                     CASE WHEN pg_catalog.cardinality($1::pg_catalog.text[]) OPERATOR(pg_catalog.>) 0 THEN
                       ARRAY(SELECT postern.row_role(x.name::pg_catalog.name) FROM pg_catalog.unnest($1::pg_catalog.text[]) x (name)) END,
                     CASE WHEN pg_catalog.cardinality($2::pg_catalog.text[]) OPERATOR(pg_catalog.>) 0 THEN
                       $2::pg_catalog.text[]::pg_catalog.regclass[]::pg_catalog.oid[] END) a
              JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.relation
              JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
             ORDER BY 1, 2, pg_catalog.array_position('{SELECT,INSERT,UPDATE,DELETE}'::pg_catalog.text[], a.command)) x";
    let rows = client.query(sql, &[&args.roles, &args.tables]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn explain(client: &Client, args: &Explain) -> Result<Vec<Value>, Error> {
    let key: serde_json::Map<String, Value> =
        args.keys.iter().map(|(column, value)| (column.clone(), json!(value))).collect();
    let key = (!key.is_empty()).then_some(Value::Object(key));
    let sql = "
        SELECT pg_catalog.to_jsonb(x)
          FROM postern.explain_row($1::pg_catalog.text::pg_catalog.regclass, $2, $3, $4::pg_catalog.text::pg_catalog.name, $5, $6, $7) x";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&args.table, &key, &args.command, &args.role, &args.facts, &args.new, &!args.blind];
    let rows = client.query(sql, &parameters).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// JSON, or a table whose columns are as wide as they must be.
fn printed(ask: &Ask, headings: &[&str], rows: &[Value]) -> Result<String, Error> {
    if ask.json {
        let text = serde_json::to_string_pretty(rows)
            .map_err(|error| Error::Io { action: "write the answer".into(), source: error.into() })?;
        return Ok(text + "\n");
    }
    let mut lines = vec![headings.iter().map(|&heading| heading.to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| headings.iter().map(|&heading| cell(&row[heading])).collect()));
    let widths: Vec<usize> = (0..headings.len())
        .map(|n| lines.iter().map(|line| line[n].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    Ok(text)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('\n', " "),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
