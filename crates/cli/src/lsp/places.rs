//! Bytes of a text as the positions of an editor, and back. A line ends with `\n`, `\r\n` or `\r`, as the protocol has it.

use std::ops::Range;

use lsp_types::Position;

/// A text and where its lines begin.
pub struct Places<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// Does the editor count bytes, and not units of UTF-16?
    bytes: bool,
}

impl<'t> Places<'t> {
    pub fn new(text: &'t str, bytes: bool) -> Self {
        let bytes_of = text.as_bytes();
        let ends = |&(at, byte): &(usize, &u8)| match byte {
            b'\n' => true,
            b'\r' => bytes_of.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        let after = bytes_of.iter().enumerate().filter(ends).map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect(), bytes }
    }

    pub fn position(&self, byte: usize) -> Position {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let line = self.starts.partition_point(|&start| start <= byte) - 1;
        let before = &self.text[self.starts[line]..byte];
        let character = if self.bytes { before.len() } else { before.encode_utf16().count() };
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: narrow(line), character: narrow(character) }
    }

    pub fn range(&self, span: &Range<usize>) -> lsp_types::Range {
        lsp_types::Range { start: self.position(span.start), end: self.position(span.end) }
    }

    /// The byte at a position; one past the end of its line is the end.
    pub fn byte(&self, position: Position) -> usize {
        let line = usize::try_from(position.line).unwrap_or(usize::MAX);
        let Some(&start) = self.starts.get(line) else { return self.text.len() };
        let whole = &self.text[start..self.starts.get(line + 1).copied().unwrap_or(self.text.len())];
        let end = start + whole.trim_end_matches(['\r', '\n']).len();
        let mut left = usize::try_from(position.character).unwrap_or(usize::MAX);
        for (at, character) in self.text[start..end].char_indices() {
            let width = if self.bytes { character.len_utf8() } else { character.len_utf16() };
            if left < width {
                return start + at;
            }
            left -= width;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_as_the_editor_does() {
        let text = "ä😀x\r\ny\n";
        let x = text.find('x').unwrap();
        let utf16 = Places::new(text, false);
        assert_eq!(utf16.position(x), Position { line: 0, character: 3 });
        assert_eq!(utf16.byte(Position { line: 0, character: 3 }), x);
        assert_eq!(utf16.byte(Position { line: 0, character: 2 }), text.find('😀').unwrap());
        let utf8 = Places::new(text, true);
        assert_eq!(utf8.position(x), Position { line: 0, character: 6 });
        assert_eq!(utf8.position(text.find('y').unwrap()), Position { line: 1, character: 0 });
        for places in [utf16, utf8] {
            assert_eq!(places.byte(Position { line: 9, character: 9 }), text.len());
            assert_eq!(places.byte(Position { line: 1, character: 9 }), text.len() - 1);
            // The end of a line is before all of what ends it.
            assert_eq!(places.byte(Position { line: 0, character: 99 }), x + 1);
        }
        let old = "a\rb\r\nc";
        let places = Places::new(old, false);
        assert_eq!(places.position(2), Position { line: 1, character: 0 });
        assert_eq!(places.byte(Position { line: 2, character: 0 }), 5);
    }
}
