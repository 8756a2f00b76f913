//! The function of an event trigger runs as whoever issues the command, under the `search_path` of that connection.
//!
//! Two things can go wrong. A superuser's command runs what somebody else put into a schema of the superuser's path: that is the
//! worse one. And who issues the command decides what the function sees, where it is there to refuse or to record.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::capture::{Capture, Judge, Situation, Verdict};
use crate::catalog::Routine;
use crate::occurrence::{Kind, Occurrence};
use crate::path::{Path, Place};
use crate::report::{own_path, session_path};
use crate::text::quote;

pub const RULE: Rule = Rule {
    id: "event-trigger-unpinned-function",
    summary: "An event trigger's function runs as whoever issues a command, often a superuser, under that connection's search_path",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let catalog = subject.catalog;
    let Some(trigger) = subject.expression().filter(|expression| expression.kind == "event trigger") else {
        return Vec::new();
    };
    let functions =
        subject.report.names.iter().filter(|name| name.kind == Kind::Function).filter_map(|name| {
            let function = catalog.routine_of(name.object.as_ref()?.oid)?;
            // SECURITY DEFINER has its own rule.
            let unpinned =
                function.language == "plpgsql" && own_path(function).is_none() && !function.definer;
            unpinned.then_some((name, function))
        });
    functions
        .filter_map(|(name, function)| {
            let signature = catalog.signature(function);
            let (occurrence, capture, severity, who) = captured(subject, function, trigger.owner)?;
            let message = format!(
                "it calls {signature}, which runs as whoever issues a command, under that connection's search_path: {} {} can be \
                 what {} makes of it, {who}",
                occurrence.kind().word(),
                occurrence.written(),
                capture.role
            );
            let remedy = format!(
                "qualify the names of {signature}, and ALTER FUNCTION {signature} SET search_path = pg_catalog, pg_temp (postern fix)"
            );
            let proof = Some(capture.proof());
            let finding = subject.finding(RULE.id, severity, message, remedy);
            Some(subject.at(Finding { name: Some(signature), proof, ..finding }, &name.span))
        })
        .collect()
}

/// The worst that can be made of a name in the function.
fn captured(
    subject: &Subject<'_>,
    function: &Routine,
    superuser: u32,
) -> Option<(Occurrence, Capture, Severity, String)> {
    let catalog = subject.catalog;
    let user = catalog.role_of(superuser).map_or("", |role| role.name.as_str());
    let session = Path::new(catalog, session_path(catalog, superuser), user);
    let first = |path: &Path, issuer: bool| {
        let situation = Situation { victim: superuser, callers_connection: issuer, callers_path: issuer };
        let judge = Judge::new(catalog, path, situation);
        crate::body::routine(catalog, path, function).occurrences.into_iter().find_map(|occurrence| {
            match judge.judge(&occurrence) {
                Verdict::Capturable(capture) => Some((occurrence, capture)),
                _ => None,
            }
        })
    };
    let runs = "and a superuser's next command would run that";
    if let Some((occurrence, capture)) = first(&session, false) {
        return Some((occurrence, capture, Severity::Error, runs.into()));
    }
    // A superuser who works in a schema that others can write has it on the path: a migration does.
    for schema in
        catalog.snapshot.schemas.iter().filter(|schema| catalog.intruder(schema, superuser).is_some())
    {
        let mut path = session.clone();
        path.places.retain(|&place| place != Place::Schema(schema.oid));
        path.places.insert(0, Place::Schema(schema.oid));
        if let Some((occurrence, capture)) = first(&path, false) {
            let setting: Vec<String> = path.schemas().map(|oid| quote(&catalog.schema_name(oid))).collect();
            let who = format!("{runs} where the search_path begins with {}", quote(&schema.name));
            let capture = Capture { search_path: Some(setting.join(", ")), ..capture };
            return Some((occurrence, capture, Severity::Error, who));
        }
    }
    let (occurrence, capture) = first(&session, true)?;
    let who = "so that it sees, in that role's own commands, what the role likes".into();
    Some((occurrence, capture, Severity::Warning, who))
}
