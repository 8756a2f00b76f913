//! Secrets of HTTP steps.
//!
//! **How it works.** `df.set_secret()` seals the value in the process of whoever calls it, with the key in the file that
//! `postern.secrets_key_file` names, and writes what came out. Nothing in the server opens it again: the outbound worker gets the sealed
//! secrets that a request names together with the request, and opens them with its own copy of the key when it sends it.
//!
//! **Invariants**
//! * The value is in no table, no setting, no error and no log of ours; while it is set, `pg_stat_activity` shows other words.
//! * A step cannot set one: its text, and so the value, would be kept with the function.

use std::os::unix::fs::PermissionsExt;

use postern_durable::is_name;
use postern_durable::secret::{Key, MAX_BYTES, NONCE_BYTES, to_hex};

use super::error::Refusal;
use crate::error::Error;
use crate::guc;
use crate::pg::query::{self, Arg, as_owner};
use crate::pg::{Oid, session, user, worker};

/// Sets a secret of the current user.
pub fn set(name: &str, value: &str) -> Result<(), Error> {
    session::show_statement(c"SELECT df.set_secret(...)");
    if worker::is_ours() {
        return Err(Refusal::SecretInside.into());
    }
    if !is_name(name) {
        return Err(Refusal::SecretName.into());
    }
    if value.is_empty() || value.len() > MAX_BYTES {
        return Err(Refusal::SecretSize.into());
    }
    let key = key()?;
    let mut nonce = [0; NONCE_BYTES];
    if !session::random_bytes(&mut nonce) {
        return Err(Error::NoRandomness);
    }
    let sealed = key.seal(name, value, &nonce).map_err(|_| Refusal::SecretSize)?;
    let owner = user::current().oid;
    as_owner(|| {
        query::run(
            c"INSERT INTO postern.secret (owner, name, sealed, set_at) VALUES ($1, $2, decode($3, 'hex'), now()) \
              ON CONFLICT ON CONSTRAINT secret_pkey DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at",
            &[Arg::Oid(owner), Arg::Text(name), Arg::Text(&to_hex(&sealed))],
        )
    });
    Ok(())
}

/// Takes a secret of the current user away.
pub fn drop(name: &str) -> Result<(), Error> {
    let owner = user::current().oid;
    let gone = as_owner(|| {
        query::run(
            c"DELETE FROM postern.secret s WHERE s.owner = $1 AND s.name = $2 RETURNING s.name",
            &[Arg::Oid(owner), Arg::Text(name)],
        )
    });
    if gone.is_empty() { Err(Refusal::NoSecret(name.into()).into()) } else { Ok(()) }
}

/// Those of these names that a role has not. As the owner.
pub fn missing(owner: Oid, names: &[String]) -> Option<String> {
    let rows = query::run(
        c"SELECT n FROM unnest($2) n WHERE NOT EXISTS (SELECT FROM postern.secret s WHERE s.owner = $1 AND s.name = n) LIMIT 1",
        &[Arg::Oid(owner), Arg::Texts(names)],
    );
    rows.first().map(|row| row.string(0))
}

/// The key. Who sets a secret learns nothing of where it is.
fn key() -> Result<Key, Error> {
    let path = guc::secrets_key_file().ok_or(Refusal::NoKey("postern.secrets_key_file is not set."))?;
    let unreadable =
        |_| Refusal::NoKey("The server cannot read the file that postern.secrets_key_file names.");
    let mode = std::fs::metadata(&path).map_err(unreadable)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(
            Refusal::NoKey("Everybody on the server can read the file with the key, or write it.").into()
        );
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    Ok(Key::parse(&text)
        .map_err(|_| Refusal::NoKey("The file with the key has none: a key is 64 hexadecimal digits."))?)
}
