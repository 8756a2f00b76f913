//! Reports as text.

use std::fmt::Write as _;

use crate::capture::Verdict;
use crate::report::{Comparison, Report};

/// A report, one paragraph for each name.
pub fn report(report: &Report, all: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} runs {}", report.subject, report.runs);
    let _ = writeln!(out, "search_path = {} (searched: {})", report.search_path, report.searched.join(", "));
    for (what, names) in [("not there", &report.missing), ("skipped, no USAGE", &report.skipped)] {
        if !names.is_empty() {
            let _ = writeln!(out, "{what}: {}", names.join(", "));
        }
    }
    for name in &report.names {
        let built_in = name.object.as_ref().is_some_and(|object| object.schema == "pg_catalog");
        if !all && built_in && matches!(name.verdict, Verdict::Safe) {
            continue;
        }
        let implied = name.implied_by.map_or_else(String::new, |by| format!(" (by {by})"));
        let _ = write!(
            out,
            "\n{}:{}  {} {}{implied} is {}",
            name.position.line,
            name.position.column,
            name.kind.word(),
            name.name,
            name.meaning
        );
        if let Some(object) = &name.object {
            let _ = write!(out, ", OID {}", object.oid);
        }
        let _ = writeln!(out, "\n    why: {}\n    bound: {}", name.why, name.binds);
        let _ = writeln!(out, "    {}", verdict(&name.verdict).replace('\n', "\n    "));
    }
    let hidden = report.names.iter().filter(|name| {
        name.object.as_ref().is_some_and(|object| object.schema == "pg_catalog")
            && matches!(name.verdict, Verdict::Safe)
    });
    let hidden = hidden.count();
    if !all && hidden > 0 {
        let _ = writeln!(out, "\n{hidden} names are built in and safe (--all shows them)");
    }
    for gap in &report.gaps {
        let _ =
            writeln!(out, "\n{}:{}  not looked into: {}", gap.position.line, gap.position.column, gap.reason);
    }
    out
}

/// A verdict in words, with the DDL of a capture.
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Captured { owner } => format!("CAPTURED: it belongs to {owner}, who is not trusted here"),
        Verdict::Capturable(capture) => {
            let path = capture.search_path.as_ref();
            let path = path.map_or_else(String::new, |path| format!("SET search_path = {path};\n  "));
            format!("CAPTURABLE by {}, with\n  {path}{};", capture.role, capture.ddl.replace('\n', "\n  "))
        }
        Verdict::IfGranted(capture) => {
            format!("capturable only by {}, and nobody untrusted is that", capture.role)
        }
        Verdict::Safe => "safe: nobody untrusted can capture it".into(),
        Verdict::Unknown { reason } => format!("unknown: {reason}"),
    }
}

/// A comparison as a table.
pub fn comparison(comparison: &Comparison) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let heads = comparison.columns.iter().map(|(subject, _)| subject.clone());
    lines.push([String::new()].into_iter().chain(heads).collect());
    let paths = comparison.columns.iter().map(|(_, path)| path.clone());
    lines.push(["search_path".to_owned()].into_iter().chain(paths).collect());
    for (kind, name, cells) in &comparison.rows {
        lines.push([format!("{} {name}", kind.word())].into_iter().chain(cells.iter().cloned()).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        let _ = writeln!(out, "{}", cells.join(" | ").trim_end());
        if number == 1 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(out, "{}", rules.join("-+-"));
        }
    }
    out
}

/// A unified diff.
pub fn diff(name: &str, before: &str, after: &str, colour: bool) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(name, name).to_string();
    if !colour {
        return text;
    }
    let mut out = String::new();
    for line in text.lines() {
        let start = match line.as_bytes().first() {
            Some(b'+') => "\x1b[32m",
            Some(b'-') => "\x1b[31m",
            Some(b'@') => "\x1b[36m",
            _ => "",
        };
        let end = if start.is_empty() { "" } else { "\x1b[0m" };
        let _ = writeln!(out, "{start}{line}{end}");
    }
    out
}
