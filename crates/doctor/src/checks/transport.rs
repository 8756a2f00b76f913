//! Whether the way to the database can be read or diverted.

use crate::codes;
use crate::examination::{Checked, Examination};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let row = ex
        .query_one(
            "select pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.host(pg_catalog.inet_client_addr()),
                    coalesce((select s.ssl from pg_catalog.pg_stat_ssl s where s.pid = pg_catalog.pg_backend_pid()), false)",
            &[],
        )
        .await?;
    let (server, client): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    let encrypted: bool = row.try_get(2)?;
    let Some((server, client)) = server.zip(client).filter(|(server, client)| is_remote(server, client))
    else {
        return Ok(());
    };
    let subject = format!("connection to {server}");
    if !encrypted {
        ex.found(
            &codes::TLS_OFF,
            subject,
            format!("connection from {client} to {server} is not encrypted"),
            "Whoever is on the way reads the rows and facts of everybody, and can change them. Require TLS in the \
             configuration, or allow this on a network where nobody else is.",
            None,
        );
    } else if ex.settings.certificate_verified == Some(false) {
        ex.found(
            &codes::TLS_UNVERIFIED,
            subject,
            format!("certificate of server {server} is not verified"),
            "Whoever is on the way can pose as the database. Verify it against a certificate authority.",
            None,
        );
    }
    Ok(())
}

/// A machine talks to itself over the loopback, or from the very address that it talks to.
fn is_remote(server: &str, client: &str) -> bool {
    let loopback =
        client.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    !loopback && server != client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_machine_is_remote() {
        assert!(!is_remote("127.0.0.1", "127.0.0.1"));
        assert!(!is_remote("::1", "::1"));
        assert!(!is_remote("10.0.0.5", "10.0.0.5"));
        assert!(!is_remote("10.0.0.5", "127.0.0.2"));
        assert!(is_remote("10.0.0.5", "10.0.0.6"));
        assert!(is_remote("2001:db8::1", "2001:db8::2"));
    }
}
