//! Which open connections have to end because their peer is trusted no more.
//!
//! TLS looks at certificates once, at the beginning. When a certificate is revoked or a root is
//! dropped, connections that stand go on. A [`DrainList`] remembers with which certificates each
//! connection was made, and by which verifier they were accepted. [`recheck`](DrainList::recheck)
//! asks of each whether its handshake would have been accepted with what is known now. Those that
//! would not are told to drain: to take no new requests and end when those under way are answered.
//!
//! Servers and clients whose [compiler](crate::config::TlsCompiler::with_drain_list) has a list put their
//! connections there by themselves. Somebody has to recheck it when trust bundles, revocation lists or
//! secrets have changed; each check costs as much as the verification of a handshake, so that it
//! belongs on a thread that serves nothing.
//!
//! A certificate that has merely expired since its handshake does not end the connection, as in
//! Envoy. Nor does an authority that was renewed with its key, and says that it counts only since.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_tls::drain::{DrainList, Handshake};
//! use mesh_tls::trust_bundle::TrustBundles;
//! use mesh_tls::verify::{PeerVerifier, Purpose};
//! use rustls_pki_types::UnixTime;
//!
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let (publisher, bundles) = mesh_core::watch::channel(TrustBundles::default());
//! let verifier = PeerVerifier::spiffe(bundles, provider)?;
//!
//! let list = DrainList::new();
//! let peer = rcgen::generate_simple_self_signed(["peer.example".to_owned()])?;
//! let connection = list.register(Handshake {
//!     chain: vec![peer.cert.der().clone()],
//!     purpose: Purpose::Client,
//!     server_name: None,
//!     at: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
//! }, verifier);
//! assert!(!connection.is_draining());
//!
//! publisher.publish(TrustBundles::default());
//! assert_eq!(list.recheck(), 1, "nobody is believed");
//! assert!(connection.is_draining());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc-rs"))]
//! # fn main() {}
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::watch::{self, Publisher, Watch};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::verify::{PeerVerifier, Purpose};

/// How a connection was made.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The certificates that the peer presented, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Which side of TLS the peer is.
    pub purpose: Purpose,
    /// The name that a server was connected to by. Without it, a server whose verifier expects that name
    /// ([`ExpectedNames::ServerName`](crate::verify::ExpectedNames::ServerName)) is refused.
    pub server_name: Option<ServerName<'static>>,
    /// When it was.
    pub at: UnixTime,
}

/// The open connections, with the certificates of their peers. Cheap to clone; clones share the
/// list.
#[derive(Clone, Default)]
pub struct DrainList {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    last: u64,
    rounds: u64,
    open: HashMap<u64, Entry>,
}

struct Entry {
    made: Arc<Made>,
    draining: Publisher<bool>,
}

/// How a connection was made, and who accepted it.
struct Made {
    handshake: Handshake,
    verifier: PeerVerifier,
}

impl Made {
    /// Whether the handshake would be accepted with what is known now.
    fn is_accepted(&self) -> bool {
        let Handshake {
            chain,
            purpose,
            server_name,
            at,
        } = &self.handshake;
        let server_name = server_name.as_ref();
        let verified = self.verifier.recheck(chain, *purpose, server_name, *at);
        verified.is_ok()
    }
}

impl DrainList {
    /// A list of no connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often the connections were rechecked. Ask before a handshake and after
    /// [`register`](Self::register): if there was a round between, the connection may have been accepted
    /// with what was known before it, and has to be [rechecked](Tracked::recheck) itself.
    pub fn rounds(&self) -> u64 {
        self.lock().rounds
    }

    /// Adds a connection that `verifier` has accepted, until the value that this gives is dropped.
    pub fn register(&self, handshake: Handshake, verifier: PeerVerifier) -> Tracked {
        let made = Arc::new(Made {
            handshake,
            verifier,
        });
        let (draining, watch) = watch::channel(false);
        let mut entries = self.lock();
        entries.last += 1;
        let id = entries.last;
        entries.open.insert(id, Entry { made, draining });
        drop(entries);
        Tracked {
            id,
            list: self.clone(),
            draining: watch,
        }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().open.is_empty()
    }

    /// Drains the connections whose verifier would refuse their handshake with the trust bundles,
    /// secrets and revocation lists that it has now. Gives how many were not draining before.
    pub fn recheck(&self) -> usize {
        self.lock().rounds += 1;
        self.drain_where(|made| !made.is_accepted())
    }

    /// Drains the connections of which `condition` is true. Gives how many were not draining
    /// before.
    pub fn drain_if(&self, mut condition: impl FnMut(&Handshake) -> bool) -> usize {
        self.drain_where(|made| condition(&made.handshake))
    }

    /// The condition may take long: connections come and go meanwhile.
    fn drain_where(&self, mut condition: impl FnMut(&Made) -> bool) -> usize {
        let open: Vec<(u64, Arc<Made>)> = {
            let entries = self.lock();
            let open = entries.open.iter();
            open.map(|(id, entry)| (*id, Arc::clone(&entry.made)))
                .collect()
        };
        let refused = open.into_iter().filter(|(_, made)| condition(made));
        refused.filter(|(id, _)| self.drain(*id)).count()
    }

    /// Whether the connection is there and was not draining.
    fn drain(&self, id: u64) -> bool {
        let entries = self.lock();
        let Some(entry) = entries.open.get(&id) else {
            return false;
        };
        let was_draining = **entry.draining.watch().load();
        if !was_draining {
            entry.draining.publish(true);
        }
        !was_draining
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DrainList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainList")
            .field("len", &self.len())
            .finish()
    }
}

/// A connection on a [`DrainList`]. Dropping it takes the connection off.
#[derive(Debug)]
pub struct Tracked {
    id: u64,
    list: DrainList,
    draining: Watch<bool>,
}

impl Tracked {
    /// Whether the connection has to drain.
    pub fn is_draining(&self) -> bool {
        **self.draining.load()
    }

    /// As [`DrainList::recheck`], of this connection alone.
    pub fn recheck(&self) {
        let entries = self.list.lock();
        let made = entries.open.get(&self.id).map(|one| Arc::clone(&one.made));
        drop(entries);
        if made.is_some_and(|made| !made.is_accepted()) {
            self.list.drain(self.id);
        }
    }

    /// Waits until the connection has to drain.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if this is dropped before it returns.
    pub async fn draining(&self) {
        let mut watch = self.draining.clone();
        while !**watch.load() {
            watch.changed().await;
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.list.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use mesh_core::watch;
    use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};

    use super::*;
    use crate::svid::X509Svid;
    use crate::testing::{self, Authority};
    use crate::trust_bundle::{TrustBundle, TrustBundles};
    use crate::verify::{ExpectedNames, Revocations, Roots};

    fn handshake(svid: &X509Svid) -> Handshake {
        let chain = svid.chain().iter().map(|one| one.der().clone());
        Handshake {
            chain: chain.collect(),
            purpose: Purpose::Client,
            server_name: None,
            at: testing::now(),
        }
    }

    fn verifier(bundles: impl Into<Watch<TrustBundles>>) -> PeerVerifier {
        PeerVerifier::spiffe(bundles, testing::provider()).unwrap()
    }

    fn bundles(trusted: &[&Authority]) -> TrustBundles {
        trusted.iter().map(|authority| authority.bundle()).collect()
    }

    fn revoke(authority: &Authority, svid: &X509Svid) -> Revocations {
        let date = |seconds: u64| {
            time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
        };
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(svid.leaf().serial()),
            revocation_time: date(testing::NOW),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date(testing::NOW),
            next_update: date(testing::NOW + testing::DAY),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(authority.issuer()).unwrap();
        Revocations::new([list.der().clone()]).unwrap()
    }

    #[test]
    fn connections_of_a_revoked_certificate_are_drained_and_others_are_not() {
        let authority = Authority::new("mesh");
        let (stolen, good) = (authority.svid("/ns/a/sa/b"), authority.svid("/ns/a/sa/c"));
        let (publisher, known) = watch::channel(bundles(&[&authority]));
        let verifier = verifier(known);
        let list = DrainList::new();
        let (bad, fine) = (
            list.register(handshake(&stolen), verifier.clone()),
            list.register(handshake(&good), verifier),
        );

        assert_eq!(list.recheck(), 0);
        let bundle = authority.bundle();
        let bundle = bundle.with_revocations(revoke(&authority, &stolen));
        publisher.publish(TrustBundles::from_iter([bundle]));
        assert_eq!(list.recheck(), 1);
        assert!(bad.is_draining() && !fine.is_draining());
        assert_eq!(list.recheck(), 0, "it is draining already");
    }

    #[test]
    fn a_server_is_asked_for_by_the_name_that_it_was_connected_to_by() {
        let authority = Authority::new("root");
        let host = authority.host("shop.example");
        let list = DrainList::new();
        let roots = Roots::new([authority.certificate()]).unwrap();
        let (publisher, roots) = watch::channel(roots);
        let verifier = PeerVerifier::roots(roots, testing::provider()).unwrap();
        let connection = list.register(
            Handshake {
                chain: vec![host.leaf().der().clone()],
                purpose: Purpose::Server,
                server_name: Some("shop.example".try_into().unwrap()),
                at: testing::now(),
            },
            verifier.with_names(ExpectedNames::ServerName),
        );
        assert_eq!((list.recheck(), connection.is_draining()), (0, false));
        publisher.publish(Roots::default());
        assert_eq!((list.recheck(), connection.is_draining()), (1, true));
    }

    #[test]
    fn connections_below_a_dropped_root_are_drained() {
        let (old, new) = (Authority::new("mesh"), Authority::new("mesh"));
        let both = old.bundle().merge(&new.bundle()).unwrap();
        let (publisher, known) = watch::channel(TrustBundles::from_iter([both]));
        let verifier = verifier(known);
        let list = DrainList::new();
        let of_old = list.register(handshake(&old.svid("/ns/a/sa/b")), verifier.clone());
        let of_new = list.register(handshake(&new.svid("/ns/a/sa/b")), verifier);
        assert_eq!(list.recheck(), 0);
        publisher.publish(bundles(&[&new]));
        assert_eq!(list.recheck(), 1);
        assert!(of_old.is_draining() && !of_new.is_draining());
    }

    #[test]
    fn a_root_that_was_renewed_with_its_key_ends_no_connection() {
        let authority = Authority::new("mesh");
        let (publisher, known) = watch::channel(bundles(&[&authority]));
        let list = DrainList::new();
        let connection = list.register(handshake(&authority.svid("/w")), verifier(known));
        let domain = authority.bundle().trust_domain().clone();
        let renewed = authority.renewed(testing::NOW + testing::DAY);
        let renewed = TrustBundle::new(domain, [renewed]).unwrap();
        publisher.publish(TrustBundles::from_iter([renewed]));
        assert_eq!((list.recheck(), connection.is_draining()), (0, false));
        publisher.publish(bundles(&[&Authority::new("mesh")]));
        assert_eq!((list.recheck(), connection.is_draining()), (1, true));
    }

    #[test]
    fn a_connection_that_a_round_has_missed_is_rechecked_alone() {
        let authority = Authority::new("mesh");
        let (publisher, known) = watch::channel(bundles(&[&authority]));
        let list = DrainList::new();
        let before = list.rounds();
        publisher.publish(TrustBundles::default());
        assert_eq!(list.recheck(), 0, "it is not there yet");
        let connection = list.register(handshake(&authority.svid("/w")), verifier(known));
        assert_ne!(list.rounds(), before);
        connection.recheck();
        assert!(connection.is_draining());
    }

    #[test]
    fn a_connection_that_ends_is_taken_off_the_list() {
        let authority = Authority::new("mesh");
        let list = DrainList::new();
        let nobody = verifier(TrustBundles::default());
        let connection = list.register(handshake(&authority.svid("/ns/a/sa/b")), nobody);
        assert_eq!(list.len(), 1);
        drop(connection);
        assert!(list.is_empty());
        assert_eq!(list.recheck(), 0);
    }

    #[test]
    fn whoever_waits_is_woken() {
        let authority = Authority::new("mesh");
        let list = DrainList::new();
        let verifier = verifier(bundles(&[&authority]));
        let connection = list.register(handshake(&authority.svid("/ns/a/sa/b")), verifier);
        let mut cx = Context::from_waker(Waker::noop());
        let mut draining = pin!(connection.draining());
        assert!(draining.as_mut().poll(&mut cx).is_pending());
        assert_eq!(list.drain_if(|_| true), 1);
        assert!(draining.poll(&mut cx).is_ready());
    }
}
