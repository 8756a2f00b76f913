//! Errors and notices of the server, read from their messages.

use crate::Error;
use crate::wire::Reader;

/// An error or notice of the server: every field of its ErrorResponse.
/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `V`: ERROR, FATAL, PANIC, WARNING, …; never localised.
    pub severity: String,
    /// `C`: the SQLSTATE, five characters.
    pub code: String,
    /// `M`: the primary message.
    pub message: String,
    /// `D`
    pub detail: Option<String>,
    /// `H`
    pub hint: Option<String>,
    /// `P`: 1-based character position in the statement.
    pub position: Option<u32>,
    /// `p`
    pub internal_position: Option<u32>,
    /// `q`
    pub internal_query: Option<String>,
    /// `W`
    pub r#where: Option<String>,
    /// `s`
    pub schema: Option<String>,
    /// `t`
    pub table: Option<String>,
    /// `c`
    pub column: Option<String>,
    /// `d`
    pub data_type: Option<String>,
    /// `n`
    pub constraint: Option<String>,
    /// `F`
    pub file: Option<String>,
    /// `L`
    pub line: Option<u32>,
    /// `R`
    pub routine: Option<String>,
}

impl ServerError {
    /// Reads the body of an ErrorResponse or NoticeResponse.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        Self::read(body, |bytes| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Encoding))
    }

    /// Before the client's encoding is agreed on, the server speaks its own.
    pub(crate) fn parse_at_startup(body: &[u8]) -> Result<Self, Error> {
        Self::read(body, |bytes| Ok(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// The server ends the connection after this.
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }

    /// Takes a name of ours out of what is said.
    pub(crate) fn forget(&mut self, name: &str) {
        let optional = [&mut self.detail, &mut self.hint, &mut self.r#where];
        for text in std::iter::once(&mut self.message).chain(optional.into_iter().flatten()) {
            if text.contains(name) {
                *text = text.replace(name, "");
            }
        }
    }

    /// Bytes of text, about.
    pub(crate) fn size(&self) -> usize {
        let optional = [&self.detail, &self.hint, &self.r#where, &self.internal_query]
            .into_iter()
            .flatten()
            .map(String::len);
        self.message.len() + optional.sum::<usize>() + 256
    }

    fn read(body: &[u8], text: impl Fn(&[u8]) -> Result<String, Error>) -> Result<Self, Error> {
        let mut error = Self::default();
        let mut localised = String::new();
        let mut reader = Reader::new(body);
        loop {
            let field = reader.u8()?;
            if field == 0 {
                break;
            }
            let value = text(reader.cstr()?)?;
            let number = || value.parse().ok();
            match field {
                b'V' => error.severity = value,
                b'S' => localised = value,
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                b'P' => error.position = number(),
                b'p' => error.internal_position = number(),
                b'q' => error.internal_query = Some(value),
                b'W' => error.r#where = Some(value),
                b's' => error.schema = Some(value),
                b't' => error.table = Some(value),
                b'c' => error.column = Some(value),
                b'd' => error.data_type = Some(value),
                b'n' => error.constraint = Some(value),
                b'F' => error.file = Some(value),
                b'L' => error.line = number(),
                b'R' => error.routine = Some(value),
                _ => {}
            }
        }
        reader.end()?;
        if error.severity.is_empty() {
            error.severity = localised;
        }
        Ok(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_kept_and_unknown_ones_are_skipped() {
        let body = b"SFEHLER\0VERROR\0C23505\0Mdouble\0DKey\0Hhint\0P7\0p8\0qselect\0Wctx\0stenant\0tt\0cc\0dd\0nn\0Ff.c\0L12\0Rr\0Zx\0\0";
        let error = ServerError::parse(body).unwrap();
        let some = |text: &str| Some(text.to_owned());
        let expected = ServerError {
            severity: "ERROR".into(),
            code: "23505".into(),
            message: "double".into(),
            detail: some("Key"),
            hint: some("hint"),
            position: Some(7),
            internal_position: Some(8),
            internal_query: some("select"),
            r#where: some("ctx"),
            schema: some("tenant"),
            table: some("t"),
            column: some("c"),
            data_type: some("d"),
            constraint: some("n"),
            file: some("f.c"),
            line: Some(12),
            routine: some("r"),
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_malformed_error_is_an_error_and_not_a_panic() {
        for body in [&b""[..], b"M", b"Mtext", b"Mtext\0", b"\0x"] {
            assert!(matches!(ServerError::parse(body), Err(Error::Protocol(_))), "{body:?}");
        }
        assert_eq!(ServerError::parse(b"M\xff\0\0"), Err(Error::Encoding));
        assert_eq!(ServerError::parse_at_startup(b"M\xff\0\0").map(|e| e.message), Ok("\u{fffd}".into()));
    }
}
