//! What a connection string in a header may say.
//!
//! `postgresql://role[:password]@host[:port]/database[?…]`, of which the role and the database are read. It is a *request*:
//! the role must be one that the credential allows, the database the one that is served. Password, host and port are
//! ignored, and so are the parameters that drivers add by themselves. Parameters that could change who or where for any
//! reader of such strings are refused, so that nobody believes them heard.
//!
//! **Invariants**: role and database are decoded exactly once, compared byte for byte, never trimmed or folded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use postern_core::Code;

/// Far more than any driver sends.
const MAX_BYTES: usize = 4096;

/// Parameters that would mean another role, database or server.
const REFUSED: &[&str] = &[
    "user",
    "dbname",
    "database",
    "password",
    "host",
    "hostaddr",
    "port",
    "service",
    "replication",
    "role",
    "session_authorization",
    "passfile",
    "servicefile",
];

/// The role and the database of a connection string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionString<'a> {
    /// The role that is asked for.
    pub role: Cow<'a, str>,
    /// The database that is asked for.
    pub database: Cow<'a, str>,
}

impl<'a> ConnectionString<'a> {
    /// Reads the text of the header.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Code> {
        read(text).ok_or(Code::ConnectionString).and_then(|(parsed, query)| {
            if query.is_some_and(has_refused_parameter) { Err(Code::ConnectionParameter) } else { Ok(parsed) }
        })
    }
}

fn read(text: &str) -> Option<(ConnectionString<'_>, Option<&str>)> {
    if text.len() > MAX_BYTES
        || text.contains(|c: char| c.is_ascii_control() || matches!(c, ' ' | '#' | '\\'))
    {
        return None;
    }
    let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"))?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_once('/')?;
    let (user_info, host) = authority.split_once('@')?;
    // A second `@` is read differently by different readers.
    if host.contains('@') || host.is_empty() || path.contains('/') {
        return None;
    }
    let user = user_info.split_once(':').map_or(user_info, |(user, _password)| user);
    Some((ConnectionString { role: decode(user)?, database: decode(path)? }, query))
}

fn decode(part: &str) -> Option<Cow<'_, str>> {
    let text = percent_decode_str(part).decode_utf8().ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

/// Whether a parameter asks for what the string may not decide. `options` may carry what is meant for a proxy of Neon
/// (`project=x`, `endpoint=x`), but no settings.
fn has_refused_parameter(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Ok(name), Ok(value)) =
            (percent_decode_str(name).decode_utf8(), percent_decode_str(value).decode_utf8())
        else {
            return true;
        };
        let name = name.to_ascii_lowercase();
        REFUSED.contains(&name.as_str()) || (name == "options" && value.contains('-') && has_setting(&value))
    })
}

/// Whether server options hold a switch: `-c name=value`, `--name=value`, or any other.
fn has_setting(options: &str) -> bool {
    options.split(|c: char| c.is_ascii_whitespace() || c == '+').any(|word| word.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String), Code> {
        ConnectionString::parse(text).map(|parsed| (parsed.role.into_owned(), parsed.database.into_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what a result is compared with")]
    fn ok(role: &str, database: &str) -> Result<(String, String), Code> {
        Ok((role.to_owned(), database.to_owned()))
    }

    #[test]
    fn role_and_database_are_read() {
        assert_eq!(
            parse(
                "postgresql://alice:pw@db.example.com:5444/app?options=project%3Dx&application_name=pkg%3Anpm"
            ),
            ok("alice", "app")
        );
        assert_eq!(parse("postgres://alice@gw/app"), ok("alice", "app"));
        assert_eq!(
            parse("postgresql://alice@[::1]/app?sslmode=require&channel_binding=require"),
            ok("alice", "app")
        );
        assert_eq!(parse("postgresql://alice:a:b@gw/app"), ok("alice", "app"));
    }

    #[test]
    fn names_are_decoded_once_and_kept_as_they_are() {
        assert_eq!(parse("postgresql://ALICE@gw/app"), ok("ALICE", "app"));
        assert_eq!(parse("postgresql://%22alice%22@gw/app%20"), ok("\"alice\"", "app "));
        assert_eq!(parse("postgresql://%2561lice@gw/app"), ok("%61lice", "app"));
        assert_eq!(parse("postgresql://a%2Fb@gw/app%2F.."), ok("a/b", "app/.."));
        assert_eq!(parse("postgresql://a%3Ab@gw/app"), ok("a:b", "app"));
    }

    #[test]
    fn what_cannot_be_read_in_one_way_only_is_refused() {
        for text in [
            "",
            "postgresql://",
            "postgresql://gw/app",
            "postgresql://alice@gw",
            "postgresql://alice@gw/",
            "postgresql://@gw/app",
            "postgresql://:pw@gw/app",
            "postgresql://alice@/app",
            "postgresql://alice:pw@gw@evil/app",
            "postgresql://alice@gw/app/other",
            "postgresql://alice@gw/app#x",
            "postgresql://alice%00x@gw/app",
            "postgresql://alice%ff@gw/app",
            "postgresql://ali ce@gw/app",
            "postgresql://alice\\@gw/app",
            "mysql://alice@gw/app",
            " postgresql://alice@gw/app",
            "POSTGRESQL://alice@gw/app",
        ] {
            assert_eq!(parse(text), Err(Code::ConnectionString), "{text}");
        }
        assert_eq!(
            parse(&format!("postgresql://alice@gw/app?application_name={}", "x".repeat(5000))),
            Err(Code::ConnectionString)
        );
    }

    #[test]
    fn parameters_that_would_change_who_or_where_are_refused() {
        for query in [
            "user=bob",
            "dbname=other",
            "%64bname=other",
            "USER=bob",
            "host=127.0.0.1&port=5432",
            "replication=database",
            "options=-c%20role%3Dbob",
            "options=-c%20search_path%3Dwork",
            "options=project%3Dx%20-crole%3Dbob",
            "options=project%3Dx+--role=bob",
            "application_name=x&user=bob",
            "x=%ff",
        ] {
            let text = format!("postgresql://alice@gw/app?{query}");
            assert_eq!(parse(&text), Err(Code::ConnectionParameter), "{query}");
        }
        assert_eq!(
            parse("postgresql://alice@gw/app?sslmode=disable&options=endpoint%3Dep-cool-name-1"),
            ok("alice", "app")
        );
    }
}
