//! The hashes of Envoy's consistent balancers.
//!
//! Keys and ring positions are xxHash64 with seed 0. A ring may use MurmurHash2 instead, in the
//! 64-bit variant of libstdc++'s `std::hash` with its seed.
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::hash::{murmur2, xxhash64};
//!
//! assert_eq!(xxhash64(b""), 0xef46_db37_51d8_e999);
//! assert_ne!(xxhash64(b"cart"), murmur2(b"cart"));
//! ```

use std::hash::Hasher;

use twox_hash::XxHash64;

/// Seed of libstdc++'s `std::hash`.
const MURMUR_SEED: u64 = 0xc70f_6907;
const MURMUR_FACTOR: u64 = 0xc6a4_a793_5bd1_e995;

/// xxHash64 of `bytes` with seed 0.
pub fn xxhash64(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// xxHash64 of `bytes` with `seed`.
pub fn xxhash64_seeded(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// xxHash64 of all `parts`, one after the other.
pub fn xxhash64_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

/// MurmurHash2 of `bytes`, as libstdc++'s `std::hash` has it.
pub fn murmur2(bytes: &[u8]) -> u64 {
    let length = bytes.len() as u64;
    let mut hash = MURMUR_SEED ^ length.wrapping_mul(MURMUR_FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(MURMUR_FACTOR);
        let word = shift_mix(word).wrapping_mul(MURMUR_FACTOR);
        hash = (hash ^ word).wrapping_mul(MURMUR_FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MURMUR_FACTOR);
    }
    shift_mix(shift_mix(hash).wrapping_mul(MURMUR_FACTOR))
}

const fn shift_mix(value: u64) -> u64 {
    value ^ (value >> 47)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes that Envoy's own documentation of its hash functions gives.
    #[test]
    fn hashes_are_envoys() {
        let cases = [
            ("foo", 3_728_699_739_546_630_719, 9_631_199_822_919_835_226),
            ("bar", 5_234_164_152_756_840_025, 11_474_628_671_133_349_555),
            (
                "lyft",
                4_400_747_396_090_729_504,
                12_847_078_931_730_529_320,
            ),
            ("", 17_241_709_254_077_376_921, 6_142_509_188_972_423_790),
        ];
        for (text, xx, murmur) in cases {
            assert_eq!(xxhash64(text.as_bytes()), xx, "{text}");
            assert_eq!(murmur2(text.as_bytes()), murmur, "{text}");
        }
    }

    #[test]
    fn parts_hash_like_the_whole() {
        let parts: [&[u8]; 3] = [b"long enough for a whole ", b"", b"block of 32 bytes"];
        assert_eq!(xxhash64_of(parts), xxhash64(&parts.concat()));
    }

    #[test]
    fn a_length_beyond_a_word_is_hashed_whole() {
        let text = b"longer than seven chars";
        assert_eq!(murmur2(text), 15_194_079_855_121_201_171);
    }
}
