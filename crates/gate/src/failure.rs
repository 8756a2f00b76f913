//! Why a request has no result, and how each protocol says so.
//!
//! **Which error type where**: [`crate::Error`] is for starting the gate; [`Failure`] is for a request; [`Code`] is for a
//! refusal that needs no more than its table says. A failure is logged once, where the request ends.
//!
//! **Invariants**: what is shown is a message of the table, or PostgreSQL's own error. Nothing of an internal error, of a
//! token or of a connection is ever shown: reasons are for the log.

use std::borrow::Cow;
use std::time::Duration;

use postern_core::error::sqlstate_status;
use postern_core::{Code, Protocol};
use postern_pool::ServerError;

use crate::encode::text::{push_integer, push_optional, push_string};
use crate::limits;

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Postern refused it.
    Refused(Refused),
    /// PostgreSQL refused it.
    Sql(Box<ServerError>),
}

/// A refusal of Postern's own.
#[derive(Debug)]
pub(crate) struct Refused {
    pub code: Code,
    /// In place of the message of the table, where that can be more exact.
    pub message: Option<Cow<'static, str>>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// For the log only.
    pub reason: Option<String>,
}

impl Failure {
    /// A refusal with a message of its own, which may hold nothing that is not the client's to know.
    pub(crate) fn with_message(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(Refused { message: Some(message.into()), ..Refused::from(code) })
    }

    /// A refusal with a reason that only the log shows.
    pub(crate) fn because(code: Code, reason: impl std::fmt::Display) -> Self {
        Self::Refused(Refused { reason: Some(reason.to_string()), ..Refused::from(code) })
    }

    pub(crate) fn sqlstate(&self) -> &str {
        match self {
            Self::Refused(refused) => refused.code.sqlstate(),
            Self::Sql(error) => &error.code,
        }
    }

    /// The code, if the refusal is Postern's own.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            Self::Sql(_) => None,
        }
    }

    /// For the log only.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused(refused) => refused.reason.as_deref(),
            Self::Sql(_) => None,
        }
    }

    pub(crate) fn status(&self, protocol: Protocol) -> u16 {
        match (self, protocol) {
            (Self::Refused(refused), _) => refused.code.status(protocol),
            (Self::Sql(_), Protocol::Neon) => 400,
            (Self::Sql(error), Protocol::V1) => sqlstate_status(&error.code),
        }
    }

    /// Whole seconds after which the client may try again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(refused) => match refused.retry_after {
                Some(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
                None => refused.code.is_temporary().then_some(1),
            },
            Self::Sql(_) => None,
        }
    }

    /// The body of the response.
    pub(crate) fn body(&self, protocol: Protocol, hide_internals: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        match protocol {
            Protocol::Neon => self.push_members(&mut out, &NEON, hide_internals),
            Protocol::V1 => {
                out.extend_from_slice(b"{\"error\":");
                self.push_v1(&mut out, hide_internals);
                out.push(b'}');
            }
        }
        out
    }

    /// The error object of `/v1`, which also ends a broken stream.
    pub(crate) fn push_v1(&self, out: &mut Vec<u8>, hide_internals: bool) {
        self.push_members(out, &V1, hide_internals);
    }

    fn push_members(&self, out: &mut Vec<u8>, shape: &Shape, hide_internals: bool) {
        let own;
        let (error, code) = match self {
            Self::Sql(error) => (error.as_ref(), None),
            Self::Refused(refused) => {
                own = refused.as_server_error();
                (&own, Some(refused.code))
            }
        };
        let shown = |value| if hide_internals { None } else { value };
        let inner = !hide_internals;
        out.push(b'{');
        let mut members = Members { out, shape, first: true };
        members.text("message", Some(&error.message));
        members.text("code", Some(&error.code));
        members.text("detail", error.detail.as_deref());
        members.text("hint", error.hint.as_deref());
        members.number("position", error.position);
        members.number(shape.internal_position, error.internal_position.filter(|_| inner));
        members.text(shape.internal_query, shown(error.internal_query.as_deref()));
        members.text("severity", Some(&error.severity));
        members.text("where", shown(error.r#where.as_deref()));
        members.text("table", error.table.as_deref());
        members.text("column", error.column.as_deref());
        members.text("schema", error.schema.as_deref());
        members.text(shape.data_type, error.data_type.as_deref());
        members.text("constraint", error.constraint.as_deref());
        members.text("file", shown(error.file.as_deref()));
        members.number("line", error.line.filter(|_| inner));
        members.text("routine", shown(error.routine.as_deref()));
        if let Some(code) = code {
            members.text("postern", Some(code.name()));
        }
        out.push(b'}');
    }
}

impl Refused {
    fn as_server_error(&self) -> ServerError {
        ServerError {
            severity: "ERROR".to_owned(),
            code: self.code.sqlstate().to_owned(),
            message: self.message.as_deref().unwrap_or(self.code.message()).to_owned(),
            hint: self.code.hint().map(str::to_owned),
            ..ServerError::default()
        }
    }
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self { code, message: None, retry_after: None, reason: None }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<limits::Refusal> for Failure {
    fn from(refusal: limits::Refusal) -> Self {
        Self::Refused(Refused { retry_after: Some(refusal.retry_after), ..Refused::from(refusal.code) })
    }
}

impl From<postern_pool::Error> for Failure {
    fn from(error: postern_pool::Error) -> Self {
        use postern_pool::Error;

        let reason = error.to_string();
        match error {
            // A role that does not exist, or is not admitted, is a failed authentication, and looks like every other one.
            Error::Entering(error) if matches!(error.code.as_str(), "42501" | "42704") => {
                Self::because(Code::AuthenticationFailed, reason)
            }
            Error::Server(error) | Error::Entering(error) => Self::Sql(error),
            Error::Busy => Code::QueueFull.into(),
            Error::Closed => Code::ShuttingDown.into(),
            Error::Deadline => Code::WallClock.into(),
            Error::Lost { unsent: true } => Code::ConnectionLost.into(),
            Error::Lost { unsent: false } => Code::OutcomeUnknown.into(),
            Error::Encoding => Code::ResultEncoding.into(),
            Error::Copy => Code::Copy.into(),
            Error::TooLarge { limit } => Self::with_message(
                Code::MessageTooLarge,
                format!("one row of the result is larger than {limit} bytes"),
            ),
            // Its texts speak of nothing but the request.
            Error::Request(what) => Self::with_message(Code::MalformedBody, what),
            Error::Unavailable { reason, .. } => Self::because(Code::DatabaseUnavailable, reason),
            // A desynchronised connection may have committed before it was found out.
            Error::Protocol(_) => Self::because(Code::OutcomeUnknown, reason),
            Error::Config(_) | Error::Ended => Self::because(Code::Internal, reason),
        }
    }
}

/// What differs between the two protocols.
struct Shape {
    internal_position: &'static str,
    internal_query: &'static str,
    data_type: &'static str,
    /// Neon has every member, `null` if there is nothing to say, and numbers as strings.
    neon: bool,
}

const NEON: Shape = Shape {
    internal_position: "internalPosition",
    internal_query: "internalQuery",
    data_type: "dataType",
    neon: true,
};
const V1: Shape = Shape {
    internal_position: "internal_position",
    internal_query: "internal_query",
    data_type: "data_type",
    neon: false,
};

struct Members<'a> {
    out: &'a mut Vec<u8>,
    shape: &'a Shape,
    first: bool,
}

impl Members<'_> {
    fn text(&mut self, name: &str, value: Option<&str>) {
        if value.is_some() || self.shape.neon {
            self.name(name);
            push_optional(self.out, value);
        }
    }

    fn number(&mut self, name: &str, value: Option<u32>) {
        match value {
            Some(value) if self.shape.neon => self.text(name, Some(&value.to_string())),
            Some(value) => {
                self.name(name);
                push_integer(self.out, value);
            }
            None => self.text(name, None),
        }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        push_string(self.out, name);
        self.out.push(b':');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(failure: &Failure, protocol: Protocol, hide: bool) -> String {
        String::from_utf8(failure.body(protocol, hide)).unwrap()
    }

    fn sql() -> Failure {
        Failure::Sql(Box::new(ServerError {
            severity: "ERROR".into(),
            code: "42P01".into(),
            message: "relation \"boom\r\n\" does not exist".into(),
            position: Some(15),
            r#where: Some("PL/pgSQL function f() line 1".into()),
            file: Some("parse_relation.c".into()),
            line: Some(1392),
            routine: Some("parserOpenTable".into()),
            ..ServerError::default()
        }))
    }

    #[test]
    fn an_error_of_postgresql_in_each_shape() {
        insta::assert_snapshot!(body(&sql(), Protocol::Neon, false), @r#"{"message":"relation \"boom\r\n\" does not exist","code":"42P01","detail":null,"hint":null,"position":"15","internalPosition":null,"internalQuery":null,"severity":"ERROR","where":"PL/pgSQL function f() line 1","table":null,"column":null,"schema":null,"dataType":null,"constraint":null,"file":"parse_relation.c","line":"1392","routine":"parserOpenTable"}"#);
        insta::assert_snapshot!(body(&sql(), Protocol::V1, false), @r#"{"error":{"message":"relation \"boom\r\n\" does not exist","code":"42P01","position":15,"severity":"ERROR","where":"PL/pgSQL function f() line 1","file":"parse_relation.c","line":1392,"routine":"parserOpenTable"}}"#);
        assert_eq!((sql().status(Protocol::Neon), sql().status(Protocol::V1)), (400, 400));
    }

    #[test]
    fn internals_can_be_hidden() {
        insta::assert_snapshot!(body(&sql(), Protocol::Neon, true), @r#"{"message":"relation \"boom\r\n\" does not exist","code":"42P01","detail":null,"hint":null,"position":"15","internalPosition":null,"internalQuery":null,"severity":"ERROR","where":null,"table":null,"column":null,"schema":null,"dataType":null,"constraint":null,"file":null,"line":null,"routine":null}"#);
    }

    #[test]
    fn a_refusal_names_its_code_and_hides_its_reason() {
        let failure = Failure::because(Code::AuthenticationFailed, "no key \"k1\" at https://issuer.example");
        insta::assert_snapshot!(body(&failure, Protocol::V1, false), @r#"{"error":{"message":"authentication failed","code":"28000","severity":"ERROR","postern":"PST201"}}"#);
        assert!(failure.reason().is_some_and(|reason| reason.contains("k1")));
        let unavailable =
            Failure::from(postern_pool::Error::Unavailable { reason: "host 10.1.2.3".into(), server: None });
        insta::assert_snapshot!(body(&unavailable, Protocol::V1, false), @r#"{"error":{"message":"database is not available","code":"08001","severity":"ERROR","postern":"PST400"}}"#);
        assert_eq!(unavailable.retry_after(), Some(1));
    }

    #[test]
    fn waiting_times_are_rounded_up() {
        let refusal =
            |millis| limits::Refusal { code: Code::Rate, retry_after: Duration::from_millis(millis) };
        assert_eq!(Failure::from(refusal(1)).retry_after(), Some(1));
        assert_eq!(Failure::from(refusal(1000)).retry_after(), Some(1));
        assert_eq!(Failure::from(refusal(1001)).retry_after(), Some(2));
        assert_eq!(sql().retry_after(), None);
    }
}
