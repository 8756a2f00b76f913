//! Which addresses may be connected to on someone else's word: where an issuer's keys are, where a step calls.
//!
//! Whoever uses this looks at an address after the name is resolved, and connects to the address that was looked at: a name that
//! resolves differently a moment later (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is allowed beyond public addresses.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Loopback, private networks (RFC 1918, ULA) and carrier networks.
    pub private: bool,
}

/// Kinds of addresses, as far as they matter here.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    /// No service is there, or one that must never be asked: link-local (where clouds keep their metadata), multicast,
    /// unspecified, reserved, documentation, tunnels.
    Never,
}

impl Policy {
    /// Whether it may be connected to.
    pub fn allows(self, addr: IpAddr) -> bool {
        match kind(addr) {
            Kind::Public => true,
            Kind::Private => self.private,
            Kind::Never => false,
        }
    }
}

fn kind(addr: IpAddr) -> Kind {
    match addr {
        IpAddr::V4(addr) => kind_v4(addr),
        IpAddr::V6(addr) => kind_v6(addr),
    }
}

fn kind_v4(addr: Ipv4Addr) -> Kind {
    let [a, b, c, _] = addr.octets();
    match (a, b, c) {
        _ if addr.is_loopback() || addr.is_private() => Kind::Private,
        // Shared address space, RFC 6598.
        (100, 64..=127, _) => Kind::Private,
        _ if addr.is_link_local() || addr.is_multicast() || addr.is_documentation() => Kind::Never,
        // This network; protocol assignments; 6to4 relays; benchmarks; reserved and broadcast.
        (0 | 240.., _, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) => Kind::Never,
        _ => Kind::Public,
    }
}

fn kind_v6(addr: Ipv6Addr) -> Kind {
    if let Some(mapped) = addr.to_ipv4_mapped() {
        return kind_v4(mapped);
    }
    if addr.is_loopback() || addr.is_unique_local() {
        return Kind::Private;
    }
    // NAT64 with the well-known prefix leads to the IPv4 address at its end.
    if let [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, v4 @ ..] = addr.octets() {
        return kind_v4(Ipv4Addr::from(v4));
    }
    match (addr.segments()[0], addr.segments()[1]) {
        // Teredo, ORCHID and other assignments (2001::/23); documentation; 6to4.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff) => Kind::Never,
        (0x2000..=0x3fff, _) => Kind::Public,
        _ => Kind::Never,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn h3_only_public_addresses_are_connected_to() {
        for (kind_expected, addrs) in [
            (
                Kind::Public,
                &["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"][..],
            ),
            (Kind::Public, &["::ffff:8.8.8.8", "64:ff9b::808:808"]),
            (
                Kind::Private,
                &["127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"],
            ),
            (
                Kind::Private,
                &["::1", "fd00::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"],
            ),
            (
                Kind::Never,
                &["0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "192.0.2.1"],
            ),
            (
                Kind::Never,
                &["::", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001::1"],
            ),
            (
                Kind::Never,
                &["::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1"],
            ),
        ] {
            for addr in addrs {
                assert_eq!(kind(IpAddr::from_str(addr).unwrap()), kind_expected, "{addr}");
            }
        }
    }
}
