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
//!
//! let (publisher, live) = resolve::channel();
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let verifier = PeerVerifier::spiffe(live.bundles().clone(), Arc::clone(&provider)).unwrap();
//! let mut server = live.server_config(verifier.client_verifier()).unwrap();
//! server.alpn_protocols = vec![b"h2".to_vec()];
//! let client = live.client_config(verifier.server_verifier()).unwrap();
//!
//! assert!(live.svid().is_none(), "nothing was published yet");
//! # drop((publisher, server, client));
//! # }
//! ```

use std::sync::Arc;

use mesh_core::watch::{self, Publisher, Watch};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use crate::svid::X509Svid;
use crate::trust_bundle::TrustBundles;
use crate::verify::{ClientVerifier, ServerVerifier};

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

    /// A rustls server that presents the SVID of now, by the verifier's cryptography, rustls'
    /// default versions and the system's clock. Application protocols and the clock can be set
    /// afterwards.
    ///
    /// It resumes no sessions: rustls does not verify the client of one again, so that it would get in
    /// when its certificate has expired, is revoked, or its authority was dropped. Leave
    /// `session_storage`, `ticketer` and `send_tls13_tickets` as they are.
    ///
    /// # Errors
    ///
    /// When the cryptography speaks none of the versions.
    pub fn server_config(
        &self,
        clients: impl Into<Arc<ClientVerifier>>,
    ) -> Result<ServerConfig, rustls::Error> {
        let clients = clients.into();
        let provider = Arc::clone(clients.provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(self.resolver());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// A rustls client that presents the SVID of now, as
    /// [`server_config`](Self::server_config) makes a server. It resumes no sessions either.
    ///
    /// # Errors
    ///
    /// When the cryptography speaks none of the versions.
    pub fn client_config(
        &self,
        servers: impl Into<Arc<ServerVerifier>>,
    ) -> Result<ClientConfig, rustls::Error> {
        let servers = servers.into();
        let provider = Arc::clone(servers.provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(servers)
            .with_client_cert_resolver(self.resolver());
        config.resumption = Resumption::disabled();
        Ok(config)
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
    use std::ops::DerefMut;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Waker};

    use rustls::time_provider::TimeProvider;
    use rustls::{
        CertificateError, ClientConnection, ConnectionCommon, Error, HandshakeKind,
        ServerConnection,
    };
    use rustls_pki_types::UnixTime;

    use super::*;
    use crate::testing::{self, Authority, DAY, NOW};
    use crate::verify::PeerVerifier;

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

    /// A clock that is set.
    #[derive(Debug)]
    struct Clock(AtomicU64);

    impl TimeProvider for Clock {
        fn current_time(&self) -> Option<UnixTime> {
            Some(testing::at(self.0.load(Ordering::Relaxed)))
        }
    }

    /// Passes what one side has to say to the other; whether that was anything.
    fn pass<A, B>(
        from: &mut impl DerefMut<Target = ConnectionCommon<A>>,
        to: &mut impl DerefMut<Target = ConnectionCommon<B>>,
    ) -> Result<bool, Error> {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut left = &bytes[..];
        while !left.is_empty() {
            to.read_tls(&mut left).unwrap();
            to.process_new_packets()?;
        }
        Ok(!bytes.is_empty())
    }

    /// What kind of handshake the server did.
    fn shake(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
    ) -> Result<Option<HandshakeKind>, Error> {
        let name = "cart.shop".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::clone(client), name)?;
        let mut server = ServerConnection::new(Arc::clone(server))?;
        while pass(&mut client, &mut server)? | pass(&mut server, &mut client)? {}
        Ok(server.handshake_kind())
    }

    #[test]
    fn a_client_whose_certificate_has_expired_does_not_get_in_by_its_session() {
        let authority = Authority::new("mesh");
        let (publisher, live) = channel();
        publisher.publish(Identity {
            svid: authority.svid("/w"),
            bundles: TrustBundles::from_iter([authority.bundle()]),
        });
        let verifier = PeerVerifier::spiffe(live.bundles().clone(), testing::provider()).unwrap();
        let [ours, theirs] = [(); 2].map(|()| Arc::new(Clock(AtomicU64::new(NOW))));
        let mut server = live.server_config(verifier.client_verifier()).unwrap();
        server.time_provider = Arc::clone(&ours) as _;
        let mut client = live.client_config(verifier.server_verifier()).unwrap();
        client.time_provider = theirs;
        // One who does all it can to resume.
        client.resumption = Resumption::default();
        let (server, client) = (Arc::new(server), Arc::new(client));

        for _ in 0..2 {
            assert_eq!(shake(&server, &client), Ok(Some(HandshakeKind::Full)));
        }
        ours.0.store(NOW + DAY + 1, Ordering::Relaxed);
        let refused = shake(&server, &client).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
            ),
            "{refused}"
        );
    }

    #[test]
    fn a_client_asks_for_no_session_of_the_mesh_to_be_resumed() {
        let authority = Authority::new("mesh");
        let (publisher, live) = channel();
        publisher.publish(Identity {
            svid: authority.svid("/w"),
            bundles: TrustBundles::from_iter([authority.bundle()]),
        });
        let verifier = PeerVerifier::spiffe(live.bundles().clone(), testing::provider()).unwrap();
        let clock = Arc::new(Clock(AtomicU64::new(NOW)));
        let builder = ServerConfig::builder_with_details(testing::provider(), clock.clone());
        let server = builder.with_safe_default_protocol_versions().unwrap();
        let server = server
            .with_no_client_auth()
            .with_cert_resolver(live.resolver());
        let mut client = live.client_config(verifier.server_verifier()).unwrap();
        client.time_provider = clock;
        let (server, client) = (Arc::new(server), Arc::new(client));
        for _ in 0..2 {
            assert_eq!(shake(&server, &client), Ok(Some(HandshakeKind::Full)));
        }
    }
}
