//! SECURITY DEFINER without a path of its own: the caller's path decides what its names mean.

use super::super::{Finding, Severity, Subject};
use super::Rule;

pub const RULE: Rule = Rule {
    id: "definer-without-path",
    summary: "A SECURITY DEFINER routine runs under its caller's search_path",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    if !routine.definer || subject.own_path().is_some() || routine.atomic {
        return Vec::new();
    }
    let others =
        routine.executors.iter().any(|&role| role == 0 || !subject.catalog.trusted(role, routine.owner));
    let severity = if others { Severity::Error } else { Severity::Warning };
    let message = "it runs with its owner's rights under whatever search_path its caller has set".into();
    let remedy = format!(
        "{} SET search_path = pg_catalog, pg_temp, after qualifying its names (postern fix)",
        subject.alter()
    );
    vec![subject.finding(RULE.id, severity, message, remedy)]
}
