//! Comments that excuse findings: `-- postern: allow RULE: reason`, on the line of the finding or the line before it, or for
//! a finding about the whole routine anywhere in the body.

use super::{Finding, Severity, Subject};

/// One comment.
pub struct Allowed<'t> {
    pub line: usize,
    pub rule: &'t str,
    pub reason: &'t str,
}

pub const MARK: &str = "-- postern: allow ";

pub fn comments(source: &str) -> Vec<Allowed<'_>> {
    source
        .lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let text = &line[line.find(MARK)? + MARK.len()..];
            let (rule, reason) = text.split_once(':').unwrap_or((text, ""));
            Some(Allowed { line: at + 1, rule: rule.trim(), reason: reason.trim() })
        })
        .collect()
}

/// Removes what is excused. A comment without a reason excuses nothing, and says so.
pub fn apply(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let comments = comments(subject.source());
    let mut unused = Vec::new();
    for comment in &comments {
        let excused = |finding: &Finding| {
            finding.rule == comment.rule
                && finding.position.is_none_or(|at| at.line == comment.line || at.line == comment.line + 1)
        };
        let problem = if comment.reason.is_empty() {
            "has no reason"
        } else if findings.iter().any(excused) {
            findings.retain(|finding| !excused(finding));
            continue;
        } else {
            "excuses nothing"
        };
        unused.push(
            subject.finding(
                "suppression",
                Severity::Warning,
                format!("the comment \"{MARK}{}\" in line {} {problem}", comment.rule, comment.line),
                "write \"-- postern: allow RULE: REASON\" on the line of the finding, or remove the comment"
                    .into(),
            ),
        );
    }
    findings.append(&mut unused);
}
