//! The SQL of a PL/pgSQL body, parsed with one call.
//!
//! A call of the grammar costs far more than the few words that most expressions are, and a body has dozens of them. So they are
//! written one after the other, as the statements of one text. Its tokens are those of the body, moved: nothing is scanned twice.
//!
//! **Invariant**: a piece is here only if it has the tree that it would have alone. What is in doubt is left out, and if the text as a
//! whole cannot be parsed, there is nothing here.

use std::ops::Range;

use postern_grammar::nodes::{Node, Token as Kind};

use super::{CAST, nameless, percent_of, within};
use crate::parse::{As, Token, parse_scanned};
use crate::plpgsql::{Event, Piece};

/// The grammar reads an expression of PL/pgSQL as what follows this word.
const SELECT: &str = "SELECT ";

/// All pieces.
#[derive(Default)]
pub(super) struct Together {
    text: String,
    tokens: Vec<Token>,
    pieces: Vec<Written>,
}

/// Where an event was written.
struct Written {
    event: usize,
    /// Where its text begins in the whole.
    offset: usize,
    tokens: Range<usize>,
    statement: Option<Node>,
}

/// One piece.
pub(super) struct Parsed<'t> {
    /// Its own tokens.
    pub tokens: &'t [Token],
    /// Its tree.
    pub statement: &'t Node,
    /// Where its text begins in the whole.
    pub offset: usize,
}

impl Together {
    /// Parses what events have.
    pub fn of(text: &str, tokens: &[Token], events: &[Event]) -> Self {
        let mut all = Self::default();
        #[cfg(test)]
        if crate::parse::work::ALONE.get() {
            return all;
        }
        for (number, event) in events.iter().enumerate() {
            match event {
                Event::Sql { piece, at, text: sql, .. } => {
                    let own = within(tokens, at);
                    let prefix = if *piece == Piece::Statement { "" } else { SELECT };
                    let plain = !nameless(own) && !more_than_an_expression(own);
                    if *piece == Piece::Statement || plain {
                        all.write(number, prefix, sql, at.start, own);
                    }
                }
                Event::Declare { type_at, .. } => {
                    let own = within(tokens, type_at);
                    if percent_of(text, own).is_none() {
                        all.write(number, CAST, &text[type_at.clone()], type_at.start, own);
                    }
                }
                _ => {}
            }
        }
        all.parse().unwrap_or_default()
    }

    /// What all of it was written to.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What an event has.
    pub fn piece(&self, event: usize) -> Option<Parsed<'_>> {
        let at = self.pieces.binary_search_by_key(&event, |piece| piece.event).ok()?;
        let piece = &self.pieces[at];
        Some(Parsed {
            tokens: &self.tokens[piece.tokens.clone()],
            statement: piece.statement.as_ref()?,
            offset: piece.offset,
        })
    }

    fn write(&mut self, event: usize, prefix: &str, sql: &str, start: usize, own: &[Token]) {
        if own.is_empty() || own.iter().any(|token| token.kind == Kind::Ascii59) {
            return;
        }
        self.text.push_str(prefix);
        let offset = self.text.len();
        self.text.push_str(sql);
        let first = self.tokens.len();
        for token in own {
            let here = token.moved(start, offset);
            match here.text(&self.text).as_bytes() {
                // A target of INTO.
                [] | [b' ', ..] => {}
                // PERFORM is written as SELECT and a blank.
                [.., b' '] => {
                    self.tokens.push(Token { end: here.end - 1, kind: Kind::Select, keyword: true, ..here });
                }
                _ => self.tokens.push(here),
            }
        }
        let tokens = first..self.tokens.len();
        self.pieces.push(Written { event, offset, tokens, statement: None });
        self.text.push_str(";\n");
    }

    fn parse(mut self) -> Option<Self> {
        let statements = parse_scanned(&self.text, &self.tokens, As::Statements).ok()?;
        if statements.len() != self.pieces.len() {
            return None;
        }
        let mut after = 0;
        for (piece, (at, statement)) in self.pieces.iter_mut().zip(statements) {
            let last = self.tokens[piece.tokens.clone()].last()?;
            if at < after || at > piece.offset {
                return None;
            }
            after = last.end;
            piece.statement = Some(statement);
        }
        Some(self)
    }
}

/// Would SELECT before it make something else of it than an expression?
fn more_than_an_expression(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    tokens.first().is_some_and(|token| token.kind == Kind::All)
        || tokens.iter().any(|token| {
            match token.kind {
                Kind::Ascii40 => depth += 1,
                Kind::Ascii41 => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(token.kind, Kind::Into | Kind::Union | Kind::Intersect | Kind::Except)
        })
}

#[cfg(test)]
mod tests {
    use crate::body::plpgsql;
    use crate::catalog::Catalog;
    use crate::files::{RUNNER, empty};
    use crate::parse::work;
    use crate::path::Path;
    use crate::walk::Surroundings;

    /// Bodies in which something could make of two pieces one, or of one piece two.
    const BODIES: &[&str] = &[
        "DECLARE a int := 1; b text[] = '{}'; c varchar(3) NOT NULL DEFAULT 'x' || lower('Y'); d pg_catalog.int4; e \"T\" ; BEGIN
           PERFORM count(*) FROM pg_class WHERE relname = 'a'; SELECT 1, now() INTO STRICT a, b; a := a + 1; RETURN a;
           INSERT INTO t SELECT * FROM pg_class JOIN pg_type USING (oid) RETURNING oid INTO a; RAISE '%', lower(b[1]) USING HINT = upper('a'); END",
        "BEGIN IF 1 UNION SELECT 2 THEN NULL; END IF; IF EXISTS (SELECT 1 UNION SELECT 2) THEN a := ALL 1; END IF; RETURN x INTO y; END",
        "BEGIN a := ALL; a := 1, 2; a := (1; b := 2); c := 3; d := 'it''s' || $$;$$ || E'\\';'; END",
        "BEGIN a := 1 -- ; b := lower('x')\n + length('y'); c := /* ; */ 2; EXECUTE 'select ' || quote_ident(a) USING lower(b); END",
        "BEGIN CREATE RULE r AS ON INSERT TO t DO (SELECT lower('a'); SELECT upper('b')); PERFORM lower('c'); END",
        "BEGIN CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT lower('a'); SELECT upper('b'); END; PERFORM lower('c'); END",
        "DECLARE c CURSOR (k int) FOR SELECT k + length(relname) FROM pg_class; v t%ROWTYPE; w pg_class.relname%TYPE; x nonsense nonsense; BEGIN
           FOR r IN SELECT relname FROM pg_class LOOP s := r.relname || 'x'; END LOOP; CASE lower(a) WHEN 'b', upper('c') THEN NULL; END CASE; END",
        "BEGIN FOR i IN REVERSE length('abc')..1 BY 2 LOOP a[i + 1] := i FROM pg_class ORDER BY lower('z') LIMIT 1; END LOOP; a := DISTINCT 1; END",
        "BEGIN SELECT lower('a'); SELEC upper('b'); SELECT upper('c'); END",
        "BEGIN SELECT ä.lower FROM pg_class ä WHERE ä.relname = 'ö' INTO ü; PERFORM lower('ß'); END",
        "BEGIN a := lower('b'",
    ];

    #[test]
    fn names_of_a_body_are_those_of_its_pieces_each_parsed_alone() {
        let catalog = Catalog::new(empty(15, RUNNER));
        let path = Path::new(&catalog, "public", RUNNER);
        let names = |body: &str| plpgsql(&catalog, &path, body, Surroundings::default());
        for body in BODIES {
            assert_eq!(names(body), work::alone(|| names(body)), "{body}");
        }
        assert!(names(BODIES[0]).occurrences.len() > 8);
    }

    #[test]
    fn a_body_is_scanned_once_and_parsed_once() {
        let catalog = Catalog::new(empty(15, RUNNER));
        let path = Path::new(&catalog, "public", RUNNER);
        let names = |body: &str| plpgsql(&catalog, &path, body, Surroundings::default());
        let (together, scanned, parsed) = work::of(|| names(BODIES[0]));
        assert_eq!((scanned, parsed), (1, 1));
        let (apart, _, parsed) = work::of(|| work::alone(|| names(BODIES[0])));
        assert!(parsed > 10, "{parsed}");
        assert_eq!(together, apart);
    }
}
