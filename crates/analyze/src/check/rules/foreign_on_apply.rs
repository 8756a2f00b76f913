//! Code of one role that a subscriber runs with the rights of another.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::catalog::PG_CATALOG;
use crate::occurrence::Kind;
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
    let runs = catalog.on_apply_of(routine.oid);
    let name = |role| catalog.role_of(role).map_or_else(|| format!("role {role}"), |role| role.name.clone());
    runs.filter_map(|used| {
        let table = catalog.relation_of(used.relation)?;
        // As a trigger's function a superuser's is foreign too; elsewhere it is as good as the server's.
        let trusted = !used.by.starts_with("trigger ")
            && catalog.role_of(routine.owner).is_some_and(|owner| owner.superuser);
        if table.owner == routine.owner || trusted {
            return None;
        }
        let runner = if catalog.snapshot.version < 160_000 {
            "the owner of the subscription, often a superuser".to_owned()
        } else {
            format!("\"{}\", the owner of the table", name(table.owner))
        };
        let (applied, severity) = if used.assumed {
            ("if a subscription receives the table, ", Severity::Warning)
        } else {
            ("", Severity::Error)
        };
        let message = format!(
            "{applied}{} runs it when a row is applied, as {runner}; it belongs to \"{}\"",
            used.by,
            name(routine.owner)
        );
        let remedy = format!(
            "{} OWNER TO {}; or make it SECURITY DEFINER with a search_path of its own",
            subject.alter(),
            quote(&name(table.owner))
        );
        Some(subject.finding(RULE.id, severity, message, remedy))
    })
    .take(1)
    .chain(called(subject))
    .collect()
}

/// What it calls and belongs to yet another role: the extension does not look into bodies.
fn called(subject: &Subject<'_>) -> Vec<Finding> {
    let (Some(routine), catalog) = (subject.routine(), subject.catalog) else { return Vec::new() };
    let mut findings: Vec<Finding> = Vec::new();
    for used in catalog.on_apply_of(routine.oid) {
        let Some(table) = catalog.relation_of(used.relation) else { continue };
        for name in &subject.report.names {
            let called = name.object.as_ref().filter(|_| name.kind == Kind::Function);
            let Some(called) = called.and_then(|object| catalog.routine_of(object.oid)) else { continue };
            let owner = catalog.role_of(called.owner);
            let known = findings.iter().any(|finding| finding.name.as_deref() == Some(&name.name));
            if known
                || called.definer
                || called.schema == PG_CATALOG
                || called.extension != 0
                || [table.owner, routine.owner].contains(&called.owner)
                || owner.is_none_or(|owner| owner.superuser)
            {
                continue;
            }
            let owner = owner.map_or("", |owner| owner.name.as_str());
            let message = format!(
                "{} runs it when a row is applied; it calls {}, which belongs to \"{owner}\", with the same rights",
                used.by, name.name
            );
            let remedy =
                format!("call a function of the table's owner, or make {} SECURITY DEFINER", name.name);
            let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
            findings.push(subject.at(Finding { name: Some(name.name.clone()), ..finding }, &name.span));
        }
    }
    findings
}
