//! What a test run has to say at its end: how many, and what was not run and why.

use std::fmt;

use crate::process::{Error, Result};

/// The outcome of one suite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suite {
    pub name: String,
    pub passed: usize,
    pub failed: usize,
    /// Each with its reason.
    pub skipped: Vec<String>,
}

impl Suite {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// A suite that could not be run here.
    pub fn skipped(name: &str, reason: &str) -> Self {
        Self { skipped: vec![format!("{name}: {reason}")], ..Self::new(name) }
    }

    /// A suite that is one program: it went well or not.
    pub fn of(name: &str, result: &Result<()>) -> Self {
        let mut suite = Self::new(name);
        match result {
            Ok(()) => suite.passed = 1,
            Err(error) => {
                eprintln!("{name}: {error}");
                suite.failed = 1;
            }
        }
        suite
    }

    /// An error, if anything failed.
    pub fn verdict(&self) -> Result<()> {
        if self.failed == 0 { Ok(()) } else { Err(Error::Failed(self.name.clone())) }
    }
}

/// The outcome of all suites.
#[derive(Debug, Default)]
pub struct Report {
    pub suites: Vec<Suite>,
}

impl Report {
    fn count(&self, of: impl Fn(&Suite) -> usize) -> usize {
        self.suites.iter().map(of).sum()
    }

    /// An error, if anything failed or nothing was run.
    pub fn verdict(&self) -> Result<()> {
        if self.count(|suite| suite.passed) == 0 {
            return Err(Error::Wrong("no test was run".to_owned()));
        }
        self.suites.iter().try_for_each(Suite::verdict)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.suites.iter().flat_map(|suite| &suite.skipped);
        for (number, reason) in reasons.enumerate() {
            if number == 0 {
                writeln!(out, "not run:")?;
            }
            writeln!(out, "  {reason}")?;
        }
        let width = self.suites.iter().map(|suite| suite.name.len()).max().unwrap_or(0).max("total".len());
        writeln!(out, "{:width$} {:>7} {:>7} {:>7}", "", "passed", "failed", "not run")?;
        let total = Suite { name: "total".to_owned(), ..Suite::default() };
        let totals = (self.count(|s| s.passed), self.count(|s| s.failed), self.count(|s| s.skipped.len()));
        let lines = self.suites.iter().map(|s| (&s.name, (s.passed, s.failed, s.skipped.len())));
        for (name, (passed, failed, skipped)) in lines.chain([(&total.name, totals)]) {
            writeln!(out, "{name:width$} {passed:>7} {failed:>7} {skipped:>7}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_was_not_run_and_adds_up() {
        let one = Suite { passed: 3, ..Suite::new("unit") };
        let report = Report { suites: vec![one, Suite::skipped("browser", "there is no browser")] };
        let text = report.to_string();
        assert!(text.starts_with("not run:\n  browser: there is no browser\n"), "{text}");
        assert!(text.contains("total         3       0       1\n"), "{text}");
        report.verdict().unwrap();
    }

    #[test]
    fn one_failure_or_no_test_at_all_is_a_failure() {
        let failed = Suite { passed: 9, failed: 1, ..Suite::new("x") };
        assert!(Report { suites: vec![failed] }.verdict().is_err());
        assert!(Report::default().verdict().is_err());
        assert!(Report { suites: vec![Suite::skipped("x", "y")] }.verdict().is_err());
    }
}
