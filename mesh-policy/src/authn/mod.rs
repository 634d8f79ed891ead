//! Whose request it is: RequestAuthentication.
//!
//! An [`Authenticator`] is compiled from the policies that are attached to a workload and verifies
//! the tokens of requests: JSON Web Tokens ([RFC 7519]) with an asymmetric signature. A token that
//! is missing is no fault: that a caller needs one is said by an AuthorizationPolicy with
//! `requestPrincipals: ["*"]`. A token that is there has to be valid, or the request is refused.
//!
//! As in Envoy's [jwt_authn filter], from which statuses, texts and the order of checks are:
//!
//! - tokens are after `Bearer ` in `authorization` and in the parameter `access_token`, unless the
//!   rule names other headers, parameters or cookies;
//! - issuer, time (give or take 60 s), audience and signature are checked in this order;
//! - with several rules, a request passes if one of them accepts it, or if none finds a token.
//!
//! Differences, all of them stricter:
//!
//! - symmetric keys verify nothing, since issuers of Istio publish their keys;
//! - the key of `ES256` has to be on P-256, and so on (RFC 7518 §3.4), where Envoy takes any curve;
//! - a key that is for encryption verifies nothing (RFC 7517 §4.2), where Envoy does not look at
//!   `use`;
//! - RSA keys have the least length that the provider takes, 2048 bits with aws-lc-rs and ring;
//! - a token has two dots, and its parts no space, where Envoy skips empty parts and spaces;
//! - headers that rules write are removed for all rules before the first is tried.
//!
//! Signatures are verified by the cryptographic provider that the program passes as [`Algorithms`].
//! Verified tokens are remembered, a bounded number of each rule, and their time is checked each
//! time. Keys are inline, or fetched by a client that the program passes ([`Fetch`]); see
//! [`RemoteKeys`].
//!
//! [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519
//! [jwt_authn filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/jwt_authn_filter
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use http::Request;
//! use mesh_core::attributes::RequestPrincipal;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::RequestAuthentication;
//! use mesh_policy::authn::{Algorithms, Authenticator, KeyStore, TokenError};
//! use rustls_pki_types::UnixTime;
//!
//! // The key and the token of RFC 7515, appendix A.3.
//! let jwks = r#"{"keys": [{"kty": "EC", "crv": "P-256",
//!     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
//!     "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
//! let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
//!     cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8IS\
//!     lSApmWQxfKTUJqPP3-Kg6NU1Q";
//!
//! let mut policy = Resource::<RequestAuthentication>::default();
//! policy.spec = serde_json::from_value(serde_json::json!({
//!     "jwtRules": [{"issuer": "joe", "jwks": jwks}],
//! }))?;
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let algorithms = Algorithms::new(provider.signature_verification_algorithms.all);
//! let authenticator =
//!     Authenticator::compile(&[Arc::new(policy)], &KeyStore::default(), algorithms);
//!
//! let at = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
//! let mut request =
//!     Request::get("/").header("authorization", format!("Bearer {token}")).body(())?;
//! let late = authenticator.verify(&mut request, at(1_300_819_441));
//! assert_eq!(late, Err(TokenError::Expired));
//!
//! authenticator.verify(&mut request, at(1_300_819_380))?;
//! assert!(!request.headers().contains_key("authorization"));
//! let principal = request.extensions().get::<RequestPrincipal>().unwrap();
//! assert_eq!(&*principal.principal, "", "the token has no subject");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod authenticator;
mod cache;
mod claims;
mod curve;
mod der;
mod encoding;
mod error;
mod jwks;
mod jws;
mod keys;
pub mod layer;
mod location;
mod provider;
#[cfg(test)]
pub(crate) mod tests;
mod token;

pub use algorithm::{Algorithm, Algorithms};
pub use authenticator::Authenticator;
pub use error::{JwksError, TokenError};
pub use jwks::Jwks;
pub use jws::Jws;
pub use keys::{
    EAGER_RETRY, FIRST_RETRY, Fetch, FetchError, KeyLocation, KeyStore, KeysError, LAST_RETRY,
    MAX_DOCUMENT, REFRESH_INTERVAL, RemoteKeys,
};
pub use token::Token;
