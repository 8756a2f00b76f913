//! What the rules of replication refuse.

use std::fmt::Write as _;

use pgrx::PgSqlErrorCode;
use postern_core::trigger_rule::Reason;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A trigger that no rule allows.
    #[error("trigger \"{trigger}\" on table {table} may not run {function}")]
    Trigger {
        /// Which rule is broken.
        reason: Reason,
        /// The trigger.
        trigger: String,
        /// The table, with its schema.
        table: String,
        /// The table's owner.
        table_owner: String,
        /// The function, with its schema.
        function: String,
        /// The function's owner.
        function_owner: String,
        /// Who creates the trigger.
        role: String,
        /// Functions of the WHEN clause that are nobody's whom the rules allow.
        when: String,
    },
    /// Replicated tables have code now that they may not have.
    #[error("{} may not be replicated after this change", naming(.tables))]
    Table {
        /// The tables, each with its schema.
        tables: Vec<String>,
        /// What is wrong, each a sentence.
        findings: Vec<String>,
    },
    /// A GRANT or REVOKE on an object of the extension.
    #[error("privileges on {object} are given by roles")]
    Grant {
        /// The object.
        object: String,
        /// The roles that carry privileges on it.
        roles: String,
    },
    /// DROP OWNED BY a role of the extension.
    #[error("privileges of role \"{role}\" are the extension's")]
    Disowned {
        /// The role.
        role: String,
    },
    /// Tables that may not be published.
    #[error("{} may not be published", naming(.tables))]
    Publication {
        /// The tables, each with its schema.
        tables: Vec<String>,
        /// What is wrong, each a sentence.
        findings: Vec<String>,
    },
    /// Tables of a subscription that may not be replicated, or code that would run as its owner.
    #[error("subscription \"{subscription}\" of \"{owner}\" {}", if *.held { "is disabled: its tables have code that may not run on apply" } else { "has tables with code that may not run on apply" })]
    Subscription {
        /// It was made just now, and disabled.
        held: bool,
        /// The subscription.
        subscription: String,
        /// Its owner.
        owner: String,
        /// What would run, each a sentence.
        findings: Vec<String>,
    },
}

fn naming(names: &[String]) -> String {
    match names {
        [one] => format!("table {one}"),
        many => format!("{} tables", many.len()),
    }
}

/// The first few of the sentences.
fn some(findings: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = findings.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
    if findings.len() > SHOWN {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n… and {} more.", findings.len() - SHOWN);
    }
    text
}

impl Refusal {
    /// Its SQLSTATE.
    pub fn code(&self) -> PgSqlErrorCode {
        match self {
            Self::Grant { .. } | Self::Disowned { .. } => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::Trigger { .. } | Self::Subscription { .. } => {
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
            }
            Self::Table { .. } | Self::Publication { .. } => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
        }
    }

    /// Why.
    pub fn detail(&self) -> String {
        match self {
            Self::Trigger { reason, table_owner, function_owner, role, when, .. } => match reason {
                Reason::ForeignFunction => format!(
                    "Role \"{role}\" does not have the rights of the table's owner \"{table_owner}\"; the function belongs to \"{function_owner}\" and is not SECURITY DEFINER."
                ),
                Reason::ForeignWhen => format!(
                    "The WHEN clause calls {when}, which runs as whoever writes the row. There \"{role}\" may call what it may execute, if it is of \"{table_owner}\", of a superuser or SECURITY DEFINER, and does not execute what it is given."
                ),
                Reason::ReplacesForeign => {
                    "It would take the place of a trigger whose function belongs to another role.".to_owned()
                }
                Reason::ResetsFiring => {
                    "It would take the place of a trigger that is ENABLE ALWAYS, ENABLE REPLICA or disabled, and reset that.".to_owned()
                }
                Reason::Ineligible if when.is_empty() => format!(
                    "The table is replicated; the function belongs to \"{function_owner}\", not to the table's owner \"{table_owner}\", and is not SECURITY DEFINER."
                ),
                Reason::Ineligible => format!("The table is replicated. {when}"),
            },
            Self::Grant { .. } => {
                "A privilege that is given on an object of the extension goes into dumps, which then do not restore onto a version without that object.".to_owned()
            }
            Self::Disowned { .. } => "DROP OWNED would take them from everyone who is a member of the role.".to_owned(),
            Self::Table { findings, .. }
            | Self::Publication { findings, .. }
            | Self::Subscription { findings, .. } => some(findings),
        }
    }

    /// What to do instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Grant { roles, .. } if roles.is_empty() => {
                "No role carries it: it is for the extension's own use.".to_owned()
            }
            Self::Grant { roles, .. } => format!("Grant membership instead, in: {roles}."),
            _ => self.advice().to_owned(),
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "",
            Self::Disowned { .. } => {
                "Revoke memberships of it instead; DROP EXTENSION postern takes its privileges away."
            }
            Self::Trigger { reason, .. } => match reason {
                Reason::ForeignFunction => {
                    "Use a function of the table's owner on which you have EXECUTE, or a SECURITY DEFINER function, or ask the owner to create the trigger."
                }
                Reason::ForeignWhen => "Call functions of the server or of the table's owner in WHEN.",
                Reason::ReplacesForeign | Reason::ResetsFiring => {
                    "Create a trigger of another name, or ask the table's owner."
                }
                Reason::Ineligible => {
                    "Have the function owned by the table's owner, or make it SECURITY DEFINER with a search_path of its own."
                }
            },
            Self::Table { .. } | Self::Publication { .. } => {
                "SELECT * FROM postern.replication_findings shows all of it, with the commands that mend it."
            }
            Self::Subscription { .. } => {
                "SELECT * FROM postern.replication_findings shows all of it, with the commands that mend it; then enable the subscription."
            }
        }
    }
}
