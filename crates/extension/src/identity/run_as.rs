//! For operators: what another identity would see, without leaving a trace.

use pgrx::pg_sys;

use super::facts::Checked;
use super::{admission, enter};
use crate::error::Error;
use crate::pg::json::quote;
use crate::pg::jsonb::Jsonb;
use crate::pg::spi::{self, Cell, Refusal};
use crate::pg::subxact;

/// Runs `query` as `role` with `facts` and gives its rows. Deferred constraints and triggers run too; then everything is
/// rolled back.
pub fn run_as(role: &str, facts: Option<Jsonb>, query: &str) -> Result<Vec<Jsonb>, Error> {
    let role = admission::admitted(role)?;
    let facts = facts.map(|facts| facts.to_text().to_string_lossy().into_owned());
    let facts = Checked::new(facts.as_deref())?;
    let query = spi::c_string(query).ok_or(Error::Null("query"))?;
    let rows = subxact::rolled_back(|| {
        enter::enter_subtransaction(role, facts)?;
        let rows = spi::execute(&query)?;
        spi::execute(c"SET CONSTRAINTS ALL IMMEDIATE")?;
        Ok::<_, Error>(rows)
    })?;
    Ok(rows.iter().filter_map(|row| spi::c_string(&object(row))).map(|text| Jsonb::parse(&text)).collect())
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Transaction => Self::TransactionControl("transaction control"),
            Refusal::Copy => Self::NotOffered("COPY"),
            Refusal::Other(name) => Self::Spi(name),
        }
    }
}

/// A row as a JSON object. Numbers, booleans and JSON stay what they are; everything else is its text.
pub fn object(row: &[Cell]) -> String {
    let mut text = String::from("{");
    for (n, cell) in row.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        quote(&mut text, &cell.name);
        text.push(':');
        match &cell.text {
            None => text.push_str("null"),
            Some(value) => match cell.type_oid {
                pg_sys::BOOLOID => text.push_str(if value == "t" { "true" } else { "false" }),
                pg_sys::JSONOID | pg_sys::JSONBOID | pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => {
                    text.push_str(value);
                }
                pg_sys::NUMERICOID | pg_sys::FLOAT4OID | pg_sys::FLOAT8OID
                    if value.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)) =>
                {
                    text.push_str(value);
                }
                _ => quote(&mut text, value),
            },
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(name: &str, type_oid: pg_sys::Oid, text: Option<&str>) -> Cell {
        Cell { name: name.into(), type_oid, text: text.map(Into::into) }
    }

    #[test]
    fn a_row_is_a_json_object() {
        let row = [
            cell("n", pg_sys::INT8OID, Some("9007199254740993")),
            cell("b", pg_sys::BOOLOID, Some("t")),
            cell("x", pg_sys::FLOAT8OID, Some("NaN")),
            cell("j", pg_sys::JSONBOID, Some("[1]")),
            cell("q\"", pg_sys::TEXTOID, Some("a\\\"\n")),
            cell("z", pg_sys::TEXTOID, None),
        ];
        assert_eq!(
            object(&row),
            r#"{"n":9007199254740993,"b":true,"x":"NaN","j":[1],"q\"":"a\\\"\u000a","z":null}"#
        );
    }
}
