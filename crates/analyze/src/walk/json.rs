//! SQL/JSON: constructors, queries, `JSON_TABLE`. What they call is the server's own, by number; what stands in them is not.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    JsonAggConstructor, JsonBehavior, JsonExprOp, JsonKeyValue, JsonOutput, JsonTable, JsonValueExpr, Node,
};

use super::Walker;
use crate::catalog::Oid;
use crate::typing::{OPAQUE, known};

impl Walker<'_> {
    /// The type of an expression of SQL/JSON; `None` if it is none.
    pub(super) fn json(&mut self, inner: &NodeEnum) -> Option<Oid> {
        Some(match inner {
            NodeEnum::JsonObjectConstructor(object) => {
                let args: Vec<Oid> = object
                    .exprs
                    .iter()
                    .flat_map(|node| match node.node.as_ref() {
                        Some(NodeEnum::JsonKeyValue(pair)) => self.json_pair(pair),
                        _ => Vec::new(),
                    })
                    .collect();
                self.constructed(object.output.as_ref(), &args)
            }
            NodeEnum::JsonArrayConstructor(array) => {
                let args = self.exprs(&array.exprs);
                self.constructed(array.output.as_ref(), &args)
            }
            NodeEnum::JsonArrayQueryConstructor(array) => {
                let columns = self.subquery(array.query.as_deref());
                let args: Vec<Oid> =
                    columns.map_or_else(|| vec![OPAQUE], |all| all.into_iter().map(|(_, oid)| oid).collect());
                self.constructed(array.output.as_ref(), &args)
            }
            NodeEnum::JsonObjectAgg(aggregate) => {
                let args = aggregate.arg.as_deref().map_or_else(Vec::new, |pair| self.json_pair(pair));
                self.aggregated(aggregate.constructor.as_deref(), &args)
            }
            NodeEnum::JsonArrayAgg(aggregate) => {
                let arg = self.json_value(aggregate.arg.as_deref());
                self.aggregated(aggregate.constructor.as_deref(), &[arg])
            }
            NodeEnum::JsonValueExpr(value) => self.json_value(Some(value)),
            NodeEnum::JsonParseExpr(parse) => {
                self.json_value(parse.expr.as_deref());
                self.returning_type(parse.output.as_ref()).unwrap_or(known::JSON)
            }
            NodeEnum::JsonScalarExpr(scalar) => {
                self.maybe(scalar.expr.as_deref());
                self.returning_type(scalar.output.as_ref()).unwrap_or(known::JSON)
            }
            NodeEnum::JsonSerializeExpr(serialize) => {
                self.json_value(serialize.expr.as_deref());
                self.returning_type(serialize.output.as_ref()).unwrap_or(known::TEXT)
            }
            NodeEnum::JsonFuncExpr(call) => {
                self.json_value(call.context_item.as_deref());
                self.maybe(call.pathspec.as_deref());
                self.json_arguments(&call.passing);
                let given = self.returning_type(call.output.as_ref());
                self.json_behaviour(call.on_empty.as_deref());
                self.json_behaviour(call.on_error.as_deref());
                given.unwrap_or(match JsonExprOp::try_from(call.op) {
                    Ok(JsonExprOp::JsonExistsOp) => known::BOOL,
                    Ok(JsonExprOp::JsonQueryOp) => known::JSONB,
                    Ok(JsonExprOp::JsonValueOp) => known::TEXT,
                    _ => OPAQUE,
                })
            }
            NodeEnum::JsonIsPredicate(test) => {
                self.maybe(test.expr.as_deref());
                known::BOOL
            }
            _ => return None,
        })
    }

    fn json_value(&mut self, value: Option<&JsonValueExpr>) -> Oid {
        self.maybe(value.and_then(|value| value.raw_expr.as_deref()))
    }

    fn json_pair(&mut self, pair: &JsonKeyValue) -> Vec<Oid> {
        let key = self.maybe(pair.key.as_deref());
        vec![key, self.json_value(pair.value.as_deref())]
    }

    fn json_arguments(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Some(NodeEnum::JsonArgument(argument)) = node.node.as_ref() {
                self.json_value(argument.val.as_deref());
            }
        }
    }

    fn json_behaviour(&mut self, behaviour: Option<&JsonBehavior>) {
        self.maybe(behaviour.and_then(|behaviour| behaviour.expr.as_deref()));
    }

    fn returning_type(&mut self, output: Option<&JsonOutput>) -> Option<Oid> {
        Some(self.note_type(output?.type_name.as_ref()?))
    }

    /// Without RETURNING it is `jsonb` if an argument is.
    fn constructed(&mut self, output: Option<&JsonOutput>, args: &[Oid]) -> Oid {
        match self.returning_type(output) {
            Some(given) => given,
            None if args.contains(&known::JSONB) => known::JSONB,
            None if args.contains(&OPAQUE) => OPAQUE,
            None => known::JSON,
        }
    }

    fn aggregated(&mut self, aggregate: Option<&JsonAggConstructor>, args: &[Oid]) -> Oid {
        let Some(aggregate) = aggregate else { return OPAQUE };
        self.maybe(aggregate.agg_filter.as_deref());
        self.sort(&aggregate.agg_order);
        if let Some(window) = aggregate.over.as_deref() {
            self.window(window);
        }
        self.constructed(aggregate.output.as_ref(), args)
    }

    /// The columns of `JSON_TABLE`.
    pub(super) fn json_table(&mut self, table: &JsonTable) -> Vec<(String, Oid)> {
        self.json_value(table.context_item.as_deref());
        self.json_arguments(&table.passing);
        self.json_behaviour(table.on_error.as_deref());
        self.json_columns(&table.columns)
    }

    fn json_columns(&mut self, nodes: &[Node]) -> Vec<(String, Oid)> {
        let mut columns = Vec::new();
        for node in nodes {
            let Some(NodeEnum::JsonTableColumn(column)) = node.node.as_ref() else { continue };
            self.json_behaviour(column.on_empty.as_deref());
            self.json_behaviour(column.on_error.as_deref());
            if column.columns.is_empty() {
                let oid = column.type_name.as_ref().map_or(known::INT4, |name| self.note_type(name));
                columns.push((column.name.clone(), oid));
            } else {
                columns.extend(self.json_columns(&column.columns));
            }
        }
        columns
    }
}
