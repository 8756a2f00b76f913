//! What durable functions refuse. The messages are those that pg_durable's users know, where it has the same refusal.

use pgrx::PgSqlErrorCode;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// An argument that must be given.
    #[error("argument {0} must not be null")]
    Null(&'static str),
    /// The function cannot be built, or is not one.
    #[error("{0}")]
    Language(#[from] postern_durable::Error),
    /// An unknown mode.
    #[error("invalid transaction_mode \"{0}\" for df.start(): expected 'caller' or 'new'")]
    TransactionMode(String),
    /// A step has a transaction of its own already.
    #[error(
        "df.start() with transaction_mode => 'new' cannot be called inside a workflow - a df.sql() node already runs as a single autocommitted statement, so a plain df.start() there is already independent of any caller transaction"
    )]
    NewInside,
    /// A new transaction for whoever may not write.
    #[error("cannot execute {0} in a new transaction from a read-only transaction")]
    ReadOnly(&'static str),
    /// A look through another's eyes, with facts that the looker chose, leaves no trace.
    #[error("cannot execute {0} in a new transaction while looking as another role")]
    Look(&'static str),
    /// Too many at once.
    #[error(
        "pg_durable: transaction_mode => 'new' launch limit reached (max_new_transaction_starts={places}). Timed out after {seconds}s waiting for a launch slot."
    )]
    NoPlace {
        /// How many there may be.
        places: i32,
        /// How long it waited.
        seconds: i32,
    },
    /// Nobody did it.
    #[error("{0} in a new transaction: no background worker did it")]
    NoWorker(&'static str),
    /// A request that no letter holds.
    #[error("the durable function is too long for a new transaction")]
    TooLong,
    /// It failed in the new transaction.
    #[error("{what} on new transaction failed: {message}")]
    Elsewhere {
        /// What.
        what: &'static str,
        /// The failure's SQLSTATE.
        code: PgSqlErrorCode,
        /// Its message.
        message: String,
        /// Its detail.
        detail: Option<String>,
    },
    /// No such database.
    #[error("database \"{0}\" does not exist")]
    NoDatabase(String),
    /// What is done in another database is done at once, which a step's attempt is not.
    #[error("{0} in another database cannot be called inside a workflow")]
    OtherDatabase(&'static str),
    /// A template, or a database that takes no connections.
    #[error("database \"{0}\" takes no durable functions")]
    NotServed(String),
    /// The role has no right to start anything there.
    #[error("role \"{role}\" may not use durable functions in database \"{database}\"")]
    NoUse {
        /// Who.
        role: String,
        /// Where.
        database: String,
    },
    /// `postern.start_requires_login`.
    #[error("current_user \"{0}\" does not have LOGIN privilege")]
    NoLogin(String),
    /// The role may not connect to the database.
    #[error("role \"{0}\" may not connect to the database")]
    NoConnect(String),
    /// `postern.enable_superuser_instances`.
    #[error(
        "pg_durable: superuser instances are disabled. current_user \"{0}\" is a superuser, but pg_durable.enable_superuser_instances is off. Set pg_durable.enable_superuser_instances = on to allow this."
    )]
    Superuser(String),
    /// Started from inside a SECURITY DEFINER function while `postern.start_in_definer` is `refuse`.
    #[error("{called} inside a SECURITY DEFINER function is refused")]
    InDefiner {
        /// What was called.
        called: &'static str,
        /// The function.
        function: String,
        /// Its owner, whom the steps would run as.
        role: String,
        /// Who called it.
        session: String,
    },
    /// Too many collisions.
    #[error("Failed to create instance: exhausted 10 attempts to generate a collision-free ID")]
    NoId,
    /// Not there, or someone else's.
    #[error("Instance not found or access denied: {0}")]
    NotFound(String),
    /// In another database, where this can be done only.
    #[error("Instance not found or access denied: {id}")]
    NotHere {
        /// Which.
        id: String,
        /// Where it is.
        database: String,
    },
    /// `df.await_instance` does not know it.
    #[error("Instance not found: {0}")]
    Unknown(String),
    /// An empty argument.
    #[error("{0} cannot be empty")]
    Empty(&'static str),
    /// A pause that would be over before it began.
    #[error("df.retry: {0} must be non-negative")]
    Negative(&'static str),
    /// A time-out that is none.
    #[error("Timeout must be positive")]
    Timeout,
    /// Waiting took too long.
    #[error(
        "Timeout after {seconds}s waiting for instance {id} (status: {status}). Check if background worker is running."
    )]
    TimedOut {
        /// How long.
        seconds: i32,
        /// For which.
        id: String,
        /// What it is doing.
        status: String,
    },
    /// A function that would wait for itself.
    #[error(
        "df.await_instance() cannot be called inside a workflow - it would block a worker thread (and self-deadlock if waiting on the current instance). Use df.signal() and df.wait_for_signal() for cross-workflow coordination."
    )]
    AwaitInside,
    /// Between transactions there must be none around it.
    #[error("df.await() cannot be called inside a transaction block, a function or a request of the gate")]
    AwaitInBlock,
    /// Variables belong to the start.
    #[error("df.{function}() cannot be called inside a workflow - {instead}")]
    VariablesInside {
        /// Which function.
        function: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// Nothing is left to be paused.
    #[error("instance has ended: {0}")]
    HasEnded(String),
    /// `df.rerun` is for what has failed.
    #[error("instance has not failed: {0}")]
    NotFailed(String),
    /// A failure that nothing can go on from.
    #[error("instance cannot go on from where it failed")]
    NoWayBack,
    /// No schedule of that name.
    #[error("schedule \"{0}\" does not exist")]
    NoSchedule(String),
    /// A schedule that never comes.
    #[error("the schedule never comes: {0}")]
    Never(String),
    /// A secret in a step.
    #[error("df.set_secret() cannot be called inside a workflow - set secrets before starting the workflow")]
    SecretInside,
    /// A name that nobody could write.
    #[error("invalid name of a secret")]
    SecretName,
    /// Nothing, or too much.
    #[error("a secret has between 1 byte and 64 kB")]
    SecretSize,
    /// No such secret.
    #[error("secret \"{0}\" does not exist")]
    NoSecret(String),
    /// Why there is no key.
    #[error("there is no key for secrets")]
    NoKey(&'static str),
    /// It came with a copy of its database, where it was another role's.
    #[error("it was another role's where it was copied from")]
    OtherHome,
    /// A picture of a kind that there is not.
    #[error("unknown format \"{0}\": expected 'text', 'mermaid' or 'svg'")]
    Format(String),
    /// A priority out of range.
    #[error("priority must be between -100 and 100")]
    Priority,
}

impl Refusal {
    /// Its SQLSTATE.
    pub fn code(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as C;
        match self {
            Self::Null(_) => C::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Self::Never(_)
            | Self::SecretName
            | Self::SecretSize
            | Self::TransactionMode(_)
            | Self::Empty(_)
            | Self::Timeout
            | Self::Negative(_)
            | Self::Priority
            | Self::Format(_) => C::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::SecretInside
            | Self::NewInside
            | Self::Look(_)
            | Self::OtherDatabase(_)
            | Self::AwaitInside
            | Self::VariablesInside { .. } => C::ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::Language(error) => match error.sqlstate() {
                "22P02" => C::ERRCODE_INVALID_TEXT_REPRESENTATION,
                "54000" => C::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "22004" => C::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                _ => C::ERRCODE_INVALID_PARAMETER_VALUE,
            },
            Self::NotServed(_)
            | Self::HasEnded(_)
            | Self::NotFailed(_)
            | Self::NoWayBack
            | Self::NoKey(_) => C::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::NoDatabase(_) => C::ERRCODE_INVALID_CATALOG_NAME,
            Self::OtherHome
            | Self::NoLogin(_)
            | Self::NoConnect(_)
            | Self::NoUse { .. }
            | Self::Superuser(_)
            | Self::InDefiner { .. } => C::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::NoId | Self::TooLong => C::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::AwaitInBlock => C::ERRCODE_ACTIVE_SQL_TRANSACTION,
            Self::ReadOnly(_) => C::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            Self::NoPlace { .. } => C::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            Self::NoWorker(_) => C::ERRCODE_INSUFFICIENT_RESOURCES,
            Self::Elsewhere { code, .. } => *code,
            Self::NotFound(_)
            | Self::NotHere { .. }
            | Self::Unknown(_)
            | Self::NoSchedule(_)
            | Self::NoSecret(_) => C::ERRCODE_UNDEFINED_OBJECT,
            Self::TimedOut { .. } => C::ERRCODE_QUERY_CANCELED,
        }
    }

    /// Why.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Elsewhere { detail, .. } => detail.clone(),
            Self::NoWorker(_) => Some("None was free, or it ended before it was done.".into()),
            Self::OtherDatabase(_) => Some(
                "The step's attempt may be rolled back, and be made again; what it did there would stay."
                    .into(),
            ),
            Self::NotServed(_) => Some("It is a template, or it allows no connections.".into()),
            Self::NoUse { .. } => Some("It needs USAGE on schema df and EXECUTE on df.start() there.".into()),
            Self::InDefiner { function, role, session, .. } => Some(format!(
                "Called through {function}, the steps would run as its owner \"{role}\", for \"{session}\" who called it."
            )),
            Self::Language(error) => error.detail(),
            Self::AwaitInBlock => Some(
                "It ends its transaction before it waits, so that it holds back nothing meanwhile.".into(),
            ),
            Self::HasEnded(_) => Some("What has ended takes no further step.".into()),
            Self::NotFailed(_) => Some("Only what has failed can go on from the step that failed.".into()),
            Self::NoWayBack => Some("Its undo steps have run, or what failed was no step.".into()),
            Self::SecretInside => {
                Some("The step's text would be kept with the function, and the secret in it.".into())
            }
            Self::NoSecret(_) => Some("A secret is known to the role that set it.".into()),
            Self::OtherHome => {
                Some("In the copy, the number of a role that was dropped is another role's.".into())
            }
            Self::NoKey(why) => Some((*why).into()),
            Self::NoSchedule(_) => Some("A schedule is known to the role that its functions run as.".into()),
            Self::NotHere { database, .. } => Some(format!("It is in database \"{database}\".")),
            Self::NotFound(_) => Some(
                "An instance can be reached by the role that it runs as, in the database where it runs."
                    .into(),
            ),
            _ => None,
        }
    }

    /// What to do instead.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Language(error) => error.hint(),
            Self::NewInside => Some("Leave transaction_mode out."),
            Self::Look(_) => Some("postern.run_as() and its kin roll everything back, and this would stay."),
            Self::ReadOnly(_) => Some("It would be written all the same. Use a transaction that may write."),
            Self::NoPlace { .. } => {
                Some("Raise postern.max_new_transaction_starts or postern.new_transaction_start_timeout.")
            }
            Self::NoWorker(_) => Some("Raise max_worker_processes if it is often so."),
            Self::Elsewhere { code: PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, .. } => {
                Some("The new transaction may have waited for what the caller's own holds.")
            }
            Self::OtherDatabase(_) => {
                Some("Have a schedule of that database do it, or start it from outside.")
            }
            Self::NotServed(_) => Some("Name a database that has the extension."),
            Self::NoUse { .. } => Some("df.grant_usage() in that database."),
            Self::Elsewhere { code: PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, .. } => {
                Some("CREATE EXTENSION postern in that database.")
            }
            Self::Negative(_) => Some("An interval of '0' has it tried again at once."),
            Self::NoLogin(_) => Some("Grant LOGIN to the role, or turn postern.start_requires_login off."),
            Self::NoConnect(_) => Some("GRANT CONNECT ON DATABASE … TO the role."),
            Self::Superuser(_) => {
                Some("Start it as the role whose work it is, or set postern.enable_superuser_instances.")
            }
            Self::InDefiner { .. } => Some(
                "Make the function SECURITY INVOKER, or set postern.start_use_session_user so that steps run as whoever called.",
            ),
            Self::TimedOut { status, .. } if status == "running" => Some(
                "What waits for older statements, as CREATE INDEX CONCURRENTLY does, waits for this one: CALL df.await() holds nothing up.",
            ),
            Self::TimedOut { .. } => {
                Some("A function that was started in this transaction runs when it is committed.")
            }
            Self::AwaitInBlock => Some("df.await_instance() waits inside one."),
            Self::HasEnded(status) if status == "failed" => {
                Some("df.rerun() has it go on from the step that failed.")
            }
            Self::HasEnded { .. } | Self::NoWayBack => Some("df.start() starts the function anew."),
            Self::NotFailed(status) if status == "paused" => Some("df.resume() has it go on."),
            Self::NotFailed(_) => Some("df.start() starts a function anew."),
            Self::SecretName => Some("Letters, digits and underscores, a digit not first."),
            Self::NoSecret(_) => Some("df.secrets shows yours."),
            Self::OtherHome => Some("df.cancel() ends it; df.unschedule() takes a schedule away."),
            Self::NoKey(_) => Some(
                "An administrator makes one (openssl rand -hex 32), for the server and for the outbound worker.",
            ),
            Self::NoSchedule(_) => Some("df.schedules shows yours."),
            Self::NotHere { .. } => Some("Connect to that database."),
            Self::Unknown(_) | Self::NotFound(_) => Some("df.list_instances() shows yours."),
            _ => None,
        }
    }
}
