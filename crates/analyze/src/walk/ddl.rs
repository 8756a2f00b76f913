//! Definitions and the other commands: the names in them that are looked up when the command runs.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    Constraint, CreateStatsStmt, CreateStmt, CreateTrigStmt, DropStmt, FunctionParameter, Node, ObjectType,
    PartitionBoundSpec, PartitionCmd, RangeVar,
};

use super::names::parts;
use super::scope::Item;
use super::{Columns, Walker};
use crate::catalog::Oid;
use crate::occurrence::{Lookup, Meaning};
use crate::text::identifier;
use crate::typing::{OPAQUE, known};

impl Walker<'_> {
    #[allow(clippy::too_many_lines, reason = "one arm for each kind of statement")]
    pub(super) fn any_statement(&mut self, node: &Node) -> Columns {
        match node.node.as_ref()? {
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => return self.query(node),
            NodeEnum::CallStmt(call) => {
                if let Some(call) = call.funccall.as_deref() {
                    self.procedure(call);
                }
            }
            NodeEnum::ExplainStmt(explain) => {
                return explain.query.as_deref().and_then(|query| self.any_statement(query));
            }
            NodeEnum::DeclareCursorStmt(cursor) => {
                self.subquery(cursor.query.as_deref());
            }
            NodeEnum::PrepareStmt(prepare) => {
                self.subquery(prepare.query.as_deref());
            }
            NodeEnum::CopyStmt(copy) => {
                self.on_table(copy.relation.as_ref(), |walker| {
                    walker.maybe(copy.where_clause.as_deref());
                });
                self.subquery(copy.query.as_deref());
            }
            NodeEnum::CreateTableAsStmt(create) => {
                self.subquery(create.query.as_deref());
                if let Some(target) = create.into.as_ref().and_then(|into| into.rel.as_ref()) {
                    self.creates(target);
                }
            }
            NodeEnum::CreateStmt(create) => self.create_table(create),
            NodeEnum::ViewStmt(view) => {
                self.subquery(view.query.as_deref());
            }
            NodeEnum::IndexStmt(index) => {
                self.on_table(index.relation.as_ref(), |walker| {
                    walker.index_elements(&index.index_params);
                    walker.maybe(index.where_clause.as_deref());
                });
            }
            NodeEnum::CreatePolicyStmt(policy) => {
                self.on_table(policy.table.as_ref(), |walker| {
                    walker.maybe(policy.qual.as_deref());
                    walker.maybe(policy.with_check.as_deref());
                });
            }
            NodeEnum::AlterPolicyStmt(policy) => {
                self.on_table(policy.table.as_ref(), |walker| {
                    walker.maybe(policy.qual.as_deref());
                    walker.maybe(policy.with_check.as_deref());
                });
            }
            NodeEnum::CreateTrigStmt(trigger) => self.create_trigger(trigger),
            NodeEnum::CreateFunctionStmt(create) => {
                for node in &create.parameters {
                    if let Some(NodeEnum::FunctionParameter(parameter)) = node.node.as_ref() {
                        self.parameter_of(parameter);
                    }
                }
                if let Some(returns) = &create.return_type {
                    self.note_type(returns);
                }
            }
            NodeEnum::CreateDomainStmt(domain) => {
                let oid = domain.type_name.as_ref().map_or(OPAQUE, |name| self.note_type(name));
                for node in &domain.constraints {
                    if let Some(NodeEnum::Constraint(constraint)) = node.node.as_ref() {
                        self.on_value(oid, constraint);
                    }
                }
            }
            NodeEnum::CompositeTypeStmt(composite) => {
                self.column_definitions(&composite.coldeflist);
            }
            NodeEnum::AlterTableStmt(alter) => {
                let Some(relation) = &alter.relation else { return None };
                self.on_table(Some(relation), |walker| {
                    for node in &alter.cmds {
                        if let Some(NodeEnum::AlterTableCmd(command)) = node.node.as_ref() {
                            match command.def.as_ref().and_then(|def| def.node.as_ref()) {
                                Some(NodeEnum::ColumnDef(_)) => {
                                    walker.column_definitions(
                                        command.def.as_deref().map_or(&[], std::slice::from_ref),
                                    );
                                }
                                Some(NodeEnum::Constraint(constraint)) => walker.constraint(constraint),
                                Some(NodeEnum::RangeVar(other)) => {
                                    walker.note_relation(other);
                                }
                                Some(NodeEnum::PartitionCmd(part)) => walker.partition(part),
                                Some(NodeEnum::TypeName(row)) => {
                                    walker.note_type(row);
                                }
                                Some(
                                    NodeEnum::DefElem(_)
                                    | NodeEnum::List(_)
                                    | NodeEnum::RoleSpec(_)
                                    | NodeEnum::ReplicaIdentityStmt(_)
                                    | NodeEnum::String(_)
                                    | NodeEnum::Integer(_),
                                )
                                | None => {}
                                Some(_) => {
                                    walker.maybe(command.def.as_deref());
                                }
                            }
                        }
                    }
                });
            }
            NodeEnum::TruncateStmt(truncate) => self.relations(&truncate.relations),
            NodeEnum::LockStmt(lock) => self.relations(&lock.relations),
            NodeEnum::RefreshMatViewStmt(refresh) => {
                if let Some(relation) = &refresh.relation {
                    self.note_relation(relation);
                }
            }
            NodeEnum::VacuumStmt(vacuum) => {
                for node in &vacuum.rels {
                    if let Some(NodeEnum::VacuumRelation(relation)) = node.node.as_ref()
                        && let Some(relation) = &relation.relation
                    {
                        self.note_relation(relation);
                    }
                }
            }
            NodeEnum::CreateEventTrigStmt(trigger) => {
                let names = parts(&trigger.funcname);
                if let Some(span) = self.executed_function(names.len()) {
                    self.note_routine(&names, span, Some(Vec::new()));
                }
            }
            NodeEnum::RuleStmt(rule) => {
                self.on_rows_of(rule.relation.as_ref(), |walker| {
                    walker.maybe(rule.where_clause.as_deref());
                    for action in &rule.actions {
                        walker.nested(|walker| walker.query(action));
                    }
                });
            }
            NodeEnum::AlterDomainStmt(alter) => {
                let name = postern_grammar::nodes::TypeName {
                    names: alter.type_name.clone(),
                    location: -1,
                    ..Default::default()
                };
                let oid = self.note_type(&name);
                if let Some(NodeEnum::Constraint(constraint)) =
                    alter.def.as_ref().and_then(|def| def.node.as_ref())
                {
                    self.on_value(oid, constraint);
                }
            }
            NodeEnum::ReturnStmt(statement) => {
                self.nested(|walker| walker.maybe(statement.returnval.as_deref()));
            }
            other => self.command(other),
        }
        Some(Vec::new())
    }

    /// Commands that name what they are about, and little else.
    fn command(&mut self, command: &NodeEnum) {
        let relation = match command {
            NodeEnum::DropStmt(drop) => return self.dropped(drop),
            NodeEnum::GrantStmt(grant) => return self.relations(&grant.objects),
            NodeEnum::CreateStatsStmt(statistics) => return self.create_statistics(statistics),
            NodeEnum::CreateForeignTableStmt(create) => {
                return create.base_stmt.iter().for_each(|create| self.create_table(create));
            }
            NodeEnum::CreatePublicationStmt(create) => return self.published(&create.pubobjects),
            NodeEnum::AlterPublicationStmt(alter) => return self.published(&alter.pubobjects),
            // A block in a body. In a file it is looked into where it stands.
            NodeEnum::DoStmt(_) => return self.gap(-1, "the code of DO is not looked into"),
            NodeEnum::ExecuteStmt(execute) => {
                return self.nested(|walker| drop(walker.exprs(&execute.params)));
            }
            NodeEnum::RenameStmt(rename) => &rename.relation,
            NodeEnum::AlterObjectSchemaStmt(alter) => &alter.relation,
            NodeEnum::AlterOwnerStmt(alter) => &alter.relation,
            NodeEnum::AlterSeqStmt(alter) => &alter.sequence,
            NodeEnum::ClusterStmt(cluster) => &cluster.relation,
            NodeEnum::ReindexStmt(reindex) => &reindex.relation,
            _ => return,
        };
        if let Some(relation) = relation {
            self.note_relation(relation);
        }
    }

    fn relations(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
                self.note_relation(relation);
            }
        }
    }

    /// Notes that a statement creates a table, if it is a temporary one.
    pub(super) fn creates(&mut self, relation: &RangeVar) {
        if relation.relpersistence == "t" || relation.schemaname == "pg_temp" {
            self.created.insert(relation.relname.clone());
        }
    }

    /// Walks expressions that see the columns of a table.
    fn on_table(&mut self, relation: Option<&RangeVar>, work: impl FnOnce(&mut Self)) {
        let Some(relation) = relation else { return };
        self.nested(|walker| {
            let item = walker.table(relation);
            walker.push_item(item);
            work(walker);
        });
    }

    fn create_table(&mut self, create: &CreateStmt) {
        self.relations(&create.inh_relations);
        let Some(relation) = &create.relation else { return };
        self.nested(|walker| {
            let columns = walker.column_definitions_only(&create.table_elts);
            walker.push_item(Item {
                name: Some(relation.relname.clone()),
                columns: create.inh_relations.is_empty().then_some(columns),
                row: OPAQUE,
                bare: true,
                scalar: false,
            });
            walker.column_constraints(&create.table_elts);
            for node in &create.constraints {
                if let Some(NodeEnum::Constraint(constraint)) = node.node.as_ref() {
                    walker.constraint(constraint);
                }
            }
            for node in create.partspec.iter().flat_map(|key| &key.part_params) {
                if let Some(NodeEnum::PartitionElem(element)) = node.node.as_ref() {
                    walker.maybe(element.expr.as_deref());
                    walker.collation_of(&element.collation);
                }
            }
        });
        self.bounds(create.partbound.as_ref());
        self.creates(relation);
    }

    /// ATTACH PARTITION, and DETACH.
    fn partition(&mut self, part: &PartitionCmd) {
        if let Some(relation) = &part.name {
            self.note_relation(relation);
        }
        self.bounds(part.bound.as_ref());
    }

    /// The bounds of a partition: they see no column.
    fn bounds(&mut self, bound: Option<&PartitionBoundSpec>) {
        let Some(bound) = bound else { return };
        self.nested(|walker| {
            for value in bound.listdatums.iter().chain(&bound.lowerdatums).chain(&bound.upperdatums) {
                walker.bound(value);
            }
        });
    }

    /// The bound of a partition. MINVALUE and MAXVALUE look like columns.
    fn bound(&mut self, value: &Node) {
        if !matches!(value.node.as_ref(), Some(NodeEnum::ColumnRef(_))) {
            self.expr(value);
        }
    }

    /// The elements of an index, or of a constraint that is one.
    fn index_elements(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Some(NodeEnum::IndexElem(element)) = node.node.as_ref() {
                self.maybe(element.expr.as_deref());
                self.collation_of(&element.collation);
            }
        }
    }

    /// A collation that is written without a place of its own: it follows a COLLATE that no other has.
    fn collation_of(&mut self, name: &[Node]) {
        let names = parts(name);
        let Some(last) = names.last() else { return };
        let written = |token: &crate::parse::Token| identifier(token.text(self.text)) == *last;
        let place = self.tokens.windows(2 * names.len()).find_map(|tokens| match tokens {
            [first, .., word] if first.is(self.text, "collate") && written(word) => {
                Some(tokens[1].start..word.end)
            }
            _ => None,
        });
        if let Some(span) = place {
            let at = self.place_of(span.start).unwrap_or(-1);
            self.note_collation(&names, at);
        }
    }

    fn create_statistics(&mut self, statistics: &CreateStatsStmt) {
        let relation = match statistics.relations.first().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::RangeVar(relation)) => Some(relation.as_ref()),
            _ => None,
        };
        self.on_table(relation, |walker| {
            for node in &statistics.exprs {
                if let Some(NodeEnum::StatsElem(element)) = node.node.as_ref() {
                    walker.maybe(element.expr.as_deref());
                }
            }
        });
    }

    fn published(&mut self, objects: &[Node]) {
        for node in objects {
            if let Some(NodeEnum::PublicationObjSpec(object)) = node.node.as_ref()
                && let Some(table) = &object.pubtable
            {
                self.on_table(table.relation.as_ref(), |walker| {
                    walker.maybe(table.where_clause.as_deref());
                });
            }
        }
    }

    /// What DROP names has no place in the tree: each name is looked for in the tokens. What is not there is not dropped.
    fn dropped(&mut self, drop: &DropStmt) {
        let relation = match ObjectType::try_from(drop.remove_type) {
            Ok(
                ObjectType::ObjectTable
                | ObjectType::ObjectView
                | ObjectType::ObjectMatview
                | ObjectType::ObjectSequence
                | ObjectType::ObjectForeignTable
                | ObjectType::ObjectIndex,
            ) => true,
            Ok(ObjectType::ObjectType | ObjectType::ObjectDomain) => false,
            _ => return,
        };
        // After DROP and the kind.
        let mut from = 2;
        for object in &drop.objects {
            let named: Vec<&str> = match object.node.as_ref() {
                Some(NodeEnum::List(list)) => parts(&list.items),
                Some(NodeEnum::TypeName(name)) => parts(&name.names),
                _ => continue,
            };
            let Some(at) = self.dotted_at(from, &named) else { continue };
            let last = at + 2 * (named.len() - 1);
            from = last + 1;
            let span = self.tokens[at].start..self.tokens[last].end;
            let [.., name] = named.as_slice() else { continue };
            if named.len() == 1 && self.is_local_table(name) {
                continue;
            }
            let noted = self.found.occurrences.len();
            let meaning = if relation {
                self.note(span, &named, None, Lookup::Relation)
            } else {
                self.note(span, &named, None, Lookup::Type)
            };
            if drop.missing_ok && meaning == Meaning::Nothing {
                self.found.occurrences.truncate(noted);
            }
        }
    }

    fn column_definitions(&mut self, nodes: &[Node]) {
        self.column_definitions_only(nodes);
        self.column_constraints(nodes);
    }

    fn column_definitions_only(&mut self, nodes: &[Node]) -> Vec<(String, Oid)> {
        let mut columns = Vec::new();
        for node in nodes {
            match node.node.as_ref() {
                Some(NodeEnum::ColumnDef(column)) => {
                    let oid = column.type_name.as_ref().map_or(OPAQUE, |name| self.note_serial(name));
                    columns.push((column.colname.clone(), oid));
                    if let Some(clause) = column.coll_clause.as_deref() {
                        self.note_collation(&parts(&clause.collname), clause.location);
                    }
                }
                Some(NodeEnum::TableLikeClause(like)) => {
                    if let Some(relation) = &like.relation {
                        let found = self.note_relation(relation);
                        let found = found.and_then(|oid| self.typer.catalog.relation_of(oid));
                        columns.extend(found.map(|found| found.columns.clone()).unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
        columns
    }

    /// `serial` and its like are no types, and no schema can hold another.
    pub(super) fn note_serial(&mut self, name: &postern_grammar::nodes::TypeName) -> Oid {
        match parts(&name.names).as_slice() {
            ["serial" | "serial4"] => known::INT4,
            ["bigserial" | "serial8"] => known::INT8,
            ["smallserial" | "serial2"] => known::INT2,
            _ => self.note_type(name),
        }
    }

    fn column_constraints(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node.node.as_ref() {
                Some(NodeEnum::ColumnDef(column)) => {
                    self.maybe(column.raw_default.as_deref());
                    for node in &column.constraints {
                        if let Some(NodeEnum::Constraint(constraint)) = node.node.as_ref() {
                            self.constraint(constraint);
                        }
                    }
                }
                Some(NodeEnum::Constraint(constraint)) => self.constraint(constraint),
                _ => {}
            }
        }
    }

    fn constraint(&mut self, constraint: &Constraint) {
        self.maybe(constraint.raw_expr.as_deref());
        self.maybe(constraint.where_clause.as_deref());
        for node in &constraint.exclusions {
            if let Some(NodeEnum::List(pair)) = node.node.as_ref() {
                self.index_elements(&pair.items);
            }
        }
        if let Some(relation) = &constraint.pktable {
            self.note_relation(relation);
        }
        if !constraint.exclusions.is_empty() {
            self.gap(constraint.location, "the operators of EXCLUDE are not looked into");
        }
    }

    fn parameter_of(&mut self, parameter: &FunctionParameter) {
        if let Some(name) = &parameter.arg_type {
            self.note_type(name);
        }
        self.nested(|walker| walker.maybe(parameter.defexpr.as_deref()));
    }

    /// A constraint of a domain: VALUE is seen as a column.
    fn on_value(&mut self, oid: Oid, constraint: &Constraint) {
        self.nested(|walker| {
            walker.push_item(Item {
                name: None,
                columns: Some(vec![("value".into(), oid)]),
                row: OPAQUE,
                bare: true,
                scalar: false,
            });
            walker.maybe(constraint.raw_expr.as_deref());
        });
    }

    /// Walks expressions that see the rows `old` and `new` of a table.
    fn on_rows_of(&mut self, relation: Option<&RangeVar>, work: impl FnOnce(&mut Self)) {
        let Some(relation) = relation else { return };
        self.nested(|walker| {
            let item = walker.table(relation);
            for name in ["old", "new"] {
                walker.push_item(Item { name: Some(name.into()), bare: false, ..item.clone() });
            }
            work(walker);
        });
    }

    fn create_trigger(&mut self, trigger: &CreateTrigStmt) {
        let names = parts(&trigger.funcname);
        if let Some(span) = self.executed_function(names.len()) {
            let meaning = self.note_routine(&names, span, Some(Vec::new()));
            debug_assert!(!matches!(meaning, Meaning::Local(_)) || names.len() > 1);
        }
        self.on_rows_of(trigger.relation.as_ref(), |walker| {
            walker.maybe(trigger.when_clause.as_deref());
        });
    }

    /// `EXECUTE FUNCTION name` has no place in the tree: it is found in the tokens.
    fn executed_function(&self, parts: usize) -> Option<std::ops::Range<usize>> {
        let at = self.tokens.windows(2).rposition(|pair| {
            pair[0].is(self.text, "execute")
                && (pair[1].is(self.text, "function") || pair[1].is(self.text, "procedure"))
        })?;
        let first = self.tokens.get(at + 2)?;
        let last = self.tokens.get(at + 2 * parts)?;
        Some(first.start..last.end)
    }
}
