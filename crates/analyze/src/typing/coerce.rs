//! What can become what without being asked, and the common type of several expressions.

use super::{Candidate, Typer, known};
use crate::catalog::Oid;

/// How hard a coercion was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    Implicit,
    Assignment,
    Explicit,
}

/// A way from one type to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pathway {
    None,
    Relabel,
    Function,
    Array,
    Io,
}

impl Typer<'_> {
    pub(super) fn category(&self, oid: Oid) -> char {
        self.catalog.type_of(oid).map_or('X', |found| found.category)
    }

    fn preferred(&self, oid: Oid) -> bool {
        self.catalog.type_of(oid).is_some_and(|found| found.preferred)
    }

    /// The element type of a true array, domains over arrays seen through.
    pub fn element(&self, oid: Oid) -> Option<Oid> {
        self.catalog.type_of(oid).map(|found| found.element).filter(|&element| element != 0)
    }

    /// The array type over a type.
    pub fn array(&self, oid: Oid) -> Option<Oid> {
        self.catalog.type_of(oid).map(|found| found.array).filter(|&array| array != 0)
    }

    /// Is it a row type, or a domain over one?
    pub fn composite(&self, oid: Oid) -> bool {
        self.catalog.type_of(self.catalog.base_type(oid)).is_some_and(|found| found.kind == 'c')
    }

    pub(super) fn pathway(&self, target: Oid, source: Oid, context: Context) -> Pathway {
        let (source, target) = (self.catalog.base_type(source), self.catalog.base_type(target));
        if source == target {
            return Pathway::Relabel;
        }
        if let Some(cast) = self.catalog.cast(source, target) {
            let needs = match cast.context {
                'i' => Context::Implicit,
                'a' => Context::Assignment,
                _ => Context::Explicit,
            };
            return match (context >= needs, cast.binary) {
                (false, _) => Pathway::None,
                (true, true) => Pathway::Relabel,
                (true, false) => Pathway::Function,
            };
        }
        if target != known::OIDVECTOR
            && target != known::INT2VECTOR
            && let (Some(to), Some(from)) = (self.element(target), self.element(source))
        {
            return match self.pathway(to, from, context) {
                Pathway::None => Pathway::None,
                Pathway::Io => Pathway::Io,
                _ => Pathway::Array,
            };
        }
        // Everything can be written and read as text, when asked for.
        let io = (context >= Context::Assignment && self.category(target) == 'S')
            || (context >= Context::Explicit && self.category(source) == 'S');
        if io { Pathway::Io } else { Pathway::None }
    }

    pub(super) fn can_coerce(&self, inputs: &[Oid], targets: &[Oid]) -> bool {
        let mut generic = false;
        for (&input, &target) in inputs.iter().zip(targets) {
            if input == target || target == known::ANY {
                continue;
            }
            if super::generic::is_polymorphic(target) {
                generic = true;
                continue;
            }
            let fits = input == known::UNKNOWN
                || self.pathway(target, input, Context::Implicit) != Pathway::None
                || (input == known::RECORD && self.composite(target))
                || (target == known::RECORD && self.composite(input))
                || (target == known::RECORD_ARRAY
                    && self.element(input).is_some_and(|element| self.composite(element)))
                || self.inherits(input, target);
            if !fits {
                return false;
            }
        }
        !generic || self.generic_consistent(inputs, targets)
    }

    fn inherits(&self, sub: Oid, above: Oid) -> bool {
        let relation = |oid| self.catalog.type_of(self.catalog.base_type(oid)).map_or(0, |t| t.relation);
        let (sub, above) = (relation(sub), relation(above));
        if sub == 0 || above == 0 {
            return false;
        }
        let mut open = vec![sub];
        let mut seen = std::collections::HashSet::new();
        while let Some(next) = open.pop() {
            if next == above {
                return true;
            }
            if seen.insert(next) {
                let inherits = &self.catalog.snapshot.inherits;
                open.extend(inherits.iter().filter(|(child, _)| *child == next).map(|(_, parent)| *parent));
            }
        }
        false
    }

    /// The type that several expressions are brought to, as in UNION, CASE, ARRAY. `None` if the server refuses.
    pub fn common(&self, types: &[Oid]) -> Option<Oid> {
        let first = *types.first()?;
        if first != known::UNKNOWN && types.iter().all(|&oid| oid == first) {
            return Some(first);
        }
        let mut chosen = self.catalog.base_type(first);
        for &next in &types[1..] {
            let next = self.catalog.base_type(next);
            if next == known::UNKNOWN || next == chosen {
                continue;
            }
            if chosen == known::UNKNOWN {
                chosen = next;
            } else if self.category(next) != self.category(chosen) {
                return None;
            } else if !self.preferred(chosen)
                && self.can_coerce(&[chosen], &[next])
                && !self.can_coerce(&[next], &[chosen])
            {
                chosen = next;
            }
        }
        Some(if chosen == known::UNKNOWN { known::TEXT } else { chosen })
    }

    pub(super) fn matching(&self, inputs: &[Oid], candidates: Vec<Candidate>) -> Vec<Candidate> {
        candidates.into_iter().filter(|candidate| self.can_coerce(inputs, &candidate.args)).collect()
    }

    /// The rules that decide between candidates which all could be called; `None` if they do not.
    pub(super) fn select(&self, inputs: &[Oid], mut candidates: Vec<Candidate>) -> Option<Candidate> {
        let base: Vec<Oid> = inputs
            .iter()
            .map(|&oid| if oid == known::UNKNOWN { oid } else { self.catalog.base_type(oid) })
            .collect();
        let unknowns = base.iter().filter(|&&oid| oid == known::UNKNOWN).count();
        keep_best(&mut candidates, |candidate| {
            base.iter()
                .zip(&candidate.args)
                .filter(|&(&have, &want)| have != known::UNKNOWN && have == want)
                .count()
        });
        if candidates.len() == 1 {
            return candidates.pop();
        }
        keep_best(&mut candidates, |candidate| {
            base.iter()
                .zip(&candidate.args)
                .filter(|&(&have, &want)| {
                    have != known::UNKNOWN
                        && (have == want
                            || (self.preferred(want) && self.category(want) == self.category(have)))
                })
                .count()
        });
        if candidates.len() == 1 {
            return candidates.pop();
        }
        if unknowns == 0 {
            return None;
        }
        self.by_category(&base, &mut candidates);
        if candidates.len() == 1 {
            return candidates.pop();
        }
        self.by_the_known_type(&base, unknowns, &candidates)
    }

    fn by_category(&self, base: &[Oid], candidates: &mut Vec<Candidate>) {
        let mut slots: Vec<Option<(char, bool)>> = vec![None; base.len()];
        for (at, _) in base.iter().enumerate().filter(|&(_, &oid)| oid == known::UNKNOWN) {
            let mut slot: Option<(char, bool)> = None;
            let mut conflict = false;
            for candidate in candidates.iter() {
                let oid = candidate.args[at];
                let (category, preferred) = (self.category(oid), self.preferred(oid));
                match &mut slot {
                    None => slot = Some((category, preferred)),
                    Some((known, has)) if *known == category => *has |= preferred,
                    Some(_) if category == 'S' => slot = Some((category, preferred)),
                    Some(_) => conflict = true,
                }
            }
            if conflict && slot.is_none_or(|(category, _)| category != 'S') {
                return;
            }
            slots[at] = slot;
        }
        let fits = |candidate: &Candidate| {
            slots.iter().zip(&candidate.args).all(|(slot, &oid)| {
                slot.is_none_or(|(category, preferred)| {
                    self.category(oid) == category && (!preferred || self.preferred(oid))
                })
            })
        };
        if candidates.iter().any(fits) {
            candidates.retain(fits);
        }
    }

    fn by_the_known_type(
        &self,
        base: &[Oid],
        unknowns: usize,
        candidates: &[Candidate],
    ) -> Option<Candidate> {
        if unknowns == base.len() {
            return None;
        }
        let mut known_types = base.iter().filter(|&&oid| oid != known::UNKNOWN);
        let first = *known_types.next()?;
        if known_types.any(|&oid| oid != first) {
            return None;
        }
        let assumed = vec![first; base.len()];
        let mut able = candidates.iter().filter(|candidate| self.can_coerce(&assumed, &candidate.args));
        match (able.next(), able.next()) {
            (Some(one), None) => Some(one.clone()),
            _ => None,
        }
    }
}

fn keep_best(candidates: &mut Vec<Candidate>, score: impl Fn(&Candidate) -> usize) {
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.retain(|candidate| score(candidate) == best);
}
