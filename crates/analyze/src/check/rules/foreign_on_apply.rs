//! Code of one role that a subscriber runs with the rights of another.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::text::quote;

pub const RULE: Rule = Rule {
    id: "foreign-on-apply",
    summary: "A subscriber runs it with the rights of the table's owner or of the subscription's, who did not write it",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    let catalog = subject.catalog;
    if routine.definer {
        return Vec::new();
    }
    let runs = catalog.snapshot.on_apply.iter().filter(|used| used.function == routine.oid);
    let name = |role| catalog.role_of(role).map_or_else(|| format!("role {role}"), |role| role.name.clone());
    runs.filter_map(|used| {
        let table = catalog.relation_of(used.relation)?;
        if table.owner == routine.owner {
            return None;
        }
        let runner = if catalog.snapshot.version < 160_000 {
            "the owner of the subscription, often a superuser".to_owned()
        } else {
            format!("\"{}\", the owner of the table", name(table.owner))
        };
        let message = format!(
            "{} runs it when a row is applied, as {runner}; it belongs to \"{}\"",
            used.by,
            name(routine.owner)
        );
        let remedy = format!(
            "{} OWNER TO {}; or make it SECURITY DEFINER with a search_path of its own",
            subject.alter(),
            quote(&name(table.owner))
        );
        Some(subject.finding(RULE.id, Severity::Error, message, remedy))
    })
    .take(1)
    .collect()
}
