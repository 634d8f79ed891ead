//! Istio's certificate service, `istio.v1.auth.IstioCertificateService`, both sides.
//!
//! The one method, `CreateCertificate`, takes a signing request as PEM and answers with
//! certificates as PEM, one an element: the one issued, those above it, and the roots, that of the
//! signer last. Messages are those of `security/v1alpha1/ca.proto` of istio/api, so that agents of
//! Istio and ztunnel can ask this server, and this client can ask istiod.
//!
//! - [`CertificateService`] is the server: a tower service for tonic, to be put under the layer of
//!   [`ca::authenticate`](crate::ca::authenticate).
//! - [`CertificateClient`] is the client, over any connection that tonic takes.
//!
//! ztunnel asks for certificates of the workloads of its node; [`Impersonation`] says who may, and
//! [`NodeImpersonation`] is istiod's answer.
//!
//! A difference from istiod: the metadata key `CertSigner`, which chooses a signer of Kubernetes, is
//! refused instead of passed over by an authority that has no other signers.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_tls::ca::authenticate::{Caller, Proof};
//! use mesh_tls::ca::root::RootSpec;
//! use mesh_tls::ca::{IssuancePolicy, Issuer, SerialNumber};
//! use mesh_tls::csr::KeyKind;
//! use mesh_tls::grpc::{CertificateClient, CertificateRequest, CertificateService};
//! use mesh_tls::key::SigningKey;
//! use rustls::time_provider::DefaultTimeProvider;
//! use rustls_pki_types::UnixTime;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
//! let root = RootSpec::default().sign(key, UnixTime::now(), SerialNumber::new([1; 16]), &provider)?;
//! let issuer = Issuer::new(Arc::new(root), IssuancePolicy::default());
//! let service = CertificateService::new(issuer, provider, Arc::new(DefaultTimeProvider));
//!
//! let id = "spiffe://cluster.local/ns/shop/sa/cart".parse()?;
//! let csr = SigningKey::generate(KeyKind::EcdsaP256)?.signing_request(&id)?;
//! let mut request = tonic::Request::new(CertificateRequest::new(csr, Duration::ZERO));
//! // The layer puts this here, and tonic passes extensions on in process.
//! request.extensions_mut().insert(Caller { id, proof: Proof::Token, pod: None });
//! let chain = CertificateClient::new(service).create_certificate(request).await?;
//! assert_eq!(chain.len(), 2, "the certificate and the root");
//! # Ok(())
//! # }
//! ```

mod client;
mod impersonation;
mod message;
mod server;

pub use client::CertificateClient;
pub use impersonation::{
    Impersonation, ImpersonationError, NodeImpersonation, Pod, Pods, TrustedAccountError,
};
pub use message::{CertificateRequest, CertificateResponse, Kind, ListValue, Struct, Value};
pub use server::CertificateService;

/// The name of the service.
pub const SERVICE_NAME: &str = "istio.v1.auth.IstioCertificateService";

/// The path of its method.
const CREATE_CERTIFICATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
