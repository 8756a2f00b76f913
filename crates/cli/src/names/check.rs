//! `postern check`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use postern_analyze::check::{Finding, Scope, Severity, database, output, rows};
use postern_analyze::files::{self, RUNNER};

use super::folder::expanded;
use super::{catalog, catalog_and, deeply, json, sources};
use crate::args::{Check, Format};
use crate::error::{Context as _, Error};

/// There are errors or warnings.
const FOUND: u8 = 1;
/// The database or the files could not be read.
const FAILED: u8 = 2;

pub fn run(args: &Check) -> ExitCode {
    match check(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            eprintln!("postern: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Is everything as it should be?
fn check(args: &Check) -> Result<bool, Error> {
    let known = args.baseline.as_deref().map(baseline).transpose()?.unwrap_or_default();
    let mut findings = if args.files.is_empty() {
        let (catalog, rows) =
            catalog_and(args.db.as_deref(), &args.dir, async |client| rows::find(&client).await)?;
        let mut findings = deeply(|| database(&catalog, Scope { extensions: args.extensions }))?;
        findings.extend(rows?);
        findings
    } else {
        let base = match &args.db {
            Some(db) => catalog(Some(db), &args.dir)?.snapshot,
            None => files::empty(args.server_version, args.role.as_deref().unwrap_or(RUNNER)),
        };
        let sources = sources(&expanded(&args.files)?)?;
        deeply(|| files::check(&files::replay(base, sources)))?
    };
    if let Some(file) = &args.write_baseline {
        std::fs::write(file, listed(&findings)).context("write", file)?;
    }
    findings.retain(|finding| !known.contains(&finding.key));
    let text = match args.format {
        Format::Text => output::text(&findings),
        Format::Json => json(&output::json(&findings))?,
        Format::Sarif => json(&output::sarif(&findings))?,
        Format::Github => output::github(&findings),
        Format::Junit => output::junit(&findings),
    };
    crate::print(&text)?;
    let complaints = findings.iter().filter(|finding| finding.severity > Severity::Note);
    Ok(args.write_baseline.is_some() || complaints.count() == 0)
}

/// The keys of a baseline: the first word of each line that is no comment.
fn baseline(file: &Path) -> Result<BTreeSet<String>, Error> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let file = file.display();
            return Err(Error::Usage(format!(
                "there is no baseline \"{file}\" (--write-baseline \"{file}\" makes one)"
            )));
        }
        read => read.context("read", file)?,
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect())
}

/// A baseline of findings: sorted, so that changes are easy to read.
fn listed(findings: &[Finding]) -> String {
    let lines: BTreeSet<String> = findings
        .iter()
        .map(|finding| {
            let name = finding.name.as_deref().unwrap_or_default().replace(char::is_whitespace, " ");
            format!("{} {} {} {name}", finding.key, finding.rule, finding.object).trim_end().to_owned()
        })
        .collect();
    let mut text = String::from(
        "# What postern check found when this file was written. Each line excuses one finding.\n",
    );
    for line in lines {
        text += &line;
        text.push('\n');
    }
    text
}
