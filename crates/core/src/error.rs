//! Every refusal of Postern's own, in one table.
//!
//! Errors of PostgreSQL pass through the gate as they are and are not listed here. Everything the gate says itself is a
//! [`Code`]: a stable name (`PST301`), an SQLSTATE that existing drivers understand, an HTTP status for each protocol, a
//! message and a hint. `docs/reference/errors.md` is written from this table.
//!
//! **Invariants**: a name is never used for another meaning; a retired one stays in [`RETIRED`]. Messages hold nothing of
//! the request, the configuration or the machine, so each of them may be shown to anyone.

/// In which step of a request a refusal is made. The first digit of a code's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The HTTP request itself: its shape, its headers, its body.
    Request,
    /// Who asks.
    Authentication,
    /// How much and how often.
    Limit,
    /// The database, or the way to it.
    Database,
    /// A fault of Postern.
    Internal,
}

/// The two ways in, which report errors differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `POST /sql`: drivers of the Neon HTTP protocol, which show the SQLSTATE of an error only when its status is 400.
    Neon,
    /// Everything below `/v1`, and the service endpoints.
    V1,
}

/// One refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// The body is not JSON of the expected shape.
    MalformedBody,
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not of a supported media type.
    ContentType,
    /// The body is compressed.
    ContentEncoding,
    /// None of the accepted answers can be made.
    NotAcceptable,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// A header that decides about the request appears twice.
    DuplicateHeader,
    /// A header has a value that means nothing.
    BadHeader,
    /// The connection string is missing or cannot be read.
    ConnectionString,
    /// The connection string has a parameter that would change who or where.
    ConnectionParameter,
    /// The connection string names another database.
    OtherDatabase,
    /// `Neon-Batch-Isolation-Level`, or `isolation`, has an unknown value.
    IsolationLevel,
    /// More parameters than the wire protocol can count.
    TooManyParameters,
    /// A text holds the character that PostgreSQL cannot store.
    Nul,
    /// JSON nested deeper than is read.
    TooDeep,
    /// The `Host` of the request is not one that is served.
    Host,
    /// There is nothing at this path.
    NotFound,
    /// The path is known, the method is not.
    Method,

    /// Nothing was presented, and anonymous requests are not configured or not meant.
    CredentialsMissing,
    /// The credential is not good for this: expired, unknown, or for another role. Deliberately one code.
    AuthenticationFailed,
    /// Too many failed logins from one address.
    FailedLogins,
    /// The keys or the service that would prove the credential cannot be reached.
    AuthenticationUnavailable,

    /// Too many requests of one identity in a while.
    Rate,
    /// Too many requests of one identity at once.
    Concurrency,
    /// The answer has more rows than allowed.
    ResponseRows,
    /// The answer has more bytes than allowed.
    ResponseBytes,
    /// The request ran longer than allowed.
    WallClock,
    /// The client did not take the answer in time.
    SlowReader,
    /// All connections are busy, and too many requests wait already or this one has waited too long.
    QueueFull,

    /// The answers that wait for their clients take as much memory as they may, all together.
    AnswersWaiting,

    /// The database cannot be reached.
    DatabaseUnavailable,
    /// The connection broke before the end of the request was sent: nothing has taken effect.
    ConnectionLost,
    /// The connection broke while the statement ran: it may or may not have taken effect.
    OutcomeUnknown,
    /// The database answered with bytes that are not UTF-8.
    ResultEncoding,
    /// One row or message is larger than the gate takes.
    MessageTooLarge,
    /// A COPY that moves data through the connection.
    Copy,
    /// The gate is stopping.
    ShuttingDown,

    /// A fault of Postern; the log has the details.
    Internal,
}

/// Names that were in use once, and will not be used again.
pub const RETIRED: &[&str] = &[];

/// What the table says of a code.
struct Entry {
    name: &'static str,
    sqlstate: &'static str,
    /// Status on `/sql`.
    neon: u16,
    /// Status elsewhere.
    v1: u16,
    message: &'static str,
    hint: Option<&'static str>,
}

impl Code {
    /// All codes, in the order of their names.
    pub const ALL: &'static [Self] = &[
        Self::MalformedBody,
        Self::NotUtf8,
        Self::ContentType,
        Self::ContentEncoding,
        Self::NotAcceptable,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::DuplicateHeader,
        Self::BadHeader,
        Self::ConnectionString,
        Self::ConnectionParameter,
        Self::OtherDatabase,
        Self::IsolationLevel,
        Self::TooManyParameters,
        Self::Nul,
        Self::TooDeep,
        Self::Host,
        Self::NotFound,
        Self::Method,
        Self::CredentialsMissing,
        Self::AuthenticationFailed,
        Self::AuthenticationUnavailable,
        Self::FailedLogins,
        Self::Rate,
        Self::Concurrency,
        Self::ResponseRows,
        Self::ResponseBytes,
        Self::WallClock,
        Self::SlowReader,
        Self::QueueFull,
        Self::AnswersWaiting,
        Self::DatabaseUnavailable,
        Self::ConnectionLost,
        Self::OutcomeUnknown,
        Self::ResultEncoding,
        Self::MessageTooLarge,
        Self::Copy,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The stable name, such as `PST301`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The SQLSTATE that goes with it.
    pub fn sqlstate(self) -> &'static str {
        self.entry().sqlstate
    }

    /// The HTTP status.
    pub fn status(self, protocol: Protocol) -> u16 {
        match protocol {
            Protocol::Neon => self.entry().neon,
            Protocol::V1 => self.entry().v1,
        }
    }

    /// The message, in PostgreSQL's style.
    pub fn message(self) -> &'static str {
        self.entry().message
    }

    /// What to do instead.
    pub fn hint(self) -> Option<&'static str> {
        self.entry().hint
    }

    /// The step in which it is raised.
    pub fn stage(self) -> Stage {
        match self.name().as_bytes().get(3) {
            Some(b'1') => Stage::Request,
            Some(b'2') => Stage::Authentication,
            Some(b'3') => Stage::Limit,
            Some(b'4') => Stage::Database,
            _ => Stage::Internal,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::AuthenticationUnavailable
                | Self::FailedLogins
                | Self::Rate
                | Self::Concurrency
                | Self::QueueFull
                | Self::AnswersWaiting
                | Self::DatabaseUnavailable
                | Self::ConnectionLost
                | Self::ShuttingDown
        )
    }

    /// The table.
    #[expect(clippy::too_many_lines, reason = "a table reads best in one piece")]
    fn entry(self) -> Entry {
        let entry =
            |name, sqlstate, (neon, v1), message, hint| Entry { name, sqlstate, neon, v1, message, hint };
        match self {
            Self::MalformedBody => entry(
                "PST100",
                "08P01",
                (400, 400),
                "request body is malformed",
                Some("The reference of the HTTP interface shows the shape of a request."),
            ),
            Self::NotUtf8 => entry("PST101", "22021", (400, 400), "request body is not valid UTF-8", None),
            Self::ContentType => entry(
                "PST102",
                "08P01",
                (400, 415),
                "content type is not supported",
                Some("Send \"Content-Type: application/json\"."),
            ),
            Self::ContentEncoding => entry(
                "PST103",
                "08P01",
                (415, 415),
                "compressed request bodies are not supported",
                Some("Send the body without Content-Encoding."),
            ),
            Self::NotAcceptable => entry(
                "PST104",
                "08P01",
                (406, 406),
                "none of the accepted media types can be produced",
                Some("Accept application/json, application/x-ndjson or text/csv."),
            ),
            Self::BodyTooLarge => entry(
                "PST105",
                "54000",
                (413, 413),
                "request body is too large",
                Some("The setting limits.body_bytes decides."),
            ),
            Self::BodyTimeout => {
                entry("PST106", "08P01", (408, 408), "request body did not arrive in time", None)
            }
            Self::DuplicateHeader => {
                entry("PST107", "08P01", (400, 400), "a header appears more than once", None)
            }
            Self::BadHeader => entry("PST108", "08P01", (400, 400), "a header has an invalid value", None),
            Self::ConnectionString => entry(
                "PST109",
                "08P01",
                (400, 400),
                "connection string is missing or invalid",
                Some("Send \"Neon-Connection-String: postgresql://role@host/database\"."),
            ),
            Self::ConnectionParameter => entry(
                "PST110",
                "08P01",
                (400, 400),
                "connection string has a parameter that is not supported",
                Some("Only the role and the database of a connection string are used."),
            ),
            Self::OtherDatabase => entry("PST111", "3D000", (400, 404), "database is not served here", None),
            Self::IsolationLevel => entry("PST112", "22023", (400, 400), "invalid isolation level", None),
            Self::TooManyParameters => entry(
                "PST113",
                "54000",
                (400, 400),
                "statement has more than 65535 parameters",
                Some("Pass the values as one array."),
            ),
            Self::Nul => entry(
                "PST114",
                "22021",
                (400, 400),
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                Some("PostgreSQL cannot store the character U+0000 in text."),
            ),
            Self::TooDeep => entry("PST115", "54001", (400, 400), "JSON is nested too deeply", None),
            Self::Host => entry(
                "PST116",
                "08P01",
                (421, 421),
                "host is not served here",
                Some("Name the host in the setting listen.hosts."),
            ),
            Self::NotFound => entry("PST117", "08P01", (400, 404), "nothing is served at this path", None),
            Self::Method => entry("PST118", "08P01", (400, 405), "method is not allowed here", None),

            Self::CredentialsMissing => entry(
                "PST200",
                "28000",
                (400, 401),
                "request carries no credentials",
                Some("Send \"Authorization: Bearer <token>\"."),
            ),
            Self::AuthenticationFailed => entry("PST201", "28000", (400, 401), "authentication failed", None),
            Self::AuthenticationUnavailable => {
                entry("PST202", "08001", (503, 503), "credentials cannot be verified at the moment", None)
            }
            Self::FailedLogins => {
                entry("PST203", "28000", (400, 429), "too many failed logins from this address", None)
            }

            Self::Rate => entry("PST300", "53400", (429, 429), "too many requests", None),
            Self::Concurrency => {
                entry("PST301", "53400", (429, 429), "too many requests at the same time", None)
            }
            Self::ResponseRows => entry(
                "PST302",
                "54000",
                (507, 507),
                "response has too many rows",
                Some("Ask for fewer rows with LIMIT."),
            ),
            Self::ResponseBytes => entry(
                "PST303",
                "54000",
                (507, 507),
                "response is too large",
                Some("Ask for less, or stream the result from /v1/query."),
            ),
            Self::WallClock => {
                entry("PST304", "57014", (400, 504), "canceling statement due to request deadline", None)
            }
            Self::SlowReader => {
                entry("PST305", "57014", (400, 408), "client did not read the response in time", None)
            }
            Self::QueueFull => {
                entry("PST306", "53300", (503, 503), "all database connections are busy", None)
            }
            Self::AnswersWaiting => entry(
                "PST307",
                "53200",
                (503, 503),
                "too many responses wait for their clients",
                Some("Ask for less, or stream the result from /v1/query."),
            ),

            Self::DatabaseUnavailable => {
                entry("PST400", "08001", (503, 503), "database is not available", None)
            }
            Self::ConnectionLost => entry(
                "PST401",
                "08006",
                (503, 503),
                "connection to the database was lost, the transaction is rolled back",
                Some("Send the request again."),
            ),
            Self::OutcomeUnknown => entry(
                "PST402",
                "08007",
                (400, 502),
                "connection to the database was lost, it is unknown whether the transaction took effect",
                Some("Look before you send a writing statement again."),
            ),
            Self::ResultEncoding => entry(
                "PST403",
                "22021",
                (400, 400),
                "result is not valid UTF-8",
                Some("Leave client_encoding as it is."),
            ),
            Self::MessageTooLarge => entry(
                "PST404",
                "54000",
                (507, 507),
                "one row of the result is too large",
                Some("Ask for large values in pieces, for example with substr."),
            ),
            Self::Copy => entry(
                "PST405",
                "0A000",
                (400, 400),
                "COPY through the connection is not supported",
                Some("Use INSERT to write, and a text/csv response to read."),
            ),
            Self::ShuttingDown => entry("PST406", "57P01", (503, 503), "the gate is shutting down", None),

            Self::Internal => entry("PST900", "XX000", (500, 500), "internal error", None),
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

/// The HTTP status on `/v1` for an error of PostgreSQL, by its SQLSTATE. (`/sql` always answers 400.)
pub fn sqlstate_status(sqlstate: &str) -> u16 {
    match sqlstate {
        "42501" => 403,
        "57014" => 504,
        // Not to be confused with "try again": these say that what is there speaks against what was asked.
        "23505" | "23503" | "23P01" | "40001" | "40P01" | "55P03" | "55006" => 409,
        "57P01" | "57P02" | "57P03" => 503,
        // The server's way to say that there are more or fewer parameters than the statement has.
        "08P01" => 400,
        code => match code.get(..2) {
            Some("08" | "53") => 503,
            Some("58" | "XX" | "F0" | "HV") => 500,
            Some("54") => 413,
            _ => 400,
        },
    }
}

/// `docs/reference/errors.md`, as this table has it.
pub fn reference() -> String {
    use std::fmt::Write as _;

    let mut page = String::from(REFERENCE_HEAD);
    for &code in Code::ALL {
        let Entry { name, sqlstate, neon, v1, message, hint } = code.entry();
        let hint = hint.unwrap_or("").replace('|', "\\|").replace('<', "&lt;");
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {name} | {sqlstate} | {neon} | {v1} | {message} | {hint} |");
    }
    page.push_str("\n## Retired\n\n");
    if RETIRED.is_empty() {
        page.push_str("None.\n");
    }
    for name in RETIRED {
        let _ = writeln!(page, "- {name}");
    }
    page
}

const REFERENCE_HEAD: &str = "# Errors

<!-- Written from crates/core/src/error.rs. Change it there; the test of that crate prints this page. -->

An error has the shape of the protocol that was used ([http.md](http.md)). It is either PostgreSQL's, passed on as it is, or one
of Postern's own, which the member `postern` names.

## Errors of PostgreSQL

On `/sql` the status is 400. On `/v1` it follows from the SQLSTATE:

| SQLSTATE | status |
|---|---|
| 42501 insufficient privilege | 403 |
| 23505, 23503, 23P01, 40001, 40P01, 55P03, 55006: in conflict with what is there | 409 |
| 54xxx: too large for PostgreSQL | 413 |
| 58xxx, XXxxx, F0xxx, HVxxx: a fault of the server | 500 |
| 08xxx but 08P01, 53xxx, 57P01, 57P02, 57P03: the server cannot now | 503 |
| 57014 canceled | 504 |
| all others | 400 |

## Errors of Postern

The first digit is the step in which it is raised: 1 the request, 2 authentication, 3 limits, 4 the database, 9 a fault of Postern.
What is temporary (PST202, PST203, PST300, PST301, PST306, PST307, PST400, PST401, PST406) comes with `Retry-After`.

An expired, forged or unknown token, a role that the token does not allow, and a role that does not exist or is not admitted all
give PST201: the log of the gate says which it was.

| code | SQLSTATE | on /sql | on /v1 | message | hint |
|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name_in_order() {
        let names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert!(names.iter().all(|name| !RETIRED.contains(name)));
    }

    #[test]
    fn messages_are_in_postgresql_style() {
        for code in Code::ALL {
            let message = code.message();
            assert!(!message.ends_with('.'), "{message}");
            let first = message.split(' ').next().unwrap_or_default();
            let is_word = first.chars().skip(1).all(char::is_uppercase);
            assert!(message.starts_with(char::is_lowercase) || is_word, "{message}");
            if let Some(hint) = code.hint() {
                assert!(hint.ends_with('.') && hint.starts_with(char::is_uppercase), "{hint}");
            }
            assert_eq!(code.sqlstate().len(), 5);
        }
    }

    #[test]
    fn a_driver_sees_the_code_of_what_it_can_do_something_about() {
        for code in [
            Code::AuthenticationFailed,
            Code::CredentialsMissing,
            Code::FailedLogins,
            Code::WallClock,
            Code::OutcomeUnknown,
        ] {
            assert_eq!(code.status(Protocol::Neon), 400, "{code:?}");
        }
        assert_eq!(Code::AuthenticationFailed.status(Protocol::V1), 401);
    }

    #[test]
    fn the_reference_page_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/errors.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == reference(), "docs/reference/errors.md should read:\n{}", reference());
    }

    #[test]
    fn statuses_follow_the_class_unless_the_code_is_named() {
        for (sqlstate, status) in [
            ("42P01", 400),
            ("08P01", 400),
            ("42501", 403),
            ("23505", 409),
            ("54011", 413),
            ("XX000", 500),
            ("53200", 503),
            ("08006", 503),
        ] {
            assert_eq!(sqlstate_status(sqlstate), status, "{sqlstate}");
        }
        assert_eq!(sqlstate_status("é"), 400, "an odd code is no reason to fail");
    }
}
