//! The server's grammar, made safe to call with any text.
//!
//! The grammar is PostgreSQL's own, through libpg_query. Its trees are as deep as the text asks, and deep trees overflow
//! stacks: [`depth`] bounds what is parsed, and [`with_stack`] gives room for that much.
//!
//! **Invariant**: no text makes this panic or abort; what cannot be parsed is an error with a place.

pub use postern_grammar::As;
use postern_grammar::nodes::{KeywordKind, Node, Token as Kind};

/// Nested deeper than this, a text is not parsed.
const DEEPEST: usize = 1_500;
/// Room for [`DEEPEST`], measured with frames of a debug build.
pub(crate) const STACK: usize = 512 << 20;

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
    /// Is it a word of the grammar that cannot be any name?
    pub keyword: bool,
}

impl Token {
    /// Its text.
    pub fn text<'t>(&self, source: &'t str) -> &'t str {
        source.get(self.start..self.end).unwrap_or_default()
    }

    /// The same token where `from` is moved to `to`.
    #[must_use]
    pub fn moved(self, from: usize, to: usize) -> Self {
        Self { start: self.start - from + to, end: self.end - from + to, ..self }
    }

    /// Is it this word, in any case?
    pub fn is(&self, source: &str, word: &str) -> bool {
        self.text(source).eq_ignore_ascii_case(word)
    }
}

/// Why a text could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unparsed {
    /// What the grammar said.
    pub message: String,
    /// Where, in bytes, if it said so.
    pub at: Option<usize>,
}

/// The tokens of a text, comments left out.
pub fn tokens(text: &str) -> Result<Vec<Token>, Unparsed> {
    #[cfg(test)]
    work::SCANNED.with(|count| count.set(count.get() + 1));
    if let Some(at) = text.find('\0') {
        return Err(Unparsed { message: "there is a zero byte in it".into(), at: Some(at) });
    }
    // A text without any token is undefined behaviour in pg_query 18.1.0, so that there always is one more.
    let text_and_one = format!("{text}\n;");
    let scanned = pg_query::scan_tokens(&text_and_one);
    let mut scanned = scanned.map_err(|error| unparsed(&error))?;
    scanned.pop();
    Ok(scanned
        .iter()
        .filter_map(|token| {
            let kind = Kind::try_from(token.token).ok()?;
            if matches!(kind, Kind::SqlComment | Kind::CComment) {
                return None;
            }
            let keyword = matches!(
                KeywordKind::try_from(token.keyword_kind).ok()?,
                KeywordKind::ReservedKeyword | KeywordKind::TypeFuncNameKeyword | KeywordKind::ColNameKeyword
            );
            Some(Token {
                start: usize::try_from(token.start).ok()?,
                end: usize::try_from(token.end).ok()?,
                kind,
                keyword,
            })
        })
        .collect())
}

/// Parses a text. Gives its statements, with the byte where each begins.
pub fn parse(text: &str, parse_as: As) -> Result<Vec<(usize, Node)>, Unparsed> {
    parse_scanned(text, &tokens(text)?, parse_as)
}

/// The same for a text whose tokens are known.
pub fn parse_scanned(text: &str, tokens: &[Token], parse_as: As) -> Result<Vec<(usize, Node)>, Unparsed> {
    #[cfg(test)]
    work::PARSED.with(|count| count.set(count.get() + 1));
    let deep = depth(text, tokens);
    if deep > DEEPEST {
        return Err(Unparsed {
            message: format!("it is nested {deep} deep, and at most {DEEPEST} is parsed"),
            at: None,
        });
    }
    let statements =
        postern_grammar::parse(text, parse_as).map_err(|message| Unparsed { message, at: None })?;
    Ok(statements.into_iter().map(|statement| (statement.at, statement.node)).collect())
}

fn unparsed(error: &pg_query::Error) -> Unparsed {
    Unparsed { message: error.to_string(), at: None }
}

/// How deep the tree of a text can be: brackets, and what is chained without brackets.
pub fn depth(text: &str, tokens: &[Token]) -> usize {
    // For each open bracket: operators since the last comma, and what commas do not end.
    let mut open = vec![(0_usize, 0_usize)];
    let (mut sum, mut deepest) = (0_usize, 0_usize);
    for token in tokens {
        let brackets = open.len();
        let Some(level) = open.last_mut() else { break };
        match token.text(text).as_bytes() {
            b"(" | b"[" => {
                open.push((0, 0));
                sum += 1;
            }
            b")" | b"]" if brackets > 1 => {
                let (chained, lasting) = open.pop().unwrap_or_default();
                sum -= 1 + chained + lasting;
            }
            b"," => {
                sum -= level.0;
                level.0 = 0;
            }
            b";" if brackets == 1 => {
                sum = 0;
                open = vec![(0, 0)];
            }
            word => {
                let lasting = ["union", "intersect", "except", "join", "case", "select", "with"]
                    .iter()
                    .any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
                if lasting {
                    level.1 += 1;
                    sum += 1;
                } else if !matches!(token.kind, Kind::Ident | Kind::Sconst | Kind::Iconst | Kind::Fconst)
                    && !word.eq_ignore_ascii_case(b"and")
                    && !word.eq_ignore_ascii_case(b"or")
                {
                    level.0 += 1;
                    sum += 1;
                }
            }
        }
        deepest = deepest.max(sum);
    }
    deepest
}

/// Runs something with enough stack for the deepest tree.
pub fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("analyze".into()).stack_size(STACK).spawn_scoped(scope, work)?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

/// How much is done: for tests.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local! {
        pub static SCANNED: Cell<usize> = const { Cell::new(0) };
        pub static PARSED: Cell<usize> = const { Cell::new(0) };
        /// Is every piece of SQL to be read alone?
        pub static ALONE: Cell<bool> = const { Cell::new(false) };
    }

    /// How often some work scans, and how often it parses.
    pub fn of<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
        let (scanned, parsed) = (SCANNED.get(), PARSED.get());
        let result = work();
        (result, SCANNED.get() - scanned, PARSED.get() - parsed)
    }

    /// What some work gives if every piece of SQL is read alone.
    pub fn alone<T>(work: impl FnOnce() -> T) -> T {
        ALONE.set(true);
        let result = work();
        ALONE.set(false);
        result
    }
}
