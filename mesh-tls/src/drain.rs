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
//! Where the configuration itself is replaced, its [`Endings`] say how the TLS of each filter chain ends by
//! then ([`keep`](DrainList::keep)). A connection whose chain is gone, or asks for something else, drains, as
//! in Envoy; the others are held against the verifier that their chain has now.
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
//! // Before the handshake.
//! let pending = list.begin();
//! let peer = rcgen::generate_simple_self_signed(["peer.example".to_owned()])?;
//! let connection = pending.register(Handshake {
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

mod endings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::watch::{self, Publisher, Watch};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

pub use self::endings::{Ending, Endings};
use crate::verify::{PeerVerifier, Purpose};

/// How a connection was made.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The certificates that the peer presented, its own first. None, if a server does not ask for any, or
    /// does without.
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
    endings: Option<Endings>,
}

impl Entries {
    fn held(&self) -> Vec<Held> {
        let open = self.open.iter();
        open.map(|(id, entry)| Held::new(*id, &entry.made))
            .collect()
    }
}

struct Entry {
    made: Arc<Made>,
    draining: Publisher<bool>,
}

/// How a connection was made, and who accepted it.
struct Made {
    handshake: Handshake,
    /// `None` if nobody was asked.
    verifier: Option<PeerVerifier>,
    /// What accepted it, if that is known again.
    ending: Option<Ending>,
}

/// The connections of one moment, and what they are held against: what is [kept](DrainList::keep) from then
/// on says nothing of either.
struct Round {
    endings: Option<Endings>,
    open: Vec<Held>,
}

/// A connection, to be held against the endings of its [`Round`].
struct Held {
    id: u64,
    made: Arc<Made>,
    /// Whether its chain is of a generation that is yet to be kept, so that the endings say nothing of it.
    is_to_come: bool,
}

impl Held {
    fn new(id: u64, made: &Arc<Made>) -> Self {
        Self {
            id,
            made: Arc::clone(made),
            is_to_come: made.ending.as_ref().is_some_and(Ending::is_to_come),
        }
    }

    /// Whether the handshake would be accepted with what is known now.
    fn is_accepted(&self, endings: Option<&Endings>) -> bool {
        let endings = endings.filter(|_| !self.is_to_come);
        self.made.is_accepted(endings)
    }
}

impl Made {
    fn is_accepted(&self, endings: Option<&Endings>) -> bool {
        let of_now = match endings.zip(self.ending.as_ref()) {
            Some((endings, ending)) => match endings.get(ending.key()) {
                Some(verifier) => verifier,
                None => return false,
            },
            None => None,
        };
        // Whoever was not verified is not by a chain that asks for the same.
        let Some(verifier) = self.verifier.as_ref() else {
            return true;
        };
        let verifier = of_now.as_ref().unwrap_or(verifier);
        let Handshake {
            chain,
            purpose,
            server_name,
            at,
        } = &self.handshake;
        let server_name = server_name.as_ref();
        let verified = verifier.recheck(chain, *purpose, server_name, *at);
        verified.is_ok()
    }
}

impl DrainList {
    /// A list of no connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that a handshake begins, whose connection is then to be registered.
    pub fn begin(&self) -> Pending {
        Pending {
            list: self.clone(),
            rounds: self.lock().rounds,
        }
    }

    /// From now on, connections that servers have accepted count only if the TLS of their filter chain is one
    /// of `endings`, and are rechecked by the verifier that it has there. They drain at the next
    /// [`recheck`](Self::recheck). Connections of clients are not affected, nor those of servers that were
    /// compiled without [endings](crate::config::TlsCompiler::with_endings). Default: all count.
    ///
    /// Call it when the chains of `endings` have taken the place of those before: what the latter accept
    /// from then on drains at once, and what the former have accepted until then counts.
    pub fn keep(&self, endings: Endings) {
        let mut entries = self.lock();
        endings.set_kept();
        entries.endings = Some(endings);
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
    /// secrets and revocation lists that it has now, and those whose filter chain is not
    /// [kept](Self::keep). Gives how many were not draining before.
    pub fn recheck(&self) -> usize {
        let round = self.round();
        self.end(&round)
    }

    /// Begins a round: connections and endings are those of one moment.
    fn round(&self) -> Round {
        let mut entries = self.lock();
        entries.rounds += 1;
        Round {
            endings: entries.endings.clone(),
            open: entries.held(),
        }
    }

    /// Ends a round. It may take long: connections come and go meanwhile, and endings are replaced.
    fn end(&self, round: &Round) -> usize {
        let endings = round.endings.as_ref();
        self.drain_where(&round.open, |held| !held.is_accepted(endings))
    }

    /// Drains the connections of which `condition` is true. Gives how many were not draining
    /// before.
    pub fn drain_if(&self, mut condition: impl FnMut(&Handshake) -> bool) -> usize {
        let open = self.lock().held();
        self.drain_where(&open, |held| condition(&held.made.handshake))
    }

    /// The condition may take long: connections come and go meanwhile.
    fn drain_where(&self, open: &[Held], mut condition: impl FnMut(&Held) -> bool) -> usize {
        let refused = open.iter().filter(|held| condition(held));
        refused.filter(|held| self.drain(held.id)).count()
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

/// A handshake that [has begun](DrainList::begin). If there is a round before its connection is registered, the
/// connection may have been accepted with what was known before it, and is rechecked.
#[derive(Debug)]
pub struct Pending {
    list: DrainList,
    /// How many there had been.
    rounds: u64,
}

impl Pending {
    /// Adds the connection, which `verifier` has accepted, to the list, until the value that this gives is
    /// dropped.
    pub fn register(self, handshake: Handshake, verifier: PeerVerifier) -> Tracked {
        self.register_accepted(handshake, Some(verifier), None)
    }

    /// Adds the connection of a client that a filter chain has accepted, as [`register`](Self::register) does.
    /// `verifier` is [that of the chain](crate::config::ServerTls::verifier), if the client has presented a
    /// certificate that it verified, and `ending`
    /// [by what the chain is kept](crate::config::ServerTls::ending). The connection is rechecked, too, if
    /// the chain is not of those that are kept now.
    pub fn register_accepted(
        self,
        handshake: Handshake,
        verifier: Option<PeerVerifier>,
        ending: Option<&Ending>,
    ) -> Tracked {
        let Self { list, rounds } = self;
        let made = Arc::new(Made {
            handshake,
            verifier,
            ending: ending.cloned(),
        });
        let is_of_now = |endings: &Endings| ending.is_none_or(|ending| ending.is_of(endings));
        let (draining, watch) = watch::channel(false);
        let mut entries = list.lock();
        entries.last += 1;
        let id = entries.last;
        entries.open.insert(id, Entry { made, draining });
        let is_current = entries.rounds == rounds && entries.endings.as_ref().is_none_or(is_of_now);
        drop(entries);
        let draining = watch;
        let tracked = Tracked { id, list, draining };
        if !is_current {
            tracked.recheck();
        }
        tracked
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
    fn recheck(&self) {
        let entries = self.list.lock();
        let held = entries.open.get(&self.id);
        let held = held.map(|one| Held::new(self.id, &one.made));
        let endings = entries.endings.clone();
        drop(entries);
        if held.is_some_and(|held| !held.is_accepted(endings.as_ref())) {
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
