//! Functions that take SQL as text and run it: with a caller's text in it, it is the caller's SQL.

use postern_grammar::nodes::Token as Kind;

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::parse::Token;
use crate::text::mentions;

pub const RULE: Rule = Rule {
    id: "definer-runs-text",
    summary: "A SECURITY DEFINER routine gives a text made of values to a function that runs it as SQL",
    check,
};

/// Their names, with the schema where the name alone says too little.
const RUNNERS: &[(Option<&str>, &str)] = &[
    (Some("df"), "start"),
    (None, "query_to_xml"),
    (None, "query_to_xmlschema"),
    (None, "query_to_xml_and_xmlschema"),
    (None, "ts_stat"),
    (None, "dblink"),
    (None, "dblink_exec"),
    (None, "dblink_open"),
    (None, "dblink_send_query"),
    (None, "crosstab"),
    (None, "connectby"),
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.definer() {
        return Vec::new();
    }
    let source = subject.source();
    if !mentions(source, RUNNERS.iter().map(|(_, name)| *name)) {
        return Vec::new();
    }
    let Ok(tokens) = crate::parse::tokens(source) else { return Vec::new() };
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let dotted = at > 1 && tokens[at - 1].text(source) == ".";
        let runs = RUNNERS.iter().any(|(schema, name)| {
            token.is(source, name) && schema.is_none_or(|schema| dotted && tokens[at - 2].is(source, schema))
        });
        if !runs || tokens.get(at + 1).is_none_or(|next| next.text(source) != "(") {
            continue;
        }
        let arguments = inside(&tokens[at + 1..], source);
        if !made_of_values(arguments, source) {
            continue;
        }
        let name = token.text(source).to_ascii_lowercase();
        let message =
            format!("{name} runs a text as SQL with the owner's rights, and the text is made of values");
        let remedy =
            "give it a literal, and values as parameters; if identifiers must go in, by format('%I', …)"
                .into();
        let finding = subject.finding(RULE.id, Severity::Warning, message, remedy);
        findings.push(subject.at(Finding { name: Some(name), ..finding }, &(token.start..token.end)));
    }
    findings
}

/// What is between an opening bracket and the one that closes it.
fn inside<'t>(tokens: &'t [Token], source: &str) -> &'t [Token] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text(source) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return &tokens[1..at];
        }
    }
    tokens.get(1..).unwrap_or_default()
}

/// Is there a name in it that is neither of the language of durable functions, nor the name of an argument, nor a type?
fn made_of_values(tokens: &[Token], source: &str) -> bool {
    tokens.iter().enumerate().any(|(at, token)| {
        let after = tokens.get(at + 1).map_or("", |next| next.text(source));
        let before = at.checked_sub(1).map_or("", |at| tokens[at].text(source));
        let parameter = token.kind == Kind::Param;
        let name = token.kind == Kind::Ident
            || (!token.text(source).is_empty()
                && token.text(source).bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'));
        let of_language =
            token.is(source, "df") || (before == "." && at > 1 && tokens[at - 2].is(source, "df"));
        let constant = ["true", "false", "null"].iter().any(|word| token.is(source, word));
        parameter || (name && !of_language && !constant && after != "=>" && after != ":=" && before != "::")
    })
}
