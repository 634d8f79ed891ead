//! What is known of a connection, for every request that comes by it.
//!
//! A server makes one [`Connection`] for each connection that it accepts, and wraps its service
//! with [`ConnectionLayer`]. Each request then carries in its extensions:
//!
//! | extension | when |
//! |---|---|
//! | [`ConnectionInfo`] | always |
//! | [`PeerIdentity`] | the other end has proven a SPIFFE ID, or claimed one where claims are taken |
//! | [`ClaimedIdentity`] | that identity was claimed |
//! | [`PeerCertificates`] | the other end has presented certificates that were verified |
//!
//! Certificates that nobody verified (`insecureSkipVerify`) prove nothing and are left out.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use mesh_core::attributes::ConnectionInfo;
//! use mesh_tls::connection::{Connection, ConnectionLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::plaintext("192.0.2.7:4711".parse()?, "10.0.0.1:80".parse()?);
//! let service = ServiceBuilder::new()
//!     .layer(ConnectionLayer::new(connection))
//!     .service(service_fn(|request: Request<()>| async move {
//!         let info = request.extensions().get::<ConnectionInfo>().cloned();
//!         Ok::<_, Infallible>(Response::new(info))
//!     }));
//!
//! let response = service.oneshot(Request::get("/").body(())?).await?;
//! assert_eq!(response.body().as_ref().unwrap().peer.port(), 4711);
//! # Ok(())
//! # }
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request};
pub use mesh_core::attributes::ClaimedIdentity;
use mesh_core::attributes::{ConnectionInfo, PeerIdentity, TlsInfo};
use rustls::{CipherSuite, CommonState, ProtocolVersion};
use rustls_pki_types::CertificateDer;
use tower_layer::Layer;
use tower_service::Service;

use crate::certificate::Certificate;
use crate::diagnose::{Cause, Diagnosis, Side};
use crate::digest::Sha256;
use crate::verify::PeerVerifier;

/// The certificates that the other end has presented, the leaf first. They were verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificates(pub Arc<[CertificateDer<'static>]>);

/// What a TLS handshake settled and proved. Cheap to clone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsPeer {
    /// What was settled.
    pub info: TlsInfo,
    /// The identity that was proven, or claimed.
    pub identity: Option<PeerIdentity>,
    /// Whether the identity was claimed.
    pub claimed: Option<ClaimedIdentity>,
    /// The certificates that were verified.
    pub certificates: Option<PeerCertificates>,
    /// The certificate that the other end was shown, or would have been if it had asked; of two for one
    /// name, the first.
    pub own: Option<Certificate>,
    /// Whether the other end asked for a certificate of ours, as clients always do. Servers that do
    /// not are not told who we are. `false` where we have none to present.
    pub asks_for_own: bool,
}

impl TlsPeer {
    /// What the handshake of `state` settled. `verifier` is the one that it was verified by.
    pub fn new(
        state: &CommonState,
        server_name: Option<&str>,
        verifier: Option<&PeerVerifier>,
    ) -> Self {
        let verifier = verifier.filter(|verifier| !verifier.is_insecure());
        let chain = verifier.and_then(|_| state.peer_certificates());
        let leaf = chain.and_then(|chain| chain.first());
        let sha256 = verifier.and_then(|peer| Sha256::of_provider(peer.provider()).ok());
        let digests = sha256.zip(chain);
        let [fingerprint, chain_digest] = digests
            .and_then(|(sha256, chain)| digests_of(sha256, chain))
            .map_or([None; 2], |digests| digests.map(Some));
        let identity = verifier
            .zip(leaf)
            .and_then(|(verifier, leaf)| verifier.identity(leaf))
            .map(PeerIdentity);
        let is_claimed = verifier.is_some_and(PeerVerifier::takes_claimed_identities);
        Self {
            info: TlsInfo {
                server_name: server_name.map(Into::into),
                alpn: state.alpn_protocol().map(Into::into),
                version: state.protocol_version().and_then(version),
                cipher_suite: state
                    .negotiated_cipher_suite()
                    .and_then(|suite| cipher_suite(suite.suite())),
                peer_fingerprint: fingerprint,
                peer_chain_digest: chain_digest,
            },
            claimed: (is_claimed && identity.is_some()).then_some(ClaimedIdentity),
            identity,
            certificates: chain.map(|chain| PeerCertificates(chain.into())),
            own: None,
            asks_for_own: false,
        }
    }

    /// That a server does not know who we are, though we could have proven it: it did not ask. `None`
    /// if it did, and where there is no certificate of ours.
    pub fn unasked(&self) -> Option<Diagnosis> {
        let is_unasked = self.own.is_some() && !self.asks_for_own;
        is_unasked.then(|| Diagnosis::new(Side::Client, Cause::OurCertificateUnasked))
    }
}

/// The digest of the leaf, and that of all certificates; `None` if there are none.
fn digests_of(sha256: Sha256, chain: &[CertificateDer<'_>]) -> Option<[[u8; 32]; 2]> {
    let (leaf, above) = chain.split_first()?;
    let of_leaf = sha256.digest(leaf);
    let of_chain = match above {
        [] => of_leaf,
        _ => sha256.digest_of_all(chain.iter().map(|der| &der[..])),
    };
    Some([of_leaf, of_chain].map(|digest| *digest.as_bytes()))
}

/// OpenSSL's name of a version.
fn version(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// The name that a cipher suite has in the RFCs.
fn cipher_suite(suite: CipherSuite) -> Option<&'static str> {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => Some("TLS_AES_128_GCM_SHA256"),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => Some("TLS_AES_256_GCM_SHA384"),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Some("TLS_CHACHA20_POLY1305_SHA256"),
        suite => suite.as_str(),
    }
}

/// What is known of a connection. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    info: ConnectionInfo,
    identity: Option<PeerIdentity>,
    claimed: Option<ClaimedIdentity>,
    certificates: Option<PeerCertificates>,
}

impl Connection {
    /// A connection without TLS from `peer` to `local`.
    pub fn plaintext(peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            info: ConnectionInfo {
                peer,
                local,
                tls: None,
            },
            identity: None,
            claimed: None,
            certificates: None,
        }
    }

    /// A connection with TLS from `peer` to `local`.
    pub fn tls(peer: SocketAddr, local: SocketAddr, tls: TlsPeer) -> Self {
        let TlsPeer {
            info,
            identity,
            claimed,
            certificates,
            own: _,
            asks_for_own: _,
        } = tls;
        Self {
            info: ConnectionInfo {
                peer,
                local,
                tls: Some(info),
            },
            identity,
            claimed,
            certificates,
        }
    }

    /// Addresses, and what TLS settled.
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The identity that the other end has proven, or claimed.
    pub fn identity(&self) -> Option<&PeerIdentity> {
        self.identity.as_ref()
    }

    /// Puts everything into the extensions of a request. What a request says of its connection
    /// already is replaced.
    pub fn attach(&self, extensions: &mut Extensions) {
        let Self {
            info,
            identity,
            claimed,
            certificates,
        } = self;
        extensions.insert(info.clone());
        replace(extensions, identity.as_ref());
        replace(extensions, claimed.as_ref());
        replace(extensions, certificates.as_ref());
    }
}

fn replace<T: Clone + Send + Sync + 'static>(extensions: &mut Extensions, value: Option<&T>) {
    match value {
        Some(value) => extensions.insert(value.clone()),
        None => extensions.remove::<T>(),
    };
}

/// Layer that applies [`WithConnection`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct ConnectionLayer {
    connection: Arc<Connection>,
}

impl ConnectionLayer {
    /// Puts `connection` into each request.
    pub fn new(connection: impl Into<Arc<Connection>>) -> Self {
        let connection = connection.into();
        Self { connection }
    }
}

impl<S> Layer<S> for ConnectionLayer {
    type Service = WithConnection<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let connection = Arc::clone(&self.connection);
        WithConnection { inner, connection }
    }
}

/// Middleware that puts what is known of a connection into its requests.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct WithConnection<S> {
    inner: S,
    connection: Arc<Connection>,
}

impl<S, B> Service<Request<B>> for WithConnection<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.connection.attach(request.extensions_mut());
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_a_request_brought_along_is_removed() {
        let connection = Connection::plaintext(
            "192.0.2.7:1".parse().unwrap(),
            "192.0.2.8:2".parse().unwrap(),
        );
        let mut extensions = Extensions::new();
        extensions.insert(PeerIdentity("spiffe://td/forged".parse().unwrap()));
        extensions.insert(PeerCertificates([].into()));
        connection.attach(&mut extensions);
        assert!(extensions.get::<PeerIdentity>().is_none());
        assert!(extensions.get::<PeerCertificates>().is_none());
        assert_eq!(extensions.get(), Some(connection.info()));
    }
}
