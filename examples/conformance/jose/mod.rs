//! Tokens and keys, by the tests of the verifier that Envoy embeds, of Wycheproof and of Istio.

mod istio;
mod verifier;
mod wycheproof;

use mesh_policy::authn::Algorithms;

pub(crate) use istio::run as istio_tokens;
pub(crate) use verifier::run as jwt_verify;
pub(crate) use wycheproof::run as wycheproof;

/// Why nothing is verified by a symmetric key.
const SYMMETRIC: &str = "symmetric keys verify nothing: issuers of Istio publish their keys";

/// The algorithms of the provider that is used for TLS as well.
pub(crate) fn algorithms() -> Algorithms {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Algorithms::new(provider.signature_verification_algorithms.all)
}
