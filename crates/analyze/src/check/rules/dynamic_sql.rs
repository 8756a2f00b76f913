//! SECURITY DEFINER, and SQL that is made at run time.

use super::super::{Finding, Severity, Subject};
use super::Rule;

pub const RULE: Rule = Rule {
    id: "definer-dynamic-sql",
    summary: "A SECURITY DEFINER routine runs SQL that is made at run time out of values",
    check,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.definer() {
        return Vec::new();
    }
    let source = subject.source();
    let mut findings = Vec::new();
    for gap in subject.report.gaps.iter().filter(|gap| gap.reason.contains("run time")) {
        let text = source.get(gap.span.clone()).unwrap_or_default();
        if harmless(text) {
            continue;
        }
        let message = "SQL made of values is run with the owner's rights".into();
        let remedy = "put identifiers in with format('%I', …), and values with USING".into();
        let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
        findings
            .push(subject.at(Finding { name: Some(text.chars().take(40).collect()), ..finding }, &gap.span));
    }
    findings
}

/// One literal; or format() with identifiers and literals only.
fn harmless(text: &str) -> bool {
    let Ok(tokens) = crate::parse::tokens(text) else { return false };
    let literal =
        |at: usize| tokens.get(at).is_some_and(|token| token.kind == postern_grammar::nodes::Token::Sconst);
    if tokens.len() == 1 {
        return literal(0);
    }
    let names: Vec<&str> = tokens.iter().take(3).map(|token| token.text(text)).collect();
    let open = match names.as_slice() {
        [name, "(", ..] if name.eq_ignore_ascii_case("format") => 1,
        ["pg_catalog", ".", name] if name.eq_ignore_ascii_case("format") => 3,
        _ => return false,
    };
    let mut depth = 0_usize;
    let close = tokens[open..].iter().position(|token| {
        match token.text(text) {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let whole = close.is_some_and(|close| open + close + 1 == tokens.len());
    whole && literal(open + 1) && !tokens[open + 1].text(text).contains("%s")
}
