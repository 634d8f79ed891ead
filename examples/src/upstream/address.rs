//! A map from addresses that is cheap to look up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;

/// A map whose keys are the addresses of upstreams.
pub(super) type AddressMap<T> = HashMap<SocketAddr, T, BuildHasherDefault<AddressHasher>>;

/// A multiplicative hash of what an address consists of.
///
/// Unlike the standard library's it can be made to collide, but the addresses of upstreams come
/// from the configuration and not from clients.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

/// 2^64 divided by the golden ratio, which spreads consecutive numbers evenly (Knuth, TAOCP 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl AddressHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn neighbours_do_not_collide() {
        let hasher = BuildHasherDefault::<AddressHasher>::default();
        let hashes: HashSet<u64> = (0..=255u8)
            .flat_map(|host| (80..120u16).map(move |port| (host, port)))
            .map(|(host, port)| hasher.hash_one(SocketAddr::from(([10, 0, 0, host], port))))
            .collect();
        assert_eq!(hashes.len(), 256 * 40);
    }
}
