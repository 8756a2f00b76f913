//! An HTTP request on its way from a step to whoever sends it.
//!
//! **Invariants**
//! * A secret is a reference here, never its value. References are those that the step itself has: one that a variable or a
//!   result brings along is text.
//! * [`Target`] is what may be checked against a list: it comes from the URL as a parser reads it, and whoever puts secrets in
//!   compares it with that of the whole.
//! * No header of the request decides where it goes or how it is framed.

#![allow(clippy::result_large_err, reason = "a failure is made once, and then it is all there is")]

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::graph::is_name;
use crate::{Error, Failure, Http, Kind, Part, Scope, substitute};

/// The most bytes of a request: body, parts and headers together.
pub const MAX_BYTES: usize = 10 << 20;

/// Headers that say where a message goes or how it is framed; they are the sender's.
const OURS: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "proxy-authorization",
    "proxy-connection",
    "http2-settings",
];

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// Itself.
    Text(String),
    /// The value of a secret of the owner's.
    Secret {
        /// Its name.
        secret: String,
    },
}

/// A text with everything put in but secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(pub Vec<Piece>);

impl Template {
    fn prepare(text: &str, scope: &Scope<'_>) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_secret(rest) {
            pieces.push(Piece::Text(substitute::raw(before, scope)?));
            pieces.push(Piece::Secret { secret: name.to_owned() });
            rest = after;
        }
        pieces.push(Piece::Text(substitute::raw(rest, scope)?));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }

    /// The text, with what `secret` gives in place of references; its error is passed on.
    pub fn fill<E>(&self, mut secret: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Secret { secret: name } => out.push_str(&secret(name)?),
            }
        }
        Ok(out)
    }

    /// The text as it may be shown: references as they were written.
    pub fn shown(&self) -> String {
        let written = |name: &str| Ok::<_, std::convert::Infallible>(format!("{{secret:{name}}}"));
        match self.fill(written) {
            Ok(text) => text,
            Err(never) => match never {},
        }
    }

    /// The names of the secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret { secret } => Some(secret.as_str()),
            Piece::Text(_) => None,
        })
    }

    fn len(&self) -> usize {
        let of = |piece: &Piece| match piece {
            Piece::Text(text) | Piece::Secret { secret: text } => text.len(),
        };
        self.0.iter().map(of).sum()
    }
}

/// The text before the next `{secret:name}`, the name, and the text after it.
fn next_secret(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("{secret:") {
        let open = from + found;
        let inner = &text[open + "{secret:".len()..];
        if let Some((name, after)) = inner.split_once('}').filter(|(name, _)| is_name(name)) {
            return Some((&text[..open], name, after));
        }
        from = open + 1;
    }
    None
}

/// A request with everything put in but secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Where to.
    pub url: Template,
    /// Name and value.
    #[serde(default)]
    pub headers: Vec<(String, Template)>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Template>,
    /// The parts of a body of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
    /// For the whole of it.
    pub timeout_ms: u64,
}

impl Request {
    /// The texts of a step that may have references, for looking up what they refer to.
    pub fn texts(kind: &Kind) -> Vec<&str> {
        let (http, parts): (&Http, &[Part]) = match kind {
            Kind::Http(http) => (http, &[]),
            Kind::HttpMultipart { request, parts } => (request, parts),
            _ => return Vec::new(),
        };
        let of_part = |part| {
            let Part { name, filename, data_b64, .. }: &Part = part;
            [Some(name), filename.as_ref(), Some(data_b64)].into_iter().flatten()
        };
        [&http.url]
            .into_iter()
            .chain(&http.body)
            .chain(http.headers.iter().map(|(_, value)| value))
            .chain(parts.iter().flat_map(of_part))
            .map(String::as_str)
            .collect()
    }

    /// The request of a step; `None` if it is no such step. `node` is its id, for messages.
    pub fn prepare(kind: &Kind, node: &str, scope: &Scope<'_>) -> Result<Option<Self>, Error> {
        let (http, parts) = match kind {
            Kind::Http(http) => (http, None),
            Kind::HttpMultipart { request, parts } => (request, Some(parts)),
            _ => return Ok(None),
        };
        let header = |(name, value): &(String, String)| {
            Template::prepare(value, scope).map(|value| (name.clone(), value))
        };
        let part = |part: &Part| {
            Ok(Part {
                name: substitute::raw(&part.name, scope)?,
                filename: part.filename.as_deref().map(|text| substitute::raw(text, scope)).transpose()?,
                content_type: part.content_type.clone(),
                data_b64: substitute::part_data(&part.data_b64, &part.name, node, scope)?,
            })
        };
        Ok(Some(Self {
            method: http.method.clone(),
            url: Template::prepare(&http.url, scope)?,
            headers: http.headers.iter().map(header).collect::<Result<_, _>>()?,
            body: http.body.as_deref().map(|body| Template::prepare(body, scope)).transpose()?,
            parts: parts.map(|parts| parts.iter().map(part).collect::<Result<_, Error>>()).transpose()?,
            timeout_ms: http.timeout_millis,
        }))
    }

    /// The names of the secrets that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.iter().map(|(_, value)| value);
        [&self.url].into_iter().chain(values).chain(&self.body).flat_map(Template::secrets)
    }

    /// Where it goes; or why it does not go out whoever sends it.
    pub fn check(&self) -> Result<Target, Failure> {
        if let Some((name, _)) =
            self.headers.iter().find(|(name, _)| OURS.contains(&name.to_ascii_lowercase().as_str()))
        {
            return Err(Failure::new("22023", format!("Blocked: header '{name}' cannot be set by a step.")));
        }
        let parts = self.parts.iter().flatten().map(|part| part.data_b64.len() + part.name.len());
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let body = self.body.iter().map(Template::len);
        let bytes: usize = self.url.len() + parts.chain(headers).chain(body).sum::<usize>();
        if bytes > MAX_BYTES {
            return Err(Failure::new(
                "54000",
                format!("HTTP request is too large: {bytes} bytes, and at most {MAX_BYTES} are sent"),
            ));
        }
        Target::of(&self.url.shown()).map_err(|message| Failure::new("42501", message))
    }

    /// Method and URL, for the record of the step.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method, self.url.shown())
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `http` or `https`.
    pub scheme: String,
    /// In the one form that it has: lower case, ASCII; IPv6 in brackets.
    pub host: String,
    /// That of the scheme, if the URL names none.
    pub port: u16,
}

impl Target {
    /// Of a URL. The error is the whole message.
    pub fn of(url: &str) -> Result<Self, String> {
        let no_host = || "Blocked: unable to extract hostname from URL.".to_owned();
        let url = Url::parse(url).map_err(|_| no_host())?;
        let scheme = url.scheme();
        if scheme != "http" && scheme != "https" {
            return Err(format!(
                "Blocked: unsupported URL scheme '{scheme}'. Only http and https are allowed."
            ));
        }
        let host = match url.host().ok_or_else(no_host)? {
            Host::Domain(name) => name.to_owned(),
            address => address.to_string(),
        };
        let port = url.port_or_known_default().ok_or_else(no_host)?;
        Ok(Self { scheme: scheme.to_owned(), host, port })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Named;

    fn with<R>(vars: &[(&str, &str)], results: &[(&str, &str)], f: impl FnOnce(&Scope<'_>) -> R) -> R {
        let vars: BTreeMap<String, String> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let results: BTreeMap<String, Named> = results
            .iter()
            .map(|(name, json)| ((*name).to_owned(), Named { json: (*json).to_owned(), ..Named::default() }))
            .collect();
        f(&Scope {
            instance_id: "0a0b0c0d",
            label: None,
            vars: &vars,
            results: &results,
            conforming_strings: true,
        })
    }

    #[test]
    fn a_secret_stays_a_reference() {
        let template = with(&[("host", "a.example")], &[], |scope| {
            Template::prepare("https://{host}/{secret:path}?k={secret:key}", scope)
        })
        .unwrap();
        assert_eq!(template.secrets().collect::<Vec<_>>(), ["path", "key"]);
        assert_eq!(template.shown(), "https://a.example/{secret:path}?k={secret:key}");
        let filled = template.fill(|name| Ok::<_, ()>(format!("<{name}>"))).unwrap();
        assert_eq!(filled, "https://a.example/<path>?k=<key>");
    }

    #[test]
    fn a_secret_that_a_value_asks_for_is_text() {
        let row = r#"{"rows":[{"t":"{secret:key}"}],"row_count":1}"#;
        let template = with(&[("v", "{secret:key}")], &[("row", row)], |scope| {
            Template::prepare("{v} $row.t {secret:}", scope)
        })
        .unwrap();
        assert_eq!(template, Template(vec![Piece::Text("{secret:key} {secret:key} {secret:}".into())]));
    }

    #[test]
    fn a_target_is_what_the_parser_of_the_url_reads() {
        let target = |url: &str| Target::of(url).map(|t| format!("{}|{}|{}", t.scheme, t.host, t.port));
        for (url, wanted) in [
            ("https://API.example.com/x", "https|api.example.com|443"),
            ("http://example.com:8080", "http|example.com|8080"),
            ("https://good.example@evil.example/", "https|evil.example|443"),
            ("https://good.example\\@evil.example/", "https|good.example|443"),
            ("http://2130706433/", "http|127.0.0.1|80"),
            ("http://0x7f.1/", "http|127.0.0.1|80"),
            ("http://[::ffff:10.0.0.1]/", "http|[::ffff:a00:1]|80"),
            ("https://bücher.example/", "https|xn--bcher-kva.example|443"),
        ] {
            assert_eq!(target(url).unwrap(), wanted, "{url}");
        }
        for url in ["https://{secret:host}/", "https://", "nonsense", "/relative"] {
            assert_eq!(target(url).unwrap_err(), "Blocked: unable to extract hostname from URL.", "{url}");
        }
        assert_eq!(
            target("file:///etc/passwd").unwrap_err(),
            "Blocked: unsupported URL scheme 'file'. Only http and https are allowed."
        );
    }

    #[test]
    fn headers_that_frame_a_message_are_refused() {
        let request = |header: &str| Request {
            method: "GET".into(),
            url: Template(vec![Piece::Text("https://a.example/".into())]),
            headers: vec![(header.into(), Template::default())],
            body: None,
            parts: None,
            timeout_ms: 1,
        };
        assert!(request("Host").check().unwrap_err().message.contains("'Host'"));
        assert!(request("transfer-encoding").check().is_err());
        assert!(request("authorization").check().is_ok());
    }
}
