//! Polymorphic types: whether arguments agree, and what the result is.

use super::{OPAQUE, Typer, known as k};
use crate::catalog::Oid;

/// Is it one of the `any…` types that stand for another (`"any"` is not)?
pub fn is_polymorphic(oid: Oid) -> bool {
    family1(oid) || family2(oid)
}

fn family1(oid: Oid) -> bool {
    matches!(oid, k::ANYELEMENT | k::ANYARRAY | k::ANYNONARRAY | k::ANYENUM | k::ANYRANGE | k::ANYMULTIRANGE)
}

fn family2(oid: Oid) -> bool {
    matches!(
        oid,
        k::ANYCOMPATIBLE
            | k::ANYCOMPATIBLEARRAY
            | k::ANYCOMPATIBLENONARRAY
            | k::ANYCOMPATIBLERANGE
            | k::ANYCOMPATIBLEMULTIRANGE
    )
}

/// What one family's parameters were given.
#[derive(Default)]
struct Given {
    element: Option<Oid>,
    array: Option<Oid>,
    range: Option<Oid>,
    multirange: Option<Oid>,
    not_array: bool,
    is_enum: bool,
    // The `anycompatible` family takes the common type of these.
    compatible: Vec<Oid>,
}

impl Typer<'_> {
    fn bounds(&self, oid: Oid, kind: char) -> Option<(Oid, Oid)> {
        let found = self.catalog.type_of(oid).filter(|found| found.kind == kind)?;
        Some((found.subtype, found.partner))
    }

    fn agree(slot: &mut Option<Oid>, oid: Oid) -> bool {
        if let Some(before) = *slot {
            before == oid
        } else {
            *slot = Some(oid);
            true
        }
    }

    /// Collects what is given; `false` if it cannot be.
    fn collect(&self, inputs: &[Oid], targets: &[Oid], first: &mut Given, second: &mut Given) -> bool {
        for (&input, &target) in inputs.iter().zip(targets) {
            if !is_polymorphic(target) || input == k::UNKNOWN {
                // An unknown literal agrees with anything, but says that there is such a parameter.
                match target {
                    k::ANYNONARRAY => first.not_array = true,
                    k::ANYENUM => first.is_enum = true,
                    k::ANYCOMPATIBLENONARRAY => second.not_array = true,
                    _ => {}
                }
                if input == k::UNKNOWN && matches!(target, k::ANYCOMPATIBLE | k::ANYCOMPATIBLENONARRAY) {
                    second.compatible.push(input);
                }
                continue;
            }
            let base = self.catalog.base_type(input);
            let fine = match target {
                k::ANYELEMENT | k::ANYNONARRAY | k::ANYENUM => {
                    first.not_array |= target == k::ANYNONARRAY;
                    first.is_enum |= target == k::ANYENUM;
                    Self::agree(&mut first.element, input)
                }
                k::ANYARRAY => Self::agree(&mut first.array, base),
                k::ANYRANGE => Self::agree(&mut first.range, base),
                k::ANYMULTIRANGE => Self::agree(&mut first.multirange, base),
                k::ANYCOMPATIBLE | k::ANYCOMPATIBLENONARRAY => {
                    second.not_array |= target == k::ANYCOMPATIBLENONARRAY;
                    second.compatible.push(input);
                    true
                }
                k::ANYCOMPATIBLEARRAY => match self.element(base) {
                    Some(element) => {
                        second.compatible.push(element);
                        true
                    }
                    None => false,
                },
                k::ANYCOMPATIBLERANGE => {
                    self.bounds(base, 'r').is_some() && Self::agree(&mut second.range, base)
                }
                _ => self.bounds(base, 'm').is_some() && Self::agree(&mut second.multirange, base),
            };
            if !fine {
                return false;
            }
        }
        true
    }

    /// Completes the first family: an array gives its element, and so on; `false` if that contradicts.
    fn complete(&self, given: &mut Given) -> bool {
        if let Some(array) = given.array {
            // Statistics columns are of type anyarray itself.
            if array == k::ANYARRAY {
                if given.element.is_some_and(|element| element != k::ANYELEMENT) {
                    return false;
                }
            } else {
                match self.element(array) {
                    Some(element) => {
                        if !Self::agree(&mut given.element, element) {
                            return false;
                        }
                    }
                    None => return false,
                }
            }
        }
        if let Some(range) = given.range {
            let Some((subtype, partner)) = self.bounds(range, 'r') else { return false };
            if !Self::agree(&mut given.element, subtype) {
                return false;
            }
            if given.multirange.is_some_and(|multirange| multirange != partner) {
                return false;
            }
            given.multirange = given.multirange.or((partner != 0).then_some(partner));
        }
        if let Some(multirange) = given.multirange {
            let Some((_, partner)) = self.bounds(multirange, 'm') else { return false };
            let Some((subtype, _)) = self.bounds(partner, 'r') else { return false };
            if !Self::agree(&mut given.range, partner) || !Self::agree(&mut given.element, subtype) {
                return false;
            }
        }
        if let Some(element) = given.element {
            let base = self.catalog.base_type(element);
            if given.not_array && self.element(base).is_some() {
                return false;
            }
            if given.is_enum && self.catalog.type_of(base).is_none_or(|found| found.kind != 'e') {
                return false;
            }
        }
        true
    }

    fn complete_compatible(&self, given: &mut Given) -> bool {
        if let Some(multirange) = given.multirange {
            let Some((_, range)) = self.bounds(multirange, 'm') else { return false };
            if !Self::agree(&mut given.range, range) {
                return false;
            }
        }
        if let Some(range) = given.range {
            let Some((subtype, partner)) = self.bounds(range, 'r') else { return false };
            given.compatible.push(subtype);
            if partner != 0 {
                given.multirange = Some(partner);
            }
        }
        if given.compatible.is_empty() {
            return true;
        }
        let Some(common) = self.common(&given.compatible) else { return false };
        if !given.compatible.iter().all(|&oid| self.can_coerce(&[oid], &[common])) {
            return false;
        }
        if given.range.and_then(|range| self.bounds(range, 'r')).is_some_and(|(subtype, _)| subtype != common)
        {
            return false;
        }
        given.element = Some(common);
        !(given.not_array && self.element(self.catalog.base_type(common)).is_some())
    }

    pub(super) fn generic_consistent(&self, inputs: &[Oid], targets: &[Oid]) -> bool {
        let (mut first, mut second) = (Given::default(), Given::default());
        self.collect(inputs, targets, &mut first, &mut second)
            && self.complete(&mut first)
            && self.complete_compatible(&mut second)
    }

    /// What a declared type means in a call with these arguments.
    pub fn actual(&self, declared: Oid, inputs: &[Oid], targets: &[Oid]) -> Oid {
        if !is_polymorphic(declared) {
            return declared;
        }
        let (mut first, mut second) = (Given::default(), Given::default());
        if inputs.contains(&OPAQUE)
            || !self.collect(inputs, targets, &mut first, &mut second)
            || !self.complete(&mut first)
            || !self.complete_compatible(&mut second)
        {
            return OPAQUE;
        }
        let given = if family1(declared) { first } else { second };
        let found = match declared {
            k::ANYARRAY | k::ANYCOMPATIBLEARRAY => match given.array {
                Some(array) if declared == k::ANYARRAY => Some(array),
                _ => given.element.and_then(|element| self.array(element)),
            },
            k::ANYRANGE | k::ANYCOMPATIBLERANGE => given.range,
            k::ANYMULTIRANGE | k::ANYCOMPATIBLEMULTIRANGE => given.multirange,
            _ => given.element,
        };
        found.unwrap_or(OPAQUE)
    }
}
