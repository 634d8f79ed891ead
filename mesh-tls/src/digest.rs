//! SHA-256 digests of certificates and keys.
//!
//! They name certificates in logs and headers, and pin them: `verifyCertificateHash` is the digest
//! of a certificate in hexadecimal, `verifyCertificateSpki` that of its public key in base64 (as
//! [RFC 7469] has it).
//!
//! The hash function is that of the rustls [`CryptoProvider`], so that this crate brings none of
//! its own.
//!
//! [RFC 7469]: https://www.rfc-editor.org/rfc/rfc7469#section-2.1.1
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use mesh_tls::digest::{Digest, Sha256};
//!
//! let sha256 = Sha256::of_provider(&rustls::crypto::aws_lc_rs::default_provider()).unwrap();
//! let digest = sha256.digest(b"abc");
//! assert!(digest.to_string().starts_with("ba7816bf"));
//!
//! // Colons, as `openssl x509 -fingerprint` writes them, are accepted.
//! let with_colons: String = digest.to_string().as_bytes().chunks(2)
//!     .map(|pair| format!("{}:", std::str::from_utf8(pair).unwrap()))
//!     .collect();
//! assert_eq!(Digest::from_hex(with_colons.trim_end_matches(':')), Ok(digest));
//! # }
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::{Hash, HashAlgorithm, Output};

/// A SHA-256 digest. Displayed in lower-case hexadecimal.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest that these bytes are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits of either case, with a colon between each two or with none.
    ///
    /// # Errors
    ///
    /// When the text is not that.
    pub fn from_hex(text: &str) -> Result<Self, ParseDigestError> {
        let has_colons = text.len() == 95;
        let step = if has_colons { 3 } else { 2 };
        if !has_colons && text.len() != 64 {
            return Err(ParseDigestError::Hex);
        }
        let mut bytes = [0; 32];
        let text = text.as_bytes();
        for (index, byte) in bytes.iter_mut().enumerate() {
            let start = index * step;
            let separator = text.get(start + 2).filter(|_| has_colons);
            let value = nibble(text[start]).zip(nibble(text[start + 1]));
            match (value, separator) {
                (Some((high, low)), None | Some(b':')) => *byte = high << 4 | low,
                _ => return Err(ParseDigestError::Hex),
            }
        }
        Ok(Self(bytes))
    }

    /// Parses the base64 form (RFC 4648 section 4, padded).
    ///
    /// # Errors
    ///
    /// When the text is not base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, ParseDigestError> {
        let bytes = STANDARD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or(ParseDigestError::Base64)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The base64 form (RFC 4648 section 4, padded).
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// It is not base64 of 32 bytes.
    #[error("not a SHA-256 digest in base64")]
    Base64,
    /// It has not 64 hexadecimal digits.
    #[error("not a SHA-256 digest in hexadecimal")]
    Hex,
}

/// The SHA-256 of a [`CryptoProvider`].
#[derive(Clone, Copy)]
pub struct Sha256(&'static dyn Hash);

impl Sha256 {
    /// Takes the function from one of the provider's cipher suites.
    ///
    /// # Errors
    ///
    /// When no cipher suite of the provider uses SHA-256. Those of rustls do, and TLS 1.3 requires
    /// one (RFC 8446 section 9.1).
    pub fn of_provider(provider: &CryptoProvider) -> Result<Self, NoSha256> {
        let mut hashes = provider.cipher_suites.iter().map(|suite| match suite {
            SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
            SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        });
        let sha256 = hashes.find(|hash| hash.algorithm() == HashAlgorithm::SHA256);
        sha256.map(Self).ok_or(NoSha256)
    }

    /// The digest of `bytes`.
    ///
    /// # Panics
    ///
    /// When the provider's SHA-256 gives something else than 32 bytes.
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        Self::of_output(&self.0.hash(bytes))
    }

    /// The digest of `parts`, one after the other: that of the bytes that they are together.
    ///
    /// # Panics
    ///
    /// As [`digest`](Self::digest).
    pub fn digest_of_all<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        let mut context = self.0.start();
        parts.into_iter().for_each(|part| context.update(part));
        Self::of_output(&context.finish())
    }

    fn of_output(output: &Output) -> Digest {
        let output = <[u8; 32]>::try_from(output.as_ref());
        Digest(output.expect("SHA-256 gives 32 bytes"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

/// A provider cannot compute SHA-256.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no cipher suite of the cryptographic provider uses SHA-256")]
#[non_exhaustive]
pub struct NoSha256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_digest_is_what_its_texts_say(bytes: [u8; 32]) {
            let digest = Digest::new(bytes);
            let hex = digest.to_string();
            let pairs: Vec<&str> = (0..32).map(|i| &hex[2 * i..2 * i + 2]).collect();
            prop_assert_eq!(Digest::from_hex(&hex), Ok(digest));
            prop_assert_eq!(Digest::from_hex(&hex.to_uppercase()), Ok(digest));
            prop_assert_eq!(Digest::from_hex(&pairs.join(":")), Ok(digest));
            prop_assert_eq!(Digest::from_base64(&digest.to_base64()), Ok(digest));
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,100}") {
            if let Ok(digest) = Digest::from_hex(&text) {
                let bare = text.replace(':', "").to_lowercase();
                prop_assert_eq!(digest.to_string(), bare);
            }
        }
    }

    #[test]
    fn the_digest_of_parts_is_that_of_what_they_are_together() {
        let sha256 = Sha256::of_provider(&crate::testing::provider()).unwrap();
        let whole = sha256.digest(b"abc");
        for parts in [&[&b"abc"[..]][..], &[b"a", b"", b"bc"], &[b"ab", b"c"]] {
            assert_eq!(sha256.digest_of_all(parts.iter().copied()), whole);
        }
        let none = sha256.digest_of_all([]).to_string();
        assert!(none.starts_with("e3b0c442"), "that of no bytes");
    }

    #[test]
    fn digests_of_other_lengths_are_refused() {
        for text in [
            "",
            "ab",
            &"a".repeat(63),
            &"a".repeat(65),
            &"é".repeat(32),
            &"a-".repeat(32),
        ] {
            assert_eq!(Digest::from_hex(text), Err(ParseDigestError::Hex), "{text}");
        }
        for text in ["", "AAAA", "?"] {
            assert_eq!(
                Digest::from_base64(text),
                Err(ParseDigestError::Base64),
                "{text}"
            );
        }
    }
}
