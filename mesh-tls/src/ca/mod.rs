//! A certificate authority: Istio's Citadel, without Kubernetes.
//!
//! | what | where |
//! |---|---|
//! | certificate, key, intermediates and roots of an authority, proven to fit | [`Signer`] |
//! | a root that signs itself, and its renewal | [`root`] |
//! | an authority given as files, in the layout of the secret `cacerts` | [`files`] |
//! | a certificate for a signing request | [`Issuer`] |
//! | one signer after the other, with the time in which both are trusted | [`Authority`] |
//! | revocation lists | [`crl`] |
//! | whose a token of Kubernetes is | [`token_review`] |
//!
//! Nothing here reads a clock or draws a random number: `now` and serial numbers are arguments.
//! Callers are authenticated by the layer of `authenticate` (feature `tokio`), and requests are
//! answered by the service of `mesh_tls::grpc` (feature `grpc`).
//!
//! What a certificate says follows istiod (`security/pkg/pki/util/generate_cert.go`): the names are
//! those of the authenticated caller, the subject is empty, the key is for signatures and key
//! encipherment of TLS clients and servers, never an authority's. Of the request, only the public
//! key is taken.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_tls::ca::root::RootSpec;
//! use mesh_tls::ca::{Issuance, IssuancePolicy, Issuer, SerialNumber};
//! use mesh_tls::csr::{KeyKind, SigningRequest};
//! use mesh_tls::key::SigningKey;
//! use mesh_tls::svid::X509Svid;
//! use rustls_pki_types::UnixTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
//! let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
//! let root = RootSpec::default().sign(key, now, SerialNumber::new([1; 16]), &provider)?;
//! let issuer = Issuer::new(Arc::new(root), IssuancePolicy::default());
//!
//! let id = "spiffe://cluster.local/ns/shop/sa/cart".parse()?;
//! let key = SigningKey::generate(KeyKind::EcdsaP256)?;
//! let request = key.signing_request(&id)?;
//! let request = SigningRequest::from_pem(request.as_bytes(), &provider)?;
//! let issuance = Issuance::for_workload(&id, now, SerialNumber::new([2; 16]));
//! let issued = issuer.issue(&request, &issuance)?;
//!
//! let svid = X509Svid::new(issued.chain, key.private_key().clone_key(), &provider)?;
//! assert_eq!(svid.id(), &id);
//! assert_eq!(svid.validity().not_after().as_secs(), now.as_secs() + 24 * 60 * 60);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "tokio")]
pub mod authenticate;
pub mod crl;
pub mod files;
mod issuer;
pub mod root;
mod rotation;
mod serial;
mod signer;
pub mod token_review;
mod writer;

pub use issuer::{Issuance, IssuancePolicy, IssueError, Issued, Issuer};
pub use rotation::{Authority, Change, Next, OverlapPolicy, Retained};
pub use serial::SerialNumber;
pub use signer::{Signer, SignerError, SignerMaterial};
