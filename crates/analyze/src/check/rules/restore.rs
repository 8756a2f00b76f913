//! Code that an index, a constraint, a default or a trigger runs, and that resolves its names under the path of whoever comes
//! by: a restore and the subscriber's apply have an empty one, maintenance from PostgreSQL 17 on has `pg_catalog, pg_temp`.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::catalog::{Catalog, Use};
use crate::occurrence::{Meaning, Occurrence};
use crate::path::Path;
use crate::report::Object;
use crate::text::mentions;

pub const RULE: Rule = Rule {
    id: "breaks-on-restore",
    summary: "A restore, logical replication or maintenance runs it under another search_path, where a name is not found",
    check,
};

/// What runs it, and under which path.
type Moment = (&'static str, &'static str);

const EMPTY: &str = "\"\"";
const RESTORE: Moment = (EMPTY, "at pg_restore and in logical replication, under an empty search_path");
const DATA_ALONE: Moment = (EMPTY, "when data alone are restored, under an empty search_path");
const MAINTENANCE: Moment = (
    "pg_catalog, pg_temp",
    "in REINDEX, ANALYZE and their like from PostgreSQL 17 on, under pg_catalog, pg_temp",
);

/// When what calls a function is evaluated without anybody's asking: a view, a rule or a default is not.
fn moments(catalog: &Catalog, used: &Use) -> &'static [Moment] {
    match used.kind.as_str() {
        "index" | "materialized view" => &[RESTORE, MAINTENANCE],
        "view" if materialized(catalog, used) => &[RESTORE, MAINTENANCE],
        "check" | "generated" | "domain" | "partition key" => &[RESTORE],
        "trigger" => &[DATA_ALONE],
        "statistics" => &[MAINTENANCE],
        _ => &[],
    }
}

/// Does a materialized view read the view, or is it one?
fn materialized(catalog: &Catalog, used: &Use) -> bool {
    let Some((_, name)) = used.by.rsplit_once("view ") else { return false };
    if used.by.contains("materialized view ") {
        return true;
    }
    let views = || catalog.snapshot.expressions.iter().filter(|found| found.kind.ends_with("view"));
    let mut open = vec![bare(name).to_ascii_lowercase()];
    let mut seen: Vec<String> = Vec::new();
    while let Some(next) = open.pop() {
        for view in views().filter(|view| mentions(&view.source, [next.as_str()])) {
            if view.kind == "materialized view" {
                return true;
            }
            let own = bare(&view.by).to_ascii_lowercase();
            if !seen.contains(&own) {
                seen.push(own.clone());
                open.push(own);
            }
        }
    }
    false
}

/// A name without its schema.
fn bare(name: &str) -> &str {
    name.rsplit(['.', ' ']).next().unwrap_or_default().trim_matches('"')
}

/// A name that is not found then, or not as it is now.
struct Lost<'a> {
    name: Occurrence,
    /// What it means now.
    object: &'a Object,
    /// What calls the routine, and when.
    calls: Vec<(&'a str, &'static str)>,
}

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    if subject.own_path().is_some() || routine.atomic {
        return Vec::new();
    }
    let catalog = subject.catalog;
    let used = catalog.uses_of(routine.oid);
    let moments = used.flat_map(|used| moments(catalog, used).iter().map(move |moment| (used, moment)));
    let owner = catalog.role_of(routine.owner).map_or("", |role| role.name.as_str());
    let mut findings: Vec<Finding> = Vec::new();
    let mut lost: Vec<Lost<'_>> = Vec::new();
    for (used, (setting, when)) in moments {
        let path = Path::new(catalog, setting, owner);
        for occurrence in crate::body::routine(catalog, &path, routine).occurrences {
            let before = subject.report.names.iter().find(|name| {
                name.span == occurrence.span
                    && name.name == occurrence.written()
                    && name.kind == occurrence.kind()
            });
            let Some(object) = before.and_then(|name| name.object.as_ref()) else { continue };
            let gone = match occurrence.meaning {
                Meaning::Object(oid) => oid != object.oid,
                Meaning::Nothing | Meaning::Ambiguous => true,
                _ => false,
            };
            if !gone {
                continue;
            }
            match lost.iter_mut().find(|known| known.name.written() == occurrence.written()) {
                Some(known) if known.calls.iter().any(|(_, then)| then == when) => {}
                Some(known) => known.calls.push((&used.by, when)),
                None => lost.push(Lost { name: occurrence, object, calls: vec![(&used.by, when)] }),
            }
        }
    }
    for Lost { name: occurrence, object, calls } in lost {
        let mut said = String::new();
        for (at, (by, when)) in calls.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| calls[before].0);
            said.push_str(match before {
                None => "",
                Some(same) if same == *by => ", and ",
                Some(_) => "; ",
            });
            if before != Some(*by) {
                said.push_str(by);
                said.push_str(" calls it, ");
            }
            said.push_str(when);
        }
        let message = format!(
            "{said}: there {} {} is not {}.{}",
            occurrence.kind().word(),
            occurrence.written(),
            object.schema,
            object.name
        );
        let remedy = format!(
            "qualify the name; or {} SET search_path = pg_catalog, {}, pg_temp",
            subject.alter(),
            crate::text::quote(&object.schema)
        );
        let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
        findings.push(subject.at(Finding { name: Some(occurrence.written()), ..finding }, &occurrence.span));
    }
    findings
}
