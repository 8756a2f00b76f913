//! Which addresses are connected to: the system's resolver, without what leads into private networks or to this machine.

use std::fmt;
use std::net::SocketAddr;

use postern_core::address::Policy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A name has no address but restricted ones.
#[derive(Debug)]
pub struct Restricted;

impl fmt::Display for Restricted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resolved IP address is in a restricted range")
    }
}

impl std::error::Error for Restricted {}

/// Resolves names for one client.
#[derive(Debug, Clone, Copy)]
pub struct Resolver {
    /// Hosts that an administrator has named may have any address.
    pub any: bool,
}

impl Resolver {
    /// Whether a connection may go to this address.
    pub fn allows(self, address: SocketAddr) -> bool {
        self.any || Policy { private: false }.allows(address.ip())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = *self;
        Box::pin(async move {
            // The port is that of the URL; here it means nothing.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| this.allows(*address)).collect();
            if allowed.is_empty() {
                return Err(Restricted.into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}
