//! All names of one piece of code: a routine's body, or statements.
//!
//! The pieces of SQL are walked one after the other, each seeing the parameters and variables that are visible there, and
//! what is found is put back at its place in the whole. `together` parses all pieces of a PL/pgSQL body with one call.

mod together;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use self::together::Together;
use crate::catalog::{Catalog, Names, Oid, Routine};
use crate::occurrence::{Kind, Meaning, Occurrence, REPATHED, look_up};
use crate::parse::{As, Token, parse_scanned, tokens};
use crate::path::Path;
use crate::plpgsql::{Event, Piece, events};
use crate::text::identifier;
use crate::typing::{OPAQUE, Typer, known};
use crate::walk::{Columns, Found, Surroundings, Variable, Walker};

/// All names of a routine's body.
pub fn routine(catalog: &Catalog, path: &Path, routine: &Routine) -> Found {
    let mut around = parameters(routine);
    match routine.language.as_str() {
        "sql" => statements(catalog, path, &routine.source, &around),
        "plpgsql" => {
            add_trigger_variables(catalog, routine, &mut around);
            plpgsql(catalog, path, &routine.source, around)
        }
        language => {
            let reason = format!("it is written in {language}, which is not looked into");
            Found { occurrences: Vec::new(), gaps: vec![(0..0, reason)] }
        }
    }
}

/// What the body of a routine sees of its arguments.
pub fn parameters(routine: &Routine) -> Surroundings {
    let types = if routine.all_args.is_empty() { &routine.args } else { &routine.all_args };
    let variables = routine
        .names
        .iter()
        .zip(types)
        .enumerate()
        .filter(|(at, (name, _))| {
            // The columns of RETURNS TABLE are variables of PL/pgSQL, not of SQL.
            !name.is_empty() && (routine.language == "plpgsql" || routine.modes.get(*at) != Some(&'t'))
        })
        .map(|(_, (name, oid))| Variable::new(name.clone(), *oid))
        .collect();
    Surroundings {
        variables,
        parameters: if routine.language == "plpgsql" { types.clone() } else { routine.args.clone() },
        labels: vec![routine.name.clone()],
        ..Surroundings::default()
    }
}

fn add_trigger_variables(catalog: &Catalog, routine: &Routine, around: &mut Surroundings) {
    around.variables.push(Variable::new("found", known::BOOL));
    let event_trigger = catalog.type_of(routine.returns).is_some_and(|found| found.name == "event_trigger");
    if event_trigger {
        around.variables.push(Variable::new("tg_event", known::TEXT));
        around.variables.push(Variable::new("tg_tag", known::TEXT));
    }
    if routine.returns != known::TRIGGER {
        return;
    }
    for name in ["tg_when", "tg_level", "tg_op"] {
        around.variables.push(Variable::new(name, known::TEXT));
    }
    for name in ["tg_name", "tg_relname", "tg_table_name", "tg_table_schema"] {
        around.variables.push(Variable::new(name, known::NAME));
    }
    around.variables.push(Variable::new("tg_relid", known::OID));
    around.variables.push(Variable::new("tg_nargs", known::INT4));
    let texts = catalog.type_of(known::TEXT).map_or(OPAQUE, |text| text.array);
    around.variables.push(Variable::new("tg_argv", texts));
    let mine: Vec<_> = catalog.triggers_of(routine.oid).collect();
    // The rows have a type only if all the triggers are on one table.
    let table = match mine.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other.relation == first.relation) => {
            catalog.relation_of(first.relation)
        }
        _ => None,
    };
    for name in ["new", "old"] {
        let mut row = Variable::new(name, table.map_or(OPAQUE, |table| table.row_type));
        row.columns = table.map(|table| table.columns.clone());
        around.variables.push(row);
    }
    around.local_tables.extend(mine.iter().flat_map(|trigger| trigger.tables.clone()));
}

/// All names of statements. One that cannot be parsed is a gap, and the others are walked.
pub fn statements(catalog: &Catalog, path: &Path, text: &str, around: &Surroundings) -> Found {
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(error) => return gap(0..text.len(), error.message),
    };
    let mut around = around.clone();
    around.local_tables.extend(temporary_tables(text, &tokens));
    let names = catalog.names(path);
    let mut walker =
        Walker::new(Typer::new(catalog, path), text, &tokens, &around).remembering(names.as_deref());
    match parse_scanned(text, &tokens, As::Statements) {
        Ok(statements) => {
            let mut repathed = None;
            for (start, statement) in &statements {
                walker.statement(statement);
                let own = from_statement(text, &tokens, *start);
                if repathed.is_none() && sets_path(text, own) {
                    repathed = own.last().map(|token| token.end);
                }
            }
            let mut found = walker.finish();
            if let Some(after) = repathed {
                let later = found.occurrences.partition_point(|name| name.span.start < after);
                after_path(catalog, &mut found.occurrences[later..]);
            }
            found
        }
        Err(error) => {
            let pieces = split(&tokens);
            if pieces.len() < 2 {
                return gap(0..text.len(), error.message);
            }
            let mut found = Found::default();
            for piece in pieces {
                let part = &text[piece.clone()];
                add(&mut found, one(catalog, path, part, As::Statements, &around).0, piece.start);
            }
            found
        }
    }
}

/// The tokens of the statement that begins at or after a byte.
fn from_statement<'t>(text: &str, tokens: &'t [Token], start: usize) -> &'t [Token] {
    let from = &tokens[tokens.partition_point(|token| token.start < start)..];
    let end = from.iter().position(|token| token.text(text) == ";").unwrap_or(from.len());
    &from[..end]
}

fn gap(at: Range<usize>, reason: String) -> Found {
    Found { occurrences: Vec::new(), gaps: vec![(at, reason)] }
}

/// Statements by the semicolons between them.
fn split(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = None;
    let mut end = 0;
    for token in tokens {
        if token.kind == postern_grammar::nodes::Token::Ascii59 {
            if let Some(start) = start.take() {
                pieces.push(start..end);
            }
        } else {
            start.get_or_insert(token.start);
            end = token.end;
        }
    }
    pieces.extend(start.map(|start| start..end));
    pieces
}

/// The names of tables that a text creates as temporary ones.
fn temporary_tables(text: &str, tokens: &[Token]) -> HashSet<String> {
    let mut found = HashSet::new();
    for (at, token) in tokens.iter().enumerate() {
        if !token.is(text, "temp") && !token.is(text, "temporary") {
            continue;
        }
        let mut rest = tokens[at + 1..].iter().filter(|token| {
            !["table", "if", "not", "exists", "view", "sequence"].iter().any(|word| token.is(text, word))
        });
        if let Some(name) = rest.next() {
            found.insert(identifier(name.text(text)));
        }
    }
    found
}

/// Walks one piece; gives the columns of its last statement.
fn one(catalog: &Catalog, path: &Path, text: &str, parse_as: As, around: &Surroundings) -> (Found, Columns) {
    let Ok(tokens) = tokens(text) else {
        return (gap(0..text.len(), "the text cannot be read".into()), None);
    };
    match parse_scanned(text, &tokens, parse_as) {
        Err(error) => (gap(0..text.len(), error.message), None),
        Ok(statements) => {
            let names = catalog.names(path);
            let mut walker =
                Walker::new(Typer::new(catalog, path), text, &tokens, around).remembering(names.as_deref());
            let mut columns = None;
            for (_, statement) in &statements {
                columns = walker.statement(statement);
            }
            (walker.finish(), columns)
        }
    }
}

fn add(found: &mut Found, piece: Found, offset: usize) {
    found.occurrences.extend(piece.occurrences.into_iter().map(|occurrence| Occurrence {
        span: occurrence.span.start + offset..occurrence.span.end + offset,
        ..occurrence
    }));
    found
        .gaps
        .extend(piece.gaps.into_iter().map(|(at, reason)| (at.start + offset..at.end + offset, reason)));
}

/// A type stands in a cast as it does in a declaration.
const CAST: &str = "SELECT NULL::";

/// The tokens of a part of a text.
fn within<'t>(tokens: &'t [Token], part: &Range<usize>) -> &'t [Token] {
    let first = tokens.partition_point(|token| token.start < part.start);
    let end = tokens.partition_point(|token| token.end <= part.end);
    tokens.get(first..end).unwrap_or_default()
}

/// Does a statement set the path: `SET [LOCAL]`, `RESET`, or a call of `set_config`?
fn sets_path(text: &str, tokens: &[Token]) -> bool {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(text, word));
    let named = |at: usize| is(at, "search_path") || is(at, "schema");
    if is(0, "set") {
        return named(1) || ((is(1, "local") || is(1, "session")) && named(2));
    }
    if is(0, "reset") || is(0, "discard") {
        return is(1, "search_path") || is(1, "all");
    }
    (0..tokens.len()).any(|at| is(at, "set_config") && is(at + 1, "(") && is(at + 2, "'search_path'"))
}

/// Names of one piece after the path was set. What is looked up along it is not followed: which statement ran before is not known. What
/// means something of `pg_catalog` whatever else is on the path, means the same along any; where that depends on types, so must whatever the
/// types in the piece may come from.
fn after_path(catalog: &Catalog, names: &mut [Occurrence]) {
    let along = |name: &Occurrence| name.schema.is_none() && !matches!(name.meaning, Meaning::Local(_));
    let [least, most] = [Path::least(), Path::most(catalog)];
    let steady = |name: &Occurrence| {
        matches!(name.meaning, Meaning::Object(_))
            && [&least, &most].iter().all(|path| {
                look_up(&Typer::new(catalog, path), None, &name.name, &name.lookup) == name.meaning
            })
    };
    let steady: Vec<bool> = names.iter().map(|name| !along(name) || steady(name)).collect();
    let all = steady.iter().all(|steady| *steady);
    for (name, steady) in names.iter_mut().zip(steady).filter(|(name, _)| along(name)) {
        let typed = matches!(name.kind(), Kind::Function | Kind::Operator);
        if steady && (all || !typed) {
            name.repathed = true;
        } else {
            name.meaning = Meaning::Unknown(REPATHED.into());
        }
    }
}

/// Is it one word that looks nothing up: a constant, a variable, a parameter?
fn nameless(tokens: &[Token]) -> bool {
    use postern_grammar::nodes::Token as Kind;
    let [one] = tokens else { return false };
    matches!(one.kind, Kind::Iconst | Kind::Fconst | Kind::Sconst | Kind::Ident | Kind::Param)
}

/// Where a type says `%TYPE` or `%ROWTYPE`.
fn percent_of(text: &str, tokens: &[Token]) -> Option<usize> {
    tokens.iter().position(|token| token.text(text) == "%")
}

struct Reading<'a> {
    catalog: &'a Catalog,
    path: &'a Path,
    names: Option<Arc<Names>>,
    text: &'a str,
    tokens: &'a [Token],
    together: Together,
    around: Surroundings,
    /// How many variables each open scope began with.
    scopes: Vec<usize>,
    /// How often each variable is given a row.
    assigned: HashMap<String, usize>,
    /// Has the body set another path by now?
    repathed: bool,
    found: Found,
}

/// A piece of SQL in a body, and what it sees: to ask a server about it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it is.
    pub piece: Piece,
    /// Where.
    pub at: Range<usize>,
    /// Its text, as long as the place.
    pub text: String,
    /// The variables, the innermost last.
    pub variables: Vec<Variable>,
}

/// The pieces of SQL of a PL/pgSQL routine, each with what it sees.
pub fn pieces(catalog: &Catalog, path: &Path, routine: &Routine) -> Vec<Seen> {
    let mut around = parameters(routine);
    add_trigger_variables(catalog, routine, &mut around);
    let mut seen = Vec::new();
    watched(catalog, path, &routine.source, around, |around, event| {
        if let Event::Sql { piece, at, text, .. } = event {
            let variables = around.variables.clone();
            seen.push(Seen { piece: *piece, at: at.clone(), text: text.clone(), variables });
        }
    });
    seen
}

/// All names of a PL/pgSQL body.
pub fn plpgsql(catalog: &Catalog, path: &Path, text: &str, around: Surroundings) -> Found {
    watched(catalog, path, text, around, |_, _| {})
}

fn watched(
    catalog: &Catalog,
    path: &Path,
    text: &str,
    around: Surroundings,
    mut watch: impl FnMut(&Surroundings, &Event),
) -> Found {
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(error) => return gap(0..text.len(), error.message),
    };
    let events = events(text, &tokens);
    let together = Together::of(text, &tokens, &events);
    let mut assigned = HashMap::new();
    for event in &events {
        if let Event::Sql { into, .. } = event {
            for name in into {
                *assigned.entry(name.clone()).or_insert(0) += 1;
            }
        }
    }
    let mut around = around;
    around.local_tables.extend(temporary_tables(text, &tokens));
    let mut reading = Reading {
        catalog,
        path,
        names: catalog.names(path),
        text,
        tokens: &tokens,
        together,
        around,
        scopes: Vec::new(),
        assigned,
        repathed: false,
        found: Found::default(),
    };
    for (number, event) in events.into_iter().enumerate() {
        watch(&reading.around, &event);
        reading.event(number, event);
    }
    let mut found = reading.found;
    found.occurrences.sort_by_key(|occurrence| (occurrence.span.start, occurrence.span.end));
    found
}

impl Reading<'_> {
    fn event(&mut self, number: usize, event: Event) {
        match event {
            Event::Enter => self.scopes.push(self.around.variables.len()),
            Event::Leave => {
                if let Some(count) = self.scopes.pop() {
                    self.around.variables.truncate(count);
                }
            }
            Event::Label(name) => self.around.labels.push(name),
            Event::Builtin { name, type_name } => {
                let oid =
                    self.catalog.type_named(crate::catalog::PG_CATALOG, type_name).map_or(OPAQUE, |t| t.oid);
                self.around.variables.push(Variable::new(name, oid));
            }
            Event::Alias { name, of } => {
                let oid = match of.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()) {
                    Some(number) => self.around.parameters.get(number.wrapping_sub(1)).copied(),
                    None => self.variable(&of).map(|variable| variable.oid),
                };
                self.around.variables.push(Variable::new(name, oid.unwrap_or(OPAQUE)));
            }
            Event::Declare { name, type_at } => {
                let oid = self.declared(number, type_at);
                self.around.variables.push(Variable::new(name, oid));
            }
            Event::Sql { piece, at, text, into } => {
                let parse_as = if piece == Piece::Statement { As::Statements } else { As::Expression };
                if into.is_empty() && piece != Piece::Statement && nameless(within(self.tokens, &at)) {
                    return self.ran(piece, at);
                }
                let (found, columns) = self
                    .parsed(number)
                    .unwrap_or_else(|| one(self.catalog, self.path, &text, parse_as, &self.around));
                let noted = self.found.occurrences.len();
                add(&mut self.found, found, at.start);
                if self.repathed {
                    after_path(self.catalog, &mut self.found.occurrences[noted..]);
                }
                self.repathed |= sets_path(self.text, within(self.tokens, &at));
                self.ran(piece, at);
                if let [target] = into.as_slice() {
                    self.give_row(target, columns);
                }
            }
            Event::Compare { subject, values } => {
                let noted = self.found.occurrences.len();
                self.compare(&subject, &values);
                if self.repathed {
                    after_path(self.catalog, &mut self.found.occurrences[noted..]);
                }
            }
            Event::PreferVariables => self.around.prefer_variables = true,
            Event::Gap { at, reason } => self.found.gaps.push((at, reason.into())),
        }
    }

    /// Notes SQL that is made at run time.
    fn ran(&mut self, piece: Piece, at: Range<usize>) {
        if piece == Piece::Dynamic {
            self.found.gaps.push((at, "the SQL that EXECUTE runs is made at run time".into()));
        }
    }

    /// Walks what an event has, if it could be parsed with the others.
    fn parsed(&self, number: usize) -> Option<(Found, Columns)> {
        let piece = self.together.piece(number)?;
        let typer = Typer::new(self.catalog, self.path);
        let mut walker = Walker::new(typer, self.together.text(), piece.tokens, &self.around)
            .remembering(self.names.as_deref());
        let columns = walker.statement(piece.statement);
        let mut found = walker.finish();
        // What has no place stands at the beginning, as it does in a text of its own.
        let own = |span: &Range<usize>| {
            span.start.saturating_sub(piece.offset)..span.end.saturating_sub(piece.offset)
        };
        for occurrence in &mut found.occurrences {
            occurrence.span = own(&occurrence.span);
        }
        for (span, _) in &mut found.gaps {
            *span = own(span);
        }
        Some((found, columns))
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.around.variables.iter().rev().find(|variable| variable.name == name)
    }

    /// A record takes the shape of the one query that fills it.
    fn give_row(&mut self, target: &str, columns: Columns) {
        let only = self.assigned.get(target) == Some(&1);
        if let Some(variable) =
            self.around.variables.iter_mut().rev().find(|variable| variable.name == target)
            && variable.oid == known::RECORD
        {
            variable.columns = columns.filter(|_| only);
        }
    }

    /// The type of a variable.
    fn declared(&mut self, number: usize, at: Range<usize>) -> Oid {
        let text = &self.text[at.clone()];
        let tokens = within(self.tokens, &at);
        if let Some(percent) = percent_of(self.text, tokens) {
            let tokens: Vec<Token> = tokens.iter().map(|token| token.moved(at.start, 0)).collect();
            return self.referred(text, &tokens, percent, at.start);
        }
        let (found, columns) = self.parsed(number).unwrap_or_else(|| {
            let statement = format!("{CAST}{text}");
            let (mut found, columns) = one(self.catalog, self.path, &statement, As::Statements, &self.around);
            for occurrence in &mut found.occurrences {
                occurrence.span = occurrence.span.start - CAST.len()..occurrence.span.end - CAST.len();
            }
            for (span, _) in &mut found.gaps {
                *span = span.start.saturating_sub(CAST.len())..span.end.saturating_sub(CAST.len());
            }
            (found, columns)
        });
        add(&mut self.found, found, at.start);
        match columns.as_deref() {
            Some([(_, oid)]) => *oid,
            _ => OPAQUE,
        }
    }

    /// `name%TYPE`, `name.column%TYPE`, `name%ROWTYPE`.
    fn referred(&mut self, text: &str, tokens: &[Token], percent: usize, offset: usize) -> Oid {
        let names: Vec<String> = tokens[..percent]
            .iter()
            .filter(|token| token.text(text) != ".")
            .map(|token| identifier(token.text(text)))
            .collect();
        let row = tokens.get(percent + 1).is_some_and(|token| token.is(text, "rowtype"));
        let array = tokens.len() > percent + 2;
        if !row
            && let [first, ..] = names.as_slice()
            && let Some(variable) = self.variable(first)
        {
            // The type of a variable, or of a field of one.
            return if names.len() == 1 && !array { variable.oid } else { OPAQUE };
        }
        let count = if row { names.len() } else { names.len().saturating_sub(1) };
        let (Some(first), Some(last)) =
            (tokens.first(), count.checked_sub(1).and_then(|at| tokens.get(at * 2)))
        else {
            return OPAQUE;
        };
        let parts: Vec<&str> = names[..count].iter().map(String::as_str).collect();
        let around = Surroundings::default();
        let mut walker = Walker::new(Typer::new(self.catalog, self.path), text, tokens, &around);
        let relation = walker.relation_at(&parts, first.start..last.end);
        add(&mut self.found, walker.finish(), offset);
        let relation = relation.and_then(|oid| self.catalog.relation_of(oid));
        match relation {
            Some(relation) if row => relation.row_type,
            Some(relation) if !array => {
                let column =
                    names.last().and_then(|name| relation.columns.iter().find(|(column, _)| column == name));
                column.map_or(OPAQUE, |(_, oid)| *oid)
            }
            _ => OPAQUE,
        }
    }

    /// The server rewrites a simple CASE to `subject IN (values)` for each WHEN.
    fn compare(&mut self, subject: &Range<usize>, values: &Range<usize>) {
        let (subject_text, values_text) = (&self.text[subject.clone()], &self.text[values.clone()]);
        let rewritten = format!("({subject_text}) IN ({values_text})");
        let (found, _) = one(self.catalog, self.path, &rewritten, As::Expression, &self.around);
        // The subject was noted at its own place; the values and the operator are put at theirs.
        let values_from = subject_text.len() + "() IN (".len();
        let moved = found.occurrences.into_iter().filter_map(|occurrence| {
            if occurrence.span.start >= values_from {
                let shift = |byte: usize| byte - values_from + values.start;
                Some(Occurrence {
                    span: shift(occurrence.span.start)..shift(occurrence.span.end),
                    ..occurrence
                })
            } else if occurrence.span.start > subject_text.len() {
                Some(Occurrence { span: values.clone(), implied_by: Some("CASE"), ..occurrence })
            } else {
                None
            }
        });
        self.found.occurrences.extend(moved);
        if found.gaps.iter().any(|(at, _)| at.end > values_from) {
            self.found.gaps.push((values.clone(), "the values of CASE could not be read".into()));
        }
    }
}
