//! Statements of a file, read many at a time.
//!
//! A call of the scanner or the grammar costs as much as the few words of a `GRANT`. So statements that follow each other are written
//! into one text, and read with one call of each.
//!
//! **Invariant**: a statement is given only as it would be read alone. If anything in the text says otherwise, none of it is given, and
//! each is to be read alone.

use std::ops::Range;

use postern_grammar::nodes::Node;

use super::split::Part;
use crate::parse::{As, Token, Unparsed, parse_scanned, tokens};

/// How many bytes are read together.
const TOGETHER: usize = 32 << 10;
/// What ends a statement, whatever stands at its end.
const END: &str = "\n;\n";

/// A statement, read.
pub(super) struct Read {
    pub text: String,
    pub tokens: Vec<Token>,
    pub statements: Vec<Node>,
    /// The places in the trees are those of the text plus this.
    pub base: usize,
}

/// Reads one text.
pub(super) fn read(text: String) -> Result<Read, Unparsed> {
    let tokens = tokens(&text)?;
    let statements = parse_scanned(&text, &tokens, As::Statements)?;
    let statements = statements.into_iter().map(|(_, node)| node).collect();
    Ok(Read { text, tokens, statements, base: 0 })
}

/// The statements at the beginning of some parts that are read together: at least one, if it is one.
pub(super) fn first(parts: &[Part]) -> Vec<Range<usize>> {
    let mut bytes = 0;
    parts
        .iter()
        .map_while(|part| match part {
            Part::Statement(range) => Some(range.clone()),
            Part::Command(_) => None,
        })
        .take_while(|range| {
            let fits = bytes == 0 || bytes + range.len() <= TOGETHER;
            bytes += range.len();
            fits
        })
        .collect()
}

/// Reads statements together.
pub(super) fn together(source: &str, ranges: &[Range<usize>]) -> Option<Vec<Read>> {
    #[cfg(test)]
    if crate::parse::work::ALONE.get() {
        return None;
    }
    let mut text = String::with_capacity(ranges.iter().map(|range| range.len() + END.len()).sum());
    for range in ranges {
        text.push_str(&source[range.clone()]);
        text.push_str(END);
    }
    let all = tokens(&text).ok()?;
    let mut statements = parse_scanned(&text, &all, As::Statements).ok()?.into_iter().peekable();
    let mut reads = Vec::with_capacity(ranges.len());
    let (mut base, mut token) = (0, 0);
    for range in ranges {
        let end = base + range.len();
        let count = all[token..].iter().take_while(|token| token.end <= end).count();
        let own = &all[token..token + count];
        // A literal that goes on to the next statement would be none of either.
        let semicolon =
            all.get(token + count).filter(|token| token.start == end + 1 && token.end == end + 2)?;
        let (_, statement) = statements.next().filter(|(at, _)| (base..end).contains(at))?;
        reads.push(Read {
            text: source[range.clone()].to_owned(),
            tokens: own.iter().map(|token| token.moved(base, 0)).collect(),
            statements: vec![statement],
            base,
        });
        base = semicolon.end + 1;
        token += count + 1;
    }
    statements.next().is_none().then_some(reads)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::files::{Project, RUNNER, Source, check, empty, replay};
    use crate::parse::work;

    fn project(files: &[&str]) -> Project {
        let sources =
            files.iter().enumerate().map(|(at, text)| Source::new(at.to_string(), text.as_bytes().to_vec()));
        replay(empty(15, RUNNER), sources.collect())
    }

    /// Files in which something could make of two statements one, or of one statement two.
    const FILES: &[&str] = &[
        "CREATE SCHEMA a CREATE TABLE t (k int DEFAULT length('x')) CREATE VIEW v AS SELECT k + 1 AS l FROM t;
         CREATE FUNCTION a.f(p int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT p + 1';;
         ALTER TYPE pg_catalog.int4 OWNER TO eve; DROP FUNCTION a.f; /* x; */ GRANT CREATE ON SCHEMA a TO PUBLIC",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT length('x'); END; CREATE RULE r AS ON INSERT TO a.t DO (SELECT 1; SELECT lower('a'));
         COPY a.t FROM stdin;\n1;\t'\n\\.\nCREATE VIEW w AS SELECT lower('x') -- ;\n;
         CREATE TRIGGER g BEFORE INSERT ON a.t FOR EACH ROW EXECUTE FUNCTION g(); SELECT * FROM a.t JOIN a.t u USING (k)",
        "CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM lower('ä'); END $$;
         CREAT FUNCTION h(); \\echo x;\nSELECT ':x', :'y', lower(:z); SELECT 'ü', upper('x');",
        "SELECT lower('a'); SELECT 'never ends; SELECT upper('b');",
        "SELECT lower('a'); SELECT $1a; SELECT U&'\\+'; SELECT upper('b');",
    ];

    #[test]
    fn statements_mean_together_what_they_mean_alone() {
        for file in FILES {
            let (together, alone) = (project(&[file]), work::alone(|| project(&[file])));
            assert_eq!(together.catalog.snapshot, alone.catalog.snapshot, "{file}");
            assert_eq!(together.origins, alone.origins, "{file}");
            assert_eq!(together.problems, alone.problems, "{file}");
            assert_eq!(check(&together), check(&alone), "{file}");
        }
        let (together, alone) = (project(FILES), work::alone(|| project(FILES)));
        assert_eq!(together.origins, alone.origins);
        assert_eq!(check(&together), check(&alone));
    }

    #[test]
    fn a_function_of_a_file_costs_little_more_than_its_body() {
        let mut text = String::new();
        for number in 0..200 {
            // Writing to a text cannot fail.
            let _ = write!(
                text,
                "CREATE FUNCTION f{number}(a int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE b int := a + 1; BEGIN
                   IF b > 2 THEN b := length('x'); END IF; RETURN b * 2; END $$; REVOKE ALL ON FUNCTION f{number} FROM PUBLIC;"
            );
        }
        let (found, scanned, parsed) = work::of(|| check(&project(&[&text])));
        assert!(found.len() >= 200, "{found:?}");
        assert!(
            parsed < 220 && scanned < 240,
            "200 functions: scanned {scanned} times, parsed {parsed} times"
        );
    }
}
