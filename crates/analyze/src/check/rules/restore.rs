//! Code that an index, a constraint, a default or a trigger runs, and that resolves its names under the path of whoever comes
//! by: a restore and the subscriber's apply have an empty one, maintenance from PostgreSQL 17 on has `pg_catalog, pg_temp`.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::occurrence::Meaning;
use crate::path::Path;

pub const RULE: Rule = Rule {
    id: "breaks-on-restore",
    summary: "A restore, logical replication or maintenance runs it under another search_path, where a name is not found",
    check,
};

/// The path of restores and of apply, then that of maintenance.
const PATHS: [(&str, &str); 2] = [
    ("\"\"", "at pg_restore and in logical replication, under an empty search_path"),
    (
        "pg_catalog, pg_temp",
        "in REINDEX, ANALYZE and their like from PostgreSQL 17 on, under pg_catalog, pg_temp",
    ),
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    if subject.own_path().is_some() || routine.atomic {
        return Vec::new();
    }
    let catalog = subject.catalog;
    let used = catalog.uses_of(routine.oid).find(|used| {
        matches!(
            used.kind.as_str(),
            "index" | "check" | "default" | "generated" | "domain" | "trigger" | "view" | "materialized view"
        )
    });
    let Some(used) = used else { return Vec::new() };
    let owner = catalog.role_of(routine.owner).map_or("", |role| role.name.as_str());
    let mut findings: Vec<Finding> = Vec::new();
    for (setting, when) in PATHS {
        let path = Path::new(catalog, setting, owner);
        let found = crate::body::routine(catalog, &path, routine);
        for occurrence in found.occurrences {
            let before = subject.report.names.iter().find(|name| {
                name.span == occurrence.span
                    && name.name == occurrence.written()
                    && name.kind == occurrence.kind()
            });
            let Some(object) = before.and_then(|name| name.object.as_ref()) else { continue };
            let lost = match occurrence.meaning {
                Meaning::Object(oid) => oid != object.oid,
                Meaning::Nothing | Meaning::Ambiguous => true,
                _ => false,
            };
            let known = findings.iter().any(|finding| finding.name.as_deref() == Some(&occurrence.written()));
            if !lost || known {
                continue;
            }
            let message = format!(
                "{} calls it, {when}: there {} {} is not {}.{}",
                used.by,
                occurrence.kind().word(),
                occurrence.written(),
                object.schema,
                object.name
            );
            let remedy = format!(
                "qualify the name; or {} SET search_path = pg_catalog, {}, pg_temp",
                subject.alter(),
                object.schema
            );
            let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
            findings
                .push(subject.at(Finding { name: Some(occurrence.written()), ..finding }, &occurrence.span));
        }
    }
    findings
}
