//! SECURITY DEFINER, and everyone may call it.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::typing::known;

pub const RULE: Rule =
    Rule { id: "definer-for-public", summary: "Everyone may execute a SECURITY DEFINER routine", check };

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    // A trigger function cannot be called.
    let called = routine.returns != known::TRIGGER
        && subject.catalog.type_of(routine.returns).is_none_or(|found| found.name != "event_trigger");
    let reachable = subject.catalog.schema_of(routine.schema).is_some_and(|schema| {
        schema.grants.iter().any(|(grantee, privilege)| *grantee == 0 && privilege == "USAGE")
    });
    if !routine.definer || !called || !reachable || !routine.executors.contains(&0) {
        return Vec::new();
    }
    let message = "it runs with its owner's rights, and PUBLIC may execute it".into();
    let kind = if routine.kind == 'p' { "PROCEDURE" } else { "FUNCTION" };
    let remedy = format!(
        "REVOKE EXECUTE ON {kind} {} FROM PUBLIC, and grant it to those who need it",
        subject.report.subject
    );
    vec![subject.finding(RULE.id, Severity::Warning, message, remedy)]
}
