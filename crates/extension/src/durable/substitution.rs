//! `{name}` and `$name` in the text of a step.

use std::collections::BTreeMap;

use postern_durable::machine::{Failure, Value};

use super::step::Argument;
use super::store::Instance;

/// What a step can refer to.
pub struct Scope<'a> {
    pub id: &'a str,
    pub instance: &'a Instance,
    pub names: &'a BTreeMap<String, Value>,
}

impl Scope<'_> {
    /// The text to run, and its parameters.
    pub fn prepare(
        &self,
        query: &str,
        mut result: impl FnMut(&Value) -> (String, Option<String>),
    ) -> Result<(String, Vec<Argument>), Failure> {
        let _ = &mut result;
        Ok((query.to_owned(), Vec::new()))
    }
}
