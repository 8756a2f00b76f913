//! SELECT, and the commands that change rows.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    Alias, DeleteStmt, FuncCall, InsertStmt, JoinExpr, MergeStmt, Node, RangeFunction, RangeVar,
    ReturningClause, SelectStmt, SetOperation, UpdateStmt, WithClause,
};

use super::names::parts;
use super::scope::{Cte, Item};
use super::{Columns, Walker};
use crate::catalog::Oid;
use crate::typing::{OPAQUE, known};

impl Walker<'_> {
    /// A sub-select: sees what is around it.
    pub(super) fn subquery(&mut self, node: Option<&Node>) -> Columns {
        node.and_then(|node| self.query(node))
    }

    /// Any statement that gives rows; with a level of its own.
    pub(super) fn query(&mut self, node: &Node) -> Columns {
        match node.node.as_ref()? {
            NodeEnum::SelectStmt(select) => self.select(select),
            NodeEnum::InsertStmt(insert) => self.nested(|walker| walker.insert(insert)),
            NodeEnum::UpdateStmt(update) => self.nested(|walker| walker.update(update)),
            NodeEnum::DeleteStmt(delete) => self.nested(|walker| walker.delete(delete)),
            NodeEnum::MergeStmt(merge) => self.nested(|walker| walker.merge(merge)),
            _ => None,
        }
    }

    pub(super) fn select(&mut self, select: &SelectStmt) -> Columns {
        self.nested(|walker| walker.select_here(select))
    }

    fn select_here(&mut self, select: &SelectStmt) -> Columns {
        self.with(select.with_clause.as_ref());
        if let (Some(left), Some(right)) = (&select.larg, &select.rarg)
            && !matches!(
                SetOperation::try_from(select.op),
                Ok(SetOperation::SetopNone | SetOperation::Undefined)
            )
        {
            let (left, right) = (self.select(left), self.select(right));
            self.sort(&select.sort_clause);
            self.maybe(select.limit_offset.as_deref());
            self.maybe(select.limit_count.as_deref());
            return self.united(left, right);
        }
        if !select.values_lists.is_empty() {
            return Some(self.values(select));
        }
        self.from(&select.from_clause);
        let columns = self.targets(&select.target_list);
        self.maybe(select.where_clause.as_deref());
        self.exprs_but_columns(&select.group_clause);
        self.maybe(select.having_clause.as_deref());
        for node in &select.window_clause {
            if let Some(NodeEnum::WindowDef(window)) = node.node.as_ref() {
                self.window(window);
            }
        }
        self.exprs_but_columns(&select.distinct_clause);
        self.sort(&select.sort_clause);
        self.maybe(select.limit_offset.as_deref());
        self.maybe(select.limit_count.as_deref());
        if let Some(target) = select.into_clause.as_ref().and_then(|into| into.rel.as_ref()) {
            self.creates(target);
        }
        columns
    }

    fn united(&self, left: Columns, right: Columns) -> Columns {
        let (left, right) = (left?, right?);
        Some(
            left.into_iter()
                .enumerate()
                .map(|(at, (name, oid))| {
                    let other = right.get(at).map_or(OPAQUE, |(_, oid)| *oid);
                    (name, self.common_type(&[oid, other]))
                })
                .collect(),
        )
    }

    fn values(&mut self, select: &SelectStmt) -> Vec<(String, Oid)> {
        let mut columns: Vec<Vec<Oid>> = Vec::new();
        for row in &select.values_lists {
            let Some(NodeEnum::List(list)) = row.node.as_ref() else { continue };
            for (at, oid) in self.exprs(&list.items).into_iter().enumerate() {
                if columns.len() <= at {
                    columns.push(Vec::new());
                }
                columns[at].push(oid);
            }
        }
        self.sort(&select.sort_clause);
        self.maybe(select.limit_count.as_deref());
        columns
            .iter()
            .enumerate()
            .map(|(at, types)| (format!("column{}", at + 1), self.common_type(types)))
            .collect()
    }

    /// Names of output columns and columns of tables are no look-ups; what else stands in such a list is.
    fn exprs_but_columns(&mut self, nodes: &[Node]) {
        for node in nodes {
            if !matches!(node.node.as_ref(), None | Some(NodeEnum::ColumnRef(_) | NodeEnum::AConst(_))) {
                self.expr(node);
            }
        }
    }

    pub(super) fn sort(&mut self, nodes: &[Node]) {
        for node in nodes {
            let Some(NodeEnum::SortBy(sort)) = node.node.as_ref() else { continue };
            let oid = match sort.node.as_ref().and_then(|node| node.node.as_ref()) {
                None | Some(NodeEnum::AConst(_)) => OPAQUE,
                Some(_) => self.maybe(sort.node.as_deref()),
            };
            if !sort.use_op.is_empty() {
                self.note_binary(&parts(&sort.use_op), sort.location, Some("ORDER BY USING"), oid, oid);
            }
        }
    }

    fn with(&mut self, with: Option<&WithClause>) {
        let Some(with) = with else { return };
        for node in &with.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = node.node.as_ref() else { continue };
            let renamed: Vec<String> = parts(&cte.aliascolnames).into_iter().map(str::to_owned).collect();
            let query = cte.ctequery.as_deref();
            if with.recursive
                && let Some(NodeEnum::SelectStmt(select)) = query.and_then(|node| node.node.as_ref())
                && let Some(left) = select.larg.as_deref()
            {
                // The columns are those of the part that does not refer to itself. It is walked twice and noted once.
                let (noted, gaps) = (self.found.occurrences.len(), self.found.gaps.len());
                let columns = self.nested(|walker| {
                    walker.with(select.with_clause.as_ref());
                    walker.select(left)
                });
                self.found.occurrences.truncate(noted);
                self.found.gaps.truncate(gaps);
                self.ctes.push(Cte { name: cte.ctename.clone(), columns: rename(settle(columns), &renamed) });
                self.subquery(query);
                continue;
            }
            let columns = settle(self.subquery(query));
            self.ctes.push(Cte { name: cte.ctename.clone(), columns: rename(columns, &renamed) });
        }
    }

    /// The columns of a select list.
    pub(super) fn targets(&mut self, nodes: &[Node]) -> Columns {
        let mut columns = Some(Vec::new());
        for node in nodes {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_ref() else { continue };
            let Some(value) = target.val.as_deref() else { continue };
            if let Some(NodeEnum::ColumnRef(column)) = value.node.as_ref()
                && column.fields.last().is_some_and(|last| matches!(last.node, Some(NodeEnum::AStar(_))))
            {
                let names = parts(&column.fields);
                let star = self.star(names.last().copied());
                match (&mut columns, star) {
                    (Some(columns), Some(star)) => columns.extend(star),
                    (columns, _) => *columns = None,
                }
                continue;
            }
            let oid = self.expr(value);
            let name = if target.name.is_empty() { figure(value) } else { target.name.clone() };
            if let Some(columns) = &mut columns {
                columns.push((name, oid));
            }
        }
        columns
    }

    pub(super) fn from(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.entry(node);
        }
    }

    /// Adds the items of one entry; gives where they begin.
    fn entry(&mut self, node: &Node) -> usize {
        let start = self.levels.last().map_or(0, |level| level.items.len());
        match node.node.as_ref() {
            Some(NodeEnum::RangeVar(relation)) => {
                let item = self.table(relation);
                self.push_item(item);
            }
            Some(NodeEnum::RangeSubselect(select)) => {
                let columns =
                    self.apart(!select.lateral, |walker| walker.subquery(select.subquery.as_deref()));
                let item = aliased(None, select.alias.as_ref(), settle(columns), OPAQUE);
                self.push_item(item);
            }
            Some(NodeEnum::RangeFunction(function)) => self.function(function),
            Some(NodeEnum::JoinExpr(join)) => self.join(join),
            Some(NodeEnum::RangeTableSample(sample)) => {
                if let Some(relation) = sample.relation.as_deref() {
                    self.entry(relation);
                }
                self.exprs(&sample.args);
                self.maybe(sample.repeatable.as_deref());
            }
            Some(NodeEnum::RangeTableFunc(table)) => {
                self.maybe(table.docexpr.as_deref());
                self.maybe(table.rowexpr.as_deref());
                let mut columns = Vec::new();
                for node in &table.columns {
                    if let Some(NodeEnum::RangeTableFuncCol(column)) = node.node.as_ref() {
                        let oid = column.type_name.as_ref().map_or(known::INT4, |name| self.note_type(name));
                        self.maybe(column.colexpr.as_deref());
                        self.maybe(column.coldefexpr.as_deref());
                        columns.push((column.colname.clone(), oid));
                    }
                }
                let item = aliased(Some("xmltable"), table.alias.as_ref(), Some(columns), OPAQUE);
                self.push_item(item);
            }
            Some(NodeEnum::JsonTable(table)) => {
                let columns = self.json_table(table);
                let item = aliased(Some("json_table"), table.alias.as_ref(), Some(columns), OPAQUE);
                self.push_item(item);
            }
            _ => {
                self.gap(-1, "an entry of FROM of a kind that is not looked into");
                self.push_item(Item { name: None, columns: None, row: OPAQUE, bare: true, scalar: false });
            }
        }
        start
    }

    fn apart<T>(&mut self, hide: bool, work: impl FnOnce(&mut Self) -> T) -> T {
        let at = self.levels.len().checked_sub(1);
        if let Some(at) = at {
            self.levels[at].hidden |= hide;
        }
        let result = work(self);
        if let Some(at) = at
            && hide
        {
            self.levels[at].hidden = false;
        }
        result
    }

    pub(super) fn table(&mut self, relation: &RangeVar) -> Item {
        if relation.schemaname.is_empty()
            && let Some(cte) = self.ctes.iter().rev().find(|cte| cte.name == relation.relname)
        {
            return aliased(Some(&relation.relname), relation.alias.as_ref(), cte.columns.clone(), OPAQUE);
        }
        let found = self.note_relation(relation);
        let found = found.and_then(|oid| self.typer.catalog.relation_of(oid));
        // Without any column it is a view of files whose columns are not known.
        let columns = found.filter(|found| !found.columns.is_empty()).map(|found| found.columns.clone());
        let row = found.map_or(OPAQUE, |found| found.row_type);
        aliased(Some(&relation.relname), relation.alias.as_ref(), columns, row)
    }

    fn function(&mut self, function: &RangeFunction) {
        let mut all: Vec<(String, Oid)> = Vec::new();
        let (mut complete, mut single, mut row) = (true, None, OPAQUE);
        let mut count = 0;
        for node in &function.functions {
            let Some(NodeEnum::List(pair)) = node.node.as_ref() else { continue };
            let Some(first) = pair.items.first() else { continue };
            count += 1;
            let (name, given) = match first.node.as_ref() {
                Some(NodeEnum::FuncCall(call))
                    if call.args.len() > 1 && parts(&call.funcname) == ["unnest"] =>
                {
                    // The server makes one call for each argument.
                    let mut columns = Vec::new();
                    for arg in &call.args {
                        let one = FuncCall { args: vec![arg.clone()], ..FuncCall::clone(call) };
                        columns.push(("unnest".to_owned(), self.call(&one).oid));
                    }
                    let known = columns.iter().all(|(_, oid)| *oid != OPAQUE);
                    (
                        Some("unnest".into()),
                        super::expr::Given { oid: OPAQUE, columns: known.then_some(columns) },
                    )
                }
                Some(NodeEnum::FuncCall(call)) => {
                    (parts(&call.funcname).last().map(|name| (*name).to_owned()), self.call(call))
                }
                _ => {
                    let oid = self.expr(first);
                    (Some(figure(first)), super::expr::Given { oid, columns: None })
                }
            };
            let name = name.unwrap_or_default();
            let defined = match pair.items.get(1).and_then(|node| node.node.as_ref()) {
                Some(NodeEnum::List(list)) => self.definitions(&list.items),
                _ => Vec::new(),
            };
            single = None;
            if !defined.is_empty() {
                all.extend(defined);
            } else if let Some(columns) = given.columns {
                all.extend(columns);
            } else if let Some(columns) = self.columns_of_type(given.oid) {
                row = given.oid;
                all.extend(columns);
            } else if given.oid == OPAQUE || given.oid == known::RECORD {
                complete = false;
            } else {
                let renamed = function.alias.as_ref().map(|alias| alias.aliasname.clone());
                all.push((
                    renamed.filter(|_| !function.is_rowsfrom).unwrap_or_else(|| name.clone()),
                    given.oid,
                ));
                single = Some(());
            }
            if count == 1 && function.alias.is_none() {
                // The name of the entry is that of the function.
                self.push_item(Item {
                    name: Some(name),
                    columns: None,
                    row: OPAQUE,
                    bare: false,
                    scalar: false,
                });
            }
        }
        let placeholder = function.alias.is_none() && count > 0;
        let name = if placeholder {
            self.levels.last_mut().and_then(|level| level.items.pop()).and_then(|item| item.name)
        } else {
            None
        };
        let defined = self.definitions(&function.coldeflist);
        if !defined.is_empty() {
            (all, complete) = (defined, true);
        }
        if function.ordinality {
            all.push(("ordinality".into(), known::INT8));
        }
        let columns = complete.then_some(all);
        let mut item = aliased(name.as_deref(), function.alias.as_ref(), columns, row);
        item.scalar = single.is_some() && count == 1 && !function.ordinality;
        self.push_item(item);
    }

    fn definitions(&mut self, nodes: &[Node]) -> Vec<(String, Oid)> {
        let mut columns = Vec::new();
        for node in nodes {
            if let Some(NodeEnum::ColumnDef(column)) = node.node.as_ref() {
                let oid = column.type_name.as_ref().map_or(OPAQUE, |name| self.note_type(name));
                columns.push((column.colname.clone(), oid));
            }
        }
        columns
    }

    fn join(&mut self, join: &JoinExpr) {
        let Some(left) = join.larg.as_deref() else { return };
        let start = self.entry(left);
        let middle = match join.rarg.as_deref() {
            Some(right) => self.entry(right),
            None => return,
        };
        let Some(level) = self.levels.last() else { return };
        let side = |items: &[Item]| -> Columns {
            let mut all = Vec::new();
            for item in items.iter().filter(|item| item.bare) {
                all.extend(item.columns.clone()?);
            }
            Some(all)
        };
        let (lefts, rights) = (side(&level.items[start..middle]), side(&level.items[middle..]));
        let using: Vec<String> = if join.is_natural {
            if let (Some(lefts), Some(rights)) = (&lefts, &rights) {
                lefts
                    .iter()
                    .filter(|(name, _)| rights.iter().any(|(other, _)| other == name))
                    .map(|(name, _)| name.clone())
                    .collect()
            } else {
                self.gap(-1, "the columns of NATURAL JOIN are not known");
                Vec::new()
            }
        } else {
            parts(&join.using_clause).into_iter().map(str::to_owned).collect()
        };
        let implied_by = if join.is_natural { "NATURAL JOIN" } else { "USING" };
        let at = if using.is_empty() { -1 } else { self.join_place(join.is_natural) };
        let mut merged = Vec::new();
        for name in &using {
            let of = |columns: &Columns| {
                columns
                    .as_ref()
                    .and_then(|all| all.iter().find(|(column, _)| column == name))
                    .map_or(OPAQUE, |c| c.1)
            };
            let (left, right) = (of(&lefts), of(&rights));
            self.note_binary(&["="], at, Some(implied_by), left, right);
            merged.push((name.clone(), self.common_type(&[left, right])));
        }
        self.maybe(join.quals.as_deref());
        if using.is_empty() && join.alias.is_none() {
            return;
        }
        let not_merged = |columns: Columns| -> Columns {
            Some(columns?.into_iter().filter(|(name, _)| !using.contains(name)).collect())
        };
        let columns = match (not_merged(lefts), not_merged(rights)) {
            (Some(lefts), Some(rights)) => Some(merged.into_iter().chain(lefts).chain(rights).collect()),
            _ => None,
        };
        if let Some(level) = self.levels.last_mut() {
            for item in &mut level.items[start..] {
                item.bare = false;
                if join.alias.is_some() {
                    item.name = None;
                }
            }
            level.items.push(aliased(None, join.alias.as_ref(), columns, OPAQUE));
        }
    }

    /// USING and NATURAL have no place in the tree. Joins are walked in the order of the text, so that it is the next of
    /// these words.
    fn join_place(&mut self, natural: bool) -> i32 {
        let found = (self.joins..self.tokens.len()).find(|&at| {
            let next = self.tokens.get(at + 1).map_or("", |token| token.text(self.text));
            if natural {
                self.tokens[at].is(self.text, "natural")
            } else {
                self.tokens[at].is(self.text, "using") && next == "("
            }
        });
        match found {
            Some(at) => {
                self.joins = at + 1;
                self.place_of(self.tokens[at].start).unwrap_or(-1)
            }
            None => -1,
        }
    }

    fn target(&mut self, relation: Option<&RangeVar>) {
        if let Some(relation) = relation {
            // A common table expression is never the target.
            let ctes = std::mem::take(&mut self.ctes);
            let item = self.table(relation);
            self.ctes = ctes;
            self.push_item(item);
        }
    }

    fn returning(&mut self, clause: Option<&ReturningClause>) -> Columns {
        match clause {
            Some(clause) => {
                for name in ["old", "new"] {
                    let first = self.levels.last().and_then(|level| level.items.first()).cloned();
                    if let Some(item) = first {
                        self.push_item(Item { name: Some(name.into()), bare: false, ..item });
                    }
                }
                self.targets(&clause.exprs)
            }
            None => Some(Vec::new()),
        }
    }

    fn insert(&mut self, insert: &InsertStmt) -> Columns {
        self.with(insert.with_clause.as_ref());
        // The rows do not see the target.
        self.subquery(insert.select_stmt.as_deref());
        self.target(insert.relation.as_ref());
        if let Some(conflict) = insert.on_conflict_clause.as_deref() {
            if let Some(infer) = conflict.infer.as_deref() {
                for node in &infer.index_elems {
                    if let Some(NodeEnum::IndexElem(element)) = node.node.as_ref() {
                        self.maybe(element.expr.as_deref());
                    }
                }
                self.maybe(infer.where_clause.as_deref());
            }
            let excluded = self.levels.last().and_then(|level| level.items.last()).cloned();
            if let Some(item) = excluded {
                self.push_item(Item { name: Some("excluded".into()), bare: false, ..item });
            }
            self.assignments(&conflict.target_list);
            self.maybe(conflict.where_clause.as_deref());
            if let Some(level) = self.levels.last_mut() {
                level.items.pop();
            }
        }
        self.returning(insert.returning_clause.as_ref())
    }

    fn assignments(&mut self, nodes: &[Node]) {
        for node in nodes {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_ref() else { continue };
            for step in &target.indirection {
                if let Some(NodeEnum::AIndices(indices)) = step.node.as_ref() {
                    self.maybe(indices.lidx.as_deref());
                    self.maybe(indices.uidx.as_deref());
                }
            }
            self.maybe(target.val.as_deref());
        }
    }

    fn update(&mut self, update: &UpdateStmt) -> Columns {
        self.with(update.with_clause.as_ref());
        self.target(update.relation.as_ref());
        self.from(&update.from_clause);
        self.assignments(&update.target_list);
        self.maybe(update.where_clause.as_deref());
        self.returning(update.returning_clause.as_ref())
    }

    fn delete(&mut self, delete: &DeleteStmt) -> Columns {
        self.with(delete.with_clause.as_ref());
        self.target(delete.relation.as_ref());
        self.from(&delete.using_clause);
        self.maybe(delete.where_clause.as_deref());
        self.returning(delete.returning_clause.as_ref())
    }

    fn merge(&mut self, merge: &MergeStmt) -> Columns {
        self.with(merge.with_clause.as_ref());
        self.target(merge.relation.as_ref());
        if let Some(source) = merge.source_relation.as_deref() {
            self.entry(source);
        }
        self.maybe(merge.join_condition.as_deref());
        for node in &merge.merge_when_clauses {
            if let Some(NodeEnum::MergeWhenClause(when)) = node.node.as_ref() {
                self.maybe(when.condition.as_deref());
                self.assignments(&when.target_list);
                self.exprs(&when.values);
            }
        }
        self.returning(merge.returning_clause.as_ref())
    }

    /// CALL.
    pub(super) fn procedure(&mut self, call: &FuncCall) {
        self.nested(|walker| walker.call_as(call, true));
    }
}

/// A literal that a sub-select gives is text.
fn settle(columns: Columns) -> Columns {
    let text = |(name, oid)| (name, if oid == known::UNKNOWN { known::TEXT } else { oid });
    columns.map(|columns| columns.into_iter().map(text).collect())
}

fn rename(columns: Columns, names: &[String]) -> Columns {
    let mut columns = columns?;
    for (column, name) in columns.iter_mut().zip(names) {
        column.0.clone_from(name);
    }
    Some(columns)
}

fn aliased(name: Option<&str>, alias: Option<&Alias>, columns: Columns, row: Oid) -> Item {
    let names: Vec<String> = alias
        .map(|alias| parts(&alias.colnames).into_iter().map(str::to_owned).collect())
        .unwrap_or_default();
    let name = alias.map(|alias| alias.aliasname.clone()).or_else(|| name.map(str::to_owned));
    Item { name, columns: rename(columns, &names), row, bare: true, scalar: false }
}

/// The name that a column of a result gets when none is given.
fn figure(node: &Node) -> String {
    let named = match node.node.as_ref() {
        Some(NodeEnum::ColumnRef(column)) => parts(&column.fields).last().map(|name| (*name).to_owned()),
        Some(NodeEnum::FuncCall(call)) => parts(&call.funcname).last().map(|name| (*name).to_owned()),
        Some(NodeEnum::AIndirection(indirection)) => match parts(&indirection.indirection).last() {
            Some(field) => Some((*field).to_owned()),
            None => indirection.arg.as_deref().map(figure),
        },
        Some(NodeEnum::TypeCast(cast)) => {
            let inner = cast.arg.as_deref().map(figure).filter(|name| name != "?column?");
            inner.or_else(|| {
                let name = cast.type_name.as_ref()?;
                parts(&name.names).last().map(|name| (*name).to_owned())
            })
        }
        Some(NodeEnum::CollateClause(clause)) => clause.arg.as_deref().map(figure),
        Some(NodeEnum::CaseExpr(case)) => {
            let inner = case.defresult.as_deref().map(figure);
            inner.filter(|name| name != "?column?").or(Some("case".into()))
        }
        Some(NodeEnum::AArrayExpr(_)) => Some("array".into()),
        Some(NodeEnum::CoalesceExpr(_)) => Some("coalesce".into()),
        Some(NodeEnum::RowExpr(_)) => Some("row".into()),
        Some(NodeEnum::MinMaxExpr(expr)) => Some(if expr.op == 1 { "greatest" } else { "least" }.into()),
        Some(NodeEnum::SubLink(link)) => match link.sub_link_type {
            1 => Some("exists".into()),
            7 => Some("array".into()),
            5 => match link.subselect.as_ref().and_then(|node| node.node.as_ref()) {
                Some(NodeEnum::SelectStmt(select)) => {
                    let first = select.target_list.first().and_then(|node| node.node.as_ref());
                    match first {
                        Some(NodeEnum::ResTarget(target)) if !target.name.is_empty() => {
                            Some(target.name.clone())
                        }
                        Some(NodeEnum::ResTarget(target)) => target.val.as_deref().map(figure),
                        _ => None,
                    }
                }
                _ => None,
            },
            _ => None,
        },
        Some(NodeEnum::SqlvalueFunction(value)) => Some(
            match value.op {
                1 => "current_date",
                2 | 3 => "current_time",
                4 | 5 => "current_timestamp",
                6 | 7 => "localtime",
                8 | 9 => "localtimestamp",
                10 => "current_role",
                11 => "current_user",
                12 => "user",
                13 => "session_user",
                14 => "current_catalog",
                _ => "current_schema",
            }
            .into(),
        ),
        Some(NodeEnum::AExpr(expr)) if expr.kind == 6 => Some("nullif".into()),
        _ => None,
    };
    named.unwrap_or_else(|| "?column?".into())
}
