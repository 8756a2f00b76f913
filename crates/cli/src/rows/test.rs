//! `postern rows test`: tests of policies, in TAP.
//!
//! Each test is a transaction that is rolled back: its rows are put in by whoever asks, past the policies, then its statement runs
//! as its role. A mutant is one more statement at the beginning of that transaction.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;
use tokio_postgres::Client;

use super::args::Test;
use super::attempt::{self, Outcome};
use super::cases::{self, Case};
use super::mutants::{self, Mutant};
use crate::error::Error;
use crate::{database, serve};

/// It could not be told.
const FAILED: u8 = 2;

pub fn run(args: &Test) -> ExitCode {
    match test(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Is everything ok?
fn test(args: &Test) -> Result<bool, Error> {
    let cases = cases::read(&args.files)?;
    serve::runtime()?.block_on(async {
        let client = database::connect(&database::url_or(args.db.as_ref(), &args.dir)?).await?;
        let mutants = if args.mutate { mutants::all(&client).await? } else { Vec::new() };
        crate::print(&format!("TAP version 14\n1..{}\n", cases.len() + mutants.len()))?;
        let mut good = true;
        for (n, case) in (1..).zip(&cases) {
            let wrong = wrong_with(&client, case, None).await?;
            good &= wrong.is_none();
            crate::print(&point(n, &case.name, wrong.as_deref()))?;
        }
        if !good && !mutants.is_empty() {
            crate::print("Bail out! The tests must pass before policies are weakened.\n")?;
            return Ok(false);
        }
        for (n, mutant) in (cases.len() + 1..).zip(&mutants) {
            let noticed = noticed(&client, &cases, mutant).await?;
            good &= noticed.is_some();
            let text = match noticed {
                Some(by) => point(n, &format!("{}, noticed by \"{by}\"", mutant.name), None),
                None => point(n, &mutant.name, Some("no test notices it")),
            };
            crate::print(&text)?;
        }
        Ok(good)
    })
}

/// The name of the first test that fails with the mutant.
async fn noticed<'c>(client: &Client, cases: &'c [Case], mutant: &Mutant) -> Result<Option<&'c str>, Error> {
    for case in cases {
        if wrong_with(client, case, Some(mutant)).await?.is_some() {
            return Ok(Some(&case.name));
        }
    }
    Ok(None)
}

/// What is wrong: what came and what should have come.
async fn wrong_with(client: &Client, case: &Case, mutant: Option<&Mutant>) -> Result<Option<String>, Error> {
    attempt::begin(client).await?;
    let outcome = inside(client, case, mutant).await;
    attempt::end(client).await?;
    let refused = |code: &str, message: &str| Some(format!("{code}: {message}"));
    let outcome = match outcome? {
        Ok(outcome) => outcome,
        Err(message) => return Ok(Some(format!("it was not run: {message}"))),
    };
    Ok(match (outcome, &case.error) {
        (Outcome::Refused(code, message), Some(wanted)) => (code.code() != wanted
            && !message.contains(wanted.as_str()))
        .then(|| format!("refused with {}: {message}, not with {wanted}", code.code())),
        (Outcome::Refused(code, message), None) => refused(code.code(), &message),
        (Outcome::Rows(count, _), Some(wanted)) => Some(format!("{count} rows, not the error {wanted}")),
        (Outcome::Rows(count, rows), None) => match (&case.rows, case.count) {
            (Some(wanted), _) => difference(&rows, wanted),
            (None, Some(wanted)) if count != wanted => Some(format!("{count} rows, not {wanted}")),
            _ => None,
        },
    })
}

/// What came of the statement; or why whoever asks may not run it as the role.
async fn inside(
    client: &Client,
    case: &Case,
    mutant: Option<&Mutant>,
) -> Result<Result<Outcome, String>, Error> {
    if let Some(mutant) = mutant {
        client.batch_execute("SET LOCAL search_path = pg_catalog, pg_temp").await?;
        client.batch_execute(&mutant.sql).await?;
        client.batch_execute("SET LOCAL search_path = DEFAULT").await?;
    }
    for (table, rows) in &case.given {
        given(client, table, rows).await?;
    }
    if let Some(before) = &case.before {
        client.batch_execute(&super::simulate::confined(before)).await?;
        client.batch_execute(super::simulate::OURSELVES).await?;
    }
    match attempt::may_look(client, &case.role, case.facts.as_ref()).await? {
        Ok(()) => attempt::attempt(client, &case.role, case.facts.as_ref(), &case.sql).await.map(Ok),
        Err(message) => Ok(Err(message)),
    }
}

/// Puts rows into a table: the columns that each of them names.
async fn given(client: &Client, table: &str, rows: &Value) -> Result<(), Error> {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let table: String = client
        .query_one("SELECT $1::pg_catalog.text::pg_catalog.regclass::pg_catalog.text", &[&table])
        .await?
        .get(0);
    for row in rows.as_array().into_iter().flatten() {
        let columns: Vec<String> =
            row.as_object().into_iter().flat_map(|row| row.keys()).map(|name| quote(name)).collect();
        let columns = columns.join(", ");
        // OVERRIDING: an identity column may be named like any other.
        let sql = if columns.is_empty() {
            format!("INSERT INTO {table} SELECT WHERE $1::pg_catalog.jsonb IS NULL")
        } else {
            format!(
                "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_catalog.jsonb_populate_record(NULL::{table}, $1::pg_catalog.jsonb)"
            )
        };
        client.execute(&sql, &[row]).await?;
    }
    Ok(())
}

/// How rows differ from those that are wanted, in any order.
fn difference(rows: &[Value], wanted: &[Value]) -> Option<String> {
    let mut missing: Vec<&Value> = wanted.iter().collect();
    let mut surplus = Vec::new();
    for row in rows {
        match missing.iter().position(|other| same(row, other)) {
            Some(at) => drop(missing.remove(at)),
            None => surplus.push(row),
        }
    }
    let list = |rows: &[&Value]| rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    if !surplus.is_empty() {
        let _ = write!(text, "too many: {}", list(&surplus));
    }
    if !missing.is_empty() {
        let gap = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{gap}missing: {}", list(&missing));
    }
    (!text.is_empty()).then_some(text)
}

/// Rows are the same if they have the same columns with the same values; 1 and 1.0 are the same number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

/// A point of TAP, with why it is not ok.
fn point(n: usize, name: &str, wrong: Option<&str>) -> String {
    // A number sign would begin a directive.
    let name = name.replace('\n', " ").replace('\\', "\\\\").replace('#', "\\#");
    match wrong {
        None => format!("ok {n} - {name}\n"),
        Some(wrong) => {
            let quoted = Value::String(wrong.to_owned());
            format!("not ok {n} - {name}\n  ---\n  message: {quoted}\n  ...\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{difference, point};
    use serde_json::json;

    #[test]
    fn rows_are_compared_in_any_order_and_as_often_as_they_come() {
        let wanted = [json!({"id": 1}), json!({"id": 2})];
        assert_eq!(difference(&[json!({"id": 2}), json!({"id": 1.0})], &wanted), None);
        assert_eq!(difference(&[json!({"id": 1})], &wanted).as_deref(), Some("missing: {\"id\":2}"));
        assert_eq!(
            difference(&[json!({"id": 1}), json!({"id": 1}), json!({"id": 2})], &wanted).as_deref(),
            Some("too many: {\"id\":1}")
        );
        assert!(difference(&[json!({"id": 1, "x": null}), json!({"id": 2})], &wanted).is_some());
    }

    #[test]
    fn a_name_is_no_directive() {
        assert_eq!(point(1, "a # SKIP\nb", None), "ok 1 - a \\# SKIP b\n");
        assert_eq!(point(2, "a", Some("x\"\n")), "not ok 2 - a\n  ---\n  message: \"x\\\"\\n\"\n  ...\n");
    }
}
