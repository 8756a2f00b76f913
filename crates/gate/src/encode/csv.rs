//! CSV, as `COPY … TO STDOUT (FORMAT csv, HEADER)` writes it.
//!
//! Fields are separated by commas, lines end in a line feed; NULL is an empty field, the empty text is `""`. One thing more
//! than COPY does: a field that begins with `\.` is always quoted, so that a *line* that begins with `\.` is no data.

use postern_pool::Column;

/// Appends the names of the columns.
pub(crate) fn push_header(out: &mut Vec<u8>, columns: &[Column]) {
    push_row(out, columns.iter().map(|column| Some(column.name.as_str())));
}

/// Appends one row.
pub(crate) fn push_row<'a>(out: &mut Vec<u8>, cells: impl Iterator<Item = Option<&'a str>>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if let Some(cell) = cell {
            push_field(out, cell);
        }
    }
    out.push(b'\n');
}

fn push_field(out: &mut Vec<u8>, field: &str) {
    let bytes = field.as_bytes();
    let plain = !bytes.is_empty()
        && !bytes.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
        && !bytes.starts_with(b"\\.");
    if plain {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for part in bytes.split_inclusive(|&byte| byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(cells: &[Option<&str>]) -> String {
        let mut out = Vec::new();
        push_row(&mut out, cells.iter().copied());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_quoted_where_copy_quotes_them() {
        assert_eq!(line(&[Some("a"), None, Some(""), Some("b c")]), "a,,\"\",b c\n");
        assert_eq!(
            line(&[Some("a,b"), Some("c\"d"), Some("e\nf"), Some("g\rh")]),
            "\"a,b\",\"c\"\"d\",\"e\nf\",\"g\rh\"\n"
        );
        assert_eq!(line(&[Some("\\."), Some("\\.x"), Some("x\\.")]), "\"\\.\",\"\\.x\",x\\.\n");
        assert_eq!(line(&[Some("\"")]), "\"\"\"\"\n");
        assert_eq!(line(&[]), "\n");
    }

    proptest! {
        #[test]
        fn any_row_comes_back_equal(cells in prop::collection::vec(any::<String>(), 2..6)) {
            let texts: Vec<_> = cells.iter().map(|cell| Some(cell.as_str())).collect();
            let line = line(&texts);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(record.iter().map(str::to_owned).collect::<Vec<_>>(), cells);
            prop_assert!(!line.starts_with("\\."));
        }
    }
}
