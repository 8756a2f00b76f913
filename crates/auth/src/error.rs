//! Why a request is not let in, and what is wrong with a configuration.
//!
//! **Invariants**: the public message ([`std::fmt::Display`]) is one per kind and holds nothing of the credential, the issuer
//! or the configuration; [`Error::reason`] is for the log alone. Text of a credential gets into a reason only through
//! [`quoted`]: one line, short.

/// Why a request is not let in. The gate matches on the kind, shows the public message, and logs the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is presented, and anonymous requests are not configured.
    #[error("request carries no credentials")]
    Missing,
    /// The credential is not good: expired, forged, unknown, malformed, or one too many. Deliberately not told apart.
    #[error("authentication failed")]
    Rejected(String),
    /// The credential is good, but not for this role, or for no role of the configuration.
    #[error("authentication failed")]
    RoleNotAllowed(String),
    /// What would prove the credential cannot be reached. A later attempt may succeed.
    #[error("credentials cannot be verified at the moment")]
    Unavailable(String),
}

impl Error {
    /// What happened, precisely, on one line. For the log, never for the client.
    pub fn reason(&self) -> &str {
        match self {
            Self::Missing => "nothing was presented, and anonymous requests are not configured",
            Self::Rejected(reason) | Self::RoleNotAllowed(reason) | Self::Unavailable(reason) => reason,
        }
    }

    /// A short name for metrics: `missing`, `rejected`, `role_not_allowed` or `unavailable`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Rejected(_) => "rejected",
            Self::RoleNotAllowed(_) => "role_not_allowed",
            Self::Unavailable(_) => "unavailable",
        }
    }

    pub(crate) fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected(reason.into())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}; {hint}")]
pub struct ConfigError {
    key: String,
    problem: String,
    hint: String,
}

impl ConfigError {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), hint: hint.into() }
    }

    /// The key it is about, such as `jwt[0].audience`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How to mend it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Text from outside, fit for a log line: quoted, escaped, cut.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;

    let mut quoted: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        quoted.push('…');
    }
    format!("\"{quoted}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_on_one_short_line() {
        assert_eq!(quoted("a\r\nb\u{1b}[0m"), r#""a\r\nb\u{1b}[0m""#);
        assert!(quoted(&"x".repeat(10_000)).chars().count() < 100);
    }

    #[test]
    fn a_refused_token_and_a_refused_role_look_alike() {
        let rejected = Error::rejected("token has expired");
        let not_allowed = Error::RoleNotAllowed("role \"admin\" is not on the list".into());
        assert_eq!(rejected.to_string(), not_allowed.to_string());
        assert_ne!(rejected.reason(), not_allowed.reason());
    }
}
