//! A resolver that gives only addresses that may be connected to when keys are fetched.

use std::net::SocketAddr;

use postern_core::address::Policy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The system's resolver, without what the policy refuses.
#[derive(Debug)]
pub(crate) struct Resolver(pub Policy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            // The port is that of the URL; here it means nothing.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|addr| policy.allows(addr.ip())).collect();
            if allowed.is_empty() {
                return Err("the name has no address that may be connected to".into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[tokio::test]
    async fn h3_a_name_of_this_machine_is_refused_unless_allowed() {
        let resolve = |private| Resolver(Policy { private }).resolve(Name::from_str("localhost").unwrap());
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.unwrap().all(|addr| addr.ip().is_loopback()));
    }
}
