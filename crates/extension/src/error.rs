//! Every error that the extension raises: SQLSTATE, message, DETAIL and HINT in one place.
//!
//! Display is the primary message, in the manner of PostgreSQL's style guide: lower case, no final period.
//! <https://www.postgresql.org/docs/current/error-style-guide.html>

use std::borrow::Cow;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library was not in `shared_preload_libraries`.
    #[error("postern must be loaded through shared_preload_libraries")]
    NotPreloaded,
    /// `enter` was called by anyone but the gate's login role.
    #[error("permission denied to enter an identity")]
    WrongCaller,
    /// `enter` was called through a SECURITY DEFINER function, or is one.
    #[error("cannot enter an identity from a security-definer function")]
    InDefiner,
    /// A right of our background workers was asked for elsewhere, or twice.
    #[error("permission denied to enter identities as a background worker")]
    NotOurWorker,
    /// The connection was sealed and the key does not match.
    #[error("permission denied to enter an identity")]
    WrongSeal,
    /// A second `seal` in one session.
    #[error("connection is already sealed")]
    AlreadySealed,
    /// An empty key.
    #[error("seal must not be empty")]
    EmptySeal,
    /// A second `enter` in one transaction.
    #[error("transaction has already entered an identity")]
    AlreadyEntered {
        /// The role that stands.
        role: String,
    },
    /// A step of a durable function returns too much.
    #[error("the result of the step is larger than {limit} bytes")]
    ResultTooLarge {
        /// The most that a result may have.
        limit: usize,
    },
    /// SQL of an identity that does not stand was about to be run: a fault of ours.
    #[error("the identity of role \"{role}\" does not stand")]
    NotEntered {
        /// The role as which it was to be run.
        role: String,
    },
    /// `enter` in a subtransaction, a transaction block, a function with SET, not first, or in a parallel operation.
    #[error("cannot enter an identity here")]
    WrongState {
        /// Which rule is broken; a whole sentence.
        why: &'static str,
    },
    /// No role of that name.
    #[error("role \"{0}\" does not exist")]
    UnknownRole(String),
    /// A name longer than the server's names are.
    #[error("role name is too long")]
    NameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// No role with that OID.
    #[error("role with OID {0} does not exist")]
    DroppedRole(u32),
    /// A NULL where a value is needed.
    #[error("{0} must not be null")]
    Null(&'static str),
    /// The role is not on the list.
    #[error("permission denied to enter role \"{role}\"")]
    NotAdmitted {
        /// The role that was asked for.
        role: String,
    },
    /// The role has, or reaches through membership, what no entered role may have.
    #[error("permission denied to enter role \"{role}\"")]
    TooPowerful {
        /// The role that was asked for.
        role: String,
        /// The role that has the power: the same one, or one that it is a member of.
        through: String,
        /// The power: "is a superuser", …
        what: &'static str,
    },
    /// Facts that are not a JSON object.
    #[error("facts must be a JSON object")]
    FactsNotObject,
    /// Facts that are not JSON; where they stop being that.
    #[error("facts must be a JSON object")]
    FactsNotJson(String),
    /// Facts over `postern.max_facts_bytes`.
    #[error("facts are too large")]
    FactsTooLarge {
        /// Their size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A path that is neither names with dots nor a JSON pointer.
    #[error("invalid path of a fact: \"{0}\"")]
    FactPath(String),
    /// Transaction control while entered.
    #[error("{0} is not allowed while an identity is entered")]
    TransactionControl(&'static str),
    /// A statement that would outlast the request.
    #[error("{0} is not available while an identity is entered")]
    NotOffered(&'static str),
    /// A statement that changes what other sessions get.
    #[error("permission denied to use {0} while an identity is entered")]
    Forbidden(&'static str),
    /// SET ROLE and its kin.
    #[error("cannot change the role while an identity is entered")]
    ChangeRole {
        /// The role that stands.
        role: String,
    },
    /// The texts of named statements, which belong to everyone who uses the connection.
    #[error("permission denied to read prepared statements while an identity is entered")]
    PreparedStatements,
    /// What is of the operator's session, in a look.
    #[error("{0} of the session are not available in a look as somebody else")]
    OfOperator(&'static str),
    /// A temporary object while `postern.allow_temp` is off.
    #[error("temporary objects are not available while an identity is entered")]
    TemporaryObject,
    /// The operating system gave no random bytes.
    #[error("could not get random bytes")]
    NoRandomness,
    /// Durable functions refuse it.
    #[error(transparent)]
    Durable(#[from] crate::durable::Refusal),
    /// The rules of replication refuse it.
    #[error(transparent)]
    Replication(Box<crate::replication::Refusal>),
    /// A look as a role that is not the caller's, or with facts.
    #[error("permission denied to look as role \"{role}\"")]
    NotYours {
        /// The role that was asked for.
        role: String,
    },
    /// A value of `postern.caller` from text.
    #[error("cannot accept a value of type postern.caller")]
    MadeCaller,
    /// NULL for who asks.
    #[error("a value of type postern.caller must not be null")]
    NoCaller,
    /// Direct access was being granted while the plain privilege was being taken away.
    #[error("could not grant direct access because the privilege was revoked at the same time")]
    RevokedMeanwhile,
    /// Rows would be missing, and the role is to be told.
    #[error("row security would filter \"{relation}\" for role \"{role}\"")]
    Filtered {
        /// The table, with its schema.
        relation: String,
        /// The role that the table is accessed as.
        role: String,
        /// The commands in error mode that the statement needs.
        commands: String,
        /// The names of the policies for that role.
        policies: String,
    },
    /// A SECURITY DEFINER subprogram whose names its callers could capture.
    #[error("SECURITY DEFINER {kind} {identity} has no safe search_path")]
    UnsafeDefiner {
        /// Function or procedure.
        kind: String,
        /// Its name with its schema and the types of its arguments.
        identity: String,
        /// Why not.
        problem: String,
        /// The statement that mends it.
        remedy: String,
    },
    /// The extension's objects in this database are not of the library's version.
    #[error(
        "extension postern is {installed} in this database, and its library is {}",
        crate::version::LIBRARY
    )]
    OtherVersion {
        /// Their version.
        installed: String,
        /// What a statement of ours met with.
        problem: Option<String>,
    },
    /// An update that would end at another version than the library's.
    #[error("extension postern cannot be updated to {installed} here")]
    UpdatedTo {
        /// That version.
        installed: String,
    },
    /// SPI ran nothing.
    #[error("could not run the query: {0}")]
    Spi(String),
    /// Postern's own tables are not where they should be.
    #[error("extension postern is not installed in this database")]
    NotInstalled,
}

impl Error {
    /// SQLSTATE, DETAIL and HINT, for who records the error instead of raising it.
    pub fn parts(&self) -> (String, Option<String>, Option<String>) {
        (crate::pg::caught::sqlstate(self.code() as i32), self.detail(), self.hint().map(Cow::into_owned))
    }

    /// Says it as a warning instead of raising it.
    pub fn warn(self) {
        ErrorReport::from(self).report(PgLogLevel::WARNING);
    }

    fn code(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as C;
        match self {
            Self::WrongCaller
            | Self::InDefiner
            | Self::NotOurWorker
            | Self::WrongSeal
            | Self::NotAdmitted { .. }
            | Self::TooPowerful { .. }
            | Self::Forbidden(_)
            | Self::ChangeRole { .. }
            | Self::Filtered { .. }
            | Self::NotYours { .. }
            | Self::PreparedStatements => C::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::NotPreloaded
            | Self::AlreadyEntered { .. }
            | Self::NotEntered { .. }
            | Self::WrongState { .. }
            | Self::NotInstalled
            | Self::OtherVersion { .. }
            | Self::UpdatedTo { .. }
            | Self::AlreadySealed => C::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::UnknownRole(_) | Self::DroppedRole(_) => C::ERRCODE_UNDEFINED_OBJECT,
            Self::Null(_) | Self::NoCaller => C::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Self::FactsNotObject | Self::FactPath(_) | Self::EmptySeal => C::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::FactsNotJson(_) => C::ERRCODE_INVALID_TEXT_REPRESENTATION,
            Self::NameTooLong { .. } => C::ERRCODE_NAME_TOO_LONG,
            Self::FactsTooLarge { .. } => C::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            Self::ResultTooLarge { .. } => C::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::TransactionControl(_) => C::ERRCODE_INVALID_TRANSACTION_TERMINATION,
            Self::NotOffered(_) | Self::TemporaryObject | Self::OfOperator(_) | Self::MadeCaller => {
                C::ERRCODE_FEATURE_NOT_SUPPORTED
            }
            Self::UnsafeDefiner { .. } => C::ERRCODE_INVALID_FUNCTION_DEFINITION,
            Self::RevokedMeanwhile => C::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Self::NoRandomness | Self::Spi(_) => C::ERRCODE_INTERNAL_ERROR,
            Self::Durable(refusal) => refusal.code(),
            Self::Replication(refusal) => refusal.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::WrongCaller => Some("Only the login role \"postern_gate\" may enter, as itself.".into()),
            Self::WrongSeal => Some("The connection is sealed with another key.".into()),
            Self::AlreadyEntered { role } | Self::ChangeRole { role } => {
                Some(format!("The transaction runs as role \"{role}\" until it ends."))
            }
            Self::WrongState { why } => Some((*why).into()),
            Self::NotAdmitted { .. } => Some("The role is not admitted, or was renamed since it was.".into()),
            Self::TooPowerful { role, through, what } if role == through => Some(format!("The role {what}.")),
            Self::TooPowerful { through, what, .. } => {
                Some(format!("The role is a member of \"{through}\", which {what}."))
            }
            Self::FactsNotJson(why) => Some(format!("They are not JSON: {why}.")),
            Self::NameTooLong { bytes } => Some(format!("It has {bytes} bytes; names have at most 63.")),
            Self::FactsTooLarge { bytes, limit } => {
                Some(format!("They have {bytes} bytes; postern.max_facts_bytes is {limit}."))
            }
            Self::ResultTooLarge { .. } => Some("That is postern.max_result_bytes.".into()),
            Self::TransactionControl(_) => {
                Some("The transaction belongs to whoever entered it, and ends with the request.".into())
            }
            Self::NotOffered(_) => {
                Some("It would outlast the request, and the connection serves others after it.".into())
            }
            Self::MadeCaller => Some("It says who asks, and nobody says that for somebody else.".into()),
            Self::PreparedStatements => Some("They are of everyone whom this connection serves.".into()),
            Self::Filtered { commands, policies, .. } if policies.is_empty() => {
                Some(format!("No policy lets the role see or write any row. In error mode: {commands}."))
            }
            Self::Filtered { commands, policies, .. } => {
                Some(format!("Policies for this role: {policies}. In error mode: {commands}."))
            }
            Self::UnsafeDefiner { problem, .. } => Some(sentence(problem)),
            Self::OtherVersion { problem: Some(problem), .. } => {
                Some(format!("What was to be asked of it failed: {problem}."))
            }
            Self::OtherVersion { .. } => {
                Some("Until both are of one version, durable functions wait, and nobody is entered.".into())
            }
            Self::UpdatedTo { .. } => {
                Some(format!("The server has loaded the library of version {}.", crate::version::LIBRARY))
            }
            Self::TemporaryObject => Some("The connection serves others after this request.".into()),
            Self::OfOperator(what) => Some(format!("The session's {what} are those of whoever looks.")),
            Self::Durable(refusal) => refusal.detail(),
            Self::Replication(refusal) => Some(refusal.detail()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Replication(refusal) => Some(refusal.hint().into()),
            Self::UnsafeDefiner { remedy, .. } => {
                let hint = format!(
                    "Write the schema of every name in it, then run: {remedy}; or make it BEGIN ATOMIC."
                );
                Some(hint.into())
            }
            Self::OtherVersion { installed, .. } => Some(crate::version::remedy(installed).into()),
            Self::UpdatedTo { .. } => Some(
                format!("Restart the server with the files of the version that you want; now, ALTER EXTENSION postern UPDATE TO '{}'.", crate::version::LIBRARY).into(),
            ),
            _ => self.advice().map(Cow::Borrowed),
        }
    }

    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NotPreloaded => {
                Some("Add postern to shared_preload_libraries in postgresql.conf and restart the server.")
            }
            Self::WrongCaller => {
                Some("Send the request to the gate, or look as the role with postern.run_as().")
            }
            Self::InDefiner => Some("Call it directly, as the first statement of a transaction."),
            Self::WrongSeal => {
                Some("Only the program that has sealed a connection enters on it; connect anew.")
            }
            Self::AlreadySealed => Some("Connect anew to use another key."),
            Self::EmptySeal => Some("Give a random key."),
            Self::AlreadyEntered { .. } => Some("Enter in a transaction of its own."),
            Self::WrongState { .. } => Some(
                "Call postern.enter() first in a transaction, without BEGIN, savepoint or function around it.",
            ),
            Self::UnknownRole(_) => Some("Check the spelling; upper and lower case count."),
            Self::NameTooLong { .. } => Some("Give the name as the server has it: it cuts longer ones."),
            Self::DroppedRole(_) => Some("Name a role that exists."),
            Self::FactsNotObject | Self::FactsNotJson(_) => {
                Some("Give an object such as {\"claims\": {}}, or NULL for no facts.")
            }
            Self::FactsTooLarge { .. } => {
                Some("Leave out claims that no policy reads, or raise postern.max_facts_bytes.")
            }
            Self::PreparedStatements => Some("Send the statement itself, with parameters."),
            Self::NotOffered("LISTEN" | "UNLISTEN") => {
                Some("Listen on a direct connection, in a role with a login.")
            }
            Self::NotOffered("DISCARD") => Some("Leave it out: nothing of a request is left for the next."),
            Self::NotOffered("COPY") => Some("Use SELECT or INSERT."),
            Self::NoRandomness => {
                Some("Try again; if it stays so, look at the system's source of randomness.")
            }
            Self::NotAdmitted { .. } => Some("An operator may admit it: SELECT postern.admit('…')."),
            Self::TooPowerful { .. } => Some("Enter a role that owns and may do only what its users need."),
            Self::ResultTooLarge { .. } => {
                Some("Let the step return less: aggregate, or write into a table of yours.")
            }
            Self::FactPath(_) => Some("Write 'claims.sub', or the JSON pointer '/claims/sub'."),
            Self::TransactionControl(_) => Some("Send the statements that belong together as one batch."),
            Self::NotOffered("PREPARE" | "EXECUTE" | "DEALLOCATE") => {
                Some("Send the statement itself, with parameters; its plan is reused where it is run often.")
            }
            Self::NotOffered("DECLARE … WITH HOLD") => Some("Fetch what you need in the same request."),
            Self::NotOffered("COPY FROM STDIN") => {
                Some("Use INSERT with arrays as parameters: unnest($1::text[], …).")
            }
            Self::NotOffered("COPY TO STDOUT") => Some("Use SELECT; the answer may be streamed as CSV."),
            Self::OfOperator("descriptors of large objects") => Some("Use lo_get() and lo_put()."),
            Self::OfOperator("cursors") => Some("Ask for them outside the look."),
            Self::OfOperator(_) => Some("Use pg_advisory_xact_lock() and its kin, which end with the look."),
            Self::TemporaryObject => Some("Use WITH queries or arrays, or set postern.allow_temp."),
            Self::MadeCaller | Self::NoCaller => Some("Call postern.caller()."),
            Self::RevokedMeanwhile => Some("Run the transaction again."),
            Self::NotYours { .. } => {
                Some("Be a member of the role, and give no facts, or ask a member of postern_admin.")
            }
            Self::Filtered { .. } => Some(
                "Ask the owner of the table for direct access (postern.grant_direct), or for the mode \"on\" \
                 (postern.set_row_security).",
            ),
            Self::ChangeRole { .. } => Some("Send the request with a credential for the other role."),
            Self::Forbidden(_) => Some("Connect directly as an operator to do this."),
            Self::NotInstalled => Some("Run CREATE EXTENSION postern."),
            Self::Durable(refusal) => refusal.hint(),
            _ => None,
        }
    }
}

impl From<crate::replication::Refusal> for Error {
    fn from(refusal: crate::replication::Refusal) -> Self {
        Self::Replication(Box::new(refusal))
    }
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> Self {
        let mut report = ErrorReport::new(error.code(), error.to_string(), "postern");
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail);
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint);
        }
        report
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Raises where no `Result` can be returned: in a hook or a callback. Call it under `#[pg_guard]` only.
#[track_caller]
pub fn raise(error: Error) -> ! {
    ErrorReport::from(error).report(PgLogLevel::ERROR);
    unreachable!("a report of level ERROR does not return")
}
