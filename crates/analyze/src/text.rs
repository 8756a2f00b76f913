//! Places in text, identifiers, and string literals: small things that must be exact.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;

/// How many words are remembered, reserved or not.
const MOST_ASKED: usize = 20_000;

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The position of a byte.
pub fn position(text: &str, byte: usize) -> Position {
    let byte = floor(text, byte);
    let before = &text[..byte];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    Position { line: before.matches('\n').count() + 1, column: text[start..byte].chars().count() + 1 }
}

/// Where the lines of a text begin: for many positions in one text.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    /// The text.
    pub text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Of a text.
    pub fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect() }
    }

    /// The line of a byte.
    pub fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte)
    }

    /// The first byte of a line.
    pub fn start(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0)
    }

    /// The position of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let byte = floor(self.text, byte);
        let line = self.line(byte);
        Position { line, column: self.text[self.start(line)..byte].chars().count() + 1 }
    }

    /// The line that bytes begin on, and how many characters of it they are.
    pub fn excerpt(&self, span: &Range<usize>) -> (String, usize) {
        let start = self.start(self.line(floor(self.text, span.start)));
        let line = self.text[start..].lines().next().unwrap_or_default();
        let end = floor(self.text, span.end.min(start + line.len()));
        let meant = self.text.get(floor(self.text, span.start)..end).unwrap_or_default();
        (line.to_owned(), meant.chars().count().max(1))
    }
}

/// Is one of the words, in lower case, somewhere in a text in any case?
pub fn mentions<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> bool {
    let lower = text.to_ascii_lowercase();
    words.into_iter().any(|word| lower.contains(word))
}

/// The nearest boundary of a character at or before a byte.
pub fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// An identifier as SQL needs it written.
pub fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$')
        && !reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The name that an identifier means, as it is written: folded, unless quoted.
pub fn identifier(written: &str) -> String {
    match written.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => written.to_ascii_lowercase(),
    }
}

/// The longest word of the grammar: `current_timestamp`.
const LONGEST_KEYWORD: usize = 17;

/// A word that the grammar does not take everywhere as a name: the server's own scanner says so. It is asked once for each word,
/// since the same few thousand are quoted again and again; and not for what no word of the grammar is like.
fn reserved(name: &str) -> bool {
    if name.len() > LONGEST_KEYWORD || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return false;
    }
    thread_local! {
        static ASKED: RefCell<HashMap<String, bool>> = RefCell::default();
    }
    ASKED.with_borrow_mut(|asked| {
        if let Some(&known) = asked.get(name) {
            return known;
        }
        let answer =
            crate::parse::tokens(name).is_ok_and(|tokens| tokens.first().is_some_and(|token| token.keyword));
        if asked.len() >= MOST_ASKED {
            asked.clear();
        }
        asked.insert(name.to_owned(), answer);
        answer
    })
}

/// A string literal that means this text.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The text of a literal, and for each of its bytes where it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What the literal means.
    pub text: String,
    /// Where it stands.
    pub places: Places,
}

/// Where the bytes of a text stand in its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(Map);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Map {
    // The source is the text, from here on.
    Shift(usize),
    // From a byte of the text on, from a byte of the source on; and where the source ends.
    Pieces(Vec<(usize, usize)>, usize),
}

impl Decoded {
    /// A text that is its own source, at an offset.
    pub fn plain(text: &str, offset: usize) -> Self {
        Self { text: text.to_owned(), places: Places(Map::Shift(offset)) }
    }

    /// Where a byte of the text stands in the source.
    pub fn source(&self, byte: usize) -> usize {
        self.places.source(byte)
    }

    /// May the text be edited where it stands, byte for byte?
    pub fn is_identity(&self) -> bool {
        self.places.is_identity()
    }
}

impl Places {
    /// Where a byte of the text stands in the source.
    pub fn source(&self, byte: usize) -> usize {
        match &self.0 {
            Map::Shift(offset) => byte + offset,
            Map::Pieces(pieces, end) => {
                let after = pieces.partition_point(|(from, _)| *from <= byte);
                let (from, source) = after.checked_sub(1).map_or((0, 0), |at| pieces[at]);
                (source + byte - from).min(*end)
            }
        }
    }

    /// May the text be edited where it stands, byte for byte?
    pub fn is_identity(&self) -> bool {
        matches!(self.0, Map::Shift(_))
    }
}

/// Reads a literal as it stands in the source at an offset: `'…'`, `E'…'`, or dollar quotes. Others are `None`.
pub fn decode(literal: &str, offset: usize) -> Option<Decoded> {
    if let Some(rest) = literal.strip_prefix('$') {
        let tag = rest.find('$')? + 2;
        let end = literal.len().checked_sub(tag).filter(|&end| end >= tag)?;
        return Some(Decoded::plain(literal.get(tag..end)?, offset + tag));
    }
    let (escapes, start) = match literal.as_bytes() {
        [b'\'', ..] => (false, 1),
        [b'e' | b'E', b'\'', ..] => (true, 2),
        _ => return None,
    };
    let body = literal.get(start..literal.len().checked_sub(1)?)?;
    let (mut text, mut pieces) = (String::new(), vec![(0, offset + start)]);
    let mut chars = body.char_indices().peekable();
    while let Some((at, character)) = chars.next() {
        let meant = match character {
            '\'' => {
                // Two literals on two lines are one; their places are not worth keeping.
                chars.next_if(|&(_, next)| next == '\'')?;
                '\''
            }
            '\\' if escapes => match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other if other.is_alphanumeric() => return None,
                other => other,
            },
            other => other,
        };
        let (from, source) = pieces[pieces.len() - 1];
        if source + text.len() - from != offset + start + at {
            pieces.push((text.len(), offset + start + at));
        }
        text.push(meant);
    }
    let end = offset + start + body.len();
    if text.len() < body.len() {
        pieces.push((text.len(), end));
    }
    Some(Decoded { text, places: Places(Map::Pieces(pieces, end)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters() {
        let text = "select\n  'ä', b";
        assert_eq!(position(text, text.find('b').unwrap()), Position { line: 2, column: 8 });
        assert_eq!(position(text, 0), Position { line: 1, column: 1 });
        assert_eq!(position(text, 999), Position { line: 2, column: 9 });
    }

    #[test]
    fn literals_are_read_with_their_places() {
        let source = "x = 'it''s'";
        let decoded = decode(&source[4..], 4).unwrap();
        assert_eq!(decoded.text, "it's");
        let place = |byte| decoded.source(byte);
        assert_eq!((&source[place(3)..place(4)], &source[place(2)..place(3)], place(0)), ("s", "''", 5));
        let ends = decode("'x''''ä'", 7).unwrap();
        let places: Vec<usize> = (0..7).map(|byte| ends.source(byte)).collect();
        assert_eq!((ends.text.as_str(), places), ("x''ä", vec![8, 9, 11, 13, 14, 15, 15]));
        let dollar = decode("$f$body$f$", 10).unwrap();
        assert_eq!((dollar.text.as_str(), dollar.source(0), dollar.is_identity()), ("body", 13, true));
        assert_eq!(decode("E'a\\nb\\'c'", 0).unwrap().text, "a\nb'c");
        assert!(decode("$$", 0).is_none() && decode("'", 0).is_none());
    }

    #[test]
    fn identifiers_are_quoted_when_they_must_be() {
        assert_eq!(quote("a_1"), "a_1");
        assert_eq!(quote("A"), "\"A\"");
        assert_eq!(quote("user"), "\"user\"");
        assert_eq!(quote("x\"y"), "\"x\"\"y\"");
    }
}
