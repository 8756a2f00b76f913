//! Every refusal of the language: SQLSTATE, message, DETAIL and HINT in one place.
//!
//! Where a known durable-function script may look at a message, ours is the known one, capital letter and function name
//! included; messages for what only Postern has follow PostgreSQL's style guide.

/// The most bytes of a label, a key, and the names of signals, schedules and variables: each is in an index, whose rows the server
/// bounds.
pub const MAX_NAME: usize = 2_000;

/// Refuses a name that is too long.
pub fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    if name.len() > MAX_NAME { Err(Error::TooLong { what, bytes: name.len() }) } else { Ok(()) }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is too long for an index.
    #[error("{what} is too long")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A `?>` without its `!>`, where a step is expected.
    #[error("Invalid if-then-else: a ?> expression needs !> and its other branch")]
    HalfIf,
    /// A value of a constructor's argument that means nothing. The text is the whole message.
    #[error("{0}")]
    Argument(String),
    /// `!>` behind something that is JSON but no half IF.
    #[error("Invalid if-then-else: left side of !> must be a ?> expression")]
    NotHalfIf,
    /// `!>` behind something that is not JSON.
    #[error("invalid input syntax for type json")]
    NotJson,
    /// What a function of the control plane answered was used as a step.
    #[error("df.{0} cannot be used as a workflow step. Call df.{0} before df.start().")]
    Misused(String),
    /// The same, given to `df.start`.
    #[error(
        "Invalid durable function: df.{0} cannot be used as a workflow step. Call df.{0} before df.start()."
    )]
    MisusedStart(String),
    /// Node JSON given to a composer that has the wrong shape.
    #[error("Invalid Durofut JSON: failed to deserialize workflow step: {0}")]
    Step(String),
    /// What `df.start` was given is no durable function.
    #[error("Invalid durable function: {0}")]
    Function(String),
    /// The graph breaks a rule at `path`.
    #[error("Invalid durable function graph: {path}: {message}")]
    Graph {
        /// Where: `root.left.condition_node`.
        path: String,
        /// Which rule.
        message: String,
        /// Whether the rule is one of size.
        limit: bool,
    },
    /// A cron expression that cannot be read, or never comes.
    #[error("Invalid cron expression '{expression}': {reason}")]
    Cron {
        /// As written.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A reference to a result that gives nothing. The text is the whole message.
    #[error("{0}")]
    Reference(String),
    /// A reference to a column that the result has not. The text is the whole message.
    #[error("{0}")]
    MissingField(String),
    /// A statement with references has a positional parameter of its own.
    #[error("there is no parameter {0}")]
    Positional(String),
    /// A value with the one character that PostgreSQL cannot store.
    #[error("a value holds the character U+0000")]
    Nul,
    /// A text that references have made larger than [`MAX_TEXT`](crate::substitute::MAX_TEXT).
    #[error("a text with its values put in is too large")]
    TooLarge,
    /// A row set larger than `$name.*` takes. The text is the whole message.
    #[error("{0}")]
    TooManyRows(String),
}

impl Error {
    /// The five characters of the SQLSTATE.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotJson => "22P02",
            Self::Graph { limit: true, .. }
            | Self::TooManyRows(_)
            | Self::TooLarge
            | Self::TooLong { .. } => "54000",
            Self::Reference(_) => "22004",
            Self::MissingField(_) => "42703",
            Self::Positional(_) => "42P02",
            Self::Nul => "22P05",
            Self::Argument(_)
            | Self::NotHalfIf
            | Self::HalfIf
            | Self::Misused(_)
            | Self::MisusedStart(_)
            | Self::Step(_)
            | Self::Function(_)
            | Self::Graph { .. }
            | Self::Cron { .. } => "22023",
        }
    }

    /// Why; whole sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Misused(_) | Self::MisusedStart(_) => {
                Some("It runs at once and what it answers is no SQL statement.".into())
            }
            Self::TooLarge => Some("It may have 256 MB.".into()),
            Self::TooLong { bytes, .. } => Some(format!("It has {bytes} bytes; {MAX_NAME} are the most.")),
            _ => None,
        }
    }

    /// What to do instead; whole sentences.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::HalfIf => Some(
                "Write c ?> (a) !> (b): all these operators have one precedence. For nothing to be done otherwise, let b be an empty text.",
            ),
            Self::TooLong { .. } => Some("What is long belongs into a table, or into the data of a signal."),
            Self::NotHalfIf => Some(
                "All these operators have one precedence and associate to the left: put the branches in parentheses.",
            ),
            Self::Misused(_) | Self::MisusedStart(_) => {
                Some("To run it as a step, give its call as text: 'SELECT df.…'.")
            }
            Self::Graph { limit: true, .. } => {
                Some("df.call() and df.map() make instances and branches of their own.")
            }
            Self::Cron { .. } => Some(
                "Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday). \
                 \"CRON_TZ=Europe/Berlin 0 2 * * *\" gives a time zone.",
            ),
            _ => None,
        }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }

    pub(crate) fn graph(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Graph { path: path.into(), message: message.into(), limit: false }
    }
}
