//! The findings of a project, each at its place in a file.

use std::ops::Range;

use super::{Origin, Project};
use crate::check::suppress::{Allowed, MARK, comments};
use crate::check::{Code, Finding, Severity, number, raw};
use crate::text::Lines;

/// A finding, and the lines of the statement that it is about if it is about all of it.
struct Placed {
    finding: Finding,
    file: usize,
    whole: Option<Range<usize>>,
}

/// Everything that is wrong in the files, in their order.
pub fn check(project: &Project) -> Vec<Finding> {
    // A thread has memory of its own. What the replay has given back lies scattered between what it keeps, and whoever takes pieces of
    // that again waits for the memory.
    crate::parse::with_stack(|| judged(project)).unwrap_or_else(|_| judged(project))
}

fn judged(project: &Project) -> Vec<Finding> {
    let lines: Vec<Lines<'_>> = project.sources.iter().map(|source| Lines::new(&source.text)).collect();
    let snapshot = &project.catalog.snapshot;
    let routines = snapshot.routines.iter().map(|routine| (routine.oid, Code::Routine(routine)));
    let expressions =
        snapshot.expressions.iter().map(|expression| (expression.oid, Code::Expression(expression)));
    let all: Vec<(&Origin, Code<'_>)> = routines
        .chain(expressions)
        .filter_map(|(oid, code)| Some((project.origins.get(&oid)?, code)))
        .collect();
    let found = crate::threads::spread(&all, |(origin, code)| {
        let found = raw(&project.catalog, *code).into_iter();
        found.map(|finding| place(project, &lines, origin, finding)).collect::<Vec<_>>()
    });
    let mut placed: Vec<Placed> = found.into_iter().flatten().collect();
    placed.extend(published(project, &lines));
    placed.extend(project.problems.iter().map(|problem| {
        let finding = Finding {
            rule: "unread",
            severity: Severity::Warning,
            object: problem.object.clone(),
            file: None,
            name: None,
            position: None,
            span: Some(problem.span.clone()),
            excerpt: None,
            message: problem.message.clone(),
            proof: None,
            remedy: "mend it, so that it can be checked".into(),
            key: String::new(),
        };
        at(project, &lines, problem.file, problem.span.clone(), finding, None)
    }));
    placed.sort_by(|a, b| {
        let key = |placed: &Placed| (placed.file, placed.finding.position, placed.finding.rule);
        key(a).cmp(&key(b)).then_with(|| a.finding.message.cmp(&b.finding.message))
    });
    for (file, lines) in lines.iter().enumerate() {
        excuse(project, file, lines, &mut placed);
    }
    let mut findings: Vec<Finding> = placed.into_iter().map(|placed| placed.finding).collect();
    number(&mut findings);
    findings
}

/// Publications that send what policies hide.
fn published(project: &Project, lines: &[Lines<'_>]) -> Vec<Placed> {
    let sent = super::replication::past_policies(&project.catalog).into_iter();
    sent.filter_map(|(publication, table)| {
        let origin = project.publications.get(&publication.name)?;
        let finding = crate::check::rows::past_policies(&publication.name, &table);
        Some(place(project, lines, origin, finding))
    })
    .collect()
}

fn place(project: &Project, lines: &[Lines<'_>], origin: &Origin, finding: Finding) -> Placed {
    let file = origin.file;
    if let (Some(span), Some(code)) = (&finding.span, &origin.code) {
        let start = code.source(span.start);
        let end = code.source(span.end).max(start + 1);
        return at(project, lines, file, start..end, finding, None);
    }
    let last = origin.statement.end.max(origin.statement.start + 1) - 1;
    let whole = lines[file].line(origin.statement.start)..lines[file].line(last) + 1;
    at(project, lines, file, origin.name.clone(), finding, Some(whole))
}

fn at(
    project: &Project,
    lines: &[Lines<'_>],
    file: usize,
    span: Range<usize>,
    finding: Finding,
    whole: Option<Range<usize>>,
) -> Placed {
    let finding = Finding {
        file: Some(project.sources[file].name.clone()),
        position: Some(lines[file].position(span.start)),
        excerpt: Some(lines[file].excerpt(&span)),
        span: Some(span),
        ..finding
    };
    Placed { finding, file, whole }
}

/// Removes what comments excuse; a comment that has no reason, or nothing to excuse, is itself a finding.
fn excuse(project: &Project, file: usize, lines: &Lines<'_>, placed: &mut Vec<Placed>) {
    let found: Vec<Allowed<'_>> = comments(lines.text);
    if found.is_empty() {
        return;
    }
    let old: Vec<Range<usize>> = project
        .superseded
        .iter()
        .filter(|(of, _)| *of == file)
        .map(|(_, range)| lines.line(range.start).saturating_sub(1)..lines.line(range.end) + 1)
        .collect();
    for comment in found {
        let excused = |placed: &Placed| {
            let line = placed.finding.position.map_or(0, |at| at.line);
            placed.file == file
                && placed.finding.rule == comment.rule
                && match &placed.whole {
                    Some(whole) => whole.contains(&comment.line) || whole.start == comment.line + 1,
                    None => line == comment.line || line == comment.line + 1,
                }
        };
        let problem = if comment.reason.is_empty() {
            "has no reason"
        } else if placed.iter().any(excused) {
            placed.retain(|placed| !excused(placed));
            continue;
        } else if old.iter().any(|lines| lines.contains(&comment.line)) {
            continue;
        } else {
            "excuses nothing"
        };
        let start = lines.start(comment.line);
        let span = start..start + lines.text[start..].lines().next().map_or(1, str::len);
        let finding = Finding {
            rule: "suppression",
            severity: Severity::Warning,
            object: project.sources[file].name.clone(),
            file: Some(project.sources[file].name.clone()),
            name: Some(comment.rule.to_owned()),
            position: Some(lines.position(start)),
            excerpt: Some(lines.excerpt(&span)),
            span: Some(span),
            message: format!("the comment \"{MARK}{}\" {problem}", comment.rule),
            proof: None,
            remedy: "write \"-- postern: allow RULE: REASON\" on the line of the finding or before it, or remove the comment".into(),
            key: String::new(),
        };
        placed.push(Placed { finding, file, whole: None });
    }
}
