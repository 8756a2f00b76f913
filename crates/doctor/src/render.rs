//! A report as text for people. (For programs it is JSON, by serde.)

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::report::{Finding, Report, Severity};

/// How many findings of one code are shown in full; the rest is counted.
const SHOWN_PER_CODE: usize = 10;

/// The report as text, with colours for a terminal if asked for. What the list allows is said to be.
pub fn text(report: &Report, allow: &[String], colour: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report, allow, colour);
    out
}

fn write(out: &mut String, report: &Report, allow: &[String], colour: bool) -> std::fmt::Result {
    let server = &report.server;
    writeln!(
        out,
        "database \"{}\" on PostgreSQL {}{}, examined as role \"{}\"",
        server.database,
        server.version,
        if server.standby { " (standby)" } else { "" },
        server.role
    )?;
    match report.served_roles.as_slice() {
        [] => writeln!(out, "no role is served")?,
        names => writeln!(out, "served roles: {}", names.join(", "))?,
    }
    for group in report.findings.chunk_by(|a, b| a.code == b.code) {
        for finding in group.iter().take(SHOWN_PER_CODE) {
            one(out, finding, finding.is_allowed(allow), colour)?;
        }
        if let Some(first) = group.first().filter(|_| group.len() > SHOWN_PER_CODE) {
            writeln!(
                out,
                "\n... and {} more {} (all of them are in the JSON form)",
                group.len() - SHOWN_PER_CODE,
                first.code
            )?;
        }
    }
    if !report.skipped.is_empty() {
        writeln!(out)?;
    }
    for skipped in &report.skipped {
        writeln!(out, "not checked: {}: {}", skipped.check, skipped.reason)?;
    }
    let allowed = report.findings.iter().filter(|finding| finding.is_allowed(allow)).count();
    let allowed = if allowed == 0 { String::new() } else { format!(" ({allowed} allowed)") };
    writeln!(
        out,
        "\n{}, {}, {}{allowed}; {} not checked",
        counted(report.count(Severity::Danger), "danger"),
        counted(report.count(Severity::Warning), "warning"),
        counted(report.count(Severity::Info), "note"),
        report.skipped.len()
    )
}

fn one(out: &mut String, finding: &Finding, is_allowed: bool, colour: bool) -> std::fmt::Result {
    let (label, style) = match finding.severity {
        Severity::Danger => ("DANGER", AnsiColor::Red.on_default().bold()),
        Severity::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
        Severity::Info => ("note", AnsiColor::Cyan.on_default()),
    };
    let (style, strong) = if colour { (style, Style::new().bold()) } else { (Style::new(), Style::new()) };
    let allowed = if is_allowed { ", allowed" } else { "" };
    writeln!(
        out,
        "\n{style}{label}{style:#}{allowed}: {strong}{}{strong:#} [{}: {}]",
        printable(&finding.message),
        finding.code,
        printable(&finding.subject)
    )?;
    writeln!(out, "    {}", printable(&finding.detail))?;
    for line in finding.hint.iter().flat_map(|hint| hint.lines()) {
        writeln!(out, "    mend: {}", printable(line))?;
    }
    Ok(())
}

/// Names come from strangers: control characters would let them draw on the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use crate::report::{Server, Skipped};

    fn report() -> Report {
        Report {
            server: Server {
                version: "15.20".into(),
                version_num: 150_020,
                database: "app".into(),
                role: "postern_gate".into(),
                standby: false,
            },
            served_roles: vec!["alice".into()],
            findings: vec![Finding::new(
                &codes::ROLE_SUPERUSER,
                "role alice",
                "role \"al\u{1b}[2Jice\" is a superuser",
                "Why.",
                Some("ALTER ROLE alice NOSUPERUSER;".into()),
            )],
            skipped: vec![Skipped { check: "pg_hba.conf", reason: "needs a superuser".into() }],
        }
    }

    #[test]
    fn the_text_says_what_was_found_why_and_what_mends_it() {
        assert_eq!(
            text(&report(), &[], false),
            "database \"app\" on PostgreSQL 15.20, examined as role \"postern_gate\"\n\
             served roles: alice\n\
             \n\
             DANGER: role \"al\u{fffd}[2Jice\" is a superuser [role-superuser: role alice]\n    \
                 Why.\n    \
                 mend: ALTER ROLE alice NOSUPERUSER;\n\
             \n\
             not checked: pg_hba.conf: needs a superuser\n\
             \n\
             1 danger, 0 warnings, 0 notes; 1 not checked\n"
        );
    }

    #[test]
    fn colours_are_only_written_when_asked_for() {
        assert!(text(&report(), &[], true).contains("\u{1b}[1m\u{1b}[31mDANGER\u{1b}[0m"));
        assert!(!text(&report(), &[], false).contains('\u{1b}'));
    }

    #[test]
    fn what_is_allowed_is_shown_and_said_to_be() {
        let text = text(&report(), &["role-superuser:alice".to_owned()], false);
        assert!(text.contains("\nDANGER, allowed: role "), "{text}");
        assert!(text.ends_with("\n1 danger, 0 warnings, 0 notes (1 allowed); 1 not checked\n"), "{text}");
    }

    #[test]
    fn many_findings_of_one_kind_are_counted() {
        let mut report = report();
        report.findings = vec![report.findings.remove(0); 13];
        let text = text(&report, &[], false);
        assert_eq!(text.matches("DANGER:").count(), 10);
        assert!(text.contains("... and 3 more role-superuser"));
        assert!(text.ends_with("13 dangers, 0 warnings, 0 notes; 1 not checked\n"));
    }
}
