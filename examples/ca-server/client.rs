//! Until when a client is believed.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use mesh_tls::certificate::Certificate;
use mesh_tls::connection::{PeerCertificates, TlsPeer};
use mesh_tls::drain::{Handshake, Pending, Tracked};
use mesh_tls::verify::{PeerVerifier, Purpose};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;

/// The longest sleep, because the clock may be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// How a connection is listed.
pub(crate) struct Listing<'a> {
    pub(crate) pending: Pending,
    pub(crate) verifier: &'a PeerVerifier,
    pub(crate) clock: Arc<dyn TimeProvider>,
}

/// A client that is connected.
pub(crate) struct Client {
    clock: Arc<dyn TimeProvider>,
    /// `None` if it presented no certificate: its requests have to prove who it is, each by itself.
    certificate: Option<Counted>,
}

/// A certificate that counts for now.
struct Counted {
    not_after: UnixTime,
    tracked: Tracked,
}

impl Client {
    /// The client of a handshake, which is listed if it has presented certificates. `None` if they are not
    /// to be understood, or if the clock cannot tell the time.
    pub(crate) fn new(peer: &TlsPeer, listing: Listing<'_>) -> Option<Self> {
        let clock = Arc::clone(&listing.clock);
        let certificate = match &peer.certificates {
            Some(certificates) => Some(Counted::new(certificates, listing)?),
            None => None,
        };
        Some(Self { clock, certificate })
    }

    /// Waits until what the client has proven by its certificate does not count any more: that has expired,
    /// was revoked, or its authority is not believed.
    pub(crate) async fn distrusted(&self) {
        let Some(Counted { not_after, tracked }) = &self.certificate else {
            return pending().await;
        };
        tokio::select! {
            () = self.reaches(not_after.as_secs().saturating_add(1)) => {}
            () = tracked.draining() => {}
        }
    }

    async fn reaches(&self, end: u64) {
        while let Some(now) = self.clock.current_time() {
            let left = Duration::from_secs(end.saturating_sub(now.as_secs()));
            if left.is_zero() {
                return;
            }
            sleep(left.min(MAX_SLEEP)).await;
        }
    }
}

impl Counted {
    fn new(PeerCertificates(chain): &PeerCertificates, listing: Listing<'_>) -> Option<Self> {
        let ends = chain.iter().map(|der| {
            let certificate = Certificate::from_der(der).ok()?;
            Some(certificate.validity().not_after())
        });
        let ends: Option<Vec<UnixTime>> = ends.collect();
        let handshake = Handshake {
            chain: chain.to_vec(),
            purpose: Purpose::Client,
            server_name: None,
            at: listing.clock.current_time()?,
        };
        let verifier = listing.verifier.clone();
        let tracked = listing.pending.register(handshake, verifier);
        Some(Self {
            not_after: ends?.into_iter().min()?,
            tracked,
        })
    }
}
