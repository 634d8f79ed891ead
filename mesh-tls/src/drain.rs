//! Which open connections have to end because their peer is trusted no more.
//!
//! TLS looks at certificates once, at the beginning. When a certificate is revoked or a root is
//! dropped, connections that stand go on. A [`DrainList`] remembers with which certificates each
//! connection was made, and [`recheck`](DrainList::recheck) asks of each whether its handshake would
//! have been accepted with what is known now. Those that would not are told to drain: to take no
//! new requests and end when those under way are answered.
//!
//! A certificate that has merely expired since its handshake does not end the connection, as in
//! Envoy.
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
//! let list = DrainList::new();
//! let peer = rcgen::generate_simple_self_signed(["peer.example".to_owned()])?;
//! let connection = list.register(Handshake {
//!     chain: vec![peer.cert.der().clone()],
//!     purpose: Purpose::Client,
//!     at: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
//! });
//! assert!(!connection.is_draining());
//!
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let nobody = PeerVerifier::spiffe(TrustBundles::default(), provider)?;
//! assert_eq!(list.recheck(&nobody), 1);
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
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::verify::{PeerVerifier, Purpose};

/// How a connection was made.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The certificates that the peer presented, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Which side of TLS the peer is.
    pub purpose: Purpose,
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
    open: HashMap<u64, Entry>,
}

struct Entry {
    handshake: Handshake,
    draining: Publisher<bool>,
}

impl DrainList {
    /// A list of no connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connection, until the value that this gives is dropped.
    pub fn register(&self, handshake: Handshake) -> Tracked {
        let (draining, watch) = watch::channel(false);
        let mut entries = self.lock();
        entries.last += 1;
        let id = entries.last;
        entries.open.insert(
            id,
            Entry {
                handshake,
                draining,
            },
        );
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

    /// Drains the connections whose handshake `verifier` would refuse, with the trust bundles and
    /// revocation lists that it has now. Gives how many were not draining before.
    pub fn recheck(&self, verifier: &PeerVerifier) -> usize {
        self.drain_if(|handshake| {
            let Handshake { chain, purpose, at } = handshake;
            verifier.verify(chain, *purpose, *at).is_err()
        })
    }

    /// Drains the connections of which `condition` is true. Gives how many were not draining
    /// before.
    pub fn drain_if(&self, mut condition: impl FnMut(&Handshake) -> bool) -> usize {
        // The condition may take long, and connections come and go meanwhile.
        let open: Vec<(u64, Handshake)> = {
            let entries = self.lock();
            let open = entries.open.iter();
            open.map(|(id, entry)| (*id, entry.handshake.clone()))
                .collect()
        };
        let refused = open
            .into_iter()
            .filter(|(_, handshake)| condition(handshake));
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
    use crate::trust_bundle::TrustBundles;
    use crate::verify::Revocations;

    fn handshake(svid: &X509Svid) -> Handshake {
        let chain = svid.chain().iter().map(|one| one.der().clone());
        Handshake {
            chain: chain.collect(),
            purpose: Purpose::Client,
            at: testing::now(),
        }
    }

    fn verifier(trusted: &[&Authority]) -> PeerVerifier {
        let bundles = trusted.iter().map(|authority| authority.bundle());
        let bundles = TrustBundles::from_iter(bundles);
        PeerVerifier::spiffe(bundles, testing::provider()).unwrap()
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
        let list = DrainList::new();
        let (bad, fine) = (
            list.register(handshake(&stolen)),
            list.register(handshake(&good)),
        );

        let (publisher, revocations) = watch::channel(Revocations::default());
        let verifier = verifier(&[&authority]).with_revocations(revocations);
        assert_eq!(list.recheck(&verifier), 0);
        publisher.publish(revoke(&authority, &stolen));
        assert_eq!(list.recheck(&verifier), 1);
        assert!(bad.is_draining() && !fine.is_draining());
        assert_eq!(list.recheck(&verifier), 0, "it is draining already");
    }

    #[test]
    fn connections_below_a_dropped_root_are_drained() {
        let (old, new) = (Authority::new("mesh"), Authority::new("mesh"));
        let list = DrainList::new();
        let of_old = list.register(handshake(&old.svid("/ns/a/sa/b")));
        let of_new = list.register(handshake(&new.svid("/ns/a/sa/b")));
        let both = old.bundle().merge(&new.bundle()).unwrap();
        let both = TrustBundles::from_iter([both]);
        let both = PeerVerifier::spiffe(both, testing::provider()).unwrap();
        assert_eq!(list.recheck(&both), 0);
        assert_eq!(list.recheck(&verifier(&[&new])), 1);
        assert!(of_old.is_draining() && !of_new.is_draining());
    }

    #[test]
    fn a_connection_that_ends_is_taken_off_the_list() {
        let authority = Authority::new("mesh");
        let list = DrainList::new();
        let connection = list.register(handshake(&authority.svid("/ns/a/sa/b")));
        assert_eq!(list.len(), 1);
        drop(connection);
        assert!(list.is_empty());
        assert_eq!(list.recheck(&verifier(&[])), 0);
    }

    #[test]
    fn whoever_waits_is_woken() {
        let authority = Authority::new("mesh");
        let list = DrainList::new();
        let connection = list.register(handshake(&authority.svid("/ns/a/sa/b")));
        let mut cx = Context::from_waker(Waker::noop());
        let mut draining = pin!(connection.draining());
        assert!(draining.as_mut().poll(&mut cx).is_pending());
        assert_eq!(list.drain_if(|_| true), 1);
        assert!(draining.poll(&mut cx).is_ready());
    }
}
