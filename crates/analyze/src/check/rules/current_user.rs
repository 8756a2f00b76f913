//! `current_user` in a SECURITY DEFINER routine is the owner, not the caller.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::text::mentions;

pub const RULE: Rule = Rule {
    id: "definer-current-user",
    summary: "current_user in a SECURITY DEFINER routine is its owner, not its caller",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(routine) = subject.routine() else { return Vec::new() };
    if !routine.definer || !matches!(routine.language.as_str(), "sql" | "plpgsql") {
        return Vec::new();
    }
    if !mentions(&routine.source, ["user", "current_role"]) {
        return Vec::new();
    }
    let Ok(tokens) = crate::parse::tokens(&routine.source) else { return Vec::new() };
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let word = token.text(&routine.source);
        let is = |word: &str| token.is(&routine.source, word);
        let dotted = at > 0 && tokens[at - 1].text(&routine.source) == ".";
        if dotted || !(is("current_user") || is("current_role") || is("user")) || word.starts_with('"') {
            continue;
        }
        let message = format!("{word} is the owner of this routine here, whoever calls it");
        let remedy = "use session_user if the login is meant, or the identity that is passed in; if the owner is meant, say \
            so in a comment"
            .into();
        let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
        let span = token.start..token.end;
        findings.push(subject.at(Finding { name: Some(word.to_ascii_lowercase()), ..finding }, &span));
    }
    findings
}
