//! Statements of a file, as `psql` would send them.
//!
//! Only quotes, comments, brackets and `BEGIN ATOMIC` are understood, so that a statement which is broken inside spoils no other.
//! Lines for `psql` itself, and the data that follow `COPY … FROM stdin`, are no statements. Nor is what a tool for migrations runs
//! to undo one: where both directions are in one file, comments say which is which ([`DOWN`], [`UP`]).

use std::ops::Range;

/// What the comment begins with that stands before the statements which undo a migration: of dbmate, goose, sql-migrate,
/// node-pg-migrate, rambler, MyBatis and tern.
const DOWN: [&str; 7] = [
    "migrate:down",
    "+goose down",
    "+migrate down",
    "down migration",
    "rambler down",
    "//@undo",
    "-- create above / drop below --",
];

/// What the comment begins with that stands before those which make it.
const UP: [&str; 5] = ["migrate:up", "+goose up", "+migrate up", "up migration", "rambler up"];

/// What a file consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A statement, without its semicolon.
    Statement(Range<usize>),
    /// A command of `psql`: from its backslash to the end of the line.
    Command(Range<usize>),
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the statement begins, if it has begun.
    start: Option<usize>,
    /// The end of its last word or sign.
    end: usize,
    brackets: usize,
    /// Open `BEGIN ATOMIC` and `CASE`.
    blocks: usize,
    /// The last word, in lower case.
    word: Vec<u8>,
    /// The first words of the statement.
    head: Vec<Vec<u8>>,
    parts: Vec<Part>,
}

/// Splits a file.
pub fn split(text: &str) -> Vec<Part> {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        start: None,
        end: 0,
        brackets: 0,
        blocks: 0,
        word: Vec::new(),
        head: Vec::new(),
        parts: Vec::new(),
    };
    while reader.at < reader.text.len() {
        reader.step();
    }
    reader.finish();
    reader.parts
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn find(&self, from: usize, what: &[u8]) -> Option<usize> {
        let rest = self.text.get(from..)?;
        rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
    }

    fn line_end(&self, from: usize) -> usize {
        self.find(from, b"\n").unwrap_or(self.text.len())
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (b'-', b'-') => self.remark(),
            (b'/', b'*') => self.comment(),
            (b'\'', _) => {
                let escapes = self.text[..self.at].ends_with(b"e") || self.text[..self.at].ends_with(b"E");
                let escapes = escapes && self.word.eq_ignore_ascii_case(b"e");
                self.quoted(b'\'', escapes);
            }
            (b'"', _) => self.quoted(b'"', false),
            (b'$', _) if self.word.is_empty() || !self.adjacent() => self.dollar(),
            (b'\\', _) => self.command(),
            (b';', _) if self.brackets == 0 && self.blocks == 0 => {
                self.finish();
                self.at += 1;
                if std::mem::take(&mut self.head).first().is_some_and(|word| word == b"copy") {
                    self.copied();
                }
            }
            (byte, _) if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => self.name(),
            (byte, _) => {
                match byte {
                    b'(' | b'[' => self.brackets += 1,
                    b')' | b']' => self.brackets = self.brackets.saturating_sub(1),
                    _ => {}
                }
                if byte.is_ascii_whitespace() {
                    self.at += 1;
                } else {
                    self.take(1);
                }
            }
        }
    }

    /// Does the last word end right here? Then a dollar sign belongs to it.
    fn adjacent(&self) -> bool {
        self.end == self.at
    }

    fn take(&mut self, count: usize) {
        self.start.get_or_insert(self.at);
        self.at = (self.at + count).min(self.text.len());
        self.end = self.at;
    }

    fn name(&mut self) {
        let rest = &self.text[self.at..];
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(*byte, b'_' | b'$') || *byte >= 0x80;
        let length = rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len());
        let word = rest[..length].to_ascii_lowercase();
        match word.as_slice() {
            b"atomic" if self.word == b"begin" => self.blocks += 1,
            b"case" if self.blocks > 0 => self.blocks += 1,
            b"end" if self.blocks > 0 => self.blocks -= 1,
            _ => {}
        }
        if self.head.len() < 64 {
            self.head.push(word.clone());
        }
        self.word = word;
        self.take(length);
    }

    /// A comment to the end of the line. What undoes a migration comes after one that says so, at the beginning of a line.
    fn remark(&mut self) {
        let end = self.line_end(self.at);
        if self.marks(self.at, &DOWN) {
            self.finish();
            let mut line = end;
            while line < self.text.len() && !self.marks(line + 1, &UP) {
                line = self.line_end(line + 1);
            }
            self.at = line;
        } else {
            self.at = end;
        }
    }

    /// Does a line begin here, with a comment that begins with one of these?
    fn marks(&self, at: usize, words: &[&str]) -> bool {
        let begins = |byte: &u8| matches!(byte, b' ' | b'\t');
        let before = self.text[..at.min(self.text.len())].iter().rev().find(|byte| !begins(byte));
        let line = self.text.get(at..self.line_end(at)).unwrap_or_default().trim_ascii_start();
        let Some(said) = line.strip_prefix(b"--").map(<[u8]>::trim_ascii_start) else { return false };
        before.is_none_or(|&byte| byte == b'\n')
            && words.iter().any(|word| {
                said.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
            })
    }

    /// Comments nest.
    fn comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => (depth, self.at) = (depth + 1, self.at + 2),
                (b'*', b'/') => (depth, self.at) = (depth - 1, self.at + 2),
                _ => self.at += 1,
            }
            if depth == 0 {
                break;
            }
        }
    }

    fn quoted(&mut self, quote: u8, escapes: bool) {
        self.take(1);
        while self.at < self.text.len() {
            let byte = self.peek(0);
            if (escapes && byte == b'\\') || (byte == quote && self.peek(1) == quote) {
                self.take(2);
            } else {
                self.take(1);
                if byte == quote {
                    break;
                }
            }
        }
        self.word.clear();
    }

    /// `$tag$ … $tag$`; or a parameter.
    fn dollar(&mut self) {
        let rest = &self.text[self.at + 1..];
        let length =
            rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80));
        let tagged = length.is_some_and(|length| rest[length] == b'$' && !rest[0].is_ascii_digit());
        let Some(length) = length.filter(|_| tagged) else { return self.take(1) };
        let tag = self.text[self.at..self.at + length + 2].to_vec();
        let end = self.find(self.at + tag.len(), &tag).map_or(self.text.len(), |at| at + tag.len());
        self.take(end - self.at);
        self.word.clear();
    }

    /// A command of `psql`. `\g` and its like end the statement before them; `\;` is a semicolon, and nothing else.
    fn command(&mut self) {
        if self.peek(1) == b';' {
            self.finish();
            self.at += 2;
            return;
        }
        let end = self.line_end(self.at);
        let line = self.text[self.at..end].to_ascii_lowercase();
        if self.peek(1) == b'g' || line.starts_with(b"\\crosstabview") {
            self.finish();
        }
        self.parts.push(Part::Command(self.at..end));
        self.at = end;
        if line.starts_with(b"\\copy") && from_stdin(&line) {
            self.data();
        }
    }

    /// The data of COPY FROM stdin end with a line `\.`
    fn copied(&mut self) {
        let statement = match self.parts.last() {
            Some(Part::Statement(range)) => self.text[range.clone()].to_ascii_lowercase(),
            _ => return,
        };
        if from_stdin(&statement) {
            self.data();
        }
    }

    fn data(&mut self) {
        self.at = match self.find(self.at, b"\n\\.") {
            Some(at) => self.line_end(at + 1),
            None => self.text.len(),
        };
    }

    fn finish(&mut self) {
        if let Some(start) = self.start.take() {
            self.parts.push(Part::Statement(start..self.end));
        }
        (self.brackets, self.blocks) = (0, 0);
        self.word.clear();
    }
}

/// Do the data of a COPY follow it?
fn from_stdin(statement: &[u8]) -> bool {
    let words: Vec<&[u8]> =
        statement.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| pair == [b"from".as_slice(), b"stdin"])
}

#[cfg(test)]
mod tests {
    use super::{Part, split};

    fn statements(text: &str) -> Vec<&str> {
        let parts = split(text);
        let statements = parts.iter().filter_map(|part| match part {
            Part::Statement(range) => text.get(range.clone()),
            Part::Command(_) => None,
        });
        statements.collect()
    }

    #[test]
    fn a_file_is_split_where_psql_would() {
        assert_eq!(statements("a; b ;\n-- c;\n/* d; /* e; */ */ f"), ["a", "b", "f"]);
        assert_eq!(
            statements("select ';', \"x;\", $$;$$, $a$;$$;$a$, E'\\';'; y"),
            ["select ';', \"x;\", $$;$$, $a$;$$;$a$, E'\\';'", "y"]
        );
        assert_eq!(statements("select $1; select a$b$c; z"), ["select $1", "select a$b$c", "z"]);
        assert_eq!(
            statements("create function f() begin atomic select case when a then 1 end; select 2; end; y"),
            ["create function f() begin atomic select case when a then 1 end; select 2; end", "y"]
        );
        assert_eq!(statements("begin; x; end; y"), ["begin", "x", "end", "y"]);
        assert_eq!(statements("\\set a ';'\nselect 1 \\g\nx"), ["select 1", "x"]);
        assert_eq!(statements("copy t from stdin;\n1;\t'\n\\.\nx"), ["copy t from stdin", "x"]);
        assert_eq!(
            statements("create rule r as on insert to t do (a; b); c"),
            ["create rule r as on insert to t do (a; b)", "c"]
        );
        assert_eq!(statements("a\\; b; c \\; d \\g\ne"), ["a", "b", "c", "d", "e"]);
        assert_eq!(statements("\\copy t from stdin\n1;\t'\n\\.\nx"), ["x"]);
        assert_eq!(statements("\\copy t from 'f'\nx"), ["x"]);
        assert_eq!(statements("a; 'never ends; b"), ["a", "'never ends; b"]);
        assert_eq!(statements(""), Vec::<&str>::new());
    }

    #[test]
    fn what_undoes_a_migration_is_no_part_of_it() {
        for (up, down) in [
            ("-- migrate:up transaction:false", "-- migrate:down"),
            ("-- +goose Up\n-- +goose StatementBegin", "-- +goose Down"),
            ("-- +migrate Up", "  -- +migrate Down"),
            ("-- Up Migration", "-- Down Migration"),
            ("-- rambler up", "-- rambler down"),
            ("-- one", "-- //@UNDO"),
            ("-- one", "---- create above / drop below ----"),
        ] {
            assert_eq!(statements(&format!("{up}\na; b\n{down}\nc; d 'e;")), ["a", "b"], "{down}");
        }
        // Some tools let the directions take turns.
        assert_eq!(statements("-- +migrate Up\na;\n-- +migrate Down\nb;\n-- +migrate Up\nc;"), ["a", "c"]);
        // Not in a literal, not behind a statement, not anything that only looks like it.
        assert_eq!(statements("a $$\n-- migrate:down\nb;$$; c"), ["a $$\n-- migrate:down\nb;$$", "c"]);
        assert_eq!(statements("a; -- migrate:down\nb;\n-- migrated: downloads\nc"), ["a", "b", "c"]);
    }
}
