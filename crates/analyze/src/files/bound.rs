//! Definitions with expressions in them, and what they call, while statements make, replace and drop them.
//!
//! Each is found by what it belongs to, by its description, and by what it names: a file that makes ten thousand functions again does
//! not look through all there is for each of them.
//!
//! **Invariants**
//! * Order is that of making.
//! * What is gone has left a hole, so that the places of the others stay.

use std::collections::HashMap;
use std::hash::Hash;

use crate::catalog::{Expression, Oid, Use};

/// What there is now.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    expressions: Vec<Option<Expression>>,
    by_owner: HashMap<Oid, Vec<usize>>,
    by_description: HashMap<String, Vec<usize>>,
    /// Of views: by what they name.
    views: HashMap<Oid, Vec<usize>>,
    uses: Vec<Option<Use>>,
    uses_by_description: HashMap<String, Vec<usize>>,
    uses_by_function: HashMap<Oid, Vec<usize>>,
}

impl Bound {
    /// What there was before.
    pub fn new(expressions: Vec<Expression>, uses: Vec<Use>) -> Self {
        let mut all = Self::default();
        for expression in expressions {
            all.add(expression);
        }
        for used in uses {
            all.add_use(used);
        }
        all
    }

    /// All of it, in order.
    pub fn into_parts(self) -> (Vec<Expression>, Vec<Use>) {
        (self.expressions.into_iter().flatten().collect(), self.uses.into_iter().flatten().collect())
    }

    /// Adds a definition.
    pub fn add(&mut self, expression: Expression) {
        let at = self.expressions.len();
        self.by_owner.entry(expression.relation).or_default().push(at);
        self.by_description.entry(expression.by.clone()).or_default().push(at);
        if expression.kind.ends_with("view") {
            let names = expression.found.iter().flat_map(|found| &found.occurrences);
            for oid in names.filter_map(crate::occurrence::Occurrence::object) {
                let places = self.views.entry(oid).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        self.expressions.push(Some(expression));
    }

    /// Notes that a definition calls a function.
    pub fn add_use(&mut self, used: Use) {
        let at = self.uses.len();
        self.uses_by_description.entry(used.by.clone()).or_default().push(at);
        self.uses_by_function.entry(used.function).or_default().push(at);
        self.uses.push(Some(used));
    }

    /// The definitions that belong to a table, view, domain or routine.
    pub fn of(&self, relation: Oid) -> impl Iterator<Item = &Expression> {
        here(&self.by_owner, &relation).iter().filter_map(|&at| self.expressions[at].as_ref())
    }

    /// Gives what belongs to a table, view, domain or routine to another role.
    pub fn give(&mut self, relation: Oid, owner: Oid) {
        for at in here(&self.by_owner, &relation) {
            if let Some(found) = self.expressions[*at].as_mut().filter(|found| found.kind != "statement") {
                found.owner = owner;
            }
        }
    }

    /// The views that name something.
    pub fn views_of(&self, oid: Oid) -> impl Iterator<Item = &Expression> {
        here(&self.views, &oid).iter().filter_map(|&at| self.expressions[at].as_ref())
    }

    /// What a definition calls.
    pub fn called_by(&self, by: &str) -> impl Iterator<Item = &Use> {
        here(&self.uses_by_description, by).iter().filter_map(|&at| self.uses[at].as_ref())
    }

    /// What calls a function.
    pub fn callers_of(&self, function: Oid) -> impl Iterator<Item = &Use> {
        here(&self.uses_by_function, &function).iter().filter_map(|&at| self.uses[at].as_ref())
    }

    /// A function that is gone is called by nothing.
    pub fn forget_calls_of(&mut self, function: Oid) {
        for at in self.uses_by_function.remove(&function).unwrap_or_default() {
            self.remove_use(at);
        }
    }

    /// Takes what belongs to something out.
    pub fn take_of(&mut self, relation: Oid, gone: impl Fn(&Expression) -> bool) -> Vec<Expression> {
        let places: Vec<usize> = here(&self.by_owner, &relation).to_vec();
        self.take(&places, gone)
    }

    /// Takes what has a description out.
    pub fn take_described(&mut self, by: &str) -> Vec<Expression> {
        let places: Vec<usize> = here(&self.by_description, by).to_vec();
        self.take(&places, |_| true)
    }

    fn take(&mut self, places: &[usize], gone: impl Fn(&Expression) -> bool) -> Vec<Expression> {
        let mut taken = Vec::new();
        for &at in places {
            let Some(expression) = self.expressions[at].take_if(|expression| gone(expression)) else {
                continue;
            };
            leave(&mut self.by_owner, &expression.relation, at);
            leave(&mut self.by_description, expression.by.as_str(), at);
            for at in self.uses_by_description.remove(&expression.by).unwrap_or_default() {
                self.remove_use(at);
            }
            taken.push(expression);
        }
        taken
    }

    fn remove_use(&mut self, at: usize) {
        if let Some(used) = self.uses[at].take() {
            leave(&mut self.uses_by_description, used.by.as_str(), at);
            leave(&mut self.uses_by_function, &used.function, at);
        }
    }
}

fn here<'i, K, Q>(index: &'i HashMap<K, Vec<usize>>, key: &Q) -> &'i [usize]
where
    K: Hash + Eq + std::borrow::Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    index.get(key).map_or(&[], Vec::as_slice)
}

fn leave<K, Q>(index: &mut HashMap<K, Vec<usize>>, key: &Q, at: usize)
where
    K: Hash + Eq + std::borrow::Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    if let Some(places) = index.get_mut(key) {
        places.retain(|&place| place != at);
        if places.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(oid: Oid, relation: Oid, by: &str) -> Expression {
        Expression {
            oid,
            kind: "policy".into(),
            by: by.into(),
            owner: 10,
            relation,
            source: String::new(),
            search_path: String::new(),
            found: None,
        }
    }

    fn calls(by: &str, function: Oid) -> Use {
        Use { kind: "policy".into(), by: by.into(), function }
    }

    #[test]
    fn what_is_taken_takes_its_calls_with_it_and_the_rest_keeps_its_order() {
        let expressions = vec![
            expression(1, 100, "a"),
            expression(2, 100, "b"),
            expression(3, 200, "c"),
            expression(4, 200, "a"),
        ];
        let uses = vec![calls("a", 7), calls("b", 7), calls("c", 8), calls("c", 7)];
        let mut bound = Bound::new(expressions, uses);
        let taken = bound.take_of(100, |found| found.by == "a");
        assert_eq!(taken.iter().map(|found| found.oid).collect::<Vec<_>>(), [1]);
        // Calls belong to a description, whoever else has it.
        assert_eq!(bound.called_by("a").count(), 0);
        assert_eq!(bound.callers_of(7).map(|used| used.by.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(bound.take_of(100, |found| found.by == "a"), []);
        bound.forget_calls_of(7);
        assert_eq!(bound.called_by("c").map(|used| used.function).collect::<Vec<_>>(), [8]);
        bound.add(expression(5, 100, "a"));
        bound.add_use(calls("a", 9));
        bound.give(200, 11);
        assert_eq!(bound.take_described("b").len(), 1);
        let (left, uses) = bound.into_parts();
        assert_eq!(
            left.iter().map(|found| (found.oid, found.owner)).collect::<Vec<_>>(),
            [(3, 11), (4, 11), (5, 10)]
        );
        assert_eq!(uses, [calls("c", 8), calls("a", 9)]);
    }
}
