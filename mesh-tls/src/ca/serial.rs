//! Serial numbers of certificates.

use std::fmt;

/// The serial number of a certificate: positive, of at most 16 bytes (RFC 5280 section 4.1.2.2
/// allows 20). Displayed in hexadecimal.
///
/// Made of random numbers, so that no two certificates of an authority share one.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct SerialNumber([u8; 16]);

impl SerialNumber {
    /// Makes a serial number of random bytes. The highest bit is cleared, and zero becomes one.
    pub const fn new(mut random: [u8; 16]) -> Self {
        random[0] &= 0x7f;
        if u128::from_be_bytes(random) == 0 {
            random[15] = 1;
        }
        Self(random)
    }

    /// The bytes, big-endian.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_positive() {
        assert_eq!(SerialNumber::new([0; 16]).to_string(), "1");
        let mut most = [0xff; 16];
        assert_eq!(
            SerialNumber::new(most).to_string(),
            format!("7{}", "f".repeat(31))
        );
        most[0] = 0x80;
        assert_eq!(SerialNumber::new(most).as_bytes()[0], 0);
    }
}
