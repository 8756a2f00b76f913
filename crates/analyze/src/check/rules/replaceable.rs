//! Code that runs with somebody's rights, or guards somebody's rows, calls a function that another role owns, and can replace.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::occurrence::Kind;

pub const RULE: Rule = Rule {
    id: "replaceable-function",
    summary: "A policy, a view, a trigger or a SECURITY DEFINER routine calls a function that an untrusted role owns",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let catalog = subject.catalog;
    let (victim, guards) = match (subject.routine(), subject.expression()) {
        (Some(routine), _) if routine.definer => (routine.owner, true),
        // What runs once, runs what is there now.
        (_, Some(expression)) if !matches!(expression.kind.as_str(), "do" | "statement" | "header") => {
            (expression.owner, expression.kind == "policy")
        }
        _ => return Vec::new(),
    };
    let mut findings: Vec<Finding> = Vec::new();
    for name in subject.report.names.iter().filter(|name| name.kind == Kind::Function) {
        let function = name.object.as_ref().and_then(|object| catalog.routine_of(object.oid));
        let Some(function) =
            function.filter(|found| !catalog.trusted_object(found.schema, found.owner, victim))
        else {
            continue;
        };
        let signature = catalog.signature(function);
        if findings.iter().any(|finding| finding.name.as_ref() == Some(&signature)) {
            continue;
        }
        let role = |oid| catalog.role_of(oid).map_or("nobody", |role| role.name.as_str());
        let message =
            format!("{signature} belongs to {}, who can replace it with anything", role(function.owner));
        let kind = if function.kind == 'p' { "PROCEDURE" } else { "FUNCTION" };
        let remedy = format!("ALTER {kind} {signature} OWNER TO {}", crate::text::quote(role(victim)));
        let severity = if guards { Severity::Error } else { Severity::Warning };
        let finding = subject.finding(RULE.id, severity, message, remedy);
        findings.push(subject.at(Finding { name: Some(signature), ..finding }, &name.span));
    }
    findings
}
