//! Noting a look-up, with its exact place.

use std::ops::Range;

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{Node, RangeVar, Token as Kind, TypeName};

use super::{Variable, Walker};
use crate::catalog::Oid;
use crate::occurrence::{Lookup, Meaning, Occurrence, look_up};
use crate::text::identifier;
use crate::typing::{OPAQUE, known};

/// The parts of a dotted name.
pub fn parts(nodes: &[Node]) -> Vec<&str> {
    nodes
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::String(string) => Some(string.sval.as_str()),
            _ => None,
        })
        .collect()
}

impl Walker<'_> {
    /// The index of the token that begins at a place.
    fn token_at(&self, at: i32) -> Option<usize> {
        let at = usize::try_from(at).ok()?.saturating_sub(self.base);
        self.tokens.binary_search_by_key(&at, |token| token.start).ok()
    }

    /// The place in the tree of the token that begins at a byte.
    pub(super) fn place_of(&self, byte: usize) -> Option<i32> {
        i32::try_from(byte + self.base).ok()
    }

    pub(super) fn token_span(&self, at: i32) -> Range<usize> {
        if let Some(index) = self.token_at(at) {
            return self.tokens[index].start..self.tokens[index].end;
        }
        let at = usize::try_from(at).unwrap_or(0).saturating_sub(self.base).min(self.text.len());
        at..at
    }

    /// The span of a dotted name that begins at a place.
    pub(super) fn dotted_span(&self, at: i32) -> Range<usize> {
        let Some(index) = self.token_at(at) else { return self.token_span(at) };
        let (start, mut end) = (self.tokens[index].start, self.tokens[index].end);
        for pair in self.tokens[index + 1..].chunks_exact(2) {
            if pair[0].kind != Kind::Ascii46 {
                break;
            }
            end = pair[1].end;
        }
        start..end
    }

    /// The token with which a dotted name begins, at or after one; in any spelling that means it.
    pub(super) fn dotted_at(&self, from: usize, names: &[&str]) -> Option<usize> {
        let is = |token: &crate::parse::Token, name: &str| identifier(token.text(self.text)) == name;
        let length = (2 * names.len()).checked_sub(1)?;
        let found = self.tokens.get(from..)?.windows(length).position(|tokens| {
            tokens.iter().step_by(2).zip(names).all(|(token, name)| is(token, name))
                && tokens.iter().skip(1).step_by(2).all(|token| token.kind == Kind::Ascii46)
        })?;
        Some(from + found)
    }

    /// The span of an operator: a token, or `OPERATOR(…)`.
    fn operator_span(&self, at: i32) -> Range<usize> {
        let span = self.token_span(at);
        let Some(index) = self.token_at(at) else { return span };
        if !self.tokens[index].is(self.text, "operator") {
            return span;
        }
        let close = self.tokens[index..].iter().find(|token| token.kind == Kind::Ascii41);
        span.start..close.map_or(span.end, |token| token.end)
    }

    pub(super) fn note(
        &mut self,
        span: Range<usize>,
        names: &[&str],
        implied_by: Option<&'static str>,
        lookup: Lookup,
    ) -> Meaning {
        let (schema, name) = match names {
            [.., schema, name] => (Some((*schema).to_owned()), (*name).to_owned()),
            [name] => (None, (*name).to_owned()),
            [] => return Meaning::Unknown("there is no name".into()),
        };
        let answer = || look_up(&self.typer, schema.as_deref(), &name, &lookup);
        let meaning = match self.names {
            Some(names) => names.meaning(schema.as_deref(), &name, &lookup, answer),
            None => answer(),
        };
        self.found.occurrences.push(Occurrence {
            span,
            schema,
            name,
            implied_by,
            quoted: false,
            lookup,
            meaning: meaning.clone(),
            repathed: false,
        });
        meaning
    }

    /// A relation; `None` if it is not one of the catalogs'.
    pub(super) fn note_relation(&mut self, relation: &RangeVar) -> Option<Oid> {
        let names: Vec<&str> = if relation.schemaname.is_empty() {
            vec![&relation.relname]
        } else {
            vec![&relation.schemaname, &relation.relname]
        };
        let span = self.dotted_span(relation.location);
        let local = relation.schemaname.is_empty() && self.is_local_table(&relation.relname);
        let meaning = self.note(span, &names, None, Lookup::Relation);
        match meaning {
            Meaning::Object(oid) if !local => Some(oid),
            // The body creates a temporary table of that name: which one is meant is decided by the path, and by whether
            // the table exists at that moment.
            _ if local => {
                let first = self.typer.path.places.first() == Some(&crate::path::Place::Temp);
                if let Some(last) = self.found.occurrences.last_mut() {
                    last.meaning = match meaning {
                        Meaning::Nothing => Meaning::Local("a temporary table that the same code creates"),
                        _ if first => Meaning::Local("a temporary table that the same code creates"),
                        other => other,
                    };
                    return last.object();
                }
                None
            }
            _ => None,
        }
    }

    pub(super) fn is_local_table(&self, name: &str) -> bool {
        self.created.contains(name) || self.around.local_tables.contains(name)
    }

    /// A type, with its array forms; gives the type meant.
    pub(super) fn note_type(&mut self, name: &TypeName) -> Oid {
        let names = parts(&name.names);
        if name.pct_type {
            return self.column_type(&names, name.location);
        }
        let element = self.type_by_parts(&names, name.location);
        if name.array_bounds.is_empty() || element == OPAQUE {
            return element;
        }
        // An array of arrays is an array.
        self.typer.array(element).unwrap_or(if self.typer.element(element).is_some() {
            element
        } else {
            OPAQUE
        })
    }

    fn type_by_parts(&mut self, names: &[&str], at: i32) -> Oid {
        let mut names = names;
        let span = self.dotted_span(at);
        let first = self.token_at(at).map(|index| self.tokens[index]);
        let spelled = first.map_or("", |token| token.text(self.text));
        // The grammar itself writes pg_catalog before the types that are words of it.
        if let ["pg_catalog", bare] = names
            && !spelled.trim_matches('"').eq_ignore_ascii_case("pg_catalog")
            && first.is_some()
        {
            let json_is_a_name = *bare == "json" && self.typer.catalog.snapshot.version < 170_000;
            if !json_is_a_name {
                let schema = crate::catalog::PG_CATALOG;
                return self.typer.catalog.type_named(schema, bare).map_or(OPAQUE, |found| found.oid);
            }
            names = &names[1..];
        }
        if names.is_empty() {
            return OPAQUE;
        }
        match self.note(span, names, None, Lookup::Type) {
            Meaning::Object(oid) => oid,
            _ => OPAQUE,
        }
    }

    /// `table.column%TYPE`: the name is that of the relation.
    fn column_type(&mut self, names: &[&str], at: i32) -> Oid {
        let [relation @ .., column] = names else { return OPAQUE };
        if relation.is_empty() {
            return OPAQUE;
        }
        let whole = self.dotted_span(at);
        let end = self
            .tokens
            .iter()
            .take_while(|token| token.end <= whole.end)
            .filter(|token| token.start >= whole.start)
            .nth(relation.len() * 2 - 2)
            .map_or(whole.end, |token| token.end);
        match self.note(whole.start..end, relation, None, Lookup::Relation) {
            Meaning::Object(oid) => self
                .typer
                .catalog
                .relation_of(oid)
                .and_then(|found| found.columns.iter().find(|(name, _)| name == column))
                .map_or(OPAQUE, |(_, oid)| *oid),
            _ => OPAQUE,
        }
    }

    pub(super) fn note_call(&mut self, names: &[&str], at: i32, call: crate::typing::Call) -> Meaning {
        let span = self.dotted_span(at);
        // The forms that the grammar binds to pg_catalog are spelled without it.
        if let ["pg_catalog", _] = names {
            let spelled = self.text.get(span.clone()).unwrap_or_default();
            if !spelled.trim_start_matches('"').to_ascii_lowercase().starts_with("pg_catalog") {
                let bound = crate::typing::Call { schema: Some(crate::catalog::PG_CATALOG), ..call };
                return match self.typer.call(&bound).0 {
                    crate::typing::Choice::Found(oid) => Meaning::Object(oid),
                    _ => Meaning::Unknown("the grammar chooses it".into()),
                };
            }
        }
        self.note(span, names, None, Lookup::Call(call))
    }

    /// Notes a relation that no tree has: `name%ROWTYPE`, `name.column%TYPE`.
    pub fn relation_at(&mut self, names: &[&str], span: Range<usize>) -> Option<Oid> {
        match self.note(span, names, None, Lookup::Relation) {
            Meaning::Object(oid) => Some(oid),
            _ => None,
        }
    }

    pub(super) fn note_routine(
        &mut self,
        names: &[&str],
        span: Range<usize>,
        args: Option<Vec<Oid>>,
    ) -> Meaning {
        self.note(span, names, None, Lookup::Routine(args))
    }

    pub(super) fn note_collation(&mut self, names: &[&str], at: i32) {
        // The place is that of COLLATE; the name follows.
        let span = match self.token_at(at).and_then(|index| self.tokens.get(index + 1)) {
            Some(next) if self.tokens[self.token_at(at).unwrap_or(0)].is(self.text, "collate") => {
                self.dotted_span(self.place_of(next.start).unwrap_or(at))
            }
            _ => self.dotted_span(at),
        };
        self.note(span, names, None, Lookup::Collation);
    }

    /// An operator between two operands; gives the type of the result.
    pub(super) fn note_binary(
        &mut self,
        names: &[&str],
        at: i32,
        implied_by: Option<&'static str>,
        left: Oid,
        right: Oid,
    ) -> Oid {
        let span = self.operator_span(at);
        let meaning = self.note(span, names, implied_by, Lookup::Binary(left, right));
        self.operator_result(&meaning, &[left, right])
    }

    pub(super) fn note_prefix(&mut self, names: &[&str], at: i32, operand: Oid) -> Oid {
        let span = self.operator_span(at);
        let meaning = self.note(span, names, None, Lookup::Prefix(operand));
        self.operator_result(&meaning, &[operand])
    }

    fn operator_result(&self, meaning: &Meaning, inputs: &[Oid]) -> Oid {
        let Meaning::Object(oid) = meaning else { return OPAQUE };
        let Some(operator) = self.typer.catalog.operator_of(*oid) else { return OPAQUE };
        let declared =
            if inputs.len() == 1 { vec![operator.right] } else { vec![operator.left, operator.right] };
        self.typer.actual(operator.result, inputs, &declared)
    }

    /// The text of a literal that is read as the name of an object.
    pub(super) fn note_literal(&mut self, text: &str, at: i32, target: Oid) {
        let span = self.token_span(at);
        let lookup = match self.typer.catalog.type_of(target).map(|found| found.name.as_str()) {
            Some("regclass") => Lookup::Relation,
            Some("regtype") => Lookup::Type,
            Some("regproc") => Lookup::Routine(None),
            Some("regcollation") => Lookup::Collation,
            Some(name @ ("regprocedure" | "regoper" | "regoperator" | "regconfig" | "regdictionary")) => {
                let reason = format!("a literal that {name} reads is not looked into");
                self.found.gaps.push((span, reason));
                return;
            }
            _ => return,
        };
        // A number or a dash is no name.
        if text.is_empty() || text == "-" || text.chars().all(|c| c.is_ascii_digit()) {
            return;
        }
        let Some(names) = dotted(text) else {
            self.found.gaps.push((span, "the literal is not a plain name".into()));
            return;
        };
        if lookup == Lookup::Type && (text.contains('[') || text.contains('(') || text.contains(' ')) {
            self.found.gaps.push((span, "the literal is not a plain name".into()));
            return;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.note(span, &names, None, lookup);
        if let Some(last) = self.found.occurrences.last_mut() {
            last.quoted = true;
        }
    }

    /// The variables that are around.
    pub(super) fn parameter(&self, number: i32) -> Oid {
        usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1))
            .and_then(|at| self.around.parameters.get(at))
            .copied()
            .unwrap_or(OPAQUE)
    }

    /// Is it a literal without a type?
    pub(super) fn is_unknown(oid: Oid) -> bool {
        oid == known::UNKNOWN
    }

    /// Is there a variable of this name?
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.around.variables.iter().rev().find(|variable| variable.name == name)
    }
}

/// The parts of a name as `regclass` reads it: folded, unless quoted. `None` if it is not a dotted name.
pub fn dotted(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text.trim();
    loop {
        let (name, after) = if let Some(quoted) = rest.strip_prefix('"') {
            // A quote in the name is doubled.
            let mut end = quoted.find('"')?;
            while quoted[end + 1..].starts_with('"') {
                end += 2 + quoted[end + 2..].find('"')?;
            }
            (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let word = &rest[..end];
            if !word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                return None;
            }
            (word.to_ascii_lowercase(), &rest[end..])
        };
        if name.is_empty() {
            return None;
        }
        names.push(name);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return (names.len() <= 2).then_some(names),
            None => return None,
        }
    }
}
