//! Which function a call means.

use super::coerce::{Context, Pathway};
use super::{Candidate, Choice, OPAQUE, Typer, known};
use crate::catalog::{Oid, Routine};
use crate::path::Place;

/// A call as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Call {
    /// The schema, if one is written.
    pub schema: Option<Oid>,
    /// The name.
    pub name: String,
    /// The types of the arguments.
    pub args: Vec<Oid>,
    /// The names of the last arguments, if they are named.
    pub names: Vec<String>,
    /// Is the last argument written with VARIADIC?
    pub variadic: bool,
    /// Is it CALL? Then output arguments are arguments.
    pub procedure: bool,
    /// Is it an aggregate with ORDER BY, DISTINCT or so on? Then it is no cast.
    pub plain: bool,
}

impl Typer<'_> {
    /// Which function it is, and the arguments that it takes in this call.
    pub fn call(&self, call: &Call) -> (Choice, Option<Candidate>) {
        let mut raw = self.candidates(call);
        if call.args.contains(&OPAQUE) {
            let maybe_type = self.type_as_function(call).is_some();
            return match raw.len() {
                0 if !maybe_type => (Choice::None, None),
                // One candidate is chosen whatever the types are, or the call fails.
                1 if !maybe_type && raw[0].oid != 0 => (Choice::Found(raw[0].oid), raw.pop()),
                _ => (Choice::Unknown, None),
            };
        }
        let exact = raw.iter().find(|candidate| {
            call.args.is_empty() || candidate.args.get(..call.args.len()) == Some(&call.args)
        });
        if let Some(exact) = exact {
            return if exact.oid == 0 {
                (Choice::Ambiguous, None)
            } else {
                (Choice::Found(exact.oid), Some(exact.clone()))
            };
        }
        if let Some(target) = self.type_as_function(call) {
            let source = call.args[0];
            let coercion = source == known::UNKNOWN
                || match self.pathway(target, source, Context::Explicit) {
                    Pathway::Relabel => true,
                    Pathway::Io => {
                        !((source == known::RECORD || self.composite(source)) && self.category(target) == 'S')
                    }
                    _ => false,
                };
            if coercion {
                return (Choice::Coercion(target), None);
            }
        }
        let matching = self.matching(&call.args, raw);
        let chosen = match matching.len() {
            0 => return (Choice::None, None),
            1 => matching.into_iter().next(),
            _ => self.select(&call.args, matching),
        };
        match chosen {
            Some(chosen) if chosen.oid != 0 => (Choice::Found(chosen.oid), Some(chosen)),
            _ => (Choice::Ambiguous, None),
        }
    }

    /// A one-argument call whose name is a type may be a cast. The temporary schema does not count.
    fn type_as_function(&self, call: &Call) -> Option<Oid> {
        if call.args.len() != 1 || !call.names.is_empty() || call.variadic || call.procedure || call.plain {
            return None;
        }
        match call.schema {
            Some(schema) => self.catalog.type_named(schema, &call.name).map(|found| found.oid),
            None => self
                .path
                .schemas()
                .find_map(|schema| self.catalog.type_named(schema, &call.name))
                .map(|found| found.oid),
        }
        .filter(|&oid| self.catalog.type_of(oid).is_some_and(|found| found.kind != 'p'))
    }

    /// Every function that the call could mean by its name and number of arguments.
    pub fn candidates(&self, call: &Call) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = Vec::new();
        let planted = self.routine.filter(|planted| planted.name == call.name);
        for routine in self.catalog.routines_named(&call.name).chain(planted) {
            let Some(position) = self.position(call.schema, routine.schema) else { continue };
            let Some(new) = shape(routine, call, position) else { continue };
            let significant = new.args.len() - new.defaulted;
            let same = found.iter().position(|old| {
                old.args.len() - old.defaulted == significant
                    && old.args[..significant] == new.args[..significant]
            });
            let Some(at) = same else {
                found.push(new);
                continue;
            };
            let old = &mut found[at];
            if new.position < old.position || (new.position == old.position && !new.variadic && old.variadic)
            {
                *old = new;
            } else if new.position == old.position && new.variadic == old.variadic {
                old.oid = 0;
            }
        }
        found
    }

    /// The schemas where functions are looked for, with their position.
    pub fn function_places(&self) -> impl Iterator<Item = Oid> {
        self.path.places.iter().filter_map(|place| match place {
            Place::Schema(oid) => Some(*oid),
            Place::Temp => None,
        })
    }
}

/// How a routine would take the arguments, if it can.
fn shape(routine: &Routine, call: &Call, position: usize) -> Option<Candidate> {
    let with_outputs = call.procedure && routine.kind == 'p' && !routine.all_args.is_empty();
    let params: &[Oid] = if with_outputs { &routine.all_args } else { &routine.args };
    let given = call.args.len();
    if !call.names.is_empty() {
        return named(routine, params, call, position);
    }
    // VARIADIC is written: the array is passed as it is, to a function that has such a parameter.
    if call.variadic && routine.variadic == 0 {
        return None;
    }
    let spread = !call.variadic && params.len() <= given && routine.variadic != 0;
    let defaulted = if params.len() > given {
        if given + routine.defaults < params.len() {
            return None;
        }
        params.len() - given
    } else {
        0
    };
    if params.len() < given && !spread {
        return None;
    }
    let mut args = params.to_vec();
    if spread {
        args.truncate(params.len() - 1);
        args.resize(given.max(params.len()), routine.variadic);
    }
    Some(Candidate { oid: routine.oid, args, defaulted, variadic: spread, position })
}

/// The same with named arguments: parameters in the order of the arguments, then the defaults.
fn named(routine: &Routine, params: &[Oid], call: &Call, position: usize) -> Option<Candidate> {
    let inputs: Vec<&str> = if routine.modes.is_empty() || (call.procedure && routine.kind == 'p') {
        routine.names.iter().map(String::as_str).collect()
    } else {
        let is_input = |mode: char| matches!(mode, 'i' | 'b' | 'v');
        routine
            .names
            .iter()
            .zip(&routine.modes)
            .filter(|(_, mode)| is_input(**mode))
            .map(|(n, _)| n.as_str())
            .collect()
    };
    let given = call.args.len();
    if params.len() < given || given < call.names.len() || (call.variadic && routine.variadic == 0) {
        return None;
    }
    if !call.variadic && routine.variadic != 0 && params.len() <= given {
        return None;
    }
    let positional = given - call.names.len();
    let mut order: Vec<usize> = (0..positional).collect();
    for name in &call.names {
        let at = inputs.iter().position(|input| input == name)?;
        if order.contains(&at) {
            return None;
        }
        order.push(at);
    }
    let left: Vec<usize> = (0..params.len()).filter(|at| !order.contains(at)).collect();
    if left.iter().any(|&at| at + routine.defaults < params.len()) {
        return None;
    }
    let args = order.iter().chain(&left).map(|&at| params[at]).collect();
    Some(Candidate { oid: routine.oid, args, defaulted: left.len(), variadic: false, position })
}
