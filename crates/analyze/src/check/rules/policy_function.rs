//! A policy is bound when it is made; the bodies of the functions that it calls are not, and run under the reader's path.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::capture::{Judge, Situation, Verdict};
use crate::occurrence::Kind;
use crate::path::Path;
use crate::report::{own_path, session_path};

pub const RULE: Rule = Rule {
    id: "policy-unpinned-function",
    summary: "A policy calls a function whose names mean what its reader's search_path says",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let catalog = subject.catalog;
    let Some(policy) = subject.expression().filter(|expression| expression.kind == "policy") else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = Vec::new();
    for name in subject.report.names.iter().filter(|name| name.kind == Kind::Function) {
        let function = name.object.as_ref().and_then(|object| catalog.routine_of(object.oid));
        let Some(function) = function.filter(|function| {
            matches!(function.language.as_str(), "sql" | "plpgsql")
                && own_path(function).is_none()
                && !function.atomic
        }) else {
            continue;
        };
        let signature = catalog.signature(function);
        if findings.iter().any(|finding| finding.name.as_ref() == Some(&signature)) {
            continue;
        }
        let owner = catalog.role_of(policy.owner).map_or("", |role| role.name.as_str());
        let path = Path::new(catalog, session_path(catalog, policy.owner), owner);
        let situation = Situation { victim: policy.owner, callers_connection: true, callers_path: true };
        let judge = Judge::new(catalog, &path, situation);
        let body = crate::body::routine(catalog, &path, function);
        let captured = body.occurrences.iter().find_map(|occurrence| match judge.judge(occurrence) {
            Verdict::Capturable(capture) => Some((occurrence, capture)),
            _ => None,
        });
        let Some((occurrence, capture)) = captured else { continue };
        let message = format!(
            "it calls {signature}, in which {} {} means what the reader's search_path says: {} can make it anything, and so \
             decide what the policy lets through",
            occurrence.kind().word(),
            occurrence.written(),
            capture.role
        );
        let remedy = format!(
            "qualify the names of {signature}, and ALTER FUNCTION {signature} SET search_path = pg_catalog, pg_temp (postern fix)"
        );
        let proof = Some(capture.proof());
        let finding = subject.finding(RULE.id, Severity::Error, message, remedy);
        findings.push(subject.at(Finding { name: Some(signature), proof, ..finding }, &name.span));
    }
    findings
}
