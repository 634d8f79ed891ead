//! Tokens, as a login service gives them to those who have logged in.
//!
//! # Example
//!
//! ```
//! use examples::tokens::TokenIssuer;
//!
//! let issuer = TokenIssuer::new("https://login.example")?;
//! let token = issuer.token("jason", 1_900_000_000)?;
//! assert_eq!(token.split('.').count(), 3);
//! assert!(issuer.jwks().contains("Ed25519"));
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs;
use rustls::sign::Signer;
use serde_json::{Value, json};

/// The length of a public key of Ed25519 (RFC 8032 §5.1.5), with which its DER form ends.
const PUBLIC_KEY: usize = 32;

/// Issues JSON Web Tokens (RFC 7519) with a key of its own, which is lost with it.
pub struct TokenIssuer {
    name: String,
    public_key: String,
    signer: Box<dyn Signer>,
}

impl TokenIssuer {
    /// Makes a key for the issuer `name`.
    ///
    /// # Errors
    ///
    /// The cryptographic library makes no such key.
    pub fn new(name: impl Into<String>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let key = SigningKey::generate(KeyKind::Ed25519)?;
        let provider = aws_lc_rs::default_provider();
        let private_key = key.private_key().clone_key();
        let signing = provider.key_provider.load_private_key(private_key)?;
        let signer = signing
            .choose_scheme(&[SignatureScheme::ED25519])
            .ok_or("the key does not sign by Ed25519")?;
        let public_key = key.public_key();
        let public_key = public_key
            .get(public_key.len().saturating_sub(PUBLIC_KEY)..)
            .unwrap_or_default();
        Ok(Self {
            name: name.into(),
            public_key: BASE64_URL_SAFE_NO_PAD.encode(public_key),
            signer,
        })
    }

    /// The issuer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key set by which the tokens are verified (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> String {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": self.public_key});
        json!({ "keys": [key] }).to_string()
    }

    /// A token for `subject` that expires at `expires`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// The cryptographic library fails to sign.
    pub fn token(&self, subject: &str, expires: u64) -> Result<String, rustls::Error> {
        self.sign(&json!({"iss": self.name, "sub": subject, "exp": expires}))
    }

    /// A token that says `claims`, whatever they are.
    ///
    /// # Errors
    ///
    /// The cryptographic library fails to sign.
    pub fn sign(&self, claims: &Value) -> Result<String, rustls::Error> {
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let header = encode(&json!({"alg": "EdDSA", "kid": "one"}));
        let signed = format!("{header}.{}", encode(claims));
        let signature = self.signer.sign(signed.as_bytes())?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("{signed}.{signature}"))
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
