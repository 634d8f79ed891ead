//! `x-request-id`, by which a request is found again in logs and traces.
//!
//! As Envoy: a UUID of version 4 (RFC 9562 §5.4). A gateway makes a new one for requests from
//! outside the mesh, so that a client cannot choose it.
//!
//! # Example
//!
//! ```
//! let id = examples::headers::request_id::generate(7 << 64);
//! assert_eq!(id, "00000000-0000-4007-8000-000000000000");
//! ```

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// The name of the header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes an identifier of 122 of the bits of `random`.
pub fn generate(random: u128) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const VERSION_4: u128 = 0x4 << 76;
    const VERSION: u128 = 0xf << 76;
    const VARIANT_10: u128 = 0b10 << 62;
    const VARIANT: u128 = 0b11 << 62;
    let bytes = ((random & !VERSION & !VARIANT) | VERSION_4 | VARIANT_10).to_be_bytes();

    let mut text = [b'-'; 36];
    let mut position = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        if let 4 | 6 | 8 | 10 = index {
            position += 1;
        }
        text[position] = HEX[usize::from(byte >> 4)];
        text[position + 1] = HEX[usize::from(byte & 0xf)];
        position += 2;
    }
    // Shared from the beginning, for it is going to be cloned. Nothing but hexadecimal digits and
    // hyphens, which any value may consist of.
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(text));
    value.unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_identifier_is_a_version_4_uuid(random: u128) {
            let id = generate(random);
            let groups: Vec<&str> = id.to_str().unwrap().split('-').collect();
            let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
            prop_assert_eq!(lengths, [8, 4, 4, 4, 12]);
            prop_assert!(groups[2].starts_with('4'));
            prop_assert!(groups[3].starts_with(['8', '9', 'a', 'b']));
            prop_assert!(groups.concat().chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
        }

        #[test]
        fn different_numbers_make_different_identifiers(random: u64, other: u64) {
            prop_assume!(random >> 2 != other >> 2);
            let low = u128::from(random >> 2) ;
            let other = u128::from(other >> 2);
            prop_assert_ne!(generate(low), generate(other));
        }
    }
}
