//! As much of DER (X.690 §8, §10) as keys and signatures need.

const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
/// The version of a certificate, `[0]`.
const VERSION: u8 = 0xa0;

/// A subject public key info: an algorithm, and a key in its own form.
#[derive(Debug)]
pub(super) struct PublicKeyInfo<'a> {
    /// Content of the AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    pub(super) key: &'a [u8],
}

impl<'a> PublicKeyInfo<'a> {
    /// Reads what a PEM block `PUBLIC KEY` holds.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let (content, rest) = element(der, SEQUENCE)?;
        let (algorithm, after) = element(content, SEQUENCE)?;
        let (bits, end) = element(after, BIT_STRING)?;
        let [0, key @ ..] = bits else {
            // Keys are whole bytes.
            return None;
        };
        (rest.is_empty() && end.is_empty()).then_some(Self { algorithm, key })
    }

    /// Finds it in a certificate (RFC 5280 §4.1), of which nothing else is checked.
    pub(super) fn of_certificate(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut fields, _) = element(certificate, SEQUENCE)?;
        if let Some((_, rest)) = element(fields, VERSION) {
            fields = rest;
        }
        let (_serial, rest) = element(fields, INTEGER)?;
        // Signature algorithm, issuer, validity and subject.
        let before = [SEQUENCE; 4];
        let rest = before
            .iter()
            .try_fold(rest, |rest, &tag| Some(element(rest, tag)?.1))?;
        let (content, after) = element(rest, SEQUENCE)?;
        let length = rest.len() - after.len();
        (!content.is_empty())
            .then(|| Self::parse(&rest[..length]))
            .flatten()
    }
}

/// The content of the element that `der` begins with, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk()?;
    if first != tag {
        return None;
    }
    if length < 0x80 {
        return rest.split_at_checked(length.into());
    }
    let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    let length = bytes
        .iter()
        .fold(0, |length, &byte| (length << 8) | usize::from(byte));
    rest.split_at_checked(length)
}

/// An RSAPublicKey (RFC 8017 §A.1.1), of big-endian numbers without leading zeros.
pub(super) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    pair(modulus, exponent)
}

/// An ECDSA signature (RFC 5480 §2.2.2) from the two numbers that a JWS has side by side
/// (RFC 7518 §3.4).
pub(super) fn ecdsa_signature(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    pair(trim(r), trim(s))
}

/// A big-endian number without leading zeros.
pub(super) fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// A sequence of two positive numbers.
fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(first.len() + second.len() + 16);
    for number in [first, second] {
        // Zero is written as one zero, and a sign bit is kept clear.
        let padded = number.first().is_none_or(|byte| *byte >= 0x80);
        push_head(&mut content, INTEGER, number.len() + usize::from(padded));
        if padded {
            content.push(0);
        }
        content.extend_from_slice(number);
    }
    let mut sequence = Vec::with_capacity(content.len() + 6);
    push_head(&mut sequence, SEQUENCE, content.len());
    sequence.append(&mut content);
    sequence
}

fn push_head(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    let bytes = length.to_be_bytes();
    match trim(&bytes) {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // A length has eight bytes at most.
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positive_and_minimal() {
        assert_eq!(
            ecdsa_signature(&[0, 1, 0, 0x80]),
            [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]
        );
        assert_eq!(ecdsa_signature(&[0, 0]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(ecdsa_signature(&[]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        let key = rsa_public_key(&[0x7f; 256], &[1, 0, 1]);
        assert_eq!(key[..8], [0x30, 0x82, 1, 9, 2, 0x82, 1, 0]);
        assert_eq!(key[264..], [2, 3, 1, 0, 1]);
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x80],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
        ] {
            assert!(element(der, SEQUENCE).is_none(), "{der:?}");
            assert!(PublicKeyInfo::parse(der).is_none(), "{der:?}");
            assert!(PublicKeyInfo::of_certificate(der).is_none(), "{der:?}");
        }
        assert_eq!(
            element(&[0x30, 0x81, 1, 7, 8], SEQUENCE),
            Some((&[7][..], &[8][..]))
        );
    }
}
