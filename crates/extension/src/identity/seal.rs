//! A key for one connection, beside the wall and not part of it.
//!
//! SQL that ever got out of the wall would run as the gate's role, which may enter. So the gate seals each connection with a
//! random key right after connecting: from then on entering needs the key, which is in the memory of two processes, passed
//! as a bound parameter, and readable by no SQL.

use std::cell::OnceCell;

use crate::error::Error;

thread_local! {
    static KEY: OnceCell<String> = const { OnceCell::new() };
}

/// Seals the session, once.
pub fn seal(key: String) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::EmptySeal);
    }
    KEY.with(|cell| cell.set(key)).map_err(|_| Error::AlreadySealed)
}

/// Whether `key` opens the session; any does while it is not sealed.
pub fn check(key: Option<&str>) -> Result<(), Error> {
    KEY.with(|cell| match cell.get() {
        None => Ok(()),
        Some(expected) if key.is_some_and(|key| same(key.as_bytes(), expected.as_bytes())) => Ok(()),
        Some(_) => Err(Error::WrongSeal),
    })
}

/// Compares in a time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_the_same_only_whole() {
        assert!(super::same(b"abc", b"abc"));
        assert!(!super::same(b"abc", b"abd"));
        assert!(!super::same(b"abc", b"ab"));
    }
}
