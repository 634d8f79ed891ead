//! Tokens and key sets: what is not signed is not accepted.

use mesh_policy::authn::{Algorithms, Jwks, Token};

use super::{Target, text};

/// A key set of RFC 8037, appendix A.2, whose private key the mutations do not have.
const JWKS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

pub(crate) const TARGET: Target = Target {
    name: "tokens",
    seeds: &[
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLCJleHAiOjEzMDA4MTkzODB9.AAAA",
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.eyJhdWQiOlsiYSIsImIiXSwibmJmIjoxLjV9.AAAA",
        JWKS,
        r#"{"keys": [{"kty": "RSA", "alg": "RS256", "kid": "a", "n": "AQAB", "e": "AQAB"},]}"#,
        r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "f83O", "y": "x_FE"}]}"#,
        r#"{"a": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}"#,
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qY\n-----END PUBLIC KEY-----\n",
    ],
    dictionary: &[
        "eyJhbGciOiJFZERTQSJ9",
        "e30",
        ".",
        "=",
        "\"keys\"",
        "\"kty\"",
        "\"oct\"",
        "\"k\"",
        "\"use\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "-----BEGIN PUBLIC KEY-----",
        "-----END PUBLIC KEY-----",
    ],
    start: || {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = Algorithms::new(provider.signature_verification_algorithms.all);
        let jwks = Jwks::parse(JWKS).expect("the key set is one");
        text(move |input| {
            if let Ok(token) = Token::parse(input) {
                assert!(
                    token.verify_signature(&jwks, algorithms).is_err(),
                    "accepted"
                );
                assert!(token.audiences().count() <= input.len());
            }
            for keys in [Jwks::parse(input), Jwks::parse_pem(input)] {
                let count = keys.map_or(1, |keys| keys.len());
                assert!((1..=input.len().max(1)).contains(&count), "{count} keys");
            }
        })
    },
};
