//! Who is at the other end of a connection, and who are we?
//!
//! Certificates, SPIFFE identities and mTLS for services and proxies: values, rustls
//! configurations compiled from Istio's settings, a certificate authority, and the edges to tokio
//! and tower.
//!
//! It is *not* a TLS implementation and brings no cryptography: rustls speaks the protocol, and
//! each function that needs cryptography is given a rustls `CryptoProvider`. It reads no clock
//! and no environment. Files and sockets are touched by the features `file` and `tokio` only.
//!
//! # Example
//!
//! Whom a workload believes, and who it is:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use mesh_core::identity::TrustDomains;
//! use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
//! use mesh_tls::config::{MeshIdentity, TlsCompiler};
//! use mesh_tls::resolve;
//! use mesh_tls::secret_store::SecretStore;
//!
//! // The publisher belongs to whatever renews the identity; handshakes use what is current.
//! let (_publisher, live) = resolve::channel();
//! let identity = MeshIdentity::new(live, TrustDomains::new("cluster.local".parse()?));
//!
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let compiler = TlsCompiler::new(provider, SecretStore::default()).with_identity(identity);
//!
//! // A filter chain of the resolved model that ends mesh mTLS.
//! let http = NetworkFilter::Http(HttpConnection::new("inbound|8080||"));
//! let mut chain = FilterChain::new(http);
//! chain.tls = Some(ServerTls::Mesh { alpn: vec!["h2".into(), "http/1.1".into()] });
//!
//! let server = compiler.server(&chain)?.expect("TLS ends here");
//! assert!(server.verifier().is_some(), "clients have to prove who they are");
//! # Ok(())
//! # }
//! ```
//!
//! # How it composes
//!
//! ```text
//! Gateway, DestinationRule, PeerAuthentication ── mesh_core::resolve ── model
//!                                                                        │ config: TlsCompiler
//! Secrets, files ── secret_store ──┐                                     ▼
//! CA or files ── source ── resolve ┴── live credentials ──▶ ServerTls, UpstreamTls
//!                                                             │ accept, connect
//!                                                             ▼
//!        PeerIdentity, ConnectionInfo in each request ──▶ mesh-policy, mesh-routing
//! ```
//!
//! | concept | module |
//! |---|---|
//! | PEM, certificates, digests, validity | [`pem`], [`certificate`], [`digest`], [`validity`] |
//! | chain and key, SVIDs, trust bundles | [`credential`], [`svid`], [`trust_bundle`] |
//! | Kubernetes Secrets and files, by name | [`secret`], [`secret_store`] |
//! | is the peer believed? | [`verify`] |
//! | why did a handshake fail? | [`diagnose`] |
//! | settings to rustls configurations | [`config`] |
//! | mesh mTLS and plaintext on one port | [`mode`], [`client_hello`], `peek` |
//! | what belongs to a server name | [`server_names`] |
//! | handshakes, requests | `accept`, `connect`, `connection`, `require_identity` |
//! | an identity that is renewed | [`rotation`], [`resolve`], [`drain`], `source` |
//! | issuing certificates | [`csr`], `ca`, `key`, `grpc` |
//! | `x-forwarded-client-cert` | [`xfcc`] |
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `aws-lc-rs` | yes | the cryptography of aws-lc for rustls, and for what this crate signs |
//! | `ring` | no | that of ring instead |
//! | `tokio` | no | `accept`, `connect`, `connection`, `peek`, `require_identity`, `source` |
//! | `file` | no | certificates from files that are watched |
//! | `ca` | no | `ca`, `key` |
//! | `grpc` | no | `grpc`: Istio's certificate service |
//! | `full` | no | all of them, with aws-lc |
//!
//! # Minimum Rust version
//!
//! 1.89. It is raised no sooner than six months after the release of the version it is raised to.

#[cfg(feature = "tokio")]
pub mod accept;
#[cfg(feature = "ca")]
pub mod ca;
pub mod certificate;
pub mod client_hello;
mod clock;
pub mod config;
#[cfg(feature = "tokio")]
pub mod connect;
#[cfg(feature = "tokio")]
pub mod connection;
pub mod credential;
pub mod csr;
pub mod diagnose;
pub mod digest;
mod distinguished_name;
pub mod drain;
mod foreign;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "ca")]
pub mod key;
pub mod mode;
#[cfg(feature = "tokio")]
pub mod peek;
pub mod pem;
#[cfg(feature = "tokio")]
pub mod require_identity;
pub mod resolve;
pub mod rotation;
pub mod secret;
pub mod secret_store;
pub mod server_names;
#[cfg(feature = "tokio")]
pub mod source;
pub mod svid;
#[cfg(test)]
mod testing;
pub mod trust_bundle;
pub mod validity;
pub mod verify;
pub mod xfcc;
