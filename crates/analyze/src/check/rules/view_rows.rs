//! A view reads its tables as its owner, and so do the policies of row security.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::occurrence::Kind;

pub const RULE: Rule = Rule {
    id: "view-over-row-security",
    summary: "A view shows rows of a table with row security as its owner sees them, not its reader",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let catalog = subject.catalog;
    let view = subject.expression().filter(|expression| expression.kind.ends_with("view"));
    let Some(view) = view.and_then(|expression| catalog.relation_of(expression.relation)) else {
        return Vec::new();
    };
    let invoker = view.options.iter().filter_map(|option| option.strip_prefix("security_invoker="));
    if invoker
        .into_iter()
        .any(|value| ["true", "on", "yes", "1"].contains(&value.to_ascii_lowercase().as_str()))
    {
        return Vec::new();
    }
    let owner = catalog.role_of(view.owner).map_or("its owner", |role| role.name.as_str());
    let mut findings: Vec<Finding> = Vec::new();
    for name in subject.report.names.iter().filter(|name| name.kind == Kind::Relation) {
        let table = name.object.as_ref().and_then(|object| catalog.relation_of(object.oid));
        let Some(table) = table.filter(|table| table.row_security) else { continue };
        let named = catalog.qualified(table.schema, &table.name);
        if findings.iter().any(|finding| finding.name.as_ref() == Some(&named)) {
            continue;
        }
        let message = format!(
            "{named} has row security, and whoever may read this view sees the rows that {owner} may see"
        );
        let remedy = if view.kind == 'v' {
            format!(
                "ALTER VIEW {} SET (security_invoker = true) (PostgreSQL 15 and later)",
                catalog.qualified(view.schema, &view.name)
            )
        } else {
            "grant the materialized view only to roles that may see all rows".into()
        };
        let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
        findings.push(subject.at(Finding { name: Some(named), ..finding }, &name.span));
    }
    findings
}
