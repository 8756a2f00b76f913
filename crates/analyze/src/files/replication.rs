//! Publications, and what a subscriber therefore runs when it applies a row.
//!
//! What a publication has is kept as it was said: tables, schemas, everything. What is replicated follows at the end of the files,
//! when all tables are there. Triggers are noted where they are enabled (`tables.rs`).
//!
//! Tables that a subscription receives are known to its publisher alone: where the files make one, it is assumed to be any of their
//! own tables.
//!
//! **Not guaranteed**: negators of operators, and the functions of a range, are known of a database alone.

use std::collections::{HashMap, HashSet};

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AlterPublicationAction, AlterPublicationStmt, CreatePublicationStmt, Node, PublicationObjSpecType,
};

use super::replay::State;
use crate::catalog::{Catalog, Oid, OnApply, PG_CATALOG, Publication, Relation, builtin};
use crate::occurrence::{Kind, Occurrence};

/// The expressions of a table that are evaluated for a row that comes in.
const EVALUATED: [&str; 5] = ["check", "default", "generated", "index", "partition key"];

impl State<'_> {
    pub(super) fn create_publication(&mut self, create: &CreatePublicationStmt) {
        let Published { tables, schemas, filtered } = self.published(&create.pubobjects);
        self.catalog.snapshot.publications.retain(|other| other.name != create.pubname);
        self.catalog.snapshot.publications.push(Publication {
            name: create.pubname.clone(),
            all: create.for_all_tables,
            tables,
            schemas,
            filtered,
        });
        self.publishes(&create.pubname);
    }

    /// Notes the statement that says what a publication has.
    fn publishes(&mut self, name: &str) {
        let origin = self.origin(self.name_span(name), None);
        self.publications.insert(name.to_owned(), origin);
    }

    pub(super) fn alter_publication(&mut self, alter: &AlterPublicationStmt) {
        let Published { tables, schemas, filtered } = self.published(&alter.pubobjects);
        let publications = &mut self.catalog.snapshot.publications;
        let at = publications.iter().position(|publication| publication.name == alter.pubname);
        // One that the files do not make is assumed to be there.
        let at = at.unwrap_or_else(|| {
            publications.push(Publication { name: alter.pubname.clone(), ..Publication::default() });
            publications.len() - 1
        });
        let publication = &mut publications[at];
        match AlterPublicationAction::try_from(alter.action) {
            // Of the options alone.
            _ if alter.pubobjects.is_empty() => {}
            Ok(AlterPublicationAction::ApDropObjects) => {
                publication.tables.retain(|table| !tables.contains(table));
                publication.filtered.retain(|table| !tables.contains(table));
                publication.schemas.retain(|schema| !schemas.contains(schema));
            }
            Ok(AlterPublicationAction::ApSetObjects) => {
                publication.tables = tables;
                publication.schemas = schemas;
                publication.filtered = filtered;
                self.publishes(&alter.pubname);
            }
            _ => {
                publication.tables.extend(tables);
                publication.schemas.extend(schemas);
                publication.filtered.extend(filtered);
                self.publishes(&alter.pubname);
            }
        }
    }

    /// A subscription receives what its publisher sends.
    pub(super) fn create_subscription(&mut self, name: &str) {
        self.subscriptions.insert(name.to_owned());
    }

    pub(super) fn drop_subscription(&mut self, name: &str) {
        self.subscriptions.remove(name);
    }

    pub(super) fn rename_publication(&mut self, old: &str, new: &str) {
        for publication in self.catalog.snapshot.publications.iter_mut().filter(|found| found.name == old) {
            new.clone_into(&mut publication.name);
        }
        if let Some(origin) = self.publications.remove(old) {
            self.publications.insert(new.to_owned(), origin);
        }
    }

    pub(super) fn drop_publication(&mut self, name: &str) {
        self.catalog.snapshot.publications.retain(|publication| publication.name != name);
    }

    /// The tables and schemas that a statement names.
    fn published(&mut self, objects: &[Node]) -> Published {
        let (mut tables, mut schemas, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
        for object in objects {
            let Some(NodeEnum::PublicationObjSpec(object)) = object.node.as_ref() else { continue };
            match PublicationObjSpecType::try_from(object.pubobjtype) {
                Ok(PublicationObjSpecType::PublicationobjTablesInSchema) => {
                    schemas.extend(self.catalog.schema(&object.name).map(|schema| schema.oid));
                }
                Ok(PublicationObjSpecType::PublicationobjTablesInCurSchema) => {
                    schemas.extend(self.schema(""));
                }
                _ => {
                    let range = object.pubtable.as_ref().and_then(|table| table.relation.as_ref());
                    let Some((range, table)) = range.and_then(|range| Some((range, self.relation(range)?)))
                    else {
                        continue;
                    };
                    tables.push(table);
                    if object.pubtable.as_ref().is_some_and(|table| table.where_clause.is_some()) {
                        filtered.push(table);
                    }
                    // Children of now, unless ONLY is said; partitions follow their table always.
                    let partitioned = self.catalog.relation_of(table).is_some_and(|found| found.kind == 'p');
                    if range.inh && !partitioned {
                        tables.extend(below(&self.catalog, table));
                    }
                }
            }
        }
        Published { tables, schemas, filtered }
    }
}

/// What a statement says of a publication.
struct Published {
    tables: Vec<Oid>,
    schemas: Vec<Oid>,
    filtered: Vec<Oid>,
}

/// Everything that inherits from a table, at any distance.
fn below(catalog: &Catalog, table: Oid) -> Vec<Oid> {
    let mut found = Vec::new();
    let mut open = vec![table];
    while let Some(next) = open.pop() {
        let children = catalog.snapshot.inherits.iter().filter(|(_, parent)| *parent == next);
        for &(child, _) in children {
            if child != table && !found.contains(&child) {
                found.push(child);
                open.push(child);
            }
        }
    }
    found
}

/// Every table that one inherits from, and whether it is a part of that one: what it has, the part has, indexes too.
fn above(catalog: &Catalog, table: Oid) -> Vec<(Oid, bool)> {
    let mut found: Vec<(Oid, bool)> = Vec::new();
    let mut open = vec![table];
    while let Some(next) = open.pop() {
        let parents = catalog.snapshot.inherits.iter().filter(|(child, _)| *child == next);
        for &(_, parent) in parents {
            if parent != table && !found.iter().any(|(seen, _)| *seen == parent) {
                let partitioned = catalog.relation_of(parent).is_some_and(|parent| parent.kind == 'p');
                found.push((parent, partitioned));
                open.push(parent);
            }
        }
    }
    found
}

/// The tables that are published.
fn replicated(catalog: &Catalog) -> HashSet<Oid> {
    let mut found = HashSet::new();
    let publications = &catalog.snapshot.publications;
    if publications.is_empty() {
        return found;
    }
    let information = catalog.schema("information_schema").map(|schema| schema.oid);
    for relation in &catalog.snapshot.relations {
        // A table that was dropped may still be in the list.
        if !matches!(relation.kind, 'r' | 'p')
            || relation.schema == PG_CATALOG
            || Some(relation.schema) == information
            || catalog.relation_of(relation.oid).is_none()
        {
            continue;
        }
        if publications.iter().any(|publication| has(publication, relation)) {
            found.insert(relation.oid);
            if relation.kind == 'p' {
                found.extend(below(catalog, relation.oid));
            }
        }
    }
    found
}

/// Does a publication have a table, itself?
fn has(publication: &Publication, relation: &Relation) -> bool {
    publication.all
        || publication.tables.contains(&relation.oid)
        || publication.schemas.contains(&relation.schema)
}

/// What a publication of the files sends past policies: for each, the tables with row security of which it has every row.
pub(super) fn past_policies(catalog: &Catalog) -> Vec<(&Publication, String)> {
    let mut found = Vec::new();
    for publication in &catalog.snapshot.publications {
        for relation in &catalog.snapshot.relations {
            let there = catalog.relation_of(relation.oid).filter(|now| now.row_security);
            let Some(relation) = there.filter(|now| matches!(now.kind, 'r' | 'p')) else { continue };
            let whole = above(catalog, relation.oid).into_iter().filter(|(_, partitioned)| *partitioned);
            let sent = std::iter::once(relation.oid).chain(whole.map(|(parent, _)| parent)).any(|table| {
                !publication.filtered.contains(&table)
                    && catalog.relation_of(table).is_some_and(|table| has(publication, table))
            });
            if sent {
                found.push((publication, catalog.qualified(relation.schema, &relation.name)));
            }
        }
    }
    found
}

/// The domains among the types of a table's columns and what its expressions cast to, and in them.
fn domains(catalog: &Catalog, table: Oid, cast: &[Oid]) -> HashSet<Oid> {
    let columns = |relation: Oid| {
        catalog
            .relation_of(relation)
            .into_iter()
            .flat_map(|found| found.columns.iter().map(|column| column.1))
    };
    let mut seen = HashSet::new();
    let mut open: Vec<Oid> = columns(table).chain(cast.iter().copied()).collect();
    while let Some(next) = open.pop() {
        if next < builtin::FIRST_OF_USERS || !seen.insert(next) {
            continue;
        }
        if let Some(found) = catalog.type_of(next) {
            open.extend([found.base, found.element]);
            open.extend(columns(found.relation));
        }
    }
    seen
}

/// What a subscriber calls for the tables that the publications have, and for those of the files if they make a subscription; triggers
/// aside. Tables of the files have numbers from the one that is given.
pub(super) fn on_apply(catalog: &Catalog, subscribed_from: Option<Oid>) -> Vec<OnApply> {
    let snapshot = &catalog.snapshot;
    let mut by_relation: HashMap<Oid, Vec<usize>> = HashMap::new();
    for (at, expression) in snapshot.expressions.iter().enumerate() {
        if expression.kind == "domain" || EVALUATED.contains(&expression.kind.as_str()) {
            by_relation.entry(expression.relation).or_default().push(at);
        }
    }
    let mut all: Vec<OnApply> = Vec::new();
    let mut seen: HashSet<OnApply> = snapshot.on_apply.iter().cloned().collect();
    let published = replicated(catalog);
    let own = snapshot.relations.iter().filter(|relation| {
        subscribed_from.is_some_and(|first| relation.oid >= first)
            && matches!(relation.kind, 'r' | 'p')
            && catalog.relation_of(relation.oid).is_some()
            && !published.contains(&relation.oid)
    });
    let mut tables: Vec<(Oid, bool)> = own.map(|relation| (relation.oid, true)).collect();
    tables.extend(published.iter().map(|&table| (table, false)));
    tables.sort_unstable();
    for (table, assumed) in tables {
        let above = above(catalog, table);
        let of = |relation: &Oid| by_relation.get(relation).into_iter().flatten().copied();
        let inherited = above.iter().flat_map(|(parent, partitioned)| {
            of(parent).filter(|&at| *partitioned || snapshot.expressions[at].kind != "index")
        });
        let own = of(&table).chain(inherited).filter(|&at| snapshot.expressions[at].kind != "domain");
        let mut evaluated: Vec<usize> = own.collect();
        let names = evaluated.iter().filter_map(|at| snapshot.expressions[*at].found.as_ref());
        let cast: Vec<Oid> = names
            .flat_map(|found| &found.occurrences)
            .filter(|name| name.kind() == Kind::Type)
            .filter_map(Occurrence::object)
            .collect();
        evaluated.extend(domains(catalog, table, &cast).iter().flat_map(of));
        evaluated.sort_unstable();
        for expression in evaluated.into_iter().map(|at| &snapshot.expressions[at]) {
            let functions: Vec<Oid> = if let Some(found) = &expression.found {
                found.occurrences.iter().filter_map(|name| called(catalog, name)).collect()
            } else {
                let uses = snapshot.uses.iter().filter(|used| used.by == expression.by);
                uses.map(|used| used.function).collect()
            };
            for function in functions {
                let new = OnApply { relation: table, function, by: expression.by.clone(), assumed };
                if seen.insert(new.clone()) {
                    all.push(new);
                }
            }
        }
    }
    all
}

/// The function that a name calls, if somebody made it: an operator's too.
fn called(catalog: &Catalog, name: &Occurrence) -> Option<Oid> {
    let oid = match name.kind() {
        Kind::Function => name.object()?,
        Kind::Operator => catalog.operator_of(name.object()?)?.function,
        _ => return None,
    };
    (oid >= builtin::FIRST_OF_USERS).then_some(oid)
}
