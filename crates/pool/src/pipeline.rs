//! The messages that are sent to the server.
//!
//! **Invariants**, tested below over the built bytes:
//! - One request is one run of messages: closes of our own old statements, then `enter` (Bind, Execute), then for each statement
//!   of the client Parse (unless its plan is kept), Bind, Describe, Execute, then one Sync at the very end.
//! - Nothing between `enter` and the last statement can end the transaction: no Sync, no Flush, never a simple Query.
//! - A statement of the client is only ever the body of its own Parse message, with no parameter types of ours.
//! - `enter` and our own SQL get their values as parameters with explicit type OIDs.

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use crate::{Error, Isolation, Request, Statement, TransactionOptions};

/// OIDs of built-in types; they never change.
pub(crate) mod oid {
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
}

const ENTER: &str = "select postern.enter($1, $2, $3)";
const SEAL: &str = "select postern.seal($1)";
/// Ends a backend whose statement does not heed a cancel.
pub(crate) const TERMINATE: &str = "select pg_catalog.pg_terminate_backend($1)";

/// How the first statement of a request is named on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming<'a> {
    /// Parsed anew, as the unnamed statement.
    Unnamed,
    /// Parsed anew, and kept under this name.
    Keep(&'a str),
    /// Kept since an earlier request.
    Kept(&'a str),
}

/// What a connection contributes to a request.
pub(crate) struct Place<'a> {
    /// The name of the prepared `enter`.
    pub enter: &'a str,
    /// The connection's key, which `enter` demands.
    pub seal: &'a str,
    /// Names to be closed first.
    pub closes: &'a [Box<str>],
    /// How the first statement is named.
    pub first: Naming<'a>,
}

/// One whole request.
pub(crate) fn request(out: &mut BytesMut, place: &Place<'_>, request: &Request) -> Result<(), Error> {
    for name in place.closes {
        frontend::close(b'S', name, out).map_err(unsendable)?;
    }
    let facts = request.facts.as_deref().map(str::as_bytes);
    bind(out, place.enter, [Some(request.role.as_str().as_bytes()), facts, Some(place.seal.as_bytes())])?;
    frontend::execute("", 0, out).map_err(unsendable)?;
    let mut naming = place.first;
    for statement in &request.statements {
        client_statement(out, naming, statement)?;
        naming = Naming::Unnamed;
    }
    frontend::sync(out);
    Ok(())
}

/// What every new connection starts with: its key, and `enter` prepared.
pub(crate) fn introduce(out: &mut BytesMut, enter: &str, seal: &str) -> Result<(), Error> {
    own(out, SEAL, &[oid::TEXT], &[Some(seal.as_bytes())])?;
    frontend::parse(enter, ENTER, [oid::TEXT, oid::TEXT, oid::TEXT], out).map_err(unsendable)?;
    frontend::sync(out);
    Ok(())
}

/// A statement of our own, without its Sync.
pub(crate) fn own(
    out: &mut BytesMut,
    sql: &'static str,
    types: &[u32],
    params: &[Option<&[u8]>],
) -> Result<(), Error> {
    frontend::parse("", sql, types.iter().copied(), out).map_err(unsendable)?;
    bind(out, "", params.iter().copied())?;
    frontend::execute("", 0, out).map_err(unsendable)
}

/// Turns the defaults of new transactions from one state into the other. Utility statements name nothing that could be
/// captured.
pub(crate) fn options(
    out: &mut BytesMut,
    from: TransactionOptions,
    to: TransactionOptions,
) -> Result<(), Error> {
    if from.isolation != to.isolation {
        own(out, isolation(to.isolation), &[], &[])?;
    }
    if from.read_only != to.read_only {
        let sql = match to.read_only {
            None => "reset default_transaction_read_only",
            Some(true) => "set default_transaction_read_only = on",
            Some(false) => "set default_transaction_read_only = off",
        };
        own(out, sql, &[], &[])?;
    }
    if from.deferrable != to.deferrable {
        let sql = match to.deferrable {
            None => "reset default_transaction_deferrable",
            Some(true) => "set default_transaction_deferrable = on",
            Some(false) => "set default_transaction_deferrable = off",
        };
        own(out, sql, &[], &[])?;
    }
    frontend::sync(out);
    Ok(())
}

/// Refuses what the protocol cannot say, before a connection is taken for it.
pub(crate) fn check(request: &Request, limit: usize) -> Result<(), Error> {
    let mut size = request.facts.as_ref().map_or(0, |facts| facts.len());
    for statement in &request.statements {
        if statement.sql.contains('\0') {
            return Err(Error::Request("a statement contains a NUL byte"));
        }
        if statement.params.len() > usize::from(u16::MAX) {
            return Err(Error::Request("a statement has more than 65535 parameters"));
        }
        let params = statement.params.iter().map(|param| param.as_ref().map_or(0, Bytes::len) + 4);
        size = params.fold(size + statement.sql.len() + 64, usize::saturating_add);
    }
    if size > limit { Err(Error::Request("the request is larger than the limit")) } else { Ok(()) }
}

fn client_statement(out: &mut BytesMut, naming: Naming<'_>, statement: &Statement) -> Result<(), Error> {
    let name = match naming {
        Naming::Unnamed => "",
        Naming::Keep(name) | Naming::Kept(name) => name,
    };
    if !matches!(naming, Naming::Kept(_)) {
        frontend::parse(name, &statement.sql, [], out).map_err(unsendable)?;
    }
    bind(out, name, statement.params.iter().map(|param| param.as_deref()))?;
    frontend::describe(b'P', "", out).map_err(unsendable)?;
    frontend::execute("", 0, out).map_err(unsendable)
}

/// Binds text parameters to the unnamed portal; all results as text.
fn bind<'a>(
    out: &mut BytesMut,
    name: &str,
    params: impl IntoIterator<Item = Option<&'a [u8]>>,
) -> Result<(), Error> {
    let write = |param: Option<&[u8]>, out: &mut BytesMut| {
        Ok(match param {
            Some(bytes) => {
                out.put_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    };
    frontend::bind("", name, [], params, write, [], out)
        .map_err(|_| Error::Request("the parameters do not fit into a message"))
}

fn isolation(level: Option<Isolation>) -> &'static str {
    match level {
        None => "reset default_transaction_isolation",
        Some(Isolation::ReadUncommitted) => "set default_transaction_isolation = 'read uncommitted'",
        Some(Isolation::ReadCommitted) => "set default_transaction_isolation = 'read committed'",
        Some(Isolation::RepeatableRead) => "set default_transaction_isolation = 'repeatable read'",
        Some(Isolation::Serializable) => "set default_transaction_isolation = 'serializable'",
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn unsendable(_: std::io::Error) -> Error {
    Error::Request("the request does not fit into messages of the protocol")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use postern_core::RoleName;

    use super::*;

    /// Tags and bodies of frontend messages.
    fn messages(mut bytes: &[u8]) -> Vec<(char, Vec<u8>)> {
        let mut seen = Vec::new();
        while let [tag, a, b, c, d, ..] = *bytes {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            seen.push((char::from(tag), bytes[5..=length].to_vec()));
            bytes = &bytes[length + 1..];
        }
        assert!(bytes.is_empty());
        seen
    }

    fn statement(sql: &str, params: &[Option<&'static str>]) -> Statement {
        let params =
            params.iter().map(|param| param.map(|text| Bytes::from_static(text.as_bytes()))).collect();
        Statement { sql: Arc::from(sql), params }
    }

    fn sample(statements: Vec<Statement>) -> Request {
        Request {
            key: 0,
            role: RoleName::try_from("alice").unwrap(),
            facts: Some(Arc::from(r#"{"sub":"a"}"#)),
            statements,
            transaction: TransactionOptions::default(),
            deadline: Instant::now() + Duration::from_mins(1),
            grace: Duration::from_secs(1),
        }
    }

    fn built(closes: &[Box<str>], first: Naming<'_>, sample: &Request) -> Vec<(char, Vec<u8>)> {
        let mut out = BytesMut::new();
        request(&mut out, &Place { enter: "e1", seal: "key", closes, first }, sample).unwrap();
        messages(&out)
    }

    fn tags(messages: &[(char, Vec<u8>)]) -> String {
        messages.iter().map(|(tag, _)| tag).collect()
    }

    #[test]
    fn a_request_is_enter_then_statements_then_one_sync() {
        let sample = sample(vec![statement("select $1", &[Some("x")]), statement("select 2; commit", &[])]);
        let closes = ["old".into(), "older".into()];
        assert_eq!(tags(&built(&[], Naming::Unnamed, &sample)), "BEPBDEPBDES");
        assert_eq!(tags(&built(&closes, Naming::Keep("k"), &sample)), "CCBEPBDEPBDES");
        assert_eq!(tags(&built(&closes, Naming::Kept("k"), &sample)), "CCBEBDEPBDES");
    }

    #[test]
    fn no_shape_of_request_can_end_the_transaction_before_its_last_statement() {
        for count in 0..20 {
            for first in [Naming::Unnamed, Naming::Keep("k"), Naming::Kept("k")] {
                let statements = (0..count).map(|n| statement(&format!("select {n}"), &[None])).collect();
                let seen = tags(&built(&["old".into()], first, &sample(statements)));
                assert!(seen.starts_with("CBE") && seen.ends_with('S'), "{seen}");
                assert_eq!(seen.matches('S').count(), 1, "{seen}");
                assert!(!seen.contains(['Q', 'H', 'F', 'f', 'c', 'd', 'X']), "{seen}");
                let last_close = seen.rfind('C').unwrap();
                assert!(last_close < seen.find('B').unwrap(), "a close comes before enter: {seen}");
            }
        }
    }

    #[test]
    fn enter_gets_role_facts_and_key_as_parameters() {
        let mut sample = sample(vec![]);
        let body = |request: &Request| built(&[], Naming::Unnamed, request)[0].1.clone();
        let mut expected =
            b"\0e1\0\0\0\0\x03\0\0\0\x05alice\0\0\0\x0b{\"sub\":\"a\"}\0\0\0\x03key\0\0".to_vec();
        assert_eq!(body(&sample), expected);
        sample.facts = None;
        expected = b"\0e1\0\0\0\0\x03\0\0\0\x05alice\xff\xff\xff\xff\0\0\0\x03key\0\0".to_vec();
        assert_eq!(body(&sample), expected, "no facts are NULL");
    }

    #[test]
    fn the_text_of_a_client_is_only_the_body_of_its_parse() {
        let hostile = "select 1) x; reset role; --";
        let seen = built(&[], Naming::Unnamed, &sample(vec![statement(hostile, &[])]));
        let expected = [b"\0".as_slice(), hostile.as_bytes(), b"\0\0\0"].concat();
        let holding = |(_, body): &&(char, Vec<u8>)| body.windows(10).any(|part| part == b"reset role");
        let with_text: Vec<_> = seen.iter().filter(holding).collect();
        assert_eq!(with_text, [&('P', expected)]);
    }

    #[test]
    fn a_connection_is_sealed_and_enter_has_explicit_types() {
        let mut out = BytesMut::new();
        introduce(&mut out, "e1", "secret").unwrap();
        let seen = messages(&out);
        assert_eq!(tags(&seen), "PBEPS");
        assert_eq!(seen[0].1, b"\0select postern.seal($1)\0\0\x01\0\0\0\x19");
        assert_eq!(seen[1].1, b"\0\0\0\0\0\x01\0\0\0\x06secret\0\0");
        assert_eq!(seen[3].1, b"e1\0select postern.enter($1, $2, $3)\0\0\x03\0\0\0\x19\0\0\0\x19\0\0\0\x19");
    }

    #[test]
    fn our_own_sql_casts_nothing_by_a_bare_name() {
        for sql in [ENTER, SEAL, TERMINATE] {
            assert!(!sql.contains("::") && !sql.contains("cast"), "{sql}");
        }
    }

    #[test]
    fn only_changed_options_are_set_and_none_resets() {
        let sql = |from, to| {
            let mut out = BytesMut::new();
            options(&mut out, from, to).unwrap();
            let seen = messages(&out);
            assert_eq!(tags(&seen).matches('S').count(), 1);
            let parses = seen.iter().filter(|(tag, _)| *tag == 'P');
            parses.map(|(_, body)| String::from_utf8_lossy(body).replace('\0', "")).collect::<Vec<_>>()
        };
        let none = TransactionOptions::default();
        let all = TransactionOptions {
            isolation: Some(Isolation::Serializable),
            read_only: Some(true),
            deferrable: Some(true),
        };
        assert_eq!(
            sql(none, all),
            [
                "set default_transaction_isolation = 'serializable'",
                "set default_transaction_read_only = on",
                "set default_transaction_deferrable = on"
            ]
        );
        let one = TransactionOptions { isolation: None, ..all };
        assert_eq!(sql(all, one), ["reset default_transaction_isolation"]);
        assert_eq!(sql(all, none).len(), 3);
    }

    #[test]
    fn what_the_protocol_cannot_say_is_refused() {
        let refusal = |statement| check(&sample(vec![statement]), 1 << 20).unwrap_err().to_string();
        assert_eq!(refusal(statement("select '\0'", &[])), "a statement contains a NUL byte");
        let many = Statement { sql: Arc::from("select 1"), params: vec![None; 65_536] };
        assert_eq!(refusal(many), "a statement has more than 65535 parameters");
        let large = Statement { sql: Arc::from("x".repeat(1 << 20)), params: vec![] };
        assert_eq!(refusal(large), "the request is larger than the limit");
        let most = Statement { sql: Arc::from("select 1"), params: vec![None; 65_535] };
        assert_eq!(check(&sample(vec![most]), 1 << 20), Ok(()));
    }
}
