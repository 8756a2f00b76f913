//! What the server answers, in order.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Error;
use crate::wire::Reader;

/// The answer to a request, piece by piece.
///
/// For each statement: `Columns`, any number of `Row`, then `Complete` (or `Empty`, for a statement without SQL). After the
/// last statement: `Committed`. **Nothing is true before `Committed`**: deferred constraints, deferred triggers and
/// serialization failures come after `Complete`.
#[derive(Debug, Clone)]
pub enum Event {
    /// The columns of a statement; empty for a statement that returns no rows.
    Columns(Arc<[Column]>),
    /// One row.
    Row(Row),
    /// A statement ended, with its command tag, for example `INSERT 0 2`.
    Complete(String),
    /// A statement without SQL ended: nothing, `;` or a comment.
    Empty,
    /// A notice or warning that the statement in flight raised.
    Notice(Box<crate::ServerError>),
    /// The transaction is committed. The last event.
    Committed,
}

/// One column, as RowDescription says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, valid UTF-8.
    pub name: String,
    /// OID of the table it comes from, or 0.
    pub table_oid: u32,
    /// Attribute number in that table, or 0.
    pub column_id: i16,
    /// OID of its type.
    pub type_oid: u32,
    /// Length of the type in bytes; negative for variable length.
    pub type_size: i16,
    /// Type modifier, or -1.
    pub type_modifier: i32,
}

/// One row: the cells of a DataRow message as they came, in one allocation shared with its neighbours.
///
/// **Invariant.** `cells` holds `count` cells, each a length (-1 for NULL) and that many bytes of UTF-8, and nothing else.
#[derive(Debug, Clone)]
pub struct Row {
    cells: Bytes,
    count: u16,
}

impl Row {
    /// Reads a DataRow, checking its shape and its text once.
    pub(crate) fn parse(mut body: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(&body);
        let count = reader.u16()?;
        for _ in 0..count {
            match reader.i32()? {
                -1 => {}
                length => {
                    let length =
                        usize::try_from(length).map_err(|_| Error::Protocol("a cell of negative length"))?;
                    std::str::from_utf8(reader.take(length)?).map_err(|_| Error::Encoding)?;
                }
            }
        }
        reader.end()?;
        body.advance(2);
        Ok(Self { cells: body, count })
    }

    /// A row of these cells, for tests of what reads rows. Cells after the 65,535th are left out.
    pub fn from_cells<'a>(cells: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut body = BytesMut::new();
        let mut count = 0;
        for cell in cells.into_iter().take(usize::from(u16::MAX)) {
            count += 1;
            match cell.and_then(|text| Some((text, i32::try_from(text.len()).ok()?))) {
                Some((text, length)) => {
                    body.put_i32(length);
                    body.put_slice(text.as_bytes());
                }
                None => body.put_i32(-1),
            }
        }
        Self { cells: body.freeze(), count }
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// A row of no columns: `select from t`.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the row in bytes, as it came over the wire.
    pub fn size(&self) -> usize {
        self.cells.len()
    }

    /// The cells in order; `None` is NULL.
    pub fn cells(&self) -> Cells<'_> {
        Cells { rest: &self.cells, left: self.count }
    }

    /// One cell: `None` if it is NULL or not there. For all cells, [`Row::cells`] is faster.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.cells().nth(index).flatten()
    }
}

/// The cells of a [`Row`].
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (length, rest) =
            self.rest.split_first_chunk().expect("the shape was checked when the row was read");
        match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => {
                self.rest = rest;
                Some(None)
            }
            Ok(length) => {
                let (cell, rest) = rest.split_at(length);
                self.rest = rest;
                Some(Some(std::str::from_utf8(cell).expect("the text was checked when the row was read")))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Cells<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(body: &[u8]) -> Result<Row, Error> {
        Row::parse(Bytes::copy_from_slice(body))
    }

    #[test]
    fn cells_are_found_and_null_is_not_empty() {
        let row = row(b"\0\x03\0\0\0\x02hi\xff\xff\xff\xff\0\0\0\0").unwrap();
        assert_eq!(row.cells().collect::<Vec<_>>(), [Some("hi"), None, Some("")]);
        assert_eq!((row.get(0), row.get(1), row.get(2), row.get(3)), (Some("hi"), None, Some(""), None));
        assert_eq!(row.cells().len(), 3);
        let made = Row::from_cells([Some("hi"), None, Some("")]);
        assert_eq!(made.cells().collect::<Vec<_>>(), row.cells().collect::<Vec<_>>());
    }

    #[test]
    fn a_malformed_row_is_refused_when_it_is_read() {
        for body in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01\0\0\0\x05hi",
            b"\0\x01\x7f\xff\xff\xff",
            b"\0\x01\xff\xff\xff\xfe",
            b"\0\0x",
        ] {
            assert!(matches!(row(body), Err(Error::Protocol(_))), "{body:?}");
        }
        assert_eq!(row(b"\0\x01\0\0\0\x01\xe9").err(), Some(Error::Encoding));
    }
}
