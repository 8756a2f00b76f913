//! An index by name and schema, which is asked for one name in one schema after the other.

use std::collections::HashMap;

use super::Oid;

/// Where something of a name is, in each schema that has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Named(HashMap<String, Vec<(Oid, usize)>>);

impl Named {
    /// Of items with their schemas and names.
    pub fn of<'t>(items: impl Iterator<Item = (Oid, &'t str)>) -> Self {
        let mut index = Self::default();
        for (at, (schema, name)) in items.enumerate() {
            index.insert(schema, name, at);
        }
        index
    }

    /// The place of a name in a schema.
    pub fn get(&self, schema: Oid, name: &str) -> Option<usize> {
        self.0.get(name)?.iter().find(|(of, _)| *of == schema).map(|(_, at)| *at)
    }

    /// Notes a place, instead of the one that the name had.
    pub fn insert(&mut self, schema: Oid, name: &str, at: usize) {
        let Some(places) = self.0.get_mut(name) else {
            self.0.insert(name.to_owned(), vec![(schema, at)]);
            return;
        };
        match places.iter_mut().find(|(of, _)| *of == schema) {
            Some(place) => place.1 = at,
            None => places.push((schema, at)),
        }
    }

    /// Forgets a name in a schema.
    pub fn remove(&mut self, schema: Oid, name: &str) {
        if let Some(places) = self.0.get_mut(name) {
            places.retain(|(of, _)| *of != schema);
        }
    }
}
