//! Findings as text, JSON, SARIF, GitHub annotations and JUnit.

use std::fmt::Write as _;

use serde_json::json;

use super::{Finding, RULES, Severity};

/// Where the page of each rule is.
pub const PAGES: &str = "docs/reference/rules";

/// For people: the code, the place underlined, the proof, the remedy.
pub fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let _ = writeln!(out, "{}[{}]: {}", finding.severity.word(), finding.rule, finding.message);
        match finding.position {
            Some(at) => {
                let (place, of) = match &finding.file {
                    Some(file) => (file, format!(" ({})", finding.object)),
                    None => (&finding.object, String::new()),
                };
                let _ = writeln!(out, "  --> {place}:{}:{}{of}", at.line, at.column);
                if let Some((line, width)) = &finding.excerpt {
                    let number = at.line.to_string();
                    let pad = " ".repeat(number.len());
                    // A tab is kept, so that the line below stands where it should.
                    let indent: String = line
                        .chars()
                        .take(at.column - 1)
                        .map(|c| if c == '\t' { '\t' } else { ' ' })
                        .collect();
                    let _ =
                        writeln!(out, "{pad} |\n{number} | {line}\n{pad} | {indent}{}", "^".repeat(*width));
                }
            }
            None => {
                let _ = writeln!(out, "  --> {}", finding.object);
            }
        }
        if let Some(proof) = &finding.proof {
            let _ = writeln!(out, "  proof:\n    {}", proof.replace('\n', "\n    "));
        }
        let _ = writeln!(out, "  remedy: {}\n  key: {}\n", finding.remedy, finding.key);
    }
    let count = |severity, noun| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
    };
    let _ = writeln!(
        out,
        "{}, {}, {}",
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note")
    );
    out
}

/// For programs.
pub fn json(findings: &[Finding]) -> serde_json::Value {
    json!({ "version": 1, "findings": findings })
}

/// SARIF 2.1.0.
pub fn sarif(findings: &[Finding]) -> serde_json::Value {
    let rules: Vec<_> = RULES
        .iter()
        .map(|rule| json!({ "id": rule.id, "shortDescription": { "text": rule.summary }, "helpUri": format!("{PAGES}/{}.md", rule.id) }))
        .chain(super::rows::RULES.iter().map(|rule| json!({ "id": rule.id, "shortDescription": { "text": rule.summary }, "helpUri": format!("{PAGES}/{}.md", rule.id) })))
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            let mut location =
                json!({ "logicalLocations": [{ "fullyQualifiedName": finding.object, "kind": "function" }] });
            if let Some(at) = finding.position {
                location["physicalLocation"] = json!({
                    "artifactLocation": { "uri": finding.file.as_deref().map_or_else(|| uri(&finding.object), encoded) },
                    "region": {
                        "startLine": at.line,
                        "startColumn": at.column,
                        "endColumn": at.column + finding.excerpt.as_ref().map_or(1, |(_, width)| *width),
                    },
                });
            }
            json!({
                "ruleId": finding.rule,
                "level": finding.severity.word(),
                "message": { "text": format!("{}\n{}", finding.message, finding.remedy) },
                "locations": [location],
                "partialFingerprints": { "postern/v1": finding.key },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            // As in the text: a column counts characters.
            "columnKind": "unicodeCodePoints",
            "tool": { "driver": { "name": "postern", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    })
}

/// A routine as the path of a URI.
fn uri(object: &str) -> String {
    object.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// The path of a file as a URI.
fn encoded(file: &str) -> String {
    let mut out = String::new();
    for byte in file.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Workflow commands of GitHub Actions.
pub fn github(findings: &[Finding]) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for finding in findings {
        let level = if finding.severity == Severity::Note { "notice" } else { finding.severity.word() };
        let (mut place, mut file) = (String::new(), String::new());
        match (finding.position, &finding.file) {
            (Some(at), Some(name)) => {
                file = format!(
                    "file={},line={},col={},",
                    property(name.trim_start_matches("./")),
                    at.line,
                    at.column
                );
            }
            (Some(at), None) => place = format!(" line {}", at.line),
            (None, _) => {}
        }
        let _ = writeln!(
            out,
            "::{level} {file}title={}::{}",
            property(&format!("postern {}", finding.rule)),
            escape(&format!("{}{place}: {}\n{}", finding.object, finding.message, finding.remedy))
        );
    }
    out
}

/// JUnit: one case for each finding.
pub fn junit(findings: &[Finding]) -> String {
    let escape = |text: &str| {
        let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"postern check\" tests=\"{0}\" failures=\"{0}\">\n",
        findings.len()
    );
    for finding in findings {
        let _ = writeln!(
            out,
            "  <testcase classname=\"{}\" name=\"{}\"><failure type=\"{}\" message=\"{}\">{}</failure></testcase>",
            escape(finding.file.as_ref().unwrap_or(&finding.object)),
            escape(&match (&finding.file, finding.position) {
                (Some(_), Some(at)) =>
                    format!("{} {} line {} {}", finding.rule, finding.object, at.line, finding.key),
                _ => format!("{} {}", finding.rule, finding.key),
            }),
            finding.severity.word(),
            escape(&finding.message),
            escape(&finding.remedy)
        );
    }
    out + "</testsuite>\n"
}
