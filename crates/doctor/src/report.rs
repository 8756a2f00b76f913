//! What an examination found: findings, ordered by how bad they are, and checks that could not be made.
//!
//! **Invariants**
//! - Every finding has a code of [`crate::codes`], and that code alone decides its severity.
//! - A check that was not made is in `skipped` with the reason: silence always means "looked, and found nothing".

use serde::Serialize;

use crate::codes::Code;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The wall, or the difference between two roles, would mean nothing: the gate refuses to serve.
    Danger,
    /// Someone can see or do more than is likely meant, inside what PostgreSQL lets them do.
    Warning,
    /// Worth knowing; often right as it is.
    Info,
}

/// One weakness of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The stable name of the kind of weakness, for example `role-superuser`.
    pub code: &'static str,
    /// Decided by the code.
    pub severity: Severity,
    /// The kind and name of the object, for example `table public.invoices`.
    pub subject: String,
    /// What is so.
    pub message: String,
    /// Why it matters, and what to do where no statement can mend it.
    pub detail: String,
    /// SQL that mends it, ready to run as a superuser.
    pub hint: Option<String>,
}

/// A check that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What would have been looked at.
    pub check: &'static str,
    /// Why it was not.
    pub reason: String,
}

/// The server and the session that were examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// The server's version as it names it, for example `15.20`.
    pub version: String,
    /// The same as a number, for example 150020.
    pub version_num: i32,
    /// The database.
    pub database: String,
    /// The role that looked.
    pub role: String,
    /// Whether the server is a standby.
    pub standby: bool,
}

/// The result of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was examined.
    pub server: Server,
    /// The roles that were examined as those that requests may run as.
    pub served_roles: Vec<String>,
    /// The worst first; then by code and subject.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub skipped: Vec<Skipped>,
}

impl Finding {
    pub(crate) fn new(
        code: &'static Code,
        subject: impl Into<String>,
        message: impl Into<String>,
        detail: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        Self {
            code: code.name,
            severity: code.severity,
            subject: subject.into(),
            message: message.into(),
            detail: detail.into(),
            hint,
        }
    }

    /// Whether any entry of an allow-list speaks of this finding.
    pub fn is_allowed(&self, allow: &[String]) -> bool {
        allow.iter().any(|entry| self.is_allowed_by(entry))
    }

    /// Whether an entry of an allow-list speaks of this finding.
    ///
    /// An entry is a code, which allows that weakness everywhere, or `code:object` for one object, for example
    /// `table-without-rls:public.country`.
    pub fn is_allowed_by(&self, entry: &str) -> bool {
        match entry.split_once(':') {
            None => entry == self.code,
            Some((code, object)) => {
                let name = self.subject.split_once(' ').map_or(self.subject.as_str(), |(_, name)| name);
                code == self.code && (object == self.subject || object == name)
            }
        }
    }
}

impl Report {
    /// The dangerous findings that the list does not allow, for which a gate must refuse to serve.
    pub fn refusals(&self, allow: &[String]) -> Vec<&Finding> {
        let dangers = self.findings.iter().filter(|finding| finding.severity == Severity::Danger);
        dangers.filter(|finding| !finding.is_allowed(allow)).collect()
    }

    /// Dangers and warnings that the list does not allow.
    pub fn complaints(&self, allow: &[String]) -> Vec<&Finding> {
        let complaints = self.findings.iter().filter(|finding| finding.severity != Severity::Info);
        complaints.filter(|finding| !finding.is_allowed(allow)).collect()
    }

    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn report(findings: Vec<Finding>) -> Report {
        let server = Server {
            version: "15.20".into(),
            version_num: 150_020,
            database: "app".into(),
            role: "postern_gate".into(),
            standby: false,
        };
        Report { server, served_roles: Vec::new(), findings, skipped: Vec::new() }
    }

    fn danger(role: &str) -> Finding {
        Finding::new(&codes::ROLE_SUPERUSER, format!("role {role}"), "", "", None)
    }

    #[test]
    fn a_danger_refuses_until_its_code_or_its_object_is_allowed() {
        let report = report(vec![
            danger("alice"),
            danger("bob"),
            Finding::new(&codes::PUBLIC_TEMP, "database app", "", "", None),
        ]);
        let refusals = |allow: &[&str]| {
            let allow: Vec<String> = allow.iter().map(|&entry| entry.into()).collect();
            report.refusals(&allow).iter().map(|finding| finding.subject.clone()).collect::<Vec<_>>()
        };
        assert_eq!(refusals(&[]), ["role alice", "role bob"]);
        assert_eq!(refusals(&["role-superuser:alice"]), ["role bob"]);
        assert_eq!(refusals(&["role-superuser:role bob"]), ["role alice"]);
        assert_eq!(refusals(&["role-superuser"]), Vec::<String>::new());
        assert_eq!(
            refusals(&["role-super", "public-temp", "role-superuser:ali"]),
            ["role alice", "role bob"]
        );
    }

    #[test]
    fn warnings_are_complaints_but_do_not_refuse() {
        let report = report(vec![Finding::new(&codes::PUBLIC_TEMP, "database app", "", "", None)]);
        assert_eq!(report.refusals(&[]).len(), 0);
        assert_eq!(report.complaints(&[]).len(), 1);
        assert_eq!(report.complaints(&["public-temp".into()]).len(), 0);
    }
}
