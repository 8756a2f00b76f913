//! `session_user` is the login of the connection, whoever is entered or set meanwhile.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::text::mentions;

pub const RULE: Rule = Rule {
    id: "session-user",
    summary: "A policy or view asks for session_user, which is the same for everyone behind a gate or a pooler",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(expression) = subject.expression() else { return Vec::new() };
    if !matches!(expression.kind.as_str(), "policy" | "view" | "rule") {
        return Vec::new();
    }
    if !mentions(&expression.source, ["session_user"]) {
        return Vec::new();
    }
    let Ok(tokens) = crate::parse::tokens(&expression.source) else { return Vec::new() };
    let asks = tokens.iter().filter(|token| token.is(&expression.source, "session_user"));
    asks.map(|token| {
        let message = "session_user is who logged in: SET ROLE does not change it, and everyone behind a gate or a pooler \
                       has the same"
            .into();
        let remedy = "use current_user, or a fact about the person, as postern.fact('claims.sub')".into();
        let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
        subject.at(Finding { name: Some("session_user".into()), ..finding }, &(token.start..token.end))
    })
    .collect()
}
