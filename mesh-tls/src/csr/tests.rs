use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};

use super::SigningRequestError as E;
use super::*;
use crate::testing;

const KINDS: [(KeyKind, &rcgen::SignatureAlgorithm); 4] = [
    (KeyKind::EcdsaP256, &rcgen::PKCS_ECDSA_P256_SHA256),
    (KeyKind::EcdsaP384, &rcgen::PKCS_ECDSA_P384_SHA384),
    (KeyKind::Ed25519, &rcgen::PKCS_ED25519),
    (KeyKind::RSA_2048, &rcgen::PKCS_RSA_SHA256),
];

fn request(key: &KeyPair) -> Vec<u8> {
    let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.serialize_request(key).unwrap().der().to_vec()
}

fn parse(der: &[u8]) -> Result<SigningRequest, SigningRequestError> {
    SigningRequest::from_der(der, &testing::provider())
}

#[test]
fn each_kind_of_key_is_accepted_with_its_own_signature() {
    for (kind, algorithm) in KINDS {
        let key = testing::key_pair(algorithm);
        let parsed = parse(&request(&key)).unwrap();
        assert_eq!(parsed.key_kind(), kind);
        let public_key = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(parsed.public_key(), public_key, "{kind}");
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut der = request(&ours);
    let (ours, theirs) = (ours.public_key_raw(), theirs.public_key_raw());
    let at = der
        .windows(ours.len())
        .position(|window| window == ours)
        .unwrap();
    der[at..at + theirs.len()].copy_from_slice(theirs);
    assert_eq!(parse(&der), Err(E::NotPossessed));
}

#[test]
fn a_request_with_any_bit_changed_is_refused() {
    let der = request(&KeyPair::generate().unwrap());
    for index in 0..der.len() {
        for bit in 0..8 {
            let mut changed = der.clone();
            changed[index] ^= 1 << bit;
            assert!(parse(&changed).is_err(), "bit {bit} of byte {index}");
        }
    }
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    let key = KeyPair::generate().unwrap();
    let der = request(&key);
    for end in 0..der.len() {
        assert_eq!(parse(&der[..end]), Err(E::Malformed), "{end}");
    }
    let longer = [&der[..], &[0]].concat();
    assert_eq!(parse(&longer), Err(E::TrailingBytes { len: 1 }));

    let text = pem::encode("CERTIFICATE REQUEST", &der);
    for end in 0..text.len() - 1 {
        let cut = &text.as_bytes()[..end];
        assert!(
            SigningRequest::from_pem(cut, &testing::provider()).is_err(),
            "{end}"
        );
    }
    assert!(SigningRequest::from_pem(text.as_bytes(), &testing::provider()).is_ok());
}

#[test]
fn a_long_request_is_not_parsed() {
    let len = MAX_LEN + 1;
    assert_eq!(parse(&vec![0x30; len]), Err(E::TooLong { len }));
}

/// ring does not make such a key.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn keys_of_other_kinds_are_refused() {
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    assert_eq!(parse(&request(&p521)), Err(E::UnsupportedKey));
}

#[test]
fn the_bits_of_an_rsa_key_are_those_from_the_first_that_is_set() {
    assert_eq!(modulus_bits(&[0, 0x80, 0]), 16);
    assert_eq!(modulus_bits(&[1]), 1);
    assert_eq!(modulus_bits(&[0]), 0);
    assert_eq!(modulus_bits(&[]), 0);
}

#[test]
fn what_a_request_asks_for_is_not_kept() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "admin");
    let evil = "spiffe://evil/ns/a/sa/admin".try_into().unwrap();
    params.subject_alt_names = vec![SanType::URI(evil)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let der = params.serialize_request(&key).unwrap().der().to_vec();

    let parsed = parse(&der).unwrap();
    assert!(parsed.has_common_name());
    assert_eq!(
        parsed,
        SigningRequest {
            has_common_name: true,
            ..parse(&request_without_names(&key)).unwrap()
        }
    );
}

fn request_without_names(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(key).unwrap().der().to_vec()
}
