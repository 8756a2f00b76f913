//! Policies, triggers, rules and indexes: expressions that are stored with a table.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AlterPolicyStmt, CreateEventTrigStmt, CreatePolicyStmt, CreateStatsStmt, CreateTrigStmt, IndexStmt, Node,
    RangeVar, RuleStmt,
};

use super::replay::State;
use crate::catalog::{Oid, Trigger};
use crate::occurrence::{Kind, Lookup, Meaning};
use crate::text::quote;
use crate::walk::Found;

impl State<'_> {
    /// Name, owner and OID of the table that something belongs to.
    fn table(&self, range: Option<&RangeVar>) -> Option<(Oid, Oid, String)> {
        let relation = self.catalog.relation_of(self.relation(range?)?)?;
        Some((relation.oid, relation.owner, self.qualified(relation.schema, &relation.name)))
    }

    /// Notes what belongs to a table, in place of what had the same name there.
    fn attach(&mut self, kind: &str, name: &str, range: Option<&RangeVar>, found: Found) -> Option<Oid> {
        let span = self.name_span(name);
        let Some((table, owner, on)) = self.table(range) else {
            // Of a table that the files do not make.
            let by = format!("{kind} {}", quote(name));
            self.add_expression(kind, by, self.session.role, 0, found, span);
            return None;
        };
        let by = format!("{kind} {} on table {on}", quote(name));
        self.forget_described(&by);
        self.add_expression(kind, by, owner, table, found, span);
        Some(table)
    }

    pub(super) fn create_policy(&mut self, policy: &CreatePolicyStmt, node: &Node) {
        let found = self.walk(node);
        self.attach("policy", &policy.policy_name, policy.table.as_ref(), found);
    }

    pub(super) fn alter_policy(&mut self, policy: &AlterPolicyStmt, node: &Node) {
        // Its roles alone change no expression.
        if policy.qual.is_some() || policy.with_check.is_some() {
            let found = self.walk(node);
            self.attach("policy", &policy.policy_name, policy.table.as_ref(), found);
        }
    }

    pub(super) fn create_trigger(&mut self, trigger: &CreateTrigStmt, node: &Node) {
        let found = self.walk(node);
        let function = found.occurrences.iter().find(|name| matches!(name.lookup, Lookup::Routine(_)));
        let function = function.and_then(crate::occurrence::Occurrence::object);
        let table = self.attach("trigger", &trigger.trigname, trigger.relation.as_ref(), found);
        if let (Some(relation), Some(function)) = (table, function) {
            let tables = trigger.transition_rels.iter().filter_map(|node| match node.node.as_ref()? {
                NodeEnum::TriggerTransition(transition) => Some(transition.name.clone()),
                _ => None,
            });
            self.catalog.snapshot.triggers.push(Trigger { relation, function, tables: tables.collect() });
        }
    }

    pub(super) fn create_event_trigger(&mut self, trigger: &CreateEventTrigStmt, node: &Node) {
        let span = self.name_span(&trigger.trigname);
        let found = self.walk(node);
        let by = format!("event trigger {}", quote(&trigger.trigname));
        self.forget_described(&by);
        self.add_expression("event trigger", by, self.session.role, 0, found, span);
    }

    pub(super) fn create_rule(&mut self, rule: &RuleStmt, node: &Node) {
        let found = self.walk(node);
        self.attach("rule", &rule.rulename, rule.relation.as_ref(), found);
    }

    pub(super) fn create_index(&mut self, index: &IndexStmt, node: &Node) {
        let found = self.walk(node);
        let Some((table, owner, on)) = self.table(index.relation.as_ref()) else { return self.walked(found) };
        let name = if index.idxname.is_empty() {
            format!("{}_idx", super::replay::label(&self.at.text))
        } else {
            index.idxname.clone()
        };
        let schema = self.catalog.relation_of(table).map_or(0, |relation| relation.schema);
        if !index.idxname.is_empty() && self.catalog.relation_named(schema, &name).is_none() {
            self.add_relation(schema, &name, 'i', None);
        }
        let calls = |found: &Found| {
            found.occurrences.iter().any(|name| matches!(name.kind(), Kind::Function | Kind::Operator))
        };
        let by = format!("index {} on {on}", quote(&name));
        self.forget_described(&by);
        let kind = if calls(&found) { "index" } else { "statement" };
        let span = if index.idxname.is_empty() { 0..1 } else { self.name_span(&name) };
        self.add_expression(kind, by, owner, table, found, span);
    }

    pub(super) fn create_statistics(&mut self, statistics: &CreateStatsStmt, node: &Node) {
        let found = self.walk(node);
        let range = match statistics.relations.first().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::RangeVar(range)) => Some(range.as_ref()),
            _ => None,
        };
        let name = crate::walk::parts(&statistics.defnames).last().map_or("", |name| name).to_owned();
        self.attach("statistics", &name, range, found);
    }

    /// Names of a statement about what is not known.
    fn walked(&mut self, found: Found) {
        let known = found.occurrences.iter().any(|name| name.meaning != Meaning::Nothing);
        if known {
            let by = super::replay::label(&self.at.text);
            self.add_expression("statement", by, self.session.role, 0, found, 0..1);
        }
    }
}
