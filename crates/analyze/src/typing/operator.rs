//! Which operator an expression means.

use super::{Candidate, Choice, OPAQUE, Typer, known};
use crate::catalog::{Oid, Operator};

impl Typer<'_> {
    fn operators<'b>(
        &'b self,
        schema: Option<Oid>,
        name: &'b str,
        prefix: bool,
    ) -> impl Iterator<Item = (usize, &'b Operator)> {
        let planted = self.operator.filter(|planted| planted.name == name);
        self.catalog
            .operators_named(name)
            .chain(planted)
            .filter(move |operator| (operator.left == 0) == prefix)
            .filter_map(move |operator| Some((self.position(schema, operator.schema)?, operator)))
    }

    fn exact_operator(&self, schema: Option<Oid>, name: &str, left: Oid, right: Oid) -> Option<Oid> {
        self.operators(schema, name, left == 0)
            .filter(|(_, operator)| operator.left == left && operator.right == right)
            .min_by_key(|(position, _)| *position)
            .map(|(_, operator)| operator.oid)
    }

    /// The operator between two operands.
    pub fn binary(&self, schema: Option<Oid>, name: &str, left: Oid, right: Oid) -> Choice {
        if left == OPAQUE || right == OPAQUE {
            return self.whatever(schema, name, false);
        }
        let (mut first, mut second, mut assumed) = (left, right, false);
        if first == known::UNKNOWN && second != known::UNKNOWN {
            (first, assumed) = (second, true);
        } else if second == known::UNKNOWN && first != known::UNKNOWN {
            (second, assumed) = (first, true);
        }
        if let Some(oid) = self.exact_operator(schema, name, first, second) {
            return Choice::Found(oid);
        }
        let base = self.catalog.base_type(first);
        if assumed
            && base != first
            && let Some(oid) = self.exact_operator(schema, name, base, base)
        {
            return Choice::Found(oid);
        }
        self.best(schema, name, &[left, right])
    }

    /// The operator before one operand.
    pub fn prefix(&self, schema: Option<Oid>, name: &str, operand: Oid) -> Choice {
        if operand == OPAQUE {
            return self.whatever(schema, name, true);
        }
        match self.exact_operator(schema, name, 0, operand) {
            Some(oid) => Choice::Found(oid),
            None => self.best(schema, name, &[operand]),
        }
    }

    // One candidate is chosen whatever the types are, or the expression fails.
    fn whatever(&self, schema: Option<Oid>, name: &str, prefix: bool) -> Choice {
        let mut all = self.operators(schema, name, prefix);
        match (all.next(), all.next()) {
            (None, _) => Choice::None,
            (Some((_, one)), None) => Choice::Found(one.oid),
            _ => Choice::Unknown,
        }
    }

    fn best(&self, schema: Option<Oid>, name: &str, inputs: &[Oid]) -> Choice {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (position, operator) in self.operators(schema, name, inputs.len() == 1) {
            let args =
                if inputs.len() == 1 { vec![operator.right] } else { vec![operator.left, operator.right] };
            match candidates.iter_mut().find(|old| old.args == args) {
                Some(old) if position < old.position => (old.oid, old.position) = (operator.oid, position),
                Some(_) => {}
                None => candidates.push(Candidate {
                    oid: operator.oid,
                    args,
                    defaulted: 0,
                    variadic: false,
                    position,
                }),
            }
        }
        let matching = self.matching(inputs, candidates);
        match matching.len() {
            0 => Choice::None,
            1 => Choice::Found(matching[0].oid),
            _ => self.select(inputs, matching).map_or(Choice::Ambiguous, |chosen| Choice::Found(chosen.oid)),
        }
    }
}
