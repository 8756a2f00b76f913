//! Schemas, types, operators, casts, extensions; and what renames, moves, gives away and drops anything.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AlterDomainStmt, AlterObjectSchemaStmt, AlterOwnerStmt, CompositeTypeStmt, CreateCastStmt,
    CreateDomainStmt, CreateEnumStmt, CreateExtensionStmt, CreateRangeStmt, CreateSchemaStmt, DefineStmt,
    DropBehavior, DropStmt, Node, ObjectType, RangeVar, RenameStmt, TypeName,
};

use super::replay::{State, options, string};
use crate::catalog::{Cast, Collation, Oid, Operator, Relation, Routine, Schema, Type};
use crate::text::quote;
use crate::typing::{OPAQUE, known};
use crate::walk::parts;

/// Schema, if written, and name.
fn split_name(nodes: &[Node]) -> (String, String) {
    let names = parts(nodes);
    let name = names.last().copied().unwrap_or_default();
    let schema = if names.len() > 1 { names[names.len() - 2] } else { "" };
    (schema.to_owned(), name.to_owned())
}

/// A list of names, as DROP and RENAME give them.
fn listed(node: Option<&Node>) -> Vec<Node> {
    match node.and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::List(list)) => list.items.clone(),
        Some(NodeEnum::TypeName(name)) => name.names.clone(),
        Some(NodeEnum::ObjectWithArgs(object)) => object.objname.clone(),
        Some(NodeEnum::String(_)) => node.cloned().into_iter().collect(),
        _ => Vec::new(),
    }
}

impl State<'_> {
    pub(super) fn new_schema(&mut self, name: &str, owner: Oid) -> Oid {
        let oid = self.new_oid();
        let grants = self.new_rights(ObjectType::ObjectSchema, None, &[]);
        self.catalog.put_schema(Schema { oid, name: name.into(), owner, grants });
        oid
    }

    pub(super) fn create_schema(&mut self, create: &CreateSchemaStmt) {
        let owner = create.authrole.as_ref().map_or(self.session.role, |role| self.role(role));
        let name = match (&create.schemaname, &create.authrole) {
            (name, Some(role)) if name.is_empty() => role.rolename.clone(),
            (name, _) => name.clone(),
        };
        let oid = match self.catalog.schema(&name).cloned() {
            // One that was only assumed so far.
            Some(schema) => {
                let oid = schema.oid;
                if create.authrole.is_some() && !create.if_not_exists {
                    self.catalog.put_schema(Schema { owner, ..schema });
                }
                oid
            }
            None => self.new_schema(&name, owner),
        };
        let _ = oid;
        if !create.schema_elts.is_empty() {
            let (path, role) = (self.session.search_path.clone(), self.session.role);
            self.session.search_path = format!("{}, {path}", quote(&name));
            self.session.role = owner;
            for element in &create.schema_elts {
                self.statement(element);
            }
            (self.session.search_path, self.session.role) = (path, role);
        }
    }

    /// A type of the user's at the place that a statement says; an old one of that name is replaced.
    fn named_type(&mut self, names: &[Node], shape: impl FnOnce(Type) -> Type) -> Option<Oid> {
        let (schema, name) = split_name(names);
        let schema = self.schema(&schema)?;
        if let Some(old) = self.catalog.type_named(schema, &name) {
            return Some(old.oid);
        }
        let plain = self.plain_type(schema, &name);
        Some(self.add_type(shape(plain)))
    }

    pub(super) fn create_enum(&mut self, create: &CreateEnumStmt) {
        self.named_type(&create.type_name, |plain| Type { kind: 'e', category: 'E', ..plain });
    }

    pub(super) fn create_composite(&mut self, create: &CompositeTypeStmt) {
        let Some(range) = &create.typevar else { return };
        let mut columns = Vec::new();
        for node in &create.coldeflist {
            if let Some(NodeEnum::ColumnDef(column)) = node.node.as_ref() {
                let oid = column.type_name.as_ref().map_or(OPAQUE, |name| self.type_oid(name));
                columns.push((column.colname.clone(), oid));
            }
        }
        let Some(schema) = self.place_of(range) else { return };
        if self.catalog.relation_named(schema, &range.relname).is_none() {
            self.add_relation(schema, &range.relname, 'c', Some(columns));
        }
    }

    pub(super) fn create_domain(&mut self, create: &CreateDomainStmt, node: &Node) {
        let found = self.walk(node);
        let base = create.type_name.as_ref().map_or(OPAQUE, |name| self.type_oid(name));
        let category = self.catalog.type_of(base).map_or('U', |found| found.category);
        let Some(oid) =
            self.named_type(&create.domainname, |plain| Type { kind: 'd', category, base, ..plain })
        else {
            return;
        };
        self.domain_expression(oid, found);
    }

    pub(super) fn alter_domain(&mut self, alter: &AlterDomainStmt, node: &Node) {
        let found = self.walk(node);
        let name = TypeName { names: alter.type_name.clone(), ..TypeName::default() };
        let oid = self.type_oid(&name);
        if alter.def.is_some() && oid != OPAQUE {
            self.domain_expression(oid, found);
        }
    }

    fn domain_expression(&mut self, oid: Oid, found: crate::walk::Found) {
        let Some(domain) = self.catalog.type_of(oid) else { return };
        let by = format!("domain {}", self.qualified(domain.schema, &domain.name));
        let (owner, span) = (domain.owner, self.name_span(&domain.name.clone()));
        self.add_expression("domain", by, owner, oid, found, span);
    }

    pub(super) fn create_range(&mut self, create: &CreateRangeStmt) {
        let (mut subtype, mut multirange) = (OPAQUE, None);
        for (option, value) in options(&create.params) {
            let Some(NodeEnum::TypeName(name)) = value.and_then(|value| value.node.as_ref()) else {
                continue;
            };
            match option {
                "subtype" => subtype = self.type_oid(name),
                "multirange_type_name" => multirange = Some(split_name(&name.names).1),
                _ => {}
            }
        }
        let (written, name) = split_name(&create.type_name);
        let Some(schema) = self.schema(&written) else { return };
        if self.catalog.type_named(schema, &name).is_some() {
            return;
        }
        let plain = self.plain_type(schema, &name);
        let range = self.add_type(Type { kind: 'r', category: 'R', subtype, ..plain });
        let multirange = multirange.unwrap_or_else(|| {
            if name.contains("range") {
                name.replacen("range", "multirange", 1)
            } else {
                format!("{name}_multirange")
            }
        });
        let plain = self.plain_type(schema, &multirange);
        let multi = self.add_type(Type { kind: 'm', category: 'R', subtype, partner: range, ..plain });
        if let Some(found) = self.catalog.type_of(range).cloned() {
            self.catalog.put_type(Type { partner: multi, ..found });
        }
        let array = self.catalog.type_of(range).map_or(0, |found| found.array);
        for (name, args, variadic, returns) in [
            (&name, vec![subtype, subtype], 0, range),
            (&name, vec![subtype, subtype, known::TEXT], 0, range),
            (&multirange, vec![], 0, multi),
            (&multirange, vec![range], 0, multi),
            (&multirange, vec![array], range, multi),
        ] {
            self.built_routine(schema, name, args, variadic, returns);
        }
    }

    /// A function that comes with a type.
    fn built_routine(&mut self, schema: Oid, name: &str, args: Vec<Oid>, variadic: Oid, returns: Oid) {
        let oid = self.new_oid();
        let bodiless = super::routines::bodiless(schema, self.session.role, returns);
        self.catalog.put_routine(Routine { oid, name: name.into(), args, variadic, ..bodiless });
    }

    pub(super) fn define(&mut self, define: &DefineStmt) {
        match ObjectType::try_from(define.kind) {
            Ok(ObjectType::ObjectAggregate) => self.define_aggregate(define),
            Ok(ObjectType::ObjectType) => {
                let given = options(&define.definition);
                let category =
                    given.iter().find(|(name, _)| *name == "category").and_then(|(_, value)| string(*value));
                let category = category.and_then(|text| text.chars().next()).unwrap_or('U');
                let preferred = given.iter().any(|(name, value)| {
                    *name == "preferred" && string(*value).is_some_and(|value| value == "true")
                });
                let kind = if define.definition.is_empty() { 'p' } else { 'b' };
                self.named_type(&define.defnames, |plain| Type { kind, category, preferred, ..plain });
            }
            Ok(ObjectType::ObjectCollation) => {
                let (schema, name) = split_name(&define.defnames);
                if let Some(schema) = self.schema(&schema) {
                    let (oid, owner) = (self.new_oid(), self.session.role);
                    self.catalog.put_collation(Collation { oid, name, schema, owner });
                }
            }
            Ok(ObjectType::ObjectOperator) => self.define_operator(define),
            _ => {}
        }
    }

    fn define_operator(&mut self, define: &DefineStmt) {
        let (schema, name) = split_name(&define.defnames);
        let Some(schema) = self.schema(&schema) else { return };
        let (mut left, mut right, mut function) = (0, 0, Vec::new());
        for (option, value) in options(&define.definition) {
            match (option, value.and_then(|value| value.node.as_ref())) {
                ("leftarg", Some(NodeEnum::TypeName(name))) => left = self.type_oid(name),
                ("rightarg", Some(NodeEnum::TypeName(name))) => right = self.type_oid(name),
                ("function" | "procedure", _) => function = listed(value),
                _ => {}
            }
        }
        let wanted: Vec<Oid> = [left, right].into_iter().filter(|&oid| oid != 0).collect();
        let (written, function) = split_name(&function);
        let behind = self.catalog.routines_named(&function).find(|routine| {
            routine.args == wanted
                && (written.is_empty() || self.catalog.schema_name(routine.schema) == written)
        });
        let (function, result) = behind.map_or((0, OPAQUE), |routine| (routine.oid, routine.returns));
        let (oid, owner) = (self.new_oid(), self.session.role);
        self.catalog.put_operator(Operator { oid, name, schema, owner, left, right, result, function });
    }

    pub(super) fn create_cast(&mut self, cast: &CreateCastStmt) {
        use postern_grammar::nodes::CoercionContext;
        let (Some(source), Some(target)) = (&cast.sourcetype, &cast.targettype) else { return };
        let (source, target) = (self.type_oid(source), self.type_oid(target));
        let context = match CoercionContext::try_from(cast.context) {
            Ok(CoercionContext::CoercionImplicit) => 'i',
            Ok(CoercionContext::CoercionAssignment) => 'a',
            _ => 'e',
        };
        let binary = cast.func.is_none() && !cast.inout;
        self.catalog.put_cast(Cast { source, target, context, binary });
    }

    /// What an extension brings is not in the files.
    pub(super) fn create_extension(&mut self, create: &CreateExtensionStmt) {
        let named = options(&create.options).into_iter().find(|(name, _)| *name == "schema");
        let schema = named.and_then(|(_, value)| string(value)).unwrap_or_default();
        if create.extname == "plpgsql" {
            return;
        }
        if let Some(schema) = self.schema(&schema) {
            self.catalog.snapshot.sealed.push((create.extname.clone(), schema));
        }
    }

    fn range_of(&self, nodes: &[Node]) -> Option<Oid> {
        let (schemaname, relname) = split_name(nodes);
        self.relation(&RangeVar { schemaname, relname, ..RangeVar::default() })
    }

    fn type_of_names(&self, nodes: &[Node]) -> Option<Oid> {
        let oid = self.type_oid(&TypeName { names: nodes.to_vec(), ..TypeName::default() });
        (oid != OPAQUE).then_some(oid)
    }

    /// What ALTER means, whatever kind it is.
    fn meant(&self, kind: i32, relation: Option<&RangeVar>, object: Option<&Node>) -> Option<Oid> {
        if let Some(relation) = relation {
            return self.relation(relation);
        }
        match ObjectType::try_from(kind).ok()? {
            ObjectType::ObjectFunction
            | ObjectType::ObjectProcedure
            | ObjectType::ObjectRoutine
            | ObjectType::ObjectAggregate => self.routine_meant(object?),
            ObjectType::ObjectType | ObjectType::ObjectDomain => self.type_of_names(&listed(object)),
            ObjectType::ObjectSchema => self.catalog.schema(&string(object)?).map(|schema| schema.oid),
            ObjectType::ObjectOperator => {
                let (schema, name) = split_name(&listed(object));
                let mut found = self.catalog.operators_named(&name);
                found
                    .find(|found| schema.is_empty() || self.catalog.schema_name(found.schema) == schema)
                    .map(|found| found.oid)
            }
            _ => None,
        }
    }

    pub(super) fn rename(&mut self, rename: &RenameStmt) {
        let kind = ObjectType::try_from(rename.rename_type).unwrap_or(ObjectType::Undefined);
        match kind {
            ObjectType::ObjectSchema => {
                if let Some(schema) = self.catalog.schema(&rename.subname).cloned() {
                    self.catalog.put_schema(Schema { name: rename.newname.clone(), ..schema });
                }
            }
            ObjectType::ObjectRole => {
                let oid = self.role_named(&rename.subname);
                if let Some(role) = self.catalog.role_of(oid).cloned() {
                    self.catalog.put_role(crate::catalog::Role { name: rename.newname.clone(), ..role });
                }
            }
            ObjectType::ObjectColumn | ObjectType::ObjectAttribute => {
                let Some(oid) = rename.relation.as_ref().and_then(|relation| self.relation(relation)) else {
                    return;
                };
                let Some(mut relation) = self.catalog.relation_of(oid).cloned() else { return };
                let mut columns = relation.columns.iter_mut();
                if let Some(column) = columns.find(|(name, _)| *name == rename.subname) {
                    column.0.clone_from(&rename.newname);
                }
                self.catalog.put_relation(relation);
            }
            ObjectType::ObjectPublication => {
                let old = string(rename.object.as_deref()).unwrap_or_default();
                self.rename_publication(&old, &rename.newname);
            }
            _ if !rename.subname.is_empty() => {}
            _ => {
                let object = rename.object.as_deref();
                if let Some(oid) = self.meant(rename.rename_type, rename.relation.as_ref(), object) {
                    self.renamed(oid, None, Some(&rename.newname));
                }
            }
        }
    }

    pub(super) fn alter_schema(&mut self, alter: &AlterObjectSchemaStmt) {
        let Some(oid) = self.meant(alter.object_type, alter.relation.as_ref(), alter.object.as_deref())
        else {
            return;
        };
        let schema = self.schema(&alter.newschema);
        self.renamed(oid, schema, None);
    }

    /// Gives an object another schema or name, and its row type with it.
    fn renamed(&mut self, oid: Oid, schema: Option<Oid>, name: Option<&String>) {
        if let Some(old) = self.catalog.relation_of(oid).cloned() {
            let new = Relation {
                schema: schema.unwrap_or(old.schema),
                name: name.unwrap_or(&old.name).clone(),
                ..old
            };
            let row_type = new.row_type;
            self.catalog.put_relation(new);
            if row_type != 0 {
                self.renamed(row_type, schema, name);
            }
        } else if let Some(old) = self.catalog.type_of(oid).cloned() {
            let new =
                Type { schema: schema.unwrap_or(old.schema), name: name.unwrap_or(&old.name).clone(), ..old };
            self.catalog.put_type(new);
        } else if let Some(old) = self.catalog.routine_of(oid).cloned() {
            let new = Routine {
                schema: schema.unwrap_or(old.schema),
                name: name.unwrap_or(&old.name).clone(),
                ..old
            };
            self.catalog.put_routine(new);
        } else if let Some(old) = self.catalog.operator_of(oid).cloned() {
            self.catalog.put_operator(Operator { schema: schema.unwrap_or(old.schema), ..old });
        }
    }

    pub(super) fn alter_owner(&mut self, alter: &AlterOwnerStmt) {
        let Some(owner) = alter.newowner.as_ref().map(|role| self.role(role)) else { return };
        if alter.object_type == ObjectType::ObjectDatabase as i32 {
            self.catalog.snapshot.database_owner = owner;
            return;
        }
        if let Some(oid) = self.meant(alter.object_type, alter.relation.as_ref(), alter.object.as_deref()) {
            self.give(oid, owner);
        }
    }

    /// Gives an object to a role, with what belongs to it.
    pub(super) fn give(&mut self, oid: Oid, owner: Oid) {
        if let Some(old) = self.catalog.schema_of(oid).cloned() {
            self.catalog.put_schema(Schema { owner, ..old });
        }
        if let Some(old) = self.catalog.relation_of(oid).cloned() {
            let row_type = old.row_type;
            self.catalog.put_relation(Relation { owner, ..old });
            if row_type != 0 {
                self.give(row_type, owner);
            }
        }
        if let Some(old) = self.catalog.type_of(oid).cloned() {
            self.catalog.put_type(Type { owner, ..old });
        }
        if let Some(mut old) = self.catalog.routine_of(oid).cloned() {
            let before = std::mem::replace(&mut old.owner, owner);
            old.executors.iter_mut().filter(|role| **role == before).for_each(|role| *role = owner);
            self.catalog.put_routine(old);
        }
        if let Some(old) = self.catalog.operator_of(oid).cloned() {
            self.catalog.put_operator(Operator { owner, ..old });
        }
        self.bound.give(oid, owner);
    }

    pub(super) fn drop(&mut self, drop: &DropStmt) {
        let kind = ObjectType::try_from(drop.remove_type).unwrap_or(ObjectType::Undefined);
        let cascade = drop.behavior == DropBehavior::DropCascade as i32;
        for object in &drop.objects {
            let names = listed(Some(object));
            match kind {
                ObjectType::ObjectTable
                | ObjectType::ObjectView
                | ObjectType::ObjectMatview
                | ObjectType::ObjectSequence
                | ObjectType::ObjectForeignTable
                | ObjectType::ObjectIndex => {
                    let (schema, name) = split_name(&names);
                    if (schema.is_empty() || schema == "pg_temp") && self.temporary.remove(&name) {
                        continue;
                    }
                    if let Some(oid) = self.range_of(&names) {
                        self.drop_relation(oid, cascade);
                    }
                }
                ObjectType::ObjectType | ObjectType::ObjectDomain => {
                    if let Some(oid) = self.type_of_names(&names) {
                        self.drop_type(oid);
                    }
                }
                ObjectType::ObjectFunction
                | ObjectType::ObjectProcedure
                | ObjectType::ObjectRoutine
                | ObjectType::ObjectAggregate => {
                    if let Some(oid) = self.routine_meant(object) {
                        self.drop_routine(oid, cascade);
                    }
                }
                ObjectType::ObjectSchema => {
                    if let Some(schema) =
                        string(Some(object)).and_then(|name| Some(self.catalog.schema(&name)?.oid))
                    {
                        self.drop_schema(schema);
                    }
                }
                ObjectType::ObjectOperator => {
                    if let Some(oid) = self.meant(drop.remove_type, None, Some(object)) {
                        self.catalog.remove(oid);
                    }
                }
                ObjectType::ObjectPolicy | ObjectType::ObjectTrigger | ObjectType::ObjectRule => {
                    self.drop_part(kind, &names);
                }
                ObjectType::ObjectEventTrigger => {
                    let by = format!("event trigger {}", quote(&string(Some(object)).unwrap_or_default()));
                    self.forget_described(&by);
                }
                ObjectType::ObjectPublication => {
                    self.drop_publication(&string(Some(object)).unwrap_or_default());
                }
                ObjectType::ObjectExtension => {
                    let name = string(Some(object)).unwrap_or_default();
                    self.catalog.snapshot.sealed.retain(|(extension, _)| *extension != name);
                }
                _ => {}
            }
        }
    }

    /// `DROP POLICY name ON table` and its like: the table's name, then its own.
    fn drop_part(&mut self, kind: ObjectType, names: &[Node]) {
        let Some((own, table)) = names.split_last() else { return };
        let Some(table) = self.range_of(table) else { return };
        let kind = match kind {
            ObjectType::ObjectPolicy => "policy",
            ObjectType::ObjectTrigger => "trigger",
            _ => "rule",
        };
        let start = format!("{kind} {} on ", quote(&string(Some(own)).unwrap_or_default()));
        if kind == "trigger" {
            let found = self.bound.of(table).find(|found| found.by.starts_with(&start));
            let called = found.and_then(|found| self.bound.called_by(&found.by).next());
            if let Some(function) = called.map(|used| used.function) {
                let triggers = &mut self.catalog.snapshot.triggers;
                if let Some(at) =
                    triggers.iter().position(|found| found.relation == table && found.function == function)
                {
                    triggers.remove(at);
                }
            }
        }
        self.forget_of(table, |expression| expression.by.starts_with(&start));
    }

    fn drop_relation(&mut self, oid: Oid, cascade: bool) {
        if let Some(relation) = self.catalog.relation_of(oid) {
            let (row_type, partitioned) = (relation.row_type, relation.kind == 'p');
            let of = |(child, parent): &(Oid, Oid)| (*parent == oid && *child != oid).then_some(*child);
            let children: Vec<Oid> = self.catalog.snapshot.inherits.iter().filter_map(of).collect();
            // So that each is met once, whatever inherits from what.
            self.catalog.snapshot.inherits.retain(|(child, parent)| *child != oid && *parent != oid);
            if cascade || partitioned {
                for child in children {
                    self.drop_relation(child, cascade);
                }
            }
            if row_type != 0 {
                self.drop_type(row_type);
            }
        }
        self.catalog.remove(oid);
        self.catalog.snapshot.triggers.retain(|trigger| trigger.relation != oid);
        self.forget_of(oid, |expression| expression.kind != "statement");
        if cascade {
            let views: Vec<Oid> = self.dependent_views(oid);
            for view in views {
                self.drop_relation(view, true);
            }
        }
    }

    /// Views that read a relation, or call a routine.
    fn dependent_views(&self, oid: Oid) -> Vec<Oid> {
        self.bound.views_of(oid).map(|view| view.relation).filter(|&view| view != oid).collect()
    }

    fn drop_type(&mut self, oid: Oid) {
        let Some(old) = self.catalog.type_of(oid) else { return };
        let (array, relation) = (old.array, old.relation);
        self.catalog.remove(array);
        self.catalog.remove(oid);
        if relation != 0 {
            self.catalog.remove(relation);
        }
        self.forget_of(oid, |expression| expression.kind == "domain");
    }

    fn drop_routine(&mut self, oid: Oid, cascade: bool) {
        self.supersede(oid);
        self.catalog.remove(oid);
        self.catalog.snapshot.triggers.retain(|trigger| trigger.function != oid);
        self.forget_of(oid, |expression| expression.kind != "statement");
        if cascade {
            let users: Vec<String> = self.bound.callers_of(oid).map(|used| used.by.clone()).collect();
            for view in self.dependent_views(oid) {
                self.drop_relation(view, true);
            }
            for by in users {
                self.forget_described(&by);
            }
        }
        self.bound.forget_calls_of(oid);
    }

    fn drop_schema(&mut self, schema: Oid) {
        let snapshot = &self.catalog.snapshot;
        let relations: Vec<Oid> =
            snapshot.relations.iter().filter(|found| found.schema == schema).map(|found| found.oid).collect();
        let routines: Vec<Oid> =
            snapshot.routines.iter().filter(|found| found.schema == schema).map(|found| found.oid).collect();
        let types: Vec<Oid> =
            snapshot.types.iter().filter(|found| found.schema == schema).map(|found| found.oid).collect();
        let operators: Vec<Oid> =
            snapshot.operators.iter().filter(|found| found.schema == schema).map(|found| found.oid).collect();
        for oid in relations {
            self.drop_relation(oid, true);
        }
        for oid in routines {
            self.drop_routine(oid, true);
        }
        for oid in types {
            self.drop_type(oid);
        }
        for oid in operators {
            self.catalog.remove(oid);
        }
        self.catalog.snapshot.sealed.retain(|(_, of)| *of != schema);
        self.catalog.remove(schema);
    }
}
