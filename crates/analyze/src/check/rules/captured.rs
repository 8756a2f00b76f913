//! A name means an object of somebody who is not trusted, though there is a trusted one.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::capture::Verdict;

pub const RULE: Rule = Rule {
    id: "captured",
    summary: "A name means an untrusted role's object that hides a trusted one",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &subject.report.names {
        let Verdict::Captured { owner } = &name.verdict else { continue };
        let message =
            format!("{} {} means {}, which belongs to {owner}", name.kind.word(), name.name, name.meaning);
        let remedy = format!("qualify the name, and find out what {} does", name.meaning);
        let finding = subject.finding(RULE.id, Severity::Error, message, remedy);
        findings.push(subject.at(Finding { name: Some(name.name.clone()), ..finding }, &name.span));
    }
    findings
}
