//! Somebody can make a name mean something else, with the rights held now.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::capture::Verdict;
use crate::occurrence::Kind;
use crate::report::Name;
use crate::text::quote;

pub const RULE: Rule =
    Rule { id: "capturable", summary: "An untrusted role can make a name mean its own object", check };

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    // What the server has bound stays bound.
    if subject.expression().is_some_and(|expression| expression.found.is_none()) {
        return Vec::new();
    }
    let severity = if subject.definer() { Severity::Error } else { Severity::Warning };
    let mut findings = Vec::new();
    for name in &subject.report.names {
        let Verdict::Capturable(capture) = &name.verdict else { continue };
        let implied = name.implied_by.map_or_else(String::new, |by| format!(" (of {by})"));
        let message = format!(
            "{} {}{implied} means {} now, and {} can capture it in schema {}",
            name.kind.word(),
            name.name,
            name.meaning,
            capture.role,
            capture.schema
        );
        let remedy = match &name.object {
            Some(object) if subject.expression().is_some() => {
                format!(
                    "write {}, or run this under SET search_path = pg_catalog, pg_temp",
                    written(&object.schema, name)
                )
            }
            Some(object) if object.schema == "pg_catalog" => {
                format!("{} SET search_path = pg_catalog, pg_temp (postern fix)", subject.alter())
            }
            Some(object) => {
                format!(
                    "write {} and SET search_path = pg_catalog, pg_temp (postern fix)",
                    written(&object.schema, name)
                )
            }
            None => "write the schema that is meant: nothing has that name now".into(),
        };
        let finding = subject.finding(RULE.id, severity, message, remedy);
        let proof = Some(capture.proof());
        findings.push(subject.at(Finding { name: Some(name.name.clone()), proof, ..finding }, &name.span));
    }
    findings
}

/// A name with its schema, as SQL has it.
fn written(schema: &str, name: &Name) -> String {
    // With a schema that is written it is qualified already; what is to be changed then is something else.
    let (schema, bare) = (quote(schema), name.name.rsplit('.').next().unwrap_or_default());
    match name.kind {
        Kind::Operator => format!("OPERATOR({schema}.{})", bare.trim_end_matches(')')),
        _ => format!("{schema}.{}", quote(bare)),
    }
}
