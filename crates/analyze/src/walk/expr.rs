//! Expressions: their types, and the names in them.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AConst, AExpr, AExprKind, BoolExpr, CaseExpr, ColumnRef, FuncCall, Node, SubLink, SubLinkType, TypeCast,
    WindowDef, a_const,
};

use super::names::parts;
use super::scope::Reference;
use super::{Columns, Walker};
use crate::catalog::Oid;
use crate::occurrence::Meaning;
use crate::typing::{Call, OPAQUE, known};

/// What a call gives.
pub struct Given {
    pub oid: Oid,
    pub columns: Columns,
}

impl Walker<'_> {
    pub(super) fn exprs(&mut self, nodes: &[Node]) -> Vec<Oid> {
        nodes.iter().map(|node| self.expr(node)).collect()
    }

    /// The types of the columns of a row that is written; a star in it is all that it stands for.
    fn row_of(&mut self, nodes: &[Node]) -> Vec<Oid> {
        let mut types = Vec::new();
        for node in nodes {
            if let Some(NodeEnum::ColumnRef(column)) = node.node.as_ref()
                && column.fields.last().is_some_and(|last| matches!(last.node, Some(NodeEnum::AStar(_))))
            {
                let names = parts(&column.fields);
                match self.star(names.last().copied()) {
                    Some(columns) => types.extend(columns.into_iter().map(|(_, oid)| oid)),
                    None => types.push(OPAQUE),
                }
            } else {
                types.push(self.expr(node));
            }
        }
        types
    }

    pub(super) fn maybe(&mut self, node: Option<&Node>) -> Oid {
        node.map_or(OPAQUE, |node| self.expr(node))
    }

    /// The type of an expression, noting the names in it.
    pub(super) fn expr(&mut self, node: &Node) -> Oid {
        let Some(inner) = node.node.as_ref() else { return OPAQUE };
        match inner {
            NodeEnum::AConst(constant) => constant_type(constant),
            NodeEnum::ColumnRef(column) => self.column(column),
            NodeEnum::ParamRef(parameter) => self.parameter(parameter.number),
            NodeEnum::AExpr(expr) => self.operator(expr),
            NodeEnum::BoolExpr(expr) => self.boolean(expr),
            NodeEnum::FuncCall(call) => self.call(call).oid,
            NodeEnum::TypeCast(cast) => self.cast(cast),
            NodeEnum::SubLink(link) => self.sublink(link),
            NodeEnum::CaseExpr(case) => self.case(case),
            NodeEnum::NullTest(test) => {
                self.maybe(test.arg.as_deref());
                known::BOOL
            }
            NodeEnum::BooleanTest(test) => {
                self.maybe(test.arg.as_deref());
                known::BOOL
            }
            NodeEnum::CoalesceExpr(expr) => self.common_of(&expr.args),
            NodeEnum::MinMaxExpr(expr) => self.common_of(&expr.args),
            NodeEnum::AArrayExpr(array) => self.array_of(&array.elements),
            NodeEnum::RowExpr(row) => {
                self.exprs(&row.args);
                known::RECORD
            }
            NodeEnum::CollateClause(clause) => {
                let oid = self.maybe(clause.arg.as_deref());
                self.note_collation(&parts(&clause.collname), clause.location);
                if Self::is_unknown(oid) { known::TEXT } else { oid }
            }
            NodeEnum::AIndirection(indirection) => {
                let mut oid = self.maybe(indirection.arg.as_deref());
                let mut columns = None;
                if let Some(NodeEnum::FuncCall(call)) =
                    indirection.arg.as_ref().and_then(|arg| arg.node.as_ref())
                    && oid == known::RECORD
                {
                    // Walked twice, noted once.
                    let noted = self.found.occurrences.len();
                    let gaps = self.found.gaps.len();
                    columns = self.call(call).columns;
                    self.found.occurrences.truncate(noted);
                    self.found.gaps.truncate(gaps);
                }
                let is_index = |node: &Node| matches!(node.node, Some(NodeEnum::AIndices(_)));
                for steps in indirection.indirection.chunk_by(|one, next| is_index(one) && is_index(next)) {
                    oid = match steps {
                        [first, ..] if is_index(first) => {
                            columns = None;
                            self.subscripts(oid, steps)
                        }
                        _ => steps.iter().fold(oid, |oid, step| self.step(oid, &mut columns, step)),
                    };
                }
                oid
            }
            NodeEnum::SqlvalueFunction(value) => sql_value(value.op),
            NodeEnum::XmlExpr(xml) => {
                self.exprs(&xml.args);
                self.exprs(&xml.named_args);
                if xml.op == 8 { known::BOOL } else { known::XML }
            }
            NodeEnum::XmlSerialize(xml) => {
                self.maybe(xml.expr.as_deref());
                xml.type_name.as_ref().map_or(OPAQUE, |name| self.note_type(name))
            }
            NodeEnum::NamedArgExpr(arg) => self.maybe(arg.arg.as_deref()),
            NodeEnum::ResTarget(target) => self.maybe(target.val.as_deref()),
            NodeEnum::GroupingFunc(grouping) => {
                self.exprs(&grouping.args);
                known::INT4
            }
            NodeEnum::GroupingSet(set) => {
                self.exprs(&set.content);
                OPAQUE
            }
            NodeEnum::MultiAssignRef(assign) => {
                if assign.colno == 1 {
                    self.maybe(assign.source.as_deref());
                }
                OPAQUE
            }
            NodeEnum::CurrentOfExpr(_) => known::BOOL,
            NodeEnum::SetToDefault(_) => OPAQUE,
            NodeEnum::MergeSupportFunc(_) => known::TEXT,
            NodeEnum::List(list) => {
                self.exprs(&list.items);
                OPAQUE
            }
            other => {
                if let Some(oid) = self.json(other) {
                    return oid;
                }
                self.gap(-1, "an expression of a kind that is not looked into");
                OPAQUE
            }
        }
    }

    fn common_of(&mut self, nodes: &[Node]) -> Oid {
        let types = self.exprs(nodes);
        self.common_type(&types)
    }

    pub(super) fn common_type(&self, types: &[Oid]) -> Oid {
        if types.contains(&OPAQUE) { OPAQUE } else { self.typer.common(types).unwrap_or(OPAQUE) }
    }

    fn array_of(&mut self, elements: &[Node]) -> Oid {
        let common = self.common_of(elements);
        if common == OPAQUE {
            return OPAQUE;
        }
        if self.typer.element(common).is_some() && common != known::NAME {
            return common;
        }
        self.typer.array(common).unwrap_or(OPAQUE)
    }

    /// All subscripts in a row: an array has one type of elements, however many dimensions it has.
    fn subscripts(&mut self, oid: Oid, subscripts: &[Node]) -> Oid {
        let mut slice = false;
        for subscript in subscripts {
            if let Some(NodeEnum::AIndices(indices)) = &subscript.node {
                self.maybe(indices.lidx.as_deref());
                self.maybe(indices.uidx.as_deref());
                slice |= indices.is_slice;
            }
        }
        let base = self.typer.catalog.base_type(oid);
        if base == known::JSONB || slice { base } else { self.typer.element(base).unwrap_or(OPAQUE) }
    }

    fn step(&mut self, oid: Oid, columns: &mut Columns, step: &Node) -> Oid {
        match step.node.as_ref() {
            Some(NodeEnum::String(name)) => match self.field(oid, &columns.take(), &name.sval) {
                Reference::Value(field) => field,
                Reference::Attribute(row) => self.attribute(&name.sval, row, -1),
                _ => OPAQUE,
            },
            _ => OPAQUE,
        }
    }

    fn attribute(&mut self, name: &str, row: Oid, at: i32) -> Oid {
        let call = Call { name: name.to_owned(), args: vec![row], ..Call::default() };
        match self.note_call(&[name], at, call) {
            Meaning::Object(oid) => self.typer.routine(oid).map_or(OPAQUE, |routine| routine.returns),
            _ => OPAQUE,
        }
    }

    fn column(&mut self, column: &ColumnRef) -> Oid {
        let names = parts(&column.fields);
        // With a star at the end it is a row.
        if names.len() < column.fields.len() {
            let item = names.last().and_then(|name| self.find_item(name));
            return item.map(|item| item.row).filter(|&row| row != OPAQUE).unwrap_or(known::RECORD);
        }
        let reference = match names.as_slice() {
            [name] => self.bare_name(name),
            [first, second] => self.qualified_name(first, second),
            [first, second, third] => {
                // schema.table.column, or label.variable.field.
                match self.find_item(second) {
                    Some(_) => self.qualified_name(second, third),
                    None => match self.qualified_name(first, second) {
                        Reference::Value(oid) => self.field(oid, &None, third),
                        other => other,
                    },
                }
            }
            _ => Reference::Opaque,
        };
        match reference {
            Reference::Value(oid) => oid,
            Reference::Row(oid, _) => {
                if oid == OPAQUE {
                    known::RECORD
                } else {
                    oid
                }
            }
            Reference::Attribute(row) => match names.last() {
                Some(name) => self.attribute(name, row, column.location),
                None => OPAQUE,
            },
            Reference::Opaque => OPAQUE,
        }
    }

    fn boolean(&mut self, expr: &BoolExpr) -> Oid {
        self.exprs(&expr.args);
        known::BOOL
    }

    fn operator(&mut self, expr: &AExpr) -> Oid {
        let names = parts(&expr.name);
        let (left, right) = (expr.lexpr.as_deref(), expr.rexpr.as_deref());
        let at = expr.location;
        match AExprKind::try_from(expr.kind).unwrap_or(AExprKind::Undefined) {
            AExprKind::AexprOp => {
                let Some(left) = left else {
                    let operand = self.maybe(right);
                    return self.note_prefix(&names, at, operand);
                };
                self.compare(&names, at, None, Some(left), right)
            }
            AExprKind::AexprLike => self.compare(&names, at, Some("LIKE"), left, right),
            AExprKind::AexprIlike => self.compare(&names, at, Some("ILIKE"), left, right),
            AExprKind::AexprSimilar => self.compare(&names, at, Some("SIMILAR TO"), left, right),
            AExprKind::AexprOpAny | AExprKind::AexprOpAll => {
                let (left, right) = (self.maybe(left), self.maybe(right));
                let element = self.array_element(right);
                self.note_binary(&names, at, None, left, element);
                known::BOOL
            }
            AExprKind::AexprDistinct | AExprKind::AexprNotDistinct => {
                if left.is_some_and(is_null) || right.is_some_and(is_null) {
                    self.maybe(left);
                    self.maybe(right);
                } else {
                    self.compare(&names, at, Some("IS DISTINCT FROM"), left, right);
                }
                known::BOOL
            }
            AExprKind::AexprNullif => {
                let (left, right) = (self.maybe(left), self.maybe(right));
                self.note_binary(&names, at, Some("NULLIF"), left, right);
                if Self::is_unknown(left) { known::TEXT } else { left }
            }
            AExprKind::AexprIn => {
                self.in_list(&names, at, left, right);
                known::BOOL
            }
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => {
                self.between(expr, at);
                known::BOOL
            }
            AExprKind::Undefined => OPAQUE,
        }
    }

    fn array_element(&self, oid: Oid) -> Oid {
        if oid == OPAQUE || Self::is_unknown(oid) {
            return oid;
        }
        self.typer.element(self.typer.catalog.base_type(oid)).unwrap_or(OPAQUE)
    }

    /// One operator, or one for each column of two rows.
    fn compare(
        &mut self,
        names: &[&str],
        at: i32,
        implied_by: Option<&'static str>,
        left: Option<&Node>,
        right: Option<&Node>,
    ) -> Oid {
        let row = |node: Option<&Node>| match node.and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::RowExpr(row)) => Some(row.args.clone()),
            _ => None,
        };
        let lefts = row(left);
        let columns = match right.and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::RowExpr(row)) => Some(self.row_of(&row.args)),
            Some(NodeEnum::SubLink(link)) if lefts.is_some() => {
                let columns = self.subquery(link.subselect.as_deref());
                Some(
                    columns
                        .map_or_else(Vec::new, |columns| columns.into_iter().map(|(_, oid)| oid).collect()),
                )
            }
            _ => None,
        };
        if let (Some(lefts), Some(rights)) = (lefts, columns) {
            let lefts = self.row_of(&lefts);
            for (at_column, &left) in lefts.iter().enumerate() {
                let right = rights.get(at_column).copied().unwrap_or(OPAQUE);
                self.note_binary(names, at, implied_by, left, right);
            }
            return known::BOOL;
        }
        let left_type = self.maybe(left);
        let right_type = self.maybe(right);
        self.note_binary(names, at, implied_by, left_type, right_type)
    }

    fn in_list(&mut self, names: &[&str], at: i32, left: Option<&Node>, right: Option<&Node>) {
        let Some(NodeEnum::List(list)) = right.and_then(|node| node.node.as_ref()) else { return };
        if let Some(NodeEnum::RowExpr(row)) = left.and_then(|node| node.node.as_ref()) {
            let lefts = self.row_of(&row.args);
            for item in &list.items {
                let rights = match item.node.as_ref() {
                    Some(NodeEnum::RowExpr(row)) => self.row_of(&row.args),
                    _ => vec![self.expr(item)],
                };
                for (at_column, &left) in lefts.iter().enumerate() {
                    let right = rights.get(at_column).copied().unwrap_or(OPAQUE);
                    self.note_binary(names, at, Some("IN"), left, right);
                }
            }
            return;
        }
        let left = self.maybe(left);
        let types = self.exprs(&list.items);
        let (constant, variable): (Vec<_>, Vec<_>) =
            list.items.iter().zip(&types).partition(|(item, _)| !self.has_columns(item));
        let constant: Vec<Oid> = constant.into_iter().map(|(_, oid)| *oid).collect();
        let mut single: Vec<Oid> = variable.into_iter().map(|(_, oid)| *oid).collect();
        let mut all = vec![left];
        all.extend(&constant);
        let common = if all.contains(&OPAQUE) { None } else { self.typer.common(&all) };
        match common {
            _ if all.contains(&OPAQUE) && constant.len() > 1 => {
                self.note_binary(names, at, Some("IN"), OPAQUE, OPAQUE);
            }
            // There is no array of arrays: then each value is compared by itself.
            Some(common)
                if constant.len() > 1 && common != known::RECORD && self.typer.array(common).is_some() =>
            {
                self.note_binary(names, at, Some("IN"), left, common);
            }
            _ => single.extend(constant),
        }
        single.dedup();
        for right in single {
            self.note_binary(names, at, Some("IN"), left, right);
        }
    }

    /// Does an expression contain a column of the query (a variable of PL/pgSQL is none)?
    fn has_columns(&self, node: &Node) -> bool {
        let Some(inner) = node.node.as_ref() else { return false };
        if let NodeEnum::ColumnRef(column) = inner {
            let names = parts(&column.fields);
            return match names.as_slice() {
                [name] => self.is_column(name),
                [name, ..] => self.find_item(name).is_some(),
                [] => true,
            };
        }
        match inner {
            NodeEnum::AConst(_)
            | NodeEnum::ParamRef(_)
            | NodeEnum::SqlvalueFunction(_)
            | NodeEnum::SubLink(_) => false,
            NodeEnum::TypeCast(cast) => cast.arg.as_deref().is_some_and(|arg| self.has_columns(arg)),
            NodeEnum::FuncCall(call) => call.args.iter().any(|arg| self.has_columns(arg)),
            NodeEnum::AExpr(expr) => {
                [&expr.lexpr, &expr.rexpr].into_iter().flatten().any(|side| self.has_columns(side))
            }
            NodeEnum::AArrayExpr(array) => array.elements.iter().any(|element| self.has_columns(element)),
            NodeEnum::CoalesceExpr(expr) => expr.args.iter().any(|arg| self.has_columns(arg)),
            _ => true,
        }
    }

    fn is_column(&self, name: &str) -> bool {
        self.levels.iter().rev().filter(|level| !level.hidden).any(|level| {
            level.items.iter().any(|item| {
                (item.bare && (item.columns.is_none() || item.column(name).is_some()))
                    || item.name.as_deref() == Some(name)
            })
        })
    }

    fn between(&mut self, expr: &AExpr, at: i32) {
        let kind = AExprKind::try_from(expr.kind).unwrap_or(AExprKind::Undefined);
        let left = self.maybe(expr.lexpr.as_deref());
        let Some(NodeEnum::List(list)) = expr.rexpr.as_ref().and_then(|node| node.node.as_ref()) else {
            return;
        };
        let [low, high] = self.exprs(&list.items)[..] else { return };
        let negated = matches!(kind, AExprKind::AexprNotBetween | AExprKind::AexprNotBetweenSym);
        let symmetric = matches!(kind, AExprKind::AexprBetweenSym | AExprKind::AexprNotBetweenSym);
        let [from, to] = if negated { ["<", ">"] } else { [">=", "<="] };
        self.note_binary(&[from], at, Some("BETWEEN"), left, low);
        self.note_binary(&[to], at, Some("BETWEEN"), left, high);
        if symmetric {
            self.note_binary(&[from], at, Some("BETWEEN"), left, high);
            self.note_binary(&[to], at, Some("BETWEEN"), left, low);
        }
    }

    fn cast(&mut self, cast: &TypeCast) -> Oid {
        let target = cast.type_name.as_ref().map_or(OPAQUE, |name| self.note_type(name));
        if let Some(arg) = cast.arg.as_deref() {
            self.literal_for(arg, target);
            self.expr(arg);
        }
        target
    }

    /// A literal that becomes the name of an object.
    fn literal_for(&mut self, node: &Node, target: Oid) {
        if let Some(NodeEnum::AConst(constant)) = node.node.as_ref()
            && let Some(a_const::Val::Sval(string)) = &constant.val
        {
            self.note_literal(&string.sval, constant.location, target);
        }
    }

    fn sublink(&mut self, link: &SubLink) -> Oid {
        let columns = self.subquery(link.subselect.as_deref());
        let first = columns.as_ref().and_then(|columns| columns.first()).map_or(OPAQUE, |(_, oid)| *oid);
        match SubLinkType::try_from(link.sub_link_type).unwrap_or(SubLinkType::Undefined) {
            SubLinkType::ExistsSublink => known::BOOL,
            SubLinkType::AnySublink | SubLinkType::AllSublink => {
                let names = parts(&link.oper_name);
                let (names, implied_by) =
                    if names.is_empty() { (vec!["="], Some("IN")) } else { (names, None) };
                let lefts = match link.testexpr.as_ref().and_then(|node| node.node.as_ref()) {
                    Some(NodeEnum::RowExpr(row)) => self.row_of(&row.args),
                    _ => vec![self.maybe(link.testexpr.as_deref())],
                };
                for (at, &left) in lefts.iter().enumerate() {
                    let right =
                        columns.as_ref().and_then(|columns| columns.get(at)).map_or(OPAQUE, |(_, oid)| *oid);
                    self.note_binary(&names, link.location, implied_by, left, right);
                }
                known::BOOL
            }
            SubLinkType::ArraySublink => {
                if first == OPAQUE {
                    OPAQUE
                } else if self.typer.element(first).is_some() {
                    first
                } else {
                    self.typer.array(first).unwrap_or(OPAQUE)
                }
            }
            SubLinkType::ExprSublink => first,
            _ => OPAQUE,
        }
    }

    fn case(&mut self, case: &CaseExpr) -> Oid {
        let subject = case.arg.as_deref().map(|arg| {
            let oid = self.expr(arg);
            if Self::is_unknown(oid) { known::TEXT } else { oid }
        });
        let mut results = Vec::new();
        for node in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = node.node.as_ref() else { continue };
            let condition = self.maybe(when.expr.as_deref());
            if let Some(subject) = subject {
                self.note_binary(&["="], when.location, Some("CASE"), subject, condition);
            }
            results.push(self.maybe(when.result.as_deref()));
        }
        // Without ELSE the default is a null, which is as good as a literal.
        results.insert(0, case.defresult.as_deref().map_or(known::UNKNOWN, |node| self.expr(node)));
        self.common_type(&results)
    }

    /// A call; also as an entry of FROM.
    pub(super) fn call(&mut self, call: &FuncCall) -> Given {
        self.call_as(call, false)
    }

    pub(super) fn call_as(&mut self, call: &FuncCall, procedure: bool) -> Given {
        let names = parts(&call.funcname);
        let mut args = Vec::new();
        let mut arg_names = Vec::new();
        let mut nodes: Vec<&Node> = call.args.iter().collect();
        let within: Vec<&Node> = call
            .agg_order
            .iter()
            .filter_map(|sort| match sort.node.as_ref()? {
                NodeEnum::SortBy(sort) => sort.node.as_deref(),
                _ => None,
            })
            .collect();
        if call.agg_within_group {
            nodes.extend(&within);
        } else {
            for node in &within {
                self.expr(node);
            }
        }
        for node in &nodes {
            if let Some(NodeEnum::NamedArgExpr(arg)) = node.node.as_ref() {
                arg_names.push(arg.name.clone());
            }
            args.push(self.expr(node));
        }
        if let Some(filter) = call.agg_filter.as_deref() {
            self.expr(filter);
        }
        if let Some(window) = call.over.as_deref() {
            self.window(window);
        }
        let plain = call.agg_star || call.agg_distinct || !call.agg_order.is_empty() || call.over.is_some();
        let wanted = Call {
            schema: None,
            name: names.last().map_or_else(String::new, |name| (*name).to_owned()),
            args: args.clone(),
            names: arg_names,
            variadic: call.func_variadic,
            procedure,
            plain,
        };
        // A field of a row, written as a call: only if there is no such function.
        if let ([name], [row]) = (names.as_slice(), args.as_slice())
            && self.typer.composite(*row)
            && let Reference::Value(field) = self.field(*row, &None, name)
            && matches!(self.typer.call(&wanted).0, crate::typing::Choice::None)
        {
            return Given { oid: field, columns: None };
        }
        let meaning = self.note_call(&names, call.location, wanted.clone());
        self.given(&meaning, &names, &wanted, &nodes)
    }

    fn given(&mut self, meaning: &Meaning, names: &[&str], wanted: &Call, nodes: &[&Node]) -> Given {
        let nothing = Given { oid: OPAQUE, columns: None };
        match meaning {
            Meaning::Object(oid) => {
                let Some(routine) = self.typer.routine(*oid) else { return nothing };
                let schema = match names {
                    [.., schema, _] => self.typer.catalog.schema(schema).map(|found| found.oid),
                    _ => None,
                };
                let bound = Call { schema, ..wanted.clone() };
                let declared =
                    self.typer.call(&bound).1.map_or_else(|| routine.args.clone(), |chosen| chosen.args);
                for (node, &parameter) in nodes.iter().zip(&declared) {
                    self.literal_for(node, parameter);
                }
                let columns = self.outputs(routine, &wanted.args, &declared);
                let returns = self.typer.actual(routine.returns, &wanted.args, &declared);
                Given { oid: returns, columns }
            }
            Meaning::Local(_) => {
                // A cast written as a call: the type is looked up without the temporary schema.
                let found = match names {
                    [name] => self
                        .typer
                        .path
                        .schemas()
                        .find_map(|schema| self.typer.catalog.type_named(schema, name)),
                    [.., schema, name] => self
                        .typer
                        .catalog
                        .schema(schema)
                        .and_then(|s| self.typer.catalog.type_named(s.oid, name)),
                    [] => None,
                };
                Given { oid: found.map_or(OPAQUE, |found| found.oid), columns: None }
            }
            _ => nothing,
        }
    }

    /// The columns of a row that a function returns without its type having a name.
    fn outputs(&self, routine: &crate::catalog::Routine, inputs: &[Oid], declared: &[Oid]) -> Columns {
        if routine.returns != known::RECORD || routine.modes.is_empty() {
            return None;
        }
        let outputs = routine.modes.iter().enumerate().filter(|(_, mode)| matches!(mode, 'o' | 'b' | 't'));
        Some(
            outputs
                .enumerate()
                .map(|(number, (at, _))| {
                    let name = routine.names.get(at).filter(|name| !name.is_empty());
                    let oid = routine.all_args.get(at).copied().unwrap_or(OPAQUE);
                    let name = name.cloned().unwrap_or_else(|| format!("column{}", number + 1));
                    (name, self.typer.actual(oid, inputs, declared))
                })
                .collect(),
        )
    }

    pub(super) fn window(&mut self, window: &WindowDef) {
        self.exprs(&window.partition_clause);
        self.sort(&window.order_clause);
        self.maybe(window.start_offset.as_deref());
        self.maybe(window.end_offset.as_deref());
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.node.as_ref(), Some(NodeEnum::AConst(constant)) if constant.isnull)
}

fn constant_type(constant: &AConst) -> Oid {
    match constant.val.as_ref() {
        Some(a_const::Val::Ival(_)) => known::INT4,
        Some(a_const::Val::Fval(number)) => {
            if number.fval.parse::<i64>().is_ok() {
                known::INT8
            } else {
                known::NUMERIC
            }
        }
        Some(a_const::Val::Boolval(_)) => known::BOOL,
        Some(a_const::Val::Bsval(_)) => known::BIT,
        Some(a_const::Val::Sval(_)) | None => known::UNKNOWN,
    }
}

/// The types of `CURRENT_DATE` and its like, in the order of the server's enumeration.
fn sql_value(op: i32) -> Oid {
    match op {
        1 => known::DATE,
        2 | 3 => known::TIMETZ,
        4 | 5 => known::TIMESTAMPTZ,
        6 | 7 => known::TIME,
        8 | 9 => known::TIMESTAMP,
        10..=15 => known::NAME,
        _ => OPAQUE,
    }
}
