//! PostgreSQL's lexical rules, as far as one must know them to say where in a statement `$name` is a value.
//!
//! [`Lexer`] cuts a statement into pieces that together are the statement again. It knows string literals with their
//! escapes and continuations, quoted identifiers, dollar quotes, nested comments, identifiers (which may hold a `$`),
//! and positional parameters. It never fails: what PostgreSQL would refuse, an unterminated literal say, ends with the
//! text, and PostgreSQL will say so.

use std::ops::Range;

/// How a string literal escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// `'…'`: a quote is doubled.
    Quote,
    /// `E'…'`: a backslash escapes too.
    Backslash,
    /// `U&'…'`: this character escapes.
    Unicode(char),
}

/// One piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// White space or a comment.
    Blank,
    /// A keyword, an identifier without quotes, or a number.
    Word,
    /// `"…"`, a dollar-quoted string: not looked into.
    Closed,
    /// A string literal with its quotes.
    Literal(Escape),
    /// `$1`.
    Positional,
    /// `$` and the start of a name; only these two characters or so: how far it reaches depends on the names there are.
    Dollar,
    /// Anything else, one character.
    Symbol,
}

/// See the module.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    conforming: bool,
}

impl<'a> Lexer<'a> {
    /// `conforming`: the setting `standard_conforming_strings`.
    pub(crate) fn new(text: &'a str, conforming: bool) -> Self {
        Self { text, at: 0, conforming }
    }

    /// Goes on from another place; for whoever knows how far a reference reached.
    pub(crate) fn jump(&mut self, to: usize) {
        self.at = to;
    }

    pub(crate) fn next(&mut self) -> Option<(Piece, Range<usize>)> {
        let start = self.at;
        let rest = self.text.get(start..)?;
        let first = rest.chars().next()?;
        let bytes = rest.as_bytes();
        let (piece, length) = match first {
            c if is_space(c) => (Piece::Blank, take(rest, is_space)),
            '-' if bytes.get(1) == Some(&b'-') => (Piece::Blank, take(rest, |c| !matches!(c, '\n' | '\r'))),
            '/' if bytes.get(1) == Some(&b'*') => (Piece::Blank, block_comment(bytes)),
            '\'' => {
                let escape = if self.conforming { Escape::Quote } else { Escape::Backslash };
                (Piece::Literal(escape), literal(bytes, 0, escape))
            }
            '"' => (Piece::Closed, literal_of(bytes, 1, b'"')),
            '$' => Self::dollar(rest),
            c if starts_word(c) => self.word(rest),
            c if c.is_ascii_digit() => (Piece::Word, number(rest)),
            c => (Piece::Symbol, c.len_utf8()),
        };
        self.at = start + length;
        Some((piece, start..self.at))
    }

    fn dollar(rest: &str) -> (Piece, usize) {
        let bytes = rest.as_bytes();
        match rest[1..].chars().next() {
            Some(c) if c.is_ascii_digit() => {
                (Piece::Positional, 1 + take(&rest[1..], |c| c.is_ascii_digit()))
            }
            Some('$') => (Piece::Closed, dollar_body(rest, 2)),
            Some(c) if starts_word(c) => {
                let tag = 1 + take(&rest[1..], |c| starts_word(c) || c.is_ascii_digit());
                if bytes.get(tag) == Some(&b'$') {
                    (Piece::Closed, dollar_body(rest, tag + 1))
                } else {
                    (Piece::Dollar, 1)
                }
            }
            _ => (Piece::Symbol, 1),
        }
    }

    fn word(&self, rest: &str) -> (Piece, usize) {
        let bytes = rest.as_bytes();
        let length = take(rest, |c| starts_word(c) || c.is_ascii_digit() || c == '$');
        match (&rest[..length], bytes.get(length)) {
            ("e" | "E", Some(b'\'')) => {
                (Piece::Literal(Escape::Backslash), literal(bytes, 1, Escape::Backslash))
            }
            ("b" | "B" | "x" | "X", Some(b'\'')) => {
                (Piece::Literal(Escape::Quote), literal(bytes, 1, Escape::Quote))
            }
            ("n" | "N", Some(b'\'')) => {
                let escape = if self.conforming { Escape::Quote } else { Escape::Backslash };
                (Piece::Literal(escape), literal(bytes, 1, escape))
            }
            ("u" | "U", Some(b'&')) if bytes.get(2) == Some(&b'\'') => {
                let end = literal(bytes, 2, Escape::Quote);
                (Piece::Literal(Escape::Unicode(unicode_escape(rest.get(end..).unwrap_or("")))), end)
            }
            ("u" | "U", Some(b'&')) if bytes.get(2) == Some(&b'"') => {
                (Piece::Closed, literal_of(bytes, 3, b'"'))
            }
            _ => (Piece::Word, length),
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

/// The length in bytes of the longest start of `text` of which `fits` holds.
fn take(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

fn number(rest: &str) -> usize {
    let mut length = take(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    // An exponent's sign belongs to the number: in `1e-5` no operator stands.
    let bytes = rest.as_bytes();
    if matches!(bytes[length - 1], b'e' | b'E') && matches!(bytes.get(length), Some(b'+' | b'-')) {
        let digits = take(&rest[length + 1..], |c| c.is_ascii_digit());
        if digits > 0 {
            length += 1 + digits;
        }
    }
    length
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1_usize);
    while depth > 0 {
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) => return bytes.len(),
            (Some(b'*'), Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            (Some(b'/'), Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    at
}

/// The end of what is quoted by `quote`, which is doubled inside; `at` is behind the opening one.
fn literal_of(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(byte) if *byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            Some(byte) if *byte == quote => return at + 1,
            Some(_) => at += 1,
        }
    }
}

/// The end of a string literal whose opening quote is at `open`, its continuations on later lines included.
fn literal(bytes: &[u8], open: usize, escape: Escape) -> usize {
    let mut at = open + 1;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'\\') if escape == Escape::Backslash => at += 2,
            Some(b'\'') if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            Some(b'\'') => match continuation(bytes, at + 1) {
                Some(next) => at = next,
                None => return at + 1,
            },
            Some(_) => at += 1,
        }
    }
}

/// Behind the opening quote of a literal that goes on: only white space with a line end in it, and comments to the
/// end of a line, stand between.
fn continuation(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut line = false;
    loop {
        match bytes.get(at)? {
            b'\n' | b'\r' => (line, at) = (true, at + 1),
            b' ' | b'\t' | b'\x0b' | b'\x0c' => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            }
            b'\'' if line => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of a dollar-quoted string whose opening tag is `rest[..tag]`.
fn dollar_body(rest: &str, tag: usize) -> usize {
    let (mark, body) = rest.split_at(tag);
    body.find(mark).map_or(rest.len(), |found| tag + found + tag)
}

/// The escape character of a `U&` literal, from the text behind it.
fn unicode_escape(rest: &str) -> char {
    let rest = rest.trim_start_matches(is_space);
    let named = rest.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("uescape"));
    let mut chars = rest.get(7..).unwrap_or("").trim_start_matches(is_space).chars();
    match (named, chars.next(), chars.next(), chars.next()) {
        (true, Some('\''), Some(escape), Some('\'')) => escape,
        _ => '\\',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &str) -> Vec<(Piece, &str)> {
        let mut lexer = Lexer::new(text, true);
        std::iter::from_fn(|| lexer.next()).map(|(piece, range)| (piece, &text[range])).collect()
    }

    fn only(text: &str) -> Piece {
        let found = pieces(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].0
    }

    #[test]
    fn literals_end_where_postgresql_ends_them() {
        assert_eq!(only("'it''s'"), Piece::Literal(Escape::Quote));
        assert_eq!(only(r"E'it\'s'"), Piece::Literal(Escape::Backslash));
        assert_eq!(only("E'a'  -- more\n 'b\\'c'"), Piece::Literal(Escape::Backslash));
        assert_eq!(only(r"U&'\0041'"), Piece::Literal(Escape::Unicode('\\')));
        assert_eq!(pieces("U&'!0041' UESCAPE '!'")[0].0, Piece::Literal(Escape::Unicode('!')));
        assert_eq!(pieces(r"'\' 'x'").len(), 3);
        assert_eq!(only("\"a\"\"b\""), Piece::Closed);
        assert_eq!(only("$tag$ $x$ ' $tag$"), Piece::Closed);
        assert_eq!(only("/* /* */ ' */"), Piece::Blank);
        assert_eq!(only("'open"), Piece::Literal(Escape::Quote));
        assert_eq!(only("E'\\"), Piece::Literal(Escape::Backslash));
    }

    #[test]
    fn a_dollar_in_an_identifier_is_part_of_it() {
        assert_eq!(only("v$session"), Piece::Word);
        assert_eq!(only("$12"), Piece::Positional);
        assert_eq!(pieces("$x")[0].0, Piece::Dollar);
        assert_eq!(pieces("x=$x")[2].0, Piece::Dollar);
        assert_eq!(only("1e-5"), Piece::Word);
    }

    #[test]
    fn without_standard_strings_a_backslash_escapes() {
        let text = r"'\' or $x --'";
        let mut lexer = Lexer::new(text, false);
        assert_eq!(lexer.next(), Some((Piece::Literal(Escape::Backslash), 0..text.len())));
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_again(text in "([ \n'\"$E&Ux/*\\-\\\\a-c1é]|U&'){0,60}", conforming: bool) {
            let mut lexer = Lexer::new(&text, conforming);
            let mut end = 0;
            while let Some((_, range)) = lexer.next() {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start && range.end <= text.len());
                prop_assert!(text.is_char_boundary(range.end));
                end = range.end;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
