//! Who is at the other end, by what the HTTP request says: address, credentials, names of hosts.
//!
//! **Invariants**: a header that decides about a request counts only if it appears once. Forwarding headers count only from
//! configured proxies, and only the one header that those are known to write.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, CONTENT_ENCODING, FORWARDED, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, Uri};
use ipnet::IpNet;
use postern_auth::Presented;
use postern_core::Code;

use crate::config::{ForwardedHeader, Listen};

pub(crate) const CONNECTION_STRING: HeaderName = HeaderName::from_static("neon-connection-string");
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Says that a request without credentials is meant to be one.
pub(crate) const ANONYMOUS: HeaderName = HeaderName::from_static("postern-anonymous");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What API keys begin with.
const API_KEY_PREFIX: &str = "pk_";

/// The value of a header that may appear once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Code> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Code::DuplicateHeader);
    }
    value.to_str().map(Some).map_err(|_| Code::BadHeader)
}

/// Refuses a compressed body.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), Code> {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(Code::ContentEncoding) }
}

/// The credentials of a request. With none, it is refused here unless it says in another way that no browser sent it on
/// behalf of a website that its user knows nothing of.
pub(crate) fn presented<'a>(
    headers: &'a HeaderMap,
    requested_role: Option<&'a str>,
) -> Result<Presented<'a>, Code> {
    let bearer = match single(headers, &AUTHORIZATION)? {
        // Another scheme is not the absence of credentials.
        Some(value) => Some(bearer_token(value).ok_or(Code::AuthenticationFailed)?),
        None => None,
    };
    let api_key = single(headers, &API_KEY)?;
    match (bearer, api_key) {
        // Which of the two would count?
        (Some(_), Some(_)) => Err(Code::DuplicateHeader),
        (Some(token), None) if token.starts_with(API_KEY_PREFIX) => {
            Ok(Presented { bearer: None, api_key: Some(token), requested_role })
        }
        (None, None)
            if !headers.contains_key(CONNECTION_STRING) && single(headers, &ANONYMOUS)? != Some("true") =>
        {
            Err(Code::CredentialsMissing)
        }
        (bearer, api_key) => Ok(Presented { bearer, api_key, requested_role }),
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case("bearer ") && !token.is_empty()).then_some(token)
}

/// The program of the client, cut to what fits into facts and logs.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(value.get(..value.len().min(256))?.to_owned())
}

/// Where a request may come from and what it may call this server.
#[derive(Debug)]
pub(crate) struct Surroundings {
    trusted_proxies: Vec<IpNet>,
    forwarded_header: ForwardedHeader,
    hosts: Vec<String>,
    loopback: bool,
}

impl Surroundings {
    /// `bound` is the address that is really listened on.
    pub(crate) fn new(listen: &Listen, bound: IpAddr) -> Self {
        Self {
            trusted_proxies: listen.trusted_proxies.clone(),
            forwarded_header: listen.forwarded_header,
            hosts: listen.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            loopback: bound.is_loopback(),
        }
    }

    /// Whether the other end of the connection is a configured proxy.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// The address of the client: the right-most hop that is no configured proxy. `None` if a proxy does not tell.
    pub(crate) fn client_addr(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.ip().to_canonical();
        if !self.is_proxy(peer) {
            return Some(peer);
        }
        let (name, hop): (_, fn(&str) -> Option<IpAddr>) = match self.forwarded_header {
            ForwardedHeader::XForwardedFor => (X_FORWARDED_FOR, address),
            ForwardedHeader::Forwarded => (FORWARDED, forwarded_for),
        };
        let mut client = peer;
        for value in headers.get_all(name).iter().rev() {
            for text in value.to_str().ok()?.rsplit(',') {
                client = hop(text.trim())?;
                if !self.is_proxy(client) {
                    return Some(client);
                }
            }
        }
        Some(client)
    }

    /// Refuses a request for a host that is not served. A website can make its own name point to a loopback address and
    /// then talk to what listens there as if it were its own server; but it cannot change the name.
    pub(crate) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Code> {
        if self.hosts.is_empty() && !self.loopback {
            return Ok(());
        }
        // HTTP/2 has the authority in its own place; if both are there, both count.
        let header = single(headers, &HOST)?;
        let served = |authority: &str| self.serves(host_of(authority));
        let known = match (uri.authority(), header) {
            (None, None) => false,
            (authority, header) => {
                authority.is_none_or(|authority| served(authority.as_str())) && header.is_none_or(served)
            }
        };
        if known { Ok(()) } else { Err(Code::Host) }
    }

    fn serves(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if self.hosts.contains(&host) {
            return true;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        self.loopback && (host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|addr| addr.is_loopback()))
    }
}

/// `host:port` without the port; the brackets of IPv6 stay.
fn host_of(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`
fn address(text: &str) -> Option<IpAddr> {
    let ip = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|addr| addr.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
    ip.ok().map(|ip| ip.to_canonical())
}

/// The `for` of one element of a `Forwarded` header. `unknown` and made-up names give none.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    })?;
    address(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn surroundings(header: ForwardedHeader, hosts: &[&str], bound: &str) -> Surroundings {
        let listen = Listen {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()],
            forwarded_header: header,
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..Listen::default()
        };
        Surroundings::new(&listen, bound.parse().unwrap())
    }

    fn client(header: ForwardedHeader, peer: &str, pairs: &[(&str, &str)]) -> Option<String> {
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        surroundings(header, &[], "0.0.0.0").client_addr(peer, &headers(pairs)).map(|addr| addr.to_string())
    }

    #[test]
    fn a_forwarding_header_counts_only_from_a_proxy() {
        let spoofed = [("x-forwarded-for", "192.0.2.9")];
        assert_eq!(
            client(ForwardedHeader::XForwardedFor, "198.51.100.1", &spoofed).as_deref(),
            Some("198.51.100.1")
        );
        assert_eq!(
            client(ForwardedHeader::XForwardedFor, "10.0.0.1", &spoofed).as_deref(),
            Some("192.0.2.9")
        );
        assert_eq!(
            client(ForwardedHeader::XForwardedFor, "::ffff:10.0.0.1", &spoofed).as_deref(),
            Some("192.0.2.9")
        );
        assert_eq!(
            client(ForwardedHeader::Forwarded, "10.0.0.1", &spoofed).as_deref(),
            Some("10.0.0.1"),
            "the other header"
        );
    }

    #[test]
    fn the_right_most_hop_that_is_no_proxy_counts() {
        let x = |pairs: &[(&str, &str)]| client(ForwardedHeader::XForwardedFor, "10.0.0.1", pairs);
        assert_eq!(x(&[("x-forwarded-for", "1.1.1.1, 192.0.2.1, 10.0.0.2")]).as_deref(), Some("192.0.2.1"));
        assert_eq!(
            x(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1:99, 10.0.0.2")]).as_deref(),
            Some("192.0.2.1")
        );
        assert_eq!(x(&[("x-forwarded-for", "[2001:db8::1]:99")]).as_deref(), Some("2001:db8::1"));
        assert_eq!(x(&[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]).as_deref(), Some("10.0.0.3"));
        assert_eq!(x(&[("x-forwarded-for", "192.0.2.1, nonsense")]), None, "nobody is made up");
        assert_eq!(x(&[]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        let f = |value: &str| client(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(f("for=192.0.2.1;proto=https;by=10.0.0.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(f("for=1.1.1.1, For=\"[2001:db8::1]:47011\"").as_deref(), Some("2001:db8::1"));
        assert_eq!(f("for=192.0.2.1, for=10.0.0.2").as_deref(), Some("192.0.2.1"));
        assert_eq!(f("for=unknown"), None);
        assert_eq!(f("for=_hidden, for=10.0.0.2"), None);
    }

    #[test]
    fn a_loopback_gate_answers_to_loopback_names_only() {
        let gate = surroundings(ForwardedHeader::XForwardedFor, &[], "127.0.0.1");
        let check = |host: &str| gate.check_host(&Uri::from_static("/sql"), &headers(&[("host", host)]));
        for host in
            ["localhost", "localhost:8484", "127.0.0.1:8484", "LocalHost", "[::1]:80", "[::1]", "127.1.2.3"]
        {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8484",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "192.0.2.1",
        ] {
            assert_eq!(check(host), Err(Code::Host), "{host}");
        }
        let absolute = Uri::from_static("http://evil.example/sql");
        assert_eq!(gate.check_host(&absolute, &headers(&[("host", "localhost")])), Err(Code::Host));
        assert_eq!(gate.check_host(&Uri::from_static("/sql"), &HeaderMap::new()), Err(Code::Host));
    }

    #[test]
    fn named_hosts_are_served_and_no_others() {
        let gate = surroundings(ForwardedHeader::XForwardedFor, &["Gw.example"], "0.0.0.0");
        let check = |host: &str| gate.check_host(&Uri::from_static("/"), &headers(&[("host", host)]));
        assert_eq!(check("gw.example:443"), Ok(()));
        assert_eq!(check("localhost"), Err(Code::Host));
        let anything = surroundings(ForwardedHeader::XForwardedFor, &[], "0.0.0.0");
        assert_eq!(anything.check_host(&Uri::from_static("/"), &headers(&[("host", "x.example")])), Ok(()));
    }

    fn credentials(pairs: &[(&str, &str)]) -> Result<(Option<String>, Option<String>), Code> {
        let headers = headers(pairs);
        presented(&headers, None).map(|p| (p.bearer.map(str::to_owned), p.api_key.map(str::to_owned)))
    }

    #[test]
    fn credentials_are_found_where_they_belong() {
        assert_eq!(credentials(&[("authorization", "Bearer abc")]), Ok((Some("abc".into()), None)));
        assert_eq!(credentials(&[("authorization", "bearer abc")]), Ok((Some("abc".into()), None)));
        assert_eq!(credentials(&[("authorization", "Bearer pk_abc")]), Ok((None, Some("pk_abc".into()))));
        assert_eq!(credentials(&[("x-api-key", "pk_abc")]), Ok((None, Some("pk_abc".into()))));
    }

    #[test]
    fn nothing_ambiguous_counts_as_a_credential() {
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(credentials(&twice), Err(Code::DuplicateHeader));
        assert_eq!(
            credentials(&[("authorization", "Bearer a"), ("x-api-key", "b")]),
            Err(Code::DuplicateHeader)
        );
        for value in ["Basic abc", "Bearer ", "Bearer", "abc", ""] {
            assert_eq!(credentials(&[("authorization", value)]), Err(Code::AuthenticationFailed), "{value}");
        }
    }

    #[test]
    fn a_request_that_any_website_could_send_is_refused() {
        assert_eq!(credentials(&[("content-type", "text/plain")]), Err(Code::CredentialsMissing));
        assert_eq!(credentials(&[("postern-anonymous", "yes")]), Err(Code::CredentialsMissing));
        assert_eq!(credentials(&[("postern-anonymous", "true")]), Ok((None, None)));
        assert_eq!(credentials(&[("neon-connection-string", "x")]), Ok((None, None)));
    }

    #[test]
    fn compressed_bodies_are_refused() {
        assert_eq!(check_encoding(&headers(&[("content-encoding", "identity")])), Ok(()));
        assert_eq!(check_encoding(&headers(&[("content-encoding", "gzip")])), Err(Code::ContentEncoding));
        assert_eq!(
            check_encoding(&headers(&[("content-encoding", "identity, gzip")])),
            Err(Code::ContentEncoding)
        );
    }
}
