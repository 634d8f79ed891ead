//! An identity that changes while it is used.
//!
//! A [`LiveIdentity`] is handed to rustls once. Its publisher swaps SVID and trust bundles, each
//! handshake takes those of its moment, and connections that stand are not touched: those that have
//! to end are the question of [`drain`](crate::drain).
//!
//! While there is no SVID, because none was fetched yet or the last has expired, servers end
//! handshakes and clients present no certificate.
//!
//! # Example
//!
//! ```
//! # #[cfg(all(feature = "aws-lc-rs", feature = "ca"))] {
//! use std::sync::Arc;
//!
//! use mesh_tls::resolve;
//! use mesh_tls::verify::PeerVerifier;
//! use rustls::ServerConfig;
//!
//! let (publisher, live) = resolve::channel();
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let verifier = PeerVerifier::spiffe(live.bundles().clone(), Arc::clone(&provider)).unwrap();
//! let config = ServerConfig::builder_with_provider(provider)
//!     .with_safe_default_protocol_versions()
//!     .unwrap()
//!     .with_client_cert_verifier(verifier.client_verifier())
//!     .with_cert_resolver(live.resolver());
//!
//! assert!(live.svid().is_none(), "nothing was published yet");
//! # drop((publisher, config));
//! # }
//! ```

use std::sync::Arc;

use mesh_core::watch::{self, Publisher, Watch};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::svid::X509Svid;
use crate::trust_bundle::TrustBundles;

/// Who we are, and whom we believe: what a source of identities gives.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who we are.
    pub svid: X509Svid,
    /// Whom we believe about each trust domain.
    pub bundles: TrustBundles,
}

/// A pair that has no SVID yet and believes nobody.
pub fn channel() -> (IdentityPublisher, LiveIdentity) {
    let (svids, svid) = watch::channel(None);
    let (trusted, bundles) = watch::channel(TrustBundles::default());
    let publisher = IdentityPublisher {
        svid: svids,
        bundles: trusted,
    };
    (publisher, LiveIdentity { svid, bundles })
}

/// Replaces the identity that [`LiveIdentity`]s give out.
#[derive(Debug)]
pub struct IdentityPublisher {
    svid: Publisher<Option<X509Svid>>,
    bundles: Publisher<TrustBundles>,
}

impl IdentityPublisher {
    /// Replaces both, the bundles first, so that whoever is believed by the new SVID's holder is
    /// believed before the SVID is seen.
    pub fn publish(&self, identity: Identity) {
        let Identity { svid, bundles } = identity;
        self.bundles.publish(bundles);
        self.svid.publish(Some(svid));
    }

    /// Replaces whom we believe.
    pub fn publish_bundles(&self, bundles: TrustBundles) {
        self.bundles.publish(bundles);
    }

    /// Gives out no SVID any more. Whom we believe stays.
    pub fn withdraw(&self) {
        self.svid.publish(None);
    }
}

/// The identity of now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveIdentity {
    svid: Watch<Option<X509Svid>>,
    bundles: Watch<TrustBundles>,
}

impl LiveIdentity {
    /// Who we are, if there is an SVID.
    pub fn svid(&self) -> Option<X509Svid> {
        self.svid.load().as_ref().clone()
    }

    /// Whom we believe, to be verified against.
    pub fn bundles(&self) -> &Watch<TrustBundles> {
        &self.bundles
    }

    /// Presents the SVID of now, on both sides of rustls.
    pub fn resolver(&self) -> Arc<SvidResolver> {
        let svid = self.svid.clone();
        Arc::new(SvidResolver { svid })
    }

    /// Waits until there is an SVID.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if this is dropped before it returns.
    pub async fn ready(&self) -> X509Svid {
        let mut watch = self.svid.clone();
        loop {
            if let Some(svid) = watch.load().as_ref() {
                return svid.clone();
            }
            watch.changed().await;
        }
    }

    /// Waits until SVID is replaced or withdrawn.
    ///
    /// # Cancel safety
    ///
    /// A change is reported by the next call if this one is dropped before it returns.
    pub async fn changed(&mut self) {
        self.svid.changed().await;
    }
}

/// Presents the SVID of now. Made by [`LiveIdentity::resolver`].
#[derive(Clone, Debug)]
pub struct SvidResolver {
    svid: Watch<Option<X509Svid>>,
}

impl SvidResolver {
    fn certified_key(&self) -> Option<Arc<CertifiedKey>> {
        let svid = self.svid.load();
        let svid = svid.as_ref().as_ref()?;
        Some(Arc::clone(svid.certified_key()))
    }
}

impl ResolvesServerCert for SvidResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified_key()
    }
}

impl ResolvesClientCert for SvidResolver {
    /// Presents the SVID whatever authorities the server names: servers of a mesh name none, and
    /// others refuse by themselves.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified_key()
    }

    fn has_certs(&self) -> bool {
        self.svid.load().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::testing::Authority;

    #[test]
    fn each_handshake_gets_the_svid_of_its_moment() {
        let authority = Authority::new("mesh");
        let (publisher, live) = channel();
        let resolver = live.resolver();
        assert!(!resolver.has_certs() && resolver.certified_key().is_none());

        for path in ["/ns/a/sa/old", "/ns/a/sa/new"] {
            let svid = authority.svid(path);
            let identity = Identity {
                svid: svid.clone(),
                bundles: TrustBundles::from_iter([authority.bundle()]),
            };
            publisher.publish(identity);
            let presented = resolver.certified_key().unwrap();
            assert!(Arc::ptr_eq(&presented, svid.certified_key()), "{path}");
            assert_eq!(live.svid(), Some(svid), "{path}");
        }

        publisher.withdraw();
        assert!(!resolver.has_certs() && resolver.certified_key().is_none());
        assert!(
            live.bundles()
                .load()
                .get(&"mesh".parse().unwrap())
                .is_some()
        );
    }

    #[test]
    fn ready_waits_for_the_first_svid() {
        let authority = Authority::new("mesh");
        let (publisher, live) = channel();
        let mut cx = Context::from_waker(Waker::noop());
        let mut ready = pin!(live.ready());
        assert!(ready.as_mut().poll(&mut cx).is_pending());
        let identity = Identity {
            svid: authority.svid("/ns/a/sa/b"),
            bundles: TrustBundles::default(),
        };
        publisher.publish(identity);
        let Poll::Ready(svid) = ready.poll(&mut cx) else {
            panic!("an SVID was published");
        };
        assert_eq!(svid.id().path(), "/ns/a/sa/b");
    }
}
