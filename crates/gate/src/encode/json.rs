//! Rows and columns as JSON.

use postern_pool::Column;

use super::text::{push_integer, push_string};
use super::types::{Conversion, Kind, push_cell};

/// The form of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowForm {
    /// `{"name": value, …}`. Columns of the same name give members of the same name.
    Object,
    /// `[value, …]`
    Array,
}

/// How the rows of one result are written: worked out once, used for each row.
#[derive(Debug)]
pub(crate) struct RowPlan {
    cells: Vec<CellPlan>,
    /// What comes before each value, one after the other.
    texts: Vec<u8>,
    open: u8,
    close: u8,
}

#[derive(Debug)]
struct CellPlan {
    /// Where in the texts its own one begins and ends: the opening or a comma, and the name.
    before: (usize, usize),
    kind: Kind,
}

/// What can be left out of a value: the bounds of an array.
const BOUNDS: usize = 256;

/// How many characters of a text become six bytes wherever they are in JSON.
fn controls(text: &str) -> usize {
    text.bytes().filter(|byte| *byte < 0x20 && !matches!(byte, 0x08 | b'\t' | b'\n' | 0x0C | b'\r')).count()
}

impl RowPlan {
    /// The plan for rows of these columns.
    pub(crate) fn new(columns: &[Column], form: RowForm, conversion: Conversion) -> Self {
        let (open, close) = match form {
            RowForm::Object => (b'{', b'}'),
            RowForm::Array => (b'[', b']'),
        };
        let mut texts = Vec::with_capacity(columns.len() * if form == RowForm::Object { 16 } else { 1 });
        let mut cells = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let start = texts.len();
            texts.push(if index == 0 { open } else { b',' });
            if form == RowForm::Object {
                push_string(&mut texts, &column.name);
                texts.push(b':');
            }
            cells.push(CellPlan { before: (start, texts.len()), kind: conversion.kind(column.type_oid) });
        }
        Self { cells, texts, open, close }
    }

    /// Appends one row, as long as there are no more than `limit` bytes then. If not, nothing is appended, and the answer is
    /// `false`; what was made until then is not much larger than the limit, whatever has to be escaped.
    pub(crate) fn push_within<'a>(
        &self,
        out: &mut Vec<u8>,
        cells: impl Iterator<Item = Option<&'a str>> + Clone,
        limit: usize,
    ) -> bool {
        // The most that a byte can become is six. Mostly that is room enough, and nothing is to be looked at.
        let bytes: usize = cells.clone().flatten().map(str::len).sum();
        if out.len() + self.texts.len() + cells.clone().count() * 6 + bytes.saturating_mul(6) + 2 < limit {
            self.push(out, cells);
            return true;
        }
        let start = out.len();
        let escapes = cells.clone().flatten().map(controls).sum::<usize>() * 5;
        if start + (bytes + escapes).saturating_sub(BOUNDS * self.cells.len()) <= limit {
            self.push(out, cells);
            if out.len() <= limit {
                return true;
            }
        }
        out.truncate(start);
        false
    }

    /// Appends one row.
    pub(crate) fn push<'a>(&self, out: &mut Vec<u8>, cells: impl Iterator<Item = Option<&'a str>>) {
        if self.cells.is_empty() {
            out.push(self.open);
        }
        // A row has as many cells as its columns: the pool checks it.
        for (plan, cell) in self.cells.iter().zip(cells) {
            out.extend_from_slice(&self.texts[plan.before.0..plan.before.1]);
            match cell {
                Some(cell) => push_cell(out, plan.kind, cell),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(self.close);
    }
}

/// Appends the list `fields` of the Neon protocol.
pub(crate) fn push_fields(out: &mut Vec<u8>, columns: &[Column]) {
    out.push(b'[');
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"name\":");
        push_string(out, &column.name);
        for (name, value) in [
            ("dataTypeID", i64::from(column.type_oid)),
            ("tableID", i64::from(column.table_oid)),
            ("columnID", i64::from(column.column_id)),
            ("dataTypeSize", i64::from(column.type_size)),
            ("dataTypeModifier", i64::from(column.type_modifier)),
        ] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            push_integer(out, value);
        }
        out.extend_from_slice(b",\"format\":\"text\"}");
    }
    out.push(b']');
}

/// Appends the list `columns` of `/v1`.
pub(crate) fn push_columns(out: &mut Vec<u8>, columns: &[Column]) {
    out.push(b'[');
    for (index, column) in columns.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"name\":" } else { b",{\"name\":" });
        push_string(out, &column.name);
        out.extend_from_slice(b",\"type_oid\":");
        push_integer(out, column.type_oid);
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    pub(crate) fn column(name: &str, type_oid: u32) -> Column {
        Column {
            name: name.to_owned(),
            table_oid: 0,
            column_id: 0,
            type_oid,
            type_size: -1,
            type_modifier: -1,
        }
    }

    fn row(columns: &[Column], form: RowForm, conversion: Conversion, cells: &[Option<&str>]) -> String {
        let mut out = Vec::new();
        RowPlan::new(columns, form, conversion).push(&mut out, cells.iter().copied());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_in_each_form() {
        let columns = [column("id", 23), column("name", 25), column("id", 3802)];
        let cells = [Some("1"), None, Some("{}")];
        let rows = [
            row(&columns, RowForm::Array, Conversion::Raw, &cells),
            row(&columns, RowForm::Array, Conversion::Typed, &cells),
            row(&columns, RowForm::Object, Conversion::Raw, &cells),
            row(&columns, RowForm::Object, Conversion::Typed, &cells),
            row(&[], RowForm::Object, Conversion::Typed, &[]),
            row(&[], RowForm::Array, Conversion::Typed, &[]),
        ];
        insta::assert_snapshot!(rows.join("\n"), @r#"
        ["1",null,"{}"]
        [1,null,{}]
        {"id":"1","name":null,"id":"{}"}
        {"id":1,"name":null,"id":{}}
        {}
        []
        "#);
    }

    #[test]
    fn a_row_that_would_become_too_large_is_not_made() {
        let plan = RowPlan::new(&[column("a", 25)], RowForm::Array, Conversion::Typed);
        let text = "\u{1}".repeat(100_000);
        let mut out = Vec::new();
        assert!(!plan.push_within(&mut out, [Some(&*text)].into_iter(), 200_000));
        assert!(out.is_empty() && out.capacity() < 200_000, "{}", out.capacity());
        assert!(!plan.push_within(&mut out, [Some(&*text)].into_iter(), 600_003));
        assert!(plan.push_within(&mut out, [Some(&*text)].into_iter(), 600_004));
        assert_eq!(out.len(), 600_004);
        assert!(!plan.push_within(&mut out, [Some("a")].into_iter(), 600_008));
        assert_eq!(out.len(), 600_004, "nothing is left of it");
        assert!(plan.push_within(&mut out, [Some("a")].into_iter(), 600_009));
    }

    #[test]
    fn fields_carry_what_the_server_said() {
        let mut out = Vec::new();
        let known = Column { table_oid: 4_294_967_295, column_id: -2, type_size: 4, ..column("x", 23) };
        push_fields(&mut out, &[known, column("x\"}],\"rows\":[[\"", 25)]);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"[{"name":"x","dataTypeID":23,"tableID":4294967295,"columnID":-2,"dataTypeSize":4,"dataTypeModifier":-1,"format":"text"},{"name":"x\"}],\"rows\":[[\"","dataTypeID":25,"tableID":0,"columnID":0,"dataTypeSize":-1,"dataTypeModifier":-1,"format":"text"}]"#);
        let mut out = Vec::new();
        push_columns(&mut out, &[column("a", 23), column("__proto__", 25)]);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"[{"name":"a","type_oid":23},{"name":"__proto__","type_oid":25}]"#);
    }

    proptest! {
        #[test]
        fn any_row_comes_back_equal(cells in prop::collection::vec((any::<String>(), prop::option::of(any::<String>())), 0..6)) {
            let columns: Vec<_> = cells.iter().map(|(name, _)| column(name, 25)).collect();
            let texts: Vec<_> = cells.iter().map(|(_, cell)| cell.as_deref()).collect();

            let array: Vec<Option<String>> =
                serde_json::from_str(&row(&columns, RowForm::Array, Conversion::Typed, &texts)).unwrap();
            prop_assert_eq!(array.iter().map(Option::as_deref).collect::<Vec<_>>(), texts.clone());

            let object: serde_json::Map<String, Value> =
                serde_json::from_str(&row(&columns, RowForm::Object, Conversion::Typed, &texts)).unwrap();
            let last_wins: serde_json::Map<String, Value> =
                cells.iter().map(|(name, cell)| (name.clone(), Value::from(cell.clone()))).collect();
            prop_assert_eq!(object, last_wins);
        }
    }
}
