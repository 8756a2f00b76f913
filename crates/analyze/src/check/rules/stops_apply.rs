//! Code that runs on apply and does not find a name there: the subscription stops at the first row, and tries again for ever.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::occurrence::{Kind, Meaning};
use crate::path::Path;
use crate::text::quote;

pub const RULE: Rule = Rule {
    id: "stops-apply",
    summary: "A subscriber runs it under an empty search_path, where a name is not found: the subscription stops",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    let catalog = subject.catalog;
    if subject.own_path().is_some() || routine.atomic {
        return Vec::new();
    }
    let Some(used) = catalog.on_apply_of(routine.oid).min_by_key(|used| used.assumed) else {
        return Vec::new();
    };
    let owner = catalog.role_of(routine.owner).map_or("", |role| role.name.as_str());
    let mut findings: Vec<Finding> = Vec::new();
    for occurrence in crate::body::routine(catalog, &Path::new(catalog, "\"\"", owner), routine).occurrences {
        let written = occurrence.written();
        let known = findings.iter().any(|finding| finding.name.as_deref() == Some(&written));
        if occurrence.meaning != Meaning::Nothing || known {
            continue;
        }
        // As the server says it.
        let error = match occurrence.kind() {
            Kind::Relation => format!("relation \"{written}\" does not exist"),
            Kind::Type => format!("type \"{written}\" does not exist"),
            Kind::Function => format!("function {written}(…) does not exist"),
            Kind::Operator => "operator does not exist".to_owned(),
            Kind::Collation => format!("collation \"{written}\" does not exist"),
        };
        let mut schemas: Vec<String> = match occurrence.kind() {
            Kind::Relation => {
                having(catalog.snapshot.relations.iter().map(|r| (&r.name, r.schema)), &written)
            }
            Kind::Function => having(catalog.snapshot.routines.iter().map(|r| (&r.name, r.schema)), &written),
            Kind::Type => having(catalog.snapshot.types.iter().map(|t| (&t.name, t.schema)), &written),
            Kind::Operator | Kind::Collation => Vec::new(),
        }
        .into_iter()
        .map(|schema| quote(&catalog.schema_name(schema)))
        .collect();
        schemas.dedup();
        let remedy = match schemas.as_slice() {
            [schema] => format!("{} SET search_path = pg_catalog, {schema}, pg_temp", subject.alter()),
            _ => "qualify the name".to_owned(),
        };
        // What a subscription receives only its publisher knows.
        let (applied, severity) = if used.assumed {
            ("if a subscription receives the table, ", Severity::Warning)
        } else {
            ("", Severity::Error)
        };
        let message = format!(
            "{applied}{} runs it when a row is applied, and the subscription would stop: {error}",
            used.by
        );
        let finding = subject.finding(RULE.id, severity, message, remedy);
        findings.push(subject.at(Finding { name: Some(written), ..finding }, &occurrence.span));
    }
    findings
}

/// The schemas in which there is something of the name.
fn having<'a>(all: impl Iterator<Item = (&'a String, u32)>, name: &str) -> Vec<u32> {
    all.filter(|(other, _)| *other == name).map(|(_, schema)| schema).collect()
}
