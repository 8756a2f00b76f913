//! Words in SQL text, outside of comments and, where wanted, outside of quotes.
//!
//! This is a search for a reader's attention, not a boundary: text that is put together at run time is not found, and a
//! word in a comment must not be.
//!
//! **Invariants**: never panics and always ends, on any text; positions lie on character boundaries.

/// A word of a text, and what surrounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word as written; a quoted identifier without its quotes.
    pub text: &'a str,
    /// Where it starts in the text, quotes included.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The word before a dot in front of it.
    pub qualifier: Option<&'a str>,
    /// Whether a parenthesis follows: it is called.
    pub called: bool,
}

/// How string constants are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strings {
    /// They are data.
    Skip,
    /// Their words count too: code that is executed from a string, bodies in dollar quotes.
    Search,
}

/// The words of a text.
pub fn words(sql: &str, strings: Strings) -> Vec<Word<'_>> {
    let bytes = sql.as_bytes();
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut at = 0;
    // The last word, while only a dot has come since.
    let mut dotted: Option<&str> = None;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        if rest.starts_with(b"--") {
            at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        } else if rest.starts_with(b"/*") {
            at += comment(rest);
        } else if byte == b'\'' && strings == Strings::Skip {
            at += quoted(rest, b'\'');
            dotted = None;
        } else if byte == b'"' || is_start(byte) {
            let length = if byte == b'"' { quoted(rest, b'"') } else { word(rest) };
            let end = at + length;
            let whole = &sql[at..end];
            let text = if byte == b'"' { whole.trim_matches('"') } else { whole };
            let after = sql[end..].trim_start();
            words.push(Word {
                text,
                start: at,
                end,
                qualifier: dotted.take(),
                called: after.starts_with('('),
            });
            if after.starts_with('.') {
                dotted = Some(text);
            }
            at = end;
        } else if byte == b'$' && strings == Strings::Skip {
            at += dollar(rest);
            dotted = None;
        } else {
            if !(byte == b'.' || byte.is_ascii_whitespace()) {
                dotted = None;
            }
            at += 1;
        }
    }
    words
}

/// The text with every unqualified word of that name replaced.
pub fn replace_word(sql: &str, name: &str, with: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut from = 0;
    for found in words(sql, Strings::Skip) {
        if found.qualifier.is_none()
            && found.text.eq_ignore_ascii_case(name)
            && !sql[found.start..].starts_with('"')
        {
            out.push_str(&sql[from..found.start]);
            out.push_str(with);
            from = found.end;
        }
    }
    out.push_str(&sql[from..]);
    out
}

// Bytes of a character beyond ASCII are letters, as in PostgreSQL's lexer.
fn is_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn word(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| !(is_start(b) || b.is_ascii_digit() || b == b'$')).unwrap_or(bytes.len())
}

/// Length of a quoted text; a doubled quote is part of it. One that is never closed reaches to the end.
fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == quote {
            if bytes.get(at) != Some(&quote) {
                return at;
            }
            at += 1;
        }
    }
    at
}

/// Length of a comment; PostgreSQL's nest.
fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
    }
    at.min(bytes.len())
}

/// Length of a dollar-quoted text, or 1 if it is none (a parameter, for example).
fn dollar(bytes: &[u8]) -> usize {
    let tag =
        1 + bytes[1..].iter().position(|&b| !(is_start(b) || b.is_ascii_digit())).unwrap_or(bytes.len() - 1);
    if bytes.get(tag) != Some(&b'$') || bytes.get(1).is_some_and(u8::is_ascii_digit) {
        return 1;
    }
    let open = &bytes[..=tag];
    let body = &bytes[open.len()..];
    body.windows(open.len())
        .position(|window| window == open)
        .map_or(bytes.len(), |found| found + 2 * open.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str, strings: Strings) -> Vec<&str> {
        words(sql, strings).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn comments_strings_and_dollar_quotes_are_not_code() {
        let sql = "a -- session_user\n/* x /* session_user */ session_user */ 'session_user''' $q$session_user$q$ $1 b";
        assert_eq!(found(sql, Strings::Skip), ["a", "b"]);
        assert_eq!(
            found("execute 'select session_user' -- x", Strings::Search),
            ["execute", "select", "session_user"]
        );
    }

    #[test]
    fn a_word_knows_its_qualifier_and_whether_it_is_called() {
        let sql = r#"postern . fact ('x'), fact('y'), "fact"('z'), t.fact, fact"#;
        let facts: Vec<_> =
            words(sql, Strings::Skip).into_iter().filter(|word| word.text == "fact").collect();
        assert_eq!(
            facts.iter().map(|word| (word.qualifier, word.called)).collect::<Vec<_>>(),
            [(Some("postern"), true), (None, true), (None, true), (Some("t"), false), (None, false)]
        );
    }

    #[test]
    fn only_the_bare_word_is_replaced() {
        assert_eq!(
            replace_word(
                "(SESSION_USER = 'session_user' AND t.session_user = \"session_user\")",
                "session_user",
                "CURRENT_USER"
            ),
            "(CURRENT_USER = 'session_user' AND t.session_user = \"session_user\")"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scanned_to_its_end(sql in r#"([a-z.('"$/*\n -]|ä|\PC){0,60}"#) {
            for strings in [Strings::Skip, Strings::Search] {
                for word in words(&sql, strings) {
                    proptest::prop_assert!(sql.get(word.start..word.end).is_some());
                }
            }
        }
    }
}
