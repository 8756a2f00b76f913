//! `{name}` and `$name` in the text of a step, when it runs.
//!
//! Two passes. The first puts variables in for `{name}`, raw. The second reads what came out as SQL (`lexer`)
//! and finds `$name`:
//!
//! | where | what becomes of it |
//! |---|---|
//! | an expression, the column's type is known and no character type | a parameter of that type |
//! | an expression, else | a literal: quoted when it is text, as if the user had written it there |
//! | `$name.*` | `json_to_recordset` of one parameter, with the columns and types of the row set |
//! | inside a string literal | the plain text, escaped for that literal |
//! | inside a comment, a dollar quote, a quoted identifier, as part of an identifier | nothing |
//!
//! A character type gives a literal on purpose: what `->>` or `to_char` made is compared with numbers, enums and dates
//! by every script there is, and only a literal without a type may be.
//!
//! A statement that takes no parameters (DDL, `SET`, `NOTIFY` …) gets literals for all of it.
//!
//! **Invariants**: a value never ends the literal it stands in, whatever it holds and whatever
//! `standard_conforming_strings` is; a text without `$` and `{` comes out as it went in; equal references in one
//! statement are one parameter.
//!
//! **Not promised**: that a variable's raw text is harmless. `{name}` is for pieces of SQL; `{name:literal}` and
//! `{name:identifier}` are there for values and names.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::graph::is_name;
use crate::lexer::{Escape, Lexer, Piece};
use crate::value::Columns;

mod reference;
mod spell;

use reference::{Found, Member, Reference, Results};
use spell::{bare, guess, identifier, is_character, is_json, plain, quoted};

/// The most rows that `$name.*` takes.
pub const MAX_ROWS: usize = 10_000;

/// The largest text that comes out, in bytes; a test has not that much time.
pub const MAX_TEXT: usize = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// A result under a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The result: JSON text.
    pub json: String,
    /// What its columns are, if it is a row set of a statement.
    pub columns: Option<Columns>,
}

/// What a step sees.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// `{sys_instance_id}`.
    pub instance_id: &'a str,
    /// `{sys_label}`; empty when there is none.
    pub label: Option<&'a str>,
    /// The variables as `df.start` saw them.
    pub vars: &'a BTreeMap<String, String>,
    /// The results that have a name here.
    pub results: &'a BTreeMap<String, Named>,
    /// The setting `standard_conforming_strings` under which the step runs.
    pub conforming_strings: bool,
}

/// A statement ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// With `$1` … where parameters are.
    pub sql: String,
    /// The parameters in order.
    pub params: Vec<Param>,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its type as SQL, as the columns gave it.
    pub type_name: String,
    /// What the input function of the type reads; None is NULL.
    pub value: Option<String>,
}

/// How a statement takes values that have a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Parameters,
    /// No parameters, but expressions: `CREATE VIEW`.
    Casts,
    /// Neither: `COMMENT ON … IS '…'`.
    Literals,
}

/// The statement of a step with everything put in.
pub fn prepare(query: &str, scope: &Scope<'_>) -> Result<Prepared, Error> {
    let sql = expand(query, scope)?;
    if !sql.contains('$') && !sql.contains(":literal}") && !sql.contains(":identifier}") {
        return Ok(Prepared { sql, params: Vec::new() });
    }
    let mut writer = Writer {
        text: &sql,
        scope,
        results: Results::of(scope),
        manner: manner(&sql, scope.conforming_strings),
        out: String::with_capacity(sql.len() + 16),
        params: Vec::new(),
        known: BTreeMap::new(),
        positional: None,
        after_value: false,
        words: [""; 3],
    };
    writer.run()?;
    match writer.positional {
        // Without parameters of ours, PostgreSQL says so itself.
        Some(number) if !writer.params.is_empty() => Err(Error::Positional(number)),
        _ => Ok(Prepared { sql: writer.out, params: writer.params }),
    }
}

/// A text of an HTTP request with everything put in, raw.
pub fn raw(text: &str, scope: &Scope<'_>) -> Result<String, Error> {
    let results = Results::of(scope);
    scan(&expand(text, scope)?, &['$'], |rest| match Reference::read(&rest[1..], &results) {
        Some(reference) => Ok(Some((reference.raw()?, reference.text.len() + 1))),
        None => Ok(None),
    })
}

/// The `data_b64` of a part: base64, or one reference and nothing else.
pub fn part_data(text: &str, part: &str, node: &str, scope: &Scope<'_>) -> Result<String, Error> {
    let trimmed = text.trim();
    let whole = brace(trimmed).is_some_and(|(_, form, length)| form.is_none() && length == trimmed.len())
        || trimmed.strip_prefix('$').is_some_and(|rest| {
            rest.trim_end_matches('?').split('.').all(is_name) && rest.split('.').count() <= 2
        });
    if whole {
        return raw(trimmed, scope);
    }
    // Neither sign is of the base64 alphabet.
    if text.contains(['$', '{', '}']) {
        return Err(Error::Reference(format!(
            "HTTP_MULTIPART node {node}: data_b64 for part '{part}' mixes a variable reference with other text. \
             Only a whole-value reference is supported (e.g. data_b64 => '$result' or '{{myvar}}'), \
             because splicing into base64 would corrupt the payload."
        )));
    }
    Ok(text.to_owned())
}

/// The names that a text may refer to by `$`: what the engine has to load, at most. Variables are put in first.
pub fn mentioned(text: &str, scope: &Scope<'_>) -> BTreeSet<String> {
    // A text that grows too large is refused when it is prepared.
    let text = expand(text, scope).unwrap_or_default();
    text.split('$')
        .skip(1)
        .map(|rest| &rest[..word_length(rest)])
        .filter(|name| is_name(name))
        .map(str::to_owned)
        .collect()
}

/// The first pass: `{name}` by the raw text of the variable. Other braces stay.
fn expand(text: &str, scope: &Scope<'_>) -> Result<String, Error> {
    scan(text, &['{'], |rest| match brace(rest) {
        Some((name, None, length)) => Ok(variable(name, scope).map(|value| (value.to_owned(), length))),
        _ => Ok(None),
    })
}

fn variable<'a>(name: &str, scope: &Scope<'a>) -> Option<&'a str> {
    match name {
        "sys_instance_id" => Some(scope.instance_id),
        "sys_label" => Some(scope.label.unwrap_or("")),
        _ => scope.vars.get(name).map(String::as_str),
    }
}

/// `{name}` or `{name:form}` at the start of a text: name, form, length.
fn brace(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let inner = text.strip_prefix('{')?;
    let name = &inner[..word_length(inner)];
    let rest = &inner[name.len()..];
    if !is_name(name) {
        return None;
    }
    if rest.starts_with('}') {
        return Some((name, None, name.len() + 2));
    }
    ["literal", "identifier"].into_iter().find_map(|form| {
        let rest = rest.strip_prefix(':')?.strip_prefix(form)?;
        rest.starts_with('}').then_some((name, Some(form), name.len() + form.len() + 3))
    })
}

/// How far a name reaches. Letters of other scripts belong to a word, so `$namé` is not `$nam`.
fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// That a text has not grown too large: a thousand references to a large result would take the server's memory.
fn bounded(text: &str) -> Result<(), Error> {
    if text.len() > MAX_TEXT { Err(Error::TooLarge) } else { Ok(()) }
}

/// Goes through a text; `at` sees each place with one of `signs` and says what to put there and how much it replaces.
fn scan(
    text: &str,
    signs: &[char],
    mut at: impl FnMut(&str) -> Result<Option<(String, usize)>, Error>,
) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(sign) = rest.find(signs) {
        out.push_str(&rest[..sign]);
        rest = &rest[sign..];
        // A sign is one byte long.
        let (value, length) = at(rest)?.unwrap_or_else(|| (rest[..1].to_owned(), 1));
        out.push_str(&value);
        rest = &rest[length..];
        bounded(&out)?;
    }
    out.push_str(rest);
    bounded(&out)?;
    Ok(out)
}

/// By its first words. What may stand in front of a query, a comment or a parenthesis, is passed over.
fn manner(sql: &str, conforming: bool) -> Manner {
    let mut lexer = Lexer::new(sql, conforming);
    let mut words = std::iter::from_fn(|| lexer.next())
        .filter(|(piece, range)| {
            !(*piece == Piece::Blank || (*piece == Piece::Symbol && &sql[range.clone()] == "("))
        })
        .map(|(_, range)| sql[range].to_ascii_lowercase());
    match words.next().as_deref() {
        Some("select" | "insert" | "update" | "delete" | "merge" | "with" | "values" | "table" | "call") => {
            Manner::Parameters
        }
        Some("explain" | "declare" | "prepare" | "execute") => Manner::Casts,
        Some("create") => match words.next().as_deref() {
            Some(
                "table" | "temp" | "temporary" | "unlogged" | "view" | "recursive" | "materialized" | "or"
                | "index" | "unique" | "policy" | "rule",
            ) => Manner::Casts,
            _ => Manner::Literals,
        },
        _ => Manner::Literals,
    }
}

/// The second pass over SQL.
struct Writer<'a, 'q> {
    text: &'q str,
    scope: &'q Scope<'a>,
    results: Results<'a>,
    manner: Manner,
    out: String,
    params: Vec<Param>,
    /// The parameter of each reference as written.
    known: BTreeMap<String, String>,
    /// A `$1` of the statement's own.
    positional: Option<String>,
    /// A value was the last thing written.
    after_value: bool,
    /// The last words, for `interval $x`; the latest last. Empty when something else came between.
    words: [&'q str; 3],
}

impl Writer<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        let mut lexer = Lexer::new(self.text, self.scope.conforming_strings);
        while let Some((piece, range)) = lexer.next() {
            let slice = &self.text[range.clone()];
            match piece {
                Piece::Dollar => {
                    if let Some(reference) = Reference::read(&self.text[range.end..], &self.results) {
                        self.reference(&reference)?;
                        lexer.jump(range.end + reference.text.len());
                    } else {
                        // A name that is none here: passed over whole, so that its tail is not read as something.
                        let end = range.end + word_length(&self.text[range.end..]);
                        self.push(&self.text[range.start..end]);
                        lexer.jump(end);
                    }
                }
                Piece::Literal(escape) => {
                    let inside = self.literal(slice, escape)?;
                    self.push(&inside);
                }
                Piece::Symbol if slice == "{" => match self.form(&self.text[range.start..]) {
                    Some((value, length)) => {
                        self.value_text(&value);
                        lexer.jump(range.start + length);
                    }
                    None => self.push(slice),
                },
                Piece::Positional => {
                    self.positional.get_or_insert_with(|| slice.to_owned());
                    self.push(slice);
                }
                Piece::Blank | Piece::Word | Piece::Closed | Piece::Symbol => self.push(slice),
            }
            match piece {
                Piece::Blank => {}
                Piece::Word => self.words = [self.words[1], self.words[2], slice],
                _ => self.words = [""; 3],
            }
            bounded(&self.out)?;
        }
        Ok(())
    }

    /// `{name:literal}` or `{name:identifier}`.
    fn form(&self, text: &str) -> Option<(String, usize)> {
        let (name, form, length) = brace(text)?;
        let value = variable(name, self.scope)?;
        match form? {
            "literal" => Some((quoted(value), length)),
            _ => Some((identifier(value), length)),
        }
    }

    /// Appends a value, apart from its neighbours: two literals side by side would be one, `$1` and `2` another.
    fn value_text(&mut self, text: &str) {
        let apart = |c: char| c.is_whitespace() || matches!(c, '(' | '[' | ',' | '=');
        if !self.out.chars().next_back().is_none_or(apart) {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.after_value = true;
    }

    /// Appends a piece of the statement as it stands.
    fn push(&mut self, text: &str) {
        if std::mem::take(&mut self.after_value)
            && text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '\'' | '"'))
        {
            self.out.push(' ');
        }
        self.out.push_str(text);
    }

    fn reference(&mut self, reference: &Reference<'_, '_>) -> Result<(), Error> {
        let literal = self.before_literal();
        let text = match self.known.get(reference.text) {
            Some(text) if !literal => text.clone(),
            _ => self.expression(reference, literal)?,
        };
        self.value_text(&text);
        if !literal {
            self.known.insert(reference.text.to_owned(), text);
        }
        Ok(())
    }

    /// What stands in an expression for a reference.
    fn expression(&mut self, reference: &Reference<'_, '_>, literal: bool) -> Result<String, Error> {
        if reference.part == Member::Rows {
            return self.row_source(reference);
        }
        let literal = literal || self.manner == Manner::Literals;
        match reference.find()? {
            Found::Missing => Err(reference.missing()),
            Found::Value(json, Some(kind)) if !literal && !is_character(kind) => {
                if json.starts_with(['[', '{']) && !is_json(kind) {
                    // PostgreSQL's input functions do not read arrays and composites as JSON; this does.
                    let value = self.value("pg_catalog.json", Some(format!("{{\"v\":{json}}}")))?;
                    // The cast makes it an expression for `= ANY(…)` too, which takes a query for rows.
                    return Ok(format!(
                        "((SELECT \"v\" FROM pg_catalog.json_to_record({value}) AS \"r\"(\"v\" {kind}))::{kind})"
                    ));
                }
                let value = if is_json(kind) { json.to_owned() } else { plain(json) };
                self.value(kind, Some(value))
            }
            Found::Value(json, _) => bare(json),
            Found::Null(Some(kind)) if !literal && !is_character(kind) => self.value(kind, None),
            Found::Null(_) => Ok("NULL".into()),
        }
    }

    /// A value of a type: a parameter, or a cast where there can be none.
    fn value(&mut self, kind: &str, value: Option<String>) -> Result<String, Error> {
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(Error::Nul);
        }
        if self.manner == Manner::Parameters {
            self.params.push(Param { type_name: kind.to_owned(), value });
            return Ok(format!("${}", self.params.len()));
        }
        let text = value.map_or_else(|| "NULL".into(), |value| quoted(&value));
        Ok(format!("CAST({text} AS {kind})"))
    }

    /// `$name.*`.
    fn row_source(&mut self, reference: &Reference<'_, '_>) -> Result<String, Error> {
        let (raw, rows) = reference.rows()?;
        let alias = identifier(reference.name);
        let guessed;
        let columns = if let Some(columns) = reference.columns() {
            columns
        } else {
            guessed = guess(rows);
            &guessed
        };
        if columns.0.is_empty() {
            // A row of no columns cannot be written as a column list; only their number is left.
            return Ok(if rows.is_empty() {
                format!("(SELECT NULL WHERE false) AS {alias}")
            } else {
                format!("(SELECT FROM pg_catalog.generate_series(1, {})) AS {alias}", rows.len())
            });
        }
        let list: Vec<_> = columns
            .0
            .iter()
            .map(|column| format!("{} {}", identifier(&column.name), column.type_name))
            .collect();
        let value = if self.manner == Manner::Parameters {
            self.value("pg_catalog.json", Some(raw.get().to_owned()))?
        } else {
            format!("CAST({} AS pg_catalog.json)", quoted(raw.get()))
        };
        Ok(format!("pg_catalog.json_to_recordset({value}) AS {alias}({})", list.join(", ")))
    }

    /// A string literal with its references rewritten, escaped for it.
    fn literal(&self, slice: &str, escape: Escape) -> Result<String, Error> {
        let escaped = |text: &str| {
            let text = text.replace('\'', "''");
            match escape {
                _ if text.contains('\0') => Err(Error::Nul),
                Escape::Quote => Ok(text),
                Escape::Backslash => Ok(text.replace('\\', "\\\\")),
                Escape::Unicode(mark) => Ok(text.replace(mark, &format!("{mark}{mark}"))),
            }
        };
        scan(slice, &['$', '{'], |rest| {
            if rest.starts_with('{') {
                return match brace(rest) {
                    Some((name, Some("literal"), length)) => {
                        variable(name, self.scope).map(|value| Ok((escaped(value)?, length))).transpose()
                    }
                    _ => Ok(None),
                };
            }
            let Some(reference) = Reference::read(&rest[1..], &self.results) else { return Ok(None) };
            // Much in a text looks like a column: "see $doc.txt".
            if reference.part != Member::Rows && matches!(reference.find()?, Found::Missing) {
                return Ok(None);
            }
            Ok(Some((escaped(&reference.raw()?)?, reference.text.len() + 1)))
        })
    }

    /// Whether the grammar wants a string literal here: `interval $x`, `timestamp with time zone $x`.
    fn before_literal(&self) -> bool {
        const TYPES: [&str; 22] = [
            "bigint",
            "bool",
            "boolean",
            "bytea",
            "date",
            "decimal",
            "float",
            "inet",
            "int",
            "integer",
            "interval",
            "json",
            "jsonb",
            "numeric",
            "real",
            "smallint",
            "text",
            "time",
            "timestamp",
            "timestamptz",
            "timetz",
            "uuid",
        ];
        let [third, second, last] = self.words;
        TYPES.iter().any(|name| last.eq_ignore_ascii_case(name))
            || (last.eq_ignore_ascii_case("zone")
                && second.eq_ignore_ascii_case("time")
                && (third.eq_ignore_ascii_case("with") || third.eq_ignore_ascii_case("without")))
    }
}

#[cfg(test)]
mod tests;
