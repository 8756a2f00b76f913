//! Maps whose key is an OID, or two: looked into for every name, so that the hash is one multiplication.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Oid;

/// A map by OID.
pub(super) type ByOid<V, K = Oid> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// Odd, with its bits well mixed: different OIDs stay different, and neighbours do not come to lie together.
const MIXED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(MIXED);
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(MIXED);
    }
}
