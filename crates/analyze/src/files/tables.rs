//! Tables, sequences, views' relations, and what ALTER TABLE does to them.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AlterTableStmt, AlterTableType, ColumnDef, CreateSeqStmt, CreateStmt, CreateTableAsStmt, Node,
    ObjectType, RangeVar, ViewStmt,
};

use super::replay::{State, options, string};
use crate::catalog::{Oid, OnApply, Relation, Type};
use crate::typing::{OPAQUE, known};
use crate::walk::Columns;

impl State<'_> {
    /// `schema.name`, quoted where needed.
    pub(super) fn qualified(&self, schema: Oid, name: &str) -> String {
        self.catalog.qualified(schema, name)
    }

    /// The relation that a statement means.
    pub(super) fn relation(&self, range: &RangeVar) -> Option<Oid> {
        if range.schemaname.is_empty() {
            if self.temporary.contains(&range.relname) {
                return None;
            }
            let path = self.path();
            return path
                .schemas()
                .find_map(|schema| Some(self.catalog.relation_named(schema, &range.relname)?.oid));
        }
        let schema = self.catalog.schema(&range.schemaname)?.oid;
        Some(self.catalog.relation_named(schema, &range.relname)?.oid)
    }

    /// The schema in which a statement makes a relation; `None` if it is a temporary one.
    pub(super) fn place_of(&mut self, range: &RangeVar) -> Option<Oid> {
        let schema = if range.relpersistence == "t" { None } else { self.schema(&range.schemaname) };
        if schema.is_none() {
            self.temporary.insert(range.relname.clone());
        }
        schema
    }

    /// A relation with its row type.
    pub(super) fn add_relation(&mut self, schema: Oid, name: &str, kind: char, columns: Columns) -> Oid {
        let oid = self.new_oid();
        let row_type = if matches!(kind, 'i' | 'S') {
            0
        } else {
            self.add_type(Type { relation: oid, kind: 'c', category: 'C', ..self.plain_type(schema, name) })
        };
        self.catalog.put_relation(Relation {
            oid,
            name: name.into(),
            schema,
            owner: self.session.role,
            kind,
            row_type,
            row_security: false,
            options: Vec::new(),
            columns: if kind == 'S' { sequence_columns() } else { columns.unwrap_or_default() },
        });
        oid
    }

    /// A type of which nothing is said yet.
    pub(super) fn plain_type(&self, schema: Oid, name: &str) -> Type {
        Type {
            oid: 0,
            name: name.into(),
            schema,
            owner: self.session.role,
            kind: 'b',
            category: 'U',
            preferred: false,
            element: 0,
            array: 0,
            relation: 0,
            base: 0,
            subtype: 0,
            partner: 0,
        }
    }

    /// Adds a type and the one of its arrays.
    pub(super) fn add_type(&mut self, new: Type) -> Oid {
        let (oid, array) = (self.new_oid(), self.new_oid());
        let name = format!("_{}", new.name);
        let over = Type { oid: array, element: oid, category: 'A', ..self.plain_type(new.schema, &name) };
        self.catalog.put_type(over);
        self.catalog.put_type(Type { oid, array, ..new });
        oid
    }

    pub(super) fn create_table(&mut self, create: &CreateStmt, kind: char, node: &Node) {
        let Some(range) = &create.relation else { return };
        let found = self.walk(node);
        let mut columns = Vec::new();
        let mut parents = Vec::new();
        for parent in &create.inh_relations {
            if let Some(NodeEnum::RangeVar(parent)) = parent.node.as_ref()
                && let Some(oid) = self.relation(parent)
            {
                columns.extend(
                    self.catalog.relation_of(oid).map(|found| found.columns.clone()).unwrap_or_default(),
                );
                parents.push(oid);
            }
        }
        if let Some(name) = &create.of_typename {
            let oid = self.type_oid(name);
            let row = self.catalog.type_of(oid).and_then(|found| self.catalog.relation_of(found.relation));
            columns.extend(row.map(|row| row.columns.clone()).unwrap_or_default());
        }
        let mut serial = Vec::new();
        let mut kinds = Vec::new();
        for element in create.table_elts.iter().chain(&create.constraints) {
            match element.node.as_ref() {
                Some(NodeEnum::ColumnDef(column)) => {
                    columns.retain(|(name, _)| *name != column.colname);
                    columns.push((
                        column.colname.clone(),
                        column.type_name.as_ref().map_or(OPAQUE, |name| self.type_oid(name)),
                    ));
                    if is_serial(column) {
                        serial.push(format!("{}_{}_seq", range.relname, column.colname));
                    }
                    kinds.extend(column.constraints.iter().filter_map(constraint_kind));
                }
                Some(NodeEnum::TableLikeClause(like)) => {
                    let other = like.relation.as_ref().and_then(|other| self.relation(other));
                    let other = other.and_then(|oid| self.catalog.relation_of(oid));
                    columns.extend(other.map(|found| found.columns.clone()).unwrap_or_default());
                }
                Some(NodeEnum::Constraint(_)) => kinds.extend(constraint_kind(element)),
                _ => {}
            }
        }
        // Where a row belongs is evaluated as what an index has is.
        let key = create.partspec.iter().flat_map(|key| &key.part_params);
        let evaluated =
            |node: &Node| matches!(node.node.as_ref(), Some(NodeEnum::PartitionElem(e)) if e.expr.is_some());
        if key.into_iter().any(evaluated) {
            kinds.push("partition key");
        }
        let Some(schema) = self.place_of(range) else { return };
        // IF NOT EXISTS keeps what is there.
        if self.catalog.relation_named(schema, &range.relname).is_some() {
            return;
        }
        let kind = if create.partspec.is_some() { 'p' } else { kind };
        let oid = self.add_relation(schema, &range.relname, kind, Some(columns));
        for name in serial {
            self.add_relation(schema, &name, 'S', None);
        }
        self.catalog.snapshot.inherits.extend(parents.into_iter().map(|parent| (oid, parent)));
        let by = format!("table {}", self.qualified(schema, &range.relname));
        let kind = weightiest(&kinds);
        let span = self.name_span(&range.relname);
        self.add_expression(kind, by, self.session.role, oid, found, span);
    }

    pub(super) fn create_table_as(&mut self, create: &CreateTableAsStmt) {
        let Some(range) = create.into.as_ref().and_then(|into| into.rel.as_ref()) else { return };
        let (columns, found) =
            self.with_walker(|walker| create.query.as_deref().and_then(|query| walker.statement(query)));
        let Some(schema) = self.place_of(range) else { return };
        if self.catalog.relation_named(schema, &range.relname).is_some() {
            return;
        }
        let materialized = create.objtype == ObjectType::ObjectMatview as i32;
        let oid = self.add_relation(schema, &range.relname, if materialized { 'm' } else { 'r' }, columns);
        let (kind, word) =
            if materialized { ("materialized view", "materialized view") } else { ("statement", "table") };
        let by = format!("{word} {}", self.qualified(schema, &range.relname));
        let span = self.name_span(&range.relname);
        self.add_expression(kind, by, self.session.role, oid, found, span);
    }

    pub(super) fn create_view(&mut self, view: &ViewStmt) {
        let Some(range) = &view.view else { return };
        let (columns, found) =
            self.with_walker(|walker| view.query.as_deref().and_then(|query| walker.statement(query)));
        let aliases: Vec<String> = view.aliases.iter().filter_map(|node| string(Some(node))).collect();
        let columns = columns.map(|columns| {
            let names = aliases.iter().cloned().map(Some).chain(std::iter::repeat(None));
            columns.into_iter().zip(names).map(|((old, oid), new)| (new.unwrap_or(old), oid)).collect()
        });
        let Some(schema) = self.place_of(range) else { return };
        let old = self.catalog.relation_named(schema, &range.relname).map(|found| found.oid);
        let oid = match old {
            Some(oid) => {
                self.forget_of(oid, |expression| expression.kind == "view");
                oid
            }
            None => self.add_relation(schema, &range.relname, 'v', None),
        };
        if let Some(mut relation) = self.catalog.relation_of(oid).cloned() {
            relation.columns = columns.unwrap_or_default();
            relation.options = settings(&view.options);
            self.catalog.put_relation(relation);
        }
        let owner = self.catalog.relation_of(oid).map_or(self.session.role, |relation| relation.owner);
        let by = format!("view {}", self.qualified(schema, &range.relname));
        let span = self.name_span(&range.relname);
        self.add_expression("view", by, owner, oid, found, span);
    }

    pub(super) fn create_sequence(&mut self, create: &CreateSeqStmt) {
        let Some(range) = &create.sequence else { return };
        let Some(schema) = self.place_of(range) else { return };
        if self.catalog.relation_named(schema, &range.relname).is_none() {
            self.add_relation(schema, &range.relname, 'S', None);
        }
    }

    /// Notes which functions a trigger calls when a row is applied, if it fires then.
    fn fires_on_apply(&mut self, relation: Oid, trigger: &str, fires: bool) {
        let start = format!("trigger {} on ", crate::text::quote(trigger));
        let mut mine = self.bound.of(relation).filter(|found| found.by.starts_with(&start));
        let Some(by) = mine.next().map(|found| found.by.clone()) else { return };
        let on_apply = &mut self.catalog.snapshot.on_apply;
        on_apply.retain(|used| used.by != by);
        if fires {
            let functions = self.bound.called_by(&by).map(|used| used.function);
            on_apply.extend(functions.map(|function| OnApply {
                relation,
                function,
                by: by.clone(),
                assumed: false,
            }));
        }
    }

    pub(super) fn alter_table(&mut self, alter: &AlterTableStmt, node: &Node) {
        let Some(range) = &alter.relation else { return };
        let found = self.walk(node);
        let Some(oid) = self.relation(range) else {
            self.add_expression(
                "statement",
                super::replay::label(&self.at.text),
                self.session.role,
                0,
                found,
                0..1,
            );
            return;
        };
        let mut kinds = Vec::new();
        for command in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() else { continue };
            let Some(mut relation) = self.catalog.relation_of(oid).cloned() else { return };
            let definition = command.def.as_ref().and_then(|node| node.node.as_ref());
            match AlterTableType::try_from(command.subtype) {
                Ok(AlterTableType::AtAddColumn) => {
                    if let Some(NodeEnum::ColumnDef(column)) = definition {
                        let typed = column.type_name.as_ref().map_or(OPAQUE, |name| self.type_oid(name));
                        if !relation.columns.iter().any(|(name, _)| *name == column.colname) {
                            relation.columns.push((column.colname.clone(), typed));
                        }
                        if is_serial(column) {
                            let name = format!("{}_{}_seq", relation.name, column.colname);
                            self.add_relation(relation.schema, &name, 'S', None);
                        }
                        kinds.extend(column.constraints.iter().filter_map(constraint_kind));
                    }
                }
                Ok(AlterTableType::AtDropColumn) => {
                    relation.columns.retain(|(name, _)| *name != command.name);
                }
                Ok(AlterTableType::AtAlterColumnType) => {
                    if let Some(NodeEnum::ColumnDef(column)) = definition
                        && let Some(name) = &column.type_name
                        && let Some(at) = relation.columns.iter().position(|one| one.0 == command.name)
                    {
                        relation.columns[at].1 = self.type_oid(name);
                    }
                }
                Ok(AlterTableType::AtChangeOwner) => {
                    if let Some(role) = &command.newowner {
                        let owner = self.role(role);
                        self.give(oid, owner);
                        continue;
                    }
                }
                Ok(
                    subtype @ (AlterTableType::AtEnableAlwaysTrig
                    | AlterTableType::AtEnableReplicaTrig
                    | AlterTableType::AtEnableTrig
                    | AlterTableType::AtDisableTrig),
                ) => {
                    let fires = matches!(
                        subtype,
                        AlterTableType::AtEnableAlwaysTrig | AlterTableType::AtEnableReplicaTrig
                    );
                    self.fires_on_apply(oid, &command.name, fires);
                }
                Ok(AlterTableType::AtEnableRowSecurity) => relation.row_security = true,
                Ok(AlterTableType::AtDisableRowSecurity) => relation.row_security = false,
                Ok(AlterTableType::AtSetRelOptions | AlterTableType::AtResetRelOptions) => {
                    if let Some(NodeEnum::List(list)) = definition {
                        let set = command.subtype == AlterTableType::AtSetRelOptions as i32;
                        set_options(&mut relation.options, settings(&list.items), set);
                    }
                }
                Ok(AlterTableType::AtAddConstraint) => {
                    kinds.extend(command.def.as_deref().and_then(constraint_kind));
                }
                Ok(AlterTableType::AtColumnDefault) if command.def.is_some() => kinds.push("default"),
                Ok(AlterTableType::AtAttachPartition) => {
                    if let Some(NodeEnum::PartitionCmd(part)) = definition
                        && let Some(child) = part.name.as_ref().and_then(|name| self.relation(name))
                    {
                        self.catalog.snapshot.inherits.push((child, oid));
                    }
                }
                Ok(AlterTableType::AtAddInherit) => {
                    if let Some(NodeEnum::RangeVar(parent)) = definition
                        && let Some(parent) = self.relation(parent)
                    {
                        self.catalog.snapshot.inherits.push((oid, parent));
                    }
                }
                _ => {}
            }
            self.catalog.put_relation(relation);
        }
        let expressions = found.occurrences.len() > 1;
        if expressions && let Some(relation) = self.catalog.relation_of(oid) {
            let by = format!("table {}", self.qualified(relation.schema, &relation.name));
            let kind = weightiest(&kinds);
            let (owner, span) = (relation.owner, self.name_span(&range.relname));
            self.add_expression(kind, by, owner, oid, found, span);
        }
    }
}

/// SET, or else RESET, of storage parameters.
fn set_options(options: &mut Vec<String>, named: Vec<String>, set: bool) {
    let key = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    options.retain(|old| !named.iter().any(|new| key(new) == key(old)));
    if set {
        options.extend(named);
    }
}

/// What a sequence has when it is read as a table.
fn sequence_columns() -> Vec<(String, Oid)> {
    vec![
        ("last_value".into(), known::INT8),
        ("log_cnt".into(), known::INT8),
        ("is_called".into(), known::BOOL),
    ]
}

fn is_serial(column: &ColumnDef) -> bool {
    let name = column
        .type_name
        .as_ref()
        .and_then(|name| crate::walk::parts(&name.names).last().map(|name| (*name).to_owned()));
    name.is_some_and(|name| {
        ["serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"].contains(&name.as_str())
    })
}

/// One statement can have expressions of several kinds: it counts as the one that is evaluated on most occasions.
fn weightiest(kinds: &[&'static str]) -> &'static str {
    let order = ["index", "check", "generated", "partition key", "default"];
    order.into_iter().find(|kind| kinds.contains(kind)).unwrap_or("statement")
}

/// What kind of expression a constraint has, if it has one.
fn constraint_kind(node: &Node) -> Option<&'static str> {
    use postern_grammar::nodes::ConstrType;
    let NodeEnum::Constraint(constraint) = node.node.as_ref()? else { return None };
    match ConstrType::try_from(constraint.contype).ok()? {
        ConstrType::ConstrCheck => Some("check"),
        ConstrType::ConstrDefault => Some("default"),
        ConstrType::ConstrGenerated => Some("generated"),
        ConstrType::ConstrExclusion => Some("index"),
        _ => None,
    }
}

/// Options as `name=value`.
fn settings(nodes: &[Node]) -> Vec<String> {
    options(nodes)
        .into_iter()
        .map(|(name, value)| format!("{name}={}", string(value).unwrap_or_else(|| "true".into())))
        .collect()
}
