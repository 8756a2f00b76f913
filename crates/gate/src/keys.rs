//! API keys, looked up in the database by the hash of their text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_auth::{ApiKey, KeyFuture, KeyStore, KeyStoreError};
use postern_core::RoleName;
use postern_pool::{Pool, Row};

/// Runs outside the wall, on connections that strangers have used: every name has its schema, nothing is cast.
const FIND: &str = "select k.id, k.role, k.subject, k.claims, pg_catalog.date_part('epoch', k.expires_at) \
                    from postern.find_api_key($1) k";

/// `bytea`
const BYTEA: u32 = 17;

/// The keys of the database that is served.
#[derive(Clone)]
pub(crate) struct DatabaseKeys {
    pool: Pool,
}

impl DatabaseKeys {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    async fn look_up(&self, sha256: [u8; 32]) -> Result<Option<ApiKey>, KeyStoreError> {
        let hash = bytea(&sha256);
        let rows = self.pool.own(FIND, &[BYTEA], &[Some(hash.as_bytes())]).await;
        let rows = rows.map_err(|error| KeyStoreError(error.to_string()))?;
        rows.first().map(read).transpose()
    }
}

impl std::fmt::Debug for DatabaseKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseKeys")
    }
}

impl KeyStore for DatabaseKeys {
    fn find(&self, sha256: [u8; 32]) -> KeyFuture<'_> {
        Box::pin(self.look_up(sha256))
    }
}

fn bytea(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read(row: &Row) -> Result<ApiKey, KeyStoreError> {
    let odd = |what: &str| KeyStoreError(format!("postern.find_api_key gave no valid {what}"));
    Ok(ApiKey {
        id: row.get(0).and_then(|id| id.parse().ok()).ok_or_else(|| odd("id"))?,
        role: row.get(1).and_then(|role| RoleName::try_from(role).ok()).ok_or_else(|| odd("role"))?,
        subject: row.get(2).map(str::to_owned),
        claims: row.get(3).unwrap_or("{}").to_owned(),
        expires_at: row
            .get(4)
            .map(|epoch| expiry(epoch).ok_or_else(|| odd("expires_at")))
            .transpose()?
            .flatten(),
    })
}

/// The end of a key from seconds since 1970. The outer `None` is no number, the inner one no end.
#[expect(clippy::option_option, reason = "see above")]
fn expiry(epoch: &str) -> Option<Option<SystemTime>> {
    if epoch == "Infinity" {
        return Some(None);
    }
    let seconds = epoch.parse::<f64>().ok().filter(|seconds| !seconds.is_nan())?.max(0.0);
    Some(UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_a_key() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let row =
            Row::from_cells([Some(id), Some("app_user"), None, Some("{\"a\":1}"), Some("1764000000.25")]);
        let key = read(&row).unwrap();
        assert_eq!((key.id.to_string().as_str(), key.role.as_str(), key.subject), (id, "app_user", None));
        assert_eq!(key.expires_at, Some(UNIX_EPOCH + Duration::from_millis(1_764_000_000_250)));
        let odd = Row::from_cells([Some("x"), Some("app_user"), None, None, None]);
        assert!(read(&odd).is_err());
    }

    #[test]
    fn ends_that_are_never_or_long_ago() {
        assert_eq!(expiry("Infinity"), Some(None));
        assert_eq!(expiry("-Infinity"), Some(Some(UNIX_EPOCH)));
        assert_eq!(expiry("-5"), Some(Some(UNIX_EPOCH)));
        assert_eq!(expiry("x"), None);
    }

    #[test]
    fn hashes_are_written_as_bytea() {
        assert_eq!(bytea(&[0, 0xAB, 0xFF]), "\\x00abff");
    }
}
