//! TLS for members of a mesh, compiled from what the model says of them.
//!
//! # Example
//!
//! ```
//! use examples::authority::Authority;
//! use examples::member;
//! use mesh_tls::resolve;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let authority = Authority::new("cluster.local".parse()?)?;
//! let (publisher, live) = resolve::channel();
//! publisher.publish(authority.identity("spiffe://cluster.local/ns/shop/sa/web", &[])?);
//!
//! let cart = "spiffe://cluster.local/ns/shop/sa/cart";
//! let tls = member::client_tls(live.clone(), ([127, 0, 0, 1], 8080).into(), cart)?;
//! assert!(tls.server_name(None).is_ok());
//! member::acceptor(live, &["h2"])?;
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::identity::TrustDomains;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, MeshTls, UpstreamTls};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_core::service::ClusterName;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::{ClientTls, MeshIdentity, TlsCompiler};
use mesh_tls::resolve::LiveIdentity;
use mesh_tls::secret_store::SecretStore;
use rustls::crypto::aws_lc_rs;

type Failure = Box<dyn Error + Send + Sync>;

/// Accepts connections as the holder of `live` whose PeerAuthentication says `STRICT`, and offers `alpn`.
///
/// # Errors
///
/// What is asked for cannot be done.
pub fn acceptor(live: LiveIdentity, alpn: &[&str]) -> Result<TlsAcceptor, Failure> {
    let http = NetworkFilter::Http(HttpConnection::new("inbound|8080||"));
    let mut chain = FilterChain::new(http);
    let alpn = alpn.iter().map(ToString::to_string).collect();
    chain.tls = Some(ServerTls::Mesh { alpn });
    let tls = compiler(live)?.server(&chain)?;
    Ok(TlsAcceptor::new(tls.ok_or("the chain ends TLS")?))
}

/// How the holder of `live` connects to the service at `address` that has to be `expected`, where a
/// DestinationRule says `ISTIO_MUTUAL`.
///
/// # Errors
///
/// What is asked for cannot be done.
pub fn client_tls(
    live: LiveIdentity,
    address: SocketAddr,
    expected: &str,
) -> Result<ClientTls, Failure> {
    let mut cluster = Cluster::new(ClusterName::outbound(80, "", "cart.shop.svc.cluster.local"));
    cluster.tls = UpstreamTls::Mesh(MeshTls {
        sni: "outbound_.80_._.cart.shop.svc.cluster.local".into(),
        subject_alt_names: vec![expected.into()],
    });
    let endpoint = Endpoint::new(EndpointAddress::Ip(address));
    let tls = compiler(live)?.upstream(&cluster)?;
    let tls = tls.towards(&endpoint).ok_or("the endpoint gets TLS")?;
    Ok(tls.clone())
}

/// Compiles TLS for the holder of `live`.
///
/// # Errors
///
/// The trust domain is none, which it is.
pub fn compiler(live: LiveIdentity) -> Result<TlsCompiler, Failure> {
    let identity = MeshIdentity::new(live, TrustDomains::new("cluster.local".parse()?));
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(TlsCompiler::new(provider, SecretStore::default()).with_identity(identity))
}
