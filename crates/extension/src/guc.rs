//! The settings, with what an administrator gets from each.

use core::ffi::{CStr, c_char, c_void};
use std::cell::RefCell;
use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PgSqlErrorCode, pg_guard, pg_sys};

use crate::{identity, pg};

/// `postern.allow_temp` (off; superuser): entered identities may make temporary objects. They are dropped before the
/// connection serves the next identity, at the price of a catalog change for each.
pub static ALLOW_TEMP: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.max_facts_bytes` (64 kB; superuser): larger facts are refused.
pub static MAX_FACTS_BYTES: GucSetting<i32> = GucSetting::<i32>::new(65_536);

/// `postern.library_version`: the version of the library that the server has loaded. It cannot be set.
static LIBRARY_VERSION: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(crate::version::LIBRARY_NAME));

/// `postern.executors` (-1: as many as there are processors, at least 4; superuser, configuration file): background workers for
/// durable functions in each database that has the extension. Each runs one statement at a time.
pub static EXECUTORS: GucSetting<i32> = GucSetting::<i32>::new(-1);

/// `postern.step_timeout` (0: none; superuser): a statement of a durable function that takes longer fails.
pub static STEP_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(0);

/// `postern.loop_min_interval` (1 s; superuser): an iteration of `df.loop()` that waited for nothing takes at least this long,
/// so that an empty loop does not take a processor.
pub static LOOP_MIN_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(1_000);

/// `postern.loop_max_iterations` (100 000; superuser): a loop with more fails.
pub static LOOP_MAX_ITERATIONS: GucSetting<i32> = GucSetting::<i32>::new(100_000);

/// `postern.list_instances_max_limit` (1000; superuser): `df.list_instances()` gives no more rows at once.
static LIST_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(LIST_LIMIT_DEFAULT);
static LIST_LIMIT_ALIAS: GucSetting<i32> = GucSetting::<i32>::new(LIST_LIMIT_DEFAULT);
const LIST_LIMIT_DEFAULT: i32 = 1_000;

/// `postern.enable_superuser_instances` (off; superuser): durable functions of superusers.
pub static SUPERUSER_INSTANCES: GucSetting<bool> = GucSetting::<bool>::new(false);
static SUPERUSER_INSTANCES_ALIAS: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.start_use_session_user` (off; superuser): `df.start()` captures the identity of the session, not the current user.
/// Inside a SECURITY DEFINER function, steps then run as whoever called it.
static START_USE_SESSION_USER: GucSetting<bool> = GucSetting::<bool>::new(false);
static START_USE_SESSION_USER_ALIAS: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.start_requires_login` (off; superuser): only roles with LOGIN start durable functions.
pub static START_REQUIRES_LOGIN: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.http_private_hosts` (empty; superuser): `host:port`, separated by commas, that HTTP steps may reach although their
/// address is one of a private network or of this machine. The allow-list holds for them as well. Read by SQL only.
static HTTP_PRIVATE_HOSTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// `postern.start_in_definer` (warn; superuser): what `df.start()` does inside a SECURITY DEFINER function of someone else.
pub static START_IN_DEFINER: GucSetting<InDefiner> = GucSetting::<InDefiner>::new(InDefiner::Warn);

/// `postern.definer_rule` (warn; superuser): what becomes of a SECURITY DEFINER subprogram whose names its callers could capture.
pub static DEFINER_RULE: GucSetting<DefinerRule> = GucSetting::<DefinerRule>::new(DefinerRule::Warn);

/// `postern.definer_rule_in_extensions` (off; superuser): whether that holds for the scripts of extensions.
pub static DEFINER_RULE_IN_EXTENSIONS: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.step_commit` (group; superuser): whether short steps of one identity share a commit.
pub static STEP_COMMIT: GucSetting<StepCommit> = GucSetting::<StepCommit>::new(StepCommit::Group);

/// `postern.max_result_bytes` (32 MB; superuser): a step of a durable function whose rows are larger, as JSON, fails.
pub static MAX_RESULT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024 * 1024);

/// `postern.retention_days` (30; superuser, configuration file): how long functions that have ended are kept.
pub static RETENTION_DAYS: GucSetting<i32> = GucSetting::<i32>::new(30);

/// `postern.retention_instances` (10 000; superuser, configuration file): how many instances are kept in each database; one that
/// has ended is removed when so many have been started since.
pub static RETENTION_INSTANCES: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// `postern.adopt_copies` (off; superuser, configuration file): what came with a copy of a database goes on in it by itself.
pub static ADOPT_COPIES: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `postern.secrets_key_file` (configuration file): where the key is that secrets of HTTP steps are sealed with.
static SECRETS_KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// The file with the key of secrets.
pub fn secrets_key_file() -> Option<std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let path = SECRETS_KEY_FILE.get().filter(|path| !path.is_empty())?;
    Some(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// `postern.max_new_transaction_starts` (2; superuser, configuration file): how many processes of the server may have something
/// done in a transaction of its own at the same time.
pub static MAX_NEW_TRANSACTIONS: GucSetting<i32> = GucSetting::<i32>::new(2);

/// `postern.new_transaction_start_timeout` (5 s; superuser, configuration file): how long others wait for that.
pub static NEW_TRANSACTION_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5);

/// `postern.signal_mode` (transactional; anyone): when signals and requests to cancel arrive.
pub static SIGNAL_MODE: GucSetting<SignalMode> = GucSetting::<SignalMode>::new(SignalMode::Transactional);

/// When signals and requests to cancel arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, pgrx::PostgresGucEnum)]
pub enum SignalMode {
    /// With the sender's commit; a rollback takes them back.
    #[name = c"transactional"]
    Transactional,
    /// At once, whatever becomes of the sender's transaction.
    #[name = c"immediate"]
    Immediate,
}

/// `postern.trigger_rule` (members; superuser): what becomes of code that may not be attached to a table, or be replicated with it.
pub static TRIGGER_RULE: GucSetting<TriggerRule> = GucSetting::<TriggerRule>::new(TriggerRule::Members);

/// `postern.conflict_interval` (60 s; superuser, configuration file): how often the launcher looks at the counters of subscriptions,
/// for errors that no apply worker has noted.
pub static CONFLICT_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(60);

/// `postern.direct_grants` (error; superuser): what becomes of a GRANT or REVOKE on an object of the extension.
pub static DIRECT_GRANTS: GucSetting<DirectGrants> = GucSetting::<DirectGrants>::new(DirectGrants::Error);

/// What becomes of a GRANT or REVOKE on an object of the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, pgrx::PostgresGucEnum)]
pub enum DirectGrants {
    /// It is executed.
    #[name = c"off"]
    Off,
    /// The same, with a warning.
    #[name = c"warn"]
    Warn,
    /// It is refused.
    #[name = c"error"]
    Error,
}

/// `postern.trusted_extensions` (empty; superuser): extensions whose functions everyone may attach to a table. Read by SQL only.
static TRUSTED_EXTENSIONS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// What becomes of code that the rules do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, pgrx::PostgresGucEnum)]
pub enum TriggerRule {
    /// Nothing.
    #[name = c"off"]
    Off,
    /// A warning.
    #[name = c"warn"]
    Warn,
    /// An error for replicated tables, a warning for others.
    #[name = c"members"]
    Members,
    /// An error for every table.
    #[name = c"error"]
    Error,
}

/// What a commit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, pgrx::PostgresGucEnum)]
pub enum StepCommit {
    /// One step.
    #[name = c"each"]
    Each,
    /// Short steps of one identity that are due at the same time.
    #[name = c"group"]
    Group,
    /// The same, and without waiting for the disk, until an instance ends or something leaves the server.
    #[name = c"boundary"]
    Boundary,
}

/// What a start inside a SECURITY DEFINER function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, pgrx::PostgresGucEnum)]
pub enum InDefiner {
    /// It runs as the function's owner.
    #[name = c"allow"]
    Allow,
    /// The same, with a warning.
    #[name = c"warn"]
    Warn,
    /// It runs as the identity of the session.
    #[name = c"session"]
    Session,
    /// It is refused.
    #[name = c"refuse"]
    Refuse,
}

/// Asking the system reads files, and executors ask before each turn.
static PROCESSORS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
/// What becomes of a SECURITY DEFINER subprogram without a safe path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, pgrx::PostgresGucEnum)]
pub enum DefinerRule {
    /// Nothing is looked at.
    #[name = c"off"]
    Off,
    /// It is made, with a warning.
    #[name = c"warn"]
    Warn,
    /// It is refused.
    #[name = c"error"]
    Error,
}

/// How many executors a database has.
pub fn executors() -> usize {
    match usize::try_from(EXECUTORS.get()) {
        Ok(executors) => executors,
        Err(_) => *PROCESSORS
            .get_or_init(|| std::thread::available_parallelism().map_or(4, std::num::NonZero::get).max(4)),
    }
}

/// How many a database has at the most: one more than one role can use, so that a role whose steps take long leaves one to others.
pub fn executors_at_most() -> usize {
    match executors() {
        0 => 0,
        executors => executors + 1,
    }
}

/// How many rows `df.list_instances()` gives at most: by the one of the two names that was set.
pub fn list_limit() -> i32 {
    match LIST_LIMIT_ALIAS.get() {
        LIST_LIMIT_DEFAULT => LIST_LIMIT.get(),
        other => other,
    }
}

/// Whether superusers may have instances, by either name of the setting.
pub fn superuser_instances() -> bool {
    SUPERUSER_INSTANCES.get() || SUPERUSER_INSTANCES_ALIAS.get()
}

/// Whether a start captures the identity of the session, by either name of the setting.
pub fn start_use_session_user() -> bool {
    START_USE_SESSION_USER.get() || START_USE_SESSION_USER_ALIAS.get()
}

/// `postern.facts`: how the facts reach parallel workers, which take over the settings of their leader. Nobody sets it by
/// SQL: its check hook takes values from [`identity`] only. `null`: entered without facts. Empty: not entered, or no worker was
/// needed so far.
static FACTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// `request.jwt.claims`: what PostgREST fills, and policies written for it read. While entered it shows the `claims` of the
/// facts, whatever was set; otherwise it is an ordinary setting.
static CLAIMS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// Settings that policies may trust beside it: PostgREST's older form, one setting for each claim, which takes precedence in
/// the functions that Supabase ships, and what it tells of the request. While entered they are empty and cannot be set.
const EMPTY_NAMES: [&CStr; 8] = [
    c"request.jwt.claim",
    c"request.jwt.claim.sub",
    c"request.jwt.claim.role",
    c"request.jwt.claim.email",
    c"request.headers",
    c"request.cookies",
    c"request.method",
    c"request.path",
];
static EMPTY: [GucSetting<Option<CString>>; 8] = [const { GucSetting::<Option<CString>>::new(Some(c"")) }; 8];

const FACTS_NAME: &CStr = c"postern.facts";
const CLAIMS_NAME: &CStr = c"request.jwt.claims";

/// Defines every setting. Once, while preloading.
#[allow(unsafe_code, reason = "hooks are registered; each is guarded")]
pub fn init() {
    GucRegistry::define_bool_guc(
        c"postern.allow_temp",
        c"Lets entered identities make temporary objects.",
        c"They are dropped before the connection serves another identity.",
        &ALLOW_TEMP,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.max_facts_bytes",
        c"Sets the size of facts above which entering is refused.",
        c"Facts are kept in memory and copied to parallel workers.",
        &MAX_FACTS_BYTES,
        2,
        16 * 1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_string_guc(
        c"postern.library_version",
        c"Shows the version of the library that the server has loaded.",
        c"A database whose extension is of another version waits for ALTER EXTENSION postern UPDATE.",
        &LIBRARY_VERSION,
        GucContext::Internal,
        GucFlags::DISALLOW_IN_FILE,
    );
    durable();
    replication();
    names();
    let hidden = GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL | GucFlags::DISALLOW_IN_FILE;
    // SAFETY: the hooks below are guarded, do not raise, and read the value as the C string that the server passes.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            FACTS_NAME,
            c"Carries the facts of the entered identity to parallel workers.",
            c"It cannot be set.",
            &FACTS,
            GucContext::Suset,
            hidden,
            Some(check_facts),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            CLAIMS_NAME,
            c"Shows the claims of the entered identity.",
            c"It can be set only while no identity is entered.",
            &CLAIMS,
            GucContext::Userset,
            GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL,
            Some(check_claims),
            None,
            Some(show_claims),
        );
        for ((name, setting), show) in EMPTY_NAMES.into_iter().zip(&EMPTY).zip(SHOW_EMPTY) {
            GucRegistry::define_string_guc_with_hooks(
                name,
                c"Is empty while an identity is entered.",
                c"It can be set only while no identity is entered.",
                setting,
                GucContext::Userset,
                GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL,
                Some(check_claims),
                None,
                Some(show),
            );
        }
    }
}

/// The settings of durable functions.
#[expect(clippy::too_many_lines, reason = "a list")]
fn durable() {
    GucRegistry::define_int_guc(
        c"postern.executors",
        c"Sets the number of executors of durable functions in each database.",
        c"-1 means one for each processor, and at least 4; 0 means none.",
        &EXECUTORS,
        -1,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.step_timeout",
        c"Sets the time after which a statement of a durable function is cancelled.",
        c"0 means never.",
        &STEP_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"postern.loop_min_interval",
        c"Sets the least time of an iteration of df.loop() that waited for nothing.",
        c"It keeps an empty loop from taking a processor.",
        &LOOP_MIN_INTERVAL,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"postern.loop_max_iterations",
        c"Sets the number of iterations after which df.loop() fails.",
        c"",
        &LOOP_MAX_ITERATIONS,
        1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.max_result_bytes",
        c"Sets the size of the rows of a step, as JSON, above which it fails.",
        c"An executor holds them in memory, and they are kept with the instance.",
        &MAX_RESULT_BYTES,
        1_024,
        1_000_000_000,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"postern.retention_days",
        c"Sets how many days durable functions that have ended are kept.",
        c"",
        &RETENTION_DAYS,
        0,
        36_500,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.retention_instances",
        c"Sets how many instances of durable functions are kept in each database.",
        c"One that has ended is removed when so many have been started since.",
        &RETENTION_INSTANCES,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"postern.adopt_copies",
        c"Has durable functions that came with a copy of a database go on in it by themselves.",
        c"Where the original runs too, both do the work.",
        &ADOPT_COPIES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    looking();
    new_transactions();
    let switches: [(&CStr, &CStr, &CStr, &'static GucSetting<bool>); 5] = [
        (
            c"postern.enable_superuser_instances",
            c"Lets superusers start durable functions.",
            c"Their steps run with all rights.",
            &SUPERUSER_INSTANCES,
        ),
        (
            c"pg_durable.enable_superuser_instances",
            c"Another name for postern.enable_superuser_instances.",
            c"",
            &SUPERUSER_INSTANCES_ALIAS,
        ),
        (
            c"postern.start_use_session_user",
            c"Has df.start() capture the identity of the session.",
            c"Inside a SECURITY DEFINER function, steps run as whoever called it.",
            &START_USE_SESSION_USER,
        ),
        (
            c"pg_durable.start_use_session_user",
            c"Another name for postern.start_use_session_user.",
            c"",
            &START_USE_SESSION_USER_ALIAS,
        ),
        (
            c"postern.start_requires_login",
            c"Refuses df.start() to roles without LOGIN.",
            c"",
            &START_REQUIRES_LOGIN,
        ),
    ];
    for (name, short, long, setting) in switches {
        GucRegistry::define_bool_guc(name, short, long, setting, GucContext::Suset, GucFlags::default());
    }
    GucRegistry::define_string_guc(
        c"postern.http_private_hosts",
        c"Names hosts in private networks that HTTP steps may reach.",
        c"A list of host:port. What postern.allow_http() says holds for them as well.",
        &HTTP_PRIVATE_HOSTS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"postern.secrets_key_file",
        c"Names the file with the key that secrets of HTTP steps are sealed with.",
        c"64 hexadecimal digits. The outbound worker needs the same key.",
        &SECRETS_KEY_FILE,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_enum_guc(
        c"postern.step_commit",
        c"Sets whether short steps of durable functions share a commit.",
        c"With each, every step has a commit of its own; with boundary, only the end of an instance, and what leaves the server, waits for the disk. A step takes effect exactly once either way.",
        &STEP_COMMIT,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"postern.start_in_definer",
        c"Sets what df.start() does inside a SECURITY DEFINER function of another role.",
        c"",
        &START_IN_DEFINER,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// The settings of what is done in a transaction of its own.
fn new_transactions() {
    GucRegistry::define_int_guc(
        c"postern.max_new_transaction_starts",
        c"Sets how many starts and signals may have a new transaction at the same time.",
        c"It counts over all sessions; each takes a background worker for a moment.",
        &MAX_NEW_TRANSACTIONS,
        1,
        i32::try_from(pg::shmem::ERRANDS).unwrap_or(i32::MAX),
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.new_transaction_start_timeout",
        c"Sets how long a start or signal waits for its turn to have a new transaction.",
        c"",
        &NEW_TRANSACTION_TIMEOUT,
        1,
        3_600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_enum_guc(
        c"postern.signal_mode",
        c"Sets whether signals and requests to cancel arrive with the commit of who sends them, or at once.",
        c"",
        &SIGNAL_MODE,
        GucContext::Userset,
        GucFlags::default(),
    );
}

/// The settings of replication.
fn replication() {
    GucRegistry::define_enum_guc(
        c"postern.trigger_rule",
        c"Sets what becomes of code that may not be attached to a table.",
        c"With members, it is an error for replicated tables and a warning for others.",
        &TRIGGER_RULE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"postern.direct_grants",
        c"Sets what becomes of a GRANT or REVOKE on an object of the extension.",
        c"Privileges are given by membership of the roles of Postern.",
        &DIRECT_GRANTS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"postern.conflict_interval",
        c"Sets how often errors of subscriptions are looked for that nothing else has told of.",
        c"Errors that the server writes into its log are written down at once. 0 means that others are not looked for.",
        &CONFLICT_INTERVAL,
        0,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_string_guc(
        c"postern.trusted_extensions",
        c"Names extensions whose functions everyone may attach to a table.",
        c"A list of names, separated by commas.",
        &TRUSTED_EXTENSIONS,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// The settings of the rule about names.
fn names() {
    GucRegistry::define_enum_guc(
        c"postern.definer_rule",
        c"Sets what becomes of a SECURITY DEFINER function without a safe search_path.",
        c"The view postern.subprograms shows which ones there are.",
        &DEFINER_RULE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"postern.definer_rule_in_extensions",
        c"Has postern.definer_rule hold for the scripts of extensions as well.",
        c"",
        &DEFINER_RULE_IN_EXTENSIONS,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// The settings of looking at them.
fn looking() {
    for (name, long, setting) in [
        (
            c"postern.list_instances_max_limit",
            c"Pages of more rows are asked for with a cursor.",
            &LIST_LIMIT,
        ),
        (
            c"pg_durable.list_instances_max_limit",
            c"Another name for postern.list_instances_max_limit.",
            &LIST_LIMIT_ALIAS,
        ),
    ] {
        GucRegistry::define_int_guc(
            name,
            c"Sets the number of rows that df.list_instances() gives at most.",
            long,
            setting,
            1,
            1_000_000,
            GucContext::Suset,
            GucFlags::default(),
        );
    }
}

/// Refuses any other setting that begins with `postern.`. After all of them are defined.
#[allow(unsafe_code, reason = "one server call with a constant")]
pub fn reserve_prefix() {
    // SAFETY: the name ends with NUL and is copied.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"postern".as_ptr()) };
}

/// Refuses, in this process and from now on, settings that begin with `request.` and are not ours: older policies read a
/// claim from a setting of its own, whatever its name, and a client could make one up.
#[allow(unsafe_code, reason = "one server call with a constant")]
pub fn reserve_requests() {
    if !RESERVED.replace(true) {
        // SAFETY: the name ends with NUL and is copied.
        unsafe { pg_sys::MarkGUCPrefixReserved(c"request".as_ptr()) };
    }
}

/// Whether `name` is a setting that shows facts. Names of settings ignore case.
pub fn is_claim_setting(name: &CStr) -> bool {
    let same = |other: &CStr| other.to_bytes().eq_ignore_ascii_case(name.to_bytes());
    same(CLAIMS_NAME) || EMPTY_NAMES.into_iter().any(same)
}

/// Takes the facts of an identity for the innermost level of settings: for parallel workers. Only [`identity`] calls it.
pub fn take_facts(text: &CStr) {
    WRITING.with(|writing| writing.set(true));
    pg::guc::set(FACTS_NAME, text);
    WRITING.with(|writing| writing.set(false));
}

/// The facts as parallel workers get them, in the leader and in the worker.
pub fn facts_for_worker() -> Option<CString> {
    FACTS.get().filter(|text| !text.is_empty())
}

thread_local! {
    static RESERVED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// True only while [`take_facts`] runs. An ERROR inside leaves it true for nobody: see [`not_writing`].
    static WRITING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// What `SHOW request.jwt.claims` points to.
    static SHOWN: RefCell<CString> = RefCell::new(CString::default());
}

/// Closes the door of [`take_facts`] after an ERROR inside it. Called at the end of every transaction.
pub fn not_writing() {
    WRITING.with(|writing| writing.set(false));
}

/// # Safety
/// `value` points to a C string or to null.
#[allow(unsafe_code, reason = "the server passes a pointer to the new value")]
unsafe fn is_empty(value: *mut *mut c_char) -> bool {
    // SAFETY: the caller's word.
    unsafe { (*value).is_null() || **value == 0 }
}

#[pg_guard]
#[allow(unsafe_code, reason = "the signature is the server's")]
unsafe extern "C-unwind" fn check_facts(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server passes the new value.
    let empty = unsafe { is_empty(value) };
    if empty || WRITING.with(std::cell::Cell::get) || pg::xact::is_parallel_worker_starting() {
        return true;
    }
    pg::guc::refuse(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        c"Facts come from entering an identity only.",
    );
    false
}

#[pg_guard]
#[allow(unsafe_code, reason = "the signature is the server's")]
unsafe extern "C-unwind" fn check_claims(
    _value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    if !identity::is_entered()
        || WRITING.with(std::cell::Cell::get)
        || pg::xact::is_parallel_worker_starting()
    {
        return true;
    }
    pg::guc::refuse(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        c"While an identity is entered, it shows that identity's facts.",
    );
    false
}

#[pg_guard]
extern "C-unwind" fn show_claims() -> *const c_char {
    show(if identity::is_entered() {
        identity::facts::claims_text()
    } else {
        CLAIMS.get().unwrap_or_default()
    })
}

/// One hook for each of [`EMPTY_NAMES`], since the server does not say which setting it shows. Setting them to nothing when
/// entering would not be enough: `set_config(name, NULL, …)` goes back to what the database or the role has for a default, and asks no
/// check hook.
macro_rules! show_empty {
    ($($hook:ident = $n:literal),*) => {
        $(#[pg_guard]
        extern "C-unwind" fn $hook() -> *const c_char {
            show(if identity::is_entered() { CString::default() } else { EMPTY[$n].get().unwrap_or_default() })
        })*
        const SHOW_EMPTY: [unsafe extern "C-unwind" fn() -> *const c_char; EMPTY_NAMES.len()] = [$($hook),*];
    };
}
show_empty!(show_0 = 0, show_1 = 1, show_2 = 2, show_3 = 3, show_4 = 4, show_5 = 5, show_6 = 6, show_7 = 7);

fn show(text: CString) -> *const c_char {
    SHOWN.with_borrow_mut(|shown| {
        *shown = text;
        shown.as_ptr()
    })
}
