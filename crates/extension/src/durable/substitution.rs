//! `{name}` and `$name` in the text of a step: what it may refer to is looked up here, and put in by the language.

use std::collections::{BTreeMap, BTreeSet};

use postern_durable::machine::Value;
use postern_durable::request::Request;
use postern_durable::{Error, Failure, Kind, Named, Prepared, Scope, substitute};

use super::store::Instance;

/// The statement of a step with everything put in. `result` gives the text of a named result, and its columns as JSON; it is asked
/// for those that the statement mentions.
pub fn prepare(
    query: &str,
    id: &str,
    instance: &Instance,
    names: &BTreeMap<String, Value>,
    result: impl FnMut(&Value) -> (String, Option<String>),
) -> Result<Prepared, Failure> {
    in_scope(&[query], id, instance, names, result, |scope| substitute::prepare(query, scope))
}

/// The request of an HTTP step with everything put in but secrets. `node` is the step's id, for messages.
pub fn request(
    kind: &Kind,
    node: &str,
    id: &str,
    instance: &Instance,
    names: &BTreeMap<String, Value>,
    result: impl FnMut(&Value) -> (String, Option<String>),
) -> Result<Request, Failure> {
    in_scope(&Request::texts(kind), id, instance, names, result, |scope| Request::prepare(kind, node, scope))?
        .ok_or_else(|| Failure::new("XX000", "the step sends nothing"))
}

/// Does `f` with whatever the texts may refer to.
fn in_scope<T>(
    texts: &[&str],
    id: &str,
    instance: &Instance,
    names: &BTreeMap<String, Value>,
    mut result: impl FnMut(&Value) -> (String, Option<String>),
    f: impl FnOnce(&Scope) -> Result<T, Error>,
) -> Result<T, Failure> {
    let vars: BTreeMap<String, String> =
        instance.vars.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let none = BTreeMap::new();
    let mut scope = Scope {
        instance_id: id,
        label: instance.label.as_deref(),
        vars: &vars,
        results: &none,
        conforming_strings: true,
    };
    let mentioned: BTreeSet<String> =
        texts.iter().flat_map(|text| substitute::mentioned(text, &scope)).collect();
    let results: BTreeMap<String, Named> = mentioned
        .into_iter()
        .filter_map(|name| names.get(&name).map(|value| named(result(value))).map(|named| (name, named)))
        .collect();
    scope.results = &results;
    f(&scope).map_err(|error| failure(&error))
}

fn named((json, columns): (String, Option<String>)) -> Named {
    Named { json, columns: columns.and_then(|text| serde_json::from_str(&text).ok()) }
}

fn failure(error: &Error) -> Failure {
    Failure {
        detail: error.detail(),
        hint: error.hint().map(str::to_owned),
        ..Failure::new(error.sqlstate(), error.to_string())
    }
}
