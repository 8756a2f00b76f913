//! Messages of the server: cut from the stream, and read without trust.
//!
//! **Invariants.** No byte of the server can cause a panic: a message is over the limit ([`Error::TooLarge`]), has the wrong
//! shape ([`Error::Protocol`]) or bad text ([`Error::Encoding`]), or is read whole. Memory for a message grows with the bytes
//! that have come, never with the length that was announced.

use bytes::{Bytes, BytesMut};

use crate::{Column, Error};

const HEADER: usize = 5;

/// One message: its tag and its body.
#[derive(Debug)]
pub(crate) struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// Cuts the next whole message off `input`, if it is there.
pub(crate) fn frame(input: &mut BytesMut, limit: usize) -> Result<Option<Frame>, Error> {
    let [tag, a, b, c, d, ..] = **input else {
        return Ok(None);
    };
    let announced = u32::from_be_bytes([a, b, c, d]) as usize;
    if announced < HEADER - 1 {
        return Err(Error::Protocol("a message is shorter than its header"));
    }
    if announced > limit {
        return Err(Error::TooLarge { limit });
    }
    let total = announced + 1;
    if input.len() < total {
        return Ok(None);
    }
    let body = input.split_to(total).freeze().slice(HEADER..);
    Ok(Some(Frame { tag, body }))
}

/// Reads the parts of a message's body.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (head, rest) =
            self.0.split_at_checked(length).ok_or(Error::Protocol("a message ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Error::Protocol("a message ends too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn i16(&mut self) -> Result<i16, Error> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// Bytes up to a NUL, which is eaten.
    pub fn cstr(&mut self) -> Result<&'a [u8], Error> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Error::Protocol("a text has no end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    pub fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.cstr()?).map_err(|_| Error::Encoding)
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    pub fn end(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Protocol("a message is longer than its parts")) }
    }
}

/// Reads a RowDescription.
pub(crate) fn columns(body: &[u8]) -> Result<Vec<Column>, Error> {
    let mut reader = Reader::new(body);
    let count = reader.u16()?;
    let mut columns = Vec::with_capacity(usize::from(count).min(body.len() / 19 + 1));
    for _ in 0..count {
        columns.push(Column {
            name: reader.text()?.to_owned(),
            table_oid: reader.u32()?,
            column_id: reader.i16()?,
            type_oid: reader.u32()?,
            type_size: reader.i16()?,
            type_modifier: reader.i32()?,
        });
        if reader.i16()? != 0 {
            return Err(Error::Protocol("a column is not in text format"));
        }
    }
    reader.end()?;
    Ok(columns)
}

/// Reads the command tag of a CommandComplete.
pub(crate) fn command_tag(body: &[u8]) -> Result<&str, Error> {
    let mut reader = Reader::new(body);
    let tag = reader.text()?;
    reader.end()?;
    Ok(tag)
}

/// Reads the transaction status of a ReadyForQuery.
pub(crate) fn transaction_status(body: &[u8]) -> Result<u8, Error> {
    let mut reader = Reader::new(body);
    let status = reader.u8()?;
    reader.end()?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_message_is_cut_only_when_it_is_whole() {
        let bytes = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
        let mut input = BytesMut::new();
        let mut seen = Vec::new();
        for byte in bytes {
            input.extend_from_slice(&[byte]);
            if let Some(frame) = frame(&mut input, 1000).unwrap() {
                seen.push((frame.tag, frame.body.to_vec()));
            }
        }
        assert_eq!(seen, [(b'C', b"SELECT 1\0".to_vec()), (b'Z', b"I".to_vec())]);
        assert!(input.is_empty());
    }

    #[test]
    fn a_message_over_the_limit_is_refused_by_its_header_alone() {
        let mut input = BytesMut::from(&b"D\x7f\xff\xff\xff"[..]);
        assert_eq!(frame(&mut input, 1 << 20).unwrap_err(), Error::TooLarge { limit: 1 << 20 });
        let mut input = BytesMut::from(&b"D\xff\xff\xff\xff"[..]);
        assert_eq!(frame(&mut input, 1 << 20).unwrap_err(), Error::TooLarge { limit: 1 << 20 });
        let mut input = BytesMut::from(&b"D\0\0\0\x03"[..]);
        assert!(matches!(frame(&mut input, 1 << 20), Err(Error::Protocol(_))));
    }

    #[test]
    fn columns_are_read_whole_or_refused() {
        let mut body = vec![0, 1];
        body.extend(b"id\0");
        body.extend(16_384_u32.to_be_bytes());
        body.extend(2_i16.to_be_bytes());
        body.extend(23_u32.to_be_bytes());
        body.extend(4_i16.to_be_bytes());
        body.extend((-1_i32).to_be_bytes());
        body.extend(0_i16.to_be_bytes());
        let expected = Column {
            name: "id".into(),
            table_oid: 16_384,
            column_id: 2,
            type_oid: 23,
            type_size: 4,
            type_modifier: -1,
        };
        assert_eq!(columns(&body), Ok(vec![expected]));
        for cut in 0..body.len() {
            assert!(columns(&body[..cut]).is_err(), "cut at {cut}");
        }
        let last = body.len() - 1;
        body[last] = 1;
        assert!(matches!(columns(&body), Err(Error::Protocol(_))), "binary format");
        body[2] = 0xff;
        assert_eq!(columns(&body), Err(Error::Encoding));
        assert!(columns(&[0xff, 0xff]).is_err(), "many columns announced, none there");
    }
}
