//! A catalog that changes, as definitions are replayed. The look-ups of [`Catalog`] see every change at once.
//!
//! **Invariant**: what is removed is in no index; [`Catalog::settled`] leaves it out of the data, too.

use std::collections::{HashMap, HashSet};

use super::by_oid::ByOid;
use super::{Cast, Catalog, Collation, Oid, Operator, Relation, Role, Routine, Schema, Snapshot, Type};

fn forget(index: &mut HashMap<String, Vec<usize>>, name: &str, at: usize) {
    if let Some(places) = index.get_mut(name) {
        places.retain(|&place| place != at);
    }
}

impl Catalog {
    /// Adds a schema, or changes the one of the same OID.
    pub fn put_schema(&mut self, schema: Schema) {
        self.memory.forget();
        let (name, oid) = (schema.name.clone(), schema.oid);
        let at = self.schema_by_oid.get(&oid).copied();
        let at = place(&mut self.snapshot.schemas, at, schema, |old| self.schema_by_name.remove(&old.name));
        self.schema_by_name.insert(name, at);
        self.schema_by_oid.insert(oid, at);
    }

    /// Adds a type, or changes it.
    pub fn put_type(&mut self, new: Type) {
        self.memory.forget();
        let (schema, name, oid) = (new.schema, new.name.clone(), new.oid);
        let at = self.type_by_oid.get(&oid).copied();
        let at = place(&mut self.snapshot.types, at, new, |old| {
            self.type_by_name.remove(old.schema, &old.name);
        });
        self.type_by_name.insert(schema, &name, at);
        self.type_by_oid.insert(oid, at);
    }

    /// Adds a relation, or changes it.
    pub fn put_relation(&mut self, new: Relation) {
        self.memory.forget();
        let (schema, name, oid) = (new.schema, new.name.clone(), new.oid);
        let at = self.relation_by_oid.get(&oid).copied();
        let at = place(&mut self.snapshot.relations, at, new, |old| {
            self.relation_by_name.remove(old.schema, &old.name);
        });
        self.relation_by_name.insert(schema, &name, at);
        self.relation_by_oid.insert(oid, at);
    }

    /// Adds a routine, or changes it.
    pub fn put_routine(&mut self, new: Routine) {
        self.memory.forget();
        let (name, oid) = (new.name.clone(), new.oid);
        let old = self.routine_by_oid.get(&oid).copied();
        let at = place(&mut self.snapshot.routines, old, new, |before| {
            forget(&mut self.routines_by_name, &before.name, old.unwrap_or(usize::MAX));
        });
        self.routine_by_oid.insert(oid, at);
        self.routines_by_name.entry(name).or_default().push(at);
    }

    /// Adds an operator, or changes it.
    pub fn put_operator(&mut self, new: Operator) {
        self.memory.forget();
        let (name, oid) = (new.name.clone(), new.oid);
        let old = self.operator_by_oid.get(&oid).copied();
        let at = place(&mut self.snapshot.operators, old, new, |before| {
            forget(&mut self.operators_by_name, &before.name, old.unwrap_or(usize::MAX));
        });
        self.operator_by_oid.insert(oid, at);
        self.operators_by_name.entry(name).or_default().push(at);
    }

    /// Adds a collation.
    pub fn put_collation(&mut self, new: Collation) {
        self.memory.forget();
        self.collation_by_name.insert(new.schema, &new.name, self.snapshot.collations.len());
        self.snapshot.collations.push(new);
    }

    /// Adds a cast.
    pub fn put_cast(&mut self, cast: Cast) {
        self.memory.forget();
        self.casts.insert((cast.source, cast.target), cast);
        self.snapshot.casts.push(cast);
    }

    /// Adds a role, or changes it.
    pub fn put_role(&mut self, role: Role) {
        self.memory.forget();
        let oid = role.oid;
        let at = self.role_by_oid.get(&oid).copied();
        let at = place(&mut self.snapshot.roles, at, role, |_| ());
        self.role_by_oid.insert(oid, at);
    }

    /// A role that was not removed, by its name.
    pub fn role_by_name(&self, name: &str) -> Option<Oid> {
        let mut roles = self.snapshot.roles.iter();
        roles.find(|role| role.name == name && self.role_by_oid.contains_key(&role.oid)).map(|role| role.oid)
    }

    /// Removes an object of whatever kind.
    pub fn remove(&mut self, oid: Oid) {
        self.memory.forget();
        if let Some(at) = self.schema_by_oid.remove(&oid) {
            self.schema_by_name.remove(&self.snapshot.schemas[at].name);
        }
        if let Some(at) = self.type_by_oid.remove(&oid) {
            let old = &self.snapshot.types[at];
            self.type_by_name.remove(old.schema, &old.name);
        }
        if let Some(at) = self.relation_by_oid.remove(&oid) {
            let old = &self.snapshot.relations[at];
            self.relation_by_name.remove(old.schema, &old.name);
        }
        if let Some(at) = self.routine_by_oid.remove(&oid) {
            forget(&mut self.routines_by_name, &self.snapshot.routines[at].name, at);
        }
        if let Some(at) = self.operator_by_oid.remove(&oid) {
            forget(&mut self.operators_by_name, &self.snapshot.operators[at].name, at);
        }
        self.role_by_oid.remove(&oid);
    }

    /// The catalog without what was removed.
    #[must_use]
    pub fn settled(self) -> Self {
        let mut snapshot: Snapshot = self.snapshot;
        let kept = |index: &ByOid<usize>| index.keys().copied().collect::<HashSet<Oid>>();
        let (schemas, types) = (kept(&self.schema_by_oid), kept(&self.type_by_oid));
        let (relations, routines) = (kept(&self.relation_by_oid), kept(&self.routine_by_oid));
        let (operators, roles) = (kept(&self.operator_by_oid), kept(&self.role_by_oid));
        snapshot.schemas.retain(|found| schemas.contains(&found.oid));
        snapshot.types.retain(|found| types.contains(&found.oid));
        snapshot.relations.retain(|found| relations.contains(&found.oid));
        snapshot.routines.retain(|found| routines.contains(&found.oid));
        snapshot.operators.retain(|found| operators.contains(&found.oid));
        snapshot.roles.retain(|found| roles.contains(&found.oid));
        snapshot.triggers.retain(|found| relations.contains(&found.relation));
        snapshot.uses.retain(|found| routines.contains(&found.function));
        snapshot
            .on_apply
            .retain(|found| routines.contains(&found.function) && relations.contains(&found.relation));
        Self::new(snapshot)
    }
}

/// Puts an item at its place, or at the end; what was there is given to `forget` first.
fn place<T, R>(items: &mut Vec<T>, at: Option<usize>, item: T, forget: impl FnOnce(&T) -> R) -> usize {
    if let Some(at) = at {
        forget(&items[at]);
        items[at] = item;
        at
    } else {
        items.push(item);
        items.len() - 1
    }
}
