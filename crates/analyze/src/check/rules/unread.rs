//! Part of a body could not be analysed: silence about it would be a lie.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::capture::Verdict;

pub const RULE: Rule = Rule { id: "unread", summary: "A part of the code could not be analysed", check };

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    let remedy = || "look at it yourself".to_owned();
    match routine.language.as_str() {
        "sql" | "plpgsql" if !routine.definer => return Vec::new(),
        "sql" | "plpgsql" => {}
        // What is compiled is not ours to read, and needs a superuser to make.
        "c" | "internal" => return Vec::new(),
        language => {
            let message = format!("not analysed: it is written in {language}");
            return vec![subject.finding(RULE.id, Severity::Note, message, remedy())];
        }
    }
    let mut findings = Vec::new();
    for gap in subject.report.gaps.iter().filter(|gap| !gap.reason.contains("run time")) {
        let finding =
            subject.finding(RULE.id, Severity::Note, format!("not analysed: {}", gap.reason), remedy());
        findings.push(subject.at(finding, &gap.span));
    }
    for name in &subject.report.names {
        let Verdict::Unknown { reason } = &name.verdict else { continue };
        let message = format!("what {} {} means is not known: {reason}", name.kind.word(), name.name);
        let finding = subject.finding(RULE.id, Severity::Note, message, remedy());
        findings.push(subject.at(Finding { name: Some(name.name.clone()), ..finding }, &name.span));
    }
    findings
}
