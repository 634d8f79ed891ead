//! Verification of the other end of a connection.
//!
//! A [`PeerVerifier`] says whom to believe and what the other end has to prove. All of it has to
//! hold:
//!
//! 1. The certificates lead to an authority: one of the peer's own trust domain
//!    ([`spiffe`](PeerVerifier::spiffe)), or one of given [`Roots`]
//!    ([`roots`](PeerVerifier::roots)). Validity, that of the authority too, purpose, path length and
//!    name constraints are checked on the way, and that the keys of authorities between may sign
//!    certificates (RFC 5280 section 6, by webpki).
//! 2. No certificate of the chain is revoked, if revocation lists are given. A chain that no list
//!    is about, or whose list is out of date, is refused, as Envoy does. Of several lists of one
//!    authority, any that is in date revokes.
//! 3. With SPIFFE, the leaf is an X509-SVID: exactly one URI, that of a workload, and a key that
//!    signs neither certificates nor revocation lists (X509-SVID section 5).
//! 4. The names are the expected ones: one of a list ([`SanList`]), the server's (RFC 6125), or
//!    any of the mesh's trust domains ([`with_trust_domains`](PeerVerifier::with_trust_domains)).
//! 5. The certificate or its key is pinned, if there are [`Pins`].
//!
//! That a chain leads to an authority is remembered, for as long as its certificates count and the
//! authorities are the same, unless revocation lists are given.
//!
//! [`PeerVerifier::server_verifier`] and [`PeerVerifier::client_verifier`] make rustls verifiers of
//! it. They tell rustls why a peer was refused by its own errors where it has them, so that the
//! peer gets the right alert, and keep the whole [`VerifyError`] for
//! [`diagnose`](crate::diagnose).
//!
//! # Sessions that are resumed
//!
//! rustls keeps the certificates of a session, and takes them for verified when it is resumed, whatever
//! has expired, was revoked or dropped since; and by default it resumes. A configuration with one of
//! these verifiers has to be told not to.
//! [`LiveIdentity::server_config`](crate::resolve::LiveIdentity::server_config) and
//! [`client_config`](crate::resolve::LiveIdentity::client_config) are, and so are those of
//! [`config`](crate::config) wherever it matters.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_core::identity::TrustDomain;
//! use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
//! use mesh_tls::verify::{PeerVerifier, Purpose, VerifyError};
//! use rustls_pki_types::UnixTime;
//!
//! let domain: TrustDomain = "cluster.local".parse()?;
//! let mut root = rcgen::CertificateParams::default();
//! root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
//! let root = root.self_signed(&rcgen::KeyPair::generate()?)?.pem();
//! let bundles = TrustBundles::from_iter([TrustBundle::from_pem(domain, root.as_bytes())?]);
//!
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let verifier = PeerVerifier::spiffe(bundles, provider)?;
//!
//! let stranger = rcgen::generate_simple_self_signed(["shop.example".to_owned()])?;
//! let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
//! let error = verifier.verify(&[stranger.cert.der().clone()], Purpose::Client, now).unwrap_err();
//! assert!(matches!(error, VerifyError::Svid(_)));
//! assert_eq!(error.to_string(), "the leaf certificate has no URI among its names");
//! # Ok(())
//! # }
//! ```

mod adapter;
mod anchors;
mod chain;
mod error;
#[cfg(feature = "tokio")]
mod identity;
mod known;
mod names;
mod path;
mod peer;
mod pins;
mod presented;
mod refusals;
mod roots;
mod trust;

#[cfg(test)]
mod tests;

pub use adapter::{ClientVerifier, ServerVerifier};
pub(crate) use anchors::Anchors;
pub(crate) use error::Span;
pub use error::{UntrustedIssuer, VerifyError};
pub use names::{ExpectedNames, SanList};
pub use peer::{PeerVerifier, Purpose, VerifiedPeer};
pub use pins::Pins;
pub use roots::{Revocations, Roots, RootsError};
pub use trust::SecretRoots;
