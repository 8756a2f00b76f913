//! PL/pgSQL: where its SQL is.
//!
//! The language is a thin layer around SQL. [`events`] reads a body token by token, as the server's own parser does, and
//! gives what matters for names, in order: scopes, variables, and pieces of SQL with their exact place. `INTO` targets, which
//! are no SQL, are blanked, so that places stay as they are.
//!
//! **Invariant**: any text gives events; what is not understood is a [`Event::Gap`].

use std::ops::Range;

use postern_grammar::nodes::Token as Kind;

use crate::parse::Token;

/// What a piece of SQL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A statement.
    Statement,
    /// An expression, or a list of them.
    Expression,
    /// An expression whose value is run as SQL.
    Dynamic,
}

#[allow(missing_docs, reason = "the fields are said with their variant")]
/// What a body consists of, as far as names are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A block begins.
    Enter,
    /// It ends.
    Leave,
    /// A label: variables can be qualified by it.
    Label(String),
    /// A variable, and where its type stands.
    Declare { name: String, type_at: Range<usize> },
    /// A variable of the language's own: the counter of a loop, `SQLERRM`.
    Builtin { name: String, type_name: &'static str },
    /// Another name of a variable.
    Alias { name: String, of: String },
    /// SQL. `into`: the variables that take its result, if any.
    Sql { piece: Piece, at: Range<usize>, text: String, into: Vec<String> },
    /// The values of a simple CASE are compared with its subject: (subject, values).
    Compare { subject: Range<usize>, values: Range<usize> },
    /// Where a variable and a column have one name, the variable is meant.
    PreferVariables,
    /// Something was not understood.
    Gap { at: Range<usize>, reason: &'static str },
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    events: Vec<Event>,
    /// The subject of each open CASE statement.
    cases: Vec<Option<Range<usize>>>,
    /// Open constructs: `b` block, `l` loop, `i` IF, `c` CASE; loops with a variable of their own are in a scope.
    open: Vec<(char, bool)>,
}

/// Reads a body.
pub fn events(text: &str, tokens: &[Token]) -> Vec<Event> {
    let mut reader = Reader { text, tokens, at: 0, events: Vec::new(), cases: Vec::new(), open: Vec::new() };
    while reader.at < tokens.len() {
        let before = reader.at;
        reader.statement();
        if reader.at == before {
            reader.at += 1;
        }
    }
    reader.events
}

impl Reader<'_> {
    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text(self.text))
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.word(at).eq_ignore_ascii_case(word)
    }

    fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(at, word))
    }

    /// The next token that is one of the words, outside brackets; the end of the text if there is none.
    fn until(&self, from: usize, words: &[&str]) -> usize {
        let mut depth = 0_usize;
        for at in from..self.tokens.len() {
            match self.tokens[at].kind {
                Kind::Ascii40 | Kind::Ascii91 => depth += 1,
                Kind::Ascii41 | Kind::Ascii93 => depth = depth.saturating_sub(1),
                Kind::Sconst | Kind::Iconst => {}
                _ if depth == 0 && self.is_any(at, words) => return at,
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// The bracket that closes the one here.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.word(at) {
                "[" => depth += 1,
                "]" if depth <= 1 => return at,
                "]" => depth -= 1,
                _ => {}
            }
        }
        self.tokens.len()
    }

    fn span(&self, from: usize, to: usize) -> Range<usize> {
        match (self.tokens.get(from), to.checked_sub(1).and_then(|last| self.tokens.get(last))) {
            (Some(first), Some(last)) if from < to => first.start..last.end,
            (Some(first), _) => first.start..first.start,
            _ => self.text.len()..self.text.len(),
        }
    }

    fn name(&self, at: usize) -> String {
        crate::text::identifier(self.word(at))
    }

    fn sql(&mut self, piece: Piece, from: usize, to: usize) {
        if from < to {
            let at = self.span(from, to);
            let text = self.text[at.clone()].to_owned();
            self.events.push(Event::Sql { piece, at, text, into: Vec::new() });
        }
    }

    fn expression(&mut self, from: usize, to: usize) {
        self.sql(Piece::Expression, from, to);
    }

    fn statement(&mut self) {
        let at = self.at;
        let word = self.word(at).to_ascii_lowercase();
        match word.as_str() {
            ";" | "else" => self.at += 1,
            "<<" => {
                let name = self.name(at + 1);
                self.events.push(Event::Label(name));
                self.at += 3;
            }
            // An option of the compiler stands before everything else.
            "#" => {
                if self.is(at + 1, "variable_conflict") && self.is(at + 2, "use_variable") {
                    self.events.push(Event::PreferVariables);
                }
                self.at += 3;
            }
            "declare" => self.declarations(),
            "begin" => {
                // With DECLARE the scope is open already.
                if matches!(self.open.last(), Some(('d', _))) {
                    self.open.pop();
                } else {
                    self.events.push(Event::Enter);
                }
                self.open.push(('b', true));
                self.at += 1;
            }
            "end" => self.end(),
            "exception" if matches!(self.open.last(), Some(('b', _))) && self.is(at + 1, "when") => {
                for name in ["sqlstate", "sqlerrm"] {
                    self.events.push(Event::Builtin { name: name.into(), type_name: "text" });
                }
                self.at += 1;
            }
            "when" if matches!(self.open.last(), Some(('c', _))) => {
                let then = self.until(at + 1, &["then"]);
                match self.cases.last().cloned().flatten() {
                    Some(subject) => {
                        let values = self.span(at + 1, then);
                        self.events.push(Event::Compare { subject, values });
                    }
                    None => self.expression(at + 1, then),
                }
                self.at = then + 1;
            }
            // The conditions of an exception handler are no names of SQL.
            "when" => self.at = self.until(at + 1, &["then"]) + 1,
            "if" | "elsif" | "elseif" => {
                let then = self.until(at + 1, &["then"]);
                self.expression(at + 1, then);
                if word == "if" {
                    self.open.push(('i', false));
                }
                self.at = then + 1;
            }
            "case" => {
                let when = self.until(at + 1, &["when"]);
                let subject = (when > at + 1).then(|| self.span(at + 1, when));
                self.expression(at + 1, when);
                self.cases.push(subject);
                self.open.push(('c', false));
                self.at = when;
            }
            "loop" => {
                self.open.push(('l', false));
                self.at += 1;
            }
            "while" => {
                let end = self.until(at + 1, &["loop"]);
                self.expression(at + 1, end);
                self.at = end;
            }
            "for" => self.for_loop(),
            "foreach" => {
                let array = self.until(at + 1, &["array"]);
                let end = self.until(array + 1, &["loop"]);
                self.expression(array + 1, end);
                self.at = end;
            }
            _ => self.simple(&word),
        }
    }

    fn end(&mut self) {
        let closes = if self.is(self.at + 1, "if") {
            'i'
        } else if self.is(self.at + 1, "loop") {
            'l'
        } else if self.is(self.at + 1, "case") {
            'c'
        } else {
            'b'
        };
        if let Some(position) = self.open.iter().rposition(|(kind, _)| *kind == closes) {
            for (kind, scoped) in self.open.split_off(position) {
                if scoped {
                    self.events.push(Event::Leave);
                }
                if kind == 'c' {
                    self.cases.pop();
                }
            }
        }
        self.at = self.until(self.at + 1, &[";"]) + 1;
    }

    fn declarations(&mut self) {
        self.events.push(Event::Enter);
        self.open.push(('d', true));
        self.at += 1;
        while self.at < self.tokens.len() && !self.is(self.at, "begin") {
            let end = self.until(self.at, &[";"]);
            if self.is(self.at, "declare") {
                self.at += 1;
                continue;
            }
            self.declaration(self.at, end);
            self.at = end + 1;
        }
    }

    fn declaration(&mut self, from: usize, end: usize) {
        let name = self.name(from);
        if self.is(from + 1, "alias") {
            let of = self.name(from + 3);
            self.events.push(Event::Alias { name, of });
            return;
        }
        let cursor = self.until(from + 1, &["cursor"]);
        if cursor < end && cursor <= from + 3 {
            let query = self.until(cursor + 1, &["is", "for"]);
            // Arguments of the cursor: names and types, seen by its query.
            if self.word(cursor + 1) == "(" {
                let mut start = cursor + 2;
                let mut depth = 0_usize;
                for at in cursor + 2..query {
                    match self.word(at) {
                        "(" => depth += 1,
                        ")" if depth > 0 => depth -= 1,
                        "," | ")" if depth == 0 => {
                            let argument = self.name(start);
                            let type_at = self.span(start + 1, at);
                            self.events.push(Event::Declare { name: argument, type_at });
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
            }
            self.sql(Piece::Statement, query + 1, end);
            self.events.push(Event::Builtin { name, type_name: "refcursor" });
            return;
        }
        let start = if self.is(from + 1, "constant") { from + 2 } else { from + 1 };
        let default = self.until(start, &["default", ":=", "=", "not", "collate", ";"]).min(end);
        if self.is(default, "collate") {
            let at = self.span(default, default + 2);
            self.events.push(Event::Gap { at, reason: "the collation of a variable is not looked up" });
        }
        let value = self.until(start, &["default", ":=", "=", ";"]).min(end);
        self.expression(value + 1, end);
        let type_at = self.span(start, default);
        self.events.push(Event::Declare { name, type_at });
    }

    fn for_loop(&mut self) {
        let at = self.at;
        let keyword = self.until(at + 1, &["in"]);
        let end = self.until(keyword + 1, &["loop"]);
        let targets = self.names_between(at + 1, keyword);
        if self.is(keyword + 1, "execute") {
            self.dynamic(keyword + 2, end);
            self.at = end;
            return;
        }
        let range = (keyword + 1..end).find(|&at| self.word(at) == ".." || self.word(at).ends_with(".."));
        let bare = self.until(keyword + 1, &[".."]);
        if let Some(dots) =
            range.filter(|_| bare < end || !self.is_any(keyword + 1, &["select", "with", "values"]))
        {
            let first = if self.is(keyword + 1, "reverse") { keyword + 2 } else { keyword + 1 };
            let by = self.until(dots + 1, &["by"]).min(end);
            self.expression(first, dots);
            self.expression(dots + 1, by);
            self.expression(by + 1, end);
            self.events.push(Event::Enter);
            self.events.push(Event::Builtin {
                name: targets.first().cloned().unwrap_or_default(),
                type_name: "int4",
            });
            self.open.push(('l', true));
            self.at = end + 1;
            return;
        }
        if self.is_any(
            keyword + 1,
            &["select", "with", "values", "insert", "update", "delete", "table", "show", "("],
        ) {
            let span = self.span(keyword + 1, end);
            let text = self.text[span.clone()].to_owned();
            self.events.push(Event::Sql { piece: Piece::Statement, at: span, text, into: targets });
        } else if self.word(keyword + 2) == "(" {
            // The arguments of a cursor.
            self.expression(keyword + 3, end.saturating_sub(1));
        }
        self.at = end;
    }

    fn names_between(&self, from: usize, to: usize) -> Vec<String> {
        (from..to).filter(|&at| !matches!(self.word(at), "," | ".")).map(|at| self.name(at)).collect()
    }

    /// `EXECUTE text [INTO …] [USING …]`, and its like.
    fn dynamic(&mut self, from: usize, end: usize) {
        let stop = self.until(from, &["into", "using", ";"]).min(end);
        self.sql(Piece::Dynamic, from, stop);
        let using = self.until(stop, &["using"]).min(end);
        let into = self.until(using + 1, &["into"]).min(end);
        self.expression(using + 1, into);
    }

    fn simple(&mut self, word: &str) {
        let at = self.at;
        let end = self.until(at, &[";"]);
        self.at = end + 1;
        match word {
            "return" if self.is(at + 1, "query") => {
                if self.is(at + 2, "execute") {
                    self.dynamic(at + 3, end);
                } else {
                    self.sql(Piece::Statement, at + 2, end);
                }
            }
            "return" if self.is(at + 1, "next") => self.expression(at + 2, end),
            "return" | "assert" => self.expression(at + 1, end),
            "perform" => {
                let span = self.span(at, end);
                // As long as the word that it stands for.
                let text = format!("SELECT {}", &self.text[span.start + "perform".len()..span.end]);
                self.events.push(Event::Sql { piece: Piece::Statement, at: span, text, into: Vec::new() });
            }
            "execute" => self.dynamic(at + 1, end),
            "exit" | "continue" => {
                let when = self.until(at + 1, &["when"]).min(end);
                self.expression(when + 1, end);
            }
            "raise" => self.raise(at, end),
            "open" => {
                let query = self.until(at + 2, &["for"]).min(end);
                if query < end && self.is(query + 1, "execute") {
                    self.dynamic(query + 2, end);
                } else if query < end {
                    self.sql(Piece::Statement, query + 1, end);
                } else if self.word(at + 2) == "(" {
                    self.expression(at + 3, end.saturating_sub(1));
                }
            }
            "get" | "fetch" | "move" | "close" | "null" | "commit" | "rollback" => {}
            _ => match self.assignment(at, end) {
                Some(value) => {
                    let subscripts = self.until(at, &[":=", "="]);
                    for open in at..subscripts {
                        if self.word(open) == "[" {
                            self.expression(open + 1, self.closing(open));
                        }
                    }
                    self.expression(value, end);
                }
                None => self.statement_with_into(at, end),
            },
        }
    }

    /// `name[.name…][subscripts] := value`: where the value begins.
    fn assignment(&self, from: usize, end: usize) -> Option<usize> {
        let first = self.tokens.get(from)?;
        if !first.text(self.text).starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"' | '$')) {
            return None;
        }
        let mut at = from + 1;
        while at < end {
            match self.word(at) {
                "." => at += 2,
                "[" => at = self.closing(at) + 1,
                ":=" | "=" => return Some(at + 1),
                _ => return None,
            }
        }
        None
    }

    fn raise(&mut self, from: usize, end: usize) {
        let using = self.until(from + 1, &["using"]).min(end);
        if let Some(comma) = Some(self.until(from + 1, &[","])).filter(|&comma| comma < using) {
            self.expression(comma + 1, using);
        }
        let mut at = using;
        while at < end {
            let value = self.until(at, &["=", ":="]).min(end);
            let next = self.until(value + 1, &[","]).min(end);
            self.expression(value + 1, next);
            at = next;
            if at < end {
                at += 1;
            }
        }
    }

    /// A statement of SQL: INTO and its targets are blanked.
    fn statement_with_into(&mut self, from: usize, end: usize) {
        let span = self.span(from, end);
        if span.is_empty() {
            return;
        }
        let mut text = self.text[span.clone()].to_owned();
        let mut into = Vec::new();
        // INSERT INTO and MERGE INTO are SQL, and IMPORT FOREIGN SCHEMA … INTO too.
        let mut search = from;
        loop {
            let found = self.until(search, &["into"]).min(end);
            if found >= end {
                break;
            }
            if found > from && self.is_any(found - 1, &["insert", "merge"]) || self.is(from, "import") {
                search = found + 1;
                continue;
            }
            let mut at = if self.is(found + 1, "strict") { found + 2 } else { found + 1 };
            let first = at;
            loop {
                at += 1;
                match self.word(at) {
                    "." => at += 1,
                    "," => {}
                    "[" => at = self.closing(at).min(end),
                    _ => break,
                }
                if self.word(at) == "," {
                    at += 1;
                } else if self.tokens.get(at).is_none_or(|token| token.kind == Kind::Ascii59) {
                    break;
                }
            }
            into = self.names_between(first, at.min(end));
            let blank = self.span(found, at.min(end));
            let (start, stop) = (blank.start - span.start, blank.end - span.start);
            let spaces: String = " ".repeat(stop - start);
            text.replace_range(start..stop, &spaces);
            break;
        }
        self.events.push(Event::Sql { piece: Piece::Statement, at: span, text, into });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tokens;

    fn pieces(body: &str) -> Vec<String> {
        events(body, &tokens(body).unwrap())
            .into_iter()
            .filter_map(|event| match event {
                Event::Sql { at, text, .. } => {
                    assert_eq!(at.len(), text.len(), "places move in {body}");
                    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
                }
                Event::Declare { type_at, .. } => Some(format!(": {}", &body[type_at])),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn every_piece_of_sql_is_found() {
        let body = "
        <<outer>>
        DECLARE
          a int := f(1); b text NOT NULL DEFAULT 'x'; c CONSTANT s.t%ROWTYPE; d CURSOR (k int) FOR SELECT k + 1; e record;
        BEGIN
          SELECT x, y INTO STRICT a, e.z FROM t WHERE q = 1;
          INSERT INTO t VALUES (1) RETURNING id INTO a;
          PERFORM g(a);
          a := a + 1; e.z = 2; arr[i + 1] := 3;
          IF a > 1 THEN NULL; ELSIF h(a) THEN RETURN; ELSE RETURN a * 2; END IF;
          CASE a WHEN 1, 2 THEN PERFORM 1; ELSE PERFORM 2; END CASE;
          FOR i IN REVERSE 1..g(2) BY 3 LOOP EXIT WHEN i > 3; END LOOP;
          FOR e IN SELECT * FROM u LOOP RAISE NOTICE '% %', a, b USING ERRCODE = 'x', HINT = 'y' || z; END LOOP;
          WHILE a < 3 LOOP CONTINUE outer; END LOOP;
          FOREACH a IN ARRAY arr || 1 LOOP END LOOP;
          EXECUTE 'select ' || q INTO a USING b, c;
          RETURN QUERY SELECT 1; RETURN QUERY EXECUTE 'x' USING 1; RETURN NEXT a + 1;
          OPEN d(1 + 1); OPEN r FOR SELECT 5; FETCH d INTO a; CLOSE d; ASSERT a > 0, 'no';
          BEGIN COMMIT; EXCEPTION WHEN unique_violation OR others THEN GET STACKED DIAGNOSTICS b = MESSAGE_TEXT; END;
          CALL p(a);
        END outer";
        assert_eq!(
            pieces(body),
            [
                "f(1)",
                ": int",
                "'x'",
                ": text",
                ": s.t%ROWTYPE",
                ": int",
                "SELECT k + 1",
                ": record",
                "SELECT x, y FROM t WHERE q = 1",
                "INSERT INTO t VALUES (1) RETURNING id",
                "SELECT g(a)",
                "a + 1",
                "2",
                "i + 1",
                "3",
                "a > 1",
                "h(a)",
                "a * 2",
                "a",
                "SELECT 1",
                "SELECT 2",
                "1",
                "g(2)",
                "3",
                "i > 3",
                "SELECT * FROM u",
                "a, b",
                "'x'",
                "'y' || z",
                "a < 3",
                "arr || 1",
                "'select ' || q",
                "b, c",
                "SELECT 1",
                "'x'",
                "1",
                "a + 1",
                "1 + 1",
                "SELECT 5",
                "a > 0, 'no'",
                "CALL p(a)",
            ]
        );
    }

    #[test]
    fn any_text_gives_events() {
        for text in [
            "",
            "BEGIN",
            "END END END",
            "DECLARE",
            "IF",
            "FOR",
            "FOR x IN",
            "x :=",
            "<<",
            "CASE WHEN",
            "RAISE",
            "DECLARE a",
            "OPEN",
            "EXECUTE",
            "PERFORM",
            "SELECT 1 INTO",
            "a[",
            "RAISE USING",
        ] {
            events(text, &tokens(text).unwrap());
        }
    }
}
