//! Secrets of HTTP steps at rest: sealed by the server when they are set, opened by whoever sends a request.
//!
//! **How it works.** XChaCha20-Poly1305 with a random nonce for each sealing; the name of the secret is authenticated with it, so that
//! one cannot stand in for another. The key is 32 bytes in a file that the database does not hold.
//!
//! **What it does not promise.** Names and lengths are not hidden.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;

/// The most bytes of a secret.
pub const MAX_BYTES: usize = 64 << 10;

/// What stands before everything that is sealed: how it was.
const VERSION: u8 = 1;

/// The key of a server's secrets. It is wiped when it is dropped.
pub struct Key(XChaCha20Poly1305);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Why nothing was sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is not one with a key.
    #[error("a key is 64 hexadecimal digits")]
    Key,
    /// Sealed with another key, for another name, or damaged.
    #[error("it was not sealed with this key")]
    Sealed,
}

impl Key {
    /// Reads the text of a key file: 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let digits = text.trim_ascii();
        let mut key: [u8; KEY_BYTES] =
            from_hex(digits).and_then(|bytes| bytes.try_into().ok()).ok_or(Error::Key)?;
        let cipher = XChaCha20Poly1305::new((&key).into());
        key.fill(0);
        Ok(Self(cipher))
    }

    /// Seals a secret. The nonce must be random, and new each time.
    pub fn seal(&self, name: &str, value: &str, nonce: &[u8; NONCE_BYTES]) -> Result<Vec<u8>, Error> {
        let aad = bound(name);
        let payload = Payload { msg: value.as_bytes(), aad: &aad };
        let sealed = self.0.encrypt(XNonce::from_slice(nonce), payload).map_err(|_| Error::Sealed)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for this name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<String, Error> {
        let (version, rest) = sealed.split_first().ok_or(Error::Sealed)?;
        if *version != VERSION || rest.len() < NONCE_BYTES {
            return Err(Error::Sealed);
        }
        let (nonce, msg) = rest.split_at(NONCE_BYTES);
        let aad = bound(name);
        let opened = self
            .0
            .decrypt(XNonce::from_slice(nonce), Payload { msg, aad: &aad })
            .map_err(|_| Error::Sealed)?;
        String::from_utf8(opened).map_err(|_| Error::Sealed)
    }
}

fn bound(name: &str) -> Vec<u8> {
    [b"postern secret 1\0".as_slice(), name.as_bytes()].concat()
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The other way round.
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

    #[test]
    fn what_is_sealed_opens_with_its_key_and_its_name_only() {
        let key = Key::parse(TEXT).unwrap();
        let sealed = key.seal("token", "hunter2", &[7; NONCE_BYTES]).unwrap();
        assert_eq!(key.open("token", &sealed).unwrap(), "hunter2");
        assert_eq!(key.open("other", &sealed), Err(Error::Sealed));
        let other = Key::parse(&TEXT.replace("00", "ff")).unwrap();
        assert_eq!(other.open("token", &sealed), Err(Error::Sealed));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(key.open("token", &damaged), Err(Error::Sealed), "{at}");
            assert_eq!(key.open("token", &sealed[..at]), Err(Error::Sealed), "{at}");
        }
        assert!(!String::from_utf8_lossy(&sealed).contains("hunter2"));
    }

    #[test]
    fn a_key_is_64_digits() {
        for bad in
            ["", "00", &TEXT[1..], &format!("{TEXT}00"), &TEXT.replace('a', "g"), &TEXT.replace('1', "é")]
        {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", Key::parse(TEXT).unwrap()), "Key(…)");
    }
}
